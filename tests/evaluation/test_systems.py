"""`evaluate --scores` compares other systems on the same rows, which are invented."""

import importlib.util
import json

import numpy as np
import pytest
import spacy
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)
from spacy.cli._util import app
from support.evaluation_files import TEXTS, write_language
from support.paths import ROOT
from typer.testing import CliRunner

from spacy_duoguard.cli.systems import load_systems
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.evaluation.bootstrap import draw_weights, estimate, weigh_rates
from spacy_duoguard.evaluation.foreign import System, load_system, load_texts
from spacy_duoguard.evaluation.system_options import parse_systems
from spacy_duoguard.taxonomy import CATEGORIES

GOLD = [i % 3 == 0 for i in range(len(TEXTS))]
FILE = ("En", "openai.json")


@pytest.fixture
def data(tmp_path):
    names = ("XSafety.json", "beavertail_test.jsonl", "rtp_lx_prompt.json")
    xstest = "xstest_v2_completions_gpt4_gpteval.csv"
    write_language(tmp_path / "data" / "En", without=[*names, xstest])
    return tmp_path / "data"


def write(path, rows):
    lines = [r if isinstance(r, str) else json.dumps(r) for r in rows]
    path.write_text("\n".join(lines), encoding="utf8")
    return path


def load(data, rows, threshold=0.5, **fields):
    path = write(data.parent / "rows.jsonl", rows)
    places = {key: (place,) for key, place in fields.items()}
    system = System("other", path, places, threshold)
    return load_system(system, load_texts(data, ["En"]))


# Figures and their intervals


def drawn(n_rows, seed):
    """Gold, scores with ties, flags and weights."""
    rng = np.random.default_rng(seed)
    gold = rng.random(n_rows) < 0.3
    scores = np.round(rng.random(n_rows) + 0.3 * gold, 1)
    return gold, scores, scores > 0.6, draw_weights(n_rows, draws=20, seed=9 + seed)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_rates_are_those_of_scikit_learn_on_the_drawn_rows(seed):
    gold, scores, flags, weights = drawn(40, seed)
    rates = weigh_rates(gold, scores, flags, weights)
    for i, row in enumerate(weights):
        times = row.astype(int)
        g, s, f = (np.repeat(values, times) for values in (gold, scores, flags))
        expected = {
            "f1": f1_score(g, f),
            "precision": precision_score(g, f),
            "recall": recall_score(g, f),
            "fpr": f[~g].mean(),
            "auroc": roc_auc_score(g, s),
            "auprc": average_precision_score(g, s),
        }
        assert {name: values[i] for name, values in rates.items()} == pytest.approx(
            expected
        )


def test_what_is_undefined_is_none():
    weights = draw_weights(4, draws=50)
    ones, flags = np.ones(4, bool), np.array([True, False, True, False])
    rates = weigh_rates(ones, np.arange(4.0), flags, weights)
    assert estimate(rates["f1"]).value == pytest.approx(2 / 3)
    for name in ("fpr", "auroc", "auprc"):
        assert estimate(rates[name]).value is None
    none = weigh_rates(~ones, np.arange(4.0), ~ones, weights)
    assert estimate(none["f1"]).value is None
    assert estimate(none["fpr"]).value == 0.0


def test_an_interval_holds_most_draws_and_repeats():
    gold, scores, flags, _ = drawn(300, 1)
    weights = draw_weights(300)
    values = weigh_rates(gold, scores, flags, weights)["f1"]
    result = estimate(values)
    assert result.low < result.value < result.high
    inside = (values[1:] >= result.low) & (values[1:] <= result.high)
    assert inside.mean() == pytest.approx(0.95, abs=0.005)
    np.testing.assert_array_equal(weights, draw_weights(300))
    # The standard error of a share is known.
    share = weights @ gold / 300
    p = gold.mean()
    assert share[1:].std() == pytest.approx(np.sqrt(p * (1 - p) / 300), rel=0.1)


# Reading


def test_results_are_matched_by_their_texts(data):
    rows = [{"text": text, "score": i / 100} for i, text in enumerate(TEXTS)]
    results = load(data, reversed(rows))
    assert results.scores[FILE].tolist() == [i / 100 for i in range(len(TEXTS))]
    assert results.scores["En", "toxic_chat.json"].tolist() == [
        i / 100 for i in range(9)
    ]
    assert not results.flags[FILE].any()
    flags = load(data, rows, threshold=0.05).flags[FILE]
    assert flags.tolist() == [i > 5 for i in range(len(TEXTS))]


