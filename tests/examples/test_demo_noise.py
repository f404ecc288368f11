"""The part of the demo's training that learns from texts with noise."""

import json
import random
import shutil
from types import SimpleNamespace

import numpy as np
from support.demo_noise import learn, weights, write_constant, write_taught

from spacy_duoguard.disguises.suite import SUITE
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.evaluation.rates import Rate

# What is drawn


def test_a_step_is_drawn_alone_and_plain_texts_come_first(load, evaluation_files):
    data, noised = load("demo.data"), load("demo.noised")
    rows = data.read_rows(evaluation_files, "openai")
    one, two = (
        noised.NoisedTexts(rows, seed=seed, mixed=0.5, listed=0.3) for seed in (1, 2)
    )
    other = one.draw(6, 10, 30)
    pairs = one.draw(7, 10, 30)
    assert pairs == one.draw(7, 10, 30)
    assert other != pairs != two.draw(7, 10, 30)
    assert [pair.changed for pair in pairs[:10]] == [pair.text for pair in pairs[:10]]
    assert sum(pair.changed != pair.text for pair in pairs[10:]) > 20
    texts = {row.text for row in rows}
    assert 8 < sum(pair.text in texts for pair in pairs) < 32


def test_suite_disguises_are_read_in_part(load, evaluation_files):
    """A model also has to read what the views make of a disguise."""
    data, noised = load("demo.data"), load("demo.noised")
    rows = data.read_rows(evaluation_files, "openai")
    texts = noised.NoisedTexts(rows, seed=0, mixed=0.0, listed=1.0)
    changed = [pair.changed for i in range(8) for pair in texts.draw(i, 0, 40)]
    assert "rot13" in SUITE
    assert not [text for text in changed if "gur" in text.lower().split()]
    plain = sum(text.isascii() for text in changed)
    assert 80 < plain < len(changed) - 40


def test_long_texts_are_changed_in_part(load):
    crop = load("demo.noised")._crop
    words = " ".join(f"word{i}" for i in range(200))
    for seed in range(9):
        part = crop(words, random.Random(seed))
        assert 100 < len(part) <= 150
        assert f" {part} " in f" {words} "
    assert crop("short", random.Random(0)) == "short"
    assert len(crop("x" * 900, random.Random(0))) == 150


# The training


def test_an_interrupted_training_ends_as_if_it_had_not_been(
    load, small, evaluation_files, tmp_path, monkeypatch
):
    whole = learn(load, evaluation_files, small, tmp_path / "a", "--steps", 8)
    assert whole != learn(
        load, evaluation_files, small, tmp_path / "b", "--steps", 8, "--seed", 1
    )
    training = load("demo.learn_noise").NoiseTraining
    run = training.run

    def run_three(self, seconds):
        steps, self.steps = self.steps, 8
        for _ in range(3):
            if self.step < steps:
                self._learn()

    monkeypatch.setattr(training, "run", run_three)
    half = learn(load, evaluation_files, small, tmp_path / "c", "--steps", 8)
    assert half != whole
    monkeypatch.setattr(training, "run", run)
    assert learn(load, evaluation_files, small, tmp_path / "c", "--steps", 8) == whole


def test_only_training_rows_are_learnt_from(
    load, small, evaluation_files, tmp_path, monkeypatch
):
    """Neither the held-out rows nor those that settings were chosen on."""
    folder = tmp_path / "data"
    shutil.copytree(evaluation_files, folder)
    for path in folder.glob("*/*.json"):
        rows = json.loads(path.read_text(encoding="utf8"))
        for i, row in enumerate(rows):
            row["prompt"] = f"part{i % 5} " * 9
        path.write_text(json.dumps(rows), encoding="utf8")
    drawn = []
    draw = load("demo.noised").NoisedTexts.draw

    def watch(self, *args):
        drawn.extend(pairs := draw(self, *args))
        return pairs

    monkeypatch.setattr(load("demo.noised").NoisedTexts, "draw", watch)
    learn(load, folder, small, tmp_path / "out", "--steps", 20)
    words = {word for pair in drawn for word in pair.text.split()}
    assert words == {"part2", "part3", "part4"}


def test_it_scores_noise_as_the_start_scores_the_plain_text(
    load, small, evaluation_files, tmp_path
):
    options = ("--steps", 120, "--rate", 0.01, "--changed", 24)
    learn(load, evaluation_files, small, tmp_path / "out", *options)
    rows = load("demo.data").read_rows(evaluation_files, "rtp_lx_prompt")
    texts = [row.text for row in rows if row.part == 0]
    rng = random.Random(3)
    changed = [load("demo.noise").add_noise(text, rng) for text in texts]
    start, trained = (
        Classifier.from_pretrained(str(path), precision="float32", device="cpu")
        for path in (small, tmp_path / "out")
    )
    target = start.score(texts)
    before, after = (
        np.abs(of.score(changed) - target).mean() for of in (start, trained)
    )
    assert after < 0.8 * before
    assert np.abs(trained.score(texts) - target).mean() < before


