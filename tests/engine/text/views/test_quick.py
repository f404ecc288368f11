"""What the quick check calls plain reads as it is, and plain texts cost little."""

import base64
import importlib
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import spacy_duoguard.engine.text.views.readings as module
from spacy_duoguard.disguises.suite import SUITE
from spacy_duoguard.engine.text.views.quick import may_differ
from spacy_duoguard.engine.text.views.radix import decode_base64, is_no_text
from spacy_duoguard.engine.text.views.readings import decoded, folded, readings

WORDS = [
    *("You", "you", "KILL", "aLl", "h4te", "it's", "I", "1st", "B2B", "2024-01-05"),
    *("committee", "Unfortunately", "aGVsbG8gd29ybGQhIQ==", "68 61  74 65 20 6d"),
    *("h.a.t.e", "n'y a-t-il", "\u00e9\u00e8", "kkiillll", "aabbcc", "uSER", "%41"),
    *("\u0434\u0430", "\u0441\u043e\u0441\u043e", "\u0435", "\u6f22\u5b57", "\uff04"),
    *("\u30ab\u529b\u30ab", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u2026", "\xa0"),
    *("0x68 0x61 0x74 0x65 0x20 0x6d", "aGF0ZSB5b3U", "aGF0ZQ==", "\\n", "x=1", "k1ll"),
    *("\\x41", "&amp;", "&#104;", "X" * 26, "y" * 30, "  ", "\n\n", "\u203c", "\xb4"),
]
CHARACTERS = (
    "abhtA .,'-!?1034$@\n\u00a1\u00bf\u00ab\u2019\u2026\uff04\uff01\u203c\u00aa\u00bd"
    "\u00e9\u00f1\u00c7\u0142\u0410\u0435\u043e\u03b1\u6f22\u53e3\u30ed\u30ab\u529b"
    "\ud55c\u05e2\u0643\u0939\u0915\u093e\u09cb\u0966\u3000\u0301\u200b"
)


@st.composite
def disguised(draw):
    """Words, some of them disguised."""
    parts = []
    for word in draw(st.lists(st.sampled_from(WORDS), max_size=12)):
        if draw(st.integers(0, 5)) == 0:
            word = SUITE[draw(st.sampled_from(sorted(SUITE)))].apply(f"the {word} is")
        parts.append(word)
    return draw(st.sampled_from([" ", ", ", "", "'"])).join(parts)


def read(text):
    """What the steps read, whatever the quick check says."""
    views = [view for view in (folded(text), decoded(text)) if view is not None]
    if len(views) > 1 and views[0].text == views[1].text:
        views.pop()
    differ = [view for view in views if view.text not in ("", text)]
    return [(view.name, view.text, view.starts.tolist()) for view in differ]


@settings(deadline=None)
@given(text=disguised() | st.text(st.sampled_from(CHARACTERS), max_size=30))
@example("KILL THEM ALL " + "y" * 30)
@example("kkiillll tthheemm aallll " + " ." * 80)
@example("he said 68 61  74 65 20 6d")
@example("you a\uff04\uff04hole")
@example("a\u203cb")
@example("First." + "\n" * 64 + "Second.")
@example("I hate you and him \u0441\u043e\u0441\u043e")
@example("\u043d\u0435\u0442 \u043be\u0441 \u0436")
def test_the_quick_check_misses_nothing_that_the_steps_read(text):
    views = [(view.name, view.text, view.starts.tolist()) for view in readings(text)]
    assert views == read(text)


def test_the_quick_check_misses_nothing_in_seeded_texts():
    draw = random.Random(4)
    for _ in range(2_000):
        units = draw.choices(
            [*CHARACTERS, *WORDS] if draw.random() < 0.5 else WORDS,
            k=draw.randint(0, 15),
        )
        text = draw.choice(["", " "]).join(units)
        views = [view.text for view in readings(text)]
        assert views == [reading for _, reading, _ in read(text)]


@settings(deadline=None)
@given(
    data=st.text(st.sampled_from("hate you\u00e9\u6f22\x00"), min_size=6).map(
        str.encode
    )
    | st.text(min_size=6).map(lambda text: text.encode("utf8", "replace"))
    | st.binary(min_size=6),
    size=st.integers(0, 3),
)
def test_a_word_is_known_as_no_base64_only_if_no_text_is_read_in_it(data, size):
    word = base64.b64encode(data).decode().rstrip("=")
    word = word[: len(word) - size]
    if is_no_text(word):
        assert not list(decode_base64(word))


@pytest.mark.parametrize("word", ["Unfortunately", "TWVycnkgQ2hyaXN0bWFz"])
def test_which_words_are_known_as_no_base64(word):
    reads = [edit.text for edit in decode_base64(word)]
    assert (reads, is_no_text(word)) in [([], True), (["Merry Christmas"], False)]


@pytest.mark.parametrize("language", ["en", "es", "fr", "hi", "ru", "tr", "vi"])
def test_plain_sentences_are_known_as_plain_without_being_read(language, monkeypatch):
    def fail(text):
        raise AssertionError(text)

    monkeypatch.setattr(module, "folded", fail)
    monkeypatch.setattr(module, "decoded", fail)
    sentences = importlib.import_module(f"spacy.lang.{language}.examples").sentences
    assert not any(map(readings, sentences))
    assert not readings(" ".join(sentences))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I'm at the BBC\u2026 n'y a-t-il pas un 2e\xa0caf\u00e9 \u00e0 c\u00f4t\u00e9?",
        "Unfortunately, the committee met on 2024-01-05 at 10:30!",
        "50% of R&D costs = C:\\temp",
        "x = 1  # a comment",
    ],
)
def test_what_looks_odd_at_first_is_known_as_plain(text):
    assert may_differ(text) == (False, False)
