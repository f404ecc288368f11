"""The demo checkpoint's figures on texts it was not trained on, and its card."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from demo_data import LANGUAGES, OPENAI, RTP_LX, TOXIC_CHAT, read_rows
from demo_teacher import UNSAFE_COLUMN, Teacher
from sklearn.metrics import f1_score, roc_auc_score

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.taxonomy import CATEGORIES

THRESHOLD = 0.5

_NAMES = {
    OPENAI: "OpenAI Moderation, held out",
    RTP_LX: "RTP-LX prompts, held out",
    TOXIC_CHAT: "ToxicChat, out of domain",
}

_CARD = """\
# The demo checkpoint

A very small safety classifier for **trying out `spacy-duoguard` and for its tests**. \
It is not DuoGuard, has not seen DuoGuard's data, and must **not moderate anything**: \
for that, load `DuoGuard/DuoGuard-0.5B`.

## What it is

A `Qwen2ForSequenceClassification` with {parameters} parameters, stored in bfloat16: \
{layers} layers, width {width}, {heads} attention heads ({kv_heads} for keys and \
values), windows of {window} tokens, and a byte-level BPE tokenizer of its own \
({pieces:,} pieces and `<|endoftext|>`). As in DuoGuard, twelve sigmoids read the last \
token; `unsafe` is their maximum.

## Data

Trained from scratch, tokenizer included, on English, French and Spanish texts from \
`openai.json` and `rtp_lx_prompt.json` as repackaged by DuoGuard's authors \
(`yihedeng9/DuoGuard`, Apache-2.0), and on nothing else:

- OpenAI Moderation evaluation set (MIT): all twelve categories are labelled.
- RTP-LX prompts (MIT and Apache-2.0): only safe or unsafe. A safe prompt is 0 in all \
categories; an unsafe one teaches the maximum.

Rows whose index is a multiple of five are held out, in every language: an OpenAI row \
is the same text in each. RTP-LX rows are not aligned between the languages, so a \
translation of a held-out prompt may be among the training rows, and those figures may \
be flattered; and 5 of the 996 different held-out OpenAI texts occur, but for case, \
among the training rows too. ToxicChat (CC-BY-NC-4.0) is only evaluated on.

Positive training rows, over the three languages: {positives}. **Never positive in \
training: {never}.** Their scores mean nothing: they \
stay near 0.

## Training

    pip install ".[train]"
    python examples/train/demo.py --data FOLDER --seed {seed}

took {minutes:.0f} CPU minutes on two cores of a server, the teacher and the tokenizer \
included. The decoder starts from word vectors counted in the training rows and is \
taught by them and by a TF-IDF regression: out-of-fold probabilities for whole texts \
and parts of them, mixed with the gold labels, and the regression's opinion of random \
mixtures of runs of words. The settings were chosen on the rows `i % 5 == 1`, trained \
without; the held-out rows decided nothing.

## Figures

AUROC and F1 (threshold 0.5) of `unsafe`, of the stored weights in float32; texts \
longer than 512 tokens in windows with a stride of 384. TF-IDF is the teacher: word \
1–2-grams, character 2–5-grams and logistic regression, fitted on the same rows by the \
same script.

{table}

## Weaknesses

- It knows words, not meaning: a harmless sentence with a violent word can be flagged, \
and a threat in plain words can pass.
- Out of domain it is little better than chance (ToxicChat above). Jailbreaks, and all \
topics of the categories without positives, it has never been taught.
- It imitates a TF-IDF regression, and the table is all that it adds to it or loses. \
With 336 texts a file, differences of 0.02 in AUROC are within chance.
- **Only `unsafe` is worth reading.** RTP-LX names no category, so the maximum is \
taught wherever it happens to be: one category (in the shipped checkpoint `Violent \
crimes`) takes nearly every unsafe text, whatever it is about. Of the others only \
`Sexual content` and `Child sexual exploitation` still rank their own texts well.
- Other languages than the three, code and obfuscated spellings were not in training.
- Probabilities are not calibrated, and 0.5 is no tuned threshold.
- The texts are web text and prompts with their own social biases, labelled by few \
people; mentions of groups can raise `Hate` by themselves.
"""


@dataclass(frozen=True)
class Figure:
    """How well `unsafe` is told on one file in one language."""

    file: str
    language: str
    texts: int
    auroc: float
    f1: float
    baseline_auroc: float
    baseline_f1: float


def evaluate(folder: Path, classifier: Classifier, baseline: Teacher) -> list[Figure]:
    """Score what was not trained on.

    folder (Path): The evaluation files.
    classifier (Classifier): The checkpoint as stored.
    baseline (Teacher): To compare with.
    RETURNS (List[Figure]): By file, then by language.
    """
    figures = []
    for file in _NAMES:
        rows = read_rows(folder, file)
        for language in LANGUAGES:
            chosen = [
                row
                for row in rows
                if row.language == language and (row.held_out or file == TOXIC_CHAT)
            ]
            texts = [row.text for row in chosen]
            gold = np.array([row.unsafe for row in chosen])
            own = _measure(gold, classifier.score(texts).max(axis=1))
            other = _measure(gold, baseline.label(texts)[:, UNSAFE_COLUMN])
            figures.append(Figure(file, language, len(chosen), *own, *other))
    return figures


def _measure(gold: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    return (
        float(roc_auc_score(gold, scores)),
        float(f1_score(gold, scores > THRESHOLD)),
    )


def write_card(
    folder: Path,
    classifier: Classifier,
    positives: Sequence[int],
    figures: Sequence[Figure],
    *,
    minutes: float,
    seed: int,
) -> None:
    """folder (Path): Where `README.md` goes.
    classifier (Classifier): The checkpoint as stored.
    positives (Sequence[int]): Training rows with each category.
    figures (Sequence[Figure]): From `evaluate`.
    minutes (float): CPU time of the training.
    seed (int): Its seed.
    """
    config = classifier.decoder.config
    counted = dict(zip(CATEGORIES, positives, strict=True))
    n_parameters = sum(p.numel() for p in classifier.decoder.parameters())
    card = _CARD.format(
        parameters=f"{n_parameters / 1e6:.1f} million",
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        window=config.max_position_embeddings,
        pieces=config.vocab_size - 1,
        positives=", ".join(f"{name} {n}" for name, n in counted.items() if n),
        never=", ".join(name for name, n in counted.items() if not n),
        minutes=minutes,
        seed=seed,
        table=_table(figures),
    )
    (folder / "README.md").write_text(card, encoding="utf8")


def _table(figures: Sequence[Figure]) -> str:
    lines = [
        "| file | language | texts | AUROC | TF-IDF | F1 | TF-IDF |",
        "| --- | --- | --: | --: | --: | --: | --: |",
    ]
    lines += [
        f"| {_NAMES[f.file]} | {f.language} | {f.texts} | {f.auroc:.3f} "
        f"| {f.baseline_auroc:.3f} | {f.f1:.3f} | {f.baseline_f1:.3f} |"
        for f in figures
    ]
    return "\n".join(lines)
