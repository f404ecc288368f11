"""`evaluate` measures on the paper's files. The rows here are invented."""

import json

import numpy as np
import pytest
from support.evaluation_files import TEXTS, XSTEST, write_language

from spacy_duoguard.errors import SettingsError
from spacy_duoguard.evaluation.datasets import DATASETS, load_rows
from spacy_duoguard.evaluation.measures import Measures, average, measure
from spacy_duoguard.evaluation.paper import PAPER


def rows_of(folder, name):
    (dataset,) = [dataset for dataset in DATASETS if dataset.filename == name]
    return load_rows(dataset, folder / name)


def test_each_format_is_read_as_described(tmp_path):
    folder = write_language(tmp_path / "De")
    pairs = [(text, i % 3 == 0) for i, text in enumerate(TEXTS)]
    assert rows_of(folder, "openai.json") == pairs
    assert rows_of(folder, "toxic_chat.json") == pairs[:9]
    assert rows_of(folder, "rtp_lx_prompt.json") == pairs
    assert rows_of(folder, "XSafety.json") == [(text, True) for text in TEXTS]
    answers = [(f"{text} an answer", unsafe) for text, unsafe in pairs]
    assert rows_of(folder, "beavertail_test.jsonl") == answers
    assert rows_of(folder, XSTEST) == pairs


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("openai.json", '[{"prompt": "secret", "moderation_flag": 0}, {}]', "row 2"),
        ("openai.json", '[{"prompt": "secret", "moderation_flag": 2}]', "nor 1"),
        ("openai.json", '[{"prompt": "secret", "moder', "JSONDecodeError"),
        ("openai.json", '["secret"]', "TypeError"),
        ("openai.json", "[" * 100_000, "RecursionError"),
        ("openai.json", "[]", "no rows"),
        ("XSafety.json", '[{"prompt": ["secret"], "class": 1}]', "not a string"),
        (XSTEST, 'id,type,prompt\n1,contrast_x,"secret\n', "Error"),
        (XSTEST, "id,type\n1,secret\n", "'prompt'"),
        (XSTEST, "prompt,type\nsecret\n", "AttributeError"),
    ],
)
def test_a_damaged_row_fails_the_file(tmp_path, name, content, problem):
    (tmp_path / name).write_text(content, encoding="utf8")
    with pytest.raises(SettingsError, match="E145") as caught:
        rows_of(tmp_path, name)
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


def test_measures_computed_by_hand():
    gold = np.array([True, True, True, False, False])
    scores = np.array([0.9, 0.6, 0.5, 0.7, 0.1])  # 0.5 is not greater than 0.5
    measures = measure(gold, scores, ms=2.0)
    assert measures.precision == pytest.approx(2 / 3)
    assert measures.recall == pytest.approx(2 / 3)
    assert measures.f1 == pytest.approx(2 / 3)
    assert measures.fpr == pytest.approx(1 / 2)
    # Steps of recall at the precisions 1/1, 2/3 and 3/4.
    assert measures.auprc == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    unsafe_only = measure(gold[:3], scores[:3], ms=2.0)
    assert (unsafe_only.fpr, unsafe_only.auprc) == (None, None)
    assert unsafe_only.f1 == pytest.approx(4 / 5)
    none_flagged = measure(gold, scores / 10, ms=2.0)
    assert (none_flagged.f1, none_flagged.precision) == (0.0, None)
    assert average([measures, unsafe_only]) == Measures(
        f1=pytest.approx((2 / 3 + 4 / 5) / 2),
        precision=pytest.approx((2 / 3 + 1) / 2),
        recall=pytest.approx(2 / 3),
        fpr=pytest.approx(1 / 2),
        auprc=measures.auprc,
        ms=2.0,
    )


