"""Letters in another shape, and phonetic transcriptions, which have some, too."""

import pytest

from spacy_duoguard.engine.text.views.letters import small_capitals
from spacy_duoguard.engine.text.views.readings import readings

SMALL = {letter: look for look, letter in small_capitals().items()}


@pytest.mark.parametrize("sign", [*"\u02c8\u02cc\u02d0\u0283\u0259\u0254"])
@pytest.mark.parametrize("text", ["i will kill you", "you are a faggot"])
def test_phonetic_signs_beside_small_capitals(text, sign):
    words = ["".join(SMALL.get(c, c) for c in word) for word in text.split()]
    disguised = " ".join(sign + word for word in words)
    expected = " ".join(sign + word for word in text.split())
    assert [view.text for view in readings(disguised)] == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "k\u02b0\u026as [\u02c8l\u026at\u0259l] b\u028f\u02d0\u0280\u0262\u0259\u0250",
        "[\u02c8\u0274\u026a\u02d0\u029f] and [\u0299\u028f\u02d0\u0280\u0259]",
    ],
)
def test_phonetic_transcriptions_stay(text):
    read = {view.text for view in readings(text)}
    assert read <= {text.replace("\u02b0", "h")}
