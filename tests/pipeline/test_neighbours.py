"""The component in a pipeline: configs, other components and their training."""

import importlib.util
import json
import warnings

import pytest
import spacy
from spacy.cli.debug_config import debug_config
from spacy.cli.init_config import fill_config
from spacy.cli.train import train
from spacy.language import Language
from spacy.tokens import DocBin, Span
from spacy.training import Example
from spacy.util import ignore_error, load_config
from support.checkpoints import TEXTS, make_tokenizer
from support.failures import BAD, FAILED_CATS

from spacy_duoguard import render
from spacy_duoguard.pipeline.attributes import get_scores, get_verdict
from spacy_duoguard.pipeline.settings import DEFAULT_CONFIG
from spacy_duoguard.scoring.record import Record
from spacy_duoguard.scoring.results import make_result, round_up
from spacy_duoguard.taxonomy import CATEGORIES

CONFIG = """
[paths]
train = null
dev = null

[nlp]
lang = "en"
pipeline = ["sentencizer", "duoguard"]

[components]

[components.sentencizer]
factory = "sentencizer"

[components.duoguard]
factory = "duoguard"
sents = true

[components.duoguard.thresholds]
Hate = 0.25
Suicide and self-harm = 0.3

[components.duoguard.model]
@architectures = "spacy-duoguard.DuoGuard.v1"
name = "demo"

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}

[training]
frozen_components = ["duoguard"]
"""

TEXTCAT = """
[components.textcat]
factory = "textcat_multilabel"
"""


@pytest.fixture
def base_config(tmp_path):
    path = tmp_path / "base.cfg"
    path.write_text(CONFIG, encoding="utf8")
    return path


def test_fill_config_writes_every_default_out(base_config, tmp_path):
    filled = tmp_path / "config.cfg"
    fill_config(filled, base_config)
    block = load_config(filled)["components"]["duoguard"]
    assert set(block) == {*DEFAULT_CONFIG, "factory"}
    assert set(block["model"]) == set(DEFAULT_CONFIG["model"])
    assert block["model"]["name"] == "demo"
    assert block["model"]["window"] == 512
    assert block["thresholds"] == {"Hate": 0.25, "Suicide and self-harm": 0.3}
    nlp = spacy.util.load_model_from_config(load_config(filled), auto_fill=False)
    assert nlp.get_pipe("duoguard").cfg["thresholds"]["Hate"] == 0.25


def test_debug_config_accepts_it(base_config, tmp_path, capsys):
    filled = tmp_path / "config.cfg"
    fill_config(filled, base_config)
    corpus = tmp_path / "corpus.spacy"
    DocBin(docs=[spacy.blank("en")(TEXTS[0])]).to_disk(corpus)
    overrides = {"paths.train": str(corpus), "paths.dev": str(corpus)}
    debug_config(filled, overrides=overrides)
    assert "Config validation" in capsys.readouterr().out


def test_a_default_component_writes_its_whole_config(make_nlp):
    block = make_nlp().config["components"]["duoguard"]
    assert set(DEFAULT_CONFIG) < set(block)
    assert set(DEFAULT_CONFIG["model"]) == set(block["model"])


def trainable_neighbours(make_nlp):
    nlp = make_nlp(sents=True)
    nlp.add_pipe("tagger").add_label("X")
    nlp.add_pipe("textcat_multilabel").add_label("POSITIVE")
    return nlp


def test_training_goes_on_around_a_frozen_component(make_nlp):
    nlp = trainable_neighbours(make_nlp)
    doc = nlp.make_doc("The dog sleeps.")
    gold = {"tags": ["X"] * len(doc), "cats": {"POSITIVE": 1.0}}
    examples = [Example.from_dict(doc, gold)]
    optimizer = nlp.initialize(lambda: examples)
    expected = make_nlp()("The dog sleeps.").cats
    for _ in range(3):
        nlp.update(
            examples,
            sgd=optimizer,
            exclude=["duoguard"],
            annotates=["sentencizer", "duoguard"],
        )
    doc = nlp("The dog sleeps.")
    assert [token.tag_ for token in doc] == ["X"] * 4
    assert list(doc.cats) == [*CATEGORIES, "unsafe", "POSITIVE"]
    positive = doc.cats.pop("POSITIVE")
    assert positive > 0.0
    assert doc.cats == pytest.approx(expected, abs=1e-5)
    with nlp.use_params({}):
        assert nlp("The dog sleeps.").cats["unsafe"] == doc.cats["unsafe"]


