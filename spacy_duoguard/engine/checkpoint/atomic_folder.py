"""Folders that change all at once.

`staged` replaces some files of a folder and keeps the rest. New files are written to a
subfolder and synced to disk. Renaming that subfolder makes them the current version, in
one step. Then they are moved to their final paths one by one, the manifest last. Until
that is done, files are looked up in both places. So an interrupted save leaves either
the old version or the new one, and reading needs no write access.

`replace_folder` replaces a folder as a whole. It is written beside the old one, and two
renames swap them. If the process is killed between the two, `restore_folder` brings the
old one back.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import CheckpointError, Errors, SettingsError
from .files import is_regular, try_sync
from .folder_lock import locked
from .manifest import (
    MANIFEST,
    add_manifest,
    make_manifest,
    read_manifest,
    write_manifest,
)

WRITING = ".duoguard-writing"
_STAGED = ".duoguard-staged"


@contextmanager
def staged(folder: Path, *, keep: bool = False) -> Iterator[Path]:
    """Replace the files of a folder. Files that are not in its manifest are kept.

    folder (Path): The folder, created if it does not exist.
    keep (bool): Whether the new version includes those files of the current one that
        are not written again.
    YIELDS (Path): The folder to write to. A manifest is added if it has none.
    RAISES (CheckpointError): Others didn't finish saving to the folder.
    RAISES (SettingsError): It can't be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        problem = e.strerror or type(e).__name__
        message = Errors.E333.format(path=folder, problem=problem)
        raise SettingsError(message) from e
    with locked(folder), _staged(folder, keep=keep) as aside:
        yield aside


@contextmanager
def _staged(folder: Path, *, keep: bool) -> Iterator[Path]:
    _move_staged(folder)
    aside = folder / WRITING
    _remove(aside)
    aside.mkdir()
    try:
        yield aside
        _complete_manifest(aside, folder if keep else None)
        _sync_tree(aside)
        os.rename(aside, folder / _STAGED)
    finally:
        _remove(aside)
    try_sync(folder)
    _move_staged(folder)


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Replace a folder as a whole, or create it.

    folder (Path): The folder. A file or link of that name is replaced too.
    YIELDS (Path): The folder to write to.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    restore_folder(folder)
    aside = folder.with_name(f".{folder.name}.duoguard-new")
    _remove(aside)
    aside.mkdir()
    try:
        yield aside
        put_in_place(aside, folder)
    finally:
        _remove(aside)


def put_in_place(aside: Path, folder: Path) -> None:
    """Replace a folder by one that is complete.

    aside (Path): The new folder, beside the old one.
    folder (Path): The folder to replace or create. If that fails, it is as before.
    """
    _sync_tree(aside)
    try:
        if os.path.lexists(folder):
            os.rename(folder, _replaced(folder))
        os.rename(aside, folder)
        try_sync(folder.parent)
    finally:
        restore_folder(folder)


def restore_folder(folder: Path) -> None:
    """Clean up after a `replace_folder` that was killed. Call this before checking
    whether the folder exists.

    folder (Path): The folder. If it is missing, the previous version is restored.
    """
    replaced = _replaced(folder)
    if os.path.lexists(folder):
        _remove(replaced)
    elif os.path.lexists(replaced):
        os.rename(replaced, folder)


def locate(folder: Path, name: str) -> Path:
    """Find a file of a folder, even after an interrupted save.

    folder (Path): The folder.
    name (str): The name of the file, with "/" if it is in a subfolder.
    RETURNS (Path): Its path, whether it exists or not.
    RAISES (CheckpointError): It is a link, is reached through one, or is not a regular
        file.
    """
    staged_folder = folder / _STAGED
    for root in (staged_folder, folder):
        path = root.joinpath(name)
        links = [path, *path.parents[: name.count("/")], staged_folder]
        if any(os.path.islink(link) for link in links):
            raise CheckpointError(Errors.E103.format(folder=folder, file=name))
        if is_regular(path):
            return path
    return folder.joinpath(name)


def is_interrupted(folder: Path) -> bool:
    """folder (Path): A folder.
    RETURNS (bool): Whether an interrupted save left files to be moved."""
    return os.path.isdir(folder / _STAGED)


def _complete_manifest(aside: Path, current: Path | None) -> None:
    if not os.path.isfile(aside / MANIFEST):
        add_manifest(aside)
    if current is not None:
        old = read_manifest(current / MANIFEST)["files"]
        new = read_manifest(aside / MANIFEST)["files"]
        write_manifest(aside, make_manifest({**old, **new}))


def _move_staged(folder: Path) -> None:
    """Move the files of the current version to their final paths."""
    source = folder / _STAGED
    if os.path.islink(source) or not os.path.isdir(source):
        return
    files = [path for path in source.rglob("*") if os.path.isfile(path)]
    # The manifest last: until then, files that it does not match are looked up here.
    for path in sorted(files, key=lambda path: (path == source / MANIFEST, path)):
        target = folder / path.relative_to(source)
        if target.parent != folder and target.parent.is_symlink():
            target.parent.unlink()  # never write through a link
        target.parent.mkdir(exist_ok=True)
        os.replace(path, target)
        try_sync(target.parent)
    shutil.rmtree(source)


def _replaced(folder: Path) -> Path:
    """Where a folder is kept until the new one has taken its name."""
    return folder.with_name(f".{folder.name}.duoguard-old")


def _remove(path: Path) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:  # `rmtree` would open a pipe, and wait
        path.unlink(missing_ok=True)


def _sync_tree(folder: Path) -> None:
    for path in (*sorted(folder.rglob("*")), folder):
        try_sync(path)