def test_results_are_matched_by_their_ids(data):
    rows = [{"row": f"En/openai.json/{i}", "p": 0.25 * i} for i in (2, 1, 99)]
    results = load(data, rows, id="row", score="p")
    assert results.scores[FILE][:2].tolist() == [0.25, 0.5]
    assert np.isnan(results.scores[FILE][2:]).all()
    assert np.isnan(results.scores["En", "toxic_chat.json"]).all()
    assert results.n_other == 1


@pytest.mark.parametrize(
    ("row", "fields", "expected"),
    [
        ({"score": 0.7}, {}, (0.7, True)),
        ({"score": 0.7, "flagged": False}, {}, (0.7, False)),
        ({"flagged": True}, {}, (1.0, True)),
        ({"flag": "Safe"}, {}, (0.0, False)),
        ({"hits": ["Hate"]}, {"flag": "hits"}, (1.0, True)),
        ({"unsafe": 1}, {}, (1.0, True)),
        ({"cats": {"unsafe": 0.3}}, {}, (0.3, False)),
        ({"out": {"a b": -3.5}}, {"score": "out.a b"}, (-3.5, False)),
        ({"out.p": 0.9}, {"score": "out.p"}, (0.9, True)),
    ],
)
def test_where_values_are(data, row, fields, expected):
    results = load(data, [{"text": TEXTS[0], **row}], **fields)
    assert (results.scores[FILE][0], results.flags[FILE][0]) == expected


def ours(text, status="ok", hate=0.75, flags=("Hate",)):
    cats = {**dict.fromkeys(CATEGORIES, 0.0), "Hate": hate, "unsafe": hate}
    return {"text": text, "cats": cats, "flags": list(flags), "status": status}


def test_results_of_score_are_read_as_they_are(data):
    rows = [
        ours(TEXTS[0]),
        ours(TEXTS[1], flags=()),  # with another threshold
        ours(TEXTS[2], status="error", hate=0.0, flags=()),
        {**ours(TEXTS[3]), "cats": {"Hate": 0.0, "unsafe": 0.0}},  # damaged
    ]
    results = load(data, rows)
    assert results.scores[FILE][:2].tolist() == [0.75, 0.75]
    assert results.flags[FILE][:2].tolist() == [True, False]
    # What was not scored counts as unsafe, but wasn't recognized as such.
    assert np.isnan(results.scores[FILE][2:4]).all()
    assert [line.partition(": ")[2] for line in results.broken] == [
        "the record was not scored"
    ] * 2


@pytest.mark.parametrize("fields", [{}, {"score": "cats.Hate"}], ids=str)
def test_results_of_score_may_be_truncated_or_missing(data, fields):
    rows = [ours(TEXTS[i], s) for i, s in enumerate(("ok", "truncated", "error"))]
    results = load(data, rows, **fields)
    assert results.truncated[FILE].tolist() == [i == 1 for i in range(len(TEXTS))]
    assert np.isnan(results.scores[FILE][2])
    assert results.broken == ["line 3: the record was not scored"]


def test_what_cannot_be_used_is_counted_and_named(data):
    rows = [
        {"text": TEXTS[0], "score": 0.1},
        {"text": TEXTS[0], "score": 0.3},
        {"text": "of no row", "score": 0.3},
        "{",
        "[]",
        {"score": 0.3},
        {"text": TEXTS[1]},
        {"text": TEXTS[1], "score": "high"},
        {"text": TEXTS[1], "score": True, "flag": 2},
        '{"text": "x", "score": NaN}',
    ]
    results = load(data, rows)
    assert results.scores[FILE][0] == 0.3
    assert (results.n_ambiguous, results.n_other) == (1, 1)
    assert [line.split(":")[0] for line in results.broken] == [
        f"line {n}" for n in range(4, 11)
    ]
    assert not any(text in line for line in results.broken for text in TEXTS)


