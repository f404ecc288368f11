"""A whole duel against a stub, and what it leaves behind."""

import json
import stat

import pytest
import spacy
from spacy.tokens import DocBin
from support.chat_server import ChatServer, Reply, completion, write_text
from support.duels import (
    DEV_SAFE,
    DEV_UNSAFE,
    SAFE,
    UNSAFE,
    Watcher,
    make_config,
    write_config,
    write_seeds,
)
from typer.testing import CliRunner

from spacy_duoguard.duel.near_duplicates import NearDuplicates, shingles, similarity
from spacy_duoguard.duel.run import run_duel
from spacy_duoguard.errors import DuelError, SettingsError

pytest.importorskip("openai", reason="needs the extra duel")
pytest.importorskip("datasketch", reason="needs the extra duel")
pytestmark = pytest.mark.filterwarnings("ignore:.W001", "ignore:.W030")

GUARD = {"pipeline": "demo", "device": "cpu"}
DEV = (*DEV_SAFE, *DEV_UNSAFE)


def behave(body, n):
    """Copy dev, refuse, tear, and otherwise write texts."""
    content = body["messages"][-1]["content"]
    if "Answer with the number alone" in content:
        return Reply(completion("5" if "zz" in content else "1"))
    kind = body["seed"] % 8
    if kind == 0:
        return Reply(completion(DEV[body["seed"] % len(DEV)].upper() + " !"))
    if kind == 1:
        return Reply(completion("I'm sorry, but I can't help with that."))
    if kind == 2:
        return Reply(completion(write_text(body), reason="length"))
    marked = "zz " if "had to be removed" in content or "removed" in content else ""
    return Reply(completion(marked + write_text(body)))


class Played:
    """A duel of two rounds, and everything that it printed."""

    def __init__(self, folder):
        with ChatServer(behave) as self.server:
            self.config = make_config(
                folder,
                self.server.url,
                guard={**GUARD, "calibrate": "best-f"},
                judge={"endpoint": self.server.url, "model": "judge"},
                generator={"samples": 4},
                rounds={"n": 2},
            )
            self.path = write_config(folder / "duel.cfg", self.config)
            self.folder = folder / "out"
            app = spacy.registry.cli.get_all()["duoguard"]
            command = ["duel", str(self.path), str(self.folder)]
            self.first = CliRunner().invoke(app, command)
            self.requests = len(self.server.bodies)
            self.second = CliRunner().invoke(app, command)
        self.report = json.loads((self.folder / "report.json").read_text())
        names = [self.folder / f"round-{n}" for n in (1, 2)]
        self.rounds = [folder for folder in names if folder.exists()]

    def lines(self, round_, name):
        return list(map(json.loads, (round_ / name).read_text().splitlines()))


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return Played(tmp_path_factory.mktemp("duel"))


def test_it_ends_and_says_which_guard_to_keep(played):
    assert played.first.exit_code == 0, played.first.output
    report = played.report
    assert report["ended"]
    assert report["failed requests"] == report["texts not scored"] == 0
    kept = report["kept"]["guard"]
    assert (played.folder / "guard").exists() == (kept is not None)
    assert "report.json" in played.first.output


def test_a_finished_duel_asks_nothing_again(played):
    assert played.second.exit_code == 0
    assert len(played.server.bodies) == played.requests
    assert json.loads((played.folder / "report.json").read_text()) == played.report


def test_every_text_is_accounted_for(played):
    for steps, folder in zip(played.report["rounds"], played.rounds, strict=True):
        generated, judged = (
            played.lines(folder, f"{name}.jsonl") for name in ("generated", "judged")
        )
        answers = steps["generated"]["answers"]
        assert sum(answers.values()) == steps["generated"]["asked"] == 9 * 2 * 4
        assert answers["text"] == len(generated) == len(judged)
        assert {"refusal", "torn"} < set(answers)
        drops = [text["dropped"] for text in judged if text["dropped"]]
        assert sum(steps["judged"]["dropped"].values()) == len(drops)
        assert "near-duplicate of a dev text" in drops
        scored = played.lines(folder, "scored.jsonl")
        assert len(scored) == steps["judged"]["kept"] == len(judged) - len(drops)
        order = [text["id"] for text in generated]
        assert [text["id"] for text in judged] == order
        seeds = [text["seed"] for text in generated]
        assert seeds == sorted(seeds)
        assert all(text["origin"].startswith("generated") for text in generated)


def test_no_dev_text_and_nothing_like_one_is_trained_on(played):
    for folder in played.rounds:
        docs = DocBin().from_disk(folder / "train.spacy")
        texts = [doc.text for doc in docs.get_docs(spacy.blank("xx").vocab)]
        assert len(texts) > 2
        for text in texts:
            likeness = [similarity(shingles(text), shingles(dev)) for dev in DEV]
            assert max(likeness) < 0.8


def test_the_guard_trains_on_its_mistakes_and_as_many_seeds(played):
    hard = []
    for folder in played.rounds:
        hard += [t["text"] for t in played.lines(folder, "scored.jsonl") if t["wrong"]]
        docs = DocBin().from_disk(folder / "train.spacy")
        texts = [doc.text for doc in docs.get_docs(spacy.blank("xx").vocab)]
        assert texts[: len(hard)] == hard
        assert len(texts) == 2 * len(hard)
        assert set(texts[len(hard) :]) <= {*SAFE, *UNSAFE}


