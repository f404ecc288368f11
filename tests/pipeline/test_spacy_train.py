"""`spacy train` and `spacy init labels` with the component."""

import json

import pytest
import spacy
from spacy.cli.init_config import fill_config
from spacy.cli.init_pipeline import init_labels_cli
from spacy.cli.train import train
from spacy.tokens import DocBin, Span
from spacy.training.initialize import init_nlp
from spacy.util import load_config
from support.checkpoints import TEXTS
from typer.testing import CliRunner

from spacy_duoguard.taxonomy import CATEGORIES

CONFIG = """
[paths]
train = null
dev = null

[nlp]
lang = "en"
pipeline = ["sentencizer", "duoguard"]
batch_size = 4

[components]

[components.sentencizer]
factory = "sentencizer"

[components.duoguard]
factory = "duoguard"
sents = true

[components.duoguard.model]
@architectures = "spacy-duoguard.DuoGuard.v1"
name = "demo"
precision = "float32"
device = "cpu"
trainable_layers = 0

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}

[training]
seed = 3
annotating_components = ["sentencizer"]
patience = 8
max_steps = 200
eval_frequency = 4

[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.02
use_averages = true

[training.score_weights]
duoguard_unsafe_auc = 1.0
duoguard_score = null
sents_f = null

[initialize]

[initialize.components]

[initialize.components.duoguard]
labels = ["Spam"]
"""


@pytest.fixture
def corpus(tmp_path):
    """Texts about dogs are hateful, others are not; sentences are labelled as well."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    docs = []
    for i, text in enumerate([*TEXTS, "The dog jumps.", "A dog. The fox."]):
        doc = nlp(text)
        hateful = "dog" in text
        doc.cats = {"Hate": float(hateful), "unsafe": float(hateful), "Spam": i % 2}
        doc.spans["duoguard"] = [
            Span(doc, sent.start, sent.end, label="Hate")
            for sent in doc.sents
            if "dog" in sent.text
        ]
        docs.append(doc)
    DocBin(docs=docs).to_disk(tmp_path / "corpus.spacy")
    return tmp_path / "corpus.spacy"


@pytest.fixture
def config(tmp_path):
    (tmp_path / "base.cfg").write_text(CONFIG, encoding="utf8")
    fill_config(tmp_path / "config.cfg", tmp_path / "base.cfg")
    return tmp_path / "config.cfg"


@pytest.fixture
def overrides(corpus, qwen2_folder):
    return {
        "paths.train": str(corpus),
        "paths.dev": str(corpus),
        "components.duoguard.model.name": str(qwen2_folder),
    }


@pytest.mark.parametrize("layers", [0, 1])
def test_training_stops_early_and_keeps_the_best(
    config, overrides, corpus, tmp_path, layers, capsys
):
    overrides = {**overrides, "components.duoguard.model.trainable_layers": layers}
    train(config, tmp_path / "out", overrides=overrides)
    steps = [
        int(line.split()[1])
        for line in capsys.readouterr().out.splitlines()
        if len(line.split()) > 3 and line.split()[0].isdigit()
    ]
    assert steps[:2] == [0, 4]
    assert steps[-1] < 100  # of max_steps = 200
    best = spacy.load(tmp_path / "out" / "model-best")
    component = best.get_pipe("duoguard")
    assert component.labels == (*CATEGORIES, "Spam")
    meta = json.loads((tmp_path / "out" / "model-best" / "meta.json").read_text("utf8"))
    reached = meta["performance"]["duoguard_unsafe_auc"]
    assert reached > 0.95
    docs = list(DocBin().from_disk(corpus).get_docs(best.vocab))
    examples = [spacy.training.Example(best.make_doc(doc.text), doc) for doc in docs]
    scores = best.evaluate(examples)
    assert scores["duoguard_unsafe_auc"] == pytest.approx(reached)


def test_training_is_repeatable_and_resumes(config, overrides, tmp_path):
    overrides = {**overrides, "training.max_steps": 6}
    for name in ("one", "two"):
        train(config, tmp_path / name, overrides=overrides)
    one, two = (spacy.load(tmp_path / name / "model-last") for name in ("one", "two"))
    for first, second in zip(one.pipe(TEXTS), two.pipe(TEXTS), strict=True):
        assert first.cats == second.cats
    resumed = load_config(config)
    source = {"source": str(tmp_path / "one" / "model-last")}
    resumed["components"]["duoguard"] = source
    resumed.to_disk(config)
    del overrides["components.duoguard.model.name"]
    train(config, tmp_path / "more", overrides=overrides)
    more = spacy.load(tmp_path / "more" / "model-last")
    assert more.get_pipe("duoguard").labels == (*CATEGORIES, "Spam")
    before, after = (nlp("The dog jumps.").cats["Hate"] for nlp in (one, more))
    assert after > before


def test_init_labels(config, overrides, tmp_path):
    arguments = [str(config), str(tmp_path / "labels")]
    for key, value in overrides.items():
        arguments += [f"--{key}", value]
    import typer

    app = typer.Typer()
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=settings)(init_labels_cli)
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 0, run.output
    path = tmp_path / "labels" / "duoguard.json"
    assert json.loads(path.read_text("utf8")) == [*CATEGORIES, "Spam"]
    # And back through the config.
    filled = load_config(config, overrides=overrides)
    filled["initialize"]["components"]["duoguard"]["labels"] = {
        "@readers": "spacy.read_labels.v1",
        "path": str(path),
    }
    nlp = init_nlp(filled)
    assert nlp.get_pipe("duoguard").labels == (*CATEGORIES, "Spam")
    assert list(nlp("a").cats) == [*CATEGORIES, "Spam", "unsafe"]


def test_it_annotates_for_others_while_it_is_trained(make_nlp):
    nlp = make_nlp(model={"trainable_layers": 0})
    seen = []

    @spacy.Language.component("reads_cats")
    def reads_cats(doc):
        seen.append(doc.cats["unsafe"])
        return doc

    nlp.add_pipe("reads_cats")
    doc = nlp.make_doc("The dog sleeps.")
    examples = [spacy.training.Example.from_dict(doc, {"cats": {"Hate": 1.0}})]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(3):
        nlp.update(examples, sgd=optimizer, annotates=["duoguard", "reads_cats"])
    assert len(set(seen)) == 3  # the scores change with each step


@pytest.mark.filterwarnings("ignore:.W004")  # the other component writes "Hate" too
def test_frozen_scores_do_not_change(config, overrides, tmp_path, make_nlp):
    frozen = load_config(config)
    frozen["nlp"]["pipeline"] = ["sentencizer", "duoguard", "textcat"]
    frozen["components"]["textcat"] = {"factory": "textcat_multilabel"}
    frozen["training"]["frozen_components"] = ["duoguard"]
    frozen.to_disk(config)
    overrides = {**overrides, "training.max_steps": 3}
    overrides["training.annotating_components"] = ["sentencizer", "duoguard"]
    fill_config(tmp_path / "filled.cfg", config)
    train(tmp_path / "filled.cfg", tmp_path / "out", overrides=overrides)
    best = spacy.load(tmp_path / "out" / "model-best")
    expected = make_nlp()
    for doc, other in zip(best.pipe(TEXTS), expected.pipe(TEXTS), strict=True):
        # Not doc.cats: the other component has learned to write "Hate" too.
        for mine, theirs in zip(
            doc._.duoguard_windows, other._.duoguard_windows, strict=True
        ):
            assert mine["probs"] == pytest.approx(theirs["probs"], abs=1e-5)
