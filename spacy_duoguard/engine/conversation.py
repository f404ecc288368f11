"""Conversations: the messages of a chat, as chat APIs have them, and the text that they
are scored as. Whatever can't be scored is refused, never left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import Errors, SettingsError
from .network.config import is_storable
from .text.lossless import characters_of

# Parts of a content that are text, in OpenAI's chat and responses APIs.
_TEXT_PARTS = ("text", "input_text", "output_text")

# What says something about a message or a part, and nothing to its readers. Whatever
# else has a value is refused: chat APIs add new kinds of content all the time.
_METADATA = {
    *("role", "content", "type", "text", "name", "id", "index", "object", "status"),
    *("model", "created", "created_at", "timestamp", "date", "time", "end_turn"),
    *("tool_call_id", "cache_control", "channel", "recipient", "weight"),
}
_CACHE_CONTROL = {"type", "ttl"}  # the keys of the one object among the metadata

# Kinds of content to name in a message. Any other name could be anything.
_KNOWN = {
    *("image_url", "input_image", "input_audio", "file", "input_file", "refusal"),
    *("tool_calls", "function_call", "audio", "reasoning_content", "reasoning"),
    *("thinking", "images", "attachments", "parts", "annotations"),
}


class Turn(NamedTuple):
    """One message of a conversation."""

    role: str | None  # None if only its text was given
    text: str


class TurnSpan(NamedTuple):
    """A turn in the text of its conversation."""

    role: str | None
    start: int  # character offsets, half-open
    end: int


def offsets_of(spans: Iterable[TurnSpan]) -> tuple[tuple[int, int], ...]:
    """spans (Iterable[TurnSpan]): The turns of a conversation.
    RETURNS (Tuple[Tuple[int, int], ...]): Where each begins and ends."""
    return tuple((span.start, span.end) for span in spans)


@dataclass(frozen=True)
class Conversation:
    """The turns of a conversation, in order."""

    turns: tuple[Turn, ...]

    @property
    def text(self) -> str:
        """RETURNS (str): The texts of the turns, joined by a space as in the DuoGuard
        paper. Roles are not in it."""
        return " ".join(turn.text for turn in self.turns)

    @property
    def spans(self) -> list[TurnSpan]:
        """RETURNS (List[TurnSpan]): Where each turn is in the text."""
        spans, start = [], 0
        for role, text in self.turns:
            spans.append(TurnSpan(role, start, start + len(text)))
            start += len(text) + 1
        return spans


def read_messages(messages: Iterable[str | Mapping[str, Any]]) -> Conversation:
    """Read the messages of a chat.

    messages (Iterable[Union[str, Mapping[str, Any]]]): The messages, in order: each has
        a "role" and a "content", which is a string, a list of parts
        `{"type": "text", "text": ...}`, or null. A string is a message without a role.
    RETURNS (Conversation): Their texts and roles. Parts are joined by a space.
    RAISES (SettingsError): A message isn't like that, or has something that can't be
        scored, such as an image or the call of a tool.
    """
    if isinstance(messages, (str, bytes)):
        raise SettingsError(Errors.E049.format(kind=type(messages).__name__))
    if isinstance(messages, Mapping) or not isinstance(messages, Iterable):
        kind = type(messages).__name__
        raise SettingsError(Errors.E251.format(problem=f"a value of type '{kind}'"))
    return Conversation(tuple(_read_turn(i, item) for i, item in enumerate(messages)))


def _read_turn(i: int, message: Any) -> Turn:
    if isinstance(message, str):
        return Turn(None, characters_of(message))
    if not isinstance(message, Mapping):
        problem = f"message {i} has the type '{type(message).__name__}'"
        raise SettingsError(Errors.E251.format(problem=problem))
    role = message.get("role")
    if not isinstance(role, str) or not (role := characters_of(role)):
        raise SettingsError(Errors.E251.format(problem=f"message {i} has no role"))
    _check_keys(i, message, but="text")
    if not is_storable(role):
        problem = f"the role of message {i} has an unpaired surrogate"
        raise SettingsError(Errors.E251.format(problem=problem))
    if "content" not in message:
        raise SettingsError(Errors.E251.format(problem=f"message {i} has no content"))
    return Turn(role, _read_content(i, message["content"]))


def _read_content(i: int, content: Any) -> str:
    if content is None:  # as of a message that only called a tool
        return ""
    if isinstance(content, str):
        return characters_of(content)
    if not isinstance(content, (list, tuple)):
        problem = f"the content of message {i} has the type '{type(content).__name__}'"
        raise SettingsError(Errors.E251.format(problem=problem))
    return " ".join(_read_part(i, part) for part in content)


def _read_part(i: int, part: Any) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind not in _TEXT_PARTS:
        is_known = isinstance(kind, str) and kind in _KNOWN
        name = f" of type '{kind}'" if is_known else ""
        raise SettingsError(Errors.E253.format(i=i, what=f"a part{name}"))
    _check_keys(i, part, but="content")
    if not isinstance(part.get("text"), str):
        problem = f"a part of message {i} has no text"
        raise SettingsError(Errors.E251.format(problem=problem))
    return characters_of(part["text"])


def _check_keys(i: int, values: Mapping[str, Any], *, but: str) -> None:
    """values (Mapping[str, Any]): A message, or a part of its content.
    but (str): What it can't have, although others can.
    RAISES (SettingsError): It has something else to say than its text. What is empty,
        such as null in a table, says nothing."""
    for key, value in values.items():
        is_metadata = key == "content" or (key in _METADATA and _is_scalar(value))
        if key == "cache_control" and isinstance(value, Mapping):
            is_metadata = value.keys() <= _CACHE_CONTROL
            is_metadata &= all(map(_is_scalar, value.values()))
        if not _is_empty(value) and (key == but or not is_metadata):
            what = f"'{key}'" if key in _KNOWN else "more than its text"
            raise SettingsError(Errors.E253.format(i=i, what=what))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, bytes)) or not isinstance(value, Iterable)


def _is_empty(value: Any) -> bool:
    try:
        return len(value) == 0
    except TypeError:
        return not value
