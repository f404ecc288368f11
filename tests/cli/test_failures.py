"""How commands fail."""

import warnings

import pytest
import typer

from spacy_duoguard.cli.failures import complain, one_line_errors


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


def test_a_name_cannot_steer_the_terminal(capsys):
    complain("'\x1b]0;a\x07\u202e\r\nb\u2028\ud800' é日👍 is no column")
    line = r"✘ '\x1b]0;a\x07\u202e\r\nb\u2028\ud800' é日👍 is no column"
    assert capsys.readouterr().err == f"{line}\n"
