"""A key twice in a file is an error: readers differ in which of the two they take."""

import json

import pytest

from spacy_duoguard.engine.checkpoint.bundle import bundle_from_dict, bundle_to_dict
from spacy_duoguard.engine.checkpoint.files import parse_json
from spacy_duoguard.engine.checkpoint.manifest import add_manifest, parse_manifest
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.engine.settings import Settings
from spacy_duoguard.errors import CheckpointError


def load(folder):
    return Classifier.from_pretrained(str(folder), precision="float32", device="cpu")


def doubled(text, key, value):
    """The text of a JSON object with a second value for a key, the last of all."""
    assert json.loads(text)
    return f"{text.rstrip()[:-1]}, {json.dumps(key)}: {json.dumps(value)}}}"


@pytest.mark.parametrize("at", ["top", "nested", "same value", "unknown key"])
def test_a_config_with_a_key_twice_is_refused(checkpoint, at):
    folder = checkpoint()
    text = (folder / "config.json").read_text()
    text = {
        "top": doubled(text, "rms_norm_eps", 0.5),
        "nested": text.replace('"id2label": {', '"id2label": {"0": "Other", '),
        "same value": doubled(text, "model_type", "qwen2"),
        "unknown key": doubled(doubled(text, "unknown", 1), "unknown", 2),
    }[at]
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"E010.*the key '\w+' twice"):
        load(folder)
    with pytest.raises(CheckpointError, match="E010"):
        DecoderConfig.from_json(text)


@pytest.mark.parametrize("name", ["duoguard.json", "manifest.json"])
def test_a_file_beside_the_weights_with_a_key_twice_is_refused(checkpoint, name):
    folder = checkpoint()
    load(folder).to_disk(folder)
    text = (folder / name).read_text()
    (folder / name).write_text(doubled(text, next(iter(json.loads(text))), "x"))
    if name != "manifest.json":
        (folder / "manifest.json").unlink()
        add_manifest(folder)
    with pytest.raises(CheckpointError, match=r"E018.*the key '\w+' twice"):
        load(folder)


def test_an_index_of_shards_with_a_key_twice_is_refused():
    with pytest.raises(CheckpointError, match=r"E018.*the key 'a' twice"):
        parse_json('{"weight_map": {"a": "1", "a": "2"}}', "here", "an index")


def test_saved_bytes_with_a_key_twice_are_refused(qwen2_folder):
    settings = Settings(precision="float32", device="cpu")
    data = bundle_to_dict(load(qwen2_folder).bundle)
    bundle_from_dict(data, settings)
    text = doubled(data["manifest.json"], "files", {})
    with pytest.raises(CheckpointError, match=r"E018.*twice"):
        bundle_from_dict({**data, "manifest.json": text}, settings)
    with pytest.raises(CheckpointError, match=r"E018.*twice"):
        parse_manifest(text, source="here")


def test_a_long_key_is_shortened_in_the_message():
    text = doubled('{"a": 1}', "b" * 5000, 1)
    with pytest.raises(CheckpointError) as caught:
        DecoderConfig.from_json(doubled(text, "b" * 5000, 2))
    assert len(str(caught.value)) < 500
