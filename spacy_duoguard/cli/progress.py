"""Following a run of `score` on standard error: a progress bar on a terminal, the
records that could not be scored, and a summary at the end."""

from typing import TYPE_CHECKING, Any

from .failures import complain, say

if TYPE_CHECKING:
    from ..scoring.results import Counts
    from ..scoring.run import ScoreRequest

_N_NAMED = 20  # failed records that are reported one by one

# The columns and rows of a terminal that doesn't know its own, as in `script`.
_SIZE = {"ncols": 80, "nrows": 24}


def score_here(request: "ScoreRequest") -> int:
    """Score in this process.

    request (ScoreRequest): What to score, and how.
    RETURNS (int): The number of records that could not be scored; 1 if only the run
        that it resumes had some.
    """
    from ..scoring.run import score_file

    progress = _Progress(request)
    try:
        for counts in score_file(request, report=progress.report):
            progress.show(counts)
        progress.close(finished=True)
    except BrokenPipeError:  # the reader has left: end quietly, as other programs do
        progress.close_bar()
        raise
    except BaseException as e:
        # After Ctrl-C, the command itself says how to continue.
        progress.close(finished=isinstance(e, KeyboardInterrupt))
        raise
    if progress.counts is None:
        return 0
    return progress.counts.failed or int(progress.counts.failed_before)


def print_summary(counts: "Counts", **details: Any) -> None:
    """counts (Counts): What was scored.
    details: As for `summarize`."""
    from ..scoring.summary import summarize

    for line in summarize(counts, **details):
        say(line)


class _Progress:
    """The state of a run."""

    def __init__(self, request: "ScoreRequest") -> None:
        self.output = request.output
        self.source = request.source
        self.counts: Counts | None = None  # once the model is loaded
        self.failures: list[str] = []
        self._bar: Any = None
        self._earlier = 0
        self._started = 0.0

    def report(self, name: str, problem: str) -> None:
        """name (str): A record that could not be scored.
        problem (str): Why, without the text."""
        from tqdm import tqdm

        self.failures.append(name)
        if len(self.failures) <= _N_NAMED:
            with tqdm.external_write_mode(file=_stderr()):
                complain(f"{name}: {problem}")

    def show(self, counts: "Counts") -> None:
        """counts (Counts): How far the run has come."""
        if self.counts is None:
            self._open(counts)
        self.counts = counts
        self._bar.set_postfix(flagged=counts.flagged, refresh=False)
        self._bar.update(counts.done - self._bar.n)

    def _open(self, counts: "Counts") -> None:
        from time import monotonic

        from tqdm import tqdm

        from ..scoring.run import count_records

        watched = is_watched()
        self._earlier = counts.done
        self._bar = tqdm(
            total=count_records(self.source) if watched else None,
            initial=counts.done,
            unit=" texts",
            file=_stderr(),
            disable=not watched,
            **terminal_size(),
        )
        self._started = monotonic()

    def close_bar(self) -> None:
        """Take leave of the bar."""
        if self._bar is not None:
            self._bar.close()

    def close(self, *, finished: bool) -> None:
        """finished (bool): Whether all of the input was scored."""
        from time import monotonic

        self.close_bar()
        if len(self.failures) > _N_NAMED:
            complain(f"... and {len(self.failures) - _N_NAMED} more records.")
        if self.counts is not None:
            print_summary(
                self.counts,
                output=self.output,
                seconds=monotonic() - self._started,
                earlier=self._earlier,
                failures=self.failures,
                finished=finished,
            )


def _stderr() -> Any:
    import sys

    return sys.stderr


def is_watched() -> bool:
    """RETURNS (bool): Whether standard error is a terminal. It may also be closed."""
    stream = _stderr()
    is_open = stream is not None and not getattr(stream, "closed", False)
    return is_open and bool(stream.isatty())


def terminal_size() -> dict[str, int]:
    """RETURNS (Dict[str, int]): A size for tqdm if the terminal doesn't know its own:
    without one, tqdm would draw nothing. Otherwise, it finds it itself."""
    import os

    try:
        return {} if all(os.get_terminal_size(_stderr().fileno())) else _SIZE
    except (OSError, ValueError):  # no terminal
        return _SIZE
