"""A manifest names the files of its folder, and no others."""

import json

import pytest

from spacy_duoguard.engine.checkpoint.manifest import (
    digest,
    dump_manifest,
    make_manifest,
    parse_manifest,
)
from spacy_duoguard.errors import CheckpointError

OUTSIDE = ["../other", "/etc/passwd", "a/../../b", "a/b/c", ".hidden", "", "a\nb"]


def test_names_in_the_folder_and_its_subfolders_are_read():
    manifest = make_manifest({"model/manifest.json": digest("x"), "cfg": digest("y")})
    assert parse_manifest(dump_manifest(manifest), source="here") == manifest


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_elsewhere_is_refused(name):
    manifest = make_manifest({"cfg": digest("x"), name: digest("y")})
    with pytest.raises(CheckpointError, match=r"E018.*here"):
        parse_manifest(dump_manifest(manifest), source="here")


@pytest.mark.parametrize("files", [None, [], "cfg", 5])
def test_a_manifest_without_files_is_refused(files):
    manifest = make_manifest({})
    del manifest["files"], manifest["sha256"]
    body = {"files": files} if files is not None else {"format_version": 1}
    digest_of_body = digest(json.dumps(body, sort_keys=True))["sha256"]
    text = dump_manifest({**body, "sha256": digest_of_body})
    with pytest.raises(CheckpointError, match=r"E018.*here"):
        parse_manifest(text, source="here")
