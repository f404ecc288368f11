"""`score` writes one result per record, whatever happens to the record."""

import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.cli._util import app
from support.runs import results_of
from typer.testing import CliRunner

from spacy_duoguard.scoring.results import FIELDS, output_names
from spacy_duoguard.scoring.run import open_source, read_records
from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

TEXTS = [
    "How to kill a python process?",
    "",
    "a  b",
    "été là-bas. 日本語 🙂",
    "x" * 700,
]
KEYS = ("cats", "flags", "status", "sentences")


@pytest.fixture
def score(qwen2_folder):
    """A function that runs the command. RETURNS its exit code and output."""
    spacy.registry.cli.get_all()  # as spaCy does before it parses the command line

    def run(*arguments, model=qwen2_folder, stdin=None):
        common = ["--model", str(model), "--precision", "float32", "--device", "cpu"]
        command = ["duoguard", "score", *common, *map(str, arguments)]
        result = CliRunner().invoke(app, command, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    return run


def read(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf8"))
    return path


def write_json(path, rows):
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def assert_failed(result, number, problem, **fields):
    for key, value in fields.items():
        assert result.pop(key) == value
    assert result.pop("record") == number
    assert problem in result.pop("error")
    assert result.pop("cats") == dict.fromkeys((*CATEGORIES, UNSAFE), 1.0)
    assert result.pop("flags") == list(CATEGORIES)
    assert result == {"status": "error", "sentences": []}


def test_results_are_those_of_the_component(score, make_nlp, tmp_path):
    source = write(tmp_path / "in.txt", "\n".join(TEXTS) + "\n")
    code, _ = score(source, tmp_path / "out.jsonl")
    assert code == 0
    results = read(tmp_path / "out.jsonl")
    assert [result["text"] for result in results] == TEXTS
    docs = list(make_nlp().pipe(TEXTS))
    for doc, result in zip(docs, results, strict=True):
        assert tuple(result) == ("text", *KEYS)
        assert list(result["cats"]) == [*CATEGORIES, UNSAFE]
        assert result["cats"] == pytest.approx(doc.cats, abs=1e-5)
        assert result["flags"] == doc._.duoguard_flags
        assert result["status"] == doc._.duoguard_status
        assert result["sentences"] == []
    assert {result["status"] for result in results} == {"ok", "empty"}


def test_sentences_have_offsets_and_flagged_scores(score, make_nlp, tmp_path):
    text = "The dog sleeps. How to kill a python process? And then"
    source = write_json(tmp_path / "in.jsonl", [{"id": 7, "text": text}])
    arguments = (source, tmp_path / "out.jsonl", "--threshold", "0.3")
    assert score(*arguments, "--sentences", "isolated")[0] == 0
    (result,) = read(tmp_path / "out.jsonl")
    assert (result["id"], result["text"]) == (7, text)
    doc = make_nlp(sents=True, threshold=0.3)(text)
    expected = [
        {
            "start": sent.start_char,
            "end": sent.end_char,
            "cats": pytest.approx(
                {
                    label: value
                    for label, value in sent._.duoguard_cats.items()
                    if value > 0.3 and label != UNSAFE
                },
                abs=1e-5,
            ),
        }
        for sent in doc.sents
    ]
    assert len(expected) == 3
    assert result["sentences"] == [
        entry for entry in expected if entry["cats"].expected
    ]
    assert len(result["sentences"]) > 1


def test_broken_records_are_reported_and_marked_unsafe(score, tmp_path):
    lines = [
        b'{"text": "a", "id": 1}',
        b'{"txt": "secret words"}',
        b'{"text": ["secret words"]}',
        b'{"text": null}',
        b'{"text": "\\ud800 secret words"}',
        b"",
        b'{"text": "secret" "words"}',
        b'["secret words"]',
        b'{"text": "secret words", "v": NaN}',
        b'{"text": "secret words", "v": 1e999}',
        b'{"text": "secret \xff words"}',
        b"{\0}",
        b"[" * 100_000,
        b'{"text": "secret words", "t\\u0065xt": "hello"}',
        b'{"text": "secret words", "x": [{"v": {"k": 1, "k": 2}}]}',
        b'{"text": "b\\u0000", "other": "\\ud800"}',
    ]
    source = write(tmp_path / "in.jsonl", b"\r\n".join(lines))
    code, output = score(source, tmp_path / "out.jsonl")
    assert code == 3
    assert "secret" not in output
    first, *broken, last = read(tmp_path / "out.jsonl")
    assert first["id"] == 1
    assert last["text"] == "b\0"
    assert last["other"] == "\ud800"
    assert {first["status"], last["status"]} == {"ok"}
    problems = [
        "no field 'text'",
        "'text' is of type 'list'",
        "'text' is null",
        "surrogate",
        "not valid JSON",
        "not a JSON object",
        "NaN",
        "out of range",
        "not valid UTF-8",
        "NUL",
        "not valid JSON",
        "a JSON object has a key twice",
        "a JSON object has a key twice",
    ]
    kept = [
        {"txt": "secret words"},
        {"text": ["secret words"]},
        {"text": None},
        {"text": "\ud800 secret words"},
    ]
    kept += [{}] * (len(problems) - len(kept))
    for i, (result, problem) in enumerate(zip(broken, problems, strict=True)):
        line = i + 2 if i < 4 else i + 3  # after the blank one
        assert f"Record {i + 2} (line {line}): " in output
        assert_failed(result, i + 2, problem, **kept[i])
    assert f"marked unsafe: {len(problems)} texts: Record 2 (line 2), " in output


def test_a_record_without_a_valid_text_keeps_its_fields(score, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    rows = [
        {"id": 6, "text": "a", "status": "mine"},
        {"id": 7, "text": None, "status": "mine"},
        {"id": 8, "status": "mine"},
        {"id": 9, "text": 3, "status": "mine"},
        {"id": 10, "text": "\ud800", "status": "mine"},
    ]
    source = write_json(tmp_path / "in.jsonl", rows)
    assert score(source, tmp_path / "out.jsonl")[0] == 3
    assert score(source, tmp_path / "out.parquet")[0] == 3
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    for results in (read(tmp_path / "out.jsonl"), table):
        assert [result["id"] for result in results] == [6, 7, 8, 9, 10]
        assert {result["input_status"] for result in results} == {"mine"}
        statuses = [result["status"] for result in results]
        assert statuses == ["ok", *["error"] * 4]
        assert all(result["cats"][UNSAFE] == 1.0 for result in results[1:])
    assert [result.get("text") for result in read(tmp_path / "out.jsonl")] == [
        row.get("text") for row in rows
    ]
    assert [result["text"] for result in table] == ["a", None, None, "3", "?"]


def test_strict_stops_at_the_first_broken_record(score, tmp_path):
    source = write_json(tmp_path / "in.jsonl", [{"text": "a"}, {}, {"text": "b"}])
    code, output = score(source, tmp_path / "out.jsonl", "--strict")
    assert code == 1
    assert "E137" in output
    assert "Record 2 (line 2) can't be scored" in output
    assert [result["text"] for result in read(tmp_path / "out.jsonl")] == ["a"]
    write_json(source, [{"text": "a"}, {"text": "mended"}, {"text": "b"}])
    assert score(source, tmp_path / "out.jsonl", "--strict", "--resume")[0] == 0
    texts = [result["text"] for result in read(tmp_path / "out.jsonl")]
    assert texts == ["a", "mended", "b"]


@pytest.mark.parametrize(("form", "separator"), [("csv", ","), ("tsv", "\t")])
def test_a_carriage_return_divides_no_text(score, tmp_path, form, separator):
    """It is a part of the text, as in tables that pandas writes."""
    rows = ["text", "I will\rkill you", '"I will\rkill you"', "next\r"]
    source = write(tmp_path / f"in.{form}", "\n".join(rows) + "\r\n")
    assert score(source, tmp_path / "out.jsonl")[0] == 3
    broken, quoted, last = read(tmp_path / "out.jsonl")
    assert broken["status"] == "error"
    assert "carriage return" in broken["error"]
    assert (quoted["text"], last["text"]) == ("I will\rkill you", "next")
    wide = [f"id{separator}text", f"1{separator}I will\rkill you", f"2{separator}b"]
    source = write(tmp_path / f"wide.{form}", "\n".join(wide))
    assert score(source, tmp_path / "wide.jsonl")[0] == 3
    broken, last = read(tmp_path / "wide.jsonl")
    assert (broken["status"], last["id"]) == ("error", "2")


def test_csv_with_line_breaks_and_bad_rows(score, tmp_path):
    rows = (
        '\ufeffid,prompt\r\n1,"two\nlines, ""quoted"""\r\n2,a,b\r\n\r\n3,"x"y\n4,last'
    )
    source = write(tmp_path / "in.csv", rows.encode("utf8") + b"\n5,\xff\n6,\0\n7,z")
    code, output = score(source, tmp_path / "out.jsonl", "--text-key", "prompt")
    assert code == 3, output
    results = read(tmp_path / "out.jsonl")
    for name in ("Record 2 (line 4)", "Record 3 (line 6)", "Record 5 (line 8)"):
        assert f"{name}: " in output
    assert results[0]["prompt"] == 'two\nlines, "quoted"'
    assert results[0]["id"] == "1"
    assert [result["status"] for result in results] == [
        *("ok", "error", "error", "ok", "error", "error", "ok")
    ]
    assert results[-1]["prompt"] == "z"
    code, output = score(source, tmp_path / "other.jsonl")
    assert code == 1
    assert "E136" in output
    assert "no column 'text' among its 2" in output
    assert "prompt" not in output
    assert not (tmp_path / "other.jsonl").exists()


def test_an_unclosed_quote_is_reported(score, tmp_path):
    source = write(tmp_path / "in.csv", 'text\na\n"b\nc\nd\n')
    assert score(source, tmp_path / "out.jsonl")[0] == 3
    first, second = read(tmp_path / "out.jsonl")
    assert first["text"] == "a"
    assert_failed(second, 2, "a quote in the wrong place")


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b'{"text": "a"}\n', ["a"]),
        (b'\xef\xbb\xbf\n {"text": "a"}', ["a"]),
        (b'{"text": "a"\n{"text": "b"}\nc\n', ["", "b", ""]),
    ],
)
def test_json_lines_on_standard_input_are_recognized(monkeypatch, content, texts):
    raw = io.BufferedReader(io.BytesIO(content))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(raw))
    source = open_source("-")
    assert source.form == "jsonl"
    records = list(read_records(source))
    assert [record.text for record in records] == texts
    assert [record.problem is None for record in records] == [bool(t) for t in texts]


