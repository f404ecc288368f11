"""The card of the demo checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from spacy.util import load_config

from demo.data import OPENAI, RTP_LX, TOXIC_CHAT
from demo.figures import Figure
from spacy_duoguard import Classifier
from spacy_duoguard.evaluation.disguised import ALL, DisguiseReport, LanguageDisguises
from spacy_duoguard.evaluation.rates import Rate
from spacy_duoguard.taxonomy import CATEGORIES

_SECOND = Path(__file__).parents[1] / "configs" / "demo_disguised.cfg"

_NAMES = {
    OPENAI: "OpenAI Moderation, held out",
    RTP_LX: "RTP-LX prompts, held out",
    TOXIC_CHAT: "ToxicChat, out of domain",
}

_DISGUISED = """\
The second part continues from the checkpoint that the first one has written, with \
new texts of the same kind (`configs/demo_disguised.cfg`):

    python -m spacy project run demo-disguised . --vars.data FOLDER --vars.start FIRST

{level:.0%} of these texts stand among safe ones, in the form of documents with span \
gold, and {share:.0%} of all are disguised in the ways that no inverse undoes exactly. \
The weights are the mean of those before and after this part.

"""

_CARD = """\
# The demo checkpoint

A tiny safety classifier for **trying out `spacy-duoguard` and for its tests**. It \
isn't DuoGuard, hasn't seen DuoGuard's data, and must **not be used for moderation**: \
use `DuoGuard/DuoGuard-0.5B` for that.

## Model

A `Qwen2ForSequenceClassification` with {parameters} parameters, stored in bfloat16: \
{layers} layers, width {width}, {heads} attention heads ({kv_heads} for keys and \
values), windows of {window} tokens, and its own byte-level BPE tokenizer ({tokens:,} \
tokens and `<|endoftext|>`). As in DuoGuard, twelve sigmoids read the last token, and \
`unsafe` is their maximum.

## Data

Trained from scratch, including the tokenizer, on English, French and Spanish texts \
from `openai.json` and `rtp_lx_prompt.json` as repackaged by DuoGuard's authors \
(`yihedeng9/DuoGuard`, Apache-2.0), and on nothing else:

- OpenAI Moderation evaluation set (MIT): all twelve categories are labelled.
- RTP-LX prompts (MIT and Apache-2.0): only labelled as safe or unsafe. A safe prompt \
is 0 in all categories. The categories of an unsafe prompt come from the teacher \
(below).

Rows whose index is a multiple of five are held out in every language. In the OpenAI \
file, a row is the same text in each language. RTP-LX rows aren't aligned between \
languages, so a translation of a held-out prompt may be among the training rows, and \
those figures may be too good. 5 of the 996 distinct held-out OpenAI texts also occur \
among the training rows, up to case. ToxicChat (CC-BY-NC-4.0) is only used for \
evaluation.

Positive training rows over the three languages: {positives}. **Never positive in \
training: {never}.** Their scores stay near 0 and mean nothing.

## Training

In `examples/train` of the repository:

    python -m spacy project run demo . --vars.data FOLDER

This took 37 CPU minutes on a server, including the teacher.

The teacher is a set of logistic regressions on TF-IDF features, scaled by how much \
more often they occur in positive texts. It labels an endless stream of texts. Most \
are random mixtures of word sequences from the training rows, each drawn once. Every \
sixteenth is a training row or part of one, labelled by regressions that haven't seen \
it and mixed with the gold labels. The labels of the categories are scaled so that \
their maximum is the teacher's `unsafe`. The decoder starts from word vectors counted \
in the training rows and learns from these texts with `spacy train` \
(`configs/demo.cfg`). Its weights are averaged over the training steps.

{disguised}\
The settings were chosen on training rows left out for this purpose: those of the \
decoder on `i % 5 == 1`, those of the teacher on each of the four training parts in \
turn. The held-out rows weren't used.

## Figures

AUROC and F1 (threshold 0.5) of `unsafe`, for the stored weights in float32. Texts \
longer than 512 tokens are scored in windows with a stride of 384. TF-IDF is a simple \
baseline: word 1–2-grams, character 2–5-grams and logistic regression. The teacher is \
described above. Both are fitted on the same rows by the same script.

{table}

AUROC of each category with positives, on the held-out OpenAI texts, as the mean over \
the three languages. For {top:.0%} of the texts with at least one category, one of \
theirs has the highest score:

{categories}

In disguise: the share of unsafe held-out texts that the model scores above 0.6 and \
that then pass at 0.5 ({attacked}), with 95% intervals. `normalize` also scores how a \
text reads without disguises, and decoded:

{disguises}

Safe texts that are flagged at 0.5, and those that `normalize` adds:

{safe}
{localisation}
## Weaknesses

