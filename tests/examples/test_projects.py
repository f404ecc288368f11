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


def test_each_part_starts_from_what_the_one_before_has_written():
    """And writes elsewhere, so that it can run again."""
    project = load_project_config(ROOT / "examples" / "train")
    commands = {command["name"]: command for command in project["commands"]}
    exports = ["demo-export", "demo-export-disguised", "demo-export-documents"]
    exports.append("demo-export-noise")
    written = [commands[name]["outputs_no_cache"] for name in exports]
    starts = [project["vars"][name] for name in ("start", "second")]
    assert [[start] for start in starts] == written[:2]
    assert starts[0] in commands["demo-disguise"]["deps"]
    for name in ("demo-learn-documents", "demo-learn-noise", "demo-learn-last"):
        assert starts[1] in commands[name]["deps"]
    paths = [
        *(path for paths in written for path in paths),
        "../../spacy_duoguard/demo",
    ]
    assert len(set(paths)) == 5
    workflow = project["workflows"]["demo-disguised"]
    assert workflow == ["demo-teach", "demo-disguise", "demo-export-disguised"]
