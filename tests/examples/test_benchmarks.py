"""The benchmarks run, on a tiny model; their figures are read where they are made."""

import json
import subprocess
import sys

import pytest
from support.paths import BENCHMARKS, SHARED


def run(script, *arguments, before="", status=0):
    """before (str): Code that runs first, in the same process."""
    path = str(BENCHMARKS / script)
    code = f"import runpy, sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n{before}\n"
    code += f"sys.argv = [{path!r}, *sys.argv[1:]]\n"
    code += f"runpy.run_path({path!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == status, done.stderr
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


TRY_OUT = ("--device", "cpu", "--tiny", "--count", 8, "--rounds", 1)


def test_what_a_gpu_must_answer_can_be_tried_out_without_one():
    parts = {"parity", "graphs", "trained layers", "back on the CPU", "throughput"}
    output = run("gpu.py", *TRY_OUT, "--only", *parts, "out of memory")
    report = json.loads(output.splitlines()[-1])
    assert report["machine"]["device"].startswith("cpu")
    assert set(report["parts"]) == parts
    assert report["failed"] == report["fallbacks"] == {}
    parity = report["parts"]["parity"]
    assert parity["float32, torch: largest difference"] <= 1e-5
    assert 0 < parity["bfloat16, torch: largest difference"] <= 3e-2
    assert parity["bfloat16, torch: largest in a batch against alone"] <= 3e-2
    assert report["parts"]["graphs"]["largest difference between threads"] == 0.0
    assert report["parts"]["back on the CPU"]["largest difference"] <= 1e-5
    assert report["left_out"] == {
        "Triton kernels": "needs a CUDA device",
        "out of memory": "needs a CUDA device",
        **dict.fromkeys(["nlp.pipe", "profile", "peers"], "not asked for"),
    }
    for name in (*parts, *report["left_out"]):
        assert f"| {name} |" in output


BREAK_BATCHES = """
import torch
from spacy_duoguard.engine.network.cpu import CpuForward
forward = CpuForward.__call__
def call(self, batch):
    if len(batch.cu_seqlens) > 2:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return forward(self, batch)
CpuForward.__call__ = call
"""


@pytest.mark.slow
def test_a_gpu_benchmark_with_halved_batches_fails():
    output = run(
        "gpu.py", *TRY_OUT, "--only", "throughput", before=BREAK_BATCHES, status=1
    )
    report = json.loads(output.splitlines()[-1])
    (reason,) = report["fallbacks"].values()
    assert "OutOfMemoryError" in reason


@pytest.mark.slow
def test_all_parts_of_the_gpu_benchmark():
    report = json.loads(run("gpu.py", *TRY_OUT).splitlines()[-1])
    assert report["failed"] == report["fallbacks"] == {}
    assert "out of memory" in report["left_out"]
    assert report["parts"]["peers"]["card's loop, bfloat16: tokens/s"] > 0
    assert len(report["parts"]["profile"]) == 10
