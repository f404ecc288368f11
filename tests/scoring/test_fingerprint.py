"""The digest of records tells apart whatever could change a result."""

import math
from datetime import date
from decimal import Decimal
from hashlib import sha256
from itertools import combinations

from spacy_duoguard.scoring.fingerprint import add_record, describe
from spacy_duoguard.scoring.record import Record, Source

VALUES = [
    *("", "1", "a", "a\ud800", "\\ud800", "None", b"a", b""),
    *(None, True, False, 0, 1, -1, 1.0, 0.0, -0.0, math.nan, math.inf, 10**5000),
    *([], {}, [[]], [{}], [1, 2], [2, 1], ["a", "b"], ["ab"], [["a"], "b"]),
    *({"a": 1}, {"a": {"b": 1}}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, ["a", 1]),
    *(date(2026, 1, 1), "2026-01-01", Decimal("1.0"), Decimal("1.00")),
]


def digest(*records):
    total = sha256()
    for record in records:
        add_record(total, record)
    return total.hexdigest()


def test_records_with_different_content_have_different_digests():
    records = [Record(1, {"x": value}, "a") for value in VALUES]
    records += [Record(1, {"y": None}, "a"), Record(1, {"x": None}, "b")]
    records += [Record(1, {}, "", "broken"), Record(1, {}, "", "torn")]
    for one, other in combinations(records, 2):
        assert digest(one) != digest(other), (one, other)


def test_the_order_and_number_of_records_count():
    one, other = Record(1, {"text": "a"}, "a"), Record(2, {"text": "b"}, "b")
    assert len({digest(one, other), digest(other, one), digest(one), digest()}) == 4


def test_deep_nesting_is_no_problem():
    value = "x"
    for _ in range(100_000):
        value = [value]
    assert digest(Record(1, {"x": value}, "a")) != digest(Record(1, {"x": []}, "a"))
    while isinstance(value, list):  # or Python itself would recurse to free it
        value = value.pop()


def test_a_description_is_the_same_each_time(make_nlp):
    source = Source("in.jsonl", "jsonl", "text")
    one, other = (describe(make_nlp(), source, curve=False) for _ in range(2))
    assert one == other
    assert {"duoguard.threshold", "model of duoguard", "version of torch"} <= set(one)


def test_other_components_of_a_saved_pipeline_count(make_nlp, tmp_path):
    import spacy

    source = Source("in.jsonl", "jsonl", "text")
    nlp = make_nlp(sents=True)
    nlp.to_disk(tmp_path / "one")
    nlp.get_pipe("sentencizer").punct_chars.add("x")
    nlp.to_disk(tmp_path / "other")
    one, other = (
        describe(spacy.load(tmp_path / name), source, curve=False)
        for name in ("one", "other")
    )
    differing = {key for key in one if one[key] != other[key]}
    assert differing == {"files of the pipeline"}
