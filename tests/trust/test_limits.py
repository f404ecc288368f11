"""What a limit leaves out of a text, its turns and its sentences is marked."""

from types import SimpleNamespace

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_duoguard import make_conversation
from spacy_duoguard.pipeline.attributes import get_span_verdicts, get_verdict

SIZES = {"window": 16, "stride": 8}
LIMITS = [
    *({"max_chars": n} for n in (1, 2, 7, 20, 33)),
    *({"model": {"max_windows": n}} for n in (1, 2, 3)),
]
MESSAGES = st.lists(
    st.lists(
        st.sampled_from(["Kill it.", "ok", " " * 9, "\xa0" * 40, "\n", "\u200b" * 9]),
        max_size=5,
    ).map("".join),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def pipelines(qwen2_folder):
    """RETURNS (Callable): Makes a pipeline with a limit, once each."""
    made = {}

    def make(context, normalize, limit):
        key = repr((context, normalize, limit))
        if key not in made:
            nlp = made[key] = spacy.blank("en")
            nlp.add_pipe("sentencizer")
            name = {"name": str(qwen2_folder), "precision": "float32", "device": "cpu"}
            model = {**name, **SIZES, **limit.get("model", {})}
            spans = {"sents": True, "span_context": context}
            config = {**limit, **spans, "normalize": normalize, "model": model}
            nlp.add_pipe("duoguard", config=config)
        return made[key]

    return make


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("context", ["document", "isolated"])
@settings(max_examples=60)
@given(messages=MESSAGES, limit=st.sampled_from(LIMITS))
def test_what_scores_less_because_of_a_limit_is_marked(
    pipelines, context, normalize, messages, limit
):
    limited = pipelines(context, normalize, limit)
    whole = pipelines(context, normalize, {})
    doc = limited(make_conversation(limited, messages))
    full = whole(make_conversation(whole, messages))
    parts = [(get_verdict(doc), get_verdict(full).cats)]
    for turn, other in zip(doc._.duoguard_turns, full._.duoguard_turns, strict=True):
        parts.append((SimpleNamespace(**turn), other["cats"]))
    spans = get_span_verdicts(full)
    if context == "isolated" or doc._.duoguard_status != "truncated":
        # In context, a sentence has what is left of it.
        parts += [(got, spans[key].cats) for key, got in get_span_verdicts(doc).items()]
    for got, expected in parts:
        if got.status in ("ok", "empty"):
            assert got.cats == pytest.approx(expected, abs=2e-5)
