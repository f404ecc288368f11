"""The benchmarks run, on a tiny model; their figures are read where they are made."""

import importlib
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
def test_all_systems_are_measured_beside_the_anchor(tmp_path):
    systems = (
        *("Classifier.score, bfloat16", "nlp.pipe, bfloat16"),
        *("card's loop, bfloat16", "transformers, sorted, batch 8"),
    )
    output = run(
        "run.py",
        *("--tiny", "--count", 12, "--rounds", 1, "--singles", 2, "--cache", tmp_path),
        *("--systems", *systems, "--against", "card's loop, bfloat16"),
        *("--workloads", "real mix", "documents of 2k tokens"),
    )
    report = json.loads(output.splitlines()[-1])
    mix = report["workloads"]["real mix"]
    assert tuple(mix) == systems
    for name, row in mix.items():
        assert row["tokens_per_second"] > 0
        assert row["drift"] < 0.02, name
    assert mix["card's loop, bfloat16"]["against_anchor"] == 1
    # Texts that the peers would cut are ours alone.
    assert tuple(report["workloads"]["documents of 2k tokens"]) == systems[:2]
    assert set(report["one text"]["20"]) == {*systems[:3]}
    assert all(megabytes > 50 for megabytes in report["peak_memory_mb"].values())
    assert report["product_rate"]["bfloat16"] > 1e8


@pytest.mark.slow
def test_names_of_systems_are_exact(tmp_path):
    script = BENCHMARKS / "run.py"
    done = subprocess.run(
        [sys.executable, str(script), "--tiny", "--systems", "Classifier"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "Classifier.score, bfloat16" in done.stderr


def test_no_text_is_given_out_twice(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    workloads = importlib.import_module("workloads")
    pool = workloads.TextPool(None, length=lambda text: len(text.split()), seed=1)
    rounds = [pool.next_round(40) for _ in range(3)]
    for name in ("real mix", "short prompts"):
        texts = [text for texts in rounds for text in texts[name]]
        assert len(set(texts)) == len(texts)
    assert [len(texts["real mix"]) for texts in rounds] == [40, 40, 40]
    with pytest.raises(ValueError, match="too few texts"):
        pool.mix(100_000)


@pytest.mark.slow
def test_load_contention_and_memory_are_measured(tmp_path):
    load = run("load.py", "--tiny", "--count", 8, "--cache", tmp_path)
    rows = json.loads(load.splitlines()[-1])["rows"]
    assert all(0 < row["p50_ms"] <= row["p95_ms"] for row in rows)
    contention = run("contention.py", "demo", "--seconds", 1)
    speeds = json.loads(contention.splitlines()[-1])["texts_per_second"]
    assert len(speeds) == 6
    assert all(speed > 0 for speed in speeds.values())
    memory = run("memory.py", "demo", "--most", 1000)
    assert [r["docs"] for r in json.loads(memory.splitlines()[-1])["rows"]] == [1000]


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


@pytest.mark.slow
def test_plain_texts_are_measured_with_and_without_views():
    output = run("views.py", "--tiny", "--count", 8, "--rounds", 3)
    report = json.loads(output.splitlines()[-1])
    assert report["ratio"] > 0
    assert report["ms"] > 0
    assert output.splitlines()[2].startswith("| 3 | 24 |")


@pytest.mark.slow
@pytest.mark.ray
def test_two_actors_are_measured_against_one_process(tmp_path):
    pytest.importorskip("ray", reason="needs Ray: pip install ray[data]")
    counts = ("--records", 512, "--short", 128, "--rounds", 1)
    output = run("ray_overhead.py", "--tiny", "--cache", tmp_path, *counts)
    report = json.loads(output.splitlines()[-1])
    assert set(report["ms_per_record"]) == {"one", "threads", "ray"}
    ray, one = (report["records_per_s_and_core"][name] for name in ("ray", "one"))
    # Both are rounded.
    assert report["speedup_of_two_actors"] == pytest.approx(2 * ray / one, abs=0.02)


TRY_OUT = ("--device", "cpu", "--tiny", "--count", 8, "--rounds", 1)
TRY_OUT += ("--pipe-count", 32)


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
    assert report["parts"]["nlp.pipe"]["nlp.pipe, 4 processes: tokens/s"] > 0


@pytest.mark.slow
def test_native_kernels_beside_those_of_torch():
    output = run(
        "native.py",
        *("demo", "--precisions", "float32", "--lengths", 5, 130, "--rounds", 2),
        before="import warnings; warnings.simplefilter('ignore')",
    )
    rows = json.loads(output.splitlines()[-1])["rows"]
    assert [row["tokens"] for row in rows] == [5, 130]
    assert all(row["native"] > 0 and row["ratio"] > 0 for row in rows)
