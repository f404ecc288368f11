"""SECURITY.md promises what tests show."""

import ast
import re

import pytest
from support.paths import ROOT

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf8")
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
# The row's number -> its tests, each a file and a name.
TABLE = {
    int(number): TEST_ID.findall(tests)
    for number, tests in re.findall(r"^\| (\d+) \| .* \| (.*) \|$", TEXT, re.MULTILINE)
}
# Rows 1 to 29 are fixed, others may follow.
N_FIXED = 29


def functions_in(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_rows_are_numbered_and_none_is_without_tests():
    assert list(TABLE) == list(range(1, len(TABLE) + 1))
    assert len(TABLE) >= N_FIXED
    assert [number for number, tests in TABLE.items() if not tests] == []


@pytest.mark.parametrize("number", TABLE)
def test_the_tests_of_a_row_exist(number):
    for file, name in TABLE[number]:
        assert name in functions_in(file)


def test_all_tests_are_named_in_the_table():
    named = [test for tests in TABLE.values() for test in tests]
    assert TEST_ID.findall(TEXT) == named
    assert TEXT.count("`tests/") == TEXT.count("::test_") == len(named)


def test_the_prose_refers_to_rows_that_exist():
    prose = TEXT[: TEXT.index("## The trust table")]
    groups = re.findall(r"\((\d+(?:, \d+)*)\)|\| (\d+(?:, \d+)*) \|$", prose, re.M)
    rows = {int(n) for group in groups for n in "".join(group).split(", ")}
    assert len(rows) > 30
    assert rows <= set(TABLE)


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
