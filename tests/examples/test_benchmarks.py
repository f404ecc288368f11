"""The benchmarks run, on a tiny model; their figures are read where they are made."""

import json
import subprocess
import sys

import pytest
from support.paths import BENCHMARKS, SHARED


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_all_systems_are_measured_in_one_run(tmp_path):
    output = run(
        "run.py",
        *("--tiny", "--count", 12, "--rounds", 1, "--cache", tmp_path),
        *("--systems", "Classifier", "nlp.pipe", "card", "transformers, sorted"),
        *("--workloads", "real mix", "documents of 2k", "--memory"),
    )
    report = json.loads(output.splitlines()[-1])
    mix = report["workloads"]["real mix"]
    assert {name.split(",")[0] for name in mix} == {
        "Classifier.score",
        "nlp.pipe",
        "card's loop",
        "transformers",
    }
    for name, row in mix.items():
        assert row["tokens_per_second"] > 0
        assert row["mean_difference_from_the_loop"] < 0.02, name
    # Texts that the peers would cut are ours alone.
    assert len(report["workloads"]["documents of 2k tokens"]) == len(
        [name for name in mix if name.startswith(("Classifier", "nlp"))]
    )
    assert all(megabytes > 50 for megabytes in report["peak_memory_mb"].values())
    assert report["product_rate"]["bfloat16"] > 1e8


@pytest.mark.slow
def test_growth_with_length_and_number(tmp_path):
    output = run("scaling.py", "--tiny", "--cache", tmp_path, "--most", 1000)
    report = json.loads(output.splitlines()[-1])
    assert [row["documents"] for row in report["documents"]] == [100, 1000]
    assert report["lengths"][-1]["tokens"] >= 8192


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the evaluation files")
def test_dilution_is_measured_for_each_window():
    texts = SHARED / "data" / "duoguard-eval"
    report = json.loads(
        run("dilution.py", "--texts", texts, "--cases", 20).splitlines()[-1]
    )
    assert report["64"][0] > report["512"][0]
    assert report["alone"] > report["512"][0]


@pytest.mark.slow
def test_budgets_are_measured_anew():
    output = run("budget.py", "demo", "--count", 8)
    budgets = [line.split("|")[1].strip() for line in output.splitlines()[2:]]
    assert budgets == ["256", "512", "1024", "2048", "4096"]


@pytest.mark.slow
def test_the_host_is_measured_against_spacy():
    output = run("host.py", "--count", 40, "--rounds", 2)
    report = json.loads(output.splitlines()[-1])
    assert set(report["ratios"]) == {"Classifier.score", "nlp.pipe"}
    assert all(ratio > 0 for pair in report["ratios"].values() for ratio in pair)
    assert len(report["microseconds"]) == 6
    assert all(value > 0 for value in report["microseconds"].values())
    # It holds a doc for each text, and more.
    assert report["ratios"]["nlp.pipe"][1] > 0.9
