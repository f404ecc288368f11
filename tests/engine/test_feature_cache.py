"""Features are kept while the head alone is trained, and are never stale."""

import copy
import pickle

import numpy as np
import pytest
import spacy
import torch
from support.checkpoints import TEXTS
from support.training import LONG, decoder_of, make_examples, trainable
from thinc.api import SGD

from spacy_duoguard.engine.feature_cache import FeatureStore
from spacy_duoguard.engine.network.cpu import CpuForward

DATA = [(text, {"Hate": float(i % 2)}) for i, text in enumerate([*TEXTS, LONG])]


@pytest.fixture
def nlp(make_nlp):
    nlp = trainable(make_nlp, 0, model={"window": 32, "stride": 24})
    nlp.initialize(lambda: make_examples(nlp, DATA))
    return nlp


@pytest.fixture
def runs(monkeypatch):
    """How many sequences went through the decoder."""
    pooled, seen = CpuForward.pooled, []

    def counting(self, batch):
        seen.append(len(batch.scored_rows))
        return pooled(self, batch)

    monkeypatch.setattr(CpuForward, "pooled", counting)
    return seen


def update(nlp, data=DATA, rate=0.01):
    return nlp.update(make_examples(nlp, data), sgd=SGD(rate), losses={})["duoguard"]


def cache_of(nlp):
    return nlp.get_pipe("duoguard").classifier.runner.cache


def test_the_decoder_runs_once_for_each_text(nlp, runs):
    update(nlp)
    once = sum(runs)
    assert once > len(DATA)  # the long one has several windows
    for _ in range(3):
        update(nlp, DATA[::-1])
        for i in range(0, len(DATA), 4):
            update(nlp, DATA[i : i + 4])
    assert sum(runs) == once
    update(nlp, [*DATA, ("A new text.", {"Hate": 1.0})])
    assert sum(runs) == once + 1


def test_the_dev_set_runs_once(nlp, runs):
    update(nlp)
    runs.clear()
    dev = make_examples(nlp, [("one dog", {"Hate": 1.0}), ("two", {"Hate": 0.0})])
    first = nlp.evaluate(dev)
    assert sum(runs) == 2
    update(nlp)
    second = nlp.evaluate(dev)
    assert sum(runs) == 2
    assert {"duoguard_score"} < set(first) & set(second)


def test_kept_features_teach_the_same(make_nlp):
    def run(forget):
        nlp = trainable(make_nlp, 0, model={"window": 32, "stride": 24})
        nlp.initialize(lambda: make_examples(nlp, DATA))
        history = []
        for _ in range(5):
            history.append(update(nlp, rate=0.1))
            if forget:
                cache_of(nlp).forget()
        return history, decoder_of(nlp).score.weight.detach()

    kept, fresh = run(forget=False), run(forget=True)
    assert kept[0] == fresh[0]
    assert torch.equal(kept[1], fresh[1])


def test_scores_are_those_of_a_saved_and_loaded_model(nlp, tmp_path):
    """Bit for bit, whichever batch a text was trained or scored in before."""
    for _ in range(3):
        update(nlp)
    texts = [text for text, _ in DATA]
    list(nlp.pipe(texts[:3]))
    before = [doc.cats for doc in nlp.pipe(texts)]
    nlp.to_disk(tmp_path)
    again = spacy.load(tmp_path)
    assert cache_of(again) is None
    for size in (1, 3, 100):
        mine = [doc.cats for doc in nlp.pipe(texts, batch_size=size)]
        assert mine == [doc.cats for doc in again.pipe(texts, batch_size=size)]
    assert before == mine


def change_by_copy(decoder):
    decoder.layers[1].mlp.down_proj.weight.copy_(
        decoder.layers[1].mlp.down_proj.weight * 2
    )


