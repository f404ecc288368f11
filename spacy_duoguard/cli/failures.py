"""How a command ends where something goes wrong: one line, and an exit code."""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-V", help="Show where in the code an error came from"),
]


@contextmanager
def one_line_errors(verbose: bool, *, interrupted: str = "") -> Iterator[None]:
    """Run a command: errors and warnings are one line each on standard error.

    verbose (bool): Show the traceback of an error too.
    interrupted (str): What to do after Ctrl-C.
    RAISES (typer.Exit): 1 after an error; as the shell has it for signals, 130 after
        Ctrl-C and 141 where nobody reads the output any more.
    """
    from ..errors import DuoGuardError

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
            known = isinstance(e, (DuoGuardError, OSError))
            # What others raise may quote a text.
            message = str(e) if known else f"{type(e).__name__} (see --verbose)"
            complain(" ".join(message.split()))
            raise typer.Exit(1) from None


def complain(message: str) -> None:
    """message (str): A line for standard error."""
    typer.secho(f"✘ {message}", err=True, fg=typer.colors.RED)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    line = " ".join(str(message).split())
    typer.secho(f"⚠ {line}", err=True, fg=typer.colors.YELLOW)


def _close_output() -> None:
    """Nobody reads standard output any more: without this, Python would complain when
    it flushes it at the end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
