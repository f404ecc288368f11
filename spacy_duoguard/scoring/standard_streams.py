"""Standard input and output, which the shell may have closed."""

import sys
from typing import IO, Any

from ..errors import Errors, SettingsError


def standard_input() -> IO[bytes]:
    """RETURNS (IO[bytes]): The bytes of standard input.
    RAISES (SettingsError): It is closed."""
    return _bytes_of(sys.stdin, "input")


def standard_output() -> IO[bytes]:
    """RETURNS (IO[bytes]): The bytes of standard output.
    RAISES (SettingsError): It is closed."""
    return _bytes_of(sys.stdout, "output")


def _bytes_of(stream: Any, name: str) -> IO[bytes]:
    # None if it was closed from the start.
    if stream is None or getattr(stream, "closed", False):
        raise SettingsError(Errors.E335.format(name=name))
    handle: IO[bytes] = stream.buffer
    return handle