def test_a_component_without_gold_that_is_not_frozen_says_so(make_nlp):
    nlp = trainable_neighbours(make_nlp)
    doc = nlp.make_doc("The dog sleeps.")
    gold = {"tags": ["X"] * len(doc), "cats": {"POSITIVE": 1.0}}
    examples = [Example.from_dict(doc, gold)]
    nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match=r"E065.*frozen_components"):
        nlp.update(examples)


def test_spacy_train_with_the_component_frozen(base_config, tmp_path, qwen2_folder):
    corpus = tmp_path / "corpus.spacy"
    nlp = spacy.blank("en")
    doc = nlp("The dog sleeps.")
    doc.cats = {"POSITIVE": 1.0}
    DocBin(docs=[doc]).to_disk(corpus)
    text = base_config.read_text(encoding="utf8") + TEXTCAT
    base_config.write_text(text.replace('"duoguard"]', '"duoguard", "textcat"]', 1))
    fill_config(tmp_path / "config.cfg", base_config)
    overrides = {
        "paths.train": str(corpus),
        "paths.dev": str(corpus),
        "components.duoguard.model.name": str(qwen2_folder),
        "training.max_steps": 4,
        "training.eval_frequency": 2,
    }
    train(tmp_path / "config.cfg", tmp_path / "out", overrides=overrides)
    best = spacy.load(tmp_path / "out" / "model-best")
    cats = best("The dog sleeps.").cats
    assert set(cats) == {*CATEGORIES, "unsafe", "POSITIVE"}
    meta = json.loads((tmp_path / "out" / "model-best" / "meta.json").read_text("utf8"))
    assert "duoguard_score" in meta["performance"]


@pytest.mark.skipif(
    importlib.util.find_spec("spacy_transformers") is None,
    reason="spacy-transformers is not installed",
)
def test_beside_the_transformer_component(make_nlp, tmp_path):
    """They share no model, and neither changes the output of the other."""
    import transformers

    config = transformers.BertConfig(
        vocab_size=400,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=make_tokenizer(), pad_token="<|endoftext|>"
    ).save_pretrained(tmp_path / "bert")
    alone = make_nlp()
    nlp = make_nlp()
    model = {"name": str(tmp_path / "bert"), "tokenizer_config": {"use_fast": True}}
    nlp.add_pipe("transformer", config={"model": model})
    nlp.initialize()
    for doc, expected in zip(nlp.pipe(TEXTS), alone.pipe(TEXTS), strict=True):
        assert doc.cats == expected.cats
        assert doc._.trf_data is not None
    assert doc._.trf_data.model_output.last_hidden_state.shape[-1] == 16
    nlp.to_disk(tmp_path / "nlp")
    again = spacy.load(tmp_path / "nlp")
    assert again(TEXTS[0]).cats == nlp(TEXTS[0]).cats


@Language.component("overwriter")
def overwrite(doc):
    """As a `textcat` does that has some of our labels."""
    doc.cats.update({"unsafe": 0.0, "Hate": 0.0, "POSITIVE": 0.5})
    return doc


@pytest.fixture
def overwritten(make_nlp):
    nlp = make_nlp(sents=True, threshold=0.0)
    scores = dict(nlp("The dog sleeps. So do I.").cats)
    nlp.add_pipe("overwriter")
    return nlp, scores


def test_scores_are_those_that_the_component_wrote(overwritten):
    nlp, scores = overwritten
    doc = nlp("The dog sleeps. So do I.")
    assert doc.cats["unsafe"] == 0.0
    with pytest.warns(UserWarning, match=r"W004.*'Hate', 'unsafe'") as caught:
        assert doc._.duoguard_cats == scores
    assert doc.text not in str(caught[0].message)
    doc.cats = {}  # nothing that says otherwise
    assert get_scores(doc) == scores
    assert get_scores(nlp.make_doc("a")) is None


