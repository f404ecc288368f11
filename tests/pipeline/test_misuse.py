"""What is no doc, no score, no example and no folder is refused with a code."""

import numpy as np
import pytest
import spacy
import torch
from spacy.training import Example

from spacy_duoguard import render
from spacy_duoguard.errors import ScoringError, SettingsError


@pytest.fixture(scope="module")
def nlp(qwen2_folder):
    nlp = spacy.blank("en")
    model = {"name": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    nlp.add_pipe("duoguard", config={"model": {**model, "trainable_layers": 0}})
    return nlp


@pytest.fixture
def guard(nlp):
    return nlp.get_pipe("duoguard")


@pytest.mark.parametrize("docs", ["abc", ["abc"], [None], None, 5])
def test_only_docs_are_scored(guard, docs):
    kind = type(docs[0] if isinstance(docs, list) else docs).__name__
    with pytest.raises(ScoringError, match=rf"E323.*'{kind}'"):
        guard.predict(docs)
    with pytest.raises(ScoringError, match=rf"E323.*'{kind}'"):
        list(guard.pipe(docs))
    with pytest.raises(ScoringError, match=rf"E323.*'{kind}'"):
        guard.set_annotations(docs, [1])


def test_a_doc_is_no_list_of_docs(nlp, guard):
    doc = nlp.make_doc("The dog sleeps.")
    for method in (guard.predict, lambda docs: guard.set_annotations(docs, [])):
        with pytest.raises(ScoringError, match=r"E323.*'Doc'"):
            method(doc)
    scores = guard.predict(doc for doc in [doc])
    guard.set_annotations([doc], scores)
    assert doc.cats == nlp("The dog sleeps.").cats


@pytest.mark.parametrize(
    ("scores", "problem"),
    [
        ([1], "a 'int' among the scores"),
        ([None], "a 'NoneType' among the scores"),
        ([], "0 scores of 1 docs"),
        (None, "a value of the type 'NoneType'"),
        (1, "a value of the type 'int'"),
    ],
)
def test_only_what_predict_returned_is_written(nlp, guard, scores, problem):
    doc = nlp.make_doc("The dog sleeps.")
    with pytest.raises(ScoringError, match=f"E331.*{problem}"):
        guard.set_annotations([doc], scores)
    assert doc.cats == {}


@pytest.mark.parametrize("examples", [None, 5, ["abc"], [None]])
def test_only_examples_are_learned_from_and_scored(guard, examples):
    for method in (guard.update, guard.rehearse, guard.score):
        with pytest.raises(TypeError, match="E978"):  # spaCy's
            method(examples)
    with pytest.raises(TypeError, match="E978"):
        guard.get_loss(examples, None)


def test_examples_may_come_one_by_one(nlp, guard):
    doc = nlp("The dog sleeps.")
    example = Example.from_dict(doc, {"cats": {"unsafe": 0.0}})
    assert guard.score(eg for eg in [example])["duoguard_left_out"] == 0


@pytest.mark.parametrize("exclude", [None, 5, [None], [["model"]]])
def test_what_to_leave_out_is_a_list_of_names(guard, tmp_path, exclude):
    data = guard.to_bytes(exclude=["model"])
    calls = [
        lambda: guard.to_bytes(exclude=exclude),
        lambda: guard.from_bytes(data, exclude=exclude),
        lambda: guard.to_disk(tmp_path / "a", exclude=exclude),
        lambda: guard.from_disk(tmp_path / "a", exclude=exclude),
    ]
    for call in calls:
        with pytest.raises(SettingsError, match="E332"):
            call()
    assert not (tmp_path / "a").exists()


def test_names_to_leave_out_may_come_one_by_one(guard, tmp_path):
    guard.to_disk(tmp_path, exclude=(name for name in ["vocab", "model"]))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"cfg", "manifest.json"}
    guard.to_disk(tmp_path / "b", exclude="model")
    assert not (tmp_path / "b" / "model").exists()
    assert (tmp_path / "b" / "vocab").is_file()


def test_a_folder_that_can_not_be_made(guard, tmp_path):
    file = tmp_path / "file"
    file.write_text("x", encoding="utf8")
    for path in (file, file / "below", tmp_path / ("a" * 300)):
        with pytest.raises(SettingsError, match="E333"):
            guard.to_disk(path)
        with pytest.raises(SettingsError, match="E333"):
            guard.classifier.to_disk(path)
    assert file.read_text(encoding="utf8") == "x"


@pytest.mark.parametrize("shape", [(1,), (12, 1), (5, 5)])
def test_values_of_another_shape_replace_no_weight(nlp, guard, shape):
    shim = guard.model.shims[0]
    _ = shim.trainer  # only what is trained has averages
    weight = guard.classifier.decoder.score.weight
    before = weight.detach().clone()
    key = shim._key("score.weight", weight)
    values = {key: np.zeros(shape, dtype=np.float32)}
    with pytest.raises(SettingsError, match=r"E336.*score\.weight"):
        nlp.use_params(values).__enter__()
    assert torch.equal(weight, before)
    with nlp.use_params({key: np.zeros(tuple(weight.shape), dtype=np.float32)}):
        assert not weight.any()
    assert torch.equal(weight, before)


@pytest.mark.parametrize("docs", ["abc", None, 5, [None]])
def test_only_docs_are_rendered(nlp, docs):
    with pytest.raises(ScoringError, match="E323"):
        render(docs)
    with pytest.raises(SettingsError, match=r"E329.*options.*'int'"):
        render(nlp("The dog"), options=5)
