"""How commands fail."""

import warnings

import pytest
import typer

from spacy_duoguard.cli.failures import one_line_errors


def warn():
    with one_line_errors(False), warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn("quotes a text", stacklevel=1)


def test_a_warning_that_is_an_error_is_named_as_one(capsys):
    with pytest.raises(typer.Exit) as caught:
        warn()
    output = " ".join(capsys.readouterr().err.split())
    assert caught.value.exit_code == 1
    assert "[E342] A warning (UserWarning) ended the command" in output
    assert "quotes" not in output
