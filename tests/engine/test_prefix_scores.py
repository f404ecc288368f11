"""Spans and curves from one pass, against their definitions."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Span
from support.texts import texts
from support.training import make_examples, trainable

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.prefix_scores import Query, QueryBatch, QueryPlan
from spacy_duoguard.engine.text.split import Limits, split_texts
from spacy_duoguard.pipeline.architecture import get_shim
from spacy_duoguard.pipeline.losses import BinaryCrossEntropy
from spacy_duoguard.taxonomy import CATEGORIES

TEXT = "The dog sleeps. How to kill it?  Été là-bas 🙂.\n\nThe end of the fox"


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def small(request, qwen2_folder, llama_folder) -> Classifier:
    folder = {"qwen2": qwen2_folder, "llama": llama_folder}[request.param]
    return Classifier.from_pretrained(
        str(folder), precision="float32", device="cpu", window=16, stride=11
    )


@settings(max_examples=30, deadline=None)
@given(text=texts)
def test_every_point_of_a_curve_is_that_prefix_scored_alone(small, text):
    scores = small.analyze([text], curve=True)[0]
    curve, ids = scores.curve, small.tokenizer.encode(text).ids
    assert len(curve.ends) == len(ids)
    assert (np.diff(curve.ends) >= 0).all()
    for i, end in enumerate(curve.ends):
        if np.array_equal(small.tokenizer.encode(text[:end]).ids, ids[: i + 1]):
            alone = small.score([text[:end]])[0]
            np.testing.assert_allclose(curve.probabilities[i], alone, atol=1e-5)
    if len(ids):
        assert curve.ends[-1] == len(text)
        np.testing.assert_allclose(
            curve.probabilities[-1], scores.probabilities, atol=1e-6
        )


@settings(max_examples=40, deadline=None)
@given(text=texts, data=st.data())
def test_a_span_is_the_score_at_its_last_token_in_each_window(small, text, data):
    """Computed by the definition, from windows scored as texts of their own."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    scores = small.answer([Query(text, ((start, end),))])[0]
    body = text[start:end]
    (span,) = scores.spans
    if not body:
        assert span.probabilities.tolist() == [0.0] * 12
        assert span.delta.tolist() == [0.0] * 13
        return
    first, last = find_tokens(small, text, start, end)
    rows, changes = [], []
    prefix = len(small.tokenizer.prefix)
    for window in small.split(text).windows:
        if window.start <= last and first < window.stop:
            upto = min(last + 1, window.stop) - window.start
            row = logits(small, window.ids[: prefix + upto])
            before = np.zeros(12)
            if first > window.start:
                before = logits(small, window.ids[: prefix + first - window.start])
            rows.append(row)
            changes.append([*(row - before), row.max() - before.max()])
    winners = np.argmax(rows, axis=0)
    delta = [changes[w][i] for i, w in enumerate(winners)]
    delta.append(changes[int(np.max(rows, axis=1).argmax())][12])
    np.testing.assert_allclose(span.probabilities, np.max(rows, axis=0), atol=1e-5)
    np.testing.assert_allclose(span.delta, delta, atol=1e-5)
    np.testing.assert_allclose(scores.probabilities, small.score([text])[0], atol=1e-6)


def count_containers(make):
    """How many objects the garbage collector has to look at because of what is made."""
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        made = make()
        return len(gc.get_objects()) - before, made
    finally:
        gc.enable()


def test_a_text_without_spans_takes_few_objects(small):
    """Those of a batch are there at once: many would start costly collections."""
    queries = [Query(f"The dog {i}") for i in range(200)]
    texts = [query.text for query in queries]
    args = small.tokenizer, small.settings, Limits()
    split_texts(texts, *args)
    n_split, split = count_containers(lambda: split_texts(texts, *args))
    pairs = list(zip(queries, split, strict=True))
    n_plans, batch = count_containers(
        lambda: QueryBatch([QueryPlan.of(*pair) for pair in pairs])
    )
    assert n_split < 5.5 * len(texts)
    assert n_plans < 1.5 * len(texts)
    assert [scored.tolist() for scored in batch.positions] == [
        [len(ids) - 1] for ids in batch.ids
    ]


