"""A duel that is killed again and again ends like one that isn't."""

import json
import multiprocessing
import random
import time

import pytest
from support.chat_server import ChatServer, Reply, completion, write_text
from support.duels import make_config, play, write_config

pytest.importorskip("openai", reason="needs the extra duel")
pytest.importorskip("datasketch", reason="needs the extra duel")

CONCURRENCY = 4
FILES = ("generated.jsonl", "judged.jsonl", "scored.jsonl", "pairs.jsonl")
# When it is killed while it trains: once these exist.
TRAINING = ("train.spacy", "training-{pid}", "training-{pid}/model-last", "guard")
# What a run imports sooner or later, spacy-transformers because spaCy asks it for
# factories. Imported once, and not for each run, which would take longer than the run.
IMPORTED = ["spacy_duoguard.duel.run", "datasketch", "openai", "spacy_transformers"]


def behave(body, n):
    if "Answer with the number alone" in body["messages"][-1]["content"]:
        return Reply(completion(str(1 + body["seed"] % 5)), delay=0.05)
    return Reply(completion(write_text(body)), delay=0.05)


class Runs:
    """Starts a duel in processes of their own, with everything imported."""

    def __init__(self, folder, server):
        self.output = folder / "out"
        judge = {"endpoint": server.url, "model": "judge", "concurrency": CONCURRENCY}
        config = make_config(
            folder,
            server.url,
            guard={"pipeline": "demo", "device": "cpu"},
            generator={"samples": 4, "concurrency": CONCURRENCY, "timeout": 100.0},
            judge={**judge, "timeout": 100.0},
        )
        self.config = write_config(folder / "duel.cfg", config)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(IMPORTED)

    def start(self):
        process = self.context.Process(target=play, args=(self.config, self.output))
        process.start()
        return process

    def finish(self):
        process = self.start()
        process.join(timeout=400)
        assert process.exitcode == 0
        report = json.loads((self.output / "report.json").read_text())
        folder = self.output / "round-1"
        return report, {name: (folder / name).read_bytes() for name in FILES}

    def kill_when(self, condition, delay):
        """RETURNS (bool): Whether it was running until then."""
        process = self.start()
        while process.is_alive() and not condition(process.pid):
            time.sleep(0.005)
        time.sleep(delay)
        was_alive = process.is_alive()
        process.kill()
        process.join()
        return was_alive

    def kill_while_training(self, pattern, delay):
        """pattern (str): A file in the folder of the round. With `{pid}`, it's one of
        the run itself."""
        folder = self.output / "round-1"
        return self.kill_when(
            lambda pid: (folder / pattern.format(pid=pid)).exists(), delay
        )


@pytest.mark.slow
def test_20_kills_lose_and_double_nothing(tmp_path):
    rng, kills = random.Random(0), 0
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    with ChatServer(behave) as server:
        expected = Runs(tmp_path / "undisturbed", server).finish()
        n_expected = len(server.bodies)
    with ChatServer(behave) as server:
        runs = Runs(tmp_path / "killed", server)
        for _ in range(16):  # while it asks
            target = len(server.bodies) + rng.randrange(1, 12)
            kills += runs.kill_when(
                lambda _, n=target: len(server.bodies) >= n, rng.random() * 0.06
            )
        for pattern in TRAINING:
            kills += runs.kill_while_training(pattern, rng.random() * 0.1)
        assert runs.finish() == expected
        repeated = len(server.bodies) - n_expected
    assert kills == 20
    assert 0 <= repeated <= kills * CONCURRENCY
    ids = [
        json.loads(line)["id"] for line in expected[1]["generated.jsonl"].splitlines()
    ]
    assert len(set(ids)) == len(ids) == 9 * 2 * 4
