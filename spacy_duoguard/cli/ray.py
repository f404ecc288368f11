"""`score --ray`: score with the actors of a Ray cluster."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .progress import print_summary

if TYPE_CHECKING:
    from ..scoring.ray_folder import FolderRun

RayActors = Annotated[
    int | None,
    typer.Option(
        "--ray",
        min=1,
        help="Score on Ray with this number of actors. IN is a .jsonl or .parquet file "
        "or a folder of them, OUT a folder",
        show_default=False,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="Address of the Ray cluster, such as host:6379. By default RAY_ADDRESS, "
        "or a new local cluster",
        show_default=False,
    ),
]
ActorCpus = Annotated[int, typer.Option(help="CPUs and threads for each Ray actor")]
ActorGpus = Annotated[
    float,
    typer.Option(help="GPUs for each Ray actor: with 0.5, two actors share a GPU"),
]


def score_on_ray(run: "FolderRun", *, address: str | None) -> int:
    """run (FolderRun): What to score, and how.
    address (Optional[str]): The address of the cluster.
    RETURNS (int): The number of records that could not be scored."""
    import logging
    import sys
    from time import monotonic

    from ..scoring.ray_dataset import connect

    run.check()
    connect(run.actors, address=address)
    from ray.data import DataContext

    is_watched = sys.stderr.isatty()
    DataContext.get_current().enable_progress_bars = is_watched
    if not is_watched:
        logging.getLogger("ray.data").setLevel(logging.WARNING)
    started = monotonic()
    counts = run.run()
    print_summary(counts, output=str(run.output), seconds=monotonic() - started)
    return counts.failed


def refuse(**options: Any) -> None:
    """Refuse options that do not apply to Ray, where a run is complete or nothing.

    options: The values of the options, by name.
    RAISES (typer.BadParameter): One of them is set.
    """
    names = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if names:
        raise typer.BadParameter(f"{' and '.join(names)} cannot be used with --ray.")
