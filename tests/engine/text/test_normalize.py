"""Plain characters: what is undone, and where each comes from."""

import re
import sys
import time
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.checkpoints import TEXTS

from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.text.normalize import collapse_spaces, compose
from spacy_duoguard.engine.text.views.readings import readings
from spacy_duoguard.engine.text.views.view import View


def normalize(text):
    view = View.of(text)
    view = view.select(*compose(view.text))
    return view.select(*collapse_spaces(view.text)).whole("plain")


# Characters at which NFKC, dropping and collapsing meet: marks of several classes,
# Hangul of all kinds, letters that compose, styled ones, and what is dropped.
ODD = (
    "aeH \n\t\r\u00a0\u2003\u2028\u0301\u0327\u0323\u0338\u3099\uff9e\u304b\uff76"
    "\u1112\u1161\u11ab\ud55c\uffa1\uffc2\u09c7\u09be\u0b47\u0b56\ufb03\ufdfa\uff21"
    "\u2460\u00a8\u212b\u1e9b\u0344\u0f71\u0f72\u0f73\u200b\u200d\u2060\u00ad\ufeff"
    "\u202e\u034f\u115f\u1160\u3164\uffa0\ufe0f\U000e0041\U000e0100\0\x1b\U0001d400"
)
texts = st.text(st.sampled_from(ODD)) | st.text()
# Unicode's property of that name.
IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
HIDDEN = "\u200b\u200d\u00ad\u2060\u202e\ufeff\u034f\ufe0f\u3164\U000e0041\0\x1b"


def plain(text):
    """The same by definition, in quadratic time at worst."""
    visible = [
        character
        for character in IGNORABLE.sub("", text)
        if unicodedata.category(character) not in ("Cf", "Cc") or character.isspace()
    ]
    composed = unicodedata.normalize("NFKC", "".join(visible))
    return re.sub(
        r"\s+",
        lambda run: "\n" if "\n" in run[0] or "\r" in run[0] else " ",
        composed,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("How to kill a process?\nSend it a signal.", None),
        ("h\u200ba\u00adt\u2060e", "hate"),
        ("\uff48\uff41\uff54\uff45", "hate"),
        ("\U0001d421\u24d0\U0001d4c9\u212f", "hate"),
        ("h\U000e0061a\U000e007ft\U000e0100e\ufe0f", "hate"),
        ("h\0a\x1bt\x7fe", "hate"),
        ("h\u034fa\u3164t\u115fe", "hate"),
        ("\u202eetah", "etah"),
        ("e\u0301te\u200b\u0301", "été"),
        ("I  hate \t you", "I hate you"),
        ("one\r\n\r\ntwo \n three", "one\ntwo\nthree"),
        (" hate\u00a0you ", " hate you "),
        ("h" + " " * 70_000 + "e", "h e"),
        ("\u200b\u200b", ""),
        # Look-alikes are letters of their own: Cyrillic U+0430.
        ("h\u0430te", None),
    ],
)
def test_what_hides_words_is_undone(text, expected):
    assert normalize(text).text == (text if expected is None else expected)


@settings(deadline=None)
@given(text=texts)
@example("\u0301" * 40 + "\u0327" * 40)
@example("a" + "\u0301\u0327\u0344\u0f73" * 20 + "\u200b\u0323b")
@example("\u1112\u200b\u1161" * 20)
def test_the_view_is_what_its_definition_says(text):
    assert normalize(text).text == plain(text)


@settings(deadline=None)
@given(text=texts)
def test_a_view_of_a_view_is_itself(text):
    view = normalize(text).text
    assert normalize(view).text == view


@settings(deadline=None)
@given(text=texts)
def test_the_view_is_aligned_with_the_text(text):
    view = normalize(text)
    assert view.starts.shape == (len(view.text) + 1,)
    assert (np.diff(view.starts) >= 0).all()
    assert view.starts[-1] == len(text)
    places = [view.char_span(i, i + 1) for i in range(len(view.text))]
    assert all(0 <= start < end <= len(text) for start, end in places)
    if places:
        # No character of the text is left out, and each span gives its character.
        assert {i for place in places for i in range(*place)} == set(range(len(text)))
        assert view.char_span(0, len(view.text)) == (0, len(text))
    for character, (start, end) in zip(view.text, places, strict=True):
        assert character in normalize(text[start:end]).text or character.isspace()


def test_every_character_has_a_view_that_is_stable():
    changed = [
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.normalize("NFKC", character) != character
        or unicodedata.combining(character)
    ]
    assert len(changed) > 5_000
    for character in changed:
        view = normalize(f"a{character}b").text
        assert normalize(view).text == view
        if not character.isspace():
            assert view.replace(" ", "") == unicodedata.normalize(
                "NFKC", f"a{character}b".replace("\uffa0", "").replace("\u3164", "")
            ).replace(" ", "").replace("\u034f", "")


@pytest.mark.parametrize(
    "unit", ["\u0301\u0327", "a\u200b", "\u1112\u1161", " \t", "\uff21", "\u0f73\u0344"]
)
def test_time_is_linear(unit):
    def seconds(n):
        start = time.perf_counter()
        normalize("a" + unit * n)
        return time.perf_counter() - start

    seconds(10)
    # By definition, marks that Python sorts by insertion: 25 s for 100,000 pairs.
    assert seconds(100_000) < 5.0


