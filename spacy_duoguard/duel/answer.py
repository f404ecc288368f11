"""Read what a chat endpoint answers. Every request ends as one answer of a known kind:
nothing that isn't a complete text is ever taken for one."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..engine.text.lossless import needs_token
from ..engine.unique_keys import unique_keys
from ..scoring.record import is_unicode

# What a model said.
TEXT, REFUSAL, EMPTY, TORN = "text", "refusal", "empty", "torn"
REASONING = "reasoning"
# What went wrong with a request. These are asked again when a run goes on.
FAILURES: tuple[str, ...] = (
    "rate limited",
    "server error",
    "timeout",
    "connection lost",
    "not JSON",
    "no choices",
    "wrong type",
    "too large",
    "rejected",
)

# What models put around their reasoning. Some templates begin it, so that the answer
# only ends it. Control tokens, with which gpt-oss and others name its channels, are in
# no text either; without them, its channels run into each other.
_REASONING = re.compile(
    r"</?(seed:)?(think|thinking|thoughts?|reason|reasoning|reflection|analysis"
    r"|scratchpad|tool_call|s)>|\[/?THINK\]|◁/?think▷"
    r"|<\|\w{1,40}\|?>|<\w{1,40}\|>|<｜[\w▁ ]{1,40}｜>"
    r"|<(bos|eos|pad|unk|mask|(start|end)_of_\w{1,20})>"
    r"|\[/?(INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w{1,20})\]|<</?SYS>>"
    r"|\A(?-i:analysis(?=[A-Z]))|assistantfinal",
    re.IGNORECASE,
)
# Why a complete answer ended, in the words of several servers. Some don't say.
_COMPLETE = ("stop", "stop_sequence", "eos", "eos_token", "end_turn", "complete")
# Why an answer ended that is none.
_NO_TEXT = ("error", "tool_calls", "function_call")


@dataclass(frozen=True)
class Answer:
    """What came of a request."""

    kind: str  # TEXT, REFUSAL, EMPTY, TORN, REASONING, or one of FAILURES
    text: str = ""  # only for TEXT

    @property
    def failed(self) -> bool:
        """Whether it's the server's fault, not the model's, that there is no text."""
        return self.kind in FAILURES


def read_answer(body: bytes) -> Answer:
    """Read the body of a response, trusting nothing in it.

    body (bytes): What the server sent.
    RETURNS (Answer): A text only if there is a complete one.
    """
    try:
        content = json.loads(body, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError):
        return Answer("not JSON")
    if not isinstance(content, Mapping):
        return Answer("wrong type")
    choices = content.get("choices")
    if content.get("error") or choices is None or choices == []:
        return Answer("no choices")
    choice = choices[0] if isinstance(choices, list) else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return Answer("wrong type")
    reason = choice.get("finish_reason")
    is_reason = reason is None or isinstance(reason, str)
    if choice.get("error") or not is_reason or reason in _NO_TEXT:
        return Answer("wrong type")
    return _read_message(message, reason)


def _read_message(message: Mapping[str, Any], reason: str | None) -> Answer:
    """message (Mapping[str, Any]): What the server says that the model said.
    reason (Optional[str]): Why it ended. Some servers don't say."""
    refusal = message.get("refusal")
    if reason == "content_filter" or (isinstance(refusal, str) and refusal.strip()):
        return Answer(REFUSAL)
    text = message.get("content")
    if text is None:
        return Answer(EMPTY)
    is_call = message.get("tool_calls") or message.get("function_call")
    if is_call or message.get("role") not in (None, "assistant"):
        return Answer("wrong type")
    if not isinstance(text, str) or not is_unicode(text):
        return Answer("wrong type")
    if not any(map(needs_token, text)):
        return Answer(EMPTY)
    if reason is not None and reason.lower() not in _COMPLETE:
        return Answer(TORN)
    return Answer(REASONING) if _REASONING.search(text) else Answer(TEXT, text)
