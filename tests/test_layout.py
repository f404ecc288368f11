"""Entry points and dependencies match setup.cfg, and nothing heavy is loaded early."""

import ast
import subprocess
import sys
from configparser import ConfigParser
from importlib import import_module, metadata

import pytest
import spacy
from support.paths import PACKAGE, ROOT

import spacy_duoguard

# Optional dependencies, and the extra that installs each.
OPTIONAL = {
    **{"matplotlib": "plot", "pyarrow": "parquet", "ray": "ray"},
    **{"triton": "triton", "openai": "duel", "datasketch": "duel"},
}
# Kernels are defined when this module is imported, which is done in a function.
KERNELS = PACKAGE / "engine/network/triton_kernels.py"

# This is run where the generator of a duel is trained, and is never imported.
IN_ANOTHER_ENVIRONMENT = PACKAGE / "duel/merge_adapter.py"

SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf8")


def imported_packages(path, *, top_only=False):
    """The names of the packages that a file imports, at its top or anywhere."""
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
        ("augmenters", "spacy-duoguard.disguise.v1"),
        ("readers", "spacy-duoguard.composed_docs.v1"),
        ("losses", "spacy-duoguard.logsumexp.v1"),
        ("losses", "spacy-duoguard.bce.v1"),
    ],
)
def test_registered_by_entry_point(registry, name):
    spacy.blank("en")  # factories are registered when a pipeline is made
    assert spacy.registry.has(registry, name)
    group = "thinc_losses" if registry == "losses" else f"spacy_{registry}"
    assert name in {entry.name for entry in metadata.entry_points(group=group)}


def test_entry_points_can_be_imported():
    lines = "\n".join(SETUP["options.entry_points"].values()).split("\n")
    targets = [line.split("=")[1].strip() for line in lines if "=" in line]
    assert len(targets) >= 3
    for target in targets:
        module, name = target.split(":")
        assert callable(getattr(import_module(module), name))


def test_the_engine_does_not_import_spacy():
    paths = list((PACKAGE / "engine").rglob("*.py"))
    assert len(paths) > 30
    for path in paths:
        packages = set(imported_packages(path))
        assert not {"spacy", "thinc", "spacy_transformers"} & packages, path


def test_the_pipeline_imports_nothing_heavy_at_its_top():
    heavy = {"transformers", "huggingface_hub", "matplotlib", "ray", "sklearn"}
    for path in (PACKAGE / "pipeline").rglob("*.py"):
        assert not heavy & set(imported_packages(path, top_only=True)), path


def test_nothing_depends_on_what_optimizing_removes():
    """Asserts only tell mypy a type, and no code reads docstrings: both are gone with
    `python -OO`."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Assert):
                test = ast.unparse(node.test)
                is_type = test.startswith("isinstance(") or test.endswith("is not None")
                assert is_type, (path, test)
            name = getattr(node, "id", getattr(node, "attr", ""))
            assert name not in {"__doc__", "__debug__", "getdoc"}, path


def loaded_by(statement):
    """The modules that are loaded after a statement in a new process."""
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_importing_the_package_loads_nothing_heavy():
    modules = loaded_by("import spacy_duoguard")
    assert not {"spacy", "torch", "transformers"} & set(modules)


@pytest.mark.parametrize("name", spacy_duoguard._MODULES)
def test_public_names_can_be_imported_from_the_package(name):
    assert getattr(spacy_duoguard, name).__name__ == name
    assert name in dir(spacy_duoguard)
    assert name in spacy_duoguard.__all__


def test_every_dependency_is_used_and_every_import_declared():
    lines = SETUP["options"]["install_requires"].split("\n")
    declared = {line.split(">")[0].replace("-", "_") for line in lines if line}
    used = {
        name
        for path in PACKAGE.rglob("*.py")
        if path != IN_ANOTHER_ENVIRONMENT
        for name in imported_packages(path)
    }
    used -= {"spacy_duoguard", *sys.stdlib_module_names}
    # The span getters come from spaCy's registry, without an import.
    expected = declared - {"spacy_transformers", "scikit_learn"} | {"sklearn"}
    assert used == expected | OPTIONAL.keys()


def test_optional_dependencies_have_an_extra_and_are_imported_in_functions():
    for package, extra in OPTIONAL.items():
        assert package in SETUP["options.extras_require"][extra]
    for path in PACKAGE.rglob("*.py"):
        packages = set(imported_packages(path, top_only=True))
        expected = {"triton"} if path == KERNELS else set()
        assert OPTIONAL.keys() & packages == expected, path


def test_nothing_imports_the_kernels_early():
    code = "import sys; import spacy_duoguard.engine.network.inference;"
    code += "sys.exit('spacy_duoguard.engine.network.triton_kernels' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").glob("*.py")))
def test_the_command_line_imports_nothing_heavy_at_its_top(path):
    packages = set(imported_packages(path, top_only=True))
    assert packages - set(sys.stdlib_module_names) <= {"typer", "spacy"}
    modules = {path.stem for path in (PACKAGE / "cli").glob("*.py")}
    for node in ast.parse(path.read_text(encoding="utf8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            assert node.module in modules
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("spacy"):
            assert node.module == "spacy.cli"


def test_the_command_line_loads_no_other_room():
    names = loaded_by("import spacy_duoguard.cli")
    modules = [name for name in names if name.startswith("spacy_duoguard.")]
    assert all(name.startswith("spacy_duoguard.cli") for name in modules)
