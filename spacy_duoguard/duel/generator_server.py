"""Serve a folder of weights with `transformers serve`, if there is no endpoint."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ..errors import DuelError, Errors
from .private_files import FILE_MODE
from .settings import GeneratorSettings

_PATIENCE = 300.0  # seconds until the server must answer


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
    python, port = generator.python or "", _free_port()
    log = folder / "serve.log"
    command = [python, "-m", "transformers.cli.transformers", "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    except OSError as e:
        problem = e.strerror or type(e).__name__
        message = Errors.E297.format(
            what="transformers serve", problem=problem, log=log
        )
        raise DuelError(message) from e
    finally:
        os.close(handle)
    try:
        _wait(process, f"http://127.0.0.1:{port}/health", log)
        yield replace(generator, endpoint=f"http://127.0.0.1:{port}/v1", path=None)
    finally:
        _end(process)


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
    message = Errors.E297.format(what="transformers serve", problem=problem, log=log)
    raise DuelError(message)


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
