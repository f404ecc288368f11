"""Probabilities in files have six decimals, and are never below the true score."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_duoguard.review.documents import read_document
from spacy_duoguard.scoring.jsonl import to_line
from spacy_duoguard.scoring.record import Record
from spacy_duoguard.scoring.results import round_up
from spacy_duoguard.scoring.scorer import RecordScorer


@pytest.mark.parametrize(
    ("score", "rounded"),
    [
        (0.0, 0.0),
        (1.0, 1.0),
        (5e-324, 1e-6),
        (1.78e-15, 1e-6),
        (1e-6, 1e-6),
        (0.1234561, 0.123457),
        (0.1234569, 0.123457),
        (0.3, 0.3),
        (0.5, 0.5),
        (0.49999999, 0.5),
        (0.5000000001, 0.500001),
        (0.9999999, 1.0),
    ],
)
def test_it_rounds_up(score, rounded):
    assert round_up(score) == rounded


@given(st.floats(0.0, 1.0) | st.integers(0, 10**6).map(lambda n: n / 10**6))
def test_it_is_the_lowest_number_that_is_not_below(score):
    rounded = round_up(score)
    assert score <= rounded <= 1.0
    assert round_up(rounded) == rounded
    assert Decimal(repr(rounded)) == round(Decimal(rounded), 6)
    assert rounded == 0.0 or rounded - 1.5e-6 < score


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_it_keeps_the_order(one, other):
    low, high = sorted((one, other))
    assert round_up(low) <= round_up(high)


TEXTS = ["How to kill a python process? The dog sleeps.", "a", "", "été là-bas " * 80]


@pytest.fixture
def nlp(make_nlp):
    return make_nlp(sents=True, curve=True, threshold=0.3)


def test_all_scores_in_a_result_are_rounded_the_same(nlp):
    records = [Record(i, {"text": t}, t) for i, t in enumerate(TEXTS, start=1)]
    lines = [
        json.loads(to_line(r)) for r in RecordScorer(nlp, curve=True).score(records)
    ]
    n_sentences = 0
    for line, doc in zip(lines, nlp.pipe(TEXTS), strict=True):
        cats = doc._.duoguard_cats
        assert line["cats"] == {key: round_up(value) for key, value in cats.items()}
        assert line["cats"]["unsafe"] == max(list(line["cats"].values())[:-1])
        assert any(value != round_up(value) for value in cats.values()) or not doc.text
        assert line["flags"] == doc._.duoguard_flags
        assert line["curve"]["unsafe"] == [
            round_up(max(point["probs"])) for point in doc._.duoguard_curve
        ]
        for sentence in line["sentences"]:
            of_doc = doc.char_span(sentence["start"], sentence["end"])._.duoguard_cats
            n_sentences += 1
            assert sentence["cats"] == {
                label: round_up(of_doc[label]) for label in sentence["cats"]
            }
    assert n_sentences > 1


def test_parquet_and_ray_have_the_numbers_of_json_lines(nlp):
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    from spacy_duoguard.scoring.parquet import result_columns, to_table
    from spacy_duoguard.scoring.ray.dataset import ScoreTexts

    scorer = RecordScorer(nlp, curve=True)
    records = [Record(i, {}, t) for i, t in enumerate(TEXTS, start=1)]
    results = scorer.score(records)
    table = to_table(results, result_columns(scorer.labels, scorer.columns)).to_pylist()
    ray = ScoreTexts.__new__(ScoreTexts)
    ray.text_key, ray.scorer = "text", scorer
    rows = ray({"text": TEXTS}).to_pylist()
    for result, row, of_ray in zip(results, table, rows, strict=True):
        for found in (row, of_ray):
            assert found["cats"] == result["cats"]
            assert found["curve"] == result["curve"]
            assert [dict(s["cats"]) for s in found["sentences"]] == [
                s["cats"] for s in result["sentences"]
            ]


def test_a_score_that_touches_its_threshold_keeps_its_flags(make_nlp):
    text = "How to kill a python process?"
    unsafe = make_nlp()(text).cats["unsafe"]
    assert unsafe < round_up(unsafe)
    for threshold in (unsafe, round_up(unsafe), unsafe - 1e-9):
        scorer = RecordScorer(make_nlp(threshold=threshold))
        (result,) = scorer.score([Record(1, {"text": text}, text)])
        assert result["cats"]["unsafe"] == round_up(unsafe)
        assert bool(result["flags"]) == (unsafe > threshold)
        document = read_document(json.loads(to_line(result)), 1)
        assert document.status == "ok"
        assert list(document.flags) == result["flags"]
