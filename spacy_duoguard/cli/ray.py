"""`score --ray`: the same on the actors of a Ray cluster."""

from pathlib import Path
from typing import Annotated, Any

import typer

RayActors = Annotated[
    int | None,
    typer.Option(
        "--ray",
        min=1,
        help="Score on Ray, with so many actors: IN is a folder of .jsonl or .parquet "
        "files, or one of them, and OUT a folder for parts",
        show_default=False,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="Of the Ray cluster, as host:6379. Without it that in RAY_ADDRESS, else a "
        "Ray of its own on this machine",
        show_default=False,
    ),
]
ActorCpus = Annotated[
    int, typer.Option(help="CPUs of an actor on Ray, and threads that it computes with")
]
ActorGpus = Annotated[
    float, typer.Option(help="GPUs of an actor on Ray; 0.5: two actors share one")
]


def score_on_ray(
    source: str,
    output: str,
    options: Any,
    *,
    text_key: str,
    actors: Any,
    address: str | None,
    overwrite: bool,
) -> int:
    """source (str): A folder or a file. output (str): A folder.
    options (GuardOptions): The model and how to score.
    text_key (str): The field with the text.
    actors (Actors): What to ask Ray for. address (Optional[str]): Of the cluster.
    overwrite (bool): Replace what is at the output.
    RETURNS (int): How many records could not be scored."""
    import logging
    import sys

    from ..scoring.ray_dataset import connect
    from ..scoring.ray_folder import FolderRun

    run = FolderRun(
        Path(source), Path(output), options, text_key, actors, overwrite=overwrite
    )
    run.check()
    connect(actors, address=address)
    from ray.data import DataContext

    watched = sys.stderr.isatty()
    DataContext.get_current().enable_progress_bars = watched
    if not watched:
        logging.getLogger("ray.data").setLevel(logging.WARNING)
    counts = run.run()
    typer.echo(
        f"{output}: {counts.done:,} records, {counts.flagged:,} flagged.", err=True
    )
    return counts.failed


def refuse(**given: Any) -> None:
    """What does not go with --ray: its run is whole or not there.

    given: The other options, by name.
    RAISES (typer.BadParameter): One of them is set."""
    names = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if names:
        raise typer.BadParameter(f"{' and '.join(names)} cannot be used with --ray.")