def test_the_table_and_the_json_agree(evaluate, classifier, tmp_path):
    write_language(tmp_path / "data" / "En")
    write_language(tmp_path / "data" / "De", without=["openai.json", XSTEST])
    report = tmp_path / "new" / "report.json"
    code, output = evaluate(tmp_path / "data", "--json", report)
    assert code == 0, output
    results = json.loads(report.read_text())
    assert list(results["languages"]) == ["En", "De"]
    english = results["languages"]["En"]["files"]["openai.json"]
    assert (english["texts"], english["unsafe"]) == (20, 7)
    scores = classifier.score(TEXTS).max(axis=1)
    gold = np.array([i % 3 == 0 for i in range(len(TEXTS))])
    expected = measure(gold, scores, ms=english["ms"])
    for key in ("f1", "precision", "recall", "fpr", "auprc"):
        assert english[key] == pytest.approx(getattr(expected, key)), key
    (row,) = [line for line in output.split("De:")[0].split("\n") if "openai" in line]
    rates = [getattr(expected, key) for key in ("f1", "precision", "recall")]
    cells = ["openai.json", "20", "7", *(f"{100 * rate:.1f}" for rate in rates)]
    assert row.split()[:6] == cells
    german = results["languages"]["De"]
    assert german["missing"] == ["openai.json", XSTEST]
    assert german["files"][XSTEST] is None
    assert german["averaged_files"] == 4
    f1 = [file["f1"] for file in german["files"].values() if file]
    assert german["average"]["f1"] == pytest.approx(sum(f1) / 4)
    assert "average of 4 of 6" in output
    assert f"Missing: openai.json, {XSTEST}" in output
    assert results["paper"]["comparable"] == {"En": False, "De": False}
    assert output.count("doesn't have the paper's weights") == 2
    assert [row["f1"]["De"] for row in results["paper"]["rows"]] == [
        *(71.9, 61.3, 55.4, 44.7, 36.8)
    ]
    for row in PAPER:
        assert f"paper: {row.model}" in output


def test_one_language_of_several(evaluate, tmp_path):
    write_language(tmp_path / "En")
    write_language(tmp_path / "Es")
    code, output = evaluate(tmp_path, "--language", "Es")
    assert code == 0
    assert "73.9" in output
    assert "En:" not in output


def test_the_papers_weights_are_known_by_their_source(evaluate, qwen2_folder, tmp_path):
    write_language(tmp_path / "data" / "Fr")
    model = tmp_path / "downloaded"
    model.mkdir()
    for path in qwen2_folder.iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    noted = {"format_version": 1, "model": "DuoGuard/DuoGuard-0.5B"}
    (model / "duoguard.json").write_text(json.dumps(noted))
    report = tmp_path / "report.json"
    arguments = ("--model", model, "--json", report)
    code, output = evaluate(tmp_path / "data", *arguments)
    assert code == 0, output
    assert "doesn't have the paper's weights" not in output
    assert json.loads(report.read_text())["paper"]["comparable"] == {"Fr": True}


def test_missing_files_are_an_error(evaluate, tmp_path):
    for arguments in ((), ("--language", "Fr")):
        code, output = evaluate(tmp_path, *arguments)
        assert code == 1
        assert "E144" in output
        assert output.count("\n") == 1


def test_the_pictures(evaluate, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    write_language(tmp_path / "data" / "En")
    code, output = evaluate(tmp_path / "data", "--plots", tmp_path / "pictures")
    assert code == 0, output
    names = [path.name for path in sorted((tmp_path / "pictures").iterdir())]
    assert names == ["En-precision-recall.png", "En-roc.png"]
    for name in names:
        picture = (tmp_path / "pictures" / name).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 10_000
        assert name in output


def test_without_matplotlib_nothing_is_scored(evaluate, tmp_path, monkeypatch):
    write_language(tmp_path / "data" / "En")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    code, output = evaluate(tmp_path / "data", "--plots", tmp_path / "pictures")
    assert code == 1
    assert "E149" in output
    assert "spacy-duoguard[plot]" in output


def test_no_output_replaces_an_input(evaluate, qwen2_folder, tmp_path):
    folder = write_language(tmp_path / "En")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    (folder / "En-roc.png").symlink_to("openai.json")
    hard = tmp_path / "results.json"
    hard.hardlink_to(folder / "openai.json")
    for code, *arguments in [
        ("E227", "--json", folder / "openai.json"),
        ("E227", "--json", hard),
        ("E227", "--json", tmp_path / "De" / "openai.json"),
        ("E227", "--json", qwen2_folder / "config.json"),
        ("E228", "--json", folder),
        ("E228", "--plots", folder),
        ("E230", "--plots", hard),
    ]:
        status, message = evaluate(tmp_path, *arguments)
        assert (status, code in message) == (1, True), message
    assert {path: path.read_bytes() for path in before} == before
