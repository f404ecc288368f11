"""What a run did, in a few lines of text."""

from collections.abc import Sequence

from .record import STANDARD
from .results import Counts

_N_NAMED = 3  # records that were not scored


def summarize(
    counts: Counts,
    *,
    output: str,
    seconds: float,
    earlier: int = 0,
    failures: Sequence[str] = (),
    finished: bool = True,
) -> list[str]:
    """counts (Counts): What was scored.
    output (str): Where the results are.
    seconds (float): How long scoring took, without loading the model.
    earlier (int): How many of the records an earlier run had scored.
    failures (Sequence[str]): The names of the first records that were not scored.
    finished (bool): Whether all of the input was scored.
    RETURNS (List[str]): The lines."""
    n_here = counts.done - earlier
    n_scored = n_here - counts.failed
    speed = f", {n_here / seconds:,.1f} per second" if seconds > 0 and n_here else ""
    kept = f", after {earlier:,} by an earlier run" if earlier else ""
    lines = [f"Scored: {_texts(n_scored)} in {seconds:,.1f} s{speed}{kept}"]
    if n_scored:
        lines.append(f"Flagged: {_describe_flags(counts)}")
    where = "only in sentences or turns"
    if counts.flagged_in_part:
        lines.append(f"Flagged {where}: {_texts(counts.flagged_in_part)}")
    if counts.reviewed:
        lines.append(f"To review: {_texts(counts.reviewed)}")
    if counts.reviewed_in_part:
        lines.append(f"To review {where}: {_texts(counts.reviewed_in_part)}")
    if counts.truncated:
        limits = "by max_chars or max_windows, so a part of them was not scored"
        lines.append(f"Truncated: {_texts(counts.truncated)}, {limits}")
    if counts.failed:
        lines.append(_describe_failures(counts.failed, failures))
    if counts.failed_before:
        lines.append("Not scored by the earlier run: some records, see the results")
    where = "standard output" if output == STANDARD else output
    lines.append(f"Results: {where}")
    if not finished:
        hint = "" if output == STANDARD else " To continue, repeat it with --resume."
        lines.append(f"The run is not complete.{hint}")
    return lines


def _texts(count: int) -> str:
    return f"{count:,} text{'' if count == 1 else 's'}"


def _describe_flags(counts: Counts) -> str:
    flagged = counts.flagged - counts.failed
    flags = sorted(counts.categories.items(), key=lambda item: (-item[1], item[0]))
    names = ", ".join(f"{label} {count:,}" for label, count in flags)
    return f"{_texts(flagged)} ({names})" if flags else _texts(flagged)


def _describe_failures(count: int, names: Sequence[str]) -> str:
    where = "; look for the status 'error'"
    listed = ", ".join(names[:_N_NAMED])
    if listed and count > _N_NAMED:
        listed += f" and {count - _N_NAMED:,} more"
    listed = f": {listed}" if listed else ""
    return f"Not scored, and marked unsafe: {_texts(count)}{listed}{where}"
