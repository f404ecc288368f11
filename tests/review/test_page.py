"""The data of the review page: records are validated, and nothing in them is markup."""

import base64
import hashlib
import json
import re

import pytest
import spacy
from spacy.cli._util import app
from typer.testing import CliRunner

from spacy_duoguard.errors import ResultsError, SettingsError
from spacy_duoguard.review.documents import read_document, read_documents
from spacy_duoguard.review.page import build_page, to_script_json, write_page
from spacy_duoguard.taxonomy import CATEGORIES, COLORS

SAFE = dict.fromkeys(CATEGORIES, 0.1)

NOTHING = {"cats": dict.fromkeys((*CATEGORIES, "unsafe"), 0.0), "flags": []}


def result(text="A text.", *, status="ok", hate=0.1, **more):
    cats = {**SAFE, "Hate": hate, "unsafe": max(0.1, hate)}
    flags = ["Hate"] if hate > 0.5 else []
    scores = {"cats": cats, "flags": flags, "status": status}
    return {"text": text, **scores, **more}


def write(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf8")
    return path


def embedded(page):
    (data,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page
    )
    return json.loads(data)


def test_a_valid_record_is_read_unchanged():
    sentence = {"start": 0, "end": 2, "cats": {"Hate": 0.9}}
    record = result(
        "A text.",
        hate=0.9,
        id=7,
        sentences=[sentence],
        curve={"end": [2, 7], "unsafe": [0.25, 0.9]},
        first_unsafe=7,
    )
    document = read_document(record, 3)
    assert (document.record, document.text, document.status) == (3, "A text.", "ok")
    assert document.cats == {**SAFE, "Hate": 0.9}
    assert document.flags == ("Hate",)
    assert document.risk == 0.9
    assert [(s.start, s.end, s.cats) for s in document.sentences] == [
        (0, 2, {"Hate": 0.9})
    ]
    assert document.curve == {"end": [2, 7], "unsafe": [0.25, 0.9]}
    assert embedded(build_page([document], title="x"))["docs"][0]["curve"] == (
        document.curve
    )
    assert document.first_unsafe == 7
    assert document.fields == {"id": "7"}
    assert document.note is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": "fine"},
        {"status": None},
        {"cats": None},
        {"cats": {}},
        {"cats": {"unsafe": 0.0}},
        {"cats": {**SAFE, "Hate": float("nan")}},
        {"cats": {**SAFE, "Hate": 1.5}},
        {"cats": {**SAFE, "Hate": 10**400}},  # no float
        {"cats": {**SAFE, "Hate": "0.1"}},
        {"cats": {**SAFE, "Hate": True}},
        {"flags": None},
        {"flags": ["Unheard of"]},
        {"flags": [["Hate"]]},
        {"flags": "Hate"},
        {"text": None},
        {"text": 3},
        {"sentences": [{"start": 0, "end": 99, "cats": {"Hate": 0.9}}]},
        {"sentences": [{"start": 3, "end": 3, "cats": {"Hate": 0.9}}]},
        {"sentences": [{"start": -1, "end": 3, "cats": {"Hate": 0.9}}]},
        {"sentences": [{"start": 0, "end": 3, "cats": {}}]},
        {"sentences": ["x"]},
        {"sentences": 5},
        {"sentences": [{"start": 0, "end": 3, "cats": [1]}]},
        {"curve": {"end": [1], "unsafe": []}},
        {"curve": {"end": [5, 1], "unsafe": [0.1, 0.1]}},
        {"curve": {"end": [1], "unsafe": [2]}},
        {"first_unsafe": 99},
        {"first_unsafe": 10**400},
        {"sentences": [{"start": 0, "end": 10**400, "cats": {"Hate": 0.9}}]},
        {"sentences": [{"start": 0, "end": 3, "cats": {"Hate": 10**400}}]},
        {"curve": {"end": [10**400], "unsafe": [0.1]}},
        {"curve": {"end": [1], "unsafe": [10**400]}},
        {"cats": {**SAFE, "Hate": 0.01, "unsafe": 0.99}},
        {"cats": {**SAFE, "Hate": 0.99, "unsafe": 0.1}},
        {"cats": SAFE},  # without `unsafe`
        {"cats": {"Hate": 0.1, "unsafe": 0.1}},
        {"cats": [*SAFE.items(), ("unsafe", 0.1), ("Hate", 0.0)]},
        {"error": "not scored"},
        {"error": ""},
        {"record": 1},
        {"status": "empty", **NOTHING},
        {"status": "empty", "text": " \n"},  # with scores
        {"status": "empty", "text": "", "flags": ["Hate"], "cats": NOTHING["cats"]},
        {
            "status": "empty",
            "text": "",
            **NOTHING,
            "curve": {"end": [0], "unsafe": [0.9]},
        },
        {"text": ""},
        {"flags": ["Hate", "Hate"]},
        {"flags": ["Hate"], "cats": {**SAFE, "Hate": 0.0, "unsafe": 0.1}},
        {"sentences": 0},
        {"sentences": [{"start": 0, "end": 3, "cats": [("Hate", 0.9), ("Hate", 0.1)]}]},
    ],
)
def test_an_invalid_record_is_marked_unsafe(change):
    document = read_document({**result(), **change}, 1)
    assert document.status == "error"
    assert document.risk > 1.0
    assert document.note
    row = embedded(build_page([document], title="x"))["docs"][0]
    assert row["probs"] == [1.0] * 12