def test_plain_texts_and_others_share_a_batch(small):
    texts = ["The dog sleeps.", "A fox", "", "How to kill it? " * 8]
    queries = [Query(texts[0]), Query(texts[1], ((0, 1), (2, 5))), Query("")]
    queries += [Query(texts[3]), Query(texts[3], (), True)]
    plans = [QueryPlan.of(query, small.split(query.text)) for query in queries]
    batch = QueryBatch(plans)
    alone = [QueryBatch([plan]) for plan in plans]
    positions = [scored.tolist() for scored in batch.positions]
    assert positions == [p.tolist() for one in alone for p in one.positions]
    for of_plan, one in zip(batch.slices, alone, strict=True):
        n_windows = len(one.ids)
        assert list(one.slices) == [slice(0, n_windows)]
        assert positions[of_plan] == [scored.tolist() for scored in one.positions]
    assert [len(ids) - 1 for ids in batch.ids[:1]] == positions[0]
    assert sum(map(len, positions)) > len(batch.ids)


def find_tokens(classifier, text, start, end):
    """The tokens of a span's first and last characters that aren't whitespace."""
    body = text[start:end]
    inside = [i for i, c in enumerate(body) if not c.isspace()] or [0, len(body) - 1]
    offsets = classifier.tokenizer.encode(text).offsets
    starts = np.maximum.accumulate(offsets[:, 0])
    holder = np.flatnonzero(starts <= start + inside[0])[-1]
    first = np.flatnonzero(starts == starts[holder])[0]
    return int(first), int(np.flatnonzero(starts <= start + inside[-1])[-1])


def logits(classifier, ids):
    rows = [np.array([len(ids) - 1])]
    return classifier.runner.probabilities([ids], rows)[0][0]


def test_a_sentence_in_one_window_is_the_text_up_to_there(make_nlp):
    nlp = make_nlp(sents=True, span_context="document", curve=True)
    doc = nlp(TEXT)
    sentences = list(doc.sents)
    assert len(sentences) > 2
    tokenizer = nlp.get_pipe("duoguard").classifier.tokenizer
    starts = tokenizer.encode(TEXT).offsets[:, 0]
    rows = [dict.fromkeys([*CATEGORIES, "unsafe"], 0.0)]
    for row in doc._.duoguard_curve:
        cats = dict(zip(CATEGORIES, row["probs"], strict=True))
        rows.append({**cats, "unsafe": max(row["probs"])})
    for sent in sentences:
        up_to = nlp(doc.text[: len(doc.text[: sent.end_char].rstrip())]).cats
        assert sent._.duoguard_cats == pytest.approx(up_to, abs=1e-5)
        begin = sent.start_char + len(sent.text) - len(sent.text.lstrip())
        before = rows[np.searchsorted(starts, starts[starts <= begin][-1])]
        delta = {key: up_to[key] - before[key] for key in up_to}
        assert sent._.duoguard_delta == pytest.approx(delta, abs=1e-5)
    assert sentences[-1]._.duoguard_cats == pytest.approx(doc.cats, abs=1e-6)


def test_spans_cost_no_forward_of_their_own(make_nlp, monkeypatch):
    nlp = make_nlp(sents=True, span_context="document", curve=True)
    component = nlp.get_pipe("duoguard")
    forward = type(component.classifier.runner.forward())
    seen = []
    call = forward.__call__

    def counted(self, batch):
        seen.append(len(batch.token_ids))
        return call(self, batch)

    monkeypatch.setattr(forward, "__call__", counted)
    nlp(TEXT)
    assert sum(seen) == len(component.classifier.tokenizer.encode(TEXT).ids)


def test_what_limits_left_out_is_not_scored(make_nlp):
    text = "One dog sleeps. " * 30
    nlp = make_nlp(
        sents=True,
        span_context="document",
        model={"window": 64, "stride": 48, "max_windows": 2},
    )
    doc = nlp(text)
    assert doc._.duoguard_status == "truncated"
    scored = [sent._.duoguard_cats is not None for sent in doc.sents]
    assert scored[0]
    assert scored[-1]
    assert not all(scored)


