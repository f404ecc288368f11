"""The commands that the README and the docs show do what they promise."""

import json
import re
import runpy
import shlex
import sys

import pytest
import spacy
from spacy.tokens import DocBin
from support.chat_server import ChatServer
from support.documents import PAGES, README, blocks, read
from support.duels import make_config, write_config
from support.evaluation_files import TEXTS, write_language
from support.hub import Hub
from support.paths import ROOT

from spacy_duoguard.engine import user_warnings

pytestmark = pytest.mark.filterwarnings("ignore:.W001")

START = "python -m spacy "
MODEL = "DuoGuard/DuoGuard-0.5B"

# All commands that are shown, each once. Those on Ray have tests of their own, and so
# have the project in examples/train and the page that leads from one to the next.
SHOWN = dict.fromkeys(
    line
    for page in PAGES
    if page.stem != "corrections"
    for block in blocks(read(page), "bash")
    for line in block.splitlines()
    if line.startswith(START) and " --ray " not in line and " project " not in line
)


def run_commands(name, folder, monkeypatch, *, model="demo"):
    """Run what is shown of a command, with another model."""
    from spacy.cli._util import app
    from typer.testing import CliRunner

    commands = [line for line in SHOWN if line.startswith(f"{START}{name} ")]
    assert commands
    spacy.registry.cli.get_all()
    monkeypatch.chdir(folder)
    for command in commands:
        arguments = shlex.split(command.removeprefix(START))
        arguments = [model if word == MODEL else word for word in arguments]
        if name in ("duoguard score", "duoguard evaluate"):
            arguments += ["--model", model]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        if name == "find-threshold":
            tried = re.findall(
                r"^ *(\d\.\d+) +(\d\.\d+) *$", result.output, re.MULTILINE
            )
            assert len({score for _, score in tried}) > 1, result.output


def test_no_command_is_left_out():
    tested = {"score", "report", "verify", "evaluate", "download", "calibrate"}
    tested |= {"find-threshold", "convert", "duel"}
    shown = [line.removeprefix(START).removeprefix("duoguard ") for line in SHOWN]
    assert {line.split()[0] for line in shown} == tested