@pytest.mark.parametrize(
    "content", ['"id": 1, "text": "secret"}\n{"text": "a"}\n', "a {\n", "[1]\n", ""]
)
def test_other_standard_input_needs_a_format(score, tmp_path, content):
    out = tmp_path / "out.jsonl"
    code, output = score("-", out, stdin=content, model="no such model")
    assert (code, output.count("\n")) == (1, 1)
    assert "E220" in output
    assert "--format to one of: txt, jsonl, csv, tsv." in output
    assert "secret" not in output
    assert not out.exists()


def test_standard_input_with_a_given_format(score, tmp_path):
    content = "text,id\na,1\n"
    arguments = ("-", tmp_path / "out.jsonl", "--format", "csv")
    assert score(*arguments, stdin=content)[0] == 0
    (result,) = read(tmp_path / "out.jsonl")
    assert (result["text"], result["id"]) == ("a", "1")


@pytest.mark.parametrize("form", ["txt", "jsonl", "csv"])
@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf_32_be"]
)
def test_a_file_in_utf_16_is_refused_at_once(score, tmp_path, form, encoding):
    content = {"txt": "a text", "jsonl": '{"text": "a text"}', "csv": "text\na text"}
    text = content[form] + "\n"
    if encoding == "utf_32_be":
        text = "\ufeff" + text
    source = write(tmp_path / f"in.{form}", (text * 9000).encode(encoding))
    code, output = score(source, tmp_path / "out.jsonl", model="no such model")
    assert (code, output.count("\n")) == (1, 1)
    name = "UTF-32" if "32" in encoding else "UTF-16"
    assert f"E163] {source} looks like {name}. Convert it to UTF-8" in output
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("content", ["a\0b\0\n", "\ufeffa\n", "été 日本語\n", "a", ""])
def test_utf_8_is_not_taken_for_utf_16(tmp_path, content):
    source = write(tmp_path / "in.txt", f"{content}\nThe end.\n")
    assert list(read_records(open_source(str(source))))[-1].text == "The end."


