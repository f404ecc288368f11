"""docs/corrections.md: its commands, from the first to the last, on harmless texts."""

import json
import random
import shlex
import shutil

import pytest
import spacy
from spacy.cli._util import app
from support.documents import DOCS, blocks, read
from support.paths import ROOT
from typer.testing import CliRunner

from spacy_duoguard.taxonomy import CATEGORIES

pytestmark = pytest.mark.filterwarnings("ignore:.W001", "ignore:.*lr_scheduler")

COMMANDS = [
    line
    for block in blocks(read(DOCS / "corrections.md"), "bash")
    for line in block.splitlines()
]
COMPARE = "python examples/train/scripts/compare.py "
NAMES = ("Ana", "Björn", "Chloé", "Dana", "Eoin", "Fay", "Gil", "Hoa", "Ida", "Jan")
PLACES = ("Lund", "Cork", "Graz", "Nantes", "Porto", "Turku")


def make_texts():
    """Harmless texts, half of which the policy of this test forbids."""
    texts = {
        pattern.format(name=name, place=place): pattern.startswith("Where")
        for pattern in ("Where does {name} live in {place}?", "{name} left {place}.")
        for name in NAMES
        for place in PLACES
    }
    order = list(texts)
    random.Random(0).shuffle(order)
    return {text: texts[text] for text in order}


def to_marks(texts):
    """What the review page saves if somebody marks each category of each text."""
    for record, (text, is_forbidden) in enumerate(texts.items(), start=1):
        meta = {"unit": "document", "source": "results.jsonl", "record": record}
        for label in CATEGORIES:
            answer = "accept" if is_forbidden and label == "Privacy" else "reject"
            yield {"text": text, "label": label, "answer": answer, "meta": meta}


def run(command):
    words = shlex.split(command.removeprefix("python -m spacy "))
    words = ["demo" if word == "DuoGuard/DuoGuard-0.5B" else word for word in words]
    if words[:2] == ["duoguard", "score"]:
        words += ["--model", "demo"]
    if words[0] == "evaluate":
        words += ["--output", "scores.json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, f"{command}\n{result.output}"
    return result.output


def test_corrections_make_a_better_guard(tmp_path, monkeypatch, capfd):
    pytest.importorskip("matplotlib", reason="calibrate draws curves")
    spacy.registry.cli.get_all()
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples" / "train", tmp_path / "examples" / "train")
    texts = make_texts()
    shown, held_out = list(texts)[:80], list(texts)[80:]
    (tmp_path / "texts.txt").write_text("\n".join(shown), encoding="utf8")
    marks = to_marks({text: texts[text] for text in shown})
    for name, lines in (
        ("results.marks", marks),
        ("held-out", ({"text": t, "unsafe": int(texts[t])} for t in held_out)),
    ):
        content = "\n".join(map(json.dumps, lines))
        (tmp_path / f"{name}.jsonl").write_text(content, encoding="utf8")
    for command in COMMANDS:
        if command.startswith("python -m spacy "):
            run(command)
            continue
        assert command.startswith(COMPARE)
        monkeypatch.syspath_prepend(ROOT / "examples" / "train" / "scripts")
        import compare

        capfd.readouterr()
        compare.main(shlex.split(command.removeprefix(COMPARE)))
        row = capfd.readouterr().out.split("AUROC, unsafe")[1].split()
        assert float(row[1]) > max(float(row[0]), 95.0)
    assert (tmp_path / "review.html").stat().st_size > 10_000
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf8"))
    assert scores["duoguard_unsafe_auc"] > 0.95
    assert scores["duoguard_unsafe_f"] > 0.9
    nlp = spacy.load(tmp_path / "corrected")
    assert nlp.get_pipe("duoguard").cfg["threshold"] != 0.5
