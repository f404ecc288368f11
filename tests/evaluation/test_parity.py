"""`verify` compares our scores with those of `transformers`."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import spacy
import torch
from spacy.cli._util import app
from typer.testing import CliRunner

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network import device
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.evaluation import parity
from spacy_duoguard.evaluation.parity import Difference, Parity, verify
from spacy_duoguard.evaluation.reference import reference_scores

TEXTS = ["How to kill a python process?", "", "a", "été là-bas", "x" * 2000, "the dog"]
COMPARABLE = [text for text in TEXTS if 0 < len(text) < 100]


@pytest.fixture
def run(qwen2_folder):
    spacy.registry.cli.get_all()

    def run(*arguments, model=qwen2_folder):
        command = ["duoguard", "verify", str(model), "--device", "cpu"]
        result = CliRunner().invoke(app, [*command, *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    return run


@pytest.fixture
def load(qwen2_folder):
    def load(precision):
        name = str(qwen2_folder)
        return Classifier.from_pretrained(name, precision=precision, device="cpu")

    return load


def test_difference_computed_by_hand():
    exact = np.array([[0.4, 0.6], [0.2, 0.5]])
    scores = np.array([[0.5, 0.7], [0.6, 0.5]], dtype=np.float32)
    difference = Difference.of(scores, exact)
    assert difference.mean == pytest.approx(0.6 / 4)
    assert difference.largest == pytest.approx(0.4)
    assert difference.flips == 1


def test_figures_are_those_of_the_engine(load):
    exact, half = load("float32"), load("bfloat16")
    reference = reference_scores(exact, COMPARABLE)
    result = verify(load, TEXTS, precision="bfloat16")
    assert (result.texts, result.skipped) == (len(COMPARABLE), 2)
    lengths = [len(exact.tokenizer.encode(text).ids) for text in COMPARABLE]
    assert result.tokens == sum(lengths)
    ours = Difference.of(half.score(COMPARABLE), reference)
    assert result.ours.mean == pytest.approx(ours.mean, rel=1e-3)
    assert result.ours.mean > 1e-5
    their_scores = reference_scores(exact, COMPARABLE, dtype=torch.bfloat16)
    theirs = Difference.of(their_scores, reference)
    assert result.theirs.mean == pytest.approx(theirs.mean, rel=1e-3)
    assert result.holds is None  # too few texts
    assert min(result.speed, result.their_speed) > 0


def make(precision, ours, theirs=None, texts=500):
    def difference(mean):
        return Difference(mean=mean, largest=2 * mean, flips=0)

    return Parity(
        precision=precision,
        device="cpu",
        texts=texts,
        skipped=0,
        tokens=1,
        ours=difference(ours),
        theirs=None if theirs is None else difference(theirs),
        speed=1.0,
        their_speed=1.0,
    )


def test_the_bounds_are_those_of_the_contract():
    assert make("float32", 4.9e-6).holds is True
    assert make("float32", 5.1e-6).holds is False
    assert make("float32", float("nan")).holds is False
    assert make("bfloat16", 0.0125, 0.01).holds is True
    assert make("bfloat16", 0.0126, 0.01).holds is False
    assert make("bfloat16", float("nan"), 0.01).holds is False
    assert make("bfloat16", 0.0126, 0.01, texts=499).holds is None
    assert make("int8", 0.2, 0.01).holds is None


def test_there_are_enough_sample_texts():
    texts = parity.sample_texts()
    assert len(set(texts)) == parity.BFLOAT16_TEXTS


def test_the_command_in_float32(run, tmp_path):
    source = tmp_path / "in.jsonl"
    rows = [*({"text": text} for text in TEXTS), {"other": 1}]
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf8")
    code, output = run("--precision", "float32", "--texts", source)
    assert code == 0, output
    assert f"{len(COMPARABLE)} texts" in output
    assert "2 texts skipped" in output
    assert "spacy-duoguard, float32" in output
    assert "Within the bound" in output
    _, fewer = run("--precision", "float32", "--texts", source, "--limit", 1)
    assert "1 text, " in fewer


def test_records_without_a_text_are_named(run, tmp_path):
    source = tmp_path / "in.jsonl"
    rows = [{"text": None}, {"text": "a dog"}, {"other": 1}, {"text": "b"}, {}]
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf8")
    code, output = run("--precision", "float32", "--texts", source)
    assert code == 0, output
    assert (
        "3 records left out: Record 1 (line 1): 'text' is null, not a string; Record 3 "
        "(line 3): no field 'text'; Record 5 (line 5): no field 'text'\n"
    ) in output
    assert "2 texts, " in output
    _, fewer = run("--precision", "float32", "--texts", source, "--limit", 1)
    assert "1 record left out: Record 1 (line 1)" in fewer


def test_the_command_fails_if_scores_differ(run, monkeypatch, tmp_path):
    real = parity.score_with_reference

    def lowered(*arguments):
        return real(*arguments) - 2e-5

    monkeypatch.setattr(parity, "score_with_reference", lowered)
    (tmp_path / "in.txt").write_text("a dog\n")
    code, output = run("--precision", "float32", "--texts", tmp_path / "in.txt")
    assert code == 1
    assert "OUTSIDE THE BOUND" in output


def test_a_saved_pipeline_and_few_texts(run, make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path / "pipeline")
    texts = tmp_path / "in.txt"
    texts.write_text("a dog\n\n")
    arguments = ("--precision", "bfloat16", "--texts", texts)
    code, output = run(*arguments, model=tmp_path / "pipeline")
    assert code == 0, output
    assert "Not judged" in output
    texts.write_text("\n\n")
    code, output = run(*arguments, model=tmp_path / "pipeline")
    assert code == 1
    assert "E146" in output


def test_without_texts_the_sample_is_scored(run, monkeypatch):
    monkeypatch.setattr(parity, "sample_texts", lambda: ["a dog", "b"])
    code, output = run("--precision", "float32")
    assert code == 0, output
    assert "2 texts, " in output


@pytest.mark.parametrize("resolved", ["float32", "bfloat16"])
def test_it_says_which_precision_auto_is(load, monkeypatch, resolved):
    dtype = getattr(torch, resolved)
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: dtype == torch.bfloat16)
    loaded, lines = [], []

    def recorded(precision):
        loaded.append(precision)
        return load(precision)

    result = verify(recorded, COMPARABLE, precision="auto", report=lines.append)
    assert result.precision == resolved
    assert f"'auto' is {resolved} on cpu" in lines
    assert not any("Loading in auto" in line for line in lines)
    # Not twice in the same precision.
    assert loaded == ["float32"] + ["auto"] * (resolved == "bfloat16")


def test_counts_agree_with_their_nouns(run, tmp_path):
    texts = tmp_path / "in.txt"
    texts.write_text("a dog\n\n")
    _, output = run("--precision", "float32", "--texts", texts)
    assert "1 text, " in output
    assert "1 text skipped" in output
    texts.write_text("a dog\na cat\n")
    _, output = run("--precision", "float32", "--texts", texts)
    assert "2 texts, " in output
    assert "0 texts skipped" in output
    texts.write_text("\n")
    _, output = run("--precision", "float32", "--texts", texts)
    assert "None of the texts (1) can be compared" in output


def test_one_token_is_not_called_tokens():
    one = dataclasses.replace(make("float32", 0.0), texts=1, tokens=1)
    assert "1 text, 1 token, on cpu" in parity.format_parity(one)


def test_a_class_of_transformers_that_does_not_load_is_a_coded_error(load, monkeypatch):
    """Without docstrings (-OO), `transformers` can't build those of its models."""

    class Broken:
        def __getattr__(self, name):
            raise ValueError("No `Args` section is found in the docstring")

    monkeypatch.setitem(sys.modules, "transformers", Broken())
    with pytest.raises(SettingsError, match=r"E347.*Qwen2For.*\(ValueError\).*-OO"):
        reference_scores(load("float32"), ["a"])


@pytest.mark.parametrize("number", [9999, True])
def test_a_token_for_padding_that_does_not_exist_is_not_needed(
    checkpoint, load, number
):
    folder = checkpoint(pad_token_id=number)
    classifier = Classifier.from_pretrained(
        str(folder), precision="float32", device="cpu"
    )
    expected = reference_scores(load("float32"), ["a b"])
    assert reference_scores(classifier, ["a b"]).tolist() == expected.tolist()
