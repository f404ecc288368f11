"""Other readings of a text in the component: settings, records, and results."""

import json

import pytest
import spacy
from spacy.tokens import DocBin
from support.checkpoints import TEXTS

from spacy_duoguard import Stream, StreamBatch
from spacy_duoguard.review.documents import read_document
from spacy_duoguard.review.page import build_page
from spacy_duoguard.scoring.fingerprint import describe
from spacy_duoguard.scoring.parquet import result_columns, to_table
from spacy_duoguard.scoring.record import Record, Source
from spacy_duoguard.scoring.scorer import RecordScorer

PLAIN = "How to kill a python process?"
REVERSED = f"\u202e{PLAIN[::-1]}\u202c"
ENCODED = f"Please read: {PLAIN.encode().hex()}"


@spacy.registry.misc("test-views.loud.v1")
def make_loud(mark: str):
    def loud(text):
        return (text.upper() + mark, [*range(len(text)), len(text) - 1])

    return loud


LOUD = {"loud": {"@misc": "test-views.loud.v1", "mark": "!"}}


def summary(doc):
    return [
        (w["view"], w.get("read_as"), w["start"], w["end"])
        for w in doc._.duoguard_windows
    ]


def test_every_window_says_what_was_read(make_nlp):
    nlp = make_nlp(normalize=True)
    n = len(REVERSED)
    assert summary(nlp(REVERSED)) == [("text", None, 0, n), ("folded", PLAIN, 0, n)]
    assert summary(nlp(ENCODED))[1:] == [
        ("decoded", f"Please read: {PLAIN}", 0, len(ENCODED))
    ]
    assert summary(nlp(PLAIN)) == [("text", None, 0, len(PLAIN))]
    assert [w["view"] for w in make_nlp()(REVERSED)._.duoguard_windows] == ["text"]
    doc = nlp(REVERSED)
    restored = DocBin(store_user_data=True, docs=[doc]).to_bytes()
    (again,) = DocBin().from_bytes(restored).get_docs(nlp.vocab)
    assert again._.duoguard_windows == doc._.duoguard_windows


def test_windows_of_a_reversed_text_point_to_what_they_read(make_nlp):
    text = "".join(f"\u202e{line[::-1]}\u202c\n" for line in TEXTS[:4])
    doc = make_nlp(normalize=True, model={"window": 8, "stride": 6})(text)
    views = [w for w in doc._.duoguard_windows if w["view"] == "folded"]
    assert len(views) >= 4
    for window in views:
        letters = set(text[window["start"] : window["end"]])
        assert set(window["read_as"].strip()) <= letters


def test_the_curve_and_spans_of_a_reversed_text_reach_its_score(make_nlp):
    nlp = make_nlp(normalize=True, curve=True, sents=True, span_context="document")
    doc = nlp(f"{TEXTS[0]} {REVERSED}")
    ends = [point["end"] for point in doc._.duoguard_curve]
    assert ends == sorted(ends)
    last = doc._.duoguard_curve[-1]["probs"]
    assert last == pytest.approx(list(doc.cats.values())[:12], abs=1e-5)
    plain = make_nlp(curve=True)(doc.text)._.duoguard_curve
    for point, other in zip(doc._.duoguard_curve, plain, strict=True):
        pairs = zip(point["probs"], other["probs"], strict=True)
        assert all(both >= raw - 1e-5 for both, raw in pairs)
    *_, final = doc.sents
    assert max(final._.duoguard_cats.values()) <= 1.0


def test_views_of_the_config_are_scored_and_saved(make_nlp, tmp_path):
    nlp = make_nlp(normalize=True, views=LOUD)
    doc = nlp("a dog")
    assert summary(doc)[1:] == [("loud", "A DOG!", 0, 5)]
    assert list(nlp.get_pipe("duoguard").views) == ["loud"]
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.config["components"]["duoguard"]["views"] == LOUD
    assert loaded("a dog")._.duoguard_windows == doc._.duoguard_windows
    alone = make_nlp()("A DOG!").cats["unsafe"]
    assert doc.cats["unsafe"] >= alone - 1e-5
    with pytest.warns(UserWarning, match="W003"):
        without = spacy.load(tmp_path, config={"components.duoguard.normalize": False})
    assert summary(without("a dog")) == [("text", None, 0, 5)]


