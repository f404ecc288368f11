"""What was measured, as a table for the terminal and as pictures."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wasabi.tables import table

from ..errors import Errors, SettingsError
from .measures import THRESHOLD, Measures
from .paper import OWN_MODEL, PAPER
from .run import Evaluation, FileResult, LanguageResult

_HEADER = (
    *("file", "texts", "unsafe"),
    *("F1", "precision", "recall", "FPR", "AUPRC", "ms/text"),
)


def format_evaluation(found: Evaluation) -> str:
    """found (Evaluation): What was measured.
    RETURNS (str): A table for each language, the paper's rows beneath its average, and
        what keeps them from being compared."""
    lines = [
        f"{found.model}, {found.precision} on {found.device}, unsafe above "
        f"{THRESHOLD:g}; rates in per cent, long texts whole"
    ]
    for own in found.languages:
        lines += ["", f"{own.language}:", _format_language(own), *_notes(found, own)]
    return "\n".join(lines)


def _format_language(own: LanguageResult) -> str:
    rows = [
        (
            file.filename,
            str(len(file.truths)),
            str(int(file.truths.sum())),
            *_cells(file.measures),
        )
        for file in own.files
    ]
    rows += [(name, *("missing", ""), *[""] * 6) for name in own.missing]
    total = len(own.files) + len(own.missing)
    name = f"average of {len(own.files)} of {total}"
    rows.append((name, "", "", *_cells(own.average)))
    for row in PAPER:
        if own.language in row.f1:
            cells = (f"{row.f1[own.language]:.1f}", "", "", "", "", f"{row.ms:.1f}")
            rows.append((f"paper: {row.model}", "", "", *cells))
    return table(
        rows, header=_HEADER, divider=True, aligns=("l", *"rrrrrrrr"), max_col=50
    )


def _cells(own: Measures) -> tuple[str, ...]:
    rates = (own.f1, own.precision, own.recall, own.fpr, own.auprc)
    texts = ["-" if rate is None else f"{100 * rate:.1f}" for rate in rates]
    return (*texts, f"{own.ms:.1f}")


def _notes(found: Evaluation, own: LanguageResult) -> Iterator[str]:
    if own.missing:
        yield (
            f"Not there: {', '.join(own.missing)}. The paper's averages are over all "
            "six files, and not to be compared with one over fewer."
        )
    if not found.is_papers_model:
        yield (
            f"The paper's rows need the real weights (--model {OWN_MODEL}): those of "
            f"'{found.model}' are others."
        )
    if found.is_demo:
        yield (
            "'demo' was trained on most rows of openai.json and rtp_lx_prompt.json: "
            "its figures for these two are not those of texts it has never seen."
        )
    if own.language not in PAPER[0].f1:
        yield "The paper has no row for this language."


def save_pictures(found: Evaluation, folder: Path) -> list[Path]:
    """Draw the precision-recall and ROC curves of each language, a line for each file
    that has both classes, the threshold as a dot.

    found (Evaluation): What was measured.
    folder (Path): Where the PNG files go, made if it does not exist.
    RETURNS (List[Path]): The pictures.
    RAISES (SettingsError): matplotlib is not installed.
    """
    figure_class = load_matplotlib()
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    for own in found.languages:
        for name, draw in (("precision-recall", _draw_pr), ("roc", _draw_roc)):
            path = folder / f"{own.language}-{name}.png"
            figure = figure_class(figsize=(8, 5), layout="constrained")
            axes = figure.subplots()
            for file in own.files:
                if file.truths.any() and not file.truths.all():
                    draw(axes, file)
            axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
            axes.set_title(f"{found.model}, {own.language}")
            axes.grid(alpha=0.3)
            figure.legend(
                loc="outside right upper",
                fontsize="small",
                title=f"dot: threshold {THRESHOLD:g}",
            )
            figure.savefig(path, dpi=150, format="png")
            saved.append(path)
    return saved


def load_matplotlib() -> Callable[..., Any]:
    """RETURNS (type): matplotlib's `Figure`.
    RAISES (SettingsError): It is not installed."""
    try:
        from matplotlib.figure import Figure  # no pyplot: it would look for a display
    except ImportError as e:
        raise SettingsError(Errors.E149) from e
    return Figure


def _draw_pr(axes: Any, file: FileResult) -> None:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(file.truths, file.probabilities)
    # The last point stands for no text at all: its precision is made up.
    (line,) = axes.plot(
        recall[:-1], precision[:-1], drawstyle="steps-pre", label=_label(file)
    )
    own = file.measures
    if own.precision is not None:
        axes.plot(own.recall, own.precision, "o", color=line.get_color())
    axes.set(xlabel="recall", ylabel="precision")


def _draw_roc(axes: Any, file: FileResult) -> None:
    from sklearn.metrics import roc_curve

    fpr, recall, _ = roc_curve(file.truths, file.probabilities)
    (line,) = axes.plot(fpr, recall, label=_label(file))
    axes.plot(file.measures.fpr, file.measures.recall, "o", color=line.get_color())
    axes.set(xlabel="false positive rate", ylabel="recall")


def _label(file: FileResult) -> str:
    return file.filename.split(".")[0]