def test_results_of_other_texts_are_refused(data):
    with pytest.raises(SettingsError, match=r"E277.*1 have a text that no row has"):
        load(data, [{"text": "another", "score": 0.5}])
    with pytest.raises(SettingsError, match=r"E277.*line 1: no string in the field"):
        load(data, [{"prompt": TEXTS[0], "score": 0.5}], text="body")


# Options


def test_options_apply_to_all_systems_or_to_one(tmp_path):
    paths = [write(tmp_path / name, []) for name in ("a=b.jsonl", "c.jsonl")]
    first, second = parse_systems(
        [f"a={paths[0]}", f"c={paths[1]}"],
        ["text=body", "c:score=x=y"],
        ["0.3", "c:-1"],
        ours="demo",
    )
    assert first == System("a", paths[0], {"text": ("body",)}, 0.3)
    assert second.fields == {"text": ("body",), "score": ("x=y",)}
    assert second.threshold == -1.0


@pytest.mark.parametrize(
    ("scores", "fields", "thresholds", "code"),
    [
        (["a"], [], [], "E278"),
        (["=FILE"], [], [], "E278"),
        (["a=absent.jsonl"], [], [], "E139"),
        (["a=FILE", "a=FILE"], [], [], "E279"),
        (["demo=FILE"], [], [], "E279"),
        (["a=FILE"], ["prompt"], [], "E278"),
        (["a=FILE"], ["prompt=text"], [], "E278"),
        (["a=FILE"], ["b:text=prompt"], [], "E278"),
        (["a=FILE"], [], ["high"], "E278"),
        (["a=FILE"], [], ["nan"], "E278"),
        (["a=FILE"], [], ["b:0.5"], "E278"),
    ],
)
def test_wrong_options(tmp_path, scores, fields, thresholds, code):
    path = str(write(tmp_path / "a.jsonl", []))
    scores = [value.replace("FILE", path) for value in scores]
    with pytest.raises(SettingsError, match=code):
        parse_systems(scores, fields, thresholds, ours="demo")


# The command