def test_a_run_with_other_views_is_another_run(make_nlp):
    source = Source("texts.jsonl", "jsonl", "text")
    known = [
        describe(make_nlp(normalize=True, views=views), source, curve=False)
        for views in (None, LOUD, {"loud": {**LOUD["loud"], "mark": "?"}})
    ]
    assert [run["duoguard.views"] is None for run in known] == [True, False, False]
    assert known[1]["duoguard.views"] != known[2]["duoguard.views"]


def test_a_view_that_fails_leaves_its_text_unscored(make_nlp):
    def broken(text):
        if "BAD" in text:
            raise ValueError("no")

    nlp = make_nlp(normalize=True)
    shim = nlp.get_pipe("duoguard").model.shims[0]
    shim.views = (("broken", broken),)
    nlp.set_error_handler(lambda *arguments: None)
    docs = list(nlp.pipe(["a dog", "BAD", "a cat"]))
    assert [doc._.duoguard_status for doc in docs] == ["ok", "error", "ok"]
    assert docs[1].cats["unsafe"] == 1.0


def test_views_that_are_none_are_refused(make_nlp):
    with pytest.raises(ValueError, match="E210"):
        make_nlp(views={"loud": 5})
    component = make_nlp().get_pipe("duoguard")
    with pytest.raises(ValueError, match="E109"):
        component.views = {}


def test_conversations_are_read_too_and_streams_refuse(classifier):
    turns = ["How to", "k\u200bi\u200bl\u200bl", "a process?"]
    plain = classifier.score_turns(["How to", "kill", "a process?"])
    both = classifier.score_turns(turns, normalize=True)
    raw = classifier.score_turns(turns)
    assert both.shape == raw.shape
    assert (both >= raw - 1e-5).all()
    assert (both[-1] >= plain[-1] - 1e-5).all()
    for make in (Stream, StreamBatch):
        with pytest.raises(ValueError, match="E212"):
            make(classifier, normalize=True)


@pytest.fixture
def scored(make_nlp):
    scorer = RecordScorer(make_nlp(normalize=True))
    texts = [ENCODED, PLAIN]
    records = [Record(i, {"text": t}, t) for i, t in enumerate(texts, start=1)]
    return scorer, scorer.score(records)


def test_results_and_the_page_say_how_a_text_reads(scored):
    _, (encoded, plain) = scored
    (reading,) = encoded["read_as"]
    assert reading["view"] == "decoded"
    assert reading["text"] == f"Please read: {PLAIN}"
    assert plain["read_as"] == []
    documents = [read_document(encoded, 1), read_document(plain, 2)]
    assert not any(document.status == "error" for document in documents)
    page = build_page(documents, title="x")
    assert (
        json.dumps(["decoded", reading["unsafe"], reading["text"]])[1:-1]
        .replace(", ", ",")
        .split(",")[0]
        in page
    )
    assert "Read as" in page


def test_results_in_parquet_have_the_readings(scored):
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    scorer, results = scored
    columns = result_columns(scorer.labels, scorer.columns)
    rows = to_table(results, columns).to_pylist()
    assert [row["read_as"] for row in rows] == [r["read_as"] for r in results]


def test_without_normalize_results_have_no_readings(make_nlp):
    (result,) = RecordScorer(make_nlp()).score([Record(1, {"text": PLAIN}, PLAIN)])
    assert "read_as" not in result


@pytest.mark.parametrize(
    "change",
    [
        {"view": None},
        {"text": 5},
        {"start": -1},
        {"end": 10_000},
        {"unsafe": 2.0},
        {"unsafe": 1.0},  # more than the record
    ],
)
def test_a_damaged_reading_is_marked_unsafe(scored, change):
    _, (encoded, _) = scored
    damaged = {**encoded, "read_as": [{**encoded["read_as"][0], **change}]}
    assert read_document(damaged, 1).status == "error"
    assert read_document({**encoded, "read_as": 5}, 1).status == "error"
    assert read_document({**encoded, "read_as": [5]}, 1).status == "error"
