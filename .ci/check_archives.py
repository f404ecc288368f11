"""Check that the built archives hold the tracked files and nothing else.

python .ci/check_archives.py FOLDER
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "spacy_duoguard"
# What setuptools adds to a source distribution, beside the folder *.egg-info.
ADDED = {"PKG-INFO"}
METADATA = {
    "METADATA",
    "WHEEL",
    "RECORD",
    "entry_points.txt",
    "top_level.txt",
    "licenses/LICENSE",
}


def tracked_files(root: Path) -> set[str]:
    """RETURNS (Set[str]): The files that git tracks, as relative paths."""
    command = ["git", "-C", str(root), "ls-files", "-z"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(filter(None, listing.stdout.split("\0")))


def wheel_problems(names: set[str], tracked: set[str]) -> list[str]:
    """names (Set[str]): The files in the wheel.
    tracked (Set[str]): The files of the project.
    RETURNS (List[str]): What the wheel lacks, and what it should not hold.
    """
    expected = {name for name in tracked if name.startswith(f"{PACKAGE}/")}
    code = {name for name in names if ".dist-info/" not in name}
    metadata = {name.partition(".dist-info/")[2] for name in names - code}
    return [*_differences(code, expected), *_differences(metadata, METADATA)]


def sdist_problems(names: set[str], tracked: set[str]) -> list[str]:
    """names (Set[str]): The files in the source distribution, without its folder.
    tracked (Set[str]): The files of the project.
    RETURNS (List[str]): What the archive lacks, and what it should not hold.
    """
    kept = {name for name in names if not name.startswith(f"{PACKAGE}.egg-info/")}
    return _differences(kept, tracked | ADDED)


def _differences(names: set[str], expected: set[str]) -> list[str]:
    missing = [f"lacks {name}" for name in sorted(expected - names)]
    return [*missing, *(f"should not hold {name}" for name in sorted(names - expected))]


def read_names(archive: Path) -> set[str]:
    """archive (Path): A wheel or a source distribution.
    RETURNS (Set[str]): Its files. Those of a source distribution are relative to its
        only folder.
    """
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name for name in wheel.namelist() if not name.endswith("/")}
    with tarfile.open(archive) as sdist:
        paths = [PurePosixPath(entry.name) for entry in sdist if entry.isfile()]
    return {path.relative_to(path.parts[0]).as_posix() for path in paths}


def main(folder: Path) -> int:
    """Print what is wrong, and return the exit status."""
    tracked = tracked_files(ROOT)
    problems = []
    for pattern, check in (("*.whl", wheel_problems), ("*.tar.gz", sdist_problems)):
        archives = sorted(folder.glob(pattern))
        if len(archives) != 1:
            problems.append(f"{folder} holds {len(archives)} files {pattern}, not 1")
        for archive in archives:
            names = read_names(archive)
            found = check(names, tracked)
            problems += [f"{archive.name} {problem}" for problem in found]
            print(f"{archive.name}: {len(names)} files, {len(found)} problems")
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
