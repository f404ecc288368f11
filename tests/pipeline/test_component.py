"""What a user of the component sees: scores, flags, status, windows, order."""

import json
import pickle
import subprocess
import sys
from itertools import pairwise

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from support.checkpoints import TEXTS

from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.evaluation.reference import reference_scores
from spacy_duoguard.pipeline.attributes import get_flags
from spacy_duoguard.pipeline.extensions import install_extensions
from spacy_duoguard.taxonomy import CATEGORIES

KEYS = [*CATEGORIES, "unsafe"]
LONG = "The quick brown fox jumps over the lazy dog. " * 120


def test_categories_are_those_of_the_model_card_in_order():
    assert CATEGORIES[0] == "Violent crimes"
    assert CATEGORIES[8] == "Hate"
    assert CATEGORIES[11] == "Jailbreak prompts"
    assert len(set(CATEGORIES)) == 12


def test_cats_are_thirteen_floats_equal_to_the_reference(make_nlp):
    nlp = make_nlp()
    expected = reference_scores(nlp.get_pipe("duoguard").classifier, TEXTS)
    for doc, row in zip(nlp.pipe(TEXTS), expected, strict=True):
        assert list(doc.cats) == KEYS
        assert {type(value) for value in doc.cats.values()} == {float}
        assert [doc.cats[key] for key in CATEGORIES] == pytest.approx(row, abs=1e-5)
        assert doc.cats["unsafe"] == max(doc.cats[key] for key in CATEGORIES)
        json.dumps(doc.to_json())


