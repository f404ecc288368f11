"""The command, in this process."""

import pytest
import spacy
from spacy.cli._util import app
from typer.testing import CliRunner


@pytest.fixture
def evaluate(qwen2_folder):
    spacy.registry.cli.get_all()

    def run(folder, *arguments):
        command = ["duoguard", "evaluate", str(folder), "--model", str(qwen2_folder)]
        options = ["--device", "cpu", "--precision", "float32"]
        result = CliRunner().invoke(app, [*command, *options, *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    return run
