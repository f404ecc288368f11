"""How a duel ends if servers fail: with what it has, or with one clear line."""

import json
import re

import pytest
import spacy
from support.chat_server import ChatServer, Reply, completion, write_text
from support.duels import make_config, write_config
from typer.testing import CliRunner

pytest.importorskip("openai", reason="needs the extra duel")
pytest.importorskip("datasketch", reason="needs the extra duel")
# With so few dev texts, the false positive rate may well rise (W030).
pytestmark = pytest.mark.filterwarnings("ignore:.W001", "ignore:.W030")

GUARD = {"pipeline": "demo", "device": "cpu"}


def run_command(folder, behave, **changes):
    with ChatServer(behave) as server:
        config = make_config(
            folder,
            server.url,
            guard=GUARD,
            generator={"retries": 0, "samples": 4, **changes},
        )
        path = write_config(folder / "duel.cfg", config)
        app = spacy.registry.cli.get_all()["duoguard"]
        return CliRunner().invoke(app, ["duel", str(path), str(folder / "out")])


def test_a_run_with_failed_requests_ends_with_what_it_has_and_exit_code_3(tmp_path):
    faults = [
        Reply({}, status=429, headers={"Retry-After": "0.01"}),
        Reply({}, status=500),
        Reply(completion("x"), cut=10),
        Reply(b'{"choices": ['),
        Reply({"choices": []}),
        Reply(completion("x" * 2_000_000)),
        Reply(completion(["x"])),
        Reply({}, status=400),
    ]

    def failing(body, n):
        kind = body["seed"] % 16
        return (
            faults[kind] if kind < len(faults) else Reply(completion(write_text(body)))
        )

    result = run_command(tmp_path, failing)
    assert result.exit_code == 3, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    failed = report["rounds"][0]["generated"]["failed"]
    assert report["failed requests"] == sum(failed.values()) > 10
    assert set(failed) == {
        *("rate limited", "server error", "connection lost", "not JSON"),
        *("no choices", "too large", "wrong type", "rejected"),
    }
    assert report["rounds"][0]["trained"]["guard"] == "round-1/guard"
    assert re.search(rf"{sum(failed.values())} requests failed", result.output)


def test_a_generator_that_only_refuses_leaves_a_report_and_exit_code_3(tmp_path):
    result = run_command(tmp_path, lambda b, n: Reply(completion("I'm sorry, no.")))
    assert result.exit_code == 3
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["ended"] == "no texts were left in round 1"
    assert report["rounds"][0]["generated"]["answers"] == {"refusal": 72}
    assert report["kept"]["guard"] is None


def test_a_server_that_is_down_ends_with_one_line(tmp_path):
    config = make_config(tmp_path, guard=GUARD, generator={"retries": 0})
    path = write_config(tmp_path / "duel.cfg", config)
    app = spacy.registry.cli.get_all()["duoguard"]
    result = CliRunner().invoke(app, ["duel", str(path), str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "E296" in result.output
    assert "connection lost 20" in result.output
