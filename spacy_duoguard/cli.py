"""`python -m spacy duoguard …`. spaCy imports this module on every command, its own
ones too: what the commands here need is imported inside them."""

from pathlib import Path
from typing import Annotated

import typer
from spacy.cli import app  # type: ignore[attr-defined]

duoguard_cli = typer.Typer(
    name="duoguard",
    help="Commands for pipelines with the component 'duoguard'.",
    no_args_is_help=True,
)
app.add_typer(duoguard_cli)


@duoguard_cli.callback()
def duoguard() -> None:
    """Commands for pipelines with the component 'duoguard'."""


@duoguard_cli.command("calibrate")
def calibrate_cli(
    pipeline: Annotated[
        Path,
        typer.Argument(help="Folder of a saved pipeline", exists=True, file_okay=False),
    ],
    dev: Annotated[
        Path, typer.Argument(help="Labelled texts: .spacy file or folder", exists=True)
    ],
    target_fpr: Annotated[
        float | None,
        typer.Option(
            "--target-fpr",
            help="Highest recall with at most this false positive rate",
        ),
    ] = None,
    target_recall: Annotated[
        float | None,
        typer.Option(
            "--target-recall",
            help="Lowest false positive rate with at least this recall",
        ),
    ] = None,
    best_f: Annotated[bool, typer.Option("--best-f", help="Highest F")] = False,
    unsafe: Annotated[
        bool,
        typer.Option(
            "--unsafe",
            help="One threshold for all categories, by gold 'unsafe': the target is "
            "then for texts that are flagged at all",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write a copy there and leave PIPELINE as it is"
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-F", help="Replace what is at --output")
    ] = False,
    component: Annotated[
        str | None,
        typer.Option(
            "--component", help="Name of the component, where there are several"
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            help="PNG file for the precision-recall curves; beside the pipeline if not "
            "given",
        ),
    ] = None,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Save no picture")] = False,
    code: Annotated[
        Path | None,
        typer.Option("--code", "-c", help="Python file to import first", exists=True),
    ] = None,
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")
    ] = -1,
) -> None:
    """Choose thresholds on labelled texts and write them into a saved pipeline.

    Each category gets the threshold that is best by its own gold labels. A category
    without positive or without negative texts keeps its threshold. With --unsafe, all
    categories get the same threshold, the best for telling whether a text is flagged
    at all.
    """
    from spacy.cli._util import import_code, setup_gpu
    from wasabi import msg

    from .calibration import Goal
    from .calibration_run import Request, run
    from .errors import DuoGuardError

    try:
        goal = Goal(target_fpr, target_recall, best_f)
        import_code(code)
        setup_gpu(gpu_id)
        target = (output or pipeline).resolve()
        picture = plot or target.with_name(f"{target.name}.precision-recall.png")
        run(
            Request(
                pipeline=pipeline,
                dev=dev,
                goal=goal,
                unsafe=unsafe,
                component=component,
                output=output,
                force=force,
                picture=None if no_plot else picture,
            )
        )
    except (DuoGuardError, OSError) as e:
        msg.fail(str(e), exits=1)
