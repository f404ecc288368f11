"""`calibrate`: choose the thresholds of a saved pipeline on labelled texts."""

from pathlib import Path
from typing import Annotated

import typer

from .failures import one_line_errors
from .options import Verbose

Pipeline = Annotated[
    Path,
    typer.Argument(
        metavar="PIPELINE",
        help="Folder of a saved pipeline",
        exists=True,
        file_okay=False,
    ),
]
Dev = Annotated[
    Path,
    typer.Argument(
        metavar="DEV",
        help="Labelled texts: .spacy file or folder of them",
        exists=True,
    ),
]
TargetFpr = Annotated[
    float | None,
    typer.Option(help="Find the highest recall with at most this false positive rate"),
]
TargetRecall = Annotated[
    float | None,
    typer.Option(help="Find the lowest false positive rate with at least this recall"),
]
BestF = Annotated[bool, typer.Option("--best-f", help="Find the highest F1")]
ReviewRecall = Annotated[
    float | None,
    typer.Option(
        help="Choose review thresholds, too, so that at least this share of the unsafe "
        "texts is reviewed or blocked"
    ),
]
Unsafe = Annotated[
    bool,
    typer.Option(
        "--unsafe",
        help="Choose one threshold for all categories by the gold labels of 'unsafe', "
        "so that the target applies to texts flagged for any category",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Save a copy there, leave PIPELINE unchanged"),
]
Force = Annotated[
    bool, typer.Option("--force", "-F", help="Replace the pipeline at --output")
]
Component = Annotated[
    str | None,
    typer.Option(help="Name of the component, if the pipeline has several"),
]
Plot = Annotated[
    Path | None,
    typer.Option(help="PNG file for the curves. Default: next to the pipeline"),
]
NoPlot = Annotated[bool, typer.Option("--no-plot", help="Don't save a picture")]
Code = Annotated[
    Path | None,
    typer.Option("--code", "-c", help="Python file to import first", exists=True),
]
GpuId = Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")]


def calibrate_cli(
    pipeline: Pipeline,
    dev: Dev,
    target_fpr: TargetFpr = None,
    target_recall: TargetRecall = None,
    best_f: BestF = False,
    review_recall: ReviewRecall = None,
    unsafe: Unsafe = False,
    output: Output = None,
    force: Force = False,
    component: Component = None,
    plot: Plot = None,
    no_plot: NoPlot = False,
    code: Code = None,
    gpu_id: GpuId = -1,
    verbose: Verbose = False,
) -> None:
    """Choose a pipeline's thresholds on labelled texts.

    Say what to optimise with one of --target-fpr, --target-recall and --best-f. With
    --review-recall, texts between two thresholds are left to people.

    The thresholds are saved in the pipeline. Each category gets the best threshold for
    its gold labels, or keeps its own if it has no positive or no negative texts. With
    --unsafe, all categories get the same threshold.
    """
    from spacy.cli._util import import_code, setup_gpu

    target = (output or pipeline).resolve()
    picture = plot or target.with_name(f"{target.name}.precision-recall.png")
    with one_line_errors(verbose):
        from ..calibration.run import Request, run
        from ..calibration.thresholds import Goal
        from ..errors import Errors, SettingsError

        goal = Goal(target_fpr, target_recall, best_f)
        import_code(code)
        try:
            setup_gpu(gpu_id)
        except ValueError as e:  # spaCy's, without CuPy
            problem = str(e).rstrip(".")
            raise SettingsError(
                Errors.E196.format(gpu_id=gpu_id, problem=problem)
            ) from e
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
                code=code,
                review_recall=review_recall,
            )
        )
