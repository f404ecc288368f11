"""`examples/train`: its parts here, and each of its commands in the slow tests."""

import json
import os
import random
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import spacy
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import load_config
from support.paths import ROOT
from support.scored import mark, mark_failed
from support.training import make_examples
from thinc.api import Adam

from spacy_duoguard.corpora.convert import Request
from spacy_duoguard.corpora.convert import convert as convert_records
from spacy_duoguard.corpora.labels import parse_labels
from spacy_duoguard.pipeline.settings import DEFAULT_CONFIG
from spacy_duoguard.taxonomy import CATEGORIES

PROJECT = ROOT / "examples" / "train"
CONFIGS = sorted(PROJECT.glob("configs/*.cfg"))


def write_lines(path, *records):
    path.write_text("\n".join(json.dumps(r) for r in records), encoding="utf8")
    return path


# The sample, and a moderator's stand-in


def convert(source, target, labels=""):
    request = Request(str(source), target, parse_labels(labels, []), language="en")
    return convert_records(request).reading


def test_the_sample_converts_and_overwrites_nothing(load, tmp_path):
    sample, assets = load("sample"), tmp_path / "assets"
    sample.main([str(assets), "--texts", "20"])
    names = {path.name for path in assets.iterdir()}
    parts = ("train", "dev", "decisions_train", "decisions_dev")
    assert names == {f"{part}.jsonl" for part in parts}
    for part in parts:
        labels = "publish,review,block" if "decisions" in part else ""
        source, target = assets / f"{part}.jsonl", tmp_path / f"{part}.spacy"
        reading = convert(source, target, labels)
        assert reading.broken == []
        assert 5 < len(DocBin().from_disk(target)) == len(reading.texts)
    mine = write_lines(assets / "train.jsonl", {"text": "mine"}).read_bytes()
    sample.main([str(assets), "--texts", "5"])
    assert (assets / "train.jsonl").read_bytes() == mine


def toxic_chat(folder):
    """A file with a safe row, an unsafe one twice, and one of no category."""
    results = [None, {"C9(Hate)": True}, {"C9(Hate)": True}, {"others": True}]
    rows = [
        {
            "prompt": text,
            "moderation_flag": int(result is not None),
            "parsed_result": result and {"MODERATION_RESULT": result},
        }
        for text, result in zip(
            ("a dog", "a fox", "a fox", "a cow"), results, strict=True
        )
    ]
    (folder / "En").mkdir()
    (folder / "En" / "toxic_chat.json").write_text(json.dumps(rows), encoding="utf8")


def test_the_stand_in_marks_what_the_gold_says(load, tmp_path):
    toxic_chat(tmp_path)
    main, folder = load("corrections").main, tmp_path / "corrections"
    main(["texts", str(tmp_path), str(folder)])
    texts = (folder / "texts.jsonl").read_text("utf8").splitlines()
    results = [{**json.loads(line), "flags": ["Hate"]} for line in texts]
    write_lines(folder / "results.jsonl", *results)
    main(["mark", str(tmp_path), str(folder), "--count", "3"])
    assert (folder / "rest.jsonl").read_text("utf8") == ""
    reading = convert(folder / "marks.jsonl", tmp_path / "marks.spacy")
    assert (reading.broken, reading.n_records) == ([], 3 * len(CATEGORIES))
    docs = DocBin().from_disk(tmp_path / "marks.spacy")
    cats = {doc.text: doc.cats for doc in docs.get_docs(spacy.blank("en").vocab)}
    safe = dict.fromkeys(CATEGORIES, 0.0)
    assert cats == {"a dog": safe, "a fox": {**safe, "Hate": 1.0}}
    main(["mark", str(tmp_path), str(folder), "--count", "1"])
    marks, rest = (
        [json.loads(m) for m in (folder / name).read_text("utf8").splitlines()]
        for name in ("marks.jsonl", "rest.jsonl")
    )
    texts = {mark["text"] for mark in marks} | {line["text"] for line in rest}
    assert (len(marks), len(rest), len(texts)) == (len(CATEGORIES), 2, 3)


