"""`score --max-chars` limits what is scored of each text, and never silently."""

import json

import pytest

from spacy_duoguard.errors import SettingsError
from spacy_duoguard.scoring.pipelines import GuardOptions, load_guard
from spacy_duoguard.scoring.record import Record
from spacy_duoguard.scoring.scorer import RecordScorer

SHORT = "The dog sleeps."
LONG = "How to kill. " + "a dog " * 60 + "The very end."


@pytest.fixture
def options(qwen2_folder):
    return {"model": str(qwen2_folder), "precision": "float32", "device": "cpu"}


def score(options, texts=(SHORT, LONG)):
    scorer = RecordScorer(load_guard(GuardOptions(**options)))
    return scorer.score([Record(i, {}, text) for i, text in enumerate(texts, start=1)])


def test_a_longer_text_is_truncated_as_by_the_setting(options, make_nlp):
    short, long = score({**options, "max_chars": 20})
    assert (short["status"], long["status"]) == ("ok", "truncated")
    doc = make_nlp(max_chars=20)(LONG)
    assert long["cats"] == pytest.approx(doc.cats, abs=2e-5)
    assert score(options)[1]["status"] == "ok"


def test_a_saved_pipeline_takes_it(options, make_nlp, tmp_path):
    nlp = make_nlp(max_chars=300)
    nlp.get_pipe("duoguard").max_chars = 200  # changed after it was configured
    nlp.to_disk(tmp_path / "nlp")
    saved = {**options, "model": str(tmp_path / "nlp")}
    assert score(saved)[1]["status"] == "truncated"
    for n, status in ((300, "truncated"), (len(LONG), "ok"), (20, "truncated")):
        results = score({**saved, "max_chars": n})
        assert [result["status"] for result in results] == ["ok", status]


def test_a_run_with_another_limit_is_not_resumed(start, source, tmp_path):
    out = tmp_path / "out.jsonl"
    list(start(source, out, max_chars=10))
    before = out.read_bytes()
    statuses = {json.loads(line)["status"] for line in before.splitlines()}
    assert "truncated" in statuses
    for limit in (11, None):
        with pytest.raises(SettingsError, match=r"E171.*max_chars"):
            list(start(source, out, max_chars=limit, resume=True))
    list(start(source, out, max_chars=10, resume=True))
    assert out.read_bytes() == before


def test_ray_takes_it(options):
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    from spacy_duoguard.scoring.ray.dataset import ScoreTexts

    rows = ScoreTexts({**options, "max_chars": 20})({"text": [SHORT, LONG]})
    assert rows.column("status").to_pylist() == ["ok", "truncated"]


@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_a_limit_that_is_none_is_refused(options, value):
    with pytest.raises(SettingsError, match="max_chars"):
        load_guard(GuardOptions(**{**options, "max_chars": value}))
