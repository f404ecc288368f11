"""The wheel and the source distribution hold the project's files and nothing else."""

import os
import shutil
import subprocess
import sys
from importlib import metadata

import pytest
from support.ci import script
from support.paths import ROOT

import spacy_duoguard

check_archives = script("check_archives")
check_tag = script("check_tag")

# Both archives, as an isolated build makes them: torch and spaCy can't be imported.
BUILD = """
import sys
sys.modules.update(dict.fromkeys(["torch", "spacy", "thinc", "transformers"]))
from setuptools import build_meta
folder = sys.argv[1]  # setuptools changes the arguments
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""
NOT_TRACKED = (".git", ".*cache", "__pycache__", ".hypothesis", "build", "dist")
PROJECT = ("assets", "corpus", "training", "packages", "project.lock")


def ignored(folder, names):
    """Names that git ignores, and what setuptools adds to the source distribution."""
    patterns = [*NOT_TRACKED, "*.egg-info", "PKG-INFO", ".venv"]
    if os.path.basename(folder) == "train":
        patterns += PROJECT
    return shutil.ignore_patterns(*patterns)(folder, names)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The names in both archives, and the project's files."""
    pytest.importorskip("setuptools", reason="needs setuptools")
    tree, folder = (tmp_path_factory.mktemp(name) for name in ("tree", "dist"))
    shutil.copytree(ROOT, tree, ignore=ignored, dirs_exist_ok=True)
    files = {
        path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()
    }
    # Such files lie around in a developer's folder.
    for name in ("spacy_duoguard/__pycache__/x.pyc", "examples/train/corpus/a.spacy"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"junk")
    command = [sys.executable, "-W", "ignore", "-c", BUILD, str(folder)]
    run = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist, files


def test_the_wheel_holds_exactly_the_package(built):
    wheel, _, files = built
    names = check_archives.read_names(wheel)
    assert check_archives.wheel_problems(names, files) == []
    for name in ("py.typed", "demo/model.safetensors", "review/page.html"):
        assert f"spacy_duoguard/{name}" in names
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]


def test_the_source_distribution_holds_exactly_the_project(built):
    _, sdist, files = built
    names = check_archives.read_names(sdist)
    assert check_archives.sdist_problems(names, files) == []
    assert {"tests/conftest.py", "docs/usage.md", "SECURITY.md", ".ci/run"} <= names


def test_the_version_is_read_without_torch_and_spacy(built):
    version = spacy_duoguard.__version__
    assert built[0].name.startswith(f"spacy_duoguard-{version}-")
    assert built[1].name == f"spacy_duoguard-{version}.tar.gz"
    assert metadata.version("spacy-duoguard") == version
    assert check_tag.read_version() == version


TRACKED = {"spacy_duoguard/a.py", "spacy_duoguard/page.css", "tests/b.py", "LICENSE"}
WHEEL = {"spacy_duoguard/a.py", "spacy_duoguard/page.css"} | {
    f"spacy_duoguard-1.0.dist-info/{name}" for name in check_archives.METADATA
}
SDIST = TRACKED | {"PKG-INFO", "spacy_duoguard.egg-info/SOURCES.txt"}


@pytest.mark.parametrize(
    ("check", "names", "missing", "extra"),
    [
        ("wheel_problems", WHEEL, "spacy_duoguard/page.css", "tests/b.py"),
        ("wheel_problems", WHEEL, "spacy_duoguard/a.py", "spacy_duoguard/a.pyc"),
        ("sdist_problems", SDIST, "tests/b.py", "examples/train/corpus/a.spacy"),
        ("sdist_problems", SDIST, "LICENSE", ".pytest_cache/README.md"),
    ],
)
def test_missing_files_and_junk_are_found(check, names, missing, extra):
    problems = getattr(check_archives, check)
    assert problems(names, TRACKED) == []
    assert problems(names - {missing} | {extra}, TRACKED) == [
        f"lacks {missing}",
        f"should not hold {extra}",
    ]


def test_a_wheel_without_its_licence_is_refused():
    name = "spacy_duoguard-1.0.dist-info/licenses/LICENSE"
    problems = check_archives.wheel_problems(WHEEL - {name}, TRACKED)
    assert problems == ["lacks licenses/LICENSE"]