- It knows words, not meaning: it can flag a harmless sentence with a violent word and \
miss a threat in plain words.
- Out of domain it is little better than chance (see ToxicChat above). It was never \
taught about jailbreaks, or any topic of the categories without positives.
- It imitates its teacher, and the tables show what it loses. With 336 texts per file, \
differences of 0.02 in AUROC are within chance.
- Its categories roughly tell what an unsafe text is about, and nothing about a safe \
one.
- It wasn't trained on other languages{unread}.
- Its probabilities aren't calibrated, and 0.5 is only a default threshold.
- The texts are web text and prompts with their own social biases, labelled by few \
people. Mentions of groups alone can raise `Hate`.
"""


def write_card(
    folder: Path,
    classifier: Classifier,
    positives: Sequence[int],
    of_unsafe: Sequence[Figure],
    of_categories: Sequence[Figure],
    top: float,
    in_disguise: DisguiseReport,
    localisation: Mapping[str, Mapping[str, float]] | None,
    *,
    disguised: bool,
) -> None:
    """folder (Path): The folder for `README.md`.
    classifier (Classifier): The stored checkpoint.
    positives (Sequence[int]): The number of positive training rows per category.
    of_unsafe (Sequence[Figure]): From `measure_unsafe`.
    of_categories (Sequence[Figure]): From `measure_categories`.
    top (float): From `measure_top_category`.
    in_disguise (DisguiseReport): From `measure_in_disguise`.
    localisation (Optional[Mapping[str, Mapping[str, float]]]): From
        `measure_localisation`.
    disguised (bool): Whether it was trained on disguised texts too.
    """
    config = classifier.decoder.config
    counts = dict(zip(CATEGORIES, positives, strict=True))
    n_parameters = sum(p.numel() for p in classifier.decoder.parameters())
    card = _CARD.format(
        parameters=f"{n_parameters / 1e6:.1f} million",
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        window=config.max_position_embeddings,
        tokens=config.vocab_size - 1,
        positives=", ".join(f"{name} {n}" for name, n in counts.items() if n),
        never=", ".join(name for name, n in counts.items() if not n),
        table=_unsafe_table(of_unsafe),
        categories=_category_table(of_categories),
        top=top,
        unread=" or code" if disguised else ", code or obfuscated spellings",
        disguised=_second_part() if disguised else "",
        attacked=", ".join(f"{of.texts} {of.language}" for of in in_disguise.languages),
        disguises=_disguise_table(in_disguise.languages),
        safe=_safe_table(in_disguise.languages),
        localisation=_localisation(localisation),
    )
    (folder / "README.md").write_text(card, encoding="utf8")


def _second_part() -> str:
    corpus = load_config(_SECOND)["corpora"]["train"]["corpus"]
    return _DISGUISED.format(level=corpus["level"], share=corpus["augmenter"]["level"])


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


def _disguise_table(languages: Sequence[LanguageDisguises]) -> str:
    lines = ["| disguise | as it is | `normalize` |", "| --- | --: | --: |"]
    for results in zip(*(of.disguises for of in languages), strict=True):
        cells = [
            _cell([of.success[reading] for of in results]) for reading in ("text", ALL)
        ]
        name = results[0].disguise.name.replace("\\", "\\\\")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(rates: Sequence[Rate]) -> str:
    rate = Rate(sum(r.count for r in rates), sum(r.total for r in rates))
    low, high = rate.interval
    return "–" if rate.value is None else f"{rate.value:.2f} ({low:.2f}–{high:.2f})"


def _safe_table(languages: Sequence[LanguageDisguises]) -> str:
    lines = [
        "| file | language | texts | flagged | added |",
        "| --- | --- | --: | --: | --: |",
    ]
    for result in languages:
        for of in result.safe:
            name = _NAMES[of.filename.removesuffix(".json")]
            flagged, added = of.flagged["text"], of.added[ALL]
            cells = (flagged.total, flagged.count, added.count)
            row = " | ".join(map(str, (name, result.language, *cells)))
            lines.append(f"| {row} |")
    return "\n".join(lines)


def _localisation(shares: Mapping[str, Mapping[str, float]] | None) -> str:
    if shares is None:
        return ""
    modes = list(next(iter(shares.values())))
    lines = [
        "",
        "How often the sentence with the highest score is the unsafe one, among 5 to "
        "15 safe ones in 200 made-up documents of held-out texts "
        "(`examples/benchmarks/find_sentence.py`):",
        "",
        f"| language | {' | '.join(modes)} |",
        f"| --- | {' | '.join('--:' for _ in modes)} |",
    ]
    for language, of in shares.items():
        lines.append(f"| {language} | {' | '.join(f'{of[m]:.3f}' for m in modes)} |")
    return "\n".join([*lines, ""])
