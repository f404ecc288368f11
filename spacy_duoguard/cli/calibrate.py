"""`calibrate`: thresholds from labelled texts, into a saved pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from .failures import one_line_errors
from .options import Verbose

Pipeline = Annotated[
    Path,
    typer.Argument(help="Folder of a saved pipeline", exists=True, file_okay=False),
]
Dev = Annotated[
    Path, typer.Argument(help="Labelled texts: .spacy file or folder", exists=True)
]
TargetFpr = Annotated[
    float | None,
    typer.Option(help="Highest recall with at most this false positive rate"),
]
TargetRecall = Annotated[
    float | None,
    typer.Option(help="Lowest false positive rate with at least this recall"),
]
BestF = Annotated[bool, typer.Option("--best-f", help="Highest F")]
Unsafe = Annotated[
    bool,
    typer.Option(
        "--unsafe",
        help="One threshold for all categories, by gold 'unsafe': the target is then "
        "for texts that are flagged at all",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Write a copy there and leave PIPELINE as it is"
    ),
]
Force = Annotated[
    bool, typer.Option("--force", "-F", help="Replace what is at --output")
]
Component = Annotated[
    str | None,
    typer.Option(help="Name of the component, where there are several"),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        help="PNG file for the precision-recall curves; by default beside the pipeline"
    ),
]
NoPlot = Annotated[bool, typer.Option("--no-plot", help="Save no picture")]
Code = Annotated[
    Path | None,
    typer.Option("--code", "-c", help="Python file to import first", exists=True),
]
GpuId = Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID, or -1 for the CPU")]


def calibrate_cli(
    pipeline: Pipeline,
    dev: Dev,
    target_fpr: TargetFpr = None,
    target_recall: TargetRecall = None,
    best_f: BestF = False,
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
    """Choose thresholds on labelled texts and write them into a saved pipeline.

    Each category gets the threshold that is best by its own gold labels. A category
    without positive or without negative texts keeps its threshold. With --unsafe, all
    categories get the same threshold, the best for telling whether a text is flagged
    at all.
    """
    from spacy.cli._util import import_code, setup_gpu

    target = (output or pipeline).resolve()
    picture = plot or target.with_name(f"{target.name}.precision-recall.png")
    with one_line_errors(verbose):
        from ..calibration.run import Request, run
        from ..calibration.thresholds import Goal

        goal = Goal(target_fpr, target_recall, best_f)
        import_code(code)
        setup_gpu(gpu_id)
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