def test_fields_with_names_of_results_are_renamed(score, tmp_path):
    row = {"cats": 1, "text": "a", "input_cats": 2, "record": "r", "curve": []}
    source = write_json(tmp_path / "in.jsonl", [row])
    assert score(source, tmp_path / "out.jsonl")[0] == 0
    (result,) = read(tmp_path / "out.jsonl")
    kept = {key: value for key, value in result.items() if key not in KEYS}
    assert kept == {
        "input_cats": 1,
        "text": "a",
        "input_input_cats": 2,
        "input_record": "r",
        "input_curve": [],
    }
    assert len(result["cats"]) == 13
    names = output_names([*FIELDS, *(f"input_{name}" for name in FIELDS)])
    assert len(set(names)) == len(names)
    assert not set(names) & set(FIELDS)


@settings(max_examples=200)
@given(
    st.lists(st.from_regex(r"(input_){0,3}(error|status|text|id)", fullmatch=True)),
    st.data(),
)
def test_the_new_name_of_a_field_depends_on_no_other_field(names, data):
    names = list(dict.fromkeys(names))
    renamed = dict(zip(names, output_names(names), strict=True))
    assert len(set(renamed.values())) == len(names)
    assert not set(renamed.values()) & set(FIELDS)
    some = [name for name in names if data.draw(st.booleans())]
    assert output_names(some) == [renamed[name] for name in some]


