"""`convert`: the command, from files to files."""

import gzip
import io
import json

import pytest
from support.corpora import load

from spacy_duoguard.pipeline.gold import REJECTED


def spans_of(doc):
    return [(s.text, s.label_) for s in doc.spans["duoguard"]]


BINARY = [
    {"text": "I hate you.", "label": "Hate", "answer": "accept"},
    {"text": "A walk.", "label": "Hate", "answer": "reject"},
    {"text": "I hate you.", "label": "Privacy", "answer": "reject"},
    {"text": "A run.", "label": "", "answer": "ignore", "meta": {"note": "?"}},
]


def test_annotations_of_a_text_are_merged(convert):
    output = convert("in.jsonl", "out.spacy", records=BINARY)
    docs = load("out.spacy")
    assert {text: doc.cats for text, doc in docs.items()} == {
        "I hate you.": {"Hate": 1.0, "Privacy": 0.0},
        "A walk.": {"Hate": 0.0},
    }
    assert not any(doc.spans for doc in docs.values())
    assert "out.spacy: 2 texts" in output
    assert "Left out: 1 ignored." in output
    (row,) = [line for line in output.splitlines() if line.startswith("Hate")]
    assert row.split() == ["Hate", "1", "1"]


def test_the_records_that_cannot_be_converted_are_named(convert):
    broken = ["{", {"text": "secret", "label": "Hate"}, {"label": "Hate"}]
    records = [*BINARY, *broken, {"text": "secret", "cats": {"Hate": 1, "unsafe": 0}}]
    output = convert("in.jsonl", "out.spacy", records=records, code=3)
    for number in (5, 6, 7, 8):
        assert f"Record {number} (line {number}) can't be converted" in output
    assert "contradict each other" in output
    assert "secret" not in output
    assert len(load("out.spacy")) == 2
    convert("in.jsonl", "other.spacy", "--strict", code=1)


def test_unknown_labels_are_refused_until_they_are_dealt_with(convert, tmp_path):
    records = [
        *BINARY,
        {"text": "A run.", "label": "HATE", "answer": "accept"},
        {"text": "A ride.", "label": "HATE", "answer": "accept"},
        {"text": "A dive.", "label": "Spam", "answer": "accept"},
        {"text": "A swim.", "cats": {"other": 1, "Hate": 0}},
    ]
    output = convert("in.jsonl", "out.spacy", records=records, code=1)
    assert "'HATE' (2), 'Spam' (1), 'other' (1)" in " ".join(output.split())
    assert not (tmp_path / "out.spacy").exists()
    options = ["--labels", "Spam", "--rename", "HATE=Hate", "--rename", "other="]
    convert("in.jsonl", "out.spacy", *options)
    docs = load("out.spacy")
    assert docs["A ride."].cats == {"Hate": 1.0}
    assert docs["A dive."].cats == {"Spam": 1.0}
    assert docs["A swim."].cats == {"Hate": 0.0}


def test_spans_that_are_left_out_are_not_trained_as_safe(convert):
    text = "I hate you. A nice day."
    spans = [{"start": 0, "end": 11, "label": "X"}]
    records = [{"text": text, "spans": spans, "unsafe": 1}]
    records += [{"text": "Go home.", "spans": []}]
    convert("in.jsonl", "out.spacy", "--rename", "X=", records=records)
    docs = load("out.spacy")
    assert (docs[text].cats, dict(docs[text].spans)) == ({"unsafe": 1.0}, {})
    assert spans_of(docs["Go home."]) == []
    # Nor if another record of the text says that it has all spans.
    other = [{"start": 12, "end": 23, "label": "Privacy"}]
    records.append({"text": text, "spans": other})
    convert("in.jsonl", "out.spacy", "--rename", "X=", records=records)
    doc = load("out.spacy")[text]
    assert spans_of(doc) == [("A nice day.", "Privacy")]
    assert doc.spans["duoguard"].attrs[REJECTED] == []