def test_max_chars_keeps_the_spans_of_both_ends(make_nlp):
    nlp = make_nlp(sents=True, span_context="document", max_chars=40)
    doc = nlp("The dog sleeps. " + "And so on. " * 20 + "The fox kills it.")
    scored = [sent._.duoguard_cats for sent in doc.sents]
    assert scored[0] is not None
    assert scored[5] is None
    assert scored[-1] == pytest.approx(nlp(doc.text[-20:]).cats, abs=1e-5)


def test_curves_survive_serialization(make_nlp):
    nlp = make_nlp(sents=True, span_context="document", curve=True, threshold=0.0)
    doc = nlp(TEXT)
    curve = doc._.duoguard_curve
    assert [set(row) for row in curve] == [{"end", "probs"}] * len(curve)
    assert max(curve[-1]["probs"]) == doc.cats["unsafe"]
    assert doc._.duoguard_first_unsafe == curve[1]["end"]
    copy = type(doc)(nlp.vocab).from_bytes(doc.to_bytes())
    assert copy._.duoguard_curve == curve
    assert copy._.duoguard_first_unsafe == doc._.duoguard_first_unsafe
    pairs = zip(copy.sents, doc.sents, strict=True)
    assert all(a._.duoguard_delta == b._.duoguard_delta for a, b in pairs)


def test_without_a_curve_there_is_none(make_nlp):
    doc = make_nlp(sents=True)(TEXT)
    assert doc._.duoguard_curve is None
    assert doc._.duoguard_first_unsafe is None
    assert next(iter(doc.sents))._.duoguard_delta is None


def test_a_text_that_is_safe_or_empty_has_no_first_flag(make_nlp):
    nlp = make_nlp(curve=True, threshold=1.0)
    assert nlp(TEXT)._.duoguard_first_unsafe is None
    assert nlp("")._.duoguard_curve == []
    assert nlp("")._.duoguard_first_unsafe is None


def test_a_failure_reads_as_unsafe_from_the_start(make_nlp, monkeypatch):
    nlp = make_nlp(sents=True, span_context="document", curve=True)
    nlp.set_error_handler(lambda *args: None)
    monkeypatch.setattr(nlp.get_pipe("duoguard").classifier, "answer", None)
    doc = nlp(TEXT)
    assert doc._.duoguard_curve == []
    assert doc._.duoguard_first_unsafe == 0
    sent = next(iter(doc.sents))
    assert sent._.duoguard_cats == dict.fromkeys(doc.cats, 1.0)
    assert sent._.duoguard_delta == dict.fromkeys(doc.cats, 1.0)


def test_span_gold_is_learnt_in_context(make_nlp):
    """The loss and the gradient are those of the rows that scoring reads."""
    nlp = trainable(make_nlp, None, sents=True, span_context="document")
    component = nlp.get_pipe("duoguard")
    eg = make_examples(nlp, [(TEXT, {"Hate": 0.0})])[0]
    reference = next(iter(nlp.get_pipe("sentencizer").pipe([eg.reference])))
    nlp.get_pipe("sentencizer")(eg.predicted)
    second = list(reference.sents)[1]
    reference.spans["duoguard"] = [Span(reference, second.start, second.end, "Hate")]
    nlp.initialize(lambda: [eg])
    before = [sent._.duoguard_cats for sent in nlp(TEXT).sents]
    losses = component.update([eg])
    bce = BinaryCrossEntropy()
    truths = np.zeros((len(before), 12))
    truths[1, CATEGORIES.index("Hate")] = 1.0
    truths[2:, CATEGORIES.index("Hate")] = np.nan  # they come after the hate
    scores = np.array([[cats[name] for name in CATEGORIES] for cats in before])
    logits = np.log(scores / (1 - scores))
    whole = np.array([[nlp(TEXT).cats[name] for name in CATEGORIES]])
    of_doc = np.full((1, 12), np.nan)
    of_doc[0, CATEGORIES.index("Hate")] = 0.0
    component.loss = bce
    expected = bce.get_loss(
        np.concatenate((np.log(whole / (1 - whole)), logits)),
        np.concatenate((of_doc, truths)),
    )
    found = component.update([eg])["duoguard"]
    assert found == pytest.approx(expected, rel=1e-4)
    assert losses["duoguard"] > 0
    optimizer = nlp.resume_training()
    for _ in range(60):
        component.update([eg], sgd=optimizer)
    after = [sent._.duoguard_cats["Hate"] for sent in nlp(TEXT).sents]
    assert after[1] > 0.5
    assert max(after[0], *after[2:]) < 0.5


