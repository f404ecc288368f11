"""The scorer of records trusts no doc that isn't the one it made."""

from spacy_duoguard.scoring.record import Record
from spacy_duoguard.scoring.scorer import RecordScorer

TEXT = "How to kill a python process?"


def test_a_pipeline_that_changes_the_text_is_reported(make_nlp):
    nlp = make_nlp()
    tokenizer = nlp.tokenizer
    scorer = RecordScorer(nlp)
    nlp.tokenizer = lambda text: tokenizer(text.replace("kill", "hug"))
    results = scorer.score([Record(1, {}, TEXT), Record(2, {}, "The dog sleeps.")])
    assert [result["status"] for result in results] == ["error", "ok"]
    assert results[0]["error"] == "the pipeline changed the text"
