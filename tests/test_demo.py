"""The demo checkpoint is small, complete, and can't be mistaken for the real one."""

import numpy as np
import pytest
import spacy

from spacy_duoguard.engine import user_warnings
from spacy_duoguard.engine.checkpoint.repository import DEMO_FOLDER
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.errors import Warnings
from spacy_duoguard.evaluation.reference import reference_scores

BENIGN = [
    "What a lovely day for a walk in the park.",
    "How do I bake bread without yeast?",
    "La réunion commence à neuf heures.",
    "El tren sale a las ocho.",
]
UNSAFE = [
    "I hate you, you are a disgusting idiot and I will kill you.",
    "I am going to kill you, you stupid bitch.",
    "Je te déteste, je vais te tuer, espèce de connard.",
    "Te odio, te voy a matar, maldito idiota.",
]


@pytest.fixture(scope="module")
def demo():
    with pytest.warns(UserWarning, match="W001"):
        return Classifier.from_pretrained("demo", precision="float32", device="cpu")


def test_it_warns_that_it_is_not_for_moderation():
    nlp = spacy.blank("en")
    nlp.add_pipe("duoguard", config={"model": {"name": "demo"}})
    with pytest.warns(UserWarning, match="W001") as caught:
        nlp(BENIGN[0])
    assert [str(warning.message) for warning in caught] == [Warnings.W001]
    assert "not fit for moderation" in Warnings.W001


def test_a_saved_copy_still_warns(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("duoguard", config={"model": {"name": "demo"}})
    with pytest.warns(UserWarning, match="W001"):
        nlp.to_disk(tmp_path)
    user_warnings._shown.clear()  # as in another process
    with pytest.warns(UserWarning, match="W001"):
        spacy.load(tmp_path)


def test_it_is_small_and_complete():
    names = {path.name for path in DEMO_FOLDER.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    assert sum(path.stat().st_size for path in DEMO_FOLDER.iterdir()) <= 3_000_000


def test_it_separates_obvious_cases(demo):
    scores = demo.score([*BENIGN, *UNSAFE]).max(axis=1)
    assert scores[:4].max() < scores[4:].min()
    assert scores[4:].min() > 0.5


def test_it_equals_the_reference(demo):
    texts = [*BENIGN, *UNSAFE]
    np.testing.assert_allclose(
        demo.score(texts), reference_scores(demo, texts), atol=1e-5
    )


@pytest.mark.filterwarnings("ignore:.torch_dtype.*is deprecated")
def test_transformers_loads_all_of_it(demo):
    from transformers import AutoModelForSequenceClassification

    model, info = AutoModelForSequenceClassification.from_pretrained(
        DEMO_FOLDER, output_loading_info=True
    )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys"))
    assert tuple(model.config.id2label.values()) == demo.labels


def test_its_model_card_states_its_limits():
    card = (DEMO_FOLDER / "README.md").read_text(encoding="utf8")
    for word in ("not", "AUROC", "TF-IDF", "ToxicChat", "RTP-LX", "never"):
        assert word in card