def test_the_score_commands_run(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow", reason="one of them writes Parquet")
    (tmp_path / "texts.txt").write_text("What a lovely day.\nI will kill you.\n")
    (tmp_path / "posts.csv").write_text("id,body\n1,Hello there. I hate you.\n")
    messages = [{"role": "user", "content": "Hello"}]
    (tmp_path / "chats.jsonl").write_text(json.dumps({"messages": messages}))
    run_commands("duoguard score", tmp_path, monkeypatch)
    results = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [bool(json.loads(line)["flags"]) for line in results] == [False, True]
    assert (tmp_path / "posts.parquet" / "part-00000.parquet").is_file()
    (chat,) = (tmp_path / "turns.jsonl").read_text().splitlines()
    assert json.loads(chat)["turns"][0]["role"] == "user"


def test_the_report_command_runs(tmp_path, monkeypatch):
    cats = {"Hate": 0.9, "unsafe": 0.9}
    result = {"text": "x", "cats": cats, "flags": ["Hate"], "status": "ok"}
    (tmp_path / "results.jsonl").write_text(json.dumps(result))
    run_commands("duoguard report", tmp_path, monkeypatch)
    assert (tmp_path / "review.html").is_file()


def test_the_convert_commands_run(tmp_path, monkeypatch):
    labels = [
        {"text": f"text {i}", "label": "Hate", "answer": ("accept", "reject")[i % 2]}
        for i in range(30)
    ]
    content = "\n".join(map(json.dumps, labels))
    (tmp_path / "results.marks.jsonl").write_text(content)
    run_commands("duoguard convert", tmp_path, monkeypatch)
    gold = (tmp_path / "labels.jsonl").read_text().splitlines()
    assert {line["text"]: line["cats"] for line in map(json.loads, gold)} == {
        f"text {i}": {"Hate": float(i % 2 == 0)} for i in range(30)
    }


def test_the_verify_command_runs(tmp_path, monkeypatch):
    (tmp_path / "texts.txt").write_text("What a lovely day.\nI will kill you.\n")
    run_commands("duoguard verify", tmp_path, monkeypatch)


def test_the_evaluate_command_runs(tmp_path, monkeypatch, qwen2_folder):
    pytest.importorskip("matplotlib", reason="it draws curves")
    write_language(tmp_path / "duoguard-eval" / "En")
    for name, key in (("regression", "text"), ("words", "prompt")):
        rows = [{key: text, "score": len(text) / 10} for text in TEXTS]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run_commands("duoguard evaluate", tmp_path, monkeypatch, model=str(qwen2_folder))
    assert (tmp_path / "figures.json").is_file()
    assert len(list((tmp_path / "curves").iterdir())) == 3


def test_the_download_command_runs(tmp_path, monkeypatch, qwen2_folder):
    with Hub() as hub, hub.client(tmp_path / "home"):
        hub.add("me/guard", qwen2_folder)
        run_commands("duoguard download", tmp_path, monkeypatch, model="me/guard")
    assert (tmp_path / "guard" / "download.json").is_file()


@pytest.mark.filterwarnings("ignore:.W030")  # of few dev texts
def test_the_duel_commands_run(tmp_path, monkeypatch):
    for module in ("openai", "datasketch"):
        pytest.importorskip(module, reason="needs the extra duel")
    guard = {"pipeline": "demo", "device": "cpu"}
    with ChatServer() as server:
        config = make_config(tmp_path, server.url, guard=guard)
        write_config(tmp_path / "duel.cfg", config)
        run_commands("duoguard duel", tmp_path, monkeypatch)
    assert (tmp_path / "duel-out" / "report.json").is_file()


def test_the_commands_for_a_saved_pipeline_run(tmp_path, monkeypatch, make_nlp):
    nlp = make_nlp()
    nlp.to_disk(tmp_path / "pipeline")
    docs = list(map(nlp.make_doc, ["a dog", "a fox", "x y", "two dogs"]))
    for doc, hate in zip(docs, (0.0, 1.0, 0.0, 1.0), strict=True):
        doc.cats = {"Hate": hate, "unsafe": hate}
    for name in ("dev", "corpus"):
        DocBin(docs=docs).to_disk(tmp_path / f"{name}.spacy")
    run_commands("duoguard calibrate", tmp_path, monkeypatch)
    assert spacy.load(tmp_path / "calibrated").get_pipe("duoguard").cfg["thresholds"]
    reviewed = spacy.load(tmp_path / "reviewed").get_pipe("duoguard")
    assert reviewed.review_threshold <= reviewed.threshold
    run_commands("find-threshold", tmp_path, monkeypatch)
    run_commands("evaluate", tmp_path, monkeypatch)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["duoguard_unsafe_auc"] is not None


def test_the_readme_has_two_commands_to_install():
    commands = [
        line for line in read(README).splitlines() if line.startswith("pip install")
    ]
    assert commands == [
        "pip install . && python examples/quickstart.py",
        'pip install ".[test]" && pytest',
    ]


def test_the_quickstart_runs(tmp_path, monkeypatch, capsys):
    """CI runs it as a command, in environments of its own."""
    text = tmp_path / "text.txt"
    text.write_text("What a lovely day. I will kill you, idiot.", encoding="utf8")
    script = str(ROOT / "examples" / "quickstart.py")
    for arguments in ([], ["--file", str(text)]):
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        user_warnings._shown.clear()
        with pytest.warns(UserWarning, match="W001"):
            runpy.run_path(script, run_name="__main__")
        printed = capsys.readouterr().out
        assert "unsafe" in printed
        assert "Flagged sentences" in printed
