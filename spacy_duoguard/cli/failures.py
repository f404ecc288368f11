"""How commands fail: with one line on standard error and an exit code."""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer


@contextmanager
def one_line_errors(verbose: bool, *, interrupted: str = "") -> Iterator[None]:
    """Print each error and warning of a command as one line on standard error.

    verbose (bool): Print the traceback of an error too.
    interrupted (str): What to tell the user after Ctrl-C.
    RAISES (typer.Exit): With 1 after an error and, as shells do for signals, with 130
        after Ctrl-C and 141 if the reader of the output has left.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            complain(f"Interrupted. {interrupted}".strip())
            raise typer.Exit(128 + signal.SIGINT) from None
        except BrokenPipeError:
            _close_output()
            raise typer.Exit(128 + 13) from None
        except Exception as e:
            if verbose:
                traceback.print_exc()
            complain(" ".join(_describe(e).split()))
            raise typer.Exit(1) from None


def _describe(error: Exception) -> str:
    """The message of an error. That of an unknown one may quote a text."""
    from ..errors import DuoGuardError, Errors

    if isinstance(error, DuoGuardError):
        return str(error)
    if isinstance(error, OSError):
        file = error.filename2 or error.filename or "a file"
        problem = error.strerror or str(error) or type(error).__name__
        return Errors.E230.format(file=file, problem=problem)
    if isinstance(error, Warning):
        return Errors.E342.format(name=type(error).__name__)
    return f"{type(error).__name__} (see --verbose)"


def complain(message: str) -> None:
    """message (str): The line to print on standard error."""
    say(f"✘ {message}", fg=typer.colors.RED)


def say(line: str, **style: Any) -> None:
    """Print a line on standard error. If that can't be written to, such as on a full
    disk, the command goes on: its results and exit code say the same.

    line (str): The line.
    style: As for `typer.secho`."""
    with suppress(OSError, ValueError):  # the latter if it is closed
        typer.secho(_printable(line), err=True, **style)


def _printable(line: str) -> str:
    """Names of files, columns and categories could steer a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    line = " ".join(str(message).split())
    say(f"⚠ {line}", fg=typer.colors.YELLOW)


def _close_output() -> None:
    """Discard what is left of standard output, which Python would fail to flush when
    it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
