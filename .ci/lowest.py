"""Print the lowest versions that setup.cfg allows, as constraints for pip.

python .ci/lowest.py [EXTRA ...] > lowest.txt
"""

import re
import sys
from configparser import ConfigParser
from pathlib import Path

SETUP = Path(__file__).resolve().parents[1] / "setup.cfg"


def lowest_versions(setup: ConfigParser, extras: list[str]) -> dict[str, str]:
    """setup (ConfigParser): The content of setup.cfg.
    extras (List[str]): The extras whose dependencies are included.
    RETURNS (Dict[str, str]): The lower bound of each dependency, by its name.
    RAISES (ValueError): If a dependency has no lower bound.
    """
    lines = setup["options"]["install_requires"].split("\n")
    for extra in extras:
        lines += setup["options.extras_require"][extra].split("\n")
    bounds = {}
    for line in filter(None, lines):
        match = re.fullmatch(r"([\w-]+)(?:\[[\w,-]+\])?>=([\d.]+)(?:,<[\d.]+)?", line)
        if match is None:
            raise ValueError(f"No lower bound, or not in the form name>=1.2,<2: {line}")
        bounds[match[1]] = match[2]
    return bounds


def read_setup() -> ConfigParser:
    """RETURNS (ConfigParser): The content of setup.cfg."""
    setup = ConfigParser()
    setup.read(SETUP, encoding="utf8")
    return setup


if __name__ == "__main__":
    for name, version in lowest_versions(read_setup(), sys.argv[1:]).items():
        print(f"{name}=={version}")
