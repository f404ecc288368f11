"""The card of the demo checkpoint."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from demo.figures import Figure
from demo.held_out import NoiseRates
from demo.later_parts import describe_parts
from demo.tables import (
    category_table,
    disguise_table,
    localisation_table,
    noise_table,
    safe_table,
    unsafe_table,
)
from spacy_duoguard import Classifier
from spacy_duoguard.evaluation.disguised import DisguiseReport
from spacy_duoguard.evaluation.rates import Rate
from spacy_duoguard.taxonomy import CATEGORIES

_NOISED = """
With noise, drawn as for the last part, but on held-out texts, and with `normalize`: \
unsafe texts of up to 400 characters that are scored above 0.6 and then pass, and safe \
ones that are flagged, at 0.5:

{table}
"""

_LOCALISATION = """
How often the sentence with the highest score is the unsafe one, among 5 to 15 safe \
ones in 200 made-up documents of held-out texts \
(`examples/benchmarks/find_sentence.py`):

{table}
"""

_GOAL = 0.9
_GOALS = """\
- The unsafe sentence of a document was meant to be the one with the highest score in \
{goal:.0%} of the cases. {reached} The best ways reach {figures} ({languages}). In \
context it was meant to be so as often as alone: {kept}.
"""

_UNDISGUISED = """\
- The later parts taught it little about disguises: without `normalize`, most texts in \
disguise pass.
"""

_UNUSED = {
    1: "The held-out rows weren't used.",
    2: "The held-out rows weren't used for the first part.",
}

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
turn. {unused}

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

In disguise: the share of unsafe texts, held out or from ToxicChat, that the model \
scores above 0.6 and that then pass at 0.5 ({attacked}), as from `python -m spacy \
duoguard evaluate FOLDER --model demo --disguises --disguised-texts {n_disguised}` \
({today}, float32). With {n_disguised} texts, the 95% interval of 0.00 ends at \
{zero:.2f}, and that of 0.50 goes from {low:.2f} to {high:.2f}. `normalize` also \
scores how a text reads without disguises, and decoded:

{disguises}

Safe texts that are flagged at 0.5, and those that `normalize` adds:

{safe}
{noise}{localisation}
## Weaknesses

{goal}{undisguised}\
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
    parts: int,
    noise: Mapping[str, NoiseRates] | None = None,
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
    parts (int): How many parts of the training it has been through: 2 with disguised
        texts, 3 with documents.
    noise (Optional[Mapping[str, NoiseRates]]): From `measure_noise`, if it has also
        been through the part on noise.
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
        table=unsafe_table(of_unsafe),
        categories=category_table(of_categories),
        top=top,
        unread=" or code" if parts > 1 else ", code or obfuscated spellings",
        disguised=describe_parts(parts, noise=bool(noise)),
        unused=_UNUSED[min(parts, 2)],
        undisguised=_UNDISGUISED if parts > 1 else "",
        noise=_NOISED.format(table=noise_table(noise)) if noise else "",
        disguises=disguise_table(in_disguise.languages),
        **_disguise_figures(in_disguise),
        safe=safe_table(in_disguise.languages),
        localisation=_localisation(localisation) if localisation else "",
        goal=_goal(localisation) if localisation else "",
    )
    (folder / "README.md").write_text(card, encoding="utf8")


def _disguise_figures(report: DisguiseReport) -> dict[str, object]:
    most = max((of.texts for of in report.languages), default=0)
    low, high = Rate(most // 2, most).interval
    return {
        "attacked": ", ".join(f"{of.texts} {of.language}" for of in report.languages),
        "n_disguised": most,
        "today": date.today().isoformat(),
        "zero": Rate(0, most).interval[1],
        "low": low,
        "high": high,
    }


def _localisation(shares: Mapping[str, Mapping[str, float]]) -> str:
    return _LOCALISATION.format(table=localisation_table(shares))


def _goal(shares: Mapping[str, Mapping[str, float]]) -> str:
    """What it was meant to do for a document, and whether it does."""
    alone, *context = list(next(iter(shares.values())))[:3]
    best = [max(of[mode] for mode in (alone, *context)) for of in shares.values()]
    below = [
        language
        for language, of in shares.items()
        if max(of[mode] for mode in context) < of[alone]
    ]
    reached = "It is." if min(best) >= _GOAL else "It isn't."
    kept = f"that fails in {', '.join(below)}" if below else "that holds"
    figures = " / ".join(f"{share:.3f}" for share in best)
    return _GOALS.format(
        languages=" / ".join(shares),
        goal=_GOAL,
        reached=reached,
        figures=figures,
        kept=kept,
    )
