"""What the README shows runs as it stands there."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from support.evaluation_files import write_language
from support.hub import Hub
from support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)

pytestmark = pytest.mark.filterwarnings("ignore:.W001")


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_run(snippet, capsys):
    if "# needs: ray" in snippet:
        pytest.skip("starts a Ray: tests/scoring/test_ray.py does what it shows")
    exec(compile(snippet, "README.md", "exec"), {})
    assert "Traceback" not in capsys.readouterr().err


def run_commands(name, folder, monkeypatch, *, model="demo"):
    """Run what the README shows of a command, with another model."""
    import spacy
    from spacy.cli._util import app
    from typer.testing import CliRunner

    start = "python -m spacy "
    lines = [line for line in README.split("\n") if line.startswith(start)]
    commands = [line for line in lines if line.startswith(f"{start}duoguard {name} ")]
    # Ray has tests of its own.
    commands = [line for line in commands if " --ray " not in line]
    assert commands
    spacy.registry.cli.get_all()
    monkeypatch.chdir(folder)
    for command in commands:
        arguments = shlex.split(command.removeprefix(start))
        own = "DuoGuard/DuoGuard-0.5B"
        arguments = [model if part == own else part for part in arguments]
        if name in ("score", "evaluate"):
            arguments += ["--model", model]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output


def test_the_score_commands_run(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow", reason="one of them writes Parquet")
    (tmp_path / "texts.txt").write_text("What a lovely day.\nI will kill you.\n")
    (tmp_path / "posts.csv").write_text("id,body\n1,Hello there. I hate you.\n")
    run_commands("score", tmp_path, monkeypatch)
    results = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [bool(json.loads(line)["flags"]) for line in results] == [False, True]
    assert (tmp_path / "results.parquet" / "part-00000.parquet").is_file()


def test_the_report_command_runs(tmp_path, monkeypatch):
    cats = {"Hate": 0.9, "unsafe": 0.9}
    result = {"text": "x", "cats": cats, "flags": ["Hate"], "status": "ok"}
    (tmp_path / "results.jsonl").write_text(json.dumps(result))
    run_commands("report", tmp_path, monkeypatch)
    assert (tmp_path / "review.html").is_file()


def test_the_verify_command_runs(tmp_path, monkeypatch):
    (tmp_path / "texts.txt").write_text("What a lovely day.\nI will kill you.\n")
    run_commands("verify", tmp_path, monkeypatch)


def test_the_evaluate_command_runs(tmp_path, monkeypatch, qwen2_folder):
    pytest.importorskip("matplotlib", reason="it draws curves")
    write_language(tmp_path / "duoguard-eval" / "En")
    run_commands("evaluate", tmp_path, monkeypatch, model=str(qwen2_folder))
    assert (tmp_path / "figures.json").is_file()
    assert len(list((tmp_path / "curves").iterdir())) == 2


def test_the_download_command_runs(tmp_path, monkeypatch, qwen2_folder):
    with Hub() as hub, hub.client(tmp_path / "home"):
        hub.add("me/guard", qwen2_folder)
        run_commands("download", tmp_path, monkeypatch, model="me/guard")
    assert (tmp_path / "guard" / "download.json").is_file()


def test_there_are_two_commands():
    commands = [line for line in README.splitlines() if line.startswith("pip install")]
    assert commands == [
        "pip install . && python examples/quickstart.py",
        'pip install ".[test]" && pytest',
    ]


def test_every_setting_is_in_the_table():
    from spacy_duoguard.pipeline.settings import DEFAULT_CONFIG

    for key in DEFAULT_CONFIG:
        assert f"`{key}`" in README or key == "model"
    for key in DEFAULT_CONFIG["model"]:
        assert f"`model.{key}`" in README or key == "@architectures"


def test_no_placeholder_is_left():
    assert not re.findall(r"^[A-Z]{4,}$", README, flags=re.MULTILINE)


def test_links_to_files_lead_somewhere():
    links = re.findall(r"\]\(([^)h][^)]*)\)", README)
    assert links
    headings = {
        line.lstrip("# ").lower().replace(" ", "-") for line in README.splitlines()
    }
    for link in links:
        found = link[1:] in headings if link[0] == "#" else (ROOT / link).exists()
        assert found, link


def test_the_quickstart_runs(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("What a lovely day. I will kill you, idiot.", encoding="utf8")
    for arguments in ([], ["--file", str(text)]):
        run = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "quickstart.py"), *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf8"},
        )
        assert run.returncode == 0, run.stderr
        assert "unsafe" in run.stdout
        assert "Flagged sentences" in run.stdout
        assert "W001" in run.stderr
