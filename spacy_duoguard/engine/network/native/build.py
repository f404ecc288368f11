"""Compiling the native kernels, once per user, source, compiler and processor.

Only this package's source is compiled, into a folder that nobody else can write to. A
library's name holds the digest of what it was made from and of its bytes, and it's only
loaded if both match.
"""

import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from ctypes import CDLL
from functools import cache
from pathlib import Path

from ....errors import Errors, SettingsError

SOURCE = Path(__file__).parent
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-ffp-contract=fast")
LINK = ("-shared", "-fPIC", "-pthread", "-lm")
COMPILERS = ("cc", "gcc", "clang")

_SECONDS = 120  # a build takes 3


@cache
def load_library() -> CDLL:
    """RETURNS (CDLL): The kernels, compiled if they aren't yet.
    RAISES (SettingsError): They can't be compiled or loaded here."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        system = f"{sys.platform} on {platform.machine()}"
        raise SettingsError(Errors.E232.format(system=system))
    compiler = _compiler()
    folder = cache_folder()
    inputs = _digest(_macros(compiler), *_sources(), *FLAGS, *LINK)
    path = _built(folder, inputs) or _build(compiler, folder, inputs)
    try:
        return CDLL(str(path))
    except OSError as e:
        problem = f"{path} can't be loaded"
        raise SettingsError(Errors.E234.format(problem=problem)) from e


def cache_folder() -> Path:
    """RETURNS (Path): The folder for compiled kernels, made if it's missing.
    RAISES (SettingsError): It isn't the user's alone."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "spacy-duoguard" / "native"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as e:
        problem = e.strerror or type(e).__name__
        raise SettingsError(Errors.E235.format(folder=folder, problem=problem)) from e
    if not stat.S_ISDIR(status.st_mode):
        problem = "not a folder"
    elif status.st_uid != os.geteuid():
        problem = "another user's"
    elif stat.S_IMODE(status.st_mode) & 0o077:
        problem = "open to other users"
    else:
        return folder
    raise SettingsError(Errors.E235.format(folder=folder, problem=problem))


def _compiler() -> list[str]:
    """The command of $CC, or the first compiler there is."""
    if chosen := os.environ.get("CC"):
        return shlex.split(chosen)
    for name in COMPILERS:
        if path := shutil.which(name):
            return [path]
    raise SettingsError(Errors.E233.format(names=", ".join(COMPILERS)))


def _macros(compiler: list[str]) -> str:
    """What the compiler defines: its version, and the processor's instructions."""
    return _run([*compiler, *FLAGS, "-dM", "-E", "-x", "c", os.devnull])


def _sources() -> list[str]:
    paths = sorted((*SOURCE.glob("*.c"), *SOURCE.glob("*.h")))
    return [text for path in paths for text in (path.name, path.read_text("utf8"))]


def _built(folder: Path, inputs: str) -> Path | None:
    """A library that was compiled from the same inputs, and hasn't changed since."""
    for path in sorted(folder.glob(f"{inputs}-*.so")):
        status = path.lstat()
        whole = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        if whole and path.name == _name(inputs, path):
            return path
    return None


def _build(compiler: list[str], folder: Path, inputs: str) -> Path:
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        built = Path(temporary) / "kernels.so"
        _run([*compiler, *FLAGS, str(SOURCE / "forward.c"), "-o", str(built), *LINK])
        return built.replace(folder / _name(inputs, built))


def _name(inputs: str, path: Path) -> str:
    return f"{inputs}-{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}.so"


def _digest(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf8")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:32]


def _run(command: list[str]) -> str:
    """RETURNS (str): The standard output."""
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        problem = f"{command[0]} didn't run ({type(e).__name__})"
        raise SettingsError(Errors.E234.format(problem=problem)) from e
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if "error" in line]
        problem = f"{command[0]} failed ({(lines or ['no message'])[0][:200]})"
        raise SettingsError(Errors.E234.format(problem=problem))
    return run.stdout
