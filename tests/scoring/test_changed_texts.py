"""A record never gets the score of another text."""

import pytest
import support.pipelines  # noqa: F401  registers "test_slot"
from spacy.tokens import Doc

from spacy_duoguard.scoring.record import Record
from spacy_duoguard.scoring.scorer import RecordScorer

TEXTS = ["The dog sleeps.", "I will kill you", ""]


def shorten(doc):
    copy = Doc(doc.vocab, words=["The"])
    copy._context = doc._context
    return copy


@pytest.mark.parametrize("where", ["tokenizer", "component"])
def test_a_text_that_the_pipeline_changes_is_not_scored(make_nlp, where):
    nlp = make_nlp()
    if where == "tokenizer":
        nlp.tokenizer = lambda text: Doc(nlp.vocab, words=["The"])
    else:
        nlp.add_pipe("test_slot", first=True).steps = [shorten]
    records = [Record(i, {"id": i}, text) for i, text in enumerate(TEXTS, start=1)]
    for result in RecordScorer(nlp).score(records):
        assert result["status"] == "error"
        assert result["error"] == "the pipeline changed the text"
        assert result["cats"]["unsafe"] == 1.0


def test_a_text_that_the_pipeline_keeps_is_scored(make_nlp):
    nlp = make_nlp()
    nlp.add_pipe("test_slot", first=True)
    expected = [doc.cats for doc in make_nlp().pipe(TEXTS)]
    records = [Record(i, {"id": i}, text) for i, text in enumerate(TEXTS, start=1)]
    results = RecordScorer(nlp).score(records)
    for result, cats in zip(results, expected, strict=True):
        assert result["cats"] == pytest.approx(cats, abs=1e-5)
