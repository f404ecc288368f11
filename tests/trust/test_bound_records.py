"""A record of results belongs to one text, and is complete before it counts."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc

import spacy_duoguard.pipeline
from spacy_duoguard.errors import ScoringError, SettingsError
from spacy_duoguard.pipeline.batches import DocBatch
from spacy_duoguard.pipeline.doc_record import check_offsets
from spacy_duoguard.pipeline.fail_closed import score_docs
from spacy_duoguard.taxonomy import CATEGORIES

# What counts as not scored differs from `doc.cats`.
pytestmark = pytest.mark.filterwarnings("ignore:.*W004")

SAFE, BAD = "See you at noon", "I will kill you"
_PACKAGE = str(Path(spacy_duoguard.pipeline.__file__).parent)


@pytest.fixture
def guarded(new_nlp):
    return new_nlp()


@pytest.fixture
def new_nlp(qwen2_folder):
    def make(*, sents=False, **config):
        nlp = spacy.blank("en")
        if sents:
            nlp.add_pipe("sentencizer")
        model = {"name": str(qwen2_folder), "device": "cpu", "precision": "float32"}
        nlp.add_pipe("duoguard", config={**config, "sents": sents, "model": model})
        return nlp

    return make


def _assert_not_scored(doc):
    assert doc._.duoguard_status == "error"
    assert doc._.duoguard_cats == {**dict.fromkeys(CATEGORIES, 1.0), "unsafe": 1.0}
    assert doc._.duoguard_flags == list(CATEGORIES)
    assert doc._.duoguard_windows == []


def test_a_record_counts_for_no_other_text_of_the_same_length(guarded):
    assert len(SAFE) == len(BAD)
    doc = guarded(SAFE)
    other = Doc(doc.vocab, words=[BAD], spaces=[False], user_data=doc.user_data)
    assert other.text == BAD
    _assert_not_scored(other)
    same = Doc(doc.vocab, words=[SAFE], spaces=[False], user_data=doc.user_data)
    assert same._.duoguard_status == "ok"
    assert same._.duoguard_cats == doc._.duoguard_cats


@pytest.mark.parametrize("changes_first", [True, False])
def test_a_record_counts_for_no_other_spaces(new_nlp, changes_first):
    """Also if the doc's text was known from an earlier read."""
    nlp = new_nlp(sents=True)
    doc = nlp("A dog sat. I like it.")
    first, second = doc.sents
    changed, other = (first, second) if changes_first else (second, first)
    assert doc._.duoguard_status == "ok"
    assert set(other._.duoguard_cats.values()) != {1.0}
    spaces = doc.to_array("SPACY")
    spaces[changed.start] = 0
    doc.from_array("SPACY", spaces)
    assert set(changed._.duoguard_cats.values()) == {1.0}
    assert changed._.duoguard_action == "block"
    assert doc._.duoguard_status == "error"
    assert other._.duoguard_action == "block"


def test_docs_that_share_user_data_have_one_record(guarded):
    shared, vocab = {}, guarded.vocab
    docs = [
        Doc(vocab, words=[text], spaces=[False], user_data=shared)
        for text in (BAD, SAFE)
    ]
    list(guarded.get_pipe("duoguard").pipe(docs))
    _assert_not_scored(docs[0])
    assert docs[1]._.duoguard_status == "ok"


@pytest.mark.parametrize("config", [{}, {"curve": True}], ids=["text", "curve"])
@pytest.mark.parametrize("scored", [SAFE, f"{SAFE}, Tom"], ids=["as long", "longer"])
def test_a_doc_that_changed_while_it_was_scored_counts_for_nothing(
    new_nlp, scored, config
):
    nlp = new_nlp(**config)
    guard = nlp.get_pipe("duoguard")
    guard.set_error_handler(lambda *_: None)
    docs = [nlp.make_doc(BAD), nlp.make_doc(SAFE)]
    batch = DocBatch(docs, {id(docs[0]): (docs[0], scored)}, None)
    score_docs(guard, batch)
    _assert_not_scored(docs[0])
    assert docs[1]._.duoguard_status == "ok"
    assert docs[1]._.duoguard_cats == pytest.approx(nlp(SAFE)._.duoguard_cats, abs=1e-5)


def test_scores_of_a_longer_text_are_refused(guarded):
    guard = guarded.get_pipe("duoguard")
    short, long = guarded.make_doc("Hello"), guarded.make_doc("Hello, how are you?")
    for scored, other in ((long, short), (short, long)):
        # As from a `predict` that doesn't say which text it has scored.
        scores = [replace(of, text=None) for of in guard.predict([scored])]
        with pytest.raises(ScoringError, match="E180"):
            guard.set_annotations([other], scores)


