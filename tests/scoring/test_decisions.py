"""Actions and conversations in the results of `score`, in every format."""

import json

import pytest
from support.runs import results_of

from spacy_duoguard.review.documents import read_document
from spacy_duoguard.scoring.parquet import result_columns, to_table
from spacy_duoguard.scoring.pipelines import GuardOptions, load_guard
from spacy_duoguard.scoring.record import make_records
from spacy_duoguard.scoring.results import Counts, round_up
from spacy_duoguard.scoring.scorer import RecordScorer
from spacy_duoguard.scoring.summary import summarize
from spacy_duoguard.taxonomy import CATEGORIES

ROWS = [{"text": text} for text in ("The dog sleeps. I will kill you.", "x", "", 7)]
CHAT = [
    {"role": "user", "content": "How to kill a python process?"},
    {"role": "assistant", "content": [{"type": "text", "text": "Like this. Ok."}]},
]
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]
BAND = {"threshold": 0.9, "review_threshold": 0.87}


def make_scorer(folder, **options):
    options = {"device": "cpu", "precision": "float32"} | options
    return RecordScorer(load_guard(GuardOptions(str(folder), **options)))


def score(scorer, rows):
    return scorer.score(list(make_records(rows, "text")))


def test_without_a_band_results_have_no_action(qwen2_folder):
    scorer = make_scorer(qwen2_folder)
    names = {name for result in score(scorer, ROWS) for name in result}
    assert not names & {"action", "reason", "turns", "scored_text"}
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    columns = {field.name for field in result_columns(scorer.labels, scorer.columns)}
    assert not columns & {"action", "reason", "turns", "scored_text"}


def test_with_a_band_results_say_what_the_doc_says(qwen2_folder):
    scorer = make_scorer(qwen2_folder, sentences="isolated", **BAND)
    results = score(scorer, ROWS)
    nlp = load_guard(
        GuardOptions(
            str(qwen2_folder),
            device="cpu",
            precision="float32",
            sentences="isolated",
            **BAND,
        )
    )
    for row, result in zip(ROWS[:3], results, strict=False):
        doc = nlp(row["text"])
        assert result["action"] == doc._.duoguard_action
        reason = doc._.duoguard_reason
        assert result["reason"]["category"] == reason["category"]
        if reason["margin"] is not None:
            assert result["reason"]["margin"] == round_up(reason["margin"])
        shown = {(s["start"], s["end"]): s for s in result["sentences"]}
        for span in doc.sents:
            action = span._.duoguard_action
            sentence = shown.pop((span.start_char, span.end_char), None)
            assert (sentence is None) == (action == "allow")
            if sentence is not None:
                assert sentence["action"] == action
                limit = 0.9 if action == "block" else 0.87
                above = [k for k in CATEGORIES if span._.duoguard_cats[k] > limit]
                assert list(sentence["cats"]) == above
        assert not shown
    failed = results[3]
    assert (failed["status"], failed["action"]) == ("error", "block")
    assert failed["reason"] == {"category": None, "margin": None}
    assert len({result["action"] for result in results}) > 1


@pytest.mark.parametrize("context", ["isolated", "document"])
def test_truncated_sentences_are_among_those_to_review(qwen2_folder, context):
    text = f"Hi. {'A nice day, ' * 9}and a walk. Bye."
    options = {"sentences": context, "max_chars": 40}
    options |= {"threshold": 0.9999, "review_threshold": 0.999}
    scorer = make_scorer(qwen2_folder, **options)
    (result,) = score(scorer, [{"text": text}])
    doc = scorer.nlp(text)
    actions = {(s.start_char, s.end_char): s._.duoguard_action for s in doc.sents}
    assert "review" in actions.values()
    shown = {(s["start"], s["end"]): s["action"] for s in result["sentences"]}
    assert shown == {k: action for k, action in actions.items() if action != "allow"}
    for sentence in result["sentences"]:
        if sentence["action"] == "review":
            assert sentence["reason"] == {"category": None, "margin": None}
            cats = doc.char_span(sentence["start"], sentence["end"])._.duoguard_cats
            highest = max(CATEGORIES, key=cats.__getitem__)
            assert sentence["cats"] == {highest: round_up(cats[highest])}
    document = read_document(result, 1)
    assert document.status == "truncated"
    reviewed = [s for s in document.sentences if not s.is_flagged]
    assert len(reviewed) == list(shown.values()).count("review")


def test_reviews_are_counted():
    results = [
        {"status": "ok", "flags": [], "action": "review"},
        {"status": "ok", "flags": ["Hate"], "action": "block"},
        {"status": "error", "flags": ["Hate"], "action": "block"},
        {"status": "truncated", "flags": [], "action": "review"},
    ]
    counts = Counts().add(results[:2]).add(results[2:])
    assert counts.reviewed == 2
    lines = summarize(counts, output="-", seconds=1.0)
    assert "To review: 2 texts" in lines
    assert not any(
        "review" in line for line in summarize(Counts(1), output="-", seconds=1)
    )