def test_nothing_of_a_text_is_printed_or_logged(played):
    texts = [*SAFE, *UNSAFE, *DEV]
    for folder in played.rounds:
        texts += [text["text"] for text in played.lines(folder, "generated.jsonl")]
    logs = list(played.folder.rglob("*.log"))
    assert len(logs) >= 2
    shown = played.first.output + played.second.output
    shown += "".join(path.read_text() for path in logs)
    shown += (played.folder / "report.json").read_text()
    shown += (played.folder / "duel.json").read_text()
    assert not [text for text in texts if text in shown]


def test_all_that_is_written_is_private(played):
    for path in [played.folder, *played.folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, path
    assert "private" in (played.folder / "README.txt").read_text()


def test_the_review_page_shows_the_hardest_texts_first(played):
    for folder in played.rounds:
        losses = [text["loss"] for text in played.lines(folder, "hardest.jsonl")]
        assert losses == sorted(losses, reverse=True)
        page = (folder / "review.html").read_text(encoding="utf8")
        hardest = played.lines(folder, "hardest.jsonl")[0]
        assert hardest["text"] in page


def test_the_report_is_drawn(played):
    pytest.importorskip("matplotlib", reason="it draws the report")
    assert (played.folder / "report.png").read_bytes().startswith(b"\x89PNG")


def test_the_guard_of_each_round_is_a_pipeline_with_a_threshold_from_dev(played):
    for steps, folder in zip(played.report["rounds"], played.rounds, strict=True):
        assert steps["trained"]["guard"] == f"{folder.name}/guard"
        nlp = spacy.load(folder / "guard")
        thresholds = nlp.get_pipe("duoguard").cfg
        assert "calibrate.log" in {path.name for path in folder.iterdir()}
        assert thresholds["thresholds"] or thresholds["threshold"] != 0.5


def test_other_settings_or_texts_are_refused(played, tmp_path):
    changed = {**played.config, "rounds": {**played.config["rounds"], "n": 3}}
    path = write_config(tmp_path / "duel.cfg", changed)
    with pytest.raises(SettingsError, match=r"E299.*\[rounds\] n"):
        run_duel(path, played.folder, Watcher())
    write_seeds(tmp_path / "seeds.jsonl", SAFE, UNSAFE[:2])
    seeds = {**played.config["seeds"], "train": str(tmp_path / "seeds.jsonl")}
    path = write_config(tmp_path / "duel.cfg", {**played.config, "seeds": seeds})
    with pytest.raises(SettingsError, match=r"E299.*\[seeds\] train \(content\)"):
        run_duel(path, played.folder, Watcher())


def test_a_folder_with_something_else_is_refused(tmp_path):
    path = write_config(tmp_path / "duel.cfg", make_config(tmp_path))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    with pytest.raises(SettingsError, match="E300"):
        run_duel(path, tmp_path / "out", Watcher())
    with pytest.raises(SettingsError, match="E227"):
        run_duel(path, tmp_path, Watcher())


@pytest.mark.parametrize("name", ["seeds", "dev"])
def test_a_label_that_the_guard_does_not_have_is_refused_before_anything_is_written(
    tmp_path, name
):
    path = write_config(tmp_path / "duel.cfg", make_config(tmp_path, guard=GUARD))
    with open(tmp_path / f"{name}.jsonl", "a") as file:
        file.write(json.dumps({"text": "Blorf", "cats": {"Hat": 1}}) + "\n")
    with pytest.raises(SettingsError, match=rf"E346.*{name}.jsonl.*: 'Hat'\."):
        run_duel(path, tmp_path / "out", Watcher())
    assert not (tmp_path / "out").exists()


def test_a_second_run_at_once_is_refused(tmp_path):
    from filelock import FileLock

    config = make_config(tmp_path, guard=GUARD)
    path = write_config(tmp_path / "duel.cfg", config)
    (tmp_path / "out").mkdir()
    with (
        FileLock(tmp_path / "out" / ".lock"),
        pytest.raises(DuelError, match="E301"),
    ):
        run_duel(path, tmp_path / "out", Watcher())


def test_seeds_that_resemble_dev_are_left_out_with_a_warning(tmp_path):
    known = NearDuplicates(0.8)
    known.extend(DEV, "a dev text")
    config = make_config(tmp_path, guard=GUARD, generator={"give_up_after": 1})
    write_seeds(tmp_path / "seeds.jsonl", (*SAFE, DEV_SAFE[0] + "!"), UNSAFE)
    path = write_config(tmp_path / "duel.cfg", config)
    with ChatServer(lambda body, n: Reply({}, status=500)) as server:
        config["generator"]["endpoint"] = server.url
        write_config(path, config)
        with (
            pytest.warns(UserWarning, match="W029.* 1 seeds"),
            pytest.raises(DuelError, match="E296"),
        ):
            run_duel(path, tmp_path / "out", Watcher())
        prompts = [body["messages"][-1]["content"] for body in server.bodies]
    assert prompts
    assert all(known.find(prompt.splitlines()[-1]) is None for prompt in prompts)


def test_texts_that_leave_the_machine_are_announced_once(tmp_path, monkeypatch):
    """By address alone: nothing is sent in this test."""
    from spacy_duoguard.duel import run
    from spacy_duoguard.duel.settings import read_settings

    changes = {"endpoint": "https://chat.example.org/v1"}
    path = write_config(
        tmp_path / "duel.cfg",
        make_config(tmp_path, generator=changes, judge={**changes, "model": "x"}),
    )
    with pytest.warns(UserWarning, match="W028.*chat.example.org") as warned:
        run._check_servers(read_settings(path))
    assert len(warned) == 1
