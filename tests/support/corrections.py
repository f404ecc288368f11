"""The commands of docs/corrections.md, from first to last, on harmless texts."""

import json
import random
import shlex
import shutil

import numpy as np
import spacy
from spacy.cli._util import app
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_duoguard.calibration.thresholds import midpoint_threshold

from .documents import DOCS, blocks, read
from .paths import ROOT

COMMANDS = [
    line
    for block in blocks(read(DOCS / "corrections.md"), "bash")
    for line in block.splitlines()
]
SCRIPTS = ROOT / "examples" / "train" / "scripts"
COMPARE = "python examples/train/scripts/compare.py "
NAMES = ("Ana", "Björn", "Chloé", "Dana", "Eoin", "Fay", "Gil", "Hoa", "Ida", "Jan")
PLACES = ("Lund", "Cork", "Graz", "Nantes", "Porto", "Turku")
FORBIDDEN = "Privacy"  # the category of what the policy forbids


def make_texts():
    """Harmless texts, and whether a made-up policy forbids them, as every other one."""
    texts = {
        pattern.format(name=name, place=place): pattern.startswith("Where")
        for pattern in ("Where does {name} live in {place}?", "{name} left {place}.")
        for name in NAMES
        for place in PLACES
    }
    order = list(texts)
    random.Random(0).shuffle(order)
    return {text: texts[text] for text in order}


def run(command):
    words = shlex.split(command.removeprefix("python -m spacy "))
    words = ["demo" if word == "DuoGuard/DuoGuard-0.5B" else word for word in words]
    if words[:2] == ["duoguard", "score"]:
        words += ["--model", "demo"]
    if words[0] == "evaluate":
        words += ["--output", "scores.json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, f"{command}\n{result.output}"


def follow_the_page(folder, monkeypatch, capfd, correct):
    """Run all commands in a folder.

    correct (Callable[[dict], str]): Makes the file of marks, once there is a page.
    """
    spacy.registry.cli.get_all()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(SCRIPTS)
    shutil.copytree(SCRIPTS.parent, folder / "examples" / "train")
    texts = make_texts()
    shown = dict(list(texts.items())[:80])
    held_out = (json.dumps({"text": t, "unsafe": int(texts[t])}) for t in texts)
    lines = [line for t, line in zip(texts, held_out, strict=True) if t not in shown]
    (folder / "held-out.jsonl").write_text("\n".join(lines), encoding="utf8")
    (folder / "texts.txt").write_text("\n".join(shown), encoding="utf8")
    for command in COMMANDS:
        if command.startswith("python -m spacy duoguard convert results.marks"):
            (folder / "results.marks.jsonl").write_text(correct(shown), "utf8")
        if command.startswith(COMPARE):
            check_comparison(command, capfd)
        else:
            run(command)
    scores = json.loads((folder / "scores.json").read_text(encoding="utf8"))
    assert scores["duoguard_unsafe_auc"] > 0.95
    assert scores["duoguard_unsafe_f"] > 0.9
    assert (folder / "corrected.precision-recall.png").stat().st_size > 10_000
    nlp = spacy.load(folder / "corrected")
    guard, trained = (
        of.get_pipe("duoguard") for of in (nlp, spacy.load("training/model-best"))
    )
    assert guard.cfg["threshold"] == _separator(trained, folder / "corpus/dev.spacy")


def _separator(guard, corpus):
    """The threshold with the best F1 for texts that a guard tells apart: it can be the
    one of before."""
    docs = list(DocBin().from_disk(corpus).get_docs(guard.vocab))
    top = guard.classifier.score([doc.text for doc in docs]).max(axis=1)
    unsafe = np.array([max(doc.cats.values()) > 0.5 for doc in docs])
    return midpoint_threshold(float(top[~unsafe].max()), float(top[unsafe].min()))


def check_comparison(command, capfd):
    import compare

    capfd.readouterr()
    compare.main(shlex.split(command.removeprefix(COMPARE)))
    output = capfd.readouterr().out
    before, after = output.split("AUROC, unsafe")[1].split()[:2]
    assert float(after) > max(float(before), 95.0), output
