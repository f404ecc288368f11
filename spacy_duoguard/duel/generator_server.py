"""Serve a folder of weights with `transformers serve`, if there is no endpoint."""

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from .processes import program_error, started
from .settings import GeneratorSettings

_PATIENCE = 300.0  # seconds until the server must answer
_OFFLINE = {"HF_HUB_OFFLINE": "1"}


@contextmanager
def serving(generator: GeneratorSettings, folder: Path) -> Iterator[GeneratorSettings]:
    """generator (GeneratorSettings): Where to ask. With a `path`, its `model` is the
        folder to serve.
    folder (Path): The folder of the round, for `serve.log`.
    YIELDS (GeneratorSettings): The same, with an endpoint. A server that was started
        ends with the context.
    RAISES (DuelError): It doesn't start."""
    if generator.path is None:
        yield generator
        return
    port, log = _free_port(), folder / "serve.log"
    command = [generator.python or "", "-m", "transformers.cli.transformers", "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with started(command, log, environment=_OFFLINE) as process:
        _wait(process, f"http://127.0.0.1:{port}/health", log)
        yield replace(generator, endpoint=f"http://127.0.0.1:{port}/v1", path=None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen, address: str, log: Path) -> None:
    """Wait until the server answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), opener.open(address, timeout=5):
            return
        time.sleep(0.2)
    code = process.poll()
    problem = "no answer" if code is None else f"exit code {code}"
    raise program_error("transformers serve", problem, log)
