"""The third part of the demo's training: texts alone, and unsafe sentences among safe
ones."""

import json
import shutil

import numpy as np
import pytest
import torch

from spacy_duoguard.disguises.suite import SUITE
from spacy_duoguard.engine.checkpoint.bundle import TOKENIZER
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.prefix_scores import Query
from spacy_duoguard.evaluation.disguised import DisguiseResult, LanguageDisguises
from spacy_duoguard.evaluation.rates import Rate
from spacy_duoguard.taxonomy import CATEGORIES

HATE = CATEGORIES.index("Hate")
SAFE = "the dog walks home and reads a long book {}"
UNSAFE = "the dog says grrr to the cat number {}"


@pytest.fixture
def taught(load):
    """Safe sentences and unsafe ones, of rows and as mixtures."""
    sentences = load("demo.sentences")
    texts = []
    for i in range(40):
        for kind in ("row", "mixture"):
            for text, value in ((SAFE, 0.1), (UNSAFE, 0.8)):
                target = np.zeros(12, np.float32)
                target[HATE] = value + i / 1000
                texts.append(sentences.Taught(text.format(f"{i} {kind}"), kind, target))
    return texts


def make_drawer(load, taught, seed=0, disguised=0.0):
    make = load("demo.documents").Drawer
    return make(taught, shares=(1, 1, 1, 3), disguised=disguised, seed=seed)


def test_what_a_document_has_is_what_its_sentences_have(load, taught):
    drawer = make_drawer(load, taught)
    targets = {of.text: of.target for of in taught}
    kinds = set()
    for item in [drawer.draw_document() for _ in range(60)]:
        text, spans = item.query.text, item.query.spans
        assert len(text) <= 1500
        sentences = [text[start:end] for start, end in spans]
        assert " ".join(sentences) == text
        unsafe = [i for i, sentence in enumerate(sentences) if "grrr" in sentence]
        kinds.add(len(unsafe))
        assert ([item.unsafe] if item.unsafe is not None else []) == unsafe
        assert np.isnan(item.targets[0]).all()
        so_far = [targets[sentence][HATE] for sentence in sentences]
        expected = np.maximum.accumulate(so_far)
        assert item.targets[1:, HATE].tolist() == pytest.approx(expected.tolist())
    assert kinds == {0, 1}


