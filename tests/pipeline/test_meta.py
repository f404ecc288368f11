"""A pipeline names the weights it holds, and their licence."""

import pytest
import spacy

from spacy_duoguard.errors import SettingsError
from spacy_duoguard.pipeline.component import DuoGuard


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("DuoGuard/DuoGuard-0.5B", "Apache-2.0"),
        ("DuoGuard/DuoGuard-1.5B-transfer", "Apache-2.0"),
        ("DuoGuard/DuoGuard-1B-Llama-3.2-transfer", "Llama 3.2 Community License"),
    ],
)
def test_known_weights_are_named_with_their_licence(name, licence):
    nlp = spacy.blank("en", meta={"sources": [{"name": "a corpus"}]})
    nlp.add_pipe("duoguard", config={"model": {"name": name}})
    corpus, weights = nlp.meta["sources"]
    assert corpus == {"name": "a corpus"}
    assert weights["name"] == name
    assert weights["license"] == licence
    assert weights["url"] == f"https://huggingface.co/{name}"
    nlp.add_pipe("duoguard", name="second", config={"model": {"name": name}})
    assert len(nlp.meta["sources"]) == 2


def test_of_other_weights_the_user_states_the_licence(make_nlp):
    assert not make_nlp().meta.get("sources")


def test_they_are_saved(make_nlp, tmp_path):
    nlp = make_nlp()
    nlp.meta["sources"] = [{"name": "DuoGuard/DuoGuard-0.5B", "license": "mine"}]
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    assert loaded.meta["sources"] == nlp.meta["sources"]
    assert isinstance(loaded.get_pipe("duoguard"), DuoGuard)


def test_a_model_of_another_architecture_is_still_named_as_such():
    nlp = spacy.blank("en")
    config = {"@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": False}
    config.update(ngram_size=1, no_output_layer=False, length=64)
    with pytest.raises(SettingsError, match="E048"):
        nlp.add_pipe("duoguard", config={"model": config})
