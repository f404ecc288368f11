"""What setup.cfg declares is there, and the cut between engine and spaCy holds."""

import ast
import subprocess
import sys
from configparser import ConfigParser
from importlib import import_module, metadata

import pytest
import spacy
from support.paths import PACKAGE, ROOT

# What only some need, and the extra that brings it.
OPTIONAL = {"matplotlib": "plot", "pyarrow": "parquet", "ray": "ray"}


def imports(path, *, top_only=False):
    tree = ast.parse(path.read_text(encoding="utf8"))
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).split(".")[0]


@pytest.mark.parametrize(
    ("registry", "name"),
    [
        ("factories", "duoguard"),
        ("architectures", "spacy-duoguard.DuoGuard.v1"),
        ("scorers", "spacy-duoguard.scorer.v1"),
        ("losses", "spacy-duoguard.logsumexp.v1"),
        ("losses", "spacy-duoguard.bce.v1"),
    ],
)
def test_registered_by_entry_point(registry, name):
    spacy.blank("en")  # factories are registered when a pipeline is made
    assert spacy.registry.has(registry, name)
    group = "thinc_losses" if registry == "losses" else f"spacy_{registry}"
    assert name in {entry.name for entry in metadata.entry_points(group=group)}


def test_entry_points_of_setup_cfg_can_be_imported():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf8")
    lines = "\n".join(config["options.entry_points"].values()).split("\n")
    targets = [line.split("=")[1].strip() for line in lines if "=" in line]
    assert len(targets) >= 3
    for target in targets:
        module, name = target.split(":")
        assert callable(getattr(import_module(module), name))


def test_the_engine_knows_no_spacy():
    paths = list((PACKAGE / "engine").rglob("*.py"))
    assert len(paths) > 30
    for path in paths:
        assert not {"spacy", "thinc", "spacy_transformers"} & set(imports(path)), path


def test_no_heavy_imports_at_the_top_of_the_component():
    heavy = {"transformers", "huggingface_hub", "matplotlib", "ray", "sklearn"}
    for path in (PACKAGE / "pipeline").glob("*.py"):
        assert not heavy & set(imports(path, top_only=True)), path


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, spacy_duoguard; "
        "print([m for m in ('spacy', 'torch', 'transformers') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_every_dependency_is_used_and_every_import_declared():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf8")
    lines = config["options"]["install_requires"].split("\n")
    declared = {line.split(">")[0].replace("-", "_") for line in lines if line}
    used = {name for path in PACKAGE.rglob("*.py") for name in imports(path)}
    used -= {"spacy_duoguard", *sys.stdlib_module_names}
    # The span getters are reached through spaCy's registry, not by an import.
    expected = declared - {"spacy_transformers", "scikit_learn"} | {"sklearn"}
    assert used == expected | OPTIONAL.keys()


def test_what_is_optional_is_imported_in_functions_and_an_extra():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf8")
    for module, extra in OPTIONAL.items():
        assert module in config["options.extras_require"][extra]
    for path in PACKAGE.rglob("*.py"):
        assert not OPTIONAL.keys() & set(imports(path, top_only=True)), path


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").glob("*.py")))
def test_the_command_line_imports_nothing_heavy_at_its_top(path):
    others = set(imports(path, top_only=True)) - set(sys.stdlib_module_names)
    assert others <= {"typer", "spacy"}
    modules = {path.stem for path in (PACKAGE / "cli").glob("*.py")}
    for node in ast.parse(path.read_text(encoding="utf8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            assert node.module in modules
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("spacy"):
            assert node.module == "spacy.cli"


def test_the_commands_load_nothing_of_ours_before_they_run():
    code = (
        "import sys, spacy_duoguard.cli; "
        "print([m for m in sys.modules if m.startswith('spacy_duoguard.') "
        "and not m.startswith('spacy_duoguard.cli')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