ODD = [True, -1, 0.5, float("nan"), 10**400, "x", [[]], {"a": 1}, b"x"]
ODD += [[("a",)], [("a", 1, 2)], [([], 0.1)], [("Hate", [])], [(1, 0.1)]]


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_no_value_keeps_the_page_from_being_made(value):
    fields = ("cats", "flags", "status", "sentences", "curve", "first_unsafe")
    changes = [{field: value} for field in fields]
    sentence = {"start": 0, "end": 2, "cats": {"Hate": 0.9}}
    changes += [{"sentences": [{**sentence, key: value}]} for key in sentence]
    curve = {"end": [1], "unsafe": [0.1]}
    changes += [{"curve": {**curve, key: value}} for key in curve]
    documents = [read_document({**result(), **change}, 1) for change in changes]
    assert {document.status for document in documents} == {"error"}
    documents += [read_document(value, 1), read_document(result(id=value), 1)]
    assert len(embedded(build_page(documents, title="x"))["docs"]) == len(documents)


@pytest.mark.parametrize("doubled", ['"status"', '"Hate"', '"deep"'])
def test_a_record_with_a_key_twice_is_not_scored(tmp_path, doubled):
    line = json.dumps(result(id={"deep": 0.9}))
    path = tmp_path / "results.jsonl"
    broken = line.replace(f"{doubled}:", f"{doubled}: 0.9, {doubled}:")
    path.write_text(f"{broken}\n{line}\n")
    document, _ = read_documents(path)
    assert (document.status, document.note) == (
        "error",
        "a JSON object has a key twice",
    )


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    table = pyarrow.Table.from_pylist([result(status="error")])
    table = table.append_column("status", pyarrow.array(["ok"]))
    parquet.write_table(table, tmp_path / "part.parquet")
    with pytest.raises(SettingsError, match=r"E139.*same name"):
        list(read_documents(tmp_path))


@pytest.mark.parametrize("text", ["", " \n", "\u200b\t", "\u3164"])
def test_a_text_without_visible_characters_can_be_empty(text):
    document = read_document(result(text, **NOTHING, status="empty"), 1)
    assert (document.status, document.risk) == ("empty", 0.0)


def test_a_record_without_a_category_of_the_others_is_not_scored(tmp_path):
    records = [result(), result()]
    records[1]["cats"]["Spam"] = 0.0
    results = write(tmp_path / "results.jsonl", records)
    assert write_page(results, tmp_path / "page.html") == (2, 1)
    first, second = embedded((tmp_path / "page.html").read_text())["docs"]
    assert (first["status"], first["probs"]) == ("error", [1.0] * 13)
    assert "lacks a category" in first["note"]
    assert second["status"] == "ok"


def test_a_failed_record_says_why(tmp_path):
    failed = {"record": 2, "error": "not JSON", "cats": SAFE, "status": "error"}
    path = tmp_path / "results.jsonl"
    lines = [json.dumps(result()), json.dumps(failed), "{torn", "[1]"]
    path.write_text("\n".join(lines), encoding="utf8")
    documents = list(read_documents(path))
    assert [d.status for d in documents] == ["ok", "error", "error", "error"]
    assert [d.note for d in documents[1:3]] == ["not JSON", documents[3].note]
    assert [d.record for d in documents] == [1, 2, 3, 4]


def test_the_text_under_another_key(tmp_path):
    records = [{**result(), "prompt": "Hello."} for _ in range(2)]
    for record in records:
        del record["text"]
    path = write(tmp_path / "results.jsonl", records)
    with pytest.raises(ResultsError, match=r"E151.*'text'.*--text-key") as info:
        list(read_documents(path))
    assert "prompt" not in str(info.value)
    assert [d.text for d in read_documents(path, text_key="prompt")] == ["Hello."] * 2
    renamed = read_document({**result(), "input_status": "Mine."}, 1, text_key="status")
    assert (renamed.text, renamed.status) == ("Mine.", "ok")


