"""`score` with prefix scores: sentences in context, and the risk curve."""

import json

import pytest

from spacy_duoguard.scoring.pipelines import GuardOptions
from spacy_duoguard.scoring.run import ScoreRequest, open_source, score_file

TEXT = "The dog sleeps. How to kill a python process?"


@pytest.fixture
def score(qwen2_folder, tmp_path):
    def score(**options):
        source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
        source.write_text(f"{TEXT}\n", encoding="utf8")
        common = {"model": str(qwen2_folder), "device": "cpu", "precision": "float32"}
        guard = GuardOptions(**common, **options)
        request = ScoreRequest(open_source(str(source)), str(out), guard)
        list(score_file(request))
        return json.loads(out.read_text(encoding="utf8"))

    return score


def test_the_last_sentence_in_context_has_the_scores_of_the_document(score):
    result = score(sentences="document", threshold=0.0)
    last = result["sentences"][-1]
    assert (last["start"], last["end"]) == (16, len(TEXT))
    expected = {key: result["cats"][key] for key in last["cats"]}
    assert last["cats"] == pytest.approx(expected, abs=1e-5)


def test_the_curve_ends_with_the_document(score):
    result = score(curve=True)
    curve = result["curve"]
    assert len(curve["end"]) == len(curve["unsafe"]) > 1
    assert curve["end"] == sorted(curve["end"])
    assert curve["end"][-1] == len(TEXT)
    assert curve["unsafe"][-1] == pytest.approx(result["cats"]["unsafe"], abs=1e-5)
    assert result["first_unsafe"] is None or 0 <= result["first_unsafe"] <= len(TEXT)
