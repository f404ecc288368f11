"""Saving and loading: equal tensors, equal scores, no network."""

import copy
import json
import pickle
import shutil

import numpy as np
import pytest
import spacy
import torch
from support.checkpoints import QWEN2, TEXTS, reseal, write_checkpoint

from spacy_duoguard.engine.checkpoint.manifest import MANIFEST
from spacy_duoguard.engine.checkpoint.weights import stored_tensors
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.errors import CheckpointError, SettingsError


def scores(nlp):
    return [doc.cats for doc in nlp.pipe(TEXTS)]


def tensors(nlp):
    return stored_tensors(nlp.get_pipe("duoguard").classifier.decoder)


def assert_equal(nlp, other):
    theirs = tensors(other)
    for name, tensor in tensors(nlp).items():
        assert tensor.dtype == theirs[name].dtype
        assert torch.equal(tensor, theirs[name]), name
    assert scores(nlp) == scores(other)


@pytest.fixture
def other_folder(tmp_path):
    """A checkpoint with other weights."""
    return write_checkpoint(tmp_path / "other", QWEN2, seed=1)


PRECISIONS = pytest.mark.parametrize("precision", ["float32", "bfloat16"])


@PRECISIONS
def test_disk(make_nlp, tmp_path, precision):
    nlp = make_nlp(sents=True, model={"precision": precision})
    nlp.to_disk(tmp_path / "nlp")
    assert_equal(nlp, spacy.load(tmp_path / "nlp"))


@PRECISIONS
def test_bytes(make_nlp, other_folder, precision):
    nlp = make_nlp(model={"precision": precision})
    other = make_nlp(model={"precision": precision, "name": str(other_folder)})
    assert scores(nlp) != scores(other)
    assert_equal(nlp, other.from_bytes(nlp.to_bytes()))


def test_component_disk_onto_another_one(make_nlp, tmp_path, other_folder):
    nlp = make_nlp(threshold=0.8, thresholds={"Hate": 0.25})
    nlp.get_pipe("duoguard").to_disk(tmp_path / "component")
    other = make_nlp(model={"name": str(other_folder)})
    assert other("a").cats != nlp("a").cats
    with pytest.warns(UserWarning, match="W003") as caught:
        other.get_pipe("duoguard").from_disk(tmp_path / "component")
    assert_equal(nlp, other)
    assert len(caught) == 2  # threshold and thresholds: the config wins
    assert other.get_pipe("duoguard").cfg["threshold"] == 0.5
    assert "threshold = 0.8" in str(caught[0].message)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(make_nlp, protocol):
    nlp = make_nlp(sents=True, thresholds={"Hate": 0.25})
    other = pickle.loads(pickle.dumps(nlp, protocol=protocol))
    assert_equal(nlp, other)
    assert other.get_pipe("duoguard").cfg == nlp.get_pipe("duoguard").cfg


def test_pickle_of_a_component_that_is_not_loaded(make_nlp):
    nlp = make_nlp()
    other = pickle.loads(pickle.dumps(nlp))
    assert not other.get_pipe("duoguard").model.shims[0].is_loaded
    assert scores(other) == scores(nlp)


def test_a_copied_model_is_independent(make_nlp):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    expected = scores(nlp)
    other = component.model.copy()
    with torch.no_grad():
        other.shims[0].classifier.decoder.score.weight.zero_()
    assert scores(nlp) == expected
    assert copy.deepcopy(component.classifier).score(["a"])[0].max() > 0


def test_saving_loads_first(make_nlp, tmp_path):
    nlp = make_nlp()
    nlp.to_disk(tmp_path / "nlp")
    assert scores(spacy.load(tmp_path / "nlp")) == scores(nlp)


def test_the_saved_folder_is_self_contained(make_nlp, tmp_path, checkpoint):
    folder = checkpoint()
    nlp = make_nlp(model={"name": str(folder)})
    expected = scores(nlp)
    nlp.to_disk(tmp_path / "nlp")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert scores(spacy.load(tmp_path / "nlp")) == expected
    model = tmp_path / "nlp" / "duoguard" / "model"
    assert {path.name for path in model.iterdir()} == {
        "config.json",
        "duoguard.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
    }
    classifier = Classifier.from_pretrained(str(model), precision="float32")
    rows = classifier.score(TEXTS)
    assert [row.max() for row in rows] == [cats["unsafe"] for cats in expected]


