"""Running `convert`."""

import json

import pytest
import spacy
from spacy.cli._util import app
from typer.testing import CliRunner


@pytest.fixture
def convert(tmp_path, monkeypatch):
    spacy.registry.cli.get_all()
    monkeypatch.chdir(tmp_path)

    def run(*arguments, records=None, code=0):
        if records is not None:
            lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
            (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf8")
        result = CliRunner().invoke(app, ["duoguard", "convert", *arguments])
        assert result.exit_code == code, result.output
        return result.output

    return run
