"""A duel that is killed again and again ends like one that isn't."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from support.chat_server import ChatServer, Reply, completion, write_text
from support.duels import make_config, write_config

pytest.importorskip("openai", reason="needs the extra duel")
pytest.importorskip("datasketch", reason="needs the extra duel")

CONCURRENCY = 4
FILES = ("generated.jsonl", "judged.jsonl", "scored.jsonl", "pairs.jsonl")


def behave(body, n):
    if "Answer with the number alone" in body["messages"][-1]["content"]:
        return Reply(completion(str(1 + body["seed"] % 5)), delay=0.05)
    return Reply(completion(write_text(body)), delay=0.05)


def start(folder, server, output):
    config = make_config(
        folder,
        server.url,
        guard={"pipeline": "demo", "device": "cpu"},
        generator={"samples": 4, "concurrency": CONCURRENCY},
        judge={"endpoint": server.url, "model": "judge", "concurrency": CONCURRENCY},
    )
    path = write_config(folder / "duel.cfg", config)
    command = [sys.executable, "-m", "spacy", "duoguard", "duel", path, output]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def wait_for(process, condition):
    while process.poll() is None and not condition():
        time.sleep(0.01)


def results(folder):
    return {name: (folder / "round-1" / name).read_bytes() for name in FILES}


@pytest.mark.slow
def test_20_kills_lose_and_double_nothing(tmp_path):
    rng = random.Random(0)
    with ChatServer(behave) as server:
        finish(start(tmp_path, server, tmp_path / "undisturbed"))
        expected, n_expected = results(tmp_path / "undisturbed"), len(server.bodies)
    output, kills = tmp_path / "killed", 0
    with ChatServer(behave) as server:
        steps = ("train.spacy", "training-*", "guard", "round.json")
        for i in range(20):
            process = start(tmp_path, server, output)
            if i < 16:  # while it asks
                target = len(server.bodies) + rng.randrange(1, 12)
                wait_for(process, lambda n=target: len(server.bodies) >= n)
                time.sleep(rng.random() * 0.06)
            else:  # while it trains
                pattern = steps[i - 16]
                written = f"killed/round-1/{pattern}"
                wait_for(process, lambda p=written: any(tmp_path.glob(p)))
                time.sleep(rng.random() * 2)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.communicate()
        finish(start(tmp_path, server, output))
        repeated = len(server.bodies) - n_expected
    assert kills >= 16
    assert 0 <= repeated <= kills * CONCURRENCY
    assert results(output) == expected
    one, two = (
        json.loads((folder / "report.json").read_text())
        for folder in (output, tmp_path / "undisturbed")
    )
    assert one == two