def test_saved_files_are_as_readable_as_each_other(make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path)
    model = tmp_path / "duoguard" / "model"
    assert len({path.stat().st_mode for path in model.iterdir()}) == 1


def test_provenance_survives_two_rounds(make_nlp, tmp_path, qwen2_folder):
    nlp = make_nlp()
    nlp.to_disk(tmp_path / "one")
    spacy.load(tmp_path / "one").to_disk(tmp_path / "two")
    path = tmp_path / "two" / "duoguard" / "model" / "duoguard.json"
    record = json.loads(path.read_text(encoding="utf8"))
    assert record["model"] == str(qwen2_folder)
    assert record["format_version"] == 1


def test_a_folder_of_another_format_is_refused(make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path)
    path = tmp_path / "duoguard" / "model" / "duoguard.json"
    path.write_text('{"format_version": 2}', encoding="utf8")
    reseal(tmp_path / "duoguard")
    with pytest.raises(CheckpointError, match=r"E021.*version 2"):
        spacy.load(tmp_path)


def test_overrides_of_a_saved_pipeline_win(make_nlp, tmp_path):
    nlp = make_nlp(threshold=0.8)
    nlp.get_pipe("duoguard").cfg["thresholds"] = {"Hate": 0.3}  # as calibration does
    nlp.to_disk(tmp_path)
    plain = spacy.load(tmp_path).get_pipe("duoguard")
    assert plain.cfg["threshold"] == 0.8
    assert plain.cfg["thresholds"] == {"Hate": 0.3}
    config = {"components.duoguard.threshold": 0.2}
    changed = spacy.load(tmp_path, config=config).get_pipe("duoguard")
    assert changed.cfg["threshold"] == 0.2
    assert changed.cfg["thresholds"] == {"Hate": 0.3}
    config = {"components.duoguard.threshold": 0.5}  # the default, but meant
    with pytest.warns(UserWarning, match=r"W003.*threshold = 0\.8"):
        default = spacy.load(tmp_path, config=config).get_pipe("duoguard")
    assert default.cfg["threshold"] == 0.5


def test_an_override_of_one_threshold_keeps_the_others(make_nlp, tmp_path):
    nlp = make_nlp(thresholds={"Hate": 0.6, "Sexual content": 0.7})
    guard = nlp.get_pipe("duoguard")
    guard.thresholds["Privacy"] = 0.05
    guard.thresholds["Hate"] = 0.9
    del guard.thresholds["Sexual content"]
    nlp.to_disk(tmp_path)

    def load(thresholds):
        config = {"components.duoguard.thresholds": thresholds}
        return spacy.load(tmp_path, config=config).get_pipe("duoguard").thresholds

    both = {"Hate": 0.6, "Sexual content": 0.7}
    assert load({**both, "Hate": 0.3}) == {"Hate": 0.3, "Privacy": 0.05}
    assert load({**both, "Privacy": 0.2}) == {"Hate": 0.9, "Privacy": 0.2}
    changed = {"Hate": 0.9, "Privacy": 0.05, "Sexual content": 0.8}
    assert load({**both, "Sexual content": 0.8}) == changed
    assert load(both) == {"Hate": 0.9, "Privacy": 0.05}  # as in the saved config


@pytest.mark.parametrize("from_disk", [True, False])
def test_changes_in_place_after_loading_are_saved(make_nlp, tmp_path, from_disk):
    def reload(nlp):
        if not from_disk:
            return make_nlp(**config).from_bytes(nlp.to_bytes())
        nlp.to_disk(tmp_path / "nlp")
        return spacy.load(tmp_path / "nlp")

    config = {"thresholds": {"Hate": 0.4}, "roles": ["user"]}
    nlp = reload(make_nlp(**config))
    guard = nlp.get_pipe("duoguard")
    guard.thresholds["Hate"] = 0.1
    guard.thresholds["Violent crimes"] = 0.2
    guard.review_thresholds["Hate"] = 0.05
    guard.roles.append("tool")
    expected = dict(guard.cfg)
    assert reload(nlp).get_pipe("duoguard").cfg == expected


def test_windows_of_a_saved_pipeline_can_be_overridden(make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path)
    config = {"components.duoguard.model": {"window": 8, "stride": 4}}
    nlp = spacy.load(tmp_path, config=config)
    assert len(nlp("The quick brown fox jumps.")._.duoguard_windows) > 1