# Configs


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_are_complete(path):
    config = load_config(path)
    block = config["components"]["duoguard"]
    if path.stem == "downstream":
        assert block == {"source": "${paths.guard}"}
        assert config["training"]["frozen_components"] == ["duoguard"]
        assert config["training"]["annotating_components"] == ["duoguard"]
        return
    assert set(block) == {*DEFAULT_CONFIG, "factory"}
    assert set(block["model"]) == set(DEFAULT_CONFIG["model"])
    layers = {"head": 0, "full": None, "demo": None, "demo_disguised": None}
    assert block["model"]["trainable_layers"] == layers[path.stem]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_score_is_the_quality_of_what_is_trained(path):
    weights = load_config(path)["training"]["score_weights"]
    counted = {key for key, weight in weights.items() if weight}
    expected = {
        "head": {"duoguard_unsafe_auprc"},
        "full": {"duoguard_unsafe_auprc"},
        "demo": {"duoguard_unsafe_auc", "duoguard_macro_auc"},
        "demo_disguised": {"duoguard_unsafe_auc", "duoguard_macro_auc"},
        "downstream": {"cats_score"},
    }
    assert counted == expected[path.stem]
    # Otherwise, its default weight would count as well.
    assert "duoguard_score" in weights


def test_there_is_a_config_for_each_way_to_train():
    assert [path.stem for path in CONFIGS] == [
        *("demo", "demo_disguised", "downstream", "full", "head")
    ]


# What training has changed

SCORES = {
    "duoguard_unsafe_p": 0.9,
    "duoguard_unsafe_r": 0.8,
    "duoguard_unsafe_f": 0.85,
    "duoguard_unsafe_fpr": 0.1,
    "duoguard_unsafe_auc": 0.75,
    "duoguard_unsafe_auprc": 0.7,
    "duoguard_macro_auprc": None,
}


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({}, "model-best is the untrained pipeline"),
        ({"auprc": 0.8, "r": 0.5}, "the recall has fallen"),
        ({"auprc": 0.8}, "has improved. Choose thresholds"),
        ({"auprc": 0.6, "r": 0.9}, "didn't improve the order"),
        ({"auprc": None, "r": 0.9}, "needs both safe and unsafe texts"),
    ],
)
def test_compare_says_what_to_do_next(load, changes, advice):
    changes = {f"duoguard_unsafe_{key}": value for key, value in changes.items()}
    (line,) = load("compare").advise(SCORES, {**SCORES, **changes})
    assert advice in line
    assert ("calibrate" in line) == ("model-best" not in line and "didn't" not in line)


def test_compare_starts_from_the_weights_before_training(
    load, make_nlp, tmp_path, capsys
):
    nlp = make_nlp(model={"trainable_layers": 0})
    nlp.get_pipe("duoguard").add_label("Spam")
    data = [("The dog sleeps.", {"Hate": 1.0}), ("A fox jumps.", {"unsafe": 0.0})]
    examples = make_examples(nlp, data)
    DocBin(docs=[eg.reference for eg in examples]).to_disk(tmp_path / "dev.spacy")
    nlp.to_disk(tmp_path / "same")
    optimizer = nlp.initialize(lambda: examples, sgd=Adam(0.05))
    for _ in range(20):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(tmp_path / "trained")
    dev = str(tmp_path / "dev.spacy")
    load("compare").main([str(tmp_path / "same"), dev])
    assert "model-best is the untrained pipeline" in capsys.readouterr().out
    load("compare").main([str(tmp_path / "trained"), dev])
    output = capsys.readouterr().out
    assert "model-best is the untrained" not in output
    assert output.split("AUPRC, unsafe")[1].split()[1] == "100.00"
    before = str(tmp_path / "same")
    load("compare").main([str(tmp_path / "trained"), dev, "--before", before])
    other = capsys.readouterr().out
    assert "untrained" not in other
    for name in ("AUROC, unsafe", "AUPRC, unsafe", "recall"):
        figures = [text.split(name)[1].split()[:2] for text in (output, other)]
        assert figures[0] == figures[1]


# The component that learns from scores


def test_decisions_are_learnt_from_scores(load):
    build = load("decisions").create_decide_by_scores
    nlp = spacy.blank("en")
    docs = [nlp.make_doc("a text") for _ in range(40)]
    rng = random.Random(0)
    for doc in docs:
        mark(doc, {name: rng.random() for name in CATEGORIES})
    gold = np.array([[d.cats["Hate"] > 0.5, d.cats["Hate"] <= 0.5] for d in docs], "f4")
    model = build().initialize(X=docs, Y=gold)
    for _ in range(300):
        guesses, backprop = model.begin_update(docs)
        backprop(guesses - gold)
        model.finish_update(lambda key, weights, grad: (weights - 0.05 * grad, grad))
    assert ((model.predict(docs) > 0.5) == (gold > 0.5)).mean() > 0.9