def test_contradictions_are_refused_until_they_are_settled(convert, tmp_path):
    records = [*BINARY, {"text": "I hate you.", "label": "Hate", "answer": "reject"}]
    output = convert("in.jsonl", "out.spacy", records=records, code=1)
    assert "'Hate' in records 1, 5" in " ".join(output.split())
    assert not (tmp_path / "out.spacy").exists()
    for policy, value in (("unknown", None), ("unsafe", 1.0), ("last", 0.0)):
        output = convert("in.jsonl", "out.spacy", "--conflicts", policy)
        assert load("out.spacy")["I hate you."].cats.get("Hate") == value
        assert f"settled by '{policy}': 1 ('Hate' in records 1, 5)" in output


DOCUMENT = "A nice day. I hate you. Go away."


def mark(sentence, label, answer, record=2):
    start = DOCUMENT.index(sentence)
    offsets = {"start": start, "end": start + len(sentence)}
    meta = {"unit": "sentence", "results": "0" * 32, "record": record, **offsets}
    return {"text": sentence, "label": label, "answer": answer, "meta": meta}


MARKS = [
    {
        **{"text": DOCUMENT, "label": "Hate", "answer": "accept"},
        "meta": {"unit": "document", "record": 2, "note": "plain"},
    },
    mark("I hate you.", "Hate", "accept"),
    mark(" Go away.", "Hate", "reject"),  # the page shows spaces, spaCy has none
]


def test_corrected_sentences_are_texts_or_spans_of_their_documents(convert, tmp_path):
    output = convert("in.jsonl", "texts.spacy", records=MARKS)
    assert "sentences that became texts: 2." in output
    docs = load("texts.spacy")
    assert {text: doc.cats["Hate"] for text, doc in docs.items()} == {
        DOCUMENT: 1.0,
        "I hate you.": 1.0,
        " Go away.": 0.0,
    }
    results = [{"text": "x"}, {"text": DOCUMENT}]
    lines = "\n".join(map(json.dumps, results)).encode()
    (tmp_path / "results.jsonl.gz").write_bytes(gzip.compress(lines))
    convert("in.jsonl", "spans.spacy", "--documents", "results.jsonl.gz")
    ((text, doc),) = load("spans.spacy").items()
    assert (text, doc.cats) == (DOCUMENT, {"Hate": 1.0})
    assert spans_of(doc) == [("I hate you.", "Hate")]
    rejected = [list(entry) for entry in doc.spans["duoguard"].attrs[REJECTED]]
    assert rejected == [[24, 32, "Hate"]]


def test_sentences_without_spaces_need_a_tokenizer_that_ends_tokens_there(
    convert, tmp_path
):
    """The page divides such a text where the tokenizer of `xx` doesn't."""
    document = "我恨你。你好！再见"
    meta = {"unit": "sentence", "record": 1, "start": 0, "end": 4}
    marks = [{"text": "我恨你。", "label": "Hate", "answer": "accept", "meta": meta}]
    marks.append({"text": document, "label": "Hate", "answer": "accept"})
    (tmp_path / "r.jsonl").write_text(json.dumps({"text": document}), encoding="utf8")
    options = ("in.jsonl", "out.spacy", "--documents", "r.jsonl")
    output = convert(*options, records=marks, code=3)
    assert "doesn't match token boundaries of the language 'xx' (--lang" in output
    convert(*options, "--language", "zh")
    assert spans_of(load("out.spacy")[document]) == [("我恨你。", "Hate")]


def test_corrected_sentences_of_a_conversation_are_spans_of_its_text(convert, tmp_path):
    texts = ["A nice day.", "I hate you. Go away."]
    chat = [{"role": role, "content": t} for role, t in zip("ab", texts, strict=True)]
    results = [
        *({"text": "x"}, {"text": chat, "scored_text": DOCUMENT}),
        {"text": DOCUMENT, "scored_text": None},  # as in Parquet
    ]
    (tmp_path / "results.jsonl").write_text("\n".join(map(json.dumps, results)))
    records = [*MARKS, mark("A nice day.", "Hate", "reject", record=3)]
    options = ("--documents", "results.jsonl")
    convert("in.jsonl", "spans.spacy", *options, records=records)
    ((text, doc),) = load("spans.spacy").items()
    assert text == DOCUMENT
    assert spans_of(doc) == [("I hate you.", "Hate")]
    rejected = [list(entry) for entry in doc.spans["duoguard"].attrs[REJECTED]]
    assert rejected == [[0, 11, "Hate"], [24, 32, "Hate"]]