def change_one_value(decoder):
    decoder.embedding.weight[int(decoder.embedding.weight.shape[0] // 2), 3] += 1.0


def change_norm(decoder):
    decoder.norm.weight.mul_(1.5)


def change_tensor(decoder):
    parameter = decoder.layers[0].attention.o_proj.weight
    parameter.data = parameter.data * 2


def change_state(decoder):
    state = {key: value * 1.5 for key, value in decoder.state_dict().items()}
    decoder.load_state_dict(state)


CHANGES = [change_by_copy, change_one_value, change_norm, change_tensor, change_state]


@pytest.mark.parametrize("change", CHANGES)
def test_features_of_other_weights_are_never_used(nlp, runs, change):
    update(nlp)
    nlp("a")
    once = sum(runs)
    with torch.no_grad():
        change(decoder_of(nlp))
    nlp("a")
    update(nlp)
    assert sum(runs) == 2 * once
    classifier = nlp.get_pipe("duoguard").classifier
    kept = classifier.score(TEXTS)
    classifier.runner.cache = None
    assert np.array_equal(classifier.score(TEXTS), kept)


def test_training_the_head_keeps_them(nlp, runs):
    update(nlp)
    once = sum(runs)
    with torch.no_grad():
        decoder_of(nlp).score.weight.mul_(2.0)
    nlp.get_pipe("duoguard").add_label("Spam")
    update(nlp)
    assert sum(runs) == once


def test_settings_are_part_of_the_key(nlp, runs):
    update(nlp)
    once = sum(runs)
    nlp.get_pipe("duoguard").cfg["max_chars"] = 5
    update(nlp)
    assert sum(runs) > once


def test_other_weights_from_disk_begin_anew(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    update(nlp)
    assert len(cache_of(nlp).texts) == len(DATA)
    nlp.from_disk(tmp_path)
    assert cache_of(nlp) is None


def test_they_are_not_copied_pickled_or_saved(nlp, tmp_path):
    size = len(pickle.dumps(nlp))
    update(nlp)
    nlp("a")
    assert len(cache_of(nlp).texts) == len(DATA)
    data = pickle.dumps(nlp)
    assert len(data) < size + 10_000
    other = pickle.loads(data)
    assert cache_of(other) is None
    update(other)
    assert len(cache_of(other).texts) == len(DATA)
    assert copy.deepcopy(nlp.get_pipe("duoguard").classifier).runner.cache is None
    nlp.to_disk(tmp_path)
    names = {path.name for path in (tmp_path / "duoguard").rglob("*")}
    assert not [name for name in names if "feature" in name or "cache" in name]


def test_all_that_is_kept_are_floats(nlp):
    update(nlp)
    for rows, _ in cache_of(nlp).texts._rows.values():
        assert rows.dtype == np.float32
        assert rows.base is None  # not a view that keeps a whole batch


def test_a_memory_zone_is_forgotten(make_nlp):
    nlp = trainable(make_nlp, 0)
    nlp.initialize(lambda: make_examples(nlp, DATA))
    with nlp.memory_zone():
        update(nlp)
        assert len(cache_of(nlp).texts) == len(DATA)
    assert len(cache_of(nlp).texts) == 0  # training began within
    update(nlp, DATA[:2])
    nlp("a")
    with nlp.memory_zone():
        update(nlp)
        list(nlp.pipe(TEXTS))
        assert len(cache_of(nlp).texts) == len(DATA)
        assert len(cache_of(nlp).batches) > 1
    assert len(cache_of(nlp).texts) == 2
    assert len(cache_of(nlp).batches) == 1
    with make_nlp().memory_zone():
        pass  # nothing is loaded for it


def test_memory_is_bounded(nlp, runs):
    update(nlp)
    stores = [cache_of(nlp).texts, cache_of(nlp).batches]
    cache_of(nlp).forget()
    for store in stores:
        store.max_bytes = 1000
    runs.clear()
    for _ in range(2):
        update(nlp)
        list(nlp.pipe([text for text, _ in DATA], batch_size=2))
    for store in stores:
        assert 0 < store.n_bytes <= 1000
        assert store.n_bytes == sum(size for _, size in store._rows.values())


def test_a_full_store_keeps_what_it_has():
    store = FeatureStore(max_bytes=100)
    rows = np.zeros((1, 10), np.float32)
    store.put("a", rows, key_bytes=5)
    store.put("a", rows, key_bytes=5)
    assert (len(store), store.n_bytes) == (1, 45)
    store.put("b", rows, key_bytes=5)
    store.put("c", rows, key_bytes=5)
    assert store.get("a") is rows
    assert store.get("b") is rows
    assert store.get("c") is None
    store.truncate(1)
    assert (store.get("b"), store.n_bytes) == (None, 45)


def test_only_the_head_alone_keeps_features(make_nlp):
    nlp = trainable(make_nlp, 1)
    nlp.initialize(lambda: make_examples(nlp, DATA))
    update(nlp)
    assert cache_of(nlp) is None
