"""The scripts that CI runs find what they are there to find."""

import json
import re
from configparser import ConfigParser
from types import SimpleNamespace

import pytest
from support.ci import script
from support.documents import read
from support.paths import ROOT

audit = script("audit")
check_tag = script("check_tag")
licences = script("licences")
lowest = script("lowest")


def setup_with(line):
    setup = ConfigParser()
    setup.read_dict({"options": {"install_requires": f"\n{line}\ntorch>=2.10,<2.14"}})
    return setup


def test_every_dependency_has_a_lower_bound():
    setup = lowest.read_setup()
    extras = list(setup["options.extras_require"])
    bounds = lowest.lowest_versions(setup, extras)
    assert {"torch", "spacy", "pytest", "ray", "ruff", "twine"} <= bounds.keys()
    assert all(bounds.values())


def test_the_lowest_versions_are_printed_as_constraints():
    bounds = lowest.lowest_versions(setup_with("ray[data]>=2.60"), [])
    assert bounds == {"ray": "2.60", "torch": "2.10"}


@pytest.mark.parametrize("line", ["numpy", "numpy<3", "numpy==2.0", "numpy>2.0"])
def test_a_dependency_without_a_lower_bound_is_refused(line):
    with pytest.raises(ValueError, match="numpy"):
        lowest.lowest_versions(setup_with(line), [])


ACCEPTED = {"CVE-1": {"package": "transformers", "reason": "It is never called."}}


def vulnerable(name, *ids):
    vulns = [
        {"id": f"PYSEC-{i}", "aliases": [i], "fix_versions": ["9.0"], "description": ""}
        for i in ids
    ]
    return {"name": name, "version": "1.0", "vulns": vulns}


def test_advisories_that_are_not_accepted_are_open():
    found = [vulnerable("transformers", "CVE-1", "CVE-2"), vulnerable("torch", "CVE-1")]
    lines, n_open = audit.report(found, ACCEPTED)
    # Accepted for transformers only.
    assert n_open == 2
    assert [line.split()[0] for line in lines[:3]] == ["accepted", "OPEN", "OPEN"]
    assert "It is never called." in lines[0]
    assert "9.0" in lines[1]


def test_packages_that_were_not_looked_up_do_not_pass_as_safe():
    """pip-audit exits with 0 if its database knows none of the packages."""
    skipped = [{"name": "torch", "skip_reason": "not found"}]
    lines, n_problems = audit.report(skipped, ACCEPTED)
    assert lines == ["skipped: pip-audit found no database that knows these packages"]
    assert n_problems == 1
    lines, n_problems = audit.report([*skipped, vulnerable("spacy")], ACCEPTED)
    assert lines == [
        "not looked up: torch",
        "1 of 2 packages looked up, 0 open advisories",
    ]
    assert n_problems == 0


@pytest.mark.parametrize(
    ("output", "strict", "expected"),
    [
        (json.dumps({"dependencies": [vulnerable("torch", "CVE-9")]}), True, 1),
        (json.dumps({"dependencies": [vulnerable("torch", "CVE-9")]}), False, 0),
        (json.dumps({"dependencies": [vulnerable("torch")]}), True, 0),
        ("", True, 1),
        ("", False, 0),
        (json.dumps({"dependencies": []}), True, 1),
        (json.dumps({"dependencies": []}), False, 0),
    ],
)
def test_open_advisories_fail_if_asked_to(
    monkeypatch, capsys, output, strict, expected
):
    run = SimpleNamespace(stdout=output, stderr="Connection refused\n")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: run)
    assert audit.main(strict=strict) == expected
    printed = capsys.readouterr().out
    assert ("skipped" in printed) == ("torch" not in output)
    assert ("OPEN" in printed) == ("CVE-9" in output)


def test_accepted_advisories_have_a_reason_and_are_in_the_security_policy():
    accepted = audit.read_accepted()
    assert accepted
    for name, entry in accepted.items():
        assert name in read(ROOT / "SECURITY.md")
        assert entry["package"]
        assert len(entry["reason"]) > 50


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", ["MIT"]),
        ("OSI Approved :: Apache Software License", ["Apache-2.0"]),
        ("BSD-3-Clause AND 0BSD AND MIT", ["0BSD", "BSD", "MIT"]),
        ("Apache-2.0 WITH LLVM-exception", ["Apache-2.0"]),
        ("MIT OR GPL-2.0-only", ["MIT"]),
        ("MIT AND GPL-2.0-only", []),
        ("MIT AND LicenseRef-Proprietary", []),
        ("GNU General Public License v3 (GPLv3)", []),
        ("BSD License; GNU Affero General Public License v3", []),
        ("Some licence", []),
        ("", []),
    ],
)
def test_licences_that_do_not_go_with_mit_are_not_known(text, expected):
    assert licences.families(text) == expected


def test_the_page_lists_the_dependencies():
    page = read(licences.PAGE)
    assert licences.page_problems(page) == []
    start = "docs/licences.md and setup.cfg differ: "
    row = re.search(r"^\| thinc \|.*\n", page, flags=re.M)[0]
    assert licences.page_problems(page.replace(row, "")) == [f"{start}thinc"]
    other = row.replace("thinc", "other")
    assert licences.page_problems(page.replace(row, row + other)) == [f"{start}other"]
    moved = row.replace("| thinc |", "| thinc | ray", 1)
    assert licences.page_problems(page.replace(row, moved)) == [f"{start}thinc"]


def test_dependencies_of_dependencies_are_checked():
    names = set(licences.all_dependencies())
    assert {"torch", "jinja2", "sympy", "mpmath"} <= names
    assert "pytest" not in names


def test_a_tag_must_fit_the_version_and_the_changelog():
    dated = "# Changelog\n\n## 0.2.0 (2026-12-01)\n\n## 0.1.0 (2026-11-01)\n"
    assert check_tag.tag_problems("v0.2.0", "0.2.0", dated) == []
    assert check_tag.tag_problems("v0.2.1", "0.2.0", dated) == [
        "the tag is v0.2.1, but __version__ is 0.2.0"
    ]
    for heading in ("## 0.2.0 (unreleased)", "## 0.1.0 (2026-11-01)", ""):
        problems = check_tag.tag_problems("v0.2.0", "0.2.0", heading)
        assert problems == ["CHANGELOG.md doesn't begin with a date for 0.2.0"]
