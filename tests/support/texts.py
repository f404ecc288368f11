"""Random texts for property tests."""

from hypothesis import strategies as st

WORDS = [
    "dog",
    "dang",
    "er",
    "kill",
    "été",
    "e",
    "\u0301",
    "日本",
    "🙂",
    "'s",
    "x1",
    "\u3131",
]
SEPARATORS = [" ", " ", " ", "", "\n", "  ", ", ", ".\n\n", "\t", "-"]
texts = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from(SEPARATORS)), max_size=40
).map(lambda pairs: "".join(word + gap for word, gap in pairs))