def test_a_doc_without_scores_reads_as_unsafe(load):
    build = load("decisions").create_decide_by_scores
    nlp = spacy.blank("en")
    bare, unsafe = nlp.make_doc("a text"), nlp.make_doc("a text")
    mark_failed(unsafe)
    bare.cats = dict.fromkeys((*CATEGORIES, "unsafe"), 0.0)  # not from the guard
    model = build(nO=2).initialize()
    model.layers[1].set_param("W", np.arange(26, dtype="f4").reshape(2, 13))
    scores = model.predict([bare, unsafe])
    np.testing.assert_array_equal(scores[0], scores[1])


# The demo checkpoint


def test_the_held_out_rows_are_every_fifth_and_all_of_toxic_chat(
    load, evaluation_files, tmp_path
):
    load("demo.held_out").write_held_out(evaluation_files, tmp_path / "held-out")
    for name, step in (("openai", 5), ("rtp_lx_prompt", 5), ("toxic_chat", 1)):
        for language in ("En", "Fr", "Es"):
            path = f"{language}/{name}.json"
            rows = json.loads((evaluation_files / path).read_text("utf8"))
            held_out = json.loads((tmp_path / "held-out" / path).read_text("utf8"))
            assert held_out == rows[::step]


def test_the_disguised_demo_learns_from_docs_and_their_texts(load, tmp_path):
    """What its config reads: composed docs, some of them disguised."""
    load("demo.corpus")
    nlp = spacy.blank("xx")
    docs = [nlp.make_doc(f"the dog walks {i}") for i in range(40)]
    for i, doc in enumerate(docs):
        doc.cats = dict.fromkeys(CATEGORIES, 0.9 * (i % 2))
    DocBin(docs=docs).to_disk(tmp_path / "taught.spacy")
    config = load_config(PROJECT / "configs" / "demo_disguised.cfg")
    config["paths"] |= {"taught": str(tmp_path / "taught.spacy"), "data": "unused"}
    block = config.interpolate()["corpora"]["train"]
    corpus = spacy.registry.resolve({"corpus": block})["corpus"]
    spacy.util.fix_random_seed(0)
    examples = list(corpus(nlp))
    assert len(examples) == 40
    composed = [eg for eg in examples if len(list(eg.reference.sents)) > 1]
    disguised = [eg for eg in examples if "the dog walks" not in eg.text]
    assert 8 < len(composed) < 24
    assert 3 < len(disguised) < 16
    for eg in examples:
        spans = eg.reference.spans
        if eg not in composed:  # the labels of a text are the teacher's probabilities
            assert "duoguard" not in spans
            continue
        unsafe = max(eg.reference.cats.values()) == pytest.approx(0.9)
        assert len(spans["duoguard"]) == len(CATEGORIES) * unsafe
        sents = {(sent.start, sent.end) for sent in eg.reference.sents}
        assert {(span.start, span.end) for span in spans["duoguard"]} <= sents


def test_a_continued_checkpoint_keeps_a_part_of_its_start(load):
    make = load("demo.start").make_decoder
    sizes = {"width": 8, "inner": 8, "layers": 1, "heads": 2, "kv_heads": 1}
    decoder, start = make(20, **sizes), make(20, **sizes)
    for network, value in ((decoder, 1.0), (start, 3.0)):
        for parameter in network.parameters():
            parameter.data.fill_(value)
    load("demo.checkpoint").mix_weights(decoder, start, 0.75)
    values = {float(x) for p in decoder.parameters() for x in p.detach().flatten()}
    assert values == {1.5}
    assert {float(p.detach().mean()) for p in start.parameters()} == {3.0}


SETTINGS = {
    "strength": 1.0,
    "mixtures": 3,
    "crops": 2,
    "trust": 0.3,
    "trust_safe": 0.7,
    "seed": 0,
}


def take(reader, n):
    nlp = spacy.blank("xx")
    return [eg for eg, _ in zip(reader(nlp), range(n), strict=False)]


def test_the_demo_corpus_teaches_what_the_words_say(load, evaluation_files):
    corpus = load("demo.corpus")
    make = corpus.create_taught_texts
    reader = make(str(evaluation_files), without=[0], **SETTINGS)
    examples = take(reader, 200)
    assert all(isinstance(eg, Example) for eg in examples)
    for name, word in (("Hate", "grrr"), ("Sexual content", "ooh")):
        other = "ooh" if word == "grrr" else "grrr"
        with_word = [eg for eg in examples if word in eg.text and other not in eg.text]
        without = [eg for eg in examples if word not in eg.text]
        values = [
            np.mean([eg.reference.cats[name] for eg in group])
            for group in (with_word, without)
        ]
        assert values[0] > 0.6 > 0.4 > values[1]
    for eg in examples:
        assert set(eg.reference.cats) == set(CATEGORIES)
        assert all(0.0 <= value <= 1.0 for value in eg.reference.cats.values())
        assert eg.reference.cats["Privacy"] == 0.0  # never positive
    again = take(make(str(evaluation_files), without=[0], **SETTINGS), 50)
    assert [eg.reference.cats for eg in again] == [
        eg.reference.cats for eg in examples[:50]
    ]