@pytest.fixture
def evaluate(qwen2_folder, data):
    spacy.registry.cli.get_all()

    def run(*arguments):
        command = ["duoguard", "evaluate", str(data), "--model", str(qwen2_folder)]
        options = ["--device", "cpu", "--precision", "float32"]
        result = CliRunner().invoke(app, [*command, *options, *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    return run


def test_systems_are_compared_on_the_rows_that_all_have(
    evaluate, classifier, tmp_path, qwen2_folder
):
    pytest.importorskip("matplotlib", reason="it draws a picture")
    perfect = [{"text": t, "score": float(g)} for t, g in zip(TEXTS, GOLD, strict=True)]
    a = write(tmp_path / "a.jsonl", perfect[:-1])
    b = write(tmp_path / "b.jsonl", [{"prompt": t, "flagged": True} for t in TEXTS[1:]])
    report = tmp_path / "report.json"
    code, output = evaluate(
        *(
            "--scores",
            f"a={a}",
            "--scores",
            f"b={b}",
            "--scores-field",
            "b:text=prompt",
        ),
        *("--json", report, "--plots", tmp_path / "plots"),
    )
    assert code == 0, output
    flat = " ".join(output.split())
    assert "a: no results for 1 of 20 rows of En/openai.json" in flat
    assert "b: no results for 1 of 9 rows of En/toxic_chat.json" in flat
    systems = json.loads(report.read_text())["systems"]
    first, second, mean = systems["files"]
    assert (first["file"], first["rows"], first["left_out"]) == ("openai.json", 18, 2)
    assert (mean["file"], mean["rows"]) == ("average", 18 + 8)
    names = [str(qwen2_folder), "a", "b"]
    assert list(first["systems"]) == names
    gold = np.array(GOLD[1:-1])
    flags = classifier.score(TEXTS[1:-1]).max(axis=1) > 0.5
    f1 = {names[0]: f1_score(gold, flags), "a": 1.0, "b": f1_score(gold, gold | True)}
    for name, value in f1.items():
        assert first["systems"][name]["f1"]["value"] == pytest.approx(value)
    gain = first["systems"]["a"]["gain"]
    assert gain["value"] == pytest.approx(1.0 - f1[names[0]])
    assert gain["low"] <= gain["value"] <= gain["high"]
    pairs = {tuple(pair["systems"]): pair["value"] for pair in first["differ"]}
    assert pairs["a", "b"] == pytest.approx((~gold).mean())
    assert pairs[names[0], "a"] == pytest.approx((flags != gold).mean())
    both = [f["systems"]["b"]["f1"]["value"] for f in (first, second)]
    assert mean["systems"]["b"]["f1"]["value"] == pytest.approx(np.mean(both))
    assert (tmp_path / "plots" / "En-systems.png").stat().st_size > 10_000
    row = next(line for line in output.splitlines() if line.split()[:1] == ["a"])
    assert "100.0 [100.0, 100.0]" in row


def test_truncated_texts_are_counted_for_each_system(data, make_nlp, tmp_path):
    spacy.registry.cli.get_all()
    model = {"window": 3, "stride": 3, "max_windows": 1}
    make_nlp(model=model).to_disk(tmp_path / "pipeline")
    classifier = make_nlp(model=model).get_pipe("duoguard").classifier
    truncated = [scores.truncated for scores in classifier.analyze(TEXTS)]
    rows = [ours(text, "truncated" if i < 3 else "ok") for i, text in enumerate(TEXTS)]
    results = write(tmp_path / "a.jsonl", rows)
    command = ["duoguard", "evaluate", str(data), "--model", str(tmp_path / "pipeline")]
    options = ["--scores", f"a={results}", "--json", str(tmp_path / "out.json")]
    run = CliRunner().invoke(app, [*command, *options])
    assert run.exit_code == 0, run.output
    report = json.loads((tmp_path / "out.json").read_text())
    files = report["languages"]["En"]["files"]
    counts = sum(truncated), sum(truncated[:9])
    assert 0 < counts[1] < counts[0] < len(TEXTS)
    names = ("openai.json", "toxic_chat.json")
    assert tuple(files[name]["truncated"] for name in names) == counts
    of_systems = [file["truncated"] for file in report["systems"]["files"]]
    ours_name = str(tmp_path / "pipeline")
    assert [of["a"] for of in of_systems] == [3, 3, 6]
    assert [of[ours_name] for of in of_systems] == [*counts, sum(counts)]
    flat = " ".join(run.output.split())
    assert "long texts scored up to max_windows" in flat
    assert f"so that a part was not scored: {sum(counts)} texts." in flat
    assert "a: 3 rows of En/openai.json are truncated" in flat


def test_a_mistake_in_a_file_ends_before_anything_is_scored(evaluate, tmp_path):
    path = write(tmp_path / "a.jsonl", [{"text": "another", "score": 1}])
    code, output = evaluate("--scores", f"a={path}")
    assert code == 1
    assert "E277" in output
    assert "texts" not in output.split("E277")[0]
    path = write(tmp_path / "b.jsonl", [{"text": TEXTS[0], "score": 1}])
    code, output = evaluate("--scores", f"b={path}", "--json", path)
    assert (code, "E227" in output) == (1, True)


@pytest.mark.parametrize("name", ["r.jsonl.run.json", ".r.jsonl.lock"])
def test_what_resuming_the_results_of_a_system_needs_is_not_replaced(tmp_path, name):
    results = tmp_path / "r.jsonl"
    for path in (results, tmp_path / name):
        path.touch()
    with pytest.raises(SettingsError, match="E227"):
        load_systems(
            *([f"other={results}"], None, None),
            ours="demo",
            folder=tmp_path,
            languages=[],
            outputs=[tmp_path / name],
        )


def test_the_example_writes_two_systems(data, tmp_path, capsys):
    write_language(tmp_path / "all" / "En")
    path = ROOT / "examples" / "compare_systems.py"
    spec = importlib.util.spec_from_file_location("compare_systems", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.main([str(tmp_path / "all"), str(tmp_path / "out")])
    texts = load_texts(tmp_path / "all", ["En"])
    for name in ("regression", "words"):
        path = tmp_path / "out" / f"{name}.jsonl"
        results = load_system(System(name, path), texts)
        assert results.broken == []
        missing = np.isnan(results.scores[FILE])
        # Texts of `toxic_chat.json` have results, wherever else they are.
        expected = [i % 5 > 0 and i >= 9 for i in range(len(TEXTS))]
        assert missing.tolist() == expected
