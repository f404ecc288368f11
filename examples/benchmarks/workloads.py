"""The texts to score: real ones from a folder, or made-up ones of similar lengths.

Every round takes new texts. The same texts again would be 5 to 10 % faster, because
oneDNN keeps a kernel for each number of rows that it has seen.
"""

import json
import random
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

LANGUAGES = ("En", "Fr", "Es")
MIXED = ("openai", "toxic_chat", "XSafety", "rtp_lx_prompt")
# Mean number of words of the English texts in each file, for made-up texts.
MEAN_WORDS = {"openai": 110, "toxic_chat": 33, "XSafety": 19, "rtp_lx_prompt": 11}
MADE_UP = 600  # texts per language and file

NAMES = (
    "real mix",
    "short prompts",
    "documents of 2k tokens",
    "document of 8k tokens",
    "sentences, isolated",
    "stream, 30 % repeated",
)

Workloads = dict[str, list[str]]


class TextPool:
    """Texts that are each given out once."""

    def __init__(
        self, folder: Path | None, *, length: Callable[[str], int], seed: int = 0
    ) -> None:
        """folder (Optional[Path]): The evaluation files of the paper, in a subfolder
            for each language; None for made-up texts.
        length (Callable[[str], int]): Counts the tokens of a text.
        seed (int): The random seed."""
        self.length = length
        self._draw = random.Random(seed)
        sources = {
            (language, name): read_texts(folder, language, name, self._draw)
            for language in LANGUAGES
            for name in MIXED
        }
        self._all = list(dict.fromkeys(t for texts in sources.values() for t in texts))
        self._draw.shuffle(self._all)
        rtp = [text for key in sources if "rtp" in key[1] for text in sources[key]]
        short = list(dict.fromkeys(rtp))
        self._draw.shuffle(short)
        self._mix = (text for text in self._all if 0 < length(text) <= 512)
        self._short = (text for text in short if 0 < length(text) <= 40)

    def mix(self, count: int) -> list[str]:
        """count (int): The number of texts.
        RETURNS (List[str]): New texts of up to 512 tokens from all files.
        RAISES (ValueError): There aren't enough texts."""
        return _take(self._mix, count)

    def next_round(self, count: int) -> Workloads:
        """count (int): The number of texts in the mix. Other workloads have about as
            many tokens.
        RETURNS (Dict[str, List[str]]): New texts for each workload.
        RAISES (ValueError): There aren't enough texts."""
        mix = self.mix(count)
        repeated = [self._draw.choice(mix[:i] or mix) for i in range(count)]
        self._draw.shuffle(self._all)
        document = _document(self._all, 2048, self.length)
        texts = (
            mix,
            _take(self._short, 2 * count),
            [document],
            [_document(self._all[::-1], 8192, self.length)],
            _sentences(document),
            [
                repeated[i] if self._draw.random() < 0.3 else mix[i]
                for i in range(count)
            ],
        )
        return dict(zip(NAMES, texts, strict=True))

    def of_length(self, tokens: int, count: int) -> list[str]:
        """tokens (int): The number of tokens.
        count (int): The number of texts.
        RETURNS (List[str]): At most so many texts, within 10 % of that length."""
        fits = (t for t in self._all if abs(self.length(t) - tokens) <= tokens // 10)
        return list(islice(fits, count))


def _take(texts: Iterator[str], count: int) -> list[str]:
    taken = list(islice(texts, count))
    if len(taken) < count:
        raise ValueError("There are too few texts: use fewer rounds or a lower count.")
    return taken


def read_texts(
    folder: Path | None, language: str, name: str, draw: random.Random
) -> list[str]:
    """folder (Optional[Path]), language (str): As for `TextPool`.
    name (str): The file, without its suffix.
    draw (random.Random): For made-up texts.
    RETURNS (List[str]): Its texts, or 300 of similar lengths."""
    if folder is not None:
        rows = json.loads((folder / language / f"{name}.json").read_text("utf8"))
        return [row["prompt"] for row in rows]
    texts = []
    for _ in range(MADE_UP):
        words = min(400, max(1, round(draw.expovariate(1 / MEAN_WORDS[name]))))
        spelled = (
            "".join(_syllable(draw) for _ in range(draw.randint(1, 3)))
            for _ in range(words)
        )
        texts.append(" ".join(spelled) + ".")
    return texts


def _syllable(draw: random.Random) -> str:
    return draw.choice("bcdfglmnprst") + draw.choice("aeiou") + draw.choice("lnrs ")[:1]


def _document(pool: list[str], tokens: int, length: Callable[[str], int]) -> str:
    """Join texts until they have enough tokens."""
    total, texts = 0, []
    for text in pool:
        texts.append(text)
        total += length(text)
        if total >= tokens:
            return "\n".join(texts)
    raise ValueError(f"The texts have fewer than {tokens} tokens: use more texts.")


def _sentences(text: str) -> list[str]:
    import spacy

    nlp = spacy.blank("xx")
    nlp.add_pipe("sentencizer")
    return [sent.text for sent in nlp(text).sents if sent.text.strip()]
