"""`evaluate --disguises` measures with a classifier whose scores are known."""

import json

import numpy as np
import pytest
from support.evaluation_files import write_language

from spacy_duoguard.disguises.suite import SUITE
from spacy_duoguard.engine.text.views.functions import check_views, read_views
from spacy_duoguard.engine.text_scores import TextScores, WindowScores
from spacy_duoguard.evaluation.disguise_report import (
    format_disguises,
    save_disguise_pictures,
)
from spacy_duoguard.evaluation.disguised import (
    LEAST_SCORE,
    MOST_CHARS,
    measure_disguises,
)
from spacy_duoguard.evaluation.measures import measure
from spacy_duoguard.evaluation.rates import Rate
from spacy_duoguard.evaluation.run import Evaluation, FileResult, LanguageResult

UNSAFE = [f"I will kill you {name}" for name in ("Ana", "Bo", "Chloe", "Dana", "Eve")]
SAFE = ["A nice day", "We walk home", "skiing with k\u200bill", "a killing joke"]


class WordClassifier:
    """Fires on a word, in lower case, in what it reads."""

    def analyze(self, texts, *, normalize, views=None):
        assert normalize
        return [self._analyze(text, check_views(views)) for text in texts]

    def _analyze(self, text, views):
        windows = [self._window(text, "text")]
        windows += [self._window(v.text, v.name) for v in read_views(text, views)]
        highest = np.max([window.probabilities for window in windows], axis=0)
        return TextScores(highest, tuple(windows), False)

    def _window(self, text, view):
        return WindowScores(0, 1, np.array([0.1, score(text)], "f4"), view)


def score(text):
    return 0.9 if "kill" in text.lower() else 0.2


@pytest.fixture
def measured(tmp_path):
    """Measure on the rows of one language."""

    def run(rows, scores=None, **settings):
        folder = tmp_path / "En"
        folder.mkdir(exist_ok=True)
        records = [{"prompt": text, "class": int(unsafe)} for text, unsafe in rows]
        path = folder / "rtp_lx_prompt.json"
        path.write_text(json.dumps(records), encoding="utf8")
        gold = np.array([unsafe for _, unsafe in rows])
        values = np.array(scores or [score(text) for text, _ in rows])
        measures = measure(gold, values, ms=1.0)
        file = FileResult(path.name, gold, values, values > 1, measures)
        result = LanguageResult("En", (file,), ())
        evaluation = Evaluation("words", "cpu", "float32", False, False, (result,))
        return measure_disguises(tmp_path, evaluation, WordClassifier(), **settings)

    return run


ROWS = [(text, True) for text in UNSAFE] + [(text, False) for text in SAFE]


def test_what_passes_is_counted_for_each_view(measured):
    (result,) = measured(ROWS).languages
    assert result.texts == 5
    success = {of.disguise.name: of.success for of in result.disguises}
    assert set(success) == set(SUITE)

    def counts(name):
        return [success[name][r].count for r in ("text", "folded", "decoded")]

    assert counts("zero-width spaces") == [5, 0, 5]
    assert counts("base64") == [5, 5, 0]
    assert counts("capitals") == [0, 0, 0]
    assert counts("rot13") == [5, 5, 5]
    for name, disguise in SUITE.items():
        rates = success[name]
        assert rates["normalize"].count <= min(rates["folded"].count, 5)
        assert rates["normalize"].total == 5
        if disguise.view:
            assert rates["normalize"].count == 0
            assert rates[disguise.view].count == 0


def test_only_texts_that_are_recognized_and_short_are_disguised(measured):
    scores = [0.9, LEAST_SCORE, 0.55, 0.9, 0.1, *([0.1] * 4)]
    (result,) = measured(ROWS, scores).languages
    assert result.texts == 2
    long = [("kill " * (MOST_CHARS // 5) + "x", True), ("we walk", False)]
    (result,) = measured(long).languages
    assert result.texts == 0
    assert result.disguises[0].success["text"].value is None
    assert format_disguises(measured(long))


def test_the_number_of_texts_is_bounded_and_seeded(measured):
    (result,) = measured(ROWS, n_texts=3).languages
    assert result.texts == 3
    ticks = []
    measured(ROWS, n_texts=2, tick=lambda n, total: ticks.append((n, total)))
    assert ticks == [(2, 2 * len(SUITE))] * len(SUITE)


def test_the_safe_texts_that_views_add_are_counted(measured):
    report = measured(ROWS)
    (result,) = report.languages
    (safe,) = result.safe
    assert safe.flagged["text"] == Rate(1, 4)
    assert safe.flagged["folded"] == safe.flagged["normalize"] == Rate(2, 4)
    assert safe.added["folded"] == Rate(1, 4)
    assert safe.added["decoded"] == safe.added["text"] == Rate(0, 4)
    assert result.all_safe().added == safe.added
    as_json = report.to_dict()["languages"]["En"]["safe"]["rtp_lx_prompt.json"]
    assert as_json["added"]["folded"]["rate"] == 0.25


def test_views_of_the_user_are_measured_too(measured):
    def backwards(text):
        return text[::-1], range(len(text) - 1, -1, -1)

    report = measured([*ROWS, ("llik a", False)], views={"backwards": backwards})
    assert report.readings == ("text", "folded", "decoded", "backwards", "normalize")
    (result,) = report.languages
    assert result.all_safe().added["backwards"] == Rate(1, 5)
    success = {of.disguise.name: of.success for of in result.disguises}
    assert success["right-to-left override"]["backwards"].count == 0


def test_the_tables_and_the_pictures(measured, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    report = measured(ROWS)
    lines = format_disguises(report).split("\n")
    (row,) = [line for line in lines if line.startswith("base64   ")]
    assert row.split()[1:] == [
        *("100.0", "(56.6–100.0)", "100.0", "(56.6–100.0)"),
        *("0.0", "(0.0–43.4)", "0.0", "(0.0–43.4)"),
    ]
    (row,) = [line for line in lines if line.startswith("all files")]
    assert row.split()[2:6] == ["4", "25.0", "25.0", "(4.6–69.9)"]
    (path,) = save_disguise_pictures(report, tmp_path / "pictures")
    assert path.name == "En-disguises.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_intervals_by_hand():
    assert Rate(0, 100).interval == pytest.approx((0.0, 0.0370), abs=1e-4)
    assert Rate(50, 100).interval == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert Rate(100, 100).interval == pytest.approx((0.9630, 1.0), abs=1e-4)
    assert Rate(0, 0).value is None


def test_the_command_prints_and_saves_them(evaluate, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    write_language(tmp_path / "data" / "En")
    report = tmp_path / "report.json"
    arguments = ("--disguises", "--disguised-texts", "2", "--json", report)
    code, output = evaluate(
        tmp_path / "data", *arguments, "--plots", tmp_path / "pictures"
    )
    assert code == 0, output
    results = json.loads(report.read_text())["disguises"]
    english = results["languages"]["En"]
    assert results["readings"] == ["text", "folded", "decoded", "normalize"]
    assert set(english["attack_success"]) == set(SUITE)
    assert english["texts"] <= 2
    assert english["safe"]["all files"]["flagged"]["text"]["texts"] > 0
    assert "zero-width spaces" in output
    assert (tmp_path / "pictures" / "En-disguises.png").is_file()
    # No picture replaces an input.
    data = tmp_path / "data" / "En"
    (data / "En-disguises.png").symlink_to("openai.json")
    code, output = evaluate(tmp_path / "data", "--disguises", "--plots", data)
    assert (code, "E22" in output) == (1, True)
