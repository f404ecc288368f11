"""How the guard is trained: which checkpoint, which config, which seeds."""

from collections import Counter

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_duoguard.calibration.thresholds import Goal
from spacy_duoguard.duel.guard_training import (
    _start_from,
    checkpoint_of,
    choose_replay,
    parse_goal,
    read_train_config,
)
from spacy_duoguard.duel.seeds import Seed
from spacy_duoguard.errors import SettingsError

SEEDS = [Seed(i, str(i), {}, unsafe=bool(i % 2)) for i in range(7)]


@given(st.integers(0, 40), st.integers(0, 5))
def test_seeds_are_replayed_as_often_as_each_other(n, seed):
    chosen = choose_replay(SEEDS, n, seed=seed)
    assert len(chosen) == n
    counts = Counter(seed.number for seed in chosen)
    every = [counts[seed.number] for seed in SEEDS]
    assert max(every) - min(every) <= 1
    assert choose_replay(SEEDS, n, seed=seed) == chosen


def test_our_config_trains_the_head():
    config = read_train_config(None)
    assert config["components"]["duoguard"]["model"]["trainable_layers"] == 0
    assert config["nlp"]["lang"] == "xx"


@pytest.mark.parametrize(
    "change",
    [
        ("[paths]\n", "[path]\n"),
        ("model = null", ""),
        ('factory = "duoguard"', 'factory = "sentencizer"'),
        ("[components.duoguard.model]", "[components.duoguard.models]"),
        ("[components]", "[components"),
        ("[paths]\n", "[paths]\n[paths]\n"),
    ],
)
def test_configs_that_do_not_fit_are_refused_at_once(tmp_path, change):
    path = tmp_path / "train.cfg"
    text = read_train_config(None).to_bytes(interpolate=False).decode()
    assert change[0] in text
    path.write_text(text)
    read_train_config(str(path))
    path.write_text(text.replace(*change, 1))
    with pytest.raises(SettingsError, match="E298"):
        read_train_config(str(path))


def test_a_checkpoint_is_trained_as_it_is_and_a_pipeline_keeps_its_settings(
    make_nlp, tmp_path, qwen2_folder
):
    assert checkpoint_of(str(qwen2_folder)) == (str(qwen2_folder), {})
    model = {"name": str(qwen2_folder), "window": 64, "stride": 48, "max_windows": 3}
    nlp = make_nlp(
        threshold=0.25,
        thresholds={"Hate": 0.75},
        normalize=True,
        curve=True,
        roles=["user"],
        spans_key="risks",
        model=model,
    )
    nlp.to_disk(tmp_path / "pipeline")
    checkpoint, kept = checkpoint_of(tmp_path / "pipeline")
    assert checkpoint == str(tmp_path / "pipeline" / "duoguard" / "model")
    assert (kept["threshold"], kept["thresholds"]) == (0.25, {"Hate": 0.75})
    assert kept["normalize"] is True
    config = read_train_config(None)
    _start_from(config, tmp_path / "pipeline")
    trained = config["components"]["duoguard"]
    assert config["paths"]["model"] == checkpoint
    assert {
        key: trained["model"][key] for key in ("window", "stride", "max_windows")
    } == {
        "window": 64,
        "stride": 48,
        "max_windows": 3,
    }
    assert (trained["curve"], trained["roles"]) == (True, ["user"])
    assert (trained["spans_key"], trained["threshold"]) == ("risks", 0.25)


def test_settings_that_were_changed_on_the_component_are_kept(make_nlp, tmp_path):
    """As they are when the pipeline is loaded: its config has earlier values."""
    changes = {
        "threshold": 0.3,
        "thresholds": {"Hate": 0.2, "Privacy": 0.4},
        "review_threshold": 0.15,
        "review_thresholds": {"Hate": 0.05},
        "max_chars": 1000,
        "normalize": True,
        "curve": True,
        "roles": ["user"],
        "spans_key": "risks",
    }
    nlp = make_nlp(thresholds={"Hate": 0.75}, patience=3)
    nlp.get_pipe("duoguard").cfg.update(changes)
    nlp.to_disk(tmp_path / "pipeline")
    _, kept = checkpoint_of(tmp_path / "pipeline")
    loaded = spacy.load(tmp_path / "pipeline").get_pipe("duoguard")
    assert {key: kept[key] for key in loaded.cfg} == loaded.cfg
    assert loaded.cfg == {**changes, "patience": 3}


def test_a_pipeline_with_two_guards_is_refused(make_nlp, tmp_path):
    nlp = make_nlp()
    model = nlp.config["components"]["duoguard"]["model"]
    nlp.add_pipe("duoguard", name="second", config={"model": model})
    nlp.to_disk(tmp_path / "pipeline")
    with pytest.raises(SettingsError, match="E082"):
        checkpoint_of(tmp_path / "pipeline")


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("best-f", Goal(best_f=True)),
        ("target-fpr 0.05", Goal(target_fpr=0.05)),
        ("target-recall 0.9", Goal(target_recall=0.9)),
    ],
)
def test_goals_are_those_of_calibrate(text, goal):
    assert parse_goal(text) == goal