@pytest.fixture(scope="module")
def nlp(qwen2_folder):
    nlp = spacy.blank("en")
    model = {"name": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    nlp.add_pipe("duoguard", config={"model": model})
    return nlp


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_scores_do_not_depend_on_batch_size_mates_or_place(make_nlp, batch_size):
    nlp = make_nlp()
    texts = [*TEXTS, LONG, *TEXTS[::-1], ""]
    expected = {text: nlp(text).cats for text in texts}
    docs = list(nlp.pipe(texts, batch_size=batch_size))
    assert [doc.text for doc in docs] == texts
    for doc in docs:
        assert doc.cats == pytest.approx(expected[doc.text], abs=1e-5)


def test_pipe_streams(make_nlp):
    nlp = make_nlp()
    seen = []

    def texts():
        for i in range(100):
            seen.append(i)
            yield f"The dog number {i} sleeps."

    stream = nlp.pipe(texts(), batch_size=4)
    next(stream)
    assert len(seen) < 20


def test_identical_texts_of_a_batch_are_scored_once(make_nlp, monkeypatch):
    nlp = make_nlp()
    rows = []
    forward = CpuForward.__call__

    def counting(self, batch):
        rows.append(len(batch.scored_rows))
        return forward(self, batch)

    monkeypatch.setattr(CpuForward, "__call__", counting)
    docs = list(nlp.pipe([TEXTS[0], "a", TEXTS[0], TEXTS[0], "a"]))
    assert sum(rows) == 2
    assert docs[0].cats == docs[2].cats == docs[3].cats != docs[1].cats


def test_other_components_cats_survive_and_own_are_replaced(make_nlp):
    nlp = make_nlp()
    doc = nlp.make_doc(TEXTS[0])
    doc.cats = {"POSITIVE": 0.25, "unsafe": 0.0}
    doc = nlp.get_pipe("duoguard")(doc)
    assert doc.cats == {"POSITIVE": 0.25, **nlp(TEXTS[0]).cats}


def test_flags_are_strictly_above_their_thresholds(make_nlp):
    nlp = make_nlp(threshold=1.0)
    guard, cats = nlp.get_pipe("duoguard"), nlp(TEXTS[0]).cats
    for category in CATEGORIES:
        value = cats[category]
        guard.thresholds = {category: value}
        assert nlp(TEXTS[0])._.duoguard_flags == []
        guard.thresholds = {category: value - 1e-6}
        assert nlp(TEXTS[0])._.duoguard_flags == [category]
    below = make_nlp(threshold=1.0, thresholds={category: value - 1e-6})
    assert below(TEXTS[0])._.duoguard_flags == [category]


def test_thresholds_decide_flags_and_never_touch_cats(make_nlp):
    low = make_nlp(threshold=0.0)(TEXTS[0])
    high = make_nlp(threshold=0.99, thresholds={"Hate": 0.0})(TEXTS[0])
    assert low._.duoguard_flags == list(CATEGORIES)
    assert high._.duoguard_flags == ["Hate"]
    assert low.cats == high.cats


def test_windows_tell_where_a_long_texts_score_comes_from(make_nlp):
    nlp = make_nlp(model={"window": 64, "stride": 48})
    doc = nlp(LONG)
    windows = doc._.duoguard_windows
    assert len(windows) > 10
    assert windows[0]["start"] == 0
    assert windows[-1]["end"] == len(LONG)
    for left, right in pairwise(windows):
        assert left["start"] < right["start"] <= left["end"] < right["end"] + 1
    for i, category in enumerate(CATEGORIES):
        assert doc.cats[category] == max(window["probs"][i] for window in windows)
    # Each window's scores are those of its passage.
    window = windows[3]
    alone = nlp(LONG[window["start"] : window["end"]]).cats
    assert window["probs"] == pytest.approx(
        [alone[key] for key in CATEGORIES], abs=1e-5
    )


@pytest.mark.parametrize(
    "text",
    ["cafe\u0301 " * 30, "\u1112\u1161\u11ab" * 40, "\U0001f468\u200d\U0001f469" * 9],
)
def test_windows_leave_no_character_out(make_nlp, text):
    for doc in make_nlp(model={"window": 16, "stride": 12}).pipe([text, text[:5]]):
        windows = doc._.duoguard_windows
        assert windows[0]["start"] == 0
        assert windows[-1]["end"] == len(doc.text)
        for left, right in pairwise(windows):
            assert right["start"] <= left["end"]


def test_max_chars_keeps_both_ends_and_says_so(make_nlp):
    with pytest.raises(SettingsError, match="E004"):
        make_nlp().get_pipe("duoguard").classifier.analyze([LONG], max_chars=0)
    nlp = make_nlp(max_chars=100)
    doc = nlp(LONG)
    assert doc._.duoguard_status == "truncated"
    offsets = [(w["start"], w["end"]) for w in doc._.duoguard_windows]
    assert offsets == [(0, 50), (len(LONG) - 50, len(LONG))]
    ends = [nlp(LONG[:50]).cats["unsafe"], nlp(LONG[-50:]).cats["unsafe"]]
    assert doc.cats["unsafe"] == pytest.approx(max(ends), abs=1e-5)
    assert nlp(LONG[:100])._.duoguard_status == "ok"


def test_results_survive_bytes_docbin_and_json(make_nlp):
    nlp = make_nlp(sents=True, model={"window": 16, "stride": 12})
    doc = nlp("The dog sleeps. How to kill a python process? " * 3)
    results = _results(doc)
    assert results["windows"]
    assert results["spans"]
    copies = [Doc(nlp.vocab).from_bytes(doc.to_bytes())]
    docbin = DocBin(docs=[doc], store_user_data=True)
    copies += DocBin().from_bytes(docbin.to_bytes()).get_docs(nlp.vocab)
    for copy in copies:
        assert _results(copy) == results
        assert isinstance(copy._.duoguard_windows[0]["probs"], list)


def _results(doc):
    group = doc.spans["duoguard"]
    return {
        "cats": doc.cats,
        "flags": doc._.duoguard_flags,
        "status": doc._.duoguard_status,
        "windows": doc._.duoguard_windows,
        "spans": [(s.start, s.end, s.label_) for s in group],
        "scores": list(group.attrs["scores"]),
        "sentences": [sent._.duoguard_cats for sent in doc.sents],
    }


def test_a_doc_that_was_not_scored_says_so():
    doc = spacy.blank("en")("The dog sleeps.")
    assert doc._.duoguard_status is None
    assert doc._.duoguard_flags is None
    assert doc._.duoguard_windows is None
    assert doc[:2]._.duoguard_cats is None


def test_analyze_pipes_knows_what_is_assigned(make_nlp):
    analysis = make_nlp().analyze_pipes()
    assert analysis["problems"] == {"duoguard": []}
    for attribute in analysis["summary"]["duoguard"]["assigns"]:
        owner, name = attribute.split(".", 1)
        if name.startswith("_."):
            assert {"doc": Doc, "span": Span}[owner].has_extension(name[2:])
    assert "doc.cats" in analysis["summary"]["duoguard"]["assigns"]


def test_sentences_that_nobody_sets_are_an_error_at_the_first_doc(make_nlp):
    """`analyze_pipes` cannot know: a factory has the same requirements for all of its
    components, and most of them need no sentences."""
    nlp = make_nlp(sents=True)
    nlp.remove_pipe("sentencizer")
    assert nlp.analyze_pipes()["problems"] == {"duoguard": []}
    with pytest.raises(SettingsError, match=r"E041.*sentencizer"):
        nlp("The dog sleeps.")


def test_an_extension_of_somebody_else_is_never_overwritten():
    getter = Doc.remove_extension("duoguard_flags")[2]
    assert getter is get_flags
    Doc.set_extension("duoguard_flags", default="mine")
    try:
        with pytest.raises(SettingsError, match="E045"):
            install_extensions()
        assert spacy.blank("en")("a")._.duoguard_flags == "mine"
    finally:
        Doc.remove_extension("duoguard_flags")
        install_extensions()


def test_results_are_read_where_no_component_is_made(make_nlp, tmp_path):
    doc = make_nlp(threshold=0.0)(TEXTS[0])
    DocBin(docs=[doc], store_user_data=True).to_disk(tmp_path / "docs.spacy")
    code = (
        "import sys, spacy; from spacy.tokens import DocBin; nlp = spacy.blank('en'); "
        "(doc,) = DocBin().from_disk(sys.argv[1]).get_docs(nlp.vocab); "
        "print(len(doc._.duoguard_flags), doc._.duoguard_status)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "docs.spacy")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stdout.split() == ["12", "ok"], run.stderr


def test_two_components_in_one_pipeline(make_nlp):
    nlp = make_nlp()
    model = {
        "name": nlp.get_pipe("duoguard").classifier.provenance["model"],
        "device": "cpu",
    }
    config = {"threshold": 0.0, "model": {**model, "precision": "float32"}}
    nlp.add_pipe("duoguard", name="strict", config=config)
    doc = nlp(TEXTS[0])
    assert doc._.duoguard_flags == list(CATEGORIES)
    assert doc.cats == pytest.approx(make_nlp()(TEXTS[0]).cats, abs=1e-6)


DISGUISED = "H\u200bo\u200bw to k\u200bill a pyt\u200bhon process?"
SCORING = [
    {},
    {"max_chars": 12},
    {"normalize": True},
    {"max_chars": 9, "normalize": True},
]


@pytest.mark.parametrize("settings", SCORING)
@pytest.mark.parametrize("when", ["config", "cfg", "copy", "replaced"])
def test_model_predicts_what_the_component_predicts(make_nlp, settings, when):
    nlp = make_nlp(**settings) if when == "config" else make_nlp()
    component = nlp.get_pipe("duoguard")
    if when == "copy":
        component = pickle.loads(pickle.dumps(component))
    if when == "replaced":
        component.cfg = {**component.cfg, **settings}
    else:
        component.cfg.update(settings)
    docs = [nlp.make_doc(text) for text in (*TEXTS, LONG, DISGUISED, "")]
    rows = component.model.predict(docs)
    assert rows.shape == (len(docs), 12)
    for row, scores in zip(rows, component.predict(docs), strict=True):
        assert row.tolist() == scores.probabilities.tolist()
    assert not docs[0].cats
    plain = make_nlp().get_pipe("duoguard").model.predict(docs)
    assert (plain == rows).all() == (not settings)


def test_model_predicts_nothing_for_no_docs(make_nlp):
    assert make_nlp().get_pipe("duoguard").model.predict([]).shape == (0, 12)
