"""`score --ray`: score with the actors of a Ray cluster."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failures import complain
from .progress import print_summary

if TYPE_CHECKING:
    from ..scoring.ray_folder import FolderRun

_N_NAMED = 20  # failed records that are reported one by one

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
    """Score on Ray, with a progress bar on a terminal.

    run (FolderRun): What to score, and how.
    address (Optional[str]): The address of the cluster.
    RETURNS (int): The number of records that could not be scored."""
    import sys
    from time import monotonic

    from tqdm import tqdm

    from ..scoring.ray_dataset import connect
    from ..scoring.results import Counts

    run.check()
    connect(run.actors, address=address)
    is_watched = sys.stderr.isatty()
    started, counts, n_named = monotonic(), Counts(), 0

    def report(name: str, problem: str) -> None:
        nonlocal n_named
        n_named += 1
        if n_named <= _N_NAMED:
            with tqdm.external_write_mode(file=sys.stderr):
                complain(f"{name}: {problem}")

    with tqdm(unit=" texts", file=sys.stderr, disable=not is_watched) as bar:
        for counts in run.score(report=report):
            bar.set_postfix(flagged=counts.flagged, refresh=False)
            bar.update(counts.done - bar.n)
    if counts.failed > _N_NAMED:
        complain(f"Only the first {_N_NAMED} of {counts.failed:,} failures are named.")
    print_summary(counts, output=str(run.output), seconds=monotonic() - started)
    return counts.failed


def refuse(**options: Any) -> None:
    """Refuse options that do not apply to Ray.

    options: The values of the options, by name.
    RAISES (typer.BadParameter): One of them is set.
    """
    names = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if names:
        raise typer.BadParameter(f"{' and '.join(names)} cannot be used with --ray.")
