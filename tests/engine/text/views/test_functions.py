"""Views of the user's own: what they add, replace and must return."""

import numpy as np
import pytest

from spacy_duoguard.engine.text.views.functions import check_views, read_views
from spacy_duoguard.errors import ScoringError, SettingsError

TEXT = "h\u200bate"


def upper(text):
    return text.upper(), range(len(text))


def nothing(text):
    return None


def read(text, views):
    return {view.name: view.text for view in read_views(text, check_views(views))}


def test_a_view_is_added_and_replaces_one_of_its_name():
    assert read(TEXT, None) == {"folded": "hate"}
    assert read(TEXT, {"loud": upper}) == {"folded": "hate", "loud": "H\u200bATE"}
    assert read(TEXT, {"folded": upper}) == {"folded": "H\u200bATE"}
    assert read(TEXT, {"folded": nothing}) == {}
    assert read(TEXT, [upper]) == {"folded": "hate", "upper": "H\u200bATE"}
    assert read("HATE", {"loud": upper}) == {}  # it reads like the text
    assert read("hate", {"loud": upper, "louder": upper}) == {"loud": "HATE"}


def test_a_view_in_another_order_points_into_the_text():
    (view,) = read_views("abc", check_views({"back": lambda t: (t[::-1], (2, 1, 0))}))
    assert view.text == "cba"
    assert [view.char_span(i, i + 1) for i in range(3)] == [(2, 3), (1, 2), (0, 1)]


@pytest.mark.parametrize(
    "result",
    [
        "HATE",
        5,
        ("HATE",),
        ("HATE", None),
        ("HATE", (0, 1, 2)),
        ("HATE", (0, 1, 2, 5)),
        ("HATE", (0, 1, 2, -1)),
        ("HATE", ("a", "b", "c", "d")),
        ("HATE", (0, 1, 2, 2**70)),
        (b"HATE", (0, 1, 2, 3)),
        (["H"], (0,)),
        ("HATE", (0, 1.5, 2, 3)),
        ("HATE", (0.0, 1.0, 2.0, 3.0)),
        ("HATE", np.array([0.0, 1.0, 2.0, 3.0])),
        ("HATE", np.array(["0", "1", "2", TEXT])),
        ("HATE", ("0", "1", "2", "3")),
        ("HATE", (False, True, 2, 3)),
        ("HATE", np.array([False, True, False, True])),
        ("HATE", {TEXT: 0, "1": 1, "2": 2, "3": 3}),
        ("HATE", (0, 1, 2, 2**63)),
        ("HATE", ([0], [1, 2], [2], [3])),
    ],
)
def test_what_is_no_reading_is_a_failure_that_quotes_nothing(result):
    with pytest.raises(ScoringError, match=r"E211.*'mine'") as info:
        read_views(TEXT, check_views({"mine": lambda text: result}))

    assert "ate" not in str(info.value).replace("each", "")
    assert info.value.__cause__ is info.value.__context__ is None


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint64", "int64"])
def test_offsets_may_be_any_integers(dtype):
    for offsets in (np.arange(5, dtype=dtype), list(np.arange(5, dtype=dtype))):
        views = check_views({"loud": lambda text, o=offsets: ("HXATE", o)})
        (view,) = [v for v in read_views(TEXT, views) if v.name == "loud"]
        assert [view.char_span(i, i + 1) for i in (0, 4)] == [(0, 1), (4, 5)]


@pytest.mark.parametrize(
    ("views", "problem"),
    [
        (upper, "function"),
        ("upper", "str"),
        ({"loud": 5}, "'loud' is a int"),
        ([{"@misc": "loud.v1"}], "dict"),
        ({"text": upper}, "'text'"),
        ({"": upper}, "''"),
        ({5: upper}, "5"),
        ([upper, upper], "'upper' twice"),
    ],
)
def test_what_is_no_view_is_refused(views, problem):
    with pytest.raises(SettingsError, match=f"E210.*{problem}"):
        check_views(views)


class Endless:
    """Offsets of the right number, by their length, that never end."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return 0


def test_offsets_that_never_end_are_refused():
    with pytest.raises(ScoringError, match="E211"):
        read_views("aaaaa", (("mine", lambda text: ("bbbbb", Endless())),))
