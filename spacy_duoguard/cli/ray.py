"""`score --ray`: score with the actors of a Ray cluster."""

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failures import complain
from .progress import is_watched, print_summary

if TYPE_CHECKING:
    from ..scoring.ray.folder import FolderRun
    from ..scoring.results import Counts

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

    from ..scoring.ray.dataset import connect
    from ..scoring.results import Counts

    run.check()
    connect(run.actors, address=address)
    started, counts = monotonic(), Counts()
    kept: Counts | None = None
    failures: list[str] = []

    def report(name: str, problem: str) -> None:
        failures.append(name)
        if len(failures) <= _N_NAMED:
            with tqdm.external_write_mode(file=sys.stderr):
                complain(f"{name}: {problem}")

    with tqdm(unit=" texts", file=sys.stderr, disable=not is_watched()) as bar:
        for counts in run.score(report=report):
            if kept is None:
                kept, started = counts, monotonic()
            bar.set_postfix(flagged=counts.flagged, refresh=False)
            bar.update(counts.done - bar.n)
    _summarize(run, counts, kept or Counts(), failures, monotonic() - started)
    return counts.failed


def _summarize(
    run: "FolderRun",
    counts: "Counts",
    kept: "Counts",
    failures: list[str],
    seconds: float,
) -> None:
    """Say what this run did, and what it has kept of an earlier one."""
    here = replace(
        counts,
        flagged=counts.flagged - kept.flagged,
        failed=counts.failed - kept.failed,
        truncated=counts.truncated - kept.truncated,
        categories=Counter(counts.categories) - Counter(kept.categories),
        reviewed=counts.reviewed - kept.reviewed,
        flagged_in_part=counts.flagged_in_part - kept.flagged_in_part,
        reviewed_in_part=counts.reviewed_in_part - kept.reviewed_in_part,
    )
    output, earlier = str(run.output), kept.done
    print_summary(
        here, output=output, seconds=seconds, earlier=earlier, failures=failures
    )
    if kept.failed:
        complain(f"Records that an earlier run could not score: {kept.failed:,}")


def refuse(**options: Any) -> None:
    """Refuse options that do not apply to Ray.

    options: The values of the options, by name.
    RAISES (typer.BadParameter): One of them is set.
    """
    names = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if names:
        raise typer.BadParameter(f"{' and '.join(names)} cannot be used with --ray.")
