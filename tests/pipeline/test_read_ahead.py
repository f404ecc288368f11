"""`pipe` tokenizes texts while it reads the next docs of a batch. Nothing else may tell
whether it does."""

import threading
import time
from itertools import count, islice

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.util import ignore_error
from support.checkpoints import QWEN2, TEXTS, write_checkpoint
from support.failures import BAD, FAILED_CATS
from support.threads import no_thread_left, two_threads

from spacy_duoguard.engine.text import ahead as ahead_module
from spacy_duoguard.engine.text.tokenizer import TextTokenizer
from spacy_duoguard.errors import ScoringError
from spacy_duoguard.pipeline.batches import DocBatch

NAMES = st.sampled_from([*TEXTS, "", "The dog sleeps. " * 30, "k\u200bill", BAD])


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(ahead_module, "_LEAST", 2)


@pytest.fixture(scope="module")
def nlp(qwen2_folder):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    model = {"name": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    model |= {"window": 32, "stride": 24}
    nlp.add_pipe("duoguard", config={"curve": True, "model": model})
    nlp("a")  # loads the weights: nothing is tokenized ahead before
    return nlp


def results(docs):
    return [
        (doc.text, doc.cats, doc.user_data["duoguard"], dict(doc.spans)) for doc in docs
    ]


def pipe(nlp, texts, threads, **options):
    """The results of `nlp.pipe`, with torch's products always in one thread."""
    with two_threads(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead_module.torch, "get_num_threads", lambda: threads)
        return results(nlp.pipe(texts, **options))


@pytest.mark.parametrize("normalize", [False, True])
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(NAMES, max_size=14), batch_size=st.integers(1, 6))
def test_scores_are_the_same_to_the_last_bit(nlp, normalize, texts, batch_size):
    component = nlp.get_pipe("duoguard")
    component.normalize = normalize
    nlp.set_error_handler(ignore_error)
    shim_type = type(component.classifier)
    answer = shim_type.answer

    def failing(self, queries, **options):
        if any(BAD in query.text for query in queries):
            raise ScoringError("broken")
        return answer(self, queries, **options)

    with pytest.MonkeyPatch.context() as patch, no_thread_left():
        patch.setattr(shim_type, "answer", failing)
        one, two = (pipe(nlp, texts, n, batch_size=batch_size) for n in (1, 2))
    assert one == two
    for (text, cats, record, _), original in zip(one, texts, strict=True):
        assert text == original
        assert (record["status"] == "error") == (BAD in text)
        assert (cats == FAILED_CATS) == (BAD in text)


def test_classifier_scores_are_the_same_to_the_last_bit(nlp):
    classifier = nlp.get_pipe("duoguard").classifier
    texts = [f"{text} {i}" for i in range(40) for text in TEXTS]
    with two_threads(1), pytest.MonkeyPatch.context() as patch, no_thread_left():
        one = classifier.score(texts)
        patch.setattr(ahead_module.torch, "get_num_threads", lambda: 2)
        assert (classifier.score(texts) == one).all()


