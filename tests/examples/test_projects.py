"""The examples that are spaCy projects are read as spaCy reads them."""

import re
import warnings

import pytest
from support.paths import ROOT

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other packages
    from weasel.util.config import load_project_config

PROJECTS = sorted(path.parent for path in ROOT.glob("examples/*/project.yml"))


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_a_project_is_valid_and_its_scripts_are_there(folder):
    config = load_project_config(folder)
    commands = {command["name"] for command in config["commands"]}
    assert all(commands.issuperset(names) for names in config["workflows"].values())
    for command in config["commands"]:
        for script in command["script"]:
            for path in re.findall(r"\b(?:scripts|configs)/[\w.]+\.(?:py|cfg)", script):
                assert (folder / path).is_file()
