"""What `spacy evaluate` prints of the component."""

import re

import pytest
import spacy
from spacy.cli._util import app
from spacy.tokens import DocBin, Span
from spacy.training import Example
from support.checkpoints import TEXTS
from support.scored import mark
from typer.testing import CliRunner

from spacy_duoguard.pipeline.scorer import make_scorer, score_categories

PRINTED = {"cats_score", "cats_score_desc", "cats_f_per_type", "cats_auc_per_type"}


def example(cats, gold):
    nlp = spacy.blank("en")
    predicted, reference = nlp.make_doc("a text"), nlp.make_doc("a text")
    mark(predicted, cats)
    others = {key: value for key, value in cats.items() if key not in predicted.cats}
    predicted.cats.update(others)
    reference.cats = gold
    return Example(predicted, reference)


def two(other=None, gold=None):
    """An unsafe text that is flagged, and a safe one that isn't."""
    return [
        example({"Hate": 0.9, "unsafe": 0.9, **(other or {})}, {"Hate": 1.0}),
        example(other or {}, {"unsafe": 0.0, **(gold or {})}),
    ]


def test_the_scores_of_a_text_classifier_are_those_of_unsafe_and_the_categories():
    scores = score_categories(two())
    assert scores["cats_score"] == scores["duoguard_unsafe_f"] == 1.0
    assert scores["cats_score_desc"] == "unsafe F"
    # The other categories have no positive text: nothing to print.
    assert scores["cats_f_per_type"] == {
        label: {"p": 1.0, "r": 1.0, "f": 1.0} for label in ("unsafe", "Hate")
    }
    assert scores["cats_auc_per_type"] == {"unsafe": 1.0, "Hate": 1.0}


@pytest.mark.parametrize("change", [{"other": {"sport": 0.2}}, {"gold": {"sport": 1}}])
def test_they_stay_those_of_a_text_classifier_if_there_is_one(change):
    assert not PRINTED & score_categories(two(**change)).keys()


def test_a_text_classifier_keeps_its_scores(make_nlp):
    """Wherever it stands, and whatever else is in the gold."""
    for before in (None, "duoguard"):
        nlp = make_nlp()
        textcat = nlp.add_pipe("textcat_multilabel", before=before)
        golds = [{"sport": 1.0, "news": 0.0, "Hate": 1.0}, {"sport": 0.0, "news": 1.0}]
        examples = [
            Example.from_dict(nlp.make_doc(text), {"cats": gold})
            for text, gold in zip(TEXTS, golds, strict=False)
        ]
        textcat.initialize(lambda examples=examples: examples, labels=["sport", "news"])
        together = nlp.evaluate(examples)
        with nlp.select_pipes(disable="duoguard"):
            alone = nlp.evaluate(examples)
        assert together["cats_score_desc"] != "unsafe F"
        assert set(together["cats_f_per_type"]) == {"sport", "news"}
        assert together["cats_score"] == alone["cats_score"]


def test_nothing_is_printed_without_gold_or_with_a_prefix_of_ones_own():
    assert not PRINTED & score_categories([example({}, {})]).keys()
    assert not PRINTED & make_scorer("second")(two()).keys()


@pytest.mark.filterwarnings("ignore:.W001")
def test_spacy_evaluate_prints_them(make_nlp, tmp_path):
    nlp = make_nlp(sents=True, threshold=0.0)
    reference = nlp.make_doc("One dog. Two foxes.")
    reference.cats = {"Hate": 1.0}
    reference.spans["duoguard"] = [Span(reference, 0, 3, label="Hate")]
    safe = nlp.make_doc("One dog.")
    safe.cats = {"unsafe": 0.0}
    DocBin(docs=[reference, safe]).to_disk(tmp_path / "dev.spacy")
    nlp.to_disk(tmp_path / "pipeline")
    arguments = ["evaluate", str(tmp_path / "pipeline"), str(tmp_path / "dev.spacy")]
    result = CliRunner().invoke(app, [*arguments, "--spans-key", "duoguard"])
    assert result.exit_code == 0, result.output
    assert re.search(r"TEXTCAT \(unsafe F\) +66\.67", result.output)  # P 50, R 100
    assert re.search(r"SPAN R +100\.00", result.output)
    assert re.search(r"\nunsafe +50\.00 +100\.00 +66\.67", result.output)
