"""Bytes that are damaged, of something else, or changed on purpose with digests that
fit: each is refused with a code, and leaves the component as it was."""

import gc
import json
import random

import pytest
import spacy
import srsly
from support.checkpoints import TEXTS

from spacy_duoguard.engine.checkpoint.manifest import (
    MANIFEST,
    digest,
    dump_manifest,
    make_manifest,
)
from spacy_duoguard.errors import DuoGuardError
from spacy_duoguard.pipeline.settings import RUN_TIME_SETTINGS

PARTS = ("config", "tokenizer", "weights", "provenance")
LARGE = 10**400  # no float is


def unpack(data):
    return srsly.msgpack.loads(data, raw=False, object_pairs_hook=dict)


def seal(outer, inner, **test):
    """Pack the parts with manifests that match them."""
    sealed = {name: digest(inner[name]) for name in PARTS}
    manifest = make_manifest(sealed, **test)
    model = srsly.msgpack_dumps({**inner, MANIFEST: dump_manifest(manifest)})
    sealed = {name: digest(outer[name]) for name in ("cfg", "vocab")}
    manifest = dump_manifest(make_manifest(sealed))
    return srsly.msgpack_dumps({**outer, "model": model, MANIFEST: manifest})


@pytest.fixture(scope="module")
def saved(qwen2_folder):
    """The parts of a component, and of its model."""
    nlp = spacy.blank("en")
    model = {"name": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    settings = {"thresholds": {"Hate": 0.3}, "model": model}
    guard = nlp.add_pipe("duoguard", config=settings)
    guard.thresholds["Hate"] = 0.35
    outer = unpack(guard.to_bytes())
    return outer, unpack(outer["model"])


def flipped(data, seed):
    draw, changed = random.Random(seed), bytearray(data)
    for _ in range(3):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def settings(**changes):
    """A change to settings that were changed since the component was made, too."""

    def change(outer, inner):
        content = json.loads(outer["cfg"])
        content["settings"] |= {key: last for key, (last, _) in changes.items()}
        content["configured"] |= {key: first for key, (_, first) in changes.items()}
        return seal({**outer, "cfg": json.dumps(content).encode()}, inner)

    return change


def part(name, value):
    return lambda outer, inner: seal({**outer, name: value}, inner)


def self_test(**changes):
    def change(outer, inner):
        test = json.loads(inner[MANIFEST])["self_test"]
        return seal(outer, inner, self_test={**test, **changes})

    return change


DAMAGES = {
    "nothing": lambda outer, inner: b"",
    "no bytes": lambda outer, inner: None,
    "a string": lambda outer, inner: "bytes",
    "of a vocabulary": lambda outer, inner: outer["vocab"],
    "of the model": lambda outer, inner: outer["model"],
    "of a mapping": lambda outer, inner: srsly.msgpack_dumps({"model": b""}),
    **{
        f"cut at {at}": lambda outer, inner, at=at: seal(outer, inner)[:at]
        for at in (1, 100, 5000, -1)
    },
    **{
        f"bits {seed}": lambda outer, inner, seed=seed: flipped(
            seal(outer, inner), seed
        )
        for seed in range(8)
    },
    "a torn vocabulary": lambda outer, inner: part("vocab", outer["vocab"][:-9])(
        outer, inner
    ),
    "no vocabulary": part("vocab", srsly.msgpack_dumps({"strings": b"torn"})),
    "settings are nested": part("cfg", b"[" * 100_000),
    "settings are no settings": part("cfg", b'{"settings": 1, "configured": []}'),
    "thresholds are numbers": settings(thresholds=(5, 7)),
    "thresholds are lists": settings(thresholds=([0.5], [])),
    "review thresholds are a string": settings(review_thresholds=("x", {})),
    "a setting is too large": settings(review_threshold=(LARGE, None)),
    "a probability is too large": self_test(probabilities=[[LARGE]]),
    "no tokens": self_test(ids=None),
}


@pytest.mark.filterwarnings("ignore:.W003")
@pytest.mark.parametrize("name", DAMAGES)
def test_they_are_refused_and_change_nothing(make_nlp, saved, name):
    nlp = make_nlp(review_thresholds={"Privacy": 0.1})
    guard = nlp.get_pipe("duoguard")
    expected, strings = [doc.cats for doc in nlp.pipe(TEXTS)], len(nlp.vocab.strings)
    cfg = dict(guard.cfg)
    with pytest.raises(DuoGuardError, match=r"\[E\d{3}\]"):
        guard.from_bytes(DAMAGES[name](*saved))
    assert gc.isenabled()
    assert guard.cfg == cfg
    assert cfg.keys() == set(RUN_TIME_SETTINGS)
    assert len(nlp.vocab.strings) == strings
    assert [doc.cats for doc in nlp.pipe(TEXTS)] == expected


def test_bytes_that_fit_are_read(make_nlp, saved):
    """Or those above would be refused for another reason."""
    guard = make_nlp().get_pipe("duoguard")
    test = json.loads(saved[1][MANIFEST])["self_test"]
    with pytest.warns(UserWarning, match="W003"):
        guard.from_bytes(seal(*saved, self_test=test))
