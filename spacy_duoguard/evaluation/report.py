"""Show an evaluation: tables for the terminal, and pictures."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from wasabi.tables import table

from ..engine.checkpoint.files import write_aside
from ..errors import Errors, SettingsError
from .measures import THRESHOLD, Measures
from .paper import PAPER, PAPER_MODEL
from .run import Evaluation, FileResult, LanguageResult

_HEADER = (
    *("file", "texts", "unsafe"),
    *("F1", "precision", "recall", "FPR", "AUPRC", "ms/text"),
)


_CURVES = ("precision-recall", "roc")

_RATES = ("f1", "precision", "recall", "fpr", "auprc")


def format_evaluation(evaluation: Evaluation) -> str:
    """evaluation (Evaluation): The results.
    RETURNS (str): A table for each language, with the paper's results below the
        average, and the reasons why the two can't be compared, if any."""
    files = [file for result in evaluation.languages for file in result.files]
    is_truncated = any(file.truncated.any() for file in files)
    lines = [
        f"{evaluation.model}, {evaluation.precision} on {evaluation.device}, unsafe "
        f"above {THRESHOLD:g}; rates in per cent, long texts scored "
        f"{'up to max_windows' if is_truncated else 'in full'}"
    ]
    for result in evaluation.languages:
        lines += ["", f"{result.language}:", _format_language(result)]
        lines += _notes(evaluation, result)
    return "\n".join(lines)


def _format_language(result: LanguageResult) -> str:
    rows = [
        (
            file.filename,
            str(len(file.gold)),
            str(int(file.gold.sum())),
            *_cells(file.measures),
        )
        for file in result.files
    ]
    rows += [(name, *("missing", ""), *[""] * 6) for name in result.missing]
    total = len(result.files) + len(result.missing)
    name = f"average of {len(result.files)} of {total}"
    rows.append((name, "", "", *_cells(result.average)))
    for row in PAPER:
        if result.language in row.f1:
            f1 = f"{row.f1[result.language]:.1f}"
            cells = (f1, "", "", "", "", f"{row.ms:.1f}")
            rows.append((f"paper: {row.model}", "", "", *cells))
    return table(
        rows, header=_HEADER, divider=True, aligns=("l", *"rrrrrrrr"), max_col=50
    )


def _cells(measures: Measures) -> tuple[str, ...]:
    rates = [getattr(measures, name) for name in _RATES]
    texts = ["-" if rate is None else f"{100 * rate:.1f}" for rate in rates]
    return (*texts, f"{measures.ms:.1f}")


def _notes(evaluation: Evaluation, result: LanguageResult) -> Iterator[str]:
    if result.missing:
        yield (
            f"Missing: {', '.join(result.missing)}. Don't compare this average with "
            "the paper's, which are over all six files."
        )
    truncated = sum(int(file.truncated.sum()) for file in result.files)
    if truncated:
        yield (
            f"Truncated by max_windows, so that a part was not scored: {truncated} "
            f"text{'s' * (truncated != 1)}."
        )
    if not evaluation.is_papers_model:
        yield (
            f"'{evaluation.model}' doesn't have the paper's weights. To compare with "
            f"the paper, use --model {PAPER_MODEL}."
        )
    if evaluation.is_demo:
        yield (
            "'demo' was trained on most of openai.json and rtp_lx_prompt.json, so its "
            "figures on these two files are too good."
        )
    if result.language not in PAPER[0].f1:
        yield "The paper has no results for this language."


def save_pictures(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Draw the precision-recall and ROC curves of each language, one line per file that
    has both safe and unsafe texts, with a dot at the threshold.

    evaluation (Evaluation): The results.
    folder (Path): The folder for the PNG files, created if it doesn't exist.
    RETURNS (List[Path]): The pictures.
    RAISES (SettingsError): matplotlib is not installed.
    """
    figure_class = load_matplotlib()
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    for result in evaluation.languages:
        for name, draw in zip(_CURVES, (_draw_pr, _draw_roc), strict=True):
            path = _picture(folder, result.language, name)
            figure = figure_class(figsize=(8, 5), layout="constrained")
            axes = figure.subplots()
            for file in result.files:
                if file.gold.any() and not file.gold.all():
                    draw(axes, file)
            axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
            axes.set_title(f"{evaluation.model}, {result.language}")
            axes.grid(alpha=0.3)
            figure.legend(
                loc="outside right upper",
                fontsize="small",
                title=f"dot: threshold {THRESHOLD:g}",
            )
            with write_aside(path) as aside:
                figure.savefig(aside, dpi=150, format="png")
            saved.append(path)
    return saved


def list_pictures(folder: Path, languages: Iterable[str]) -> list[Path]:
    """folder (Path): The folder for the PNG files.
    languages (Iterable[str]): The languages.
    RETURNS (List[Path]): The pictures that may be written."""
    return [_picture(folder, lang, name) for lang in languages for name in _CURVES]


def _picture(folder: Path, language: str, name: str) -> Path:
    return folder / f"{language}-{name}.png"


def load_matplotlib() -> Callable[..., Any]:
    """RETURNS (type): matplotlib's `Figure`.
    RAISES (SettingsError): matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure  # no pyplot: it would look for a display
    except ImportError as e:
        raise SettingsError(Errors.E149) from e
    return Figure


def _draw_pr(axes: Any, file: FileResult) -> None:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(file.gold, file.probabilities)
    # At the last point no text is flagged: its precision is a convention.
    (line,) = axes.plot(
        recall[:-1], precision[:-1], drawstyle="steps-pre", label=_label(file)
    )
    measures = file.measures
    if measures.precision is not None:
        axes.plot(measures.recall, measures.precision, "o", color=line.get_color())
    axes.set(xlabel="recall", ylabel="precision")


def _draw_roc(axes: Any, file: FileResult) -> None:
    from sklearn.metrics import roc_curve

    fpr, recall, _ = roc_curve(file.gold, file.probabilities)
    (line,) = axes.plot(fpr, recall, label=_label(file))
    axes.plot(file.measures.fpr, file.measures.recall, "o", color=line.get_color())
    axes.set(xlabel="false positive rate", ylabel="recall")


def _label(file: FileResult) -> str:
    return file.filename.split(".")[0]
