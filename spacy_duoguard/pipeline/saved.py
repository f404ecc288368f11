"""Loading a saved pipeline for a command. Only this checks its folder first."""

import os
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language

from ..engine.checkpoint.files import check_regular_files
from ..errors import DuoGuardError, Errors, SettingsError


def load_saved(source: str | Path, config: dict[str, Any] | None = None) -> Language:
    """Load a pipeline. spaCy's own files are checked too: spaCy would wait forever for
    a pipe in their place.

    source (str / Path): A folder, or the name of an installed package.
    config (Optional[Dict[str, Any]]): Settings to override, as for `spacy.load`.
    RETURNS (Language): The pipeline.
    RAISES (SettingsError): It can't be loaded.
    RAISES (DuoGuardError): A component of this package can't be loaded, or something
        in the folder is neither a file nor a folder.
    """
    folder = Path(source)
    try:
        if not os.path.isdir(folder):
            folder = spacy.util.get_package_path(str(source))
        check_regular_files(folder)
        return spacy.load(source, config=config or {})
    except DuoGuardError:
        raise
    except (OSError, ImportError, ValueError) as e:
        problem = (str(e).splitlines() or [type(e).__name__])[0]
    except Exception as e:  # the errors of zlib and msgpack share no base class
        problem = type(e).__name__
    raise SettingsError(Errors.E086.format(path=source, problem=problem))
