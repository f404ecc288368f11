"""The pages themselves: links, length, figures, and what CONTRIBUTING says."""

import re
from configparser import ConfigParser

import pytest
import srsly
from support.documents import DOCS, PAGES, README, anchors, read, table_rows
from support.paths import ROOT

LINKING = [
    *PAGES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    ROOT / "examples" / "train" / "README.md",
    ROOT / "examples" / "duel" / "README.md",
]


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = read(page)
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", text)
    for link in links:
        path, _, fragment = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not fragment or fragment in anchors(read(target)), link


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_the_readme_leads_to_every_page(page):
    """Directly, or through a page that it leads to."""
    texts = [read(README), *(read(other) for other in PAGES[1:] if other != page)]
    assert any(re.search(rf"\((docs/)?{page.name}[#)]", text) for text in texts)


def test_the_readme_is_short():
    assert 150 <= len(read(README).splitlines()) <= 200


def test_no_placeholder_is_left():
    for page in LINKING:
        assert not re.findall(r"^[A-Z]{4,}$|TODO|TBD", read(page), flags=re.M), page


def test_the_readme_shows_the_figures_of_the_benchmarks():
    measured = table_rows(read(DOCS / "benchmarks.md"))
    systems = [row for row in table_rows(read(README)) if len(row) == 5]
    assert len(systems) == 8
    assert all(row in measured for row in systems)


def test_contributing_names_every_marker():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf8")
    lines = config["tool:pytest"]["markers"].strip().splitlines()
    shown = re.findall(r"`pytest -m (\w+)`", read(ROOT / "CONTRIBUTING.md"))
    assert {line.partition(":")[0] for line in lines} <= set(shown)


def test_the_hooks_download_nothing():
    config = srsly.read_yaml(ROOT / ".pre-commit-config.yaml")
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == ["ruff-check", "ruff-format", "mypy"]
    assert all(hook["language"] == "system" for hook in hooks)
