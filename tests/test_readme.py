"""What the README shows runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)

pytestmark = pytest.mark.filterwarnings("ignore:.W001")


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_run(snippet, capsys):
    if "# needs: ray" in snippet:
        pytest.skip("starts a Ray: tests/test_distributed.py does what it shows")
    exec(compile(snippet, "README.md", "exec"), {})
    assert "Traceback" not in capsys.readouterr().err


def test_there_are_two_commands():
    commands = [line for line in README.splitlines() if line.startswith("pip install")]
    assert commands == [
        "pip install . && python examples/quickstart.py",
        'pip install ".[test]" && pytest',
    ]


def test_every_file_of_the_package_is_on_the_map():
    package = ROOT / "spacy_duoguard"
    for path in package.rglob("*.py"):
        assert path.name in README or path.name == "__init__.py"


def test_every_setting_is_in_the_table():
    from spacy_duoguard.settings import DEFAULT_CONFIG

    for key in DEFAULT_CONFIG:
        assert f"`{key}`" in README or key == "model"
    for key in DEFAULT_CONFIG["model"]:
        assert f"`model.{key}`" in README or key == "@architectures"


def test_no_placeholder_is_left():
    assert not re.findall(r"^[A-Z]{4,}$", README, flags=re.MULTILINE)


def test_links_to_files_lead_somewhere():
    links = re.findall(r"\]\(([^)h][^)]*)\)", README)
    assert links
    headings = {line.lstrip("# ").lower() for line in README.splitlines()}
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