@pytest.mark.parametrize("kind", ["list", "large list", "of two"])
def test_messages_in_all_kinds_of_lists_have_turns_in_parquet(score, tmp_path, kind):
    pa = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    from pyarrow import parquet

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    kinds = {"list": pa.list_(message), "large list": pa.large_list(message)}
    column = pa.array(
        [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]],
        kinds.get(kind, pa.list_(message, 2)),
    )
    parquet.write_table(pa.table({"text": column}), tmp_path / "in.parquet")
    assert score(tmp_path / "in.parquet", tmp_path / "out.parquet")[0] == 0
    (result,) = results_of(tmp_path / "out.parquet")
    assert [turn["role"] for turn in result["turns"]] == ["user", "assistant"]
    assert result["scored_text"] == "a b"


def test_records_with_different_fields_share_the_columns_of_parquet(score, tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    rows = [
        {"text": "a", "error": "mine"},
        {"text": "b", "error": "mine too", "input_error": 5},
    ]
    source = write_json(tmp_path / "in.jsonl", rows)
    assert score(source, tmp_path / "out.parquet")[0] == 0
    results = results_of(tmp_path / "out.parquet")
    assert [result["input_error"] for result in results] == ["mine", "mine too"]
    assert [result["input_input_error"] for result in results] == [None, 5]


def test_each_mistake_is_explained_in_one_line(score, tmp_path):
    source = write(tmp_path / "in.txt", "a\n")
    odd = write(tmp_path / "in.odd", "a\n")
    there = write(tmp_path / "there.jsonl", "precious\n")
    out = tmp_path / "out.jsonl"

    def failure(*arguments, **options):
        code, output = score(*arguments, **options)
        assert code == 1
        assert output.count("\n") == 1
        return output

    assert "E130" in failure(source, there)
    assert "E130" in failure(source, there, "--resume", "--overwrite")
    assert "E134" in failure(odd, out)
    assert "E135" in failure(source, tmp_path / "out.xlsx")
    assert "E135" in failure(source, "-", "--resume")
    assert "E138" in failure(source, out, model=_empty_pipeline(tmp_path))
    assert "E139" in failure(tmp_path / "missing.txt", out)
    assert "E140" in failure(there, there, "--overwrite")
    assert "E143" in failure(source, out, "--language", "klingon")
    if find_spec("pythainlp") is None:
        assert "E349" in failure(source, out, "--language", "th")
    assert "E020" in failure(source, out, model="no such model")
    assert "E001" in failure(source, out, "--threshold", "7")
    assert "E008" in failure(source, out, "--device", "cuda:99")
    assert there.read_text() == "precious\n"
    assert not out.exists()


def _empty_pipeline(folder):
    spacy.blank("en").to_disk(folder / "empty")
    return folder / "empty"


def test_a_saved_pipeline_keeps_its_settings(score, make_nlp, tmp_path):
    make_nlp(thresholds={"Hate": 0.0}).to_disk(tmp_path / "pipeline")
    source = write(tmp_path / "in.txt", "The dog sleeps. A second one.\n")
    model = tmp_path / "pipeline"
    assert score(source, tmp_path / "a.jsonl", model=model)[0] == 0
    (result,) = read(tmp_path / "a.jsonl")
    assert "Hate" in result["flags"]
    arguments = ("--threshold", 1, "--sentences", "isolated")
    assert score(source, tmp_path / "b.jsonl", *arguments, model=model)[0] == 0
    (stricter,) = read(tmp_path / "b.jsonl")
    assert (stricter["flags"], stricter["sentences"]) == ([], [])
    assert stricter["cats"] == pytest.approx(result["cats"], abs=1e-5)
    arguments = ("--threshold", 0, "--sentences", "isolated")
    assert score(source, tmp_path / "c.jsonl", *arguments, model=model)[0] == 0
    (lower,) = read(tmp_path / "c.jsonl")
    assert [(s["start"], s["end"]) for s in lower["sentences"]] == [(0, 15), (16, 29)]


def test_a_failing_text_does_not_affect_others(score, make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path / "pipeline")
    # One character longer than nlp.max_length of a saved pipeline.
    rows = [{"id": 0, "text": "a"}, {"id": 1, "text": "b" * 1_000_001}]
    source = write_json(tmp_path / "in.jsonl", rows)
    code, output = score(source, tmp_path / "out.jsonl", model=tmp_path / "pipeline")
    assert code == 3
    assert "Record 2 (line 2): no tokens: ValueError [E088]" in output
    first, second = read(tmp_path / "out.jsonl")
    assert first["status"] == "ok"
    assert second.pop("id") == 1
    assert len(second.pop("text")) == 1_000_001
    assert_failed(second, 2, "no tokens")


def test_help_shows_how_to_begin():
    result = CliRunner().invoke(app, ["duoguard", "score", "--help"])
    assert result.exit_code == 0
    words = " ".join(result.output.split())
    for wanted in ("--resume", "--text-key", "Exit codes", "Try it"):
        assert wanted in words


def test_a_source_can_be_read_twice(tmp_path):
    source = open_source(str(write(tmp_path / "in.csv", "text\na\nb\n")))
    assert list(read_records(source)) == list(read_records(source))


@pytest.mark.skipif(os.name == "nt", reason="pipes close differently on Windows")
def test_a_closed_pipe_ends_the_run_quietly(qwen2_folder, tmp_path):
    source = write(tmp_path / "in.txt", "a b c\n" * 2000)
    command = [sys.executable, "-m", "spacy", "duoguard", "score", str(source), "-"]
    run = subprocess.Popen(
        [*command, "--model", str(qwen2_folder), "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    first = run.stdout.readline()
    run.stdout.close()
    assert json.loads(first)["text"] == "a b c"
    assert run.stderr.read() == b""
    run.stderr.close()
    assert run.wait(timeout=60) == 141


@pytest.mark.parametrize(
    "error", [OSError(28, "full"), BrokenPipeError(), ValueError()]
)
def test_a_full_standard_error_costs_no_results(score, tmp_path, monkeypatch, error):
    def fail(*_, err=False, **__):
        assert err
        raise error

    monkeypatch.setattr("typer.secho", fail)
    monkeypatch.setattr("typer.echo", fail)
    source = write(tmp_path / "in.txt", "a\nb\0\nc\n")
    assert score(source, tmp_path / "out.jsonl")[0] == 3
    assert [r["status"] for r in read(tmp_path / "out.jsonl")] == ["ok", "error", "ok"]
