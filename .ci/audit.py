"""Look up security advisories for what is installed, with pip-audit.

python .ci/audit.py [--strict]

Advisories that .ci/advisories.cfg accepts are listed with the reason. Others are
reported, and fail only with --strict: an advisory says nothing about the change that is
tested. The same goes for a database that pip-audit doesn't reach.
"""

import json
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

ACCEPTED = Path(__file__).with_name("advisories.cfg")
COMMAND = ["pip-audit", "--format", "json", "--progress-spinner", "off"]


def read_accepted() -> dict[str, dict[str, str]]:
    """RETURNS (Dict[str, Dict[str, str]]): Package and reason by advisory."""
    config = ConfigParser()
    config.read(ACCEPTED, encoding="utf8")
    return {name: dict(config[name]) for name in config.sections()}


def report(
    dependencies: list[dict[str, Any]], accepted: dict[str, dict[str, str]]
) -> tuple[list[str], int]:
    """dependencies (List[Dict[str, Any]]): The packages, as pip-audit describes them.
    accepted (Dict[str, Dict[str, str]]): Package and reason by advisory.
    RETURNS (Tuple[List[str], int]): Lines to print, and the number of problems: the
        advisories that are not accepted, or 1 if nothing was looked up.
    """
    looked_up = [entry for entry in dependencies if "skip_reason" not in entry]
    if not looked_up:
        return ["skipped: pip-audit found no database that knows these packages"], 1
    lines, n_open = [], 0
    for entry in looked_up:
        for advisory in entry["vulns"]:
            names = [advisory["id"], *advisory.get("aliases", [])]
            known = [
                accepted[name]["reason"]
                for name in names
                if accepted.get(name, {}).get("package") == entry["name"]
            ]
            n_open += not known
            where = f"{entry['name']} {entry['version']}: {', '.join(names)}"
            fixed = ", ".join(advisory.get("fix_versions", [])) or "no version"
            if known:
                lines.append(f"accepted  {where}. {' '.join(known[0].split())}")
            else:
                lines.append(f"OPEN      {where}. Fixed in {fixed}.")
    unknown = [entry["name"] for entry in dependencies if "skip_reason" in entry]
    if unknown:
        lines.append(f"not looked up: {', '.join(unknown)}")
    lines.append(
        f"{len(looked_up)} of {len(dependencies)} packages looked up, "
        f"{n_open} open advisories"
    )
    return lines, n_open


def main(*, strict: bool) -> int:
    """Print the report, and return the exit status."""
    run = subprocess.run(COMMAND, capture_output=True, text=True)
    try:
        dependencies = json.loads(run.stdout)["dependencies"]
    except ValueError:
        last = (run.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"skipped: pip-audit reached no database ({last})")
        return int(strict)
    lines, n_problems = report(dependencies, read_accepted())
    print(*lines, sep="\n")
    return 1 if strict and n_problems else 0


if __name__ == "__main__":
    sys.exit(main(strict="--strict" in sys.argv[1:]))
