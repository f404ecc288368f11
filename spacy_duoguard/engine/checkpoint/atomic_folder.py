"""A folder whose files change all at once.

The new files are written into a folder inside of it and get onto the disk there. The
new version holds from the moment when that folder is renamed, in one step, to a name
under which it counts. Then its files are moved to their places one by one, the manifest
last; until that is done, each file is looked for in both. So what is killed leaves the
old version or the new one, and a reader needs no right to write. Whatever else lies in
the folder stays there.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import CheckpointError, Errors
from .files import sync
from .manifest import MANIFEST, read_manifest, seal, seal_folder, write_manifest

_WRITING = ".duoguard-writing"
_STAGED = ".duoguard-staged"


@contextmanager
def staged(folder: Path, *, keep: bool = False) -> Iterator[Path]:
    """Replace the files of a folder.

    folder (Path): The folder, made if it does not exist.
    keep (bool): Whether files of the present version that are not written anew belong
        to the new one.
    YIELDS (Path): Where to write; with a manifest of its own, or one is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _settle(folder)
    aside = folder / _WRITING
    _remove(aside)
    aside.mkdir()
    try:
        yield aside
        _complete(aside, folder if keep else None)
        for path in sorted(aside.rglob("*")):
            _sync(path)
        _sync(aside)
        os.rename(aside, folder / _STAGED)
    finally:
        _remove(aside)
    _sync(folder)
    _settle(folder)


def place(folder: Path, name: str) -> Path:
    """Where a file of a folder lies, also after a save that was cut off.

    folder (Path): The folder.
    name (str): Of the file, with "/" for one in a folder inside.
    RETURNS (Path): Its path, whether it exists or not.
    RAISES (CheckpointError): It is a link, or lies behind one.
    """
    staged_folder = folder / _STAGED
    for root in (staged_folder, folder):
        path = root.joinpath(name)
        links = [path, *path.parents[: name.count("/")], staged_folder]
        if any(link.is_symlink() for link in links):
            raise CheckpointError(Errors.E103.format(folder=folder, file=name))
        if path.is_file():
            return path
    return folder.joinpath(name)


def is_cut_off(folder: Path) -> bool:
    """folder (Path): A folder.
    RETURNS (bool): Whether a save left files that are not in their places yet."""
    return (folder / _STAGED).is_dir()


def _complete(aside: Path, present: Path | None) -> None:
    if not (aside / MANIFEST).is_file():
        seal_folder(aside)
    if present is not None:
        old = read_manifest(present / MANIFEST)["files"]
        new = read_manifest(aside / MANIFEST)["files"]
        write_manifest(aside, seal({**old, **new}))


def _settle(folder: Path) -> None:
    """Move the files of the version that holds to their places."""
    source = folder / _STAGED
    if source.is_symlink() or not source.is_dir():
        return
    files = [path for path in source.rglob("*") if path.is_file()]
    # The manifest at last: a file that it does not fit is looked for here until then.
    for path in sorted(files, key=lambda path: (path == source / MANIFEST, path)):
        target = folder / path.relative_to(source)
        if target.parent != folder and target.parent.is_symlink():
            target.parent.unlink()  # what it leads to is not ours to write to
        target.parent.mkdir(exist_ok=True)
        os.replace(path, target)
        _sync(target.parent)
    shutil.rmtree(source)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _sync(path: Path) -> None:
    with suppress(OSError):  # some systems cannot open a folder
        sync(path)
