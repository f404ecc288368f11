"""The source of a checkpoint's files: a folder, the package, or the hub."""

import re
from pathlib import Path

from ...errors import CheckpointError, DownloadError, Errors
from .atomic_folder import is_interrupted, locate
from .files import is_regular

DEMO = "demo"
DEMO_FOLDER = Path(__file__).parents[2] / "demo"

# The rule of huggingface_hub, whose own error would blame the network.
_HUB_NAME = re.compile(r"(?!.*(--|\.\.))[\w-][\w.-]*/[\w-][\w.-]*")

_COMMIT = re.compile(r"[0-9a-fA-F]{40}")


class Folder:
    """A folder with a checkpoint or a tokenizer."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.path = path
        self.commit: str | None = None

    def find(self, filename: str) -> Path | None:
        """filename (str): A file directly in the folder.
        RETURNS (Optional[Path]): Its path, None if there is none.
        RAISES (CheckpointError): It is not a regular file, nor a link to one."""
        path = self.path / filename
        return path if is_regular(path) else None


class SavedFolder(Folder):
    """A folder written by `write_bundle`. Nothing outside of it is read, and all files
    are of one version, even after an interrupted save.

    path (Path): The folder.
    inner (str): The subfolder with the files, if any.
    """

    def __init__(self, path: Path, inner: str = "") -> None:
        super().__init__(path / inner)
        self.root, self.inner = path, inner

    def find(self, filename: str) -> Path | None:
        """See `Folder.find`.

        RAISES (CheckpointError): The file is a link, or not a regular file."""
        name = f"{self.inner}/{filename}" if self.inner else filename
        path = locate(self.root, name)
        return path if is_regular(path) else None


class HubRepository:
    """A repository on the hub. Files are downloaded one by one into the cache of
    `huggingface_hub`, all from the commit of the first one."""

    # What else to do if a file can't be had, for messages.
    remedy = "or download it once and set name to the local folder"

    def __init__(self, name: str, revision: str) -> None:
        self.name = name
        self.revision = revision
        self.commit: str | None = None

    def find(self, filename: str) -> Path | None:
        """filename (str): A file of the repository.
        RETURNS (Optional[Path]): Its path in the cache, None if the repository has no
            such file.
        RAISES (DownloadError): The download failed for any other reason, or the server
            sent the file of another commit.
        """
        # Imported here, since local folders don't need it: it takes a tenth of a
        # second.
        from huggingface_hub import errors as hub
        from huggingface_hub import hf_hub_download, try_to_load_from_cache

        revision = self.commit or self.revision
        try:
            path = hf_hub_download(self.name, filename, revision=revision)
        except hub.GatedRepoError as e:
            raise DownloadError(
                Errors.E030.format(name=self.name, remedy=self.remedy)
            ) from e
        except hub.RepositoryNotFoundError as e:
            raise DownloadError(Errors.E031.format(name=self.name)) from e
        except hub.RevisionNotFoundError as e:
            message = Errors.E032.format(name=self.name, revision=revision)
            raise DownloadError(message) from e
        except hub.LocalEntryNotFoundError as e:
            # For a file that the hub does not have, the cache holds an object instead
            # of a path. That answer is still valid without a network.
            cached = try_to_load_from_cache(self.name, filename, revision=revision)
            if cached is not None and not isinstance(cached, str):
                return None
            raise self._failed(filename, e) from e
        except hub.EntryNotFoundError:
            return None
        except Exception as e:  # from requests, httpx or the operating system
            raise self._failed(filename, e) from e
        commit = Path(path).parent.name
        if _COMMIT.fullmatch(revision) and commit != revision.lower():
            raise DownloadError(
                Errors.E334.format(name=self.name, revision=revision, commit=commit)
            )
        self.commit = commit
        return Path(path)

    def _failed(self, filename: str, problem: Exception) -> DownloadError:
        return DownloadError(
            Errors.E033.format(
                file=filename,
                name=self.name,
                revision=self.commit or self.revision,
                problem=type(problem).__name__,
                remedy=self.remedy,
            )
        )


Repository = Folder | HubRepository


def open_repository(name: str, *, revision: str = "main") -> Repository:
    """Resolve the name of a model or tokenizer. Nothing is downloaded yet.

    name (str): A folder, a hub name, or "demo".
    revision (str): Branch, tag or commit, for a hub name.
    RETURNS (Repository): The source of its files.
    RAISES (CheckpointError): The name is none of these.
    """
    if name == DEMO:
        return Folder(DEMO_FOLDER)
    if name and _is_folder(name):
        folder = Path(name).expanduser()
        return SavedFolder(folder) if is_interrupted(folder) else Folder(folder)
    if isinstance(name, str) and _HUB_NAME.fullmatch(name):
        return HubRepository(name, revision)
    raise CheckpointError(Errors.E020.format(name=name))


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, TypeError, ValueError):  # too long, a null byte, …
        return False


def require(repository: Repository, filename: str, *, remedy: str = "") -> Path:
    """Like `repository.find`, for a file that must exist.

    repository (Repository): The source.
    filename (str): The file.
    remedy (str): What to do if it is missing, for the message.
    RETURNS (Path): Its path.
    RAISES (CheckpointError): There is no such file.
    """
    path = repository.find(filename)
    if path is None:
        message = Errors.E017.format(
            source=repository.name,
            wanted=filename,
            remedy=remedy or "Use a folder or repository that has it.",
        )
        raise CheckpointError(message)
    return path
