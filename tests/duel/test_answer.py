"""What counts as an answer of a chat endpoint."""

import time

import pytest
from support.chat_server import Reply, completion

from spacy_duoguard.duel.answer import Answer, read_answer

GOOD = completion("a text")


def choice(**fields):
    return {"choices": [fields]}


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (GOOD, Answer("text", "a text")),
        (completion("cut o", reason="length"), Answer("torn")),
        (completion(None), Answer("empty")),
        (completion(" \n"), Answer("empty")),
        (completion("\u200b" * 60), Answer("empty")),
        (completion("x", reason="content_filter"), Answer("refusal")),
        (completion(None, refusal="No."), Answer("refusal")),
        (completion(["x"]), Answer("wrong type")),
        (completion(7), Answer("wrong type")),
        (completion("\ud800"), Answer("wrong type")),
        ({}, Answer("no choices")),
        ({"choices": None}, Answer("no choices")),
        ({"choices": {"0": 1}}, Answer("wrong type")),
        ({"choices": "x"}, Answer("wrong type")),
        ({"choices": ["x"]}, Answer("wrong type")),
        (choice(text="x"), Answer("wrong type")),
        (choice(message="x"), Answer("wrong type")),
        (choice(message={}), Answer("empty")),
        (completion("x", tool_calls=[{"id": "1"}]), Answer("wrong type")),
        (completion("x", role="tool"), Answer("wrong type")),
        (completion("x", function_call={"name": "f"}), Answer("wrong type")),
        (completion("x", reason="error"), Answer("wrong type")),
        ({**completion("x"), "error": {"code": 500}}, Answer("no choices")),
        (completion("x", reason=None), Answer("text", "x")),
        (completion("x", reason="eos_token"), Answer("text", "x")),
        (completion("x", reason="STOP"), Answer("text", "x")),
        (completion("x", reason="abort"), Answer("torn")),
        (completion("x", reason="model_length"), Answer("torn")),
        (completion("x", reason="MAX_TOKENS"), Answer("torn")),
        (completion("x", reason="what comes next year"), Answer("torn")),
        (completion("x", reason=""), Answer("torn")),
        (completion("x", reason=5), Answer("wrong type")),
        (completion("x", reason=True), Answer("wrong type")),
        (completion("x", reason=["stop"]), Answer("wrong type")),
        ("x", Answer("wrong type")),
        (None, Answer("wrong type")),
    ],
)
def test_only_a_complete_text_is_one(content, answer):
    assert read_answer(Reply(content).body) == answer


@pytest.mark.parametrize(
    "text",
    [
        "<think>Hm, an unsafe text</think>Guten Tag",
        "Hm, an unsafe text\n</think>\n\nGuten Tag",
        "<THINKING>Hm",
        "Guten Tag <reasoning>why</reasoning>",
        "<seed:think>Hm</seed:think>4",
        "[THINK]Hm[/THINK]4",
        "◁think▷Hm◁/think▷4",
        "<|channel|>analysis<|message|>Hm",
        "analysisWe need a text.assistantfinalGuten Tag",
        "<|START_THINKING|>Hm<|END_THINKING|>Guten Tag",
        "<|channel>thought Hm<channel|>Guten Tag",
        "<scratchpad>Hm</scratchpad>Guten Tag",
        "Guten Tag<|im_end|>",
        "Guten Tag</s>",
        "Guten Tag<end_of_turn>",
        "<start_of_turn>model Guten Tag",
        "Guten Tag<eos>",
        "<｜end▁of▁sentence｜>Guten Tag",
        "[INST]Hm[/INST] Guten Tag",
        "<<SYS>>Hm<</SYS>>",
    ],
)
def test_an_answer_with_reasoning_is_no_text(text):
    assert read_answer(Reply(completion(text)).body) == Answer("reasoning")
    torn = Reply(completion(text, reason="length")).body
    assert read_answer(torn) == Answer("torn")


@pytest.mark.parametrize(
    "text",
    [
        "I think so.",
        "<b>think</b>",
        "<thin>",
        "[thinks]",
        "[inside] <end> << a >>",
        "<turn> ｜ a ｜",
        "Analysis of it",
        "a <| b |> c",
    ],
)
def test_a_text_about_thinking_is_one(text):
    assert read_answer(Reply(completion(text)).body) == Answer("text", text)


def test_an_answer_that_says_two_things_is_no_text():
    twice = b'{"choices": [{"message": {"content": "a", "content": "b"}}]}'
    assert read_answer(twice) == Answer("not JSON")


def test_a_key_that_is_twice_behind_many_is_found_in_time():
    keys = ", ".join(f'"{min(i, 59_999)}": 0' for i in range(60_001))
    start = time.process_time()
    assert read_answer(f"{{{keys}}}".encode()) == Answer("not JSON")
    assert time.process_time() - start < 5


def test_answers_in_another_encoding_are_no_text():
    assert read_answer(b'{"choices": "\xff"}') == Answer("not JSON")
