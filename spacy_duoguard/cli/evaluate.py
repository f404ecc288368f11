"""`evaluate`: repeat the paper's evaluation on its public files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failures import one_line_errors
from .options import BatchTokens, Device, Model, PrecisionOption, Verbose, value_of
from .progress import is_watched
from .systems import (
    Scores,
    ScoresField,
    ScoresThreshold,
    load_systems,
    show_comparison,
)

if TYPE_CHECKING:
    from ..evaluation.disguised import DisguiseReport
    from ..evaluation.run import Evaluation
    from ..evaluation.systems import Comparison

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        help="Folder with a subfolder for each language (En, Fr, Es, De), which holds "
        "the files of the paper's evaluation",
        exists=True,
        file_okay=False,
    ),
]
Language = Annotated[
    list[str] | None,
    typer.Option(
        "--language",
        "-l",
        help="En, Fr, Es or De; can be repeated. Default: all that have a subfolder",
    ),
]
Json = Annotated[
    Path | None,
    typer.Option("--json", help="Save all results to this file"),
]
Plots = Annotated[
    Path | None,
    typer.Option(help="Save precision-recall and ROC curves to this folder"),
]
Disguises = Annotated[
    bool,
    typer.Option(
        "--disguises",
        help="Also measure which disguises evade the model, as texts are and with each "
        "view of normalize, and how many safe texts the views flag",
    ),
]
DisguisedTexts = Annotated[
    int,
    typer.Option(min=1, help="With --disguises: most texts to disguise per language"),
]


def evaluate_cli(
    folder: Folder,
    language: Language = None,
    model: Model = "DuoGuard/DuoGuard-0.5B",
    json_file: Json = None,
    plots: Plots = None,
    disguises: Disguises = False,
    disguised_texts: DisguisedTexts = 100,
    scores: Scores = None,
    scores_field: ScoresField = None,
    scores_threshold: ScoresThreshold = None,
    device: Device = "auto",
    precision: PrecisionOption = None,
    batch_tokens: BatchTokens = None,
    verbose: Verbose = False,
) -> None:
    """Repeat the evaluation of the DuoGuard paper.

    Prints the results next to those of the paper. The files are in
    github.com/yihedeng9/DuoGuard, six for each language. Missing files are listed and
    left out of the average. The time per text is measured with many texts at once.

    With --scores, it compares other systems on the same rows.
    """
    with one_line_errors(verbose):
        from ..evaluation.datasets import LANGUAGES
        from ..evaluation.disguise_report import disguise_pictures
        from ..evaluation.report import (
            format_evaluation,
            list_pictures,
            load_matplotlib,
        )
        from ..evaluation.systems_report import system_pictures
        from ..scoring.pipelines import GuardOptions, load_component

        options = GuardOptions(
            model=model,
            device=device,
            precision=value_of(precision),
            batch_tokens=batch_tokens,
        )
        languages = language or list(LANGUAGES)
        outputs = [json_file] if json_file is not None else []
        if plots is not None:
            outputs += list_pictures(plots, languages)
            outputs += system_pictures(plots, languages) if scores else []
            outputs += disguise_pictures(plots, languages) if disguises else []
        _check_outputs(folder, languages, model, outputs)
        if plots is not None:
            load_matplotlib()  # fail now, not after minutes of scoring
        systems = load_systems(
            scores,
            scores_field,
            scores_threshold,
            ours=model,
            folder=folder,
            languages=languages,
            outputs=outputs,
        )
        guard = cache(lambda: load_component(options))
        evaluation = _evaluate(folder, language or [], model, guard)
        typer.echo(format_evaluation(evaluation))
        comparison = show_comparison(evaluation, systems, plots) if systems else None
        report = None
        if disguises:
            report = _disguise(folder, evaluation, guard(), disguised_texts)
        _save(evaluation, json_file, plots, comparison, report)


def _check_outputs(
    folder: Path, languages: list[str], model: str, files: list[Path]
) -> None:
    """folder (Path): Has a folder for each language.
    languages (List[str]): The languages.
    model (str): The name of the model.
    files (List[Path]): The files that will be written.
    RAISES (SettingsError): A file would replace an input."""
    from ..engine.checkpoint.output_paths import check_output
    from ..evaluation.datasets import list_inputs

    inputs = list_inputs(folder, languages)
    if Path(model).exists():
        inputs.append(Path(model))
    for path in files:
        check_output(path, inputs)


def _evaluate(
    folder: Path, languages: list[str], model: str, guard: Callable[[], Any]
) -> "Evaluation":
    """Evaluate with a progress bar on a terminal.

    folder (Path): Has a folder for each language.
    languages (List[str]): The languages, or none for all.
    model (str): The name of the model.
    guard (Callable): Loads the component.
    RETURNS (Evaluation): The results.
    """
    from ..evaluation.run import evaluate

    with _progress() as tick:
        return evaluate(
            folder, languages, lambda: guard().classifier, model=model, tick=tick
        )


def _disguise(
    folder: Path, evaluation: "Evaluation", guard: Any, n_texts: int
) -> "DisguiseReport":
    """Disguise unsafe texts with a progress bar on a terminal, and show the results.

    folder (Path): Has a folder for each language.
    evaluation (Evaluation): The results on its texts as they are.
    guard (DuoGuard): The component.
    n_texts (int): The most texts to disguise per language.
    RETURNS (DisguiseReport): The results.
    """
    from ..evaluation.disguise_report import format_disguises
    from ..evaluation.disguised import measure_disguises

    with _progress() as tick:
        report = measure_disguises(
            folder,
            evaluation,
            guard.classifier,
            views=guard.views,
            n_texts=n_texts,
            tick=tick,
        )
    typer.echo(format_disguises(report))
    return report


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """YIELDS (Callable): Shows on a terminal that so many of all texts were scored."""
    import sys

    from tqdm import tqdm

    with tqdm(unit=" texts", file=sys.stderr, disable=not is_watched()) as bar:

        def tick(n: int, total: int) -> None:
            bar.total = total
            bar.update(n)

        yield tick


def _save(
    evaluation: "Evaluation",
    json_file: Path | None,
    plots: Path | None,
    comparison: "Comparison | None",
    report: "DisguiseReport | None",
) -> None:
    """evaluation (Evaluation): The results.
    json_file (Optional[Path]): The JSON file for them.
    plots (Optional[Path]): The folder for their pictures.
    comparison (Optional[Comparison]): Those of other systems.
    report (Optional[DisguiseReport]): Those under disguise."""
    import json

    from ..engine.checkpoint.files import write_aside
    from ..evaluation.disguise_report import save_disguise_pictures
    from ..evaluation.report import save_pictures

    if json_file is not None:
        results = evaluation.to_dict()
        if comparison is not None:
            results["systems"] = comparison.to_dict()
        if report is not None:
            results["disguises"] = report.to_dict()
        json_file.parent.mkdir(parents=True, exist_ok=True)
        with write_aside(json_file) as aside:
            aside.write_text(json.dumps(results, indent=2) + "\n")
        typer.echo(f"Saved {json_file}")
    if plots is not None:
        saved = save_pictures(evaluation, plots)
        if report is not None:
            saved += save_disguise_pictures(report, plots)
        for path in saved:
            typer.echo(f"Saved {path}")
