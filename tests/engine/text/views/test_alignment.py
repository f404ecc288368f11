"""Views are aligned with their text, and cost linear time, whatever the text."""

import base64
import random
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.disguises import PLAIN

from spacy_duoguard.disguises.suite import SUITE
from spacy_duoguard.engine.text.views.readings import decoded, folded, readings

ODD = (
    "aeHnup Il.,!?-_=%&#;\\xu0134@$\n\t\b\x7f\x1b\u0301\u0332\u0336\u0327\u20dd\u3099"
    "\u202e\u202d\u202c\u2066\u2067\u2069\u200b\u200d\u200c\u200e\ufe0f\U000e0100\xad"
    "\U000e0041\U000e0061\U000e007f\U0001f3f4\U0001f600\U0001f1e6\U0001f170\u249c\ud55c"
    "ʇɐǝɥ˙¿ᴀʜаеαβшア漢ـیש\u05b0ﬁ™ºＡ𝐀①\u2800\u3164\u200f\u061c\xa0\u0406/|łø"
)
odd_texts = st.text(st.sampled_from(ODD), max_size=60) | st.text(max_size=60)
UNITS = [
    *("\u0399", "a1", "&#000000", "%00", "6b 6b6b ", "SSB3aWxsIGtpbGwg\n"),
    *("a\u0301", "\u0301\u0332", "\u202e", "\u202eab\u202c", "a\b", "\b\b", "a.", "h "),
    *("\u200c", "\u200e\u05d0", "&amp;", "&#104;", "&", "%68", "%", "\\u0068", "\\x68"),
    *("\\", "68", "68 ", "aB3d", "QUJD", "=", "a0", "0", "$", "ʇ ", "ǝʇɐɥ", "ᴀ", "аb"),
    *("\U000e0061", "\U0001f3f4\U000e0061", "\ufe01", "\U000e0150", "\U0001f1e6", " "),
    *("É", "aA", "AB c", "aabb ", "éè ", "т"),
    *("SSB3aWxsIGtpbGwg\n> ", "SSB3aWxsIGtpbGwg\n" + 16 * " ", "aB_", "aB3dEf=", "\\n"),
    *("\\/aB", "6b|", "6b\n", "\\x6b", "\\x6b6b6b6b6b6b ", "\u2800a", "\u3164ab "),
    *(
        "\u202eSSB3aWxsIGtpbGwg\u202c",
        "\u202e%41\n",
        "a/",
        "a\xa0",
        "kKiLl ",
        "\u0406a",
    ),
    *("kkiilllll ", "b\u200f", "Y0U ", "\u6f22\u0336"),
    *("a ", "  a", "\n ", "\u2067", "\U0001f170", "x1y ", "Ａ ", "ع\u200c", "w0w "),
]


def check(text):
    for view in readings(text):
        n = len(view.text)
        assert view.text != text
        assert view.starts.shape == (n + 1,)
        assert view.starts[-1] == len(text)
        assert view.starts.min() >= 0
        assert view.starts[:-1].max() < len(text)
        assert (view.ends > view.starts[:-1]).all()
        assert (view.ends <= len(text)).all()
        assert view.char_span(0, n) == (0, len(text))
        # The distinct starts divide the whole text.
        pairs = zip(view.starts[:-1].tolist(), view.ends.tolist(), strict=True)
        spans = sorted(set(pairs))
        assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
        view.text.encode("utf8")  # no surrogate that the text doesn't have


@settings(deadline=None)
@given(text=odd_texts)
@example("\u202e\u202c\b")
@example("\u05d0\u202eab\n\u202dא")
@example("a\u0301\u0301\u0301\u0301\u0301b")
@example("\\ud800\\udfff&#xd800;%ed%a0%80")
def test_views_are_aligned_with_the_text(text):
    check(text)


def test_disguises_on_top_of_each_other_are_aligned():
    """A seeded sample of what the slow test tries at length."""
    stack(seed=1, n_texts=300)


@pytest.mark.slow
def test_a_hundred_thousand_texts_are_read_without_error():
    stack(seed=2, n_texts=50_000)
    draw = random.Random(3)
    for _ in range(50_000):
        units = draw.choices([*ODD, *UNITS], k=draw.randint(0, 30))
        check("".join(units))


def stack(seed, n_texts):
    draw = random.Random(seed)
    functions = [disguise.apply for disguise in SUITE.values()]
    for _ in range(n_texts):
        text = PLAIN[: draw.randint(0, len(PLAIN))]
        for _ in range(draw.randint(1, 3)):
            if len(text) > 11:
                i, j = sorted(draw.sample(range(len(text)), 2))
                changed = draw.choice(functions)(text[i:j]) if j - i > 11 else text[i:j]
                text = text[:i] + changed + text[j:]
        check(text)


@pytest.mark.parametrize(
    ("name", "word", "place"),
    [
        ("zero-width spaces", "hate", (4, 12)),
        ("right-to-left override", "hate", (len(PLAIN) - 5, len(PLAIN) - 1)),
        ("hex", "hate", (4, 12)),
        ("percent", "hate", (6, 18)),
        ("letter, x, backspace", "hate", (6, 18)),
        ("dots between letters", "hate", (4, 12)),
        ("letters three times", "hate", (4, 16)),
        ("precomposed accents", "hate", (2, 6)),
    ],
)
def test_a_word_points_to_where_it_is_disguised(name, word, place):
    disguise = SUITE[name]
    (view,) = readings(disguise.apply(PLAIN))
    start = view.text.index(word)
    assert view.char_span(start, start + len(word)) == place


def test_base64_points_to_the_characters_of_each_byte():
    text = "see " + base64.b64encode(b"abcdefghijkl").decode() + "."
    view = decoded(text)
    assert view.text == "see abcdefghijkl."
    assert view.starts[:-1].tolist() == [
        *range(4),
        *(4 + i * 4 // 3 for i in range(12)),
        20,
    ]


@pytest.mark.parametrize("unit", UNITS)
def test_time_is_linear(unit):
    def seconds(n):
        text = (unit * n)[:n]
        start = time.process_time()  # others may use the machine too
        readings(text)
        return time.process_time() - start

    seconds(1_000)
    few = min(seconds(5_000) for _ in range(2))
    most = 8 * 6 * few + 0.05
    assert seconds(40_000) < most or seconds(40_000) < most


@pytest.mark.slow
@pytest.mark.parametrize("levels", [1, 2, 6])
def test_a_megabyte_of_nested_base64_is_bounded(levels):
    text = "kill them all, " * 20_000
    for _ in range(levels):
        text = base64.b64encode(text.encode()).decode()
    start = time.perf_counter()
    view = decoded(text[: 2**20 // 4 * 4])
    assert time.perf_counter() - start < 30
    assert "kill them all" in view.text or levels > 4


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["\u0301", "a\u0301\u0332", "&amp;", "\u202e", "\b"])
def test_a_million_characters_are_read(unit):
    text = "a" + unit * (10**6 // len(unit))
    start = time.perf_counter()
    folded(text)
    decoded(text)
    assert time.perf_counter() - start < 60


def test_views_have_offsets_of_64_bits():
    assert all(v.starts.dtype == np.int64 for v in readings("h\u200bate &#104;"))
