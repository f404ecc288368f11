"""Where a checkpoint's files are: a folder, the package, or the hub."""

import re
from pathlib import Path

from ...errors import CheckpointError, DownloadError, Errors
from .atomic_folder import is_cut_off, place

DEMO = "demo"
DEMO_FOLDER = Path(__file__).parents[2] / "demo"

# The tokenizers of the models that are published without one (model cards).
KNOWN_TOKENIZERS: dict[str, str] = {
    "DuoGuard/DuoGuard-0.5B": "Qwen/Qwen2.5-0.5B",
    "DuoGuard/DuoGuard-1.5B-transfer": "Qwen/Qwen2.5-1.5B",
    "DuoGuard/DuoGuard-1B-Llama-3.2-transfer": "meta-llama/Llama-3.2-1B",
}

# As huggingface_hub checks them, which would blame the network.
_HUB_NAME = re.compile(r"(?!.*(--|\.\.))[\w-][\w.-]*/[\w-][\w.-]*")


class Folder:
    """A folder with a checkpoint or a tokenizer."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.path = path
        self.commit: str | None = None

    def find(self, filename: str) -> Path | None:
        """filename (str): A file directly in the folder.
        RETURNS (Optional[Path]): Its path, None where there is none."""
        path = self.path / filename
        return path if path.is_file() else None


class SavedFolder(Folder):
    """A folder that `write_bundle` wrote. Nothing outside of it is read, and after a
    save that was cut off its files are those of one version.

    path (Path): The folder.
    inner (str): A folder inside, in which the files are.
    """

    def __init__(self, path: Path, inner: str = "") -> None:
        super().__init__(path / inner)
        self._place = lambda name: place(path, f"{inner}/{name}" if inner else name)

    def find(self, filename: str) -> Path | None:
        """As `Folder.find`.
        RAISES (CheckpointError): The file is a link."""
        path = self._place(filename)
        return path if path.is_file() else None


class HubRepository:
    """A repository of the hub. Files arrive one by one in the cache that
    `huggingface_hub` keeps, all of the commit that the first one came from."""

    def __init__(self, name: str, revision: str) -> None:
        self.name = name
        self.revision = revision
        self.commit: str | None = None

    def find(self, filename: str) -> Path | None:
        """filename (str): A file of the repository.
        RETURNS (Optional[Path]): Its path in the cache, None where the repository has
            no such file.
        RAISES (DownloadError): It could not be had, for another reason.
        """
        # Imported here: it costs a tenth of a second that local folders need not pay.
        from huggingface_hub import errors as hub
        from huggingface_hub import hf_hub_download, try_to_load_from_cache

        revision = self.commit or self.revision
        try:
            path = hf_hub_download(self.name, filename, revision=revision)
        except hub.GatedRepoError as e:
            raise DownloadError(Errors.E030.format(name=self.name)) from e
        except hub.RepositoryNotFoundError as e:
            raise DownloadError(Errors.E031.format(name=self.name)) from e
        except hub.RevisionNotFoundError as e:
            message = Errors.E032.format(name=self.name, revision=revision)
            raise DownloadError(message) from e
        except hub.LocalEntryNotFoundError as e:
            # The cache notes files that the hub does not have, by an object instead
            # of a path: without a network that answer still holds.
            cached = try_to_load_from_cache(self.name, filename, revision=revision)
            if cached is not None and not isinstance(cached, str):
                return None
            raise self._failed(filename, e) from e
        except hub.EntryNotFoundError:
            return None
        except Exception as e:  # requests', httpx' and the operating system's own
            raise self._failed(filename, e) from e
        self.commit = Path(path).parent.name
        return Path(path)

    def _failed(self, filename: str, problem: Exception) -> DownloadError:
        return DownloadError(
            Errors.E033.format(
                file=filename,
                name=self.name,
                revision=self.commit or self.revision,
                problem=type(problem).__name__,
            )
        )


Repository = Folder | HubRepository


def open_repository(name: str, *, revision: str = "main") -> Repository:
    """Find out what a name stands for. Nothing is downloaded yet.

    name (str): A folder, a hub name, or "demo".
    revision (str): Branch, tag or commit, for a hub name.
    RETURNS (Repository): The place to look for files.
    RAISES (CheckpointError): The name is neither.
    """
    if name == DEMO:
        return Folder(DEMO_FOLDER)
    if name and _is_folder(name):
        folder = Path(name).expanduser()
        return SavedFolder(folder) if is_cut_off(folder) else Folder(folder)
    if _HUB_NAME.fullmatch(name):
        return HubRepository(name, revision)
    raise CheckpointError(Errors.E020.format(name=name))


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):  # too long, no such user, a null byte
        return False


def require(repository: Repository, filename: str, *, remedy: str = "") -> Path:
    """As `repository.find`, for a file that must be there.

    repository (Repository): The place to look.
    filename (str): The file.
    remedy (str): What to do where it is missing.
    RETURNS (Path): Its path.
    RAISES (CheckpointError): There is no such file.
    """
    path = repository.find(filename)
    if path is None:
        message = Errors.E017.format(
            source=repository.name,
            wanted=filename,
            remedy=remedy or "Give a folder or repository that has it.",
        )
        raise CheckpointError(message)
    return path