def test_a_text_in_a_field_that_results_rename_is_read(convert, tmp_path):
    results = [{"input_status": "x"}, {"input_status": DOCUMENT, "status": "ok"}]
    (tmp_path / "results.jsonl").write_text("\n".join(map(json.dumps, results)))
    options = ("--documents", "results.jsonl", "--documents-key", "status")
    convert("in.jsonl", "spans.spacy", *options, records=MARKS)
    assert load("spans.spacy").keys() == {DOCUMENT}


def test_a_sentence_that_is_not_in_its_document_is_named(convert, tmp_path):
    wrong = [mark("I hate you.", "Hate", "accept", record=n) for n in (1, 3)]
    results = [{"text": "A completely different text."}, {"text": DOCUMENT}]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, results)))
    records = [*MARKS, *wrong]
    options = ("--documents", "r.jsonl")
    output = convert("in.jsonl", "out.spacy", *options, records=records, code=3)
    assert "Record 4 (line 4) can't be converted: its sentence isn't there" in output
    assert "Record 5 (line 5) can't be converted: --documents doesn't have" in output
    options = ("--documents", "r.jsonl", "--documents-key", "body")
    assert "E271" in convert("in.jsonl", "out.spacy", *options, code=1)


def test_spans_must_match_tokens(convert):
    span = {"start": 0, "end": 9, "label": "Hate"}
    records = [*BINARY, {"text": "I hate you.", "spans": [span]}]
    output = convert("in.jsonl", "out.spacy", records=records, code=3)
    assert "Record 5 (line 5) can't be converted: the span 0-9" in output


def test_compressed_input_and_standard_input(convert, tmp_path, monkeypatch):
    lines = "\n".join(map(json.dumps, BINARY)).encode()
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(lines))
    convert("in.jsonl.gz", "a.spacy")
    stream = io.TextIOWrapper(io.BytesIO(lines))
    monkeypatch.setattr("sys.stdin", stream)
    from spacy_duoguard.corpora.convert import Request
    from spacy_duoguard.corpora.convert import convert as convert_file
    from spacy_duoguard.corpora.labels import LabelNames

    convert_file(Request("-", tmp_path / "b.spacy", LabelNames()))
    assert {t: d.cats for t, d in load("a.spacy").items()} == {
        t: d.cats for t, d in load("b.spacy").items()
    }


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("in.jsonl", "out.bin"), "E268"),
        (("in.jsonl", "out.spacy", "--split", "0.2"), "E268"),
        (("in.jsonl", "out", "--split", "1"), "E269"),
        (("in.jsonl", "out", "--split", "0.0001"), "E275"),
        (("in.jsonl", "out.spacy", "--language", "qq"), "E143"),
        (("absent.jsonl", "out.spacy"), "E139"),
        (("in.jsonl", "out.spacy", *2 * ("--rename", "A=Hate")), "E266"),
    ],
)
def test_mistakes_in_the_command(convert, arguments, code):
    assert code in convert(*arguments, records=BINARY, code=1)


def test_input_without_gold_is_refused(convert, tmp_path):
    assert "E274" in convert("in.jsonl", "out.spacy", records=BINARY[3:], code=1)
    scored = {"text": "x", "cats": {"Hate": 0.2}, "flags": [], "status": "ok"}
    output = convert("in.jsonl", "out.spacy", records=[scored], code=1)
    assert "E274" in output
    assert "a result of 'score'" in " ".join(output.split())
    assert not (tmp_path / "out.spacy").exists()


def test_an_input_is_never_replaced(convert, tmp_path):
    convert("in.jsonl", "out.spacy", records=BINARY)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "out.spacy")
    assert "E228" in convert("out.spacy", "link.jsonl", code=1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dev.spacy").hardlink_to(tmp_path / "in.jsonl")
    assert "E227" in convert("in.jsonl", "out", "--split", "0.5", code=1)
