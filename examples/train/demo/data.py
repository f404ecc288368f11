"""The data of the demo checkpoint: rows, texts made from them, and the tokenizer."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from spacy_duoguard.taxonomy import CATEGORIES

LANGUAGES = ("En", "Fr", "Es")
OPENAI, RTP_LX, TOXIC_CHAT = "openai", "rtp_lx_prompt", "toxic_chat"
TRAINED_ON = (OPENAI, RTP_LX)
N_PARTS, HELD_OUT = 5, 0
N_TOKENS = 8000
END_OF_TEXT = "<|endoftext|>"

# How Qwen2.5 splits text into words before it applies its merges.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Row:
    """A text and its gold labels."""

    file: str
    language: str
    index: int  # in its file; in `openai` the same text in each language
    text: str
    gold: np.ndarray  # (12,) float32, zeros if unknown
    unsafe: float
    known: bool  # whether the twelve categories are known, or only `unsafe`

    @property
    def part(self) -> int:
        """The fifth of the file that the row belongs to. Part 0 is held out."""
        return self.index % N_PARTS


@dataclass(frozen=True)
class View:
    """The text of a row, or a part of it."""

    row: int  # index into the training rows
    text: str


def read_rows(folder: Path, file: str) -> list[Row]:
    """Read one file in each language.

    folder (Path): The folder with a subfolder for each language.
    file (str): The name of the file, without its suffix.
    RETURNS (List[Row]): The rows by language, in the order of the file.
    """
    rows = []
    for language in LANGUAGES:
        path = folder / language / f"{file}.json"
        records = json.loads(path.read_text(encoding="utf8"))
        for index, record in enumerate(records):
            gold = _gold(record) if file == OPENAI else np.zeros(12, np.float32)
            flag = record["class" if file == RTP_LX else "moderation_flag"]
            known = file == OPENAI or (file == RTP_LX and not flag)
            text = record["prompt"]
            rows.append(Row(file, language, index, text, gold, float(flag), known))
    return rows


def _gold(record: dict) -> np.ndarray:
    """The categories of an `openai` row, from keys such as "C1(Violent Crimes)"."""
    gold = np.zeros(len(CATEGORIES), np.float32)
    for key, value in record["parsed_result"]["MODERATION_RESULT"].items():
        gold[int(key[1 : key.index("(")]) - 1] = value
    return gold


def make_views(
    rows: Sequence[Row], n_crops: int, rng: np.random.Generator
) -> list[View]:
    """Make the views of the rows: the text of each, and random crops of the long
    `openai` texts.

    rows (Sequence[Row]): The training rows.
    n_crops (int): The number of crops per text, before duplicates are removed.
    rng (Generator): The random number generator.
    RETURNS (List[View]): The full texts in order, then the crops.
    """
    full = [View(i, row.text) for i, row in enumerate(rows)]
    crops = {}
    for i, row in enumerate(rows):
        words = row.text.split(" ")
        if row.file != OPENAI or len(words) < 12:
            continue
        for _ in range(n_crops):
            size = int(rng.integers(8, max(8, int(len(words) * 0.8)) + 1))
            start = int(rng.integers(0, len(words) - size + 1))
            crops[View(i, " ".join(words[start : start + size]))] = None
    return full + list(crops)


class Mixer:
    """Mixes new texts from word sequences of one to four rows of a language. They have
    no gold labels, but the teacher can label any text, and each is used once, so the
    model can't memorize them."""

    def __init__(self, rows: Sequence[Row], rng: np.random.Generator) -> None:
        """rows (Sequence[Row]): The training rows.
        rng (Generator): The random number generator."""
        self.rng = rng
        languages = sorted({row.language for row in rows})
        self.words = [
            [row.text.split(" ") for row in rows if row.language == language]
            for language in languages
        ]

    def draw(self, n_texts: int) -> list[str]:
        """n_texts (int): The number of texts.
        RETURNS (List[str]): The texts."""
        return [self._mix() for _ in range(n_texts)]

    def _mix(self) -> str:
        sources = self.words[self.rng.integers(len(self.words))]
        mixture: list[str] = []
        for _ in range(self.rng.choice([1, 2, 2, 3, 4])):
            source = sources[self.rng.integers(len(sources))]
            size = min(len(source), int(self.rng.integers(3, 25)))
            start = self.rng.integers(0, len(source) - size + 1)
            mixture += source[start : start + size]
        return " ".join(mixture)


def train_tokenizer(texts: Iterable[str], *, n_tokens: int = N_TOKENS) -> Tokenizer:
    """Train a byte-level BPE tokenizer in the form of Qwen2.5's.

    texts (Iterable[str]): The training texts.
    n_tokens (int): The maximum number of tokens.
    RETURNS (Tokenizer): The tokenizer. Its one added token has the last id.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=n_tokens,
        min_frequency=2,
        initial_alphabet=sorted(byte_level.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    end = AddedToken(END_OF_TEXT, normalized=False, special=True)
    tokenizer.add_special_tokens([end])
    return tokenizer
