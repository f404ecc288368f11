"""Docs of conversations: what makes them, and which turns they have."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..engine.conversation import Conversation, TurnSpan, read_messages
from ..engine.turn_scores import is_scored
from ..engine.user_warnings import warn_once
from ..errors import Errors, ScoringError, Warnings
from .doc_scores import Chats

# In `doc.user_data`, with lists as values: tuples would not survive `Doc.to_bytes`.
KEY = "duoguard_conversation"


def make_conversation(
    nlp: Language, messages: Iterable[str | Mapping[str, Any]] | Conversation
) -> Doc:
    """Make a doc of the messages of a chat, for `nlp` and `nlp.pipe`. Its text is that
    of the messages, joined by a space. No sentence goes beyond a message.

    nlp (Language): The pipeline whose tokenizer makes the doc.
    messages (Union[Iterable, Conversation]): As for `read_messages`.
    RETURNS (Doc): The doc. `doc._.duoguard_turns` has its turns once it is scored.
    RAISES (SettingsError): As in `read_messages`.
    """
    conversation = messages
    if not isinstance(conversation, Conversation):
        conversation = read_messages(conversation)
    doc = nlp.make_doc(conversation.text)
    spans = conversation.spans
    _start_sentences(doc, spans)
    doc.user_data[KEY] = {
        "roles": [span.role for span in spans],
        "ends": [span.end for span in spans],
    }
    return doc


def _start_sentences(doc: Doc, spans: Iterable[TurnSpan]) -> None:
    """Start a sentence with each message. Whitespace at the end of one and the start of
    the next can be one token, which belongs to the sentence before. All are set at
    once: to set one by one would be quadratic in spaCy."""
    if not len(doc):
        return
    offsets = [token.idx for token in doc]
    starts: Any = doc.to_array("SENT_START")
    for span in spans:
        first = bisect_left(offsets, span.start)
        if first == len(doc) or offsets[first] >= span.end:
            continue
        before = doc[first - 1] if first else None
        if before is None or before.is_space or before.idx + len(before) <= span.start:
            starts[first] = 1
    doc.from_array("SENT_START", starts)


def is_chat(doc: Doc) -> bool:
    """doc (Doc): A doc.
    RETURNS (bool): Whether it was made of messages."""
    return isinstance(doc.user_data, dict) and KEY in doc.user_data


def read_turns(doc: Doc) -> list[TurnSpan] | None:
    """doc (Doc): A doc.
    RETURNS (Optional[List[TurnSpan]]): Its turns; None if it wasn't made of messages.
    RAISES (ScoringError): They can't be those of its text.
    """
    if not is_chat(doc):
        return None
    try:
        content = doc.user_data[KEY]
        return to_spans(content["roles"], content["ends"], doc.text)
    except (KeyError, TypeError, ValueError) as e:
        problem = type(e).__name__
        raise ScoringError(Errors.E254.format(problem=problem)) from e


def read_chats(docs: Iterable[Doc], roles: Collection[str] | None) -> Chats:
    """docs (Iterable[Doc]): Some docs.
    roles (Optional[Collection[str]]): The roles to score; None for all.
    RETURNS (Chats): Which of the docs are conversations.
    RAISES (ScoringError): As in `read_turns`."""
    chats = Chats([read_turns(doc) for doc in docs], roles)
    for turns in chats.turns:
        if (
            turns
            and roles is not None
            and not any(is_scored(turn.role, roles) for turn in turns)
        ):
            names = ", ".join(map(repr, roles))
            warn_once(Warnings.W024.format(roles=names))
    return chats


def to_spans(roles: Any, ends: Any, text: str) -> list[TurnSpan]:
    """roles (Any): The role of each turn, or None.
    ends (Any): The character offset of the end of each.
    text (str): The text of the doc.
    RETURNS (List[TurnSpan]): The turns.
    RAISES (TypeError / ValueError): They aren't those of the text."""
    spans, start = [], 0
    for role, end in zip(roles, ends, strict=True):
        if not (role is None or (isinstance(role, str) and role)):
            raise TypeError("a role is not a string")
        if type(end) is not int or not start <= end <= len(text):
            raise ValueError("a turn is outside the text")
        if end < len(text) and text[end] != " ":
            raise ValueError("no space follows a turn")
        spans.append(TurnSpan(role, start, end))
        start = end + 1
    if (spans[-1].end if spans else 0) != len(text):
        raise ValueError("the turns aren't the whole text")
    return spans