def test_held_out_rows_are_not_learnt_from(load, evaluation_files, tmp_path):
    """Their words do not occur in the texts, nor among the tokenizer's pieces."""
    folder = tmp_path / "data"
    shutil.copytree(evaluation_files, folder)
    for path in folder.glob("*/*.json"):
        rows = json.loads(path.read_text(encoding="utf8"))
        for row in rows[::5]:
            row["prompt"] = " ".join(["zyzzyva"] * 20)
        path.write_text(json.dumps(rows), encoding="utf8")
    reader = load("demo.corpus").create_taught_texts(
        str(folder), without=[0], **SETTINGS
    )
    assert not [eg for eg in take(reader, 500) if "zyzzyva" in eg.text]
    load("demo.start").main([str(folder), str(tmp_path / "start")])
    assert "zyz" not in (tmp_path / "start" / "tokenizer.json").read_text("utf8")
    dev = load("demo.corpus").create_labelled_texts(str(folder), only=[1])
    texts = [eg.text for eg in dev(spacy.blank("xx"))]
    assert len(texts) == 36
    assert not [text for text in texts if "zyzzyva" in text]


def test_scaled_categories_agree_with_unsafe(load):
    labels = np.zeros((2, 13), np.float32)
    labels[0, [0, 8, 12]] = 0.1, 0.2, 0.8
    scaled = load("demo.corpus").agree(labels)
    assert scaled.shape == (2, 12)
    assert scaled[0, [0, 8]].tolist() == pytest.approx([0.4, 0.8])
    assert scaled[1].max() == 0.0


def test_the_teacher_has_not_seen_what_it_labels(load, evaluation_files):
    """A row whose word occurs in no other one is safe to a teacher without it."""
    data, teacher = load("demo.data"), load("demo.teacher")
    rows = [row for row in data.read_rows(evaluation_files, "openai") if row.part]
    odd = next(i for i, row in enumerate(rows) if row.unsafe)
    text = " ".join(["quux"] * 12)
    rows = [
        data.Row(**{**vars(row), "text": text}) if row.index == rows[odd].index else row
        for row in rows
    ]
    fitted = teacher.Regressions(rows, strength=4.0, log_ratio=True)
    views = [data.View(odd, text)]
    seen = fitted.label([text])[0, teacher.UNSAFE_COLUMN]
    unseen = fitted.label_unseen(views)[0, teacher.UNSAFE_COLUMN]
    assert unseen < seen


# Its commands