def test_settings_damaged_on_disk_are_refused(make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path)
    path = tmp_path / "duoguard" / "cfg"
    saved = json.loads(path.read_text(encoding="utf8"))
    for key, value, code in BAD_SETTINGS:
        bad = {**saved, "settings": {**saved["settings"], key: value}}
        path.write_text(json.dumps(bad), encoding="utf8")
        reseal(tmp_path / "duoguard")
        with pytest.raises(SettingsError, match=code):
            spacy.load(tmp_path)
        component = make_nlp().get_pipe("duoguard")
        with pytest.raises(SettingsError, match=code):
            component.from_disk(tmp_path / "duoguard", exclude=["vocab"])
        assert component.cfg == saved["configured"]
    for text in ("{", "[]", "{}", '{"settings": 1, "configured": 2}'):
        path.write_text(text, encoding="utf8")
        reseal(tmp_path / "duoguard")
        with pytest.raises(SettingsError, match="E023"):
            spacy.load(tmp_path)


BAD_SETTINGS = [
    ("threshold", 7, "E001"),
    ("thresholds", {"Hate": True}, "E001"),
    ("thresholds", {"Hat": 0.5}, "E002"),
    ("max_chars", -5, "E004"),
]


@pytest.mark.parametrize("data", [b"", b"x", b"\xc0", b"\x81\xa1a\x01"])
def test_damaged_bytes_are_refused_and_change_nothing(make_nlp, data):
    nlp = make_nlp()
    expected = scores(nlp)
    shim = nlp.get_pipe("duoguard").model.shims[0]
    with pytest.raises(CheckpointError, match="E018"):
        shim.from_bytes(data)
    assert scores(nlp) == expected


def test_a_missing_model_folder_is_no_hub_name(make_nlp, tmp_path, monkeypatch):
    make_nlp().to_disk(tmp_path)
    shutil.rmtree(tmp_path / "duoguard" / "model")
    monkeypatch.chdir(tmp_path)  # so that the path reads "duoguard/model"
    with pytest.raises(CheckpointError, match=r"E102.*model/manifest\.json.*missing"):
        spacy.load(".")


def test_weights_too_large_for_bytes(make_nlp, monkeypatch):
    nlp = make_nlp()
    monkeypatch.setattr("spacy_duoguard.pipeline.shim._MAX_BYTES", 1000)
    with pytest.raises(SettingsError, match=r"E047.*to_disk"):
        nlp.to_bytes()


def test_exclude(make_nlp, other_folder):
    nlp = make_nlp()
    other = make_nlp(model={"name": str(other_folder)})
    expected = scores(other)
    component = other.get_pipe("duoguard")
    data = nlp.get_pipe("duoguard").to_bytes(exclude=["vocab"])
    component.from_bytes(data, exclude=["model", "vocab"])
    assert scores(other) == expected


def test_initialize_never_replaces_weights(make_nlp, tmp_path):
    nlp = make_nlp()
    with torch.no_grad():
        nlp.get_pipe("duoguard").classifier.decoder.score.weight.mul_(0.5)
    expected = scores(nlp)
    nlp.initialize()
    assert scores(nlp) == expected
    nlp.to_disk(tmp_path)
    saved = spacy.load(tmp_path)
    saved.initialize()
    assert scores(saved) == expected


def test_a_saved_classifier_is_bit_equal(classifier, tmp_path):
    classifier.to_disk(tmp_path)
    again = Classifier.from_pretrained(str(tmp_path), precision="float32")
    assert np.array_equal(again.score(TEXTS), classifier.score(TEXTS))


@pytest.mark.parametrize(
    ("key", "value"),
    [("ids", [[1]] * 5), ("probabilities", 0.01), ("probabilities", []), ("dtype", 5)],
)
def test_scores_that_are_not_those_of_the_save_are_refused(
    make_nlp, tmp_path, key, value
):
    make_nlp().to_disk(tmp_path)
    path = tmp_path / "duoguard" / "model" / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf8"))
    if isinstance(value, float):
        value = (np.array(manifest["self_test"][key]) + value).tolist()
    manifest["self_test"][key] = value
    path.write_text(json.dumps(manifest), encoding="utf8")
    reseal(tmp_path / "duoguard")
    if key == "dtype":  # only says how close the scores must be
        spacy.load(tmp_path)
        return
    with pytest.raises(CheckpointError, match=r"E104.*when it was saved"):
        spacy.load(tmp_path)
