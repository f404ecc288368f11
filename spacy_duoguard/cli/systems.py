"""Comparing with other systems in `evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..evaluation.foreign import SystemResults
    from ..evaluation.run import Evaluation
    from ..evaluation.systems import Comparison

Scores = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FILE",
        help="Compare with the results of another system, .jsonl or .parquet, or with "
        "those of 'score'; can be repeated",
        show_default=False,
    ),
]
ScoresField = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME:]KEY=FIELD",
        help="Field of --scores with the text, the score or the flag, or the id that "
        "is used instead of the text, such as En/openai.json/1; can be repeated",
        show_default=False,
    ),
]
ScoresThreshold = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME:]NUMBER",
        help="Score of --scores above which a row without a flag is flagged. By "
        "default 0.5; can be repeated",
        show_default=False,
    ),
]


def load_systems(
    scores: list[str] | None,
    fields: list[str] | None,
    thresholds: list[str] | None,
    *,
    ours: str,
    folder: Path,
    languages: list[str],
    outputs: list[Path],
) -> "list[SystemResults]":
    """scores, fields, thresholds (Optional[List[str]]): The options.
    ours (str): The name of the model.
    folder (Path): Has a folder for each language.
    languages (List[str]): The languages.
    outputs (List[Path]): The files that will be written.
    RETURNS (List[SystemResults]): The results of the systems.
    RAISES (SettingsError): An option is wrong, a file can't be read, or an output would
        replace one."""
    from ..engine.checkpoint.output_paths import check_output
    from ..errors import Errors, SettingsError
    from ..evaluation.foreign import load_system, load_texts
    from ..evaluation.system_options import parse_systems
    from ..scoring.run_state import Output

    systems = parse_systems(scores or [], fields or [], thresholds or [], ours=ours)
    if not systems:
        return []
    read = [Output(system.path, system.path.is_dir()) for system in systems]
    inputs = [path for r in read for path in (r.path, r.state, *r.locks)]
    for path in outputs:
        check_output(path, inputs)
    texts = load_texts(folder, languages)
    if not texts:
        raise SettingsError(Errors.E144.format(folder=folder))
    return [load_system(system, texts) for system in systems]


def show_comparison(
    evaluation: "Evaluation", systems: "list[SystemResults]", plots: Path | None
) -> "Comparison":
    """Print how systems compare, and draw it.

    evaluation (Evaluation): The results of the model.
    systems (List[SystemResults]): Those of other systems.
    plots (Optional[Path]): The folder for the pictures.
    RETURNS (Comparison): The figures.
    """
    from ..evaluation.systems import compare_systems
    from ..evaluation.systems_report import format_comparison, save_system_pictures

    comparison = compare_systems(evaluation, systems)
    typer.echo(f"\n{format_comparison(comparison)}")
    if plots is not None:
        for path in save_system_pictures(comparison, plots):
            typer.echo(f"Saved {path}")
    return comparison
