"""What one record says about its text."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Answer(NamedTuple):
    """Whether a text, or a span of it, belongs to a category, or is `unsafe`."""

    label: str
    value: float  # in [0, 1]
    span: tuple[int, int] | None = None  # half-open character offsets


@dataclass(frozen=True)
class Annotation:
    """All that a record says. What it doesn't mention is unknown."""

    answers: tuple[Answer, ...]
    covers_spans: bool = False  # all spans that have a category are among the answers
    leaves_out_spans: bool = False  # what it says of some spans was left out


class Skipped(Enum):
    """Why a valid record says nothing."""

    ignored = "ignored"  # the annotator didn't decide
    rejected = "rejected as a whole"  # something in it is wrong, but not what
