"""From text to token ids. User text never becomes a control token."""

import json
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from ...errors import CheckpointError, Errors, ScoringError
from .batches import BatchTokenizer
from .byte_pairs import BytePairs
from .lossless import ByteCounts, check_covered, find_loss, find_shared_id
from .parallel import is_panic
from .tokens import Tokens, join_ids, read_offsets

# Checkpoints pad their embeddings to round sizes (Qwen2.5-0.5B: 271 rows more than
# tokens). A wider gap means that the tokenizer belongs to another model.
_MAX_SPARE_ROWS = 1024

# A run of whitespace is tokenized in parts of this many characters, which gives the
# same tokens: the regex engines of pre-tokenizers give up on millions of characters.
_MAX_WHITESPACE = 2**14


class TextTokenizer:
    """A tokenizer backend in which user text can't reach the control tokens.

    The added tokens of a tokenizer (`<|endoftext|>`, `<tool_call>`, …) are control
    codes. They are removed here, so that a user who types one gets ordinary tokens.
    What the post-processor adds is kept: those tokens begin and end every window.
    Without truncation and padding the backend has no state, and threads can share it.
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
        self._backend = _load(backend, source)
        if loss := find_loss(backend):
            raise self._error(loss)
        if shared := find_shared_id(backend):
            raise self._error(shared)
        self._bytes = ByteCounts.of(backend)
        try:
            self.prefix, self.suffix = self._special_tokens()
            self._check_added(added)
        except ScoringError as e:
            raise self._error(f"it fails on plain text: {e}") from e
        self._pairs = BytePairs.of(backend) if self._bytes is not None else None

    @property
    def batches(self) -> BatchTokenizer:
        """RETURNS (BatchTokenizer): Tokenizes several texts at once."""
        return BatchTokenizer(self._backend, self._bytes, self._pairs, self.encode)

    @property
    def n_special(self) -> int:
        """How many tokens the post-processor adds to each window."""
        return len(self.prefix) + len(self.suffix)

    def encode(self, text: str) -> Tokens:
        """Tokenize a text.

        text (str): Any text.
        RETURNS (Tokens): Its tokens, without special ones.
        RAISES (ScoringError): The text has an unpaired surrogate, the tokenizer gives
            up on it, or no token stands for one of its visible characters.
        """
        splits = list(pairwise(_split_whitespace(text)))
        encodings = [self._encode(text[start:end]) for start, end in splits]
        ids, _ = join_ids([encoding.ids for encoding in encodings])

        def locate(*_: Any) -> np.ndarray:
            pairs = zip(splits, encodings, strict=True)
            return np.concatenate(
                [read_offsets(encoding) + start for (start, _), encoding in pairs]
            )

        tokens = Tokens(ids, text, locate)
        bounds = np.array([0, len(ids)])
        if self._bytes is None or not self._bytes.cover([text], ids, bounds)[0]:
            check_covered(text, tokens.offsets)
        return tokens

    def encode_batch(
        self,
        texts: Sequence[str],
        *,
        offsets: Callable[[str], bool],
        least: int = 0,
        in_threads: bool = True,
    ) -> list[Tokens | Exception]:
        """Tokenize texts while other Python threads go on.

        texts (Sequence[str]): Any texts.
        offsets (Callable): Whether the offsets of a text will be read. They can be read
            in any case, but the text is then tokenized again.
        least (int): How many tokens a text has at least if they will be read.
        in_threads (bool): Let `tokenizers` use all cores for texts that are left to it.
        RETURNS (List[Union[Tokens, Exception]]): For each text what `encode` returns or
            raises.
        """
        results = self.batches.finish(
            self.batches.begin(
                texts, offsets=offsets, least=least, in_threads=in_threads
            )
        )
        return [
            results[text] if text in results else self.batches.try_encode(text)
            for text in texts
        ]

    def _encode(self, text: str, *, add_special_tokens: bool = False) -> Encoding:
        try:
            return self._backend.encode(text, add_special_tokens=add_special_tokens)
        except TypeError as e:  # tokenizers' error for a str that isn't Unicode
            raise ScoringError(Errors.E052) from e
        except BaseException as e:
            if not is_panic(e):
                raise
        raise ScoringError(Errors.E058.format(source=self.source))

    @cached_property
    def splits_at_words(self) -> bool:
        """Whether the end of a word is always the end of a token, and nothing that
        follows changes the tokens before it. True for the patterns of GPT-2 and its
        descendants, Qwen and Llama 3 among them."""
        pre_tokenizer = self._backend.pre_tokenizer
        if pre_tokenizer is None:
            return False
        for text in ("ab cd", "ab, cd", "ab\ncd", "ab(cd", "ab.  cd"):
            try:
                offsets = [span for _, span in pre_tokenizer.pre_tokenize_str(text)]
            except BaseException as e:
                if not isinstance(e, Exception) and not is_panic(e):
                    raise
                return False
            if all(start != 2 for start, _ in offsets):
                return False
        return True

    def add_special_tokens(self, ids: np.ndarray) -> np.ndarray:
        """ids (ndarray): The tokens of a window.
        RETURNS (ndarray): The same, between the post-processor's tokens."""
        if not self.n_special:
            return ids
        return np.concatenate((self.prefix, ids, self.suffix))

    def check_fits(self, vocab_size: int) -> None:
        """Check that the embedding has a row for each token, and not many more.

        vocab_size (int): Rows of the model's embedding.
        RAISES (CheckpointError): The tokenizer belongs to another model.
        """
        ids = [*self._backend.get_vocab().values(), *self.prefix, *self.suffix]
        needed = max([-1, *ids]) + 1
        if needed > vocab_size:
            problem = f"its ids need {needed} rows, the embedding has {vocab_size}"
        elif vocab_size - self._n_tokens > _MAX_SPARE_ROWS:
            problem = f"it has {self._n_tokens} tokens for {vocab_size} embedding rows"
        else:
            return
        raise self._error(problem)

    def _special_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """The tokens that the post-processor puts before and after a text."""
        encoding = self._encode("a", add_special_tokens=True)
        mask = np.asarray(encoding.special_tokens_mask, dtype=bool)
        ids = np.asarray(encoding.ids, dtype=np.int32)
        body = np.flatnonzero(~mask)
        if not len(body):
            raise self._error("it has no token for U+0061")
        return ids[: body[0]], ids[body[-1] + 1 :]

    def _check_added(self, added: Sequence[dict[str, Any]]) -> None:
        """Refuse a tokenizer whose vocabulary also holds the added tokens: a text could
        still produce their ids."""
        try:
            added_ids = {int(token["id"]) for token in added}
            contents = [str(token["content"]) for token in added]
        except (KeyError, TypeError, ValueError) as e:
            raise self._error("added_tokens is not a list of tokens") from e
        vocab = self._backend.get_vocab()
        self._n_tokens = len({*vocab.values(), *added_ids})
        by_id = {id_: token for token, id_ in vocab.items()}
        for token in added:
            if by_id.get(token["id"], token["content"]) != token["content"]:
                raise self._error(f"added token {token['id']} is an ordinary token too")
        for content in contents:
            spelled = added_ids.intersection(self.encode(content).ids.tolist())
            if spelled:
                raise self._error(f"text can spell its added token {min(spelled)}")

    def _error(self, problem: str) -> CheckpointError:
        return CheckpointError(Errors.E019.format(source=self.source, problem=problem))


def _load(settings: dict[str, Any], source: str) -> Tokenizer:
    """RAISES (CheckpointError): `tokenizers` can't read the settings."""
    try:
        return Tokenizer.from_str(json.dumps(settings))
    except BaseException as e:  # tokenizers raises bare Exception, or panics
        if not isinstance(e, Exception) and not is_panic(e):
            raise
        problem = Errors.E018.format(source=source, kind="a tokenizer.json", problem=e)
        raise CheckpointError(problem) from e


def _split_whitespace(text: str) -> list[int]:
    """The offsets at which to split a text, from 0 to its length."""
    splits = [0]
    if len(text) > _MAX_WHITESPACE:
        for run in re.finditer(r"\s+", text):
            splits += range(run.start() + _MAX_WHITESPACE, run.end(), _MAX_WHITESPACE)
    return [*splits, len(text)]


def _parse(data: str, source: str) -> dict[str, Any]:
    problem: object = "not a JSON object"
    try:
        settings = json.loads(data)
        if isinstance(settings, dict):
            return settings
    except (ValueError, RecursionError) as e:
        problem = e
    message = Errors.E018.format(
        source=source, kind="a tokenizer.json", problem=problem
    )
    raise CheckpointError(message)