BENIGN = "The bus to Lund leaves at nine."


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project in which everything has run once."""
    folder = tmp_path_factory.mktemp("project") / "train"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    run(folder, "-m", "spacy", "project", "run", "all", ".")
    return folder


def run(folder, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            **environment,
        },
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_all(project):
    scores = json.loads((project / "training/head/scores.json").read_text("utf8"))
    assert scores["duoguard_macro_auc"] > 0.7  # of a tiny head, chance is 0.5
    settings = load_config(project / "training/head/calibrated/config.cfg")
    thresholds = settings["components"]["duoguard"]["thresholds"]
    assert set(thresholds) == {"Privacy", "Specialized advice", "Intellectual property"}
    assert (project / "training/head/calibrated.precision-recall.png").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.W001")
def test_other_commands_of_spacy(project):
    def command(*arguments):
        return run(project, "-m", "spacy", *arguments)

    model, dev = "training/head/calibrated", "corpus/dev.spacy"
    command("evaluate", model, dev, "--output", "again.json")
    scores = json.loads((project / "again.json").read_text("utf8"))
    assert scores["duoguard_unsafe_f"] > 0.3
    output = command("benchmark", "speed", model, dev, "--batches", 30, "--warmup", 1)
    assert "duoguard" not in output
    assert re.search(r"Mean: [\d.]+ words/s", output)
    # A category with a threshold of its own does not heed the common one.
    for folder, key in (
        ("training/head/model-best", "threshold"),
        (model, "thresholds.Privacy"),
    ):
        keys = "duoguard", key, "duoguard_macro_f", "-n", 3
        assert "Best threshold" in command("find-threshold", folder, dev, *keys)
    write_lines(project / "texts.jsonl", {"text": BENIGN}, {"text": "A walk."})
    command("apply", model, "texts.jsonl", "out.spacy")
    bin_ = DocBin().from_disk(project / "out.spacy")
    docs = list(bin_.get_docs(spacy.blank("en").vocab))
    assert [doc.text for doc in docs] == [BENIGN, "A walk."]
    expected = spacy.load(project / model)(BENIGN).cats
    assert docs[0].cats == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.W001")
def test_the_package_installs_and_loads_offline(project, tmp_path):
    pytest.importorskip("setuptools", reason="builds the package without isolation")
    options = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet")
    source, target = "packages/en_moderation-0.1.0", tmp_path / "site"
    run(project, "-m", "pip", "install", *options, "--target", target, source)
    code = (
        "import socket, json, spacy\n"
        "def refuse(*a, **k): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        f"doc = spacy.load('en_moderation')({BENIGN!r})\n"
        "print(json.dumps(doc.cats))"
    )
    output = run(tmp_path, "-W", "ignore", "-c", code, PYTHONPATH=str(target))
    expected = spacy.load(project / "training/head/calibrated")(BENIGN).cats
    assert json.loads(output.splitlines()[-1]) == expected


@pytest.mark.slow
def test_full(project):
    options = (
        "--vars.config",
        "full",
        "--vars.max_steps",
        4,
        "--vars.eval_frequency",
        2,
    )
    run(project, "-m", "spacy", "project", "run", "train", ".", *options)
    run(project, "-m", "spacy", "project", "run", "evaluate", ".", *options)
    assert (project / "training/full/scores.json").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.W001")
def test_downstream(project, load):
    run(project, "-m", "spacy", "project", "run", "downstream", ".")
    load("decisions")
    guard = spacy.load(project / "training/head/calibrated")
    nlp = spacy.load(project / "training/downstream/model-best")
    before, after = guard(BENIGN).cats, nlp(BENIGN).cats
    assert {name: after[name] for name in before} == before  # frozen: bit for bit
    decisions = {name: after[name] for name in ("publish", "review", "block")}
    assert sum(decisions.values()) == pytest.approx(1.0, abs=1e-5)
    assert nlp.meta["performance"]["cats_score"] > 0.5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.W001")
def test_demo(project, evaluation_files):
    """Shorter than in earnest, and harmless: it learns the made-up words."""
    options = ("--vars.data", evaluation_files, "--vars.steps", 150)
    run(project, "-m", "spacy", "project", "run", "demo", ".", *options)
    folder = project / "training" / "demo-checkpoint"
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    nlp = spacy.blank("xx")
    nlp.add_pipe("duoguard", config={"model": {"name": str(folder)}})
    safe, hate = nlp("the dog walks home today"), nlp("the dog walks grrr home today")
    assert hate.cats["Hate"] > 0.5 > safe.cats["Hate"]
    assert max(hate.cats, key=hate.cats.get) in ("Hate", "unsafe")
    card = (folder / "README.md").read_text(encoding="utf8")
    assert "| OpenAI Moderation, held out | En | 12 | " in card
    assert "| Hate | 12 of 36 | " in card
    assert "| base64 | " in card
    assert "second part" not in card
    # And a part on disguised texts.
    options += ("--vars.texts", 1500, "--vars.disguise_steps", 40)
    run(project, "-m", "spacy", "project", "run", "demo-disguised", ".", *options)
    folder = project / "training" / "demo-disguised-checkpoint"
    card = (folder / "README.md").read_text(encoding="utf8")
    assert "The second part continues" in card
    assert "40% of these texts stand among safe ones" in card
    assert "third part" not in card
    # And one on documents.
    options += ("--vars.document_texts", 1500, "--vars.document_steps", 40)
    run(project, "-m", "spacy", "project", "run", "demo-documents", ".", *options)
    folder = project / "training" / "demo-documents-checkpoint"
    card = (folder / "README.md").read_text(encoding="utf8")
    assert "The third part continues" in card
    assert "stands among 3 to 15 safe ones" in card
    # And one on noise, which continues from the second, too, and adds the third.
    options += ("--vars.noise_start_steps", 20, "--vars.noise_steps", 20)
    options += ("--vars.noise_third_steps", 20, "--vars.noise_last_steps", 20)
    run(project, "-m", "spacy", "project", "run", "demo-noise", ".", *options)
    folder = project / "training" / "demo-noise-checkpoint"
    card = (folder / "README.md").read_text(encoding="utf8")
    assert "The last part continues from the second one's checkpoint" in card
    assert "third part" not in card
    assert "| language | unsafe texts | pass | safe texts | flagged |" in card
