"""Whether the run that wrote some results has finished."""

from pathlib import Path

from ..engine.checkpoint.files import read_json
from ..errors import CheckpointError
from ..scoring.run_state import Output


def why_incomplete(results: Path) -> str | None:
    """results (Path): A file or folder of results.
    RETURNS (Optional[str]): Why records may be missing. None if the run has finished,
        or if the file that says so isn't there."""
    state = Output(results, results.is_dir()).state
    if not state.exists():
        return None
    try:
        is_finished = read_json(state, kind="the state of a run").get("finished")
    except CheckpointError:
        return f"{state.name} is damaged, so the run may not have finished"
    if is_finished is True:
        return None
    return "the run was interrupted or is still going on"
