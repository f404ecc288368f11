"""`calibrate` writes all thresholds to the saved pipeline, or none."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import spacy
from spacy.cli._util import app
from spacy.tokens import DocBin
from spacy.util import load_config
from typer.testing import CliRunner

from spacy_duoguard.calibration import run as calibration_run
from spacy_duoguard.calibration.picture import save_picture
from spacy_duoguard.calibration.report import format_report
from spacy_duoguard.calibration.thresholds import Goal, calibrate
from spacy_duoguard.taxonomy import CATEGORIES

TEXTS = [f"{word} {i}" for i in range(10) for word in ("dog", "a fox", "x", "été")]
# Two categories are labelled; every fourth text has no label at all.
GOLD = [
    {"Hate": float(i % 2), "Privacy": float(i % 3 == 0)} if i % 4 else {}
    for i in range(len(TEXTS))
]


@pytest.fixture
def saved(make_nlp, tmp_path):
    nlp = make_nlp(thresholds={"Jailbreak prompts": 0.3})
    nlp.to_disk(tmp_path / "pipeline")
    return tmp_path / "pipeline"


def write_corpus(path, golds, texts=TEXTS):
    nlp = spacy.blank("en")
    docs = []
    for text, gold in zip(texts, golds, strict=True):
        doc = nlp.make_doc(text)
        doc.cats = gold
        docs.append(doc)
    DocBin(docs=docs).to_disk(path)
    return path


@pytest.fixture
def dev(tmp_path):
    return write_corpus(tmp_path / "dev.spacy", GOLD)


def run(*arguments):
    spacy.registry.cli.get_all()  # as spaCy does before it reads the command line
    result = CliRunner().invoke(app, ["duoguard", "calibrate", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rates(folder, label):
    """The recall and false positive rate of a category in the saved pipeline."""
    nlp = spacy.load(folder)
    flagged = [label in doc._.duoguard_flags for doc in nlp.pipe(TEXTS)]
    pairs = [(f, g[label]) for f, g in zip(flagged, GOLD, strict=True) if label in g]
    hits = sum(f for f, gold in pairs if gold)
    false = sum(f for f, gold in pairs if not gold)
    positives = sum(gold for _, gold in pairs)
    return hits / positives, false / (len(pairs) - positives)


def test_thresholds_survive_loading_and_meet_the_target(saved, dev):
    before = spacy.load(saved)
    code, output = run(saved, dev, "--target-fpr", 0.2, "--no-plot")
    assert code == 0, output
    nlp = spacy.load(saved)  # a disagreement of config and component would warn
    pipe = nlp.get_pipe("duoguard")
    thresholds = pipe.cfg["thresholds"]
    assert set(thresholds) == {"Hate", "Privacy", "Jailbreak prompts"}
    assert thresholds["Jailbreak prompts"] == 0.3
    assert nlp.config["components"]["duoguard"]["thresholds"] == thresholds
    assert pipe.cfg["threshold"] == 0.5
    for label in ("Hate", "Privacy"):
        recall, fpr = rates(saved, label)
        assert fpr <= 0.2
        assert f"{recall:.3f}" in output
        assert f"{fpr:.3f}" in output
        assert f"{thresholds[label]:g}" in output
    assert output.count("kept: no labelled text") == 10
    again = [doc.cats for doc in nlp.pipe(TEXTS)]
    assert again == [doc.cats for doc in before.pipe(TEXTS)]


def test_config_and_component_agree(saved, dev):
    assert run(saved, dev, "--best-f", "--no-plot")[0] == 0
    config = load_config(saved / "config.cfg")["components"]["duoguard"]
    stored = json.loads((saved / "duoguard" / "cfg").read_text(encoding="utf8"))
    for part in ("settings", "configured"):
        assert stored[part]["thresholds"] == config["thresholds"]
        assert stored[part]["threshold"] == config["threshold"]


def test_thresholds_set_at_run_time_are_kept(make_nlp, dev, tmp_path):
    nlp = make_nlp()
    nlp.get_pipe("duoguard").cfg["thresholds"]["Jailbreak prompts"] = 0.25
    nlp.to_disk(tmp_path / "pipeline")
    assert run(tmp_path / "pipeline", dev, "--best-f", "--no-plot")[0] == 0
    thresholds = (
        spacy.load(tmp_path / "pipeline").get_pipe("duoguard").cfg["thresholds"]
    )
    assert thresholds["Jailbreak prompts"] == 0.25
    assert set(thresholds) == {"Hate", "Privacy", "Jailbreak prompts"}


def test_added_categories_are_calibrated(make_nlp, tmp_path):
    nlp = make_nlp()
    nlp.get_pipe("duoguard").add_label("Spoilers")
    nlp.to_disk(tmp_path / "pipeline")
    golds = [{"Spoilers": float(i % 2)} for i in range(len(TEXTS))]
    dev = write_corpus(tmp_path / "spoilers.spacy", golds)
    assert run(tmp_path / "pipeline", dev, "--best-f", "--no-plot")[0] == 0
    pipe = spacy.load(tmp_path / "pipeline").get_pipe("duoguard")
    assert set(pipe.cfg["thresholds"]) == {"Spoilers"}


@pytest.mark.parametrize("goal", [("--target-recall", 0.9), ("--best-f",)])
def test_the_other_goals(saved, dev, goal):
    code, output = run(saved, dev, *goal, "--no-plot")
    assert code == 0, output
    if "--target-recall" in goal:
        assert all(rates(saved, label)[0] >= 0.9 for label in ("Hate", "Privacy"))
    assert spacy.load(saved).get_pipe("duoguard").cfg["thresholds"]["Hate"] != 0.5


def test_unsafe_sets_one_threshold_for_all_categories(saved, tmp_path):
    golds = [{"unsafe": float(i % 2)} for i in range(len(TEXTS))]
    dev = write_corpus(tmp_path / "unsafe.spacy", golds)
    assert "add --unsafe" in failure(saved, dev, "--best-f")
    code, output = run(saved, dev, "--target-fpr", 0.1, "--unsafe", "--no-plot")
    assert code == 0, output
    nlp = spacy.load(saved)
    assert nlp.get_pipe("duoguard").cfg["thresholds"] == {}
    flagged = [bool(doc._.duoguard_flags) for doc in nlp.pipe(TEXTS)]
    false = sum(f for f, gold in zip(flagged, golds, strict=True) if not gold["unsafe"])
    assert false <= 2  # of 20
    assert f"{false} of 20" in output


def test_output_is_a_complete_copy(saved, dev, tmp_path):
    before, output = contents(saved), tmp_path / "new" / "copy"
    assert run(saved, dev, "--best-f", "--no-plot", "--output", output)[0] == 0
    assert contents(saved) == before
    after = contents(output)
    changed = {str(path) for path in after if after[path] != before[path]}
    assert set(after) == set(before)
    inner = {os.path.join("duoguard", name) for name in ("cfg", "manifest.json")}
    assert changed == {"config.cfg"} | inner
    assert os.listdir(output.parent) == ["copy"]
    assert "E085" in failure(saved, dev, "--best-f", "--no-plot", "-o", output)
    assert contents(output) == after
    arguments = ("--target-fpr", 0, "--no-plot", "--output", output, "--force")
    assert run(saved, dev, *arguments)[0] == 0
    assert contents(output) != after
    assert os.listdir(output.parent) == ["copy"]
    inside = saved / "duoguard" / "copy"
    assert "E227" in failure(saved, dev, "--best-f", "--no-plot", "-o", inside)


def test_an_interrupted_write_leaves_the_old_thresholds(saved, dev, monkeypatch):
    before = spacy.load(saved).get_pipe("duoguard").cfg

    def fail(path):
        assert path.name == "config.cfg"
        raise OSError("no space left")

    monkeypatch.setattr(calibration_run, "write_aside", fail)
    code, output = run(saved, dev, "--best-f", "--no-plot")
    assert (code, "no space left" in output) == (1, True)
    assert "Hate" in (saved / "duoguard" / "cfg").read_text(encoding="utf8")
    assert spacy.load(saved).get_pipe("duoguard").cfg == before


def failure(*arguments):
    """The one-line message of a command that must fail with exit code 1."""
    code, output = run(*arguments)
    assert code == 1, output
    assert "Traceback" not in output
    return " ".join(output.split())


def test_failures_change_nothing(saved, dev, tmp_path):
    before = contents(saved)
    assert "E080" in failure(saved, dev)
    assert "E080" in failure(saved, dev, "--best-f", "--target-fpr", 0.1)
    assert "E081" in failure(saved, dev, "--target-fpr", 7)
    other = "--component", "other"
    message = failure(saved, dev, "--best-f", *other)
    assert "no 'other'" in message
    assert "it has: duoguard" in message
    assert "E086" in failure(tmp_path, dev, "--best-f")
    damaged = tmp_path / "damaged.spacy"
    damaged.write_bytes(b"not a corpus")
    assert "E083" in failure(saved, damaged, "--best-f")
    damaged.write_bytes(dev.read_bytes() * 2)
    assert "E341" in failure(saved, damaged, "--best-f")
    listed = spacy.blank("en")("a dog")
    listed.cats = ["unsafe"]
    DocBin(docs=[listed]).to_disk(damaged)
    assert "E343" in failure(saved, damaged, "--best-f")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "dev.jsonl").touch()
    assert "E195" in failure(saved, tmp_path / "texts", "--best-f")
    assert "E195" in failure(saved, tmp_path / "texts" / "dev.jsonl", "--best-f")
    empty = write_corpus(tmp_path / "empty.spacy", [], [])
    assert "(0 docs)" in failure(saved, empty, "--best-f")
    one_class = write_corpus(tmp_path / "one.spacy", [{"Hate": 1.0}] * len(TEXTS))
    assert "E084" in failure(saved, one_class, "--best-f")
    assert "E084" in failure(saved, one_class, "--best-f", "--unsafe")
    wrong = [*GOLD[1:], {"Hate": float("nan")}]
    assert "E063" in failure(
        saved, write_corpus(tmp_path / "nan.spacy", wrong), "--best-f"
    )
    wrong = [*GOLD[1:], {**dict.fromkeys(CATEGORIES, 0.0), "unsafe": 1.0}]
    assert "E068" in failure(
        saved, write_corpus(tmp_path / "all.spacy", wrong), "--best-f"
    )
    assert contents(saved) == before


def test_a_gpu_that_spacy_cannot_use_is_named(saved, dev, monkeypatch):
    def refuse(gpu_id):
        raise ValueError("Cannot use GPU, CuPy is not installed")

    monkeypatch.setattr("spacy.cli._util.setup_gpu", refuse)
    message = failure(saved, dev, "--best-f", "--gpu-id", 0)
    assert "E196" in message
    assert "CuPy is not installed. Install" in message


def test_a_missing_file_is_a_usage_error(saved, tmp_path):
    code, output = run(saved, tmp_path / "missing.spacy", "--best-f")
    assert code == 2
    assert "does not exist" in " ".join(re.sub(r"[│\n]", " ", output).split())


def test_several_components_need_a_name(saved, dev, make_nlp, tmp_path):
    nlp = make_nlp()
    model = nlp.get_pipe_config("duoguard")["model"]
    nlp.add_pipe("duoguard", name="second", config={"model": model})
    nlp.to_disk(tmp_path / "two")
    message = failure(tmp_path / "two", dev, "--best-f")
    assert "2 components" in message
    assert "it has: duoguard, second" in message
    arguments = ("--best-f", "--no-plot", "--component", "second")
    assert run(tmp_path / "two", dev, *arguments)[0] == 0
    loaded = spacy.load(tmp_path / "two")
    assert loaded.get_pipe("duoguard").cfg["thresholds"] == {}
    assert set(loaded.get_pipe("second").cfg["thresholds"]) == {"Hate", "Privacy"}


def test_sentences_are_not_scored(make_nlp, dev, tmp_path):
    make_nlp(sents=True).to_disk(tmp_path / "pipeline")
    # The corpus has no sentences: scoring them would be an error.
    assert run(tmp_path / "pipeline", dev, "--best-f", "--no-plot")[0] == 0


def test_the_picture(saved, dev, tmp_path):
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib")
    code, output = run(saved, dev, "--best-f")
    assert code == 0, output
    picture = tmp_path / "pipeline.precision-recall.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.name in output.replace("\n", "")
    other = tmp_path / "pictures" / "curves.png"
    assert run(saved, dev, "--best-f", "--plot", other)[0] == 0
    assert other.stat().st_size > 10_000


def test_a_missing_matplotlib_is_reported(saved, dev, tmp_path, monkeypatch):
    monkeypatch.setattr(calibration_run, "has_matplotlib", lambda: False)
    code, output = run(saved, dev, "--best-f")
    assert code == 0
    assert "spacy-duoguard[plot]" in output
    assert not list(tmp_path.glob("*.png"))


def test_the_table_has_the_curve_and_the_counts(saved, dev):
    _, output = run(saved, dev, "--best-f", "--no-plot")
    lines = [line for line in output.splitlines() if line.startswith("Hate ")]
    row, expected = lines  # in the table of thresholds, and in that of other texts
    assert re.search(r"\d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\)", expected)
    positives = sum(gold.get("Hate") == 1.0 for gold in GOLD)
    assert row.split()[1:3] == [str(positives), str(30 - positives)]
    assert re.search(r"[▁▂▃▄▅▆▇█0-9]{10}\s*$", row)


def test_curves_that_coincide_have_panels_of_their_own(tmp_path, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure", reason="the picture needs it")
    figures = []

    class Kept(figure.Figure):
        def savefig(self, *args, **kwargs):
            figures.append(self)

    monkeypatch.setattr(figure, "Figure", Kept)
    gold = np.repeat([0.0, 1.0], 20)[:, None].repeat(13, axis=1)
    gold[:, 3] = np.nan  # neither positive nor negative texts
    scores = 0.2 + 0.6 * gold[:, :12]
    scores[:, 3] = 0.1
    scores[0, 0] = 0.9  # a safe text above all others
    settings = {"threshold": 0.5, "thresholds": {}}
    goal = Goal(target_recall=1.0)
    save_picture(calibrate(CATEGORIES, scores, gold, goal, **settings), tmp_path / "a")
    drawn = [axes for axes in figures[0].axes if axes.lines]
    assert len(drawn) == 11
    for axes in drawn:
        recall = axes.lines[0].get_xdata()
        assert len(set(recall)) == len(recall)  # no line down at a recall of 1
        assert axes.get_xlim()[1] > 1  # nor along the frame
    assert drawn[0].get_title().startswith("Violent crimes > ")
    assert drawn[0].lines[0].get_ydata()[-1] == 20 / 21


@pytest.mark.parametrize("unsafe", [False, True])
def test_false_positives_that_add_up_are_pointed_out(unsafe):
    """Each category flags another tenth of the safe texts."""
    gold = np.repeat([0.0, 1.0], [20, 10])[:, None].repeat(13, axis=1)
    scores = np.where(gold[:, :12] > 0, 0.5, 0.1)
    for i in range(4):
        scores[2 * i : 2 * i + 2, i] = 0.9
    goal, settings = Goal(target_fpr=0.1), {"threshold": 0.5, "thresholds": {}}
    made = calibrate(CATEGORIES, scores, gold, goal, unsafe=unsafe, **settings)
    advice = "Together, they flag 40.0% of the safe texts"
    assert (advice in format_report(made, goal)) == (not unsafe)


@pytest.mark.slow
def test_as_a_command_of_spacy(saved, dev):
    command = [sys.executable, "-m", "spacy", "duoguard", "calibrate"]
    arguments = [str(saved), str(dev), "--target-recall", "0.9", "--no-plot"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    settings = json.loads((saved / "duoguard" / "cfg").read_text(encoding="utf8"))
    assert set(settings["settings"]["thresholds"]) < set(CATEGORIES)


def test_a_review_recall_that_would_not_hold_is_refused(make_nlp, tmp_path):
    """Of those unsafe texts that score lowest, no category is known."""
    saved = tmp_path / "pipeline"
    make_nlp(threshold=1.0).to_disk(saved)  # other categories are never flagged
    scores = [doc.cats["Hate"] for doc in spacy.load(saved).pipe(TEXTS)]
    golds = [{"unsafe": 0.0} for _ in TEXTS]
    ascending = np.argsort(scores)
    for i in range(10):
        golds[ascending[i]] = {"unsafe": 1.0}
        golds[ascending[-1 - i]] = {"Hate": 1.0}
    dev = write_corpus(tmp_path / "mixed.spacy", golds)
    before = contents(saved)
    goal = ("--target-fpr", "0.0", "--review-recall", "1.0", "--no-plot")
    code, output = run(saved, dev, *goal)
    assert (code, contents(saved)) == (1, before)
    allowed, total = re.search(r"E350.* (\d+)\s+of\s+(\d+)", output, re.DOTALL).groups()
    assert 0 < int(allowed) <= 10
    assert total == "20"
    code, output = run(saved, dev, *goal, "--unsafe")
    assert code == 0, output
    docs = spacy.load(saved).pipe(TEXTS)
    actions = [doc._.duoguard_action for doc in docs]
    unsafe = [a for a, gold in zip(actions, golds, strict=True) if any(gold.values())]
    assert len(unsafe) == 20
    assert "allow" not in unsafe
