"""What goes into a corpus comes out of it."""

import json
from collections import Counter

import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin

from spacy_duoguard.corpora.convert import Request, convert
from spacy_duoguard.corpora.export import export
from spacy_duoguard.corpora.gold_docs import digest_of
from spacy_duoguard.corpora.labels import LabelNames
from spacy_duoguard.corpora.merge import Policy
from spacy_duoguard.errors import SettingsError

# Words are tokens, also where they have more than one UTF-16 unit.
WORDS = st.sampled_from(["dog", "fox", "é", "日本", "🙂", "x"])
TEXTS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
LABELS = st.sampled_from(["Hate", "Privacy", "unsafe"])
ANSWERS = st.sampled_from(["accept", "reject", "ignore"])
EXTRA = st.fixed_dictionaries(
    {},
    optional={
        "meta": st.dictionaries(st.text(max_size=3), st.integers() | st.text()),
        "_input_hash": st.integers(-(2**63), 2**63),
        "_annotator_id": st.text(max_size=5),
    },
)


VOCAB = spacy.blank("xx").vocab


def word_spans(text):
    """The offsets of each word."""
    start = 0
    for word in text.split(" "):
        yield start, start + len(word)
        start += len(word) + 1


@st.composite
def records(draw):
    text = draw(TEXTS)
    form = draw(st.sampled_from(["binary", "choice", "spans", "manual", "gold"]))
    offsets = st.sampled_from(list(word_spans(text)))
    span = st.builds(
        lambda o, label: {"start": o[0], "end": o[1], "label": label}, offsets, LABELS
    )
    spans = draw(st.lists(span, max_size=2, unique_by=lambda s: tuple(s.values())))
    fields = {"answer": draw(ANSWERS)}
    if form == "binary":
        fields["label"] = draw(LABELS)
    elif form == "choice":
        fields["options"] = [{"id": "Hate"}, {"id": "Privacy", "text": "private"}]
        fields["accept"] = draw(st.sampled_from([[], ["Hate"], ["Hate", "Privacy"]]))
    elif form in ("spans", "manual"):
        fields["_view_id"] = "spans" if form == "spans" else "spans_manual"
        fields["spans"] = spans
    else:
        values = st.sampled_from([0, 1, 0.25])
        fields = {"cats": draw(st.dictionaries(LABELS, values, max_size=2))}
    return {**draw(EXTRA), "text": text, **fields}


def says_something(record):
    if record.get("answer") == "ignore":
        return False
    if record.get("answer") != "reject":
        return True
    is_question = record.get("_view_id") == "spans" and len(record["spans"]) == 1
    return "label" in record or is_question


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("round_trip")


def write(path, lines):
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf8")


def to_corpus(folder, name, policy=Policy.last):
    request = Request(
        str(folder / f"{name}.jsonl"),
        folder / f"{name}.spacy",
        LabelNames(),
        policy=policy,
    )
    try:
        return convert(request)
    except SettingsError as e:
        if "E274" not in str(e):  # no record says anything about its text
            raise
        return None


def to_lines(folder, name, output, **options):
    export(folder / f"{name}.spacy", str(folder / f"{output}.jsonl"), **options)
    content = (folder / f"{output}.jsonl").read_text(encoding="utf8")
    return list(map(json.loads, content.split("\n")[:-1]))


def digests(path):
    docs = DocBin().from_disk(path).get_docs(VOCAB)
    return {doc.text: digest_of(doc, "duoguard") for doc in docs}


def count(lines):
    return Counter(json.dumps(line, sort_keys=True) for line in lines)


@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(records(), min_size=1, max_size=8))
def test_records_come_out_as_they_went_in(folder, lines):
    write(folder / "in.jsonl", lines)
    conversion = to_corpus(folder, "in")
    if conversion is None:
        return
    bad = {name.split()[1] for name, _ in conversion.reading.broken}
    kept = [r for i, r in enumerate(lines, 1) if str(i) not in bad]
    out = to_lines(folder, "in", "out")
    assert count(out) == count(filter(says_something, kept))
    to_corpus(folder, "out")
    again = to_lines(folder, "out", "again")
    assert count(again) == count(out)


@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(records(), min_size=1, max_size=8))
def test_gold_comes_out_as_it_went_in(folder, lines):
    write(folder / "in.jsonl", lines)
    if to_corpus(folder, "in", Policy.unsafe) is None:
        return
    out = to_lines(folder, "in", "gold", gold=True)
    assert len(out) == len({line["text"] for line in out})
    if any(line["cats"] or "spans" in line for line in out):
        conversion = to_corpus(folder, "gold", Policy.refuse)
        assert conversion.reading.broken == []
        assert digests(folder / "gold.spacy") == digests(folder / "in.spacy")


def test_gold_that_was_changed_is_what_comes_out(folder):
    write(folder / "in.jsonl", [{"text": "a dog", "label": "Hate", "answer": "accept"}])
    to_corpus(folder, "in")
    (doc,) = DocBin().from_disk(folder / "in.spacy").get_docs(VOCAB)
    doc.cats["Hate"] = 0.0
    DocBin(docs=[doc], store_user_data=True).to_disk(folder / "in.spacy")
    done = export(folder / "in.spacy", str(folder / "out.jsonl.gz"))
    assert (done.n_docs, done.n_lines, done.n_changed) == (1, 1, 1)
    assert to_lines(folder, "in", "out") == [{"text": "a dog", "cats": {"Hate": 0.0}}]


def test_a_corpus_of_another_program_has_only_gold(folder):
    doc = spacy.blank("en")("a dog")
    doc.cats = {"Hate": 1.0}
    DocBin(docs=[doc]).to_disk(folder / "other.spacy")
    assert to_lines(folder, "other", "out") == [{"text": "a dog", "cats": doc.cats}]
    (folder / "torn.spacy").write_bytes(b"torn")
    with pytest.raises(SettingsError, match="E083"):
        to_lines(folder, "torn", "out")
    with pytest.raises(SettingsError, match="E276"):
        export(folder / "other.spacy", str(folder / "out.csv"))


def test_what_follows_a_corpus_is_not_ignored(folder):
    """spaCy reads no further than the end of the first one."""
    doc = spacy.blank("en")("a dog")
    doc.cats = {"Hate": 1.0}
    DocBin(docs=[doc]).to_disk(folder / "one.spacy")
    content = (folder / "one.spacy").read_bytes()
    reader = spacy.registry.readers.get("spacy-duoguard.composed_docs.v1")
    for rest in (content, b"\0" * 9):
        (folder / "two.spacy").write_bytes(content + rest)
        with pytest.raises(SettingsError, match=r"E341.*two\.spacy"):
            to_lines(folder, "two", "out")
        with pytest.raises(SettingsError, match=r"E341.*two\.spacy"):
            list(reader(folder / "two.spacy", level=0.0)(spacy.blank("en")))
    assert len(to_lines(folder, "one", "out")) == 1


@pytest.mark.parametrize(
    ("cats", "code"), [(["Hate"], "E343"), ({"Hate": "1"}, "E063"), ({"x": 2}, "E063")]
)
def test_gold_that_training_refuses_is_refused(folder, cats, code):
    doc = spacy.blank("en")("a dog")
    doc.cats = cats
    DocBin(docs=[doc]).to_disk(folder / "other.spacy")
    with pytest.raises(SettingsError, match=code):
        to_lines(folder, "other", "out")
