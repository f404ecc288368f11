"""Many questions, interrupted at any point."""

import json

import pytest
from support.chat_server import ChatServer, Reply, completion, write_text
from support.duels import Watcher, make_settings

from spacy_duoguard.duel.answer import Answer
from spacy_duoguard.duel.asking import Question, ask_all, request_seed
from spacy_duoguard.duel.private_files import Journal, read_lines, write_lines
from spacy_duoguard.errors import DuelError

pytest.importorskip("openai", reason="needs the extra duel")

QUESTIONS = [
    Question(str(i), [{"role": "user", "content": f"question {i}"}]) for i in range(30)
]


def ask(server, folder, questions=QUESTIONS, read=lambda answer: answer, **changes):
    settings = make_settings(folder, server.url, generator={"retries": 0, **changes})
    watcher = Watcher()
    answers = ask_all(
        questions,
        folder / "journal.jsonl",
        settings.generator,
        section="generator",
        seed=7,
        watcher=watcher,
        read=read,
    )
    return answers, watcher


def number_of(body):
    return int(body["messages"][-1]["content"].split()[-1])


def test_answers_are_in_order_and_many_are_asked_at_once(tmp_path):
    def behave(body, n):  # later questions are answered first
        return Reply(completion(write_text(body)), delay=0.2 / (1 + number_of(body)))

    with ChatServer(behave) as server:
        answers, watcher = ask(server, tmp_path, concurrency=5)
        bodies = sorted(server.bodies, key=number_of)
        assert 2 <= server.most <= 5
    assert [answer.text for answer in answers] == [write_text(b) for b in bodies]
    assert watcher.steps == [("generator", 30, 0)]
    assert watcher.kinds == ["text"] * 30


def test_what_is_counted_is_what_becomes_of_an_answer(tmp_path):
    def read(answer):
        return Answer("refusal") if answer.text.endswith("7") else answer

    with ChatServer(lambda body, n: Reply(completion(str(number_of(body))))) as server:
        for _ in range(2):  # from the server, then from the journal
            answers, watcher = ask(server, tmp_path, read=read)
            kinds = [answer.kind for answer in answers]
            assert kinds.count("refusal") == 3
            assert sorted(watcher.kinds) in (sorted(kinds), [])
    assert len(server.bodies) == 30


def test_each_question_has_a_seed_of_its_own_that_does_not_change():
    seeds = [request_seed(7, question.key) for question in QUESTIONS]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert request_seed(7, "0") == seeds[0] != request_seed(8, "0")


def test_only_what_is_missing_or_has_failed_is_asked_again(tmp_path):
    def behave(body, n):
        if number_of(body) % 3 == 0 and n == 1:
            return Reply({}, status=500)
        return Reply(completion(write_text(body)))

    with ChatServer(behave) as server:
        first, _ = ask(server, tmp_path, QUESTIONS[:20])
        assert [answer.kind for answer in first].count("server error") == 7
        second, watcher = ask(server, tmp_path)
        assert watcher.steps == [("generator", 30, 13)]
        assert len(server.bodies) == 20 + 7 + 10
        assert [answer.kind for answer in second].count("server error") == 3
        third, watcher = ask(server, tmp_path)
        assert watcher.steps == [("generator", 30, 27)]
        fourth, _ = ask(server, tmp_path)
        assert len(server.bodies) == 37 + 3
    assert all(answer.kind == "text" for answer in third)
    assert fourth == third


def test_a_server_that_only_fails_ends_the_run_and_answers_stay(tmp_path):
    def behave(body, n):
        if number_of(body) < 10:
            return Reply(completion("a text"))
        return Reply({}, status=503)

    with ChatServer(behave) as server:
        with pytest.raises(DuelError, match=r"E296.*last 4 .*server error 4"):
            ask(server, tmp_path, give_up_after=4, concurrency=1)
        assert len(server.bodies) == 14
        server.behave = lambda body, n: Reply(completion("a text"))
        answers, watcher = ask(server, tmp_path)
    assert watcher.steps == [("generator", 30, 10)]
    assert answers == [Answer("text", "a text")] * 30


def test_refusals_do_not_end_a_run(tmp_path):
    with ChatServer(lambda b, n: Reply(completion(None, refusal="No"))) as server:
        answers, _ = ask(server, tmp_path, give_up_after=1)
    assert answers == [Answer("refusal")] * 30


def test_the_journal_loses_only_what_a_kill_tore_off(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.add({"key": "a", "text": "x\u2028\n"})
        journal.add({"key": "b"})
    content = path.read_bytes()
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        with Journal(path) as journal:
            expected = content[:size].count(b"\n")
            assert len(journal.records) == expected
            journal.add({"key": "c"})
        assert [r["key"] for r in read_lines(path)] == [*["a", "b"][:expected], "c"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_damaged_journal_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    for content in (b'{"key": "a"\n{"key": "b"}\n', b"[]\n", b"\xff\n"):
        path.write_bytes(content)
        with pytest.raises(DuelError, match="E295"):
            Journal(path)
        with pytest.raises(DuelError, match="E295"):
            read_lines(path)
    path.write_text(json.dumps({"kind": "text"}) + "\n")
    with ChatServer() as server, pytest.raises(DuelError, match="E295"):
        ask(server, tmp_path)


def test_files_are_private_even_if_they_were_not(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.touch(0o644)
    write_lines(path, [{"text": "ü\u2028"}])
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_lines(path) == [{"text": "ü\u2028"}]


def test_questions_are_never_shown_with_their_texts():
    assert "question 3" not in repr(QUESTIONS[3])