def test_results_do_not_depend_on_a_later_component(overwritten):
    nlp, scores = overwritten
    doc = nlp("The dog sleeps. So do I.")
    doc.spans["duoguard"] = []
    record = Record(1, {}, doc.text)
    with pytest.warns(UserWarning, match="W004"):
        result = make_result(record, get_verdict(doc), doc)
    assert result["cats"] == {key: round_up(value) for key, value in scores.items()}
    assert [sentence["start"] for sentence in result["sentences"]] == [0, 16]
    for sentence, span in zip(result["sentences"], doc.sents, strict=True):
        cats = span._.duoguard_cats
        assert sentence["end"] == span.end_char
        assert sentence["cats"] == {key: round_up(cats[key]) for key in CATEGORIES}


def test_evaluation_does_not_depend_on_a_later_component(overwritten):
    nlp, _ = overwritten
    doc = nlp.make_doc("The dog sleeps. So do I.")
    gold = {"cats": {**dict.fromkeys(CATEGORIES, 0.0), "Hate": 1.0}}
    with pytest.warns(UserWarning, match="W004"):
        scores = nlp.evaluate([Example.from_dict(doc, gold)])
    assert scores["duoguard_f_per_type"]["Hate"]["r"] == 1.0
    assert scores["duoguard_f_per_type"]["Hate"]["f"] == 1.0


@Language.component("annotator")
def annotate_spans(doc):
    """As a `spancat` does that writes the same group."""
    labels = ("Hate", "Privacy", "Violent crimes")
    doc.spans["duoguard"] = [Span(doc, 0, 2, label=label) for label in labels]
    doc.cats = dict.fromkeys([*CATEGORIES, "unsafe"], 0.5)
    return doc


def test_evaluation_of_spans_does_not_depend_on_a_later_component(make_nlp):
    nlp = make_nlp(sents=True, threshold=0.4)
    reference = nlp.make_doc("The dog sleeps. So do I.")
    reference.cats = {**dict.fromkeys(CATEGORIES, 0.0), "Hate": 1.0}
    spans = [Span(reference, *span, label="Hate") for span in ((0, 4), (0, 2))]
    reference.spans["duoguard"] = [*spans, Span(reference, 4, 7, label="Privacy")]

    def evaluate():
        predicted = nlp.make_doc(reference.text)
        scores = nlp.evaluate([Example(predicted, reference)])
        return {key: scores[key] for key in scores if key.startswith("duoguard")}

    expected = evaluate()
    assert 0.0 < expected["duoguard_spans_f"] < 1.0
    nlp.add_pipe("annotator")
    with pytest.warns(UserWarning, match="W004"):
        assert evaluate() == expected


def test_a_doc_that_the_component_has_not_seen_is_not_evaluated(make_nlp):
    nlp = make_nlp()
    docs = [nlp.make_doc("The dog sleeps.") for _ in range(2)]
    for doc in docs:
        doc.cats = dict.fromkeys(CATEGORIES, 1.0)
    with pytest.warns(UserWarning, match="W032"):
        scores = nlp.get_pipe("duoguard").scorer([Example(*docs)])
    assert scores["duoguard_unsafe_f"] is None


def test_a_drawing_does_not_depend_on_a_later_component(overwritten):
    nlp, scores = overwritten
    doc = nlp("The dog sleeps. So do I.")
    with pytest.warns(UserWarning, match="W004"):
        markup = render(doc, jupyter=False)
    assert "unsafe 0.000" not in markup
    assert f"Hate {scores['Hate']:.6f}"[:10] in markup


def test_the_warning_comes_once(overwritten):
    nlp, _ = overwritten
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for doc in nlp.pipe(["The dog sleeps.", "So do I."] * 3):
            assert doc._.duoguard_status == "ok"
            assert doc._.duoguard_flags
    assert len(caught) == 1


def test_a_failed_doc_stays_failed_under_a_later_component(breaking):
    nlp = breaking(ValueError("broken"))
    nlp.set_error_handler(ignore_error)
    nlp.add_pipe("overwriter")
    doc = nlp(BAD)
    with pytest.warns(UserWarning, match="W004"):
        assert doc._.duoguard_status == "error"
    with pytest.warns(UserWarning, match="W004"):
        assert doc._.duoguard_cats == FAILED_CATS


def test_flagged_spans_are_drawn_after_their_group_was_emptied(make_nlp):
    doc = make_nlp(sents=True, threshold=0.0)("The dog sleeps. So do I.")
    expected = render(doc, jupyter=False)
    doc.spans["duoguard"] = []
    assert render(doc, jupyter=False) == expected
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[2:6])  # across the sentences
    assert render(doc, jupyter=False).count("Hate") >= expected.count("Hate")