def test_it_continues_from_the_mean_of_two_checkpoints(
    load, small, evaluation_files, tmp_path
):
    other = tmp_path / "other"
    learn(load, evaluation_files, small, other, "--steps", 5)
    options = ("--steps", 0, "--other", other)
    learn(load, evaluation_files, small, tmp_path / "mean", *options)
    for one, two, mean in zip(
        weights(small), weights(other), weights(tmp_path / "mean"), strict=True
    ):
        np.testing.assert_allclose(mean, (one + two) / 2, atol=1e-6)
    assert any(
        np.any(a != b) for a, b in zip(weights(small), weights(other), strict=True)
    )


def make_taught(load, n):
    rng = np.random.default_rng(0)
    make = load("demo.sentences").Taught
    return [make(f"taught {i}", "row", rng.random(12, np.float32)) for i in range(n)]


def test_labelled_texts_are_drawn_for_a_step_alone(load):
    taught = make_taught(load, 50)
    one, two = (
        load("demo.taught_draws").TaughtTexts(taught, seed=seed) for seed in (1, 2)
    )
    other = one.draw(6, 20)
    drawn = one.draw(7, 20)
    assert drawn == one.draw(7, 20)
    assert other != drawn != two.draw(7, 20)
    chosen = {of.text for step in range(30) for of in one.draw(step, 20)}
    assert chosen == {of.text for of in taught}


def test_some_plain_texts_of_a_step_have_labels_and_the_teacher_s_scores(
    load, small, evaluation_files, tmp_path, watched
):
    taught, path = make_taught(load, 5), tmp_path / "taught.jsonl"
    write_taught(taught, path)
    options = ("--taught", path, "--n-taught", 3, "--steps", 4)
    learn(load, evaluation_files, small, tmp_path / "out", *options)
    start = Classifier.from_pretrained(str(small), precision="float32", device="cpu")
    targets = {
        tuple(start.tokenizer.encode(of.text).ids): 0.65 * of.target + 0.35 * score
        for of, score in zip(
            taught, start.score([of.text for of in taught]), strict=True
        )
    }
    assert len(watched) == 4
    for items in watched:
        assert len(items) == 12
        known = [item for item in items if tuple(item.ids) in targets]
        assert len(known) == 3
        assert not any(item.is_changed for item in known)
        assert sum(not item.is_changed for item in items) >= 4
        for item in known:
            target = targets[tuple(item.ids)]
            np.testing.assert_allclose(item.target, target, atol=1e-5)


# The card


class Marked:
    """Flags texts with a word in them, however the rest is written."""

    def analyze(self, texts, *, normalize):
        assert normalize
        for text in texts:
            values = np.full(12, 0.9 if "grrr" in text else 0.2, np.float32)
            yield SimpleNamespace(probabilities=values)


def test_rates_of_noise_are_those_of_held_out_texts(
    load, evaluation_files, monkeypatch
):
    held_out = load("demo.held_out")
    monkeypatch.setattr(held_out, "add_noise", lambda text, rng: text.replace("r", ""))
    rates = held_out.measure_noise(evaluation_files, Marked())
    rows = [
        row
        for name in ("openai", "rtp_lx_prompt")
        for row in load("demo.data").read_rows(evaluation_files, name)
        if row.language == "Fr" and row.part == 0
    ]
    known = sum(bool(row.unsafe) and "grrr" in row.text for row in rows)
    safe = sum(not row.unsafe for row in rows)
    assert 0 < known < len(rows) - safe  # a third category isn't known
    assert rates["Fr"] == held_out.NoiseRates(
        Rate(known, known), Rate(0, safe), Rate(0, safe)
    )
    lines = load("demo.tables").noise_table({"Fr": rates["Fr"]}).splitlines()
    assert lines[2] == f"| Fr | {known} | 1.00 | {safe} | 0.00 | 0.00 |"


def test_the_card_names_the_parts(load):
    describe = load("demo.later_parts").describe_parts
    assert describe(1, noise=False) == ""
    second, third = (describe(n, noise=False) for n in (2, 3))
    assert "The second part" in second
    assert "The third part" not in second
    assert third.startswith(second)
    assert "among 3 to 15 safe ones" in third
    noise = describe(2, noise=True)
    assert noise.startswith(second)
    last = noise.removeprefix(second)
    assert "The last part" in last
    assert "`demo/sentences.py`" in last
    assert "`demo/add.py`" in last
    assert "never as this one command" in last


def test_two_runs_are_averaged_before_the_start(load, evaluation_files, tmp_path):
    """What `demo.export --other` stores."""
    for name, value in (("one", 1.0), ("two", 3.0), ("start", 4.0)):
        write_constant(load, evaluation_files, tmp_path / name, value)
    one, two, start = (str(tmp_path / name) for name in ("one", "two", "start"))
    trained = load("demo.export").mean_of(one, two, start=start, share=0.75)
    values = {float(x) for p in trained.decoder.parameters() for x in p.flatten()}
    assert values == {2.5}
