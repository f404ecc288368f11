"""The tables of the demo checkpoint's card."""

from collections.abc import Mapping, Sequence

from demo.data import OPENAI, RTP_LX, TOXIC_CHAT
from demo.figures import Figure
from demo.held_out import NoiseRates
from spacy_duoguard.evaluation.disguised import ALL, LanguageDisguises
from spacy_duoguard.evaluation.rates import Rate

_NAMES = {
    OPENAI: "OpenAI Moderation, held out",
    RTP_LX: "RTP-LX prompts, held out",
    TOXIC_CHAT: "ToxicChat, out of domain",
}


def unsafe_table(figures: Sequence[Figure]) -> str:
    """figures (Sequence[Figure]): From `measure_unsafe`.
    RETURNS (str): A table in Markdown."""
    lines = [
        "| file | language | texts "
        "| AUROC | TF-IDF | teacher | F1 | TF-IDF | teacher |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for f in figures:
        numbers = " | ".join(f"{x:.3f}" for x in (*f.auroc.values(), *f.f1.values()))
        lines.append(f"| {_NAMES[f.name]} | {f.language} | {f.texts} | {numbers} |")
    return "\n".join(lines)


def category_table(figures: Sequence[Figure]) -> str:
    """figures (Sequence[Figure]): From `measure_categories`.
    RETURNS (str): A table in Markdown."""
    lines = [
        "| category | positive | AUROC | TF-IDF | teacher |",
        "| --- | --: | --: | --: | --: |",
    ]
    for f in figures:
        numbers = " | ".join(f"{x:.3f}" for x in f.auroc.values())
        lines.append(f"| {f.name} | {f.positives} of {f.texts} | {numbers} |")
    return "\n".join(lines)


def disguise_table(languages: Sequence[LanguageDisguises]) -> str:
    """languages (Sequence[LanguageDisguises]): From `measure_in_disguise`.
    RETURNS (str): A table in Markdown: in each language the share of texts that pass,
        as they are and with `normalize`."""
    heads = [
        f"{of.language}{view}" for of in languages for view in ("", " `normalize`")
    ]
    lines = [f"| disguise | {' | '.join(heads)} |", f"| --- |{' --: |' * len(heads)}"]
    for results in zip(*(of.disguises for of in languages), strict=True):
        cells = [_share(of.success[name]) for of in results for name in ("text", ALL)]
        name = results[0].disguise.name.replace("\\", "\\\\")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(rate: Rate) -> str:
    return "–" if rate.value is None else f"{rate.value:.2f}"


def safe_table(languages: Sequence[LanguageDisguises]) -> str:
    """languages (Sequence[LanguageDisguises]): From `measure_in_disguise`.
    RETURNS (str): A table in Markdown: safe texts that are flagged."""
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


def noise_table(rates: Mapping[str, NoiseRates]) -> str:
    """rates (Mapping[str, NoiseRates]): From `measure_noise`.
    RETURNS (str): A table in Markdown."""
    lines = [
        "| language | unsafe texts | pass | safe texts | flagged | without noise |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for language, of in rates.items():
        cells = (
            *(of.passed.total, _share(of.passed), of.flagged.total),
            *(_share(of.flagged), _share(of.flagged_plain)),
        )
        lines.append(f"| {language} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def localisation_table(shares: Mapping[str, Mapping[str, float]]) -> str:
    """shares (Mapping[str, Mapping[str, float]]): From `measure_localisation`.
    RETURNS (str): A table in Markdown."""
    modes = list(next(iter(shares.values())))
    lines = [
        f"| language | {' | '.join(modes)} |",
        f"| --- |{' --: |' * len(modes)}",
    ]
    for language, of in shares.items():
        lines.append(f"| {language} | {' | '.join(f'{of[m]:.3f}' for m in modes)} |")
    return "\n".join(lines)
