"""Check that a tag fits the version, and that the changelog dates it.

python .ci/check_tag.py v1.2.3
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def read_version() -> str:
    """RETURNS (str): `__version__`, without importing the package."""
    source = (ROOT / "spacy_duoguard" / "__init__.py").read_text(encoding="utf8")
    values = {
        ast.unparse(node.targets[0]): node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
    }
    return str(ast.literal_eval(values["__version__"]))


def tag_problems(tag: str, version: str, changelog: str) -> list[str]:
    """tag (str): The tag, such as "v1.2.3".
    version (str): The version of the package.
    changelog (str): The text of the changelog.
    RETURNS (List[str]): What keeps the tag from being released.
    """
    problems = []
    if tag != f"v{version}":
        problems.append(f"the tag is {tag}, but __version__ is {version}")
    heading = next(iter(re.findall(r"^## .*$", changelog, flags=re.M)), "")
    if not re.fullmatch(rf"## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", heading):
        problems.append(f"CHANGELOG.md doesn't begin with a date for {version}")
    return problems


def main(tag: str) -> int:
    """Print what is wrong, and return the exit status."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf8")
    problems = tag_problems(tag, read_version(), changelog)
    print(*(problems or [f"{tag} can be released"]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
