"""Noise in the characters of texts, for the demo's training."""

import random
import string
from itertools import groupby

import numpy as np
import pytest

TEXT = "The dog walks home and reads a long book by the sea, today at noon."
LETTERS = [c for c in TEXT if c.isalpha()]
NAMES = (
    *("delete", "insert", "replace", "transpose", "repeat"),
    *("rotate", "split", "join", "change_case"),
)


def draw(load, name, n=60, rate=0.5):
    noise = getattr(load("demo.noise"), name)
    return [noise(TEXT, rate, random.Random(seed)) for seed in range(n)]


def is_subsequence(short, long):
    rest = iter(long)
    return all(c in rest for c in short)


@pytest.mark.parametrize("name", NAMES)
def test_noise_is_seeded_and_follows_the_rate(load, name):
    noise = getattr(load("demo.noise"), name)
    texts = draw(load, name)
    assert texts == draw(load, name)
    assert len(set(texts)) > 30
    assert sum(text != TEXT for text in texts) > 50
    assert all(noise("", 0.5, random.Random(seed)) == "" for seed in range(9))
    lengths = {}
    for rate in (0.05, 1.0):
        changed = [list(text) for text in draw(load, name, rate=rate)]
        lengths[rate] = np.mean([_distance(text, list(TEXT)) for text in changed])
    assert lengths[0.05] < lengths[1.0]


def _distance(one, other):
    """Positions that differ, and the difference in length."""
    pairs = zip(one, other, strict=False)
    return sum(a != b for a, b in pairs) + abs(len(one) - len(other))


def test_what_each_kind_of_noise_keeps(load):
    for text in draw(load, "delete"):
        assert is_subsequence(text, TEXT)
        assert len(text.split(" ")) == len(TEXT.split(" "))
    for text in draw(load, "insert"):
        assert is_subsequence(TEXT, text)
    for text in draw(load, "replace"):
        assert len(text) == len(TEXT)
    for text in draw(load, "transpose"):
        words = zip(text.split(), TEXT.split(), strict=True)
        assert all(sorted(word) == sorted(plain) for word, plain in words)


def test_what_other_kinds_of_noise_keep(load):
    once = [c for c, _ in groupby(TEXT)]
    for text in draw(load, "repeat"):
        assert [c for c, _ in groupby(text)] == once
    for text in draw(load, "split"):
        assert is_subsequence(TEXT, text)
    for text in draw(load, "join"):
        assert is_subsequence([c.lower() for c in LETTERS], text.lower())
    for text in draw(load, "change_case"):
        assert text.lower() == TEXT.lower()
    for text in draw(load, "rotate"):
        words = zip(text.split(), TEXT.split(), strict=True)
        for word, plain in words:
            assert not set(plain) - set(word)
            assert len(word) - len(plain) <= 2


def test_inserted_and_written_characters_are_of_many_kinds(load):
    added = "".join(draw(load, "insert", 300) + draw(load, "replace", 300))
    kinds = set(added) - set(TEXT)
    assert kinds >= set("()*#@") | {"q", "7"}
    assert sum(ord(c) > 127 for c in kinds) > 40
    assert len(set(string.punctuation) & kinds) > 25
