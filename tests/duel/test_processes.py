"""Programs that a duel starts end with it, and their failures have a name."""

import os
import signal
import subprocess
import sys
import time

import pytest

from spacy_duoguard.duel.processes import run_logged, started
from spacy_duoguard.errors import DuelError

ENDLESS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_output_is_in_the_log_and_the_code_in_the_error(tmp_path):
    log = tmp_path / "x.log"
    run_logged([sys.executable, "-c", "print('fine')"], log, what="x")
    assert log.read_text() == "fine\n"
    assert log.stat().st_mode & 0o777 == 0o600
    code = "import os, sys; print(os.environ['X'], file=sys.stderr); sys.exit(7)"
    with pytest.raises(DuelError, match=r"E297.*'y'.*exit code 7.*x\.log"):
        run_logged([sys.executable, "-c", code], log, what="y", environment={"X": "1"})
    assert log.read_text() == "1\n"


def test_a_program_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DuelError, match="E297"):
        run_logged([tmp_path / "none"], tmp_path / "x.log", what="x")


def test_a_program_ends_with_the_context(tmp_path):
    log = tmp_path / "x.log"
    with started([sys.executable, "-c", ENDLESS], log):
        wait_until(lambda: log.read_text().endswith("\n"))
        pid = int(log.read_text())
        assert is_running(pid)
    wait_until(lambda: not is_running(pid))


def test_a_program_ends_with_the_process_even_if_that_is_killed(tmp_path):
    log = tmp_path / "x.log"
    code = (
        "import sys; from pathlib import Path;"
        "from spacy_duoguard.duel.processes import run_logged;"
        f"run_logged([sys.executable, '-c', {ENDLESS!r}], Path({str(log)!r}), what='x')"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    wait_until(lambda: log.exists() and log.read_text().endswith("\n"), seconds=60)
    pid = int(log.read_text())
    assert is_running(pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not is_running(pid))
