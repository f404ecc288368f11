"""The card of the demo checkpoint."""

from collections.abc import Sequence
from pathlib import Path

from demo.data import OPENAI, RTP_LX, TOXIC_CHAT
from demo.figures import Figure
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.taxonomy import CATEGORIES

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
categories; which ones an unsafe prompt has, only the teacher (below) says.

Rows whose index is a multiple of five are held out, in every language: an OpenAI row \
is the same text in each. RTP-LX rows are not aligned between the languages, so a \
translation of a held-out prompt may be among the training rows, and those figures may \
be flattered; and 5 of the 996 different held-out OpenAI texts occur, but for case, \
among the training rows too. ToxicChat (CC-BY-NC-4.0) is only evaluated on.

Positive training rows, over the three languages: {positives}. **Never positive in \
training: {never}.** Their scores mean nothing: they \
stay near 0.

## Training

In `examples/train` of the repository:

    python -m spacy project run demo . --vars.data FOLDER

took 37 CPU minutes of a server, the teacher included.

A teacher, logistic regressions on TF-IDF features that are scaled by how much \
oftener they occur in positive texts, labels texts without end: random mixtures of \
runs of words from the training rows, each drawn once, and, every sixteenth, a \
training row or a part of it, labelled by regressions that have not seen it and \
mixed with the gold labels. The categories' labels are scaled so that their maximum \
is the teacher's `unsafe`. The decoder, which starts from word vectors counted in \
the training rows, learns from them by `spacy train` (`configs/demo.cfg`), and the \
average of its weights over the steps is kept.

The settings were chosen on training rows that were left out for it: those of the \
decoder on `i % 5 == 1`, those of the teacher on each of the four training parts in \
turn. The held-out rows decided nothing.

## Figures

AUROC and F1 (threshold 0.5) of `unsafe`, of the stored weights in float32; texts \
longer than 512 tokens in windows with a stride of 384. TF-IDF is a plain baseline: \
word 1–2-grams, character 2–5-grams and logistic regression. The teacher is as \
described. Both are fitted on the same rows by the same script.

{table}

AUROC of each category that has positives, on the held-out OpenAI texts, as the mean \
over the three languages. For {top:.0%} of the texts with a category, the highest \
score is that of one of theirs:

{categories}

## Weaknesses

- It knows words, not meaning: a harmless sentence with a violent word can be flagged, \
and a threat in plain words can pass.
- Out of domain it is little better than chance (ToxicChat above). Jailbreaks, and all \
topics of the categories without positives, it has never been taught.
- It imitates its teacher, and the table shows what it loses by that. With 336 texts \
a file, differences of 0.02 in AUROC are within chance.
- Its categories say roughly what an unsafe text is about, and nothing of a safe one.
- Other languages than the three, code and obfuscated spellings were not in training.
- Probabilities are not calibrated, and 0.5 is no tuned threshold.
- The texts are web text and prompts with their own social biases, labelled by few \
people; mentions of groups can raise `Hate` by themselves.
"""


def write_card(
    folder: Path,
    classifier: Classifier,
    positives: Sequence[int],
    of_unsafe: Sequence[Figure],
    of_categories: Sequence[Figure],
    top: float,
) -> None:
    """folder (Path): Where `README.md` goes.
    classifier (Classifier): The checkpoint as stored.
    positives (Sequence[int]): Training rows with each category.
    of_unsafe (Sequence[Figure]): From `measure_unsafe`.
    of_categories (Sequence[Figure]): From `measure_categories`.
    top (float): From `measure_top_category`.
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
        table=_unsafe_table(of_unsafe),
        categories=_category_table(of_categories),
        top=top,
    )
    (folder / "README.md").write_text(card, encoding="utf8")


def _unsafe_table(figures: Sequence[Figure]) -> str:
    lines = [
        "| file | language | texts "
        "| AUROC | TF-IDF | teacher | F1 | TF-IDF | teacher |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for f in figures:
        numbers = " | ".join(f"{x:.3f}" for x in (*f.auroc.values(), *f.f1.values()))
        lines.append(f"| {_NAMES[f.name]} | {f.language} | {f.texts} | {numbers} |")
    return "\n".join(lines)


def _category_table(figures: Sequence[Figure]) -> str:
    lines = [
        "| category | positive | AUROC | TF-IDF | teacher |",
        "| --- | --: | --: | --: | --: |",
    ]
    for f in figures:
        numbers = " | ".join(f"{x:.3f}" for x in f.auroc.values())
        lines.append(f"| {f.name} | {f.positives} of {f.texts} | {numbers} |")
    return "\n".join(lines)