def test_no_doc_is_read_before_the_batch_before_it_is_done(nlp):
    read = []

    def endless():
        for i in count():
            read.append(i)
            yield f"{TEXTS[i % len(TEXTS)]} {i}"

    with two_threads(), no_thread_left():
        for i, doc in enumerate(islice(nlp.pipe(endless(), batch_size=5), 12)):
            assert doc.text.endswith(f" {i}")
            assert len(read) == 5 * (i // 5 + 1)
            assert doc._.duoguard_status == "ok"


def test_docs_before_an_error_of_the_stream_arrive_scored(nlp):
    def stream():
        yield from TEXTS[:7]
        raise OSError("the line is dead")

    with two_threads(), no_thread_left():
        docs = nlp.pipe(stream(), batch_size=3)
        arrived = [next(docs)._.duoguard_status for _ in range(6)]
        with pytest.raises(OSError, match="dead"):
            next(docs)
    assert arrived == ["ok"] * 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_stream_leaves_no_thread(nlp, monkeypatch, error):
    slow = TextTokenizer.encode_batch

    def encode_batch(self, texts, **options):
        time.sleep(0.05)
        return slow(self, texts, **options)

    monkeypatch.setattr(TextTokenizer, "encode_batch", encode_batch)

    def stream():
        yield from TEXTS[:4]
        assert threading.active_count() > before
        raise error

    before = threading.active_count()
    with two_threads(), no_thread_left(), pytest.raises(error):
        list(nlp.pipe(stream(), batch_size=100))


def test_an_early_break_leaves_no_thread(nlp):
    with two_threads(), no_thread_left():
        docs = nlp.pipe((f"text {i}" for i in count()), batch_size=8)
        for _ in docs:
            break
        assert threading.active_count() == len(threading.enumerate())
    with two_threads(), no_thread_left():
        assert next(docs).text == "text 1"
        docs.close()


def test_a_setting_that_changes_within_a_batch_counts(nlp):
    component = nlp.get_pipe("duoguard")

    def stream():
        yield from TEXTS[3:7]
        component.max_chars = 4
        yield TEXTS[7]

    try:
        with two_threads(), no_thread_left():
            docs = list(nlp.pipe(stream(), batch_size=5))
            expected = [nlp(doc.text)._.duoguard_status for doc in docs]
    finally:
        component.max_chars = None
    assert [doc._.duoguard_status for doc in docs] == expected
    assert expected == ["truncated"] * 5


def test_scores_follow_docs_that_predict_gets_in_another_order(nlp, monkeypatch):
    component = nlp.get_pipe("duoguard")
    predict = type(component).predict

    def reversing(self, docs):
        docs.reverse()
        scores = predict(self, docs)
        docs.reverse()
        return scores[::-1]

    expected = [nlp(text).cats for text in TEXTS]
    monkeypatch.setattr(type(component), "predict", reversing)
    with two_threads():
        docs = list(nlp.pipe(TEXTS, batch_size=4))
    for doc, cats in zip(docs, expected, strict=True):
        assert doc.cats == pytest.approx(cats, abs=1e-5)


def test_halving_a_batch_tokenizes_no_text_again(breaking, monkeypatch):
    nlp = breaking(ScoringError("broken"))
    nlp.set_error_handler(ignore_error)
    nlp("a")
    tokenized = []

    def noting(name, get_texts):
        encode = getattr(TextTokenizer, name)

        def note(self, text, **options):
            tokenized.extend(get_texts(text))
            return encode(self, text, **options)

        monkeypatch.setattr(TextTokenizer, name, note)

    noting("encode_batch", list)
    noting("encode", lambda text: [text])
    texts = [f"{BAD if i == 11 else ''} text {i}" for i in range(32)]
    with two_threads():
        docs = list(nlp.pipe(texts, batch_size=32))
    statuses = [doc._.duoguard_status for doc in docs]
    assert statuses == ["error" if i == 11 else "ok" for i in range(32)]
    # The stand-in fails before it waits for the thread, and may leave it a text.
    assert sorted(set(tokenized)) == sorted(tokenized)


class FakeDoc:
    def __init__(self, text):
        self.read, self._text = 0, text

    @property
    def text(self):
        self.read += 1
        return self._text


def test_a_known_text_is_not_read_again():
    docs = [FakeDoc("a"), FakeDoc("b"), FakeDoc("c")]
    known = {id(doc): (doc, doc.text) for doc in docs[:2]}
    batch = DocBatch(docs, known, None)
    assert batch.read_texts() == ["a", "b", "c"]
    assert batch[1:].read_texts() == ["b", "c"]
    assert [doc.read for doc in docs] == [1, 1, 2]
    # Another doc with the `id` of one that is gone.
    known[id(docs[2])] = docs[0], "a"
    assert batch.read_texts() == ["a", "b", "c"]


def test_docs_that_are_not_scored_share_no_results(nlp, monkeypatch):
    component = nlp.get_pipe("duoguard")

    def interrupted(self, docs):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(component), "predict", interrupted)
    docs = [nlp.make_doc(text) for text in TEXTS[:3]]
    with two_threads(), no_thread_left(), pytest.raises(KeyboardInterrupt):
        list(component.pipe(iter(docs)))
    expected = [FAILED_CATS] * 3
    assert [doc.cats for doc in docs] == expected
    record = docs[0].user_data["duoguard"]
    record["windows"].append({})
    record["spans"]["0:1"] = []
    record["curve"]["ends"].append(1)
    docs[0].cats["unsafe"] = 0.0
    for doc in docs[1:]:
        assert doc.cats == FAILED_CATS
        assert len(doc._.duoguard_flags) == len(doc.user_data["duoguard"]["probs"])
        assert doc._.duoguard_curve == []


def test_docs_that_have_no_text_fail_alone(nlp):
    """`doc.text` raises if a string is missing from the store."""
    component = nlp.get_pipe("duoguard")
    nlp.set_error_handler(ignore_error)
    docs = [nlp.make_doc(text) for text in TEXTS[:5]]
    broken = Doc(spacy.vocab.Vocab(), words=["a", "b"])
    docs.insert(2, broken)
    broken.vocab.strings._reset_and_load(["a"])
    with pytest.raises(KeyError):
        _ = broken.text
    with two_threads(), no_thread_left():
        assert list(component.pipe(docs, batch_size=6)) == docs
    statuses = [doc._.duoguard_status for doc in docs]
    assert statuses == ["ok", "ok", "error", "ok", "ok", "ok"]


@pytest.mark.slow
def test_many_threads_pipe_at_once(tmp_path):
    folder = write_checkpoint(tmp_path / "model", QWEN2)
    model = {"name": str(folder), "precision": "float32", "device": "cpu"}
    nlp = spacy.blank("en")
    nlp.add_pipe("duoguard", config={"model": model})
    texts = [f"{TEXTS[i % len(TEXTS)]} {i}" for i in range(3000)]
    expected = pipe(nlp, texts, 1, batch_size=50)
    outcomes = {}

    def work(i):
        docs = nlp.get_pipe("duoguard").pipe(map(nlp.make_doc, texts), batch_size=50)
        outcomes[i] = results(docs)

    with two_threads(1), pytest.MonkeyPatch.context() as patch, no_thread_left():
        patch.setattr(ahead_module.torch, "get_num_threads", lambda: 2)
        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(outcomes[i] == expected for i in range(8))
