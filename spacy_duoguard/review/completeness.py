"""What the run that wrote some results says about them."""

from pathlib import Path

from ..engine.checkpoint.files import read_json
from ..errors import CheckpointError, Errors, SettingsError
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


def check_text_key(results: Path, text_key: str) -> None:
    """results (Path): A file or folder of results.
    text_key (str): The field whose texts are to be shown.
    RAISES (SettingsError): It is known that the texts of another field were scored."""
    state = Output(results, results.is_dir()).state
    if not state.exists():
        return
    try:
        known = read_json(state, kind="the state of a run").get("known")
    except CheckpointError:  # `why_incomplete` says so
        return
    scored = known.get("--text-key") if isinstance(known, dict) else None
    if isinstance(scored, str) and scored != text_key:
        message = Errors.E324.format(path=results, scored=scored, key=text_key)
        raise SettingsError(message)