def test_items_are_seeded_and_some_texts_are_disguised(load, taught):
    one, two, other = (make_drawer(load, taught, seed, 0.5) for seed in (1, 1, 2))
    drawn = [
        [drawer.draw_text().query.text for _ in range(80)]
        for drawer in (one, two, other)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    plain = {of.text for of in taught}
    assert 20 < sum(text not in plain for text in drawn[0]) < 60


def test_the_loss_counts_spans_less_and_open_outputs_not_at_all(load):
    item = load("demo.documents").Item
    loss_of = load("demo.learn_documents").loss_of
    half, open_ = np.full((1, 12), 0.5, np.float32), np.full((1, 12), np.nan, "f4")
    ones = np.ones((1, 12), np.float32)
    items = [
        item(Query("a"), half),
        item(Query("b c", ((0, 1), (2, 3))), np.concatenate([open_, ones, ones]), 1),
    ]
    logits = torch.zeros(4, 12)
    logits[1] = 50.0  # not scored
    logits[2:] = 1.0
    ones_cost = np.log1p(np.exp(-1.0))
    expected = 12 * (np.log(2) + 2 * 0.25 * ones_cost) / 1.5
    loss = loss_of(items, logits, of_spans=0.25, of_rank=0.0)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    # The change is at the first span, where it should be at the second.
    ranked = float(loss_of(items, logits, of_spans=0.25, of_rank=1.0)) - expected
    assert ranked == pytest.approx(np.log1p(np.exp(10 / (1 + np.exp(-1.0)))), rel=1e-4)


def test_only_sentences_of_safe_rows_are_safe(load, evaluation_files):
    data, sentences = load("demo.data"), load("demo.sentences")
    rows = [row for row in data.read_rows(evaluation_files, "openai") if row.part][:9]
    long = "A dog walks home today. It reads a long book by the sea! Yes. " + "x" * 300
    rows = [data.Row(**{**vars(row), "text": long}) for row in rows]
    chosen = sentences.split_safe_rows(rows)
    texts = ["A dog walks home today.", "It reads a long book by the sea!"]
    safe = [row for row in rows if not row.unsafe]
    assert 0 < len(safe) < len(rows)
    assert [row.text for row in chosen] == texts * len(safe)
    assert [row.index for row in chosen] == [r.index for r in safe for _ in range(2)]
    assert not any(row.unsafe or row.gold.any() for row in chosen)


def test_held_out_rows_are_not_taught(load, evaluation_files, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(evaluation_files, folder)
    for path in folder.glob("*/*.json"):
        rows = json.loads(path.read_text(encoding="utf8"))
        for row in rows[::5]:
            row["prompt"] = " ".join(["zyzzyva"] * 20)
        path.write_text(json.dumps(rows), encoding="utf8")
    sentences = load("demo.sentences")
    sentences.main([str(folder), str(tmp_path / "taught.jsonl"), "--texts", "300"])
    taught = sentences.read_taught(tmp_path / "taught.jsonl")
    assert {of.kind for of in taught} >= {"row", "part", "mixture"}
    assert sum(of.kind == "mixture" for of in taught) == 300
    assert not [of for of in taught if "zyzzyva" in of.text]
    with_word = [of.target[HATE] for of in taught if "grrr" in of.text]
    without = [of.target[HATE] for of in taught if "grrr" not in of.text]
    assert np.mean(with_word) > 0.6 > 0.3 > np.mean(without)


def test_it_learns_where_the_unsafe_sentence_is(load, taught, tmp_path):
    data, start = load("demo.data"), load("demo.start")
    write_checkpoint = load("demo.checkpoint").write_checkpoint
    learn = load("demo.learn_documents").learn
    tokenizer = data.train_tokenizer((of.text for of in taught), n_tokens=400)
    torch.manual_seed(0)
    sizes = {"width": 32, "inner": 32, "layers": 2, "heads": 2, "kv_heads": 1}
    decoder = start.make_decoder(tokenizer.get_vocab_size(), **sizes)
    write_checkpoint(decoder, tokenizer.to_str(), tmp_path, dtype=torch.float32)
    assert (tmp_path / TOKENIZER).exists()
    classifier = Classifier.from_pretrained(
        str(tmp_path), precision="float32", device="cpu"
    )
    drawer = make_drawer(load, taught)
    options = {"n_texts": 4, "n_documents": 4, "of_spans": 0.5, "of_rank": 0.5}
    learn(classifier, drawer, steps=70, rate=0.01, **options)
    items = [drawer.draw_document() for _ in range(40)]
    items = [item for item in items if item.unsafe is not None]
    hits = []
    for item in items:
        spans = classifier.answer([item.query])[0].spans
        changes = [span.delta[-1] for span in spans]
        hits.append(int(np.argmax(changes)) == item.unsafe)
    assert np.mean(hits) > 0.9


# The card


def test_the_card_has_disguises_by_language(load):
    table = load("demo.tables").disguise_table
    disguises = list(SUITE.values())[:2]
    languages = [
        LanguageDisguises(
            name,
            4,
            tuple(
                DisguiseResult(of, {"text": Rate(n + i, 4), "normalize": Rate(i, 4)})
                for i, of in enumerate(disguises)
            ),
            (),
        )
        for name, n in (("En", 3), ("Fr", 1))
    ]
    head, _, *rows = table(languages).splitlines()
    assert head == "| disguise | En | En `normalize` | Fr | Fr `normalize` |"
    assert [row.split(" | ", 1)[1] for row in rows] == [
        "0.75 | 0.00 | 0.25 | 0.00 |",
        "1.00 | 0.25 | 0.50 | 0.25 |",
    ]


def test_the_card_says_which_goal_is_reached(load):
    goal = load("demo.card")._goal
    modes = ("isolated", "in context, by score", "in context, by change", "by chance")
    good = dict(zip(modes, (0.9, 0.85, 0.95, 0.1), strict=True))
    bad = dict(zip(modes, (0.8, 0.5, 0.75, 0.1), strict=True))
    both = goal({"En": good, "Fr": bad})
    assert "It isn't." in both
    assert "reach 0.950 / 0.800 (En / Fr)" in both
    assert "that fails in Fr." in both
    fine = goal({"En": good})
    assert "It is." in fine
    assert "that holds." in fine
