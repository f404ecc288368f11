"""The texts to score: real ones from a folder, or made-up ones of similar lengths."""

import json
import random
from collections.abc import Callable
from pathlib import Path

LANGUAGES = ("En", "Fr", "Es")
MIXED = ("openai", "toxic_chat", "XSafety", "rtp_lx_prompt")
# Mean number of words of the English texts in each file, for made-up texts.
MEAN_WORDS = {"openai": 110, "toxic_chat": 33, "XSafety": 19, "rtp_lx_prompt": 11}

Workloads = dict[str, list[str]]


def make_workloads(
    folder: Path | None, *, count: int, length: Callable[[str], int], seed: int = 0
) -> Workloads:
    """Make the workloads.

    folder (Optional[Path]): The evaluation files of the paper, in a subfolder for each
        language; None for made-up texts.
    count (int): The number of texts in the mix. Other workloads have about as many
        tokens.
    length (Callable[[str], int]): Counts the tokens of a text.
    seed (int): The random seed.
    RETURNS (Dict[str, List[str]]): The texts of each workload by its name.
    """
    draw = random.Random(seed)
    sources = {
        (language, name): read_texts(folder, language, name, draw)
        for language in LANGUAGES
        for name in MIXED
    }
    pool = [text for texts in sources.values() for text in texts]
    draw.shuffle(pool)
    mix = [text for text in pool if 0 < length(text) <= 512][:count]
    short = [
        text for key, texts in sources.items() if "rtp" in key[1] for text in texts
    ]
    draw.shuffle(short)
    documents = {n: _document(pool, n, length) for n in (2048, 8192)}
    repeated = [draw.choice(mix[:i] or mix) for i in range(count)]
    stream = [repeated[i] if draw.random() < 0.3 else mix[i] for i in range(len(mix))]
    return {
        "real mix": mix,
        "short prompts": [text for text in short if length(text) <= 40][: 2 * count],
        "documents of 2k tokens": [documents[2048]],
        "document of 8k tokens": [documents[8192]],
        "sentences, isolated": _sentences(documents[2048]),
        "stream, 30 % repeated": stream,
    }


def read_texts(
    folder: Path | None, language: str, name: str, draw: random.Random
) -> list[str]:
    """folder (Optional[Path]), language (str): As for `make_workloads`.
    name (str): The file, without its suffix.
    draw (random.Random): For made-up texts.
    RETURNS (List[str]): Its texts, or 300 of similar lengths."""
    if folder is not None:
        rows = json.loads((folder / language / f"{name}.json").read_text("utf8"))
        return [row["prompt"] for row in rows]
    texts = []
    for _ in range(300):
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
    text = ""
    for source in pool:
        text += source + "\n"
        if length(text) >= tokens:
            return text
    raise ValueError(f"The texts have fewer than {tokens} tokens: use more texts.")


def _sentences(text: str) -> list[str]:
    import spacy

    nlp = spacy.blank("xx")
    nlp.add_pipe("sentencizer")
    return [sent.text for sent in nlp(text).sents if sent.text.strip()]