def test_a_review_threshold_of_the_command_replaces_those_of_the_pipeline(
    make_nlp, tmp_path
):
    nlp = make_nlp(threshold=0.8, review_thresholds={"Hate": 0.7})
    nlp.to_disk(tmp_path / "nlp")
    scorer = make_scorer(tmp_path / "nlp")
    assert scorer.columns.actions
    guard = make_scorer(tmp_path / "nlp", review_threshold=0.3).nlp.get_pipe("duoguard")
    assert (guard.review_threshold, guard.review_thresholds) == (0.3, {})
    with pytest.raises(ValueError, match=r"E250.*review_thresholds\['Hate'\]"):
        make_scorer(tmp_path / "nlp", threshold=0.5)


def test_messages_are_scored_as_a_conversation(qwen2_folder):
    rows = [{"text": CHAT, "id": 1}, {"text": "x", "id": 2}, {"text": IMAGE, "id": 3}]
    scorer = make_scorer(qwen2_folder, roles=["assistant"])
    chat, plain, refused = score(scorer, rows)
    text = "How to kill a python process? Like this. Ok."
    assert chat["text"] == CHAT
    assert chat["scored_text"] == text
    user, assistant = chat["turns"]
    assert user == {
        **{"role": "user", "start": 0, "end": 29, "status": "context"},
        **{"cats": None, "flags": None},
    }
    assert assistant["status"] == "ok"
    assert text[assistant["start"] : assistant["end"]] == "Like this. Ok."
    assert assistant["cats"] == pytest.approx(chat["cats"], abs=2e-6)
    assert not {"turns", "scored_text"} & {*plain, *refused}
    assert refused["status"] == "error"
    assert refused["flags"] == list(CATEGORIES)
    assert "E253" in refused["error"]
    assert refused["text"] == IMAGE


def test_a_conversation_that_fails_has_failed_turns(qwen2_folder, monkeypatch):
    scorer = make_scorer(qwen2_folder, **BAND)
    guard = scorer.nlp.get_pipe("duoguard")
    monkeypatch.setattr(guard, "predict", lambda docs: [])
    (result,) = score(scorer, [{"text": CHAT}])
    assert result["status"] == "error"
    assert [turn["role"] for turn in result["turns"]] == ["user", "assistant"]
    for turn in result["turns"]:
        assert (turn["status"], turn["action"]) == ("error", "block")
        assert set(turn["cats"].values()) == {1.0}


@pytest.mark.parametrize(
    "value",
    [[], ["a", "b"], [CHAT[0], "a"], [[CHAT[0]]], {"role": "user"}, [7], [None]],
)
def test_lists_that_are_no_messages_are_not_scored(qwen2_folder, value):
    (result,) = score(make_scorer(qwen2_folder), [{"text": value}])
    assert result["status"] == "error"
    assert "not a string" in result["error"]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
    return path


def test_files_of_conversations(run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    rows = [{"messages": CHAT, "id": i} for i in range(3)]
    rows.insert(1, {"messages": "a text", "id": 7})
    source = write_rows(tmp_path / "in.jsonl", rows)
    options = {"text_key": "messages", "roles": ("user",), **BAND}
    run(source, tmp_path / "out.jsonl", **options)
    lines = results_of(tmp_path / "out.jsonl")
    run(source, tmp_path / "out.parquet", **options)
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in table] == [0, 7, 1, 2]
    for line, row in zip(lines, table, strict=True):
        for name in ("cats", "flags", "status", "action", "reason"):
            assert row[name] == line[name]
        assert row["turns"] == line.get("turns")
        assert row["scored_text"] == line.get("scored_text")
        assert row["error"] is None


def test_parquet_files_of_conversations(run, tmp_path):
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    import pyarrow.parquet

    parts = [{**part, "image_url": None} for part in CHAT[1]["content"]]
    chat = [{"role": "user", "content": parts}, {"role": "user", "content": parts}]
    pyarrow.parquet.write_table(
        pa.table({"messages": [chat, None], "id": [1, 2]}), tmp_path / "in.parquet"
    )
    run(tmp_path / "in.parquet", tmp_path / "out.parquet", text_key="messages")
    one, none = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert one["scored_text"] == "Like this. Ok. Like this. Ok."
    assert [turn["status"] for turn in one["turns"]] == ["ok", "ok"]
    assert (none["status"], none["turns"]) == ("error", None)


def test_a_dataset_of_conversations(qwen2_folder):
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    from spacy_duoguard.scoring.ray.dataset import ScoreTexts

    options = {"model": str(qwen2_folder), "device": "cpu", **BAND}
    score_texts = ScoreTexts(options, text_key="messages")
    chat = [{"role": "user", "content": "a dog"}, {"role": "user", "content": "x"}]
    table = score_texts(pa.table({"messages": [chat, chat[:1]]}))
    rows = table.to_pylist()
    assert [len(row["turns"]) for row in rows] == [2, 1]
    assert rows[0]["scored_text"] == "a dog x"
    assert {row["action"] for row in rows} <= {"allow", "review", "block"}
    plain = score_texts(pa.table({"messages": ["a dog"]}))
    assert not {"turns", "scored_text"} & set(plain.schema.names)


def test_rounded_margins_keep_their_sign(qwen2_folder):
    assert round_up(1e-9) > 0
    assert round_up(-1e-9) == 0.0
    assert round_up(-0.25) == -0.25
    columns = result_columns(["Hate"], make_scorer(qwen2_folder, **BAND).columns)
    reason = {"category": None, "margin": None}
    result = {"action": "review", "reason": reason, "sentences": []}
    assert to_table([result], columns).to_pylist()[0]["reason"] == reason