@pytest.mark.parametrize("config", [{}, {"sents": True, "curve": True}])
def test_scores_in_another_order_are_refused(new_nlp, config):
    nlp = new_nlp(**config)
    guard = nlp.get_pipe("duoguard")
    long = f"{SAFE}, {SAFE}"
    for safe in (SAFE, long):
        docs = [
            nlp.get_pipe("sentencizer")(doc) if config else doc
            for doc in map(nlp.make_doc, (BAD, safe))
        ]
        scores = guard.predict(docs)
        with pytest.raises(ScoringError, match="E337") as error:
            guard.set_annotations(docs[::-1], scores)
        assert BAD not in str(error.value)
        assert config or BAD not in repr(scores)  # spaCy shows the text of a span
        assert all("duoguard" not in doc.user_data for doc in docs)
        guard.set_annotations(docs, scores)
        assert [doc._.duoguard_status for doc in docs] == ["ok", "ok"]


def test_scores_from_before_a_category_was_added_are_refused(guarded):
    guard = guarded.get_pipe("duoguard")
    doc = guarded.make_doc(BAD)
    scores = guard.predict([doc])
    guard.add_label("Spam")
    with pytest.raises(ScoringError, match="E338"):
        guard.set_annotations([doc], scores)
    assert doc.cats == {}
    guard.set_annotations([doc], guard.predict([doc]))
    assert "Spam" in doc.cats


def test_a_truncated_text_can_not_be_called_complete(new_nlp):
    doc = new_nlp(max_chars=4)(BAD)
    assert doc._.duoguard_status == "truncated"
    doc.user_data["duoguard"]["status"] = "ok"
    _assert_not_scored(doc)


@pytest.mark.parametrize(
    ("start", "end"),
    [(-1, 15), (0, 16), (3, 2), (0.0, 15), (True, 15), (None, 15), (0, 15.0)],
)
def test_a_window_outside_the_text_counts_for_nothing(guarded, start, end):
    doc = guarded(BAD)
    doc.user_data["duoguard"]["windows"][0].update(start=start, end=end)
    _assert_not_scored(doc)


@pytest.mark.parametrize(
    ("text", "windows", "is_covered"),
    [
        ("ab cd", [(0, 5)], True),
        ("ab cd", [(3, 5), (0, 2)], True),
        ("ab cd", [(0, 5), (1, 2)], True),
        (" ab\u200b ", [(1, 3)], True),
        ("ab cd", [(0, 2)], False),
        ("ab cd", [(1, 5)], False),
        ("ab cd", [(0, 1), (2, 5)], False),
        ("ab cd", [], False),
        ("  ", [], True),
    ],
)
def test_windows_cover_what_is_visible(text, windows, is_covered):
    check_offsets(text, windows, is_whole=False)
    if is_covered:
        check_offsets(text, windows, is_whole=True)
    else:
        with pytest.raises(ValueError, match="gaps"):
            check_offsets(text, windows, is_whole=True)


def _interrupt(step, run):
    """Interrupt `run` at a line of the room. RETURNS whether it got there."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        if event == "line":
            count += 1
            if count == step:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return count >= step


def test_an_interrupted_doc_is_complete_or_not_scored(new_nlp):
    nlp = new_nlp(sents=True, threshold=0.2)
    guard, text = nlp.get_pipe("duoguard"), "You idiot. I will kill you."
    expected = nlp(text)
    n_spans = len(expected.spans["duoguard"])
    assert n_spans
    doc = nlp.get_pipe("sentencizer")(nlp.make_doc(text))
    scores = guard.predict([doc])
    step, is_reached, statuses = 0, True, set()
    while is_reached:
        step += 1
        doc = nlp.get_pipe("sentencizer")(nlp.make_doc(text))
        guard.set_error_handler(lambda *_: None)
        guard.predict = _raise
        guard(doc)
        del guard.predict
        assert doc._.duoguard_status == "error"
        of_doc = [_on(doc, scores[0])]
        is_reached = _interrupt(step, lambda: guard.set_annotations([doc], of_doc))  # noqa: B023
        statuses.add(doc._.duoguard_status)
        if doc._.duoguard_status == "ok":
            assert len(doc.spans["duoguard"]) == n_spans
            assert doc._.duoguard_cats == expected._.duoguard_cats
    assert statuses == {"ok", "error"}


def _raise(docs):
    raise ValueError


def _on(doc, scores):
    """The same scores, for the spans of another doc."""
    spans = tuple(
        replace(of_span, span=doc[of_span.span.start : of_span.span.end])
        for of_span in scores.spans
    )
    return replace(scores, spans=spans)


@pytest.mark.parametrize("size", [0, -1, None, True, 2.5, "8"])
def test_a_batch_size_that_would_lose_docs_is_refused(guarded, size):
    docs = [guarded.make_doc(text) for text in (SAFE, BAD)]
    with pytest.raises(SettingsError, match="E004"):
        list(guarded.get_pipe("duoguard").pipe(docs, batch_size=size))
    config = {"duoguard": {"batch_size": size}}
    with pytest.raises(SettingsError, match="E004"):
        list(guarded.pipe([SAFE, BAD], component_cfg=config))
