"""`convert --split`: what is on which side, and that the sides belong together."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.corpora import load

from spacy_duoguard.corpora.split import group_keys, is_dev

TEXTS = [f"{word} number {i}." for i in range(60) for word in ("Dog", "Fox")]


def test_the_split_keeps_copies_together_and_is_stable(convert):
    records = [{"text": text, "unsafe": i % 2} for i, text in enumerate(TEXTS)]
    copies = [{**r, "text": f" {r['text'].upper()} "} for r in records]
    convert("in.jsonl", "out", "--split", "0.25", records=[*records, *copies])
    train, dev = load("out/train.spacy"), load("out/dev.spacy")
    assert len(train) + len(dev) == 2 * len(TEXTS)
    assert 0.1 < len(dev) / (2 * len(TEXTS)) < 0.4
    for part in (train, dev):
        assert {text.strip().upper() for text in part if text in TEXTS} == {
            text.strip() for text in part if text not in TEXTS
        }
    convert("in.jsonl", "half", "--split", "0.25", records=records[::2])
    assert load("half/dev.spacy").keys() == dev.keys() & set(TEXTS[::2])


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (1.0, True)])
def test_the_ends_of_the_split(share, expected):
    assert {is_dev(text, share) for text in TEXTS} == {expected}


def test_the_sentences_of_a_document_stay_with_it(convert):
    records = []
    for number in range(1, 61):
        sentences = [f"Sentence {i} of {number}." for i in range(4)]
        meta = {"results": "0" * 32, "record": number}
        if number % 2:  # of the others, only sentences were corrected
            unit = {"unit": "document", **meta}
            text = " ".join(sentences)
            records.append(
                {"text": text, "label": "Hate", "answer": "reject", "meta": unit}
            )
        unit = {"unit": "sentence", **meta, "start": 0, "end": 1}
        records += [
            {"text": text, "label": "Hate", "answer": "accept", "meta": unit}
            for text in sentences
        ]
    convert("in.jsonl", "out", "--split", "0.3", records=records)
    sides = [
        {text.rsplit(" ", 1)[1] for text in load(f"out/{name}.spacy")}
        for name in ("train", "dev")
    ]
    assert not sides[0] & sides[1]
    assert 5 < len(sides[1]) < 35
    documents = {r["text"] for r in records if r["meta"]["unit"] == "document"}
    dev = documents & load("out/dev.spacy").keys()
    assert dev == {text for text in documents if is_dev(text, 0.3)}


def test_documents_that_share_a_sentence_stay_together(convert):
    """Also if the documents were not corrected themselves."""
    records = []
    for number in range(1, 121):
        shared = f"Shared {(number - 1) // 3}."  # by three documents
        meta = {"results": "0" * 32, "record": number, "start": 0, "end": 1}
        sentences = [shared.upper() if number % 3 else shared, f"Alone {number}."]
        labelled = {"label": "Hate", "answer": "accept"}
        if number % 2:
            unit = {"unit": "document", **meta}
            text = f"{' '.join(sentences)} The end of {number}."
            records.append({"text": text, **labelled, "meta": unit})
        unit = {"unit": "sentence", **meta}
        records += [{"text": text, **labelled, "meta": unit} for text in sentences]
    convert("in.jsonl", "out", "--split", "0.3", records=records)
    train, dev = (load(f"out/{name}.spacy").keys() for name in ("train", "dev"))
    assert 60 < len(dev) < 160  # of 260
    for first in range(1, 121, 3):
        group = {r["text"] for r in records if first <= r["meta"]["record"] < first + 3}
        assert group <= train or group <= dev


def test_a_group_has_the_side_of_its_first_document():
    texts = {"b": [], "s": [("r", 1), ("r", 2)], "t": [("r", 3)], "S ": [], "u": []}
    documents = {("r", 1): "b", ("r", 2): "a"}
    assert group_keys(texts, documents, {}) == ["a", "a", "r/3", "a", "u"]
    spans = {"one": ["b", "u"], "Two": ["x"], "two ": ["y"]}
    assert group_keys(texts, documents, spans) == ["a", "a", "r/3", "a", "a"]
    wholes = {"x": [], "y": [], "z": []}
    assert group_keys(wholes, {}, spans) == ["x", "x", "z"]


def test_a_text_in_two_records_is_one_document_if_the_results_are_known():
    document, sentence = "Hello. I hate you. Bye.", "I hate you."
    marks = {sentence: [("r", 1)], document: [("r", 7)]}
    assert group_keys(marks, {}, {}) == ["r/1", "r/7"]  # the numbers say no more
    results = {("r", 1): document, ("r", 7): document}
    assert group_keys(marks, results, {}) == [document, document]


def test_a_span_has_its_sentence_on_one_side(convert):
    texts = [f"Hello {i}. I hate you {i % 7}. Bye {i}." for i in range(60)]
    lines = [json.dumps({"text": text, "status": "ok"}) for text in texts]
    Path("results.jsonl").write_text("\n".join(lines), encoding="utf8")
    records = []
    for i, text in enumerate(texts):
        sentence = f"I hate you {i % 7}."
        start = text.index(sentence)
        meta = {"unit": "sentence", "results": "r", "record": i + 1}
        meta |= {"start": start, "end": start + len(sentence)}
        labelled = {"label": "Hate", "answer": "accept", "meta": meta}
        records.append({"text": sentence, **labelled})
    options = ("--split", "0.5", "--documents", "results.jsonl")
    convert("in.jsonl", "out", *options, records=records)
    sides = [
        {doc.text.split(". ")[1] for doc in load(f"out/{name}.spacy").values()}
        for name in ("train", "dev")
    ]
    assert all(sides)
    assert not sides[0] & sides[1]


KILLED = """
import os
import sys
from pathlib import Path

from spacy_duoguard.corpora.convert import Request, convert
from spacy_duoguard.corpora.labels import LabelNames


def kill_at(call, steps, last):
    def counted(*arguments, **named):
        steps.append(None)
        if len(steps) == last:
            os._exit(9)
        return call(*arguments, **named)

    return counted


def run(folder):
    convert(Request("in.jsonl", Path(folder), LabelNames(), split=0.25))


run("warm-up")  # so that no child imports anything
for last in range(1, 30):
    child = os.fork()
    if not child:
        steps = []
        for owner, name in ((os, "replace"), (os, "fsync"), (Path, "unlink")):
            setattr(owner, name, kill_at(getattr(owner, name), steps, last))
        run(str(last))
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not code:
        break
print(last)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_kill_never_leaves_sides_of_two_corpora(convert, tmp_path):
    texts = TEXTS[:12]
    old, new = ([{"text": text, "unsafe": value} for text in texts] for value in (0, 1))
    convert("in.jsonl", "1", "--split", "0.5", records=old)
    for step in range(2, 30):
        shutil.copytree(tmp_path / "1", tmp_path / str(step))
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, new)))
    command = [sys.executable, "-c", KILLED]
    ran = subprocess.run(
        command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120
    )
    states = []
    for step in range(1, int(ran.stdout) + 1):
        files = {path.stem: load(path) for path in (tmp_path / str(step)).glob("*y")}
        values = {
            name: {doc.cats["unsafe"] for doc in docs.values()}
            for name, docs in files.items()
        }
        assert not set(files.get("train", ())) & set(files.get("dev", ()))
        if values not in states:
            states.append(values)
    # Without a training set, `spacy train` says so.
    assert states == [
        {"train": {0.0}, "dev": {0.0}},
        {"dev": {0.0}},
        {"dev": {1.0}},
        {"train": {1.0}, "dev": {1.0}},
    ]
