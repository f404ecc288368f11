"""The workflows test what setup.cfg claims, with few rights and for a limited time."""

import re
import shutil
import subprocess
from configparser import ConfigParser

import pytest
import srsly
from support.ci import CI
from support.documents import README, read
from support.paths import ROOT

WORKFLOWS = {
    path.stem: srsly.read_yaml(path)
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
JOBS = [
    pytest.param(job, id=f"{stem}-{name}")
    for stem, workflow in WORKFLOWS.items()
    for name, job in workflow["jobs"].items()
]


def test_the_claimed_pythons_are_tested_on_every_system():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf8")
    claimed = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    matrix = WORKFLOWS["ci"]["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["python"] == claimed
    assert setup["options"]["python_requires"] == f">={claimed[0]}"
    systems = {name.split("-")[0] for name in matrix["os"]}
    assert systems == {"ubuntu", "windows", "macos"}


@pytest.mark.parametrize("job", JOBS)
def test_jobs_end_and_use_releases_of_actions(job):
    assert 0 < job["timeout-minutes"] <= 60
    for step in job["steps"]:
        if "uses" in step:
            assert re.search(r"@(release/)?v\d+$", step["uses"])


def test_workflows_only_read():
    for workflow in WORKFLOWS.values():
        assert workflow["permissions"] == {"contents": "read"}
    jobs = WORKFLOWS["release"]["jobs"]
    assert [name for name in jobs if "permissions" in jobs[name]] == ["publish"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    # What has the right to publish runs no code of the project.
    assert not [step for step in jobs["publish"]["steps"] if "run" in step]


def test_only_one_job_lints():
    runs = {
        name: [step.get("run", "") for step in job["steps"]]
        for name, job in WORKFLOWS["ci"]["jobs"].items()
    }
    assert [name for name in runs if "mypy" in runs[name]] == ["lint"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_ci_run_runs_the_commands_of_the_readme():
    text = (CI / "run").read_text(encoding="utf8")
    check = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
    assert "grep '^pip install' README.md" in text
    assert len(re.findall(r"^pip install", read(README), flags=re.M)) == 2
