"""List the licences of the dependencies in docs/licences.md.

python .ci/licences.py [--write]

Without --write, fail if the page doesn't list the dependencies in setup.cfg, or if one
of the installed packages that they need in turn has a licence that isn't known to go
with the MIT licence. Where a version words its licence differently from the page, that
is only reported.
"""

import re
import sys
from collections import deque
from collections.abc import Iterator
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
EXTRAS = ("parquet", "plot", "ray", "browser", "duel")

# Permissive, or copyleft only for the licensed files themselves.
KNOWN = {
    "0BSD": r"\b0BSD\b",
    "Apache-2.0": r"\bApache\b",
    "BSD": r"(?<!0)\bBSD\b",
    "BSL-1.0": r"\bBSL-1|\bBoost\b",
    "CC0-1.0": r"\bCC0\b",
    "CNRI-Python": r"\bCNRI\b",
    "HPND": r"\bHPND\b|\bMIT-CMU\b",
    "ISC": r"\bISC\b|\bISCL\b",
    "MIT": r"\bMIT\b(?!-CMU)",
    "MPL-2.0": r"\bMPL\b|\bMozilla\b",
    "PSF-2.0": r"\bPSF\b|\bPython Software Foundation\b|\bPython-2",
    "Public domain": r"\bpublic domain\b|\bUnlicense\b",
    "Zlib": r"\bzlib\b",
}
REFUSED = r"\bA?GPL|\bAffero\b|\bGNU General\b|\bSSPL\b|\bBUSL\b|non-?commercial"
# CUDA's libraries, on which torch's default build for Linux depends. The licence allows
# using them, and neither the package nor torch's build for CPUs holds any.
ACCEPTED = r"nvidia-.*|cuda-.*"


def licence_text(name: str) -> str:
    """name (str): An installed package.
    RETURNS (str): What its metadata says: the expression, or else the classifiers, or
        else the first line of the licence.
    """
    metadata = distribution(name).metadata
    if metadata["License-Expression"]:
        return metadata["License-Expression"]
    start = "License :: "
    lines = metadata.get_all("Classifier") or []
    said = [line.removeprefix(start) for line in lines if line.startswith(start)]
    said = [line for line in said if line != "OSI Approved"]
    return "; ".join(said) or (metadata["License"] or "").strip().partition("\n")[0]


def families(text: str) -> list[str]:
    """text (str): What a package says about its licence.
    RETURNS (List[str]): The known licences in it, none if it demands another one, too.
    """
    found = set()
    for term in filter(str.strip, re.split(r"\bAND\b|[;,()]", text)):
        known = {
            name
            for choice in re.split(r"\bOR\b", term)
            if not re.search(REFUSED, choice, re.I)
            for name, rule in KNOWN.items()
            if re.search(rule, choice, re.I)
        }
        if not known:
            return []
        found |= known
    return sorted(found, key=str.lower)


def direct_dependencies() -> dict[str, str]:
    """RETURNS (Dict[str, str]): What each dependency in setup.cfg is needed for: "" for
    the package itself, or the extras.
    """
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf8")
    groups = {"": setup["options"]["install_requires"]}
    groups |= {name: setup["options.extras_require"][name] for name in EXTRAS}
    needed: dict[str, list[str]] = {}
    for group, lines in groups.items():
        for line in filter(None, lines.split("\n")):
            needed.setdefault(Requirement(line).name, []).append(group)
    return {name: ", ".join(filter(None, needed[name])) for name in needed}


def all_dependencies() -> Iterator[str]:
    """YIELDS (str): The installed packages that the dependencies need in turn, and the
    dependencies themselves.
    """
    waiting, seen = deque(direct_dependencies()), set()
    while waiting:
        name = waiting.popleft()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in seen:
            continue
        seen.add(key)
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:  # optional, or for another system
            continue
        yield key
        for requirement in map(Requirement, requires):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)


def write_page() -> None:
    """Write the rows of the page. All extras in EXTRAS must be installed."""
    rows = "".join(
        f"| {name} | {extras} | {', '.join(families(licence_text(name)))} |\n"
        for name, extras in sorted(direct_dependencies().items())
    )
    head, rule, tail = PAGE.read_text(encoding="utf8").partition("|---|---|---|\n")
    PAGE.write_text(f"{head}{rule}{rows}\n{tail.partition(chr(10) * 2)[2]}", "utf8")


def listed(page: str) -> dict[str, tuple[str, str]]:
    """page (str): The text of the page.
    RETURNS (Dict[str, Tuple[str, str]]): Extras and licences, by the package's name.
    """
    _, _, table = page.partition("|---|---|---|\n")
    lines = table.partition("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: (extras, licences) for name, extras, licences in rows}


def page_problems(page: str) -> list[str]:
    """page (str): The text of the page.
    RETURNS (List[str]): Dependencies that it lacks, shows for other extras, or lists
        although setup.cfg doesn't.
    """
    shown = {name: extras for name, (extras, _) in listed(page).items()}
    rows = sorted(shown.items() ^ direct_dependencies().items())
    return sorted(
        {f"docs/licences.md and setup.cfg differ: {name}" for name, _ in rows}
    )


def main() -> int:
    """Print the problems, and return the exit status."""
    page = PAGE.read_text(encoding="utf8")
    names = list(all_dependencies())
    problems = page_problems(page)
    for name in names:
        text = licence_text(name)
        if not families(text) and not re.fullmatch(ACCEPTED, name):
            problems.append(f"{name} has no known licence: {text or 'none given'}")
    for name, (_, licences) in listed(page).items():
        installed = name.replace("_", "-") in names
        now = ", ".join(families(licence_text(name))) if installed else ""
        if now not in ("", licences):
            print(f"note: {name} is under {now} in this version, not {licences}")
    missing = [
        name for name in direct_dependencies() if name.replace("_", "-") not in names
    ]
    if missing:
        print(f"not installed, and so not checked: {', '.join(missing)}")
    print(f"{len(names)} packages, {len(problems)} problems", *problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write_page()
    sys.exit(main())
