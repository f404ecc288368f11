"""SECURITY.md claims what tests show."""

import ast
import re

import pytest
from support.paths import ROOT

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf8")
TESTS = {
    node.name
    for path in (ROOT / "tests").rglob("test_*.py")
    for node in ast.parse(path.read_text(encoding="utf8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}

# Those of the checkpoint, 15 and 22 to 27, stand in files of their own.
ROWS = set(range(1, 30))


def test_every_row_of_the_trust_table_has_its_test():
    found = {
        int(match[1]) for name in TESTS if (match := re.match(r"test_row_(\d+)", name))
    }
    assert found >= ROWS


def test_every_test_it_names_is_there():
    names = re.findall(r"`(test_\w+)`", TEXT)
    assert len(names) > 30
    for name in names:
        row = re.fullmatch(r"test_row_\d+", name)
        assert any(
            test.startswith(f"{name}_") if row else test == name for test in TESTS
        )


def test_every_file_it_names_is_there():
    files = re.findall(r"`(tests/[\w/]+\.py)`", TEXT)
    assert len(files) == 3
    assert all((ROOT / file).is_file() for file in files)


@pytest.mark.filterwarnings("ignore:.W001")
def test_its_snippet_runs():
    (snippet,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    names = {}
    exec(compile(snippet, "SECURITY.md", "exec"), names)
    nlp, make_doc = names["nlp"], names["make_doc"]
    docs = list(nlp.pipe(map(make_doc, ["((" * 100, "", "I hate you."])))
    assert [doc.text for doc in docs] == ["((" * 100, "", "I hate you."]
    statuses = [doc._.duoguard_status for doc in docs]
    assert statuses == ["ok", "empty", "ok"]
    assert docs[2].cats == pytest.approx(nlp("I hate you.").cats, abs=1e-5)