@pytest.mark.parametrize("layers", [0, 1, None])
def test_an_update_in_context_is_one_pass(make_nlp, layers):
    """A text and its spans, with the gradients that torch gives row by row."""
    nlp = trainable(make_nlp, layers, model={"window": 16, "stride": 11})
    nlp.initialize(lambda: make_examples(nlp, [(TEXT, {"Hate": 1.0})]))
    component = nlp.get_pipe("duoguard")
    trainer = get_shim(component.model).trainer
    places = ((0, 15), (16, 35), (3, 60))
    logits, backprop = trainer.begin([Query(TEXT, places), Query("a dog")])
    assert logits.shape == (5, 12)
    answer = component.classifier.answer([Query(TEXT, places), Query("a dog")])
    rows = [answer[0].probabilities, *(own.probabilities for own in answer[0].spans)]
    rows.append(answer[1].probabilities)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), rows, atol=1e-5)
    head = component.classifier.decoder.score.weight
    draw = np.random.default_rng(0).normal(size=logits.shape).astype("f4")
    backprop(draw)
    together = head.grad.clone()
    head.grad = None
    for i in range(5):  # one output at a time
        own = np.zeros_like(draw)
        own[i] = draw[i]
        trainer.begin([Query(TEXT, places), Query("a dog")])[1](own)
    np.testing.assert_allclose(together, head.grad, rtol=1e-4, atol=1e-5)


HIDDEN = ["\u200b", "\u00ad", "\uff4b", "  ", "\u0301", "\U000e0041", "\ufe0f"]


@settings(max_examples=40, deadline=None)
@given(text=texts, data=st.data())
def test_a_second_view_never_lowers_a_score_in_context(small, text, data):
    for _ in range(data.draw(st.integers(1, 5))):
        i = data.draw(st.integers(0, len(text)))
        text = text[:i] + data.draw(st.sampled_from(HIDDEN)) + text[i:]
    spans = tuple((i, min(i + 9, len(text))) for i in range(0, len(text), 7))
    query = Query(text, spans, curve=True)
    raw, both = (
        small.answer([query], normalize=normalize)[0] for normalize in (False, True)
    )
    assert (both.probabilities >= raw.probabilities - 1e-5).all()
    assert (both.curve.ends == raw.curve.ends).all()
    assert (both.curve.probabilities >= raw.curve.probabilities - 1e-5).all()
    np.testing.assert_allclose(
        both.curve.probabilities[-1], both.probabilities, atol=1e-5
    )
    for one, other in zip(raw.spans, both.spans, strict=True):
        assert (other.probabilities >= one.probabilities - 1e-5).all()


def test_a_span_has_the_row_of_its_second_view(small):
    text = "The dog sle\u200beps. How to kill it?"
    plain = text.replace("\u200b", "")
    (found,) = small.answer([Query(text, ((0, 17),))], normalize=True)[0].spans
    (raw,) = small.answer([Query(text, ((0, 17),))])[0].spans
    (view,) = small.answer([Query(plain, ((0, 16),))])[0].spans
    expected = np.maximum(raw.probabilities, view.probabilities)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)


def test_a_disguised_copy_of_an_earlier_window_has_its_scores(small):
    """The view of the second half reads like the first, which is a window already."""
    room = small.settings.window - len(small.tokenizer.prefix)
    unit = "1" * room  # one token per digit: the unit fills a window
    assert len(small.tokenizer.encode(unit).ids) == room
    text = unit + "".join(f"{digit}\u200b" for digit in unit)
    half = (room, len(text))
    (found,) = small.answer([Query(text, (half,))], normalize=True)[0].spans
    plain = Query(unit + unit, ((room, 2 * room),))
    (expected,) = small.answer([plain])[0].spans
    assert (found.probabilities >= expected.probabilities - 1e-5).all()
