"""From text to token ids, without the tokenizer's added tokens."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ...errors import CheckpointError, Errors, ScoringError

# Checkpoints pad their embeddings to round sizes (Qwen2.5-0.5B: 271 rows more than
# pieces). A wider gap means that the tokenizer is another model's.
_MAX_SPARE_ROWS = 1024

# One character each of Latin, Cyrillic, Arabic, Han and the pictographs.
_PROBES = "a\u044f\u0634\u65e5\U0001f642"


@dataclass(frozen=True)
class Tokens:
    """The pieces of one text, without what the post-processor adds."""

    ids: np.ndarray  # (n_tokens,) int32
    offsets: np.ndarray  # (n_tokens, 2) int32, characters of the text
    n_chars: int

    def place(self, start: int, stop: int) -> tuple[int, int]:
        """Where a run of pieces lies in the text. A piece's own offsets can leave out
        characters that normalization merged into it: they belong to the piece before
        them.

        start (int): The first piece.
        stop (int): One after the last piece.
        RETURNS (Tuple[int, int]): Character offsets, start and end.
        """
        left = int(self.offsets[start:stop, 0].min()) if start else 0
        right = int(self.offsets[start:stop, 1].max())
        if stop == len(self.ids):
            return left, self.n_chars
        return left, max(right, int(self.offsets[stop, 0]))


class TextTokenizer:
    """A private tokenizer backend that maps user text to ordinary pieces only.

    The added tokens of a tokenizer (`<|endoftext|>`, `<tool_call>`, …) are control
    codes: a user who types one must not reach it. They are removed, so that such text
    is cut into pieces like any other. What the post-processor adds is kept: those
    tokens begin and end every window. Without truncation and padding the backend has
    no state, and threads can share it.
    """

    def __init__(self, data: str, *, source: str) -> None:
        """data (str): The content of a `tokenizer.json`.
        source (str): Where it came from, for messages.
        RAISES (CheckpointError): Not a tokenizer, or one whose added tokens can be
            typed.
        """
        self.data = data
        self.source = source
        settings = _parse(data, source)
        added = settings.get("added_tokens") or []
        backend = dict(settings, added_tokens=[], truncation=None, padding=None)
        try:
            self._backend = Tokenizer.from_str(json.dumps(backend))
        except Exception as e:  # tokenizers raises bare Exception
            problem = Errors.E018.format(
                source=source, kind="a tokenizer.json", problem=e
            )
            raise CheckpointError(problem) from e
        self.prefix, self.suffix = self._specials()
        self._check_added(added)
        self._check_lossless()

    @property
    def n_special(self) -> int:
        """How many tokens of each window come from the post-processor."""
        return len(self.prefix) + len(self.suffix)

    def encode(self, text: str) -> Tokens:
        """Cut a text into pieces.

        text (str): Any text.
        RETURNS (Tokens): Its pieces, none of them added.
        RAISES (ScoringError): The text holds half of a surrogate pair.
        """
        try:
            encoding = self._backend.encode(text, add_special_tokens=False)
        except TypeError as e:  # what tokenizers says of a str that is no Unicode
            raise ScoringError(Errors.E052) from e
        return Tokens(
            ids=np.asarray(encoding.ids, dtype=np.int32),
            offsets=np.asarray(encoding.offsets, dtype=np.int32).reshape(-1, 2),
            n_chars=len(text),
        )

    @cached_property
    def cuts_words(self) -> bool:
        """Whether a word ends where its letters do, whatever follows: no piece crosses
        such an end, and what comes later changes nothing before it. True of the
        patterns of GPT-2 and its kin, Qwen and Llama 3 among them."""
        cutter = self._backend.pre_tokenizer
        if cutter is None:
            return False
        for text in ("ab cd", "ab, cd", "ab\ncd", "ab(cd", "ab.  cd"):
            places = [place for _, place in cutter.pre_tokenize_str(text)]
            if all(start != 2 for start, _ in places):
                return False
        return True

    def frame(self, ids: np.ndarray) -> np.ndarray:
        """ids (ndarray): The pieces of a window. RETURNS (ndarray): The same between
        the tokens of the post-processor."""
        if not self.n_special:
            return ids
        return np.concatenate((self.prefix, ids, self.suffix))

    def check_fits(self, vocab_size: int) -> None:
        """Check that the embedding has a row for each piece, and few to spare.

        vocab_size (int): Rows of the model's embedding.
        RAISES (CheckpointError): The tokenizer is another model's.
        """
        own = [*self._backend.get_vocab().values(), *self.prefix, *self.suffix]
        needed = max([-1, *own]) + 1
        if needed > vocab_size:
            problem = f"its ids need {needed} rows, the embedding has {vocab_size}"
        elif vocab_size - self._pieces > _MAX_SPARE_ROWS:
            problem = f"it has {self._pieces} pieces for {vocab_size} embedding rows"
        else:
            return
        raise self._refused(problem)

    def _specials(self) -> tuple[np.ndarray, np.ndarray]:
        """The tokens that the post-processor puts before and after a text."""
        encoding = self._backend.encode("a", add_special_tokens=True)
        mask = np.asarray(encoding.special_tokens_mask, dtype=bool)
        ids = np.asarray(encoding.ids, dtype=np.int32)
        body = np.flatnonzero(~mask)
        if not len(body):
            raise self._refused("it has no piece for U+0061")
        return ids[: body[0]], ids[body[-1] + 1 :]

    def _check_added(self, added: Sequence[dict[str, Any]]) -> None:
        """A vocabulary that holds the added tokens as pieces could still give their
        ids: such a tokenizer is refused."""
        try:
            ids = {int(token["id"]) for token in added}
            contents = [str(token["content"]) for token in added]
        except (KeyError, TypeError, ValueError) as e:
            raise self._refused("added_tokens are no list of tokens") from e
        self._pieces = len({*self._backend.get_vocab().values(), *ids})
        pieces = {id_: piece for piece, id_ in self._backend.get_vocab().items()}
        for token in added:
            if pieces.get(token["id"], token["content"]) != token["content"]:
                raise self._refused(f"added token {token['id']} is a piece as well")
        for content in contents:
            spelt = ids.intersection(self.encode(content).ids.tolist())
            if spelt:
                raise self._refused(f"text can spell its added token {min(spelt)}")

    def _check_lossless(self) -> None:
        """A tokenizer without bytes or an unknown piece drops what it cannot spell:
        text in another script would be empty, and pass."""
        for character in _PROBES:
            if not len(self.encode(character).ids):
                raise self._refused(f"it has no piece for U+{ord(character):04X}")

    def _refused(self, problem: str) -> CheckpointError:
        return CheckpointError(Errors.E019.format(source=self.source, problem=problem))


def _parse(data: str, source: str) -> dict[str, Any]:
    try:
        settings = json.loads(data)
    except (ValueError, RecursionError) as e:
        message = Errors.E018.format(source=source, kind="a tokenizer.json", problem=e)
        raise CheckpointError(message) from e
    if not isinstance(settings, dict):
        message = Errors.E018.format(
            source=source, kind="a tokenizer.json", problem="not a JSON object"
        )
        raise CheckpointError(message)
    return settings
