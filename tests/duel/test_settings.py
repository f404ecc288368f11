"""The config of a duel: what it may say, and what is refused at once."""

import dataclasses
import math

import pytest
from support.duels import make_config, write_config

from spacy_duoguard.duel.endpoint_url import is_local
from spacy_duoguard.duel.settings import parse_settings, read_settings
from spacy_duoguard.errors import SettingsError


def test_only_seeds_dev_server_and_languages_are_needed(tmp_path):
    path = write_config(
        tmp_path / "duel.cfg",
        {
            "seeds": {"train": "seeds.jsonl", "dev": "dev.jsonl"},
            "generator": {
                "endpoint": "http://127.0.0.1:8000/v1",
                "languages": ["Thai"],
            },
        },
    )
    settings = read_settings(path)
    assert settings.generator.languages == ("Thai",)
    assert (settings.generator.samples, settings.generator.temperature) == (8, 0.9)
    assert settings.judge.endpoint is None
    assert (settings.judge.unsafe_from, settings.judge.safe_to) == (4, 2)
    assert settings.filters.length_ratio == (0.5, 2.0)
    assert settings.filters.near_duplicates == 0.8
    assert (settings.guard.train, settings.guard.replay) == (None, 1.0)
    assert (settings.rounds.n, settings.rounds.train_generator) == (2, False)


@pytest.mark.parametrize(
    ("section", "name", "values"),
    [
        ("generator", "languages", [[], "German", ["German", "german"], [""], [1]]),
        ("generator", "samples", [0, -1, 1.0, True, "8   # eight"]),
        ("generator", "temperature", [-0.1, 2.1, math.nan, "hot"]),
        ("generator", "top_p", [0, 1.1]),
        ("generator", "concurrency", [0, None]),
        ("generator", "timeout", [0, -1.0, math.inf]),
        ("generator", "retries", [-1, 0.5]),
        ("generator", "contrast", [1, "true"]),
        ("judge", "unsafe_from", [0, 6, 4.0]),
        ("filters", "length_ratio", [[2.0, 0.5], [1.0], 2.0, [-1.0, 1.0]]),
        ("filters", "near_duplicates", [0.0, 1.5]),
        ("guard", "replay", [0, -1.0]),
        ("guard", "select", ["first", None]),
        ("guard", "calibrate", ["target-fpr", "target-fpr 2", "best", "best-f 1"]),
        ("guard", "gpu_id", [-2]),
        ("rounds", "n", [0, 2.5]),
        ("rounds", "seed", [-1]),
        ("rounds", "keep", ["all"]),
    ],
)
def test_values_out_of_range_are_refused_by_name(tmp_path, section, name, values):
    for value in values:
        config = make_config(tmp_path, **{section: {name: value}})
        with pytest.raises(SettingsError, match="E280") as error:
            parse_settings(config)
        assert f"[{section}] {name}" in str(error.value)


@pytest.mark.parametrize(
    ("section", "changes", "code"),
    [
        ("generator", {"sample": 3}, "E281"),
        ("generator", {"path": "x"}, "E284"),
        ("generator", {"endpoint": None}, "E284"),
        ("judge", {"safe_to": 4}, "E285"),
        ("rounds", {"train_generator": True}, "E287"),
        ("generator", {"endpoint": "127.0.0.1:8000"}, "E288"),
        ("generator", {"endpoint": "http://:80/v1"}, "E288"),
        ("generator", {"endpoint": "http://host:port/v1"}, "E288"),
        ("judge", {"endpoint": "ftp://host/v1"}, "E288"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path, section, changes, code
):
    with pytest.raises(SettingsError, match=code):
        parse_settings(make_config(tmp_path, **{section: changes}))


@pytest.mark.parametrize("part", ["user:SECRET@host", "host/v1?key=SECRET"])
def test_a_key_in_an_address_is_refused_and_not_repeated(tmp_path, part):
    config = make_config(tmp_path, generator={"endpoint": f"https://{part}"})
    with pytest.raises(SettingsError, match="E288") as error:
        parse_settings(config)
    assert "SECRET" not in str(error.value)


def test_missing_and_unknown_sections_are_refused(tmp_path):
    config = make_config(tmp_path)
    with pytest.raises(SettingsError, match="E282"):
        parse_settings({**config, "seeds": {"train": "x"}})
    with pytest.raises(SettingsError, match="E281"):
        parse_settings({**config, "training": {}})
    del config["generator"]["languages"]
    with pytest.raises(SettingsError, match="E282"):
        parse_settings(config)


@pytest.mark.parametrize(
    "content", ["[seeds\ntrain", "[seeds]\n[seeds]", "a = 1", None]
)
def test_files_that_are_no_config_are_refused(tmp_path, content):
    path = tmp_path / "duel.cfg"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match="E283"):
        read_settings(path)


def test_overrides_reach_sections_that_the_config_does_not_have(tmp_path):
    config = make_config(tmp_path)
    for name in ("judge", "filters", "guard"):
        del config[name]
    path = write_config(tmp_path / "duel.cfg", config)
    overrides = {"filters.near_duplicates": 0.5, "rounds.n": 3, "guard.replay": 2.0}
    settings = read_settings(path, overrides)
    assert settings.filters.near_duplicates == 0.5
    assert (settings.rounds.n, settings.guard.replay) == (3, 2.0)
    for name, known in (
        ("filter.near_duplicates", r"\[filters\]"),
        ("filters.near_duplicate", "near_duplicates"),
        ("filters", "near_duplicates"),
        ("n", r"\[rounds\]"),
    ):
        with pytest.raises(SettingsError, match=rf"E281.*'{name}'.*{known}"):
            read_settings(path, {name: 1})


def test_a_generator_to_train_must_be_a_folder_that_its_server_takes(tmp_path):
    changes = {"python": "python", "model": "a-name"}
    rounds = {"train_generator": True}
    with pytest.raises(SettingsError, match="E286"):
        parse_settings(make_config(tmp_path, generator=changes, rounds=rounds))
    changes["model"] = str(tmp_path)
    parse_settings(make_config(tmp_path, generator=changes, rounds=rounds))


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.9.9.9/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://localhost.example.org/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
        ("http://192.168.0.7/v1", False),
        ("http://0.0.0.0/v1", False),
        ("https://api.example.org/v1", False),
    ],
)
def test_only_this_machine_counts_as_local(address, local):
    assert is_local(address) is local


def test_settings_cannot_be_changed(tmp_path):
    settings = parse_settings(make_config(tmp_path))
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.rounds.n = 3