def test_folders_of_parts(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    sentence = {"start": 0, "end": 2, "cats": {"Hate": 0.9}}
    other = {"start": 2, "end": 3, "cats": {"Privacy": 0.8}}
    rows = [result("a b", hate=0.9, sentences=[sentence, other]), result("c")]
    write(tmp_path / "1.jsonl", rows)
    table = pyarrow.Table.from_pylist(
        [{**r, "sentences": r.get("sentences")} for r in rows]
    )
    parquet.write_table(table, tmp_path / "2.parquet")
    documents = list(read_documents(tmp_path))
    assert [d.text for d in documents] == ["a b", "c"] * 2
    assert documents[2].cats == documents[0].cats
    assert documents[2].sentences == documents[0].sentences


@pytest.mark.parametrize("content", [None, "", "\n\n"])
def test_no_results(tmp_path, content):
    path = tmp_path / "results.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResultsError, match="E150"):
        write_page(path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_the_page_never_replaces_the_results(tmp_path):
    path = write(tmp_path / "results.jsonl", [result()])
    before = path.read_bytes()
    for results, page in [(path, path), (tmp_path, tmp_path / "page.jsonl")]:
        with pytest.raises(SettingsError, match="E227"):
            write_page(results, page)
    assert path.read_bytes() == before


def test_top_shows_the_riskiest_and_counts_the_rest():
    texts = [0.2, 0.9, 0.3, 0.9]
    documents = [read_document(result(hate=h), i) for i, h in enumerate(texts, 1)]
    documents.append(read_document("x", 5))
    data = embedded(build_page(documents, title="x", top=3))
    assert [row["record"] for row in data["docs"]] == [2, 4, 5]
    assert (data["total"], data["left_out"]) == (5, 2)


def test_strings_cannot_end_the_script():
    hostile = "</script><!--<script>&amp;\u2028\u2029\ud800{{script}}\0"
    text = to_script_json({"text": hostile})
    assert not set("<>&\u2028\u2029\ud800") & set(text)
    assert json.loads(text) == {"text": hostile}
    document = read_document(result(hostile, **{hostile: hostile}), 1)
    page = build_page([document], title=hostile.replace("\ud800", ""))
    assert page.count("<script") == 2
    assert page.count("</script") == 2
    assert page.encode("utf8")
    row = embedded(page)["docs"][0]
    assert (row["text"], row["fields"]) == (hostile, {hostile: hostile})


def test_the_policy_allows_this_style_and_script_only():
    page = build_page([read_document(result(), 1)], title="x")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    for content, name in [(script, "script-src"), (style, "style-src")]:
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert "unsafe" not in policy
    assert not re.findall(r"""(?:src|href)=["'](?!#)|https?://(?!www\.w3\.org)""", page)


def test_added_categories_have_a_column_and_a_color():
    record = result()
    record["cats"].update(Spam=0.7, unsafe=0.7)
    data = embedded(build_page([read_document(record, 1)], title="x"))
    assert data["labels"] == [*CATEGORIES, "Spam"]
    assert data["docs"][0]["probs"][-1] == 0.7
    assert len(data["colors"]) == 13


def luminance(color):
    values = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values
    ]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colors_contrast_with_every_page():
    assert list(COLORS) == list(CATEGORIES)
    assert len(set(COLORS.values())) == 12
    for color in COLORS.values():
        assert contrast(color, "#ffffff") >= 3.0  # WCAG 2.2, 1.4.11
        assert contrast(color, "#121417") >= 3.0
        assert contrast(color, "#000000") >= 4.5  # displaCy's labels, 1.4.3


def run(*arguments):
    spacy.registry.cli.get_all()  # as spaCy does before it reads the command line
    result = CliRunner().invoke(app, ["duoguard", "report", *map(str, arguments)])
    return result.exit_code, result.output


def test_the_command(tmp_path):
    results = write(tmp_path / "results.jsonl", [result("One."), result("Two."), {}])
    page = tmp_path / "page.html"
    code, output = run(results, page)
    assert (code, "3 documents; 1 not scored" in output) == (0, True), output
    assert len(embedded(page.read_text(encoding="utf8"))["docs"]) == 3
    code, output = run(results, page, "--top", 2)
    assert (code, "2 documents of 3, the riskiest" in output) == (0, True), output
    code, output = run(results, page, "--text-key", "prompt")
    assert (code, output.count("\n")) == (1, 1)
    assert "E151" in output
    assert len(embedded(page.read_text(encoding="utf8"))["docs"]) == 2  # as it was