@settings(deadline=None)
@given(text=texts)
@example("h\u200bate \uff41\uff42 and &#104;ate")
def test_scores_are_the_maximum_of_all_views(classifier, text):
    ((raw,), (both,)) = (
        classifier.analyze([text], normalize=normalize) for normalize in (False, True)
    )
    assert len(both.windows) >= len(raw.windows)
    for window, same in zip(raw.windows, both.windows, strict=False):
        assert (window.start, window.end) == (same.start, same.end)
    views = classifier.score([text, *(view.text for view in readings(text))])
    expected = views.max(axis=0)
    np.testing.assert_allclose(both.probabilities, expected, atol=1e-5)


@pytest.fixture
def rows(monkeypatch):
    """How many windows each forward got."""
    counts = []
    forward = CpuForward.__call__

    def counting(self, batch):
        counts.append(len(batch.scored_rows))
        return forward(self, batch)

    monkeypatch.setattr(CpuForward, "__call__", counting)
    return counts


def test_a_text_with_nothing_to_undo_is_scored_once(make_nlp, rows):
    nlp = make_nlp(normalize=True)
    nlp(TEXTS[0])
    assert sum(rows) == 1
    nlp(f"{TEXTS[0]}\u200b")
    assert sum(rows) == 3


def test_windows_that_read_the_same_are_scored_once(make_nlp, rows):
    nlp = make_nlp(normalize=True, model={"window": 16, "stride": 12})
    text = "The dog sleeps. " * 40
    doc = nlp(text)
    once = sum(rows)
    assert len(doc._.duoguard_windows) == once > 20
    tail = nlp(f"{text}e\u200bnd")
    assert once + 1 < sum(rows) - once < once + 5
    assert tail._.duoguard_windows[: once - 1] == doc._.duoguard_windows[:-1]


def test_windows_of_the_view_lie_in_the_text(make_nlp):
    model = {"window": 16, "stride": 12}
    text = "The \uff44\uff4f\uff47  sl\u200beeps.\r\n\r\n" * 20
    doc = make_nlp(normalize=True, model=model)(text)
    raw = make_nlp(model=model)(text)._.duoguard_windows
    windows = doc._.duoguard_windows
    assert windows[: len(raw)] == raw
    view = windows[len(raw) :]
    assert view[0]["start"] == 0
    assert view[-1]["end"] == len(text)
    alone = make_nlp(model=model)
    for window in view:
        passage = normalize(text[window["start"] : window["end"]]).text
        cats = list(alone(passage).cats.values())[:12]
        assert window["probs"] == pytest.approx(cats, abs=1e-5)


def test_limits_hold_for_each_view(make_nlp):
    text = "d\u200bog " * 100
    limited = make_nlp(normalize=True, max_chars=100)
    doc = limited(text)
    assert doc._.duoguard_status == "truncated"
    assert len(doc._.duoguard_windows) == 4
    # The view is what the limit leaves of all that can be read, not of the half.
    assert limited("d\u200bog " * 20)._.duoguard_status == "ok"
    assert limited("d\u200bog " * 25)._.duoguard_status == "truncated"
    model = {"window": 16, "stride": 12, "max_windows": 2}
    doc = make_nlp(normalize=True, model=model)(text)
    assert doc._.duoguard_status == "truncated"
    assert len(doc._.duoguard_windows) == 4


def test_a_view_longer_than_its_text_is_cut_and_says_so(make_nlp):
    text = "\ufdfa" * 19 + "\u00ad"  # each is a phrase of 18 characters
    assert len(normalize(text).text) == 342
    assert make_nlp(normalize=True)(text)._.duoguard_status == "ok"
    assert make_nlp(max_chars=100)(text)._.duoguard_status == "ok"
    doc = make_nlp(normalize=True, max_chars=100)(text)
    assert doc._.duoguard_status == "truncated"
    places = [(w["start"], w["end"]) for w in doc._.duoguard_windows]
    assert places == [(0, 20), (0, 3), (16, 20)]


def test_what_is_hidden_beyond_the_limit_of_the_raw_text_is_seen(make_nlp):
    filler = "\u200b" * 1000
    doc = make_nlp(normalize=True, max_chars=60)(f"{filler}How to kill{filler}")
    expected = make_nlp()("How to kill").cats
    assert doc._.duoguard_status == "truncated"
    for key, value in expected.items():
        assert doc.cats[key] >= value - 1e-6


def test_a_text_of_hidden_characters_alone(make_nlp):
    text = HIDDEN.replace("\U000e0041", "")  # a tag, which can be read
    doc = make_nlp(normalize=True)(text)
    assert doc._.duoguard_status == "ok"
    assert doc.cats == make_nlp()(text).cats


def test_spans_are_normalized_too(make_nlp):
    nlp = make_nlp(sents=True, normalize=True)
    first, second = nlp("The d\u200bog sleeps. So do I.").sents
    expected = make_nlp()("The dog sleeps.").cats
    raw = make_nlp()(first.text).cats
    assert first._.duoguard_cats == pytest.approx(
        {key: max(expected[key], raw[key]) for key in raw}, abs=1e-5
    )
    assert second._.duoguard_cats == pytest.approx(
        make_nlp()("So do I.").cats, abs=1e-5
    )


@pytest.mark.parametrize("value", ["yes", None, 1])
def test_what_is_neither_true_nor_false(make_nlp, value):
    component = make_nlp().get_pipe("duoguard")
    component.cfg["normalize"] = value
    with pytest.raises(ValueError, match="E121"):
        component.predict([])
