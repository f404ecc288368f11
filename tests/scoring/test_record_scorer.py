"""What a record's result is, whatever the pipeline made of its doc."""

import pytest
import support.pipelines  # noqa: F401  registers "test_slot"
from support.failures import BAD

from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.errors import ScoringError, SettingsError
from spacy_duoguard.pipeline import attributes
from spacy_duoguard.scoring.record import Record
from spacy_duoguard.scoring.scorer import RecordScorer


def records(*texts):
    return [Record(i, {}, text) for i, text in enumerate(texts, start=1)]


def statuses(results):
    return [result["status"] for result in results]


def test_a_problem_in_one_batch_is_not_one_of_the_next(make_nlp):
    def fail(doc):
        if "bad" in doc.text:
            raise ValueError("bad")
        return doc

    nlp = make_nlp()
    nlp.add_pipe("test_slot").steps = [fail]
    scorer = RecordScorer(nlp)
    first = scorer.score(records("a bad dog", "a dog"))
    assert statuses(first) == ["error", "ok"]
    assert first[0]["error"] == "component 'test_slot': ValueError"
    assert statuses(scorer.score(records("a dog", "a bad dog"))) == ["ok", "error"]


@pytest.mark.filterwarnings("ignore:.W004")
def test_a_status_without_probabilities_is_not_a_score(make_nlp):
    def strip(doc):
        del doc.user_data["duoguard"]["probs"]
        return doc

    nlp = make_nlp()
    nlp.add_pipe("test_slot").steps = [strip]
    (result,) = RecordScorer(nlp).score(records("a dog"))
    assert result["status"] == "error"
    assert result["cats"]["unsafe"] == 1.0
    assert len(result["flags"]) == 12


def test_a_record_is_judged_once(make_nlp, monkeypatch):
    judged = []
    judge_record = attributes.judge_record

    def noting(record, doc):
        judged.append(doc.text)
        return judge_record(record, doc)

    monkeypatch.setattr(attributes, "judge_record", noting)
    scorer = RecordScorer(make_nlp())
    scorer.score(records("a dog", "", "a fox"))
    assert judged == ["a dog", "", "a fox"]


def test_a_batch_of_records_is_scored_together(make_nlp, monkeypatch):
    sizes = []
    forward = CpuForward.__call__

    def measured(self, batch):
        sizes.append(len(batch.scored_rows))
        return forward(self, batch)

    monkeypatch.setattr(CpuForward, "__call__", measured)
    scorer = RecordScorer(make_nlp())
    scorer.score(records("a", "b", "c", "d"))
    assert sizes == [4]
    assert scorer.score([Record(1, {}, "", "no field 'text'")])[0]["status"] == "error"


def test_a_failed_record_has_an_empty_curve_and_a_flag_at_its_start(make_nlp):
    nlp = make_nlp(curve=True, threshold=1.0)
    good, broken = RecordScorer(nlp, curve=True).score(
        [Record(1, {}, "a dog"), Record(2, {}, "", "no field 'text'")]
    )
    (doc,) = make_nlp(curve=True).pipe(["a dog"])
    highest = [max(point["probs"]) for point in doc._.duoguard_curve]
    assert good["curve"]["unsafe"] == pytest.approx(highest, abs=1e-5)
    assert good["first_unsafe"] is None
    assert broken["curve"] == {"end": [], "unsafe": []}
    assert broken["first_unsafe"] == 0


def test_settings_that_allow_no_score_end_the_run(make_nlp):
    nlp = make_nlp()
    scorer = RecordScorer(nlp)
    nlp.get_pipe("duoguard").cfg["threshold"] = "x"
    with pytest.raises(SettingsError, match="E001"):
        scorer.score(records("a dog"))


@pytest.mark.parametrize(
    ("error", "problem"),
    [(ScoringError("[E000] why"), "[E000] why"), (ValueError("a dog"), "ValueError")],
)
def test_only_our_own_messages_are_quoted(breaking, error, problem):
    scorer = RecordScorer(breaking(error))
    good, bad = scorer.score(records("a dog", f"{BAD} dog"))
    assert good["status"] == "ok"
    assert bad["error"] == f"component 'duoguard': {problem}"
