"""Run a program that ends when this process's standard input does: when the process at
its other end has ended in whatever way, even by `kill -9`.

    python end_with_parent.py PROGRAM [ARGUMENT ...]
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

_GRACE = 10.0  # seconds to end by itself


def main(command: list[str]) -> int:
    """command (List[str]): The program and its arguments.
    RETURNS (int): Its exit code; 127 if it can't be started."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a group with all that it starts
        )
    except OSError as e:
        print(e, file=sys.stderr)  # noqa: T201
        return 127
    watch = threading.Thread(target=_end_with_input, args=(process,), daemon=True)
    watch.start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process at the other end decides
    return process.wait()


def _end_with_input(process: subprocess.Popen) -> None:
    while os.read(0, 1):  # `sys.stdin` would be locked when the interpreter ends
        pass
    _end(process)
    try:
        process.wait(timeout=_GRACE)
    except subprocess.TimeoutExpired:
        _end(process, force=True)


def _end(process: subprocess.Popen, *, force: bool = False) -> None:
    if sys.platform == "win32":
        process.terminate()
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.exit(128 - code if code < 0 else code)
