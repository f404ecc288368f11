"""The views of a text: how it reads without disguises, and decoded.

folded    without what hides words from a tokenizer but not from a reader
decoded   with what is encoded in it in plain text, and folded
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from ..normalize import collapse_spaces, compose, is_hidden
from .encodings import decode_entities, decode_escapes, decode_percent
from .hidden import decode_selectors, decode_tags
from .leet import read_digits
from .letters import read_small_capitals, read_symbols, turn_letters
from .lookalikes import read_lookalikes
from .marks import drop_marks
from .order import apply_deletions, apply_overrides, drop_overrides, release
from .ordinary import (
    OTHER_SPACE,
    has_odd_hidden,
    has_odd_letters,
    has_odd_spaces,
)
from .quick import may_differ
from .radix import decode_base64, decode_hex
from .spacing import OTHER, has_blanks_for_spaces, join_letters, read_blanks
from .spelling import drop_accents, read_case, read_repeats
from .view import Edit, View

FOLDED = "folded"
DECODED = "decoded"
READINGS: tuple[str, ...] = (FOLDED, DECODED)

# Encodings, or disguises, inside of each other.
_MOST_LEVELS = 4

_Step = Callable[[str], Iterable[Edit]]
_BEFORE_NFKC: tuple[_Step, ...] = (
    read_symbols,
    read_small_capitals,
    turn_letters,
    drop_marks,
)
_AFTER_NFKC: tuple[_Step, ...] = (join_letters, drop_accents, read_lookalikes)
_DECODERS: tuple[_Step, ...] = (
    decode_selectors,  # before tags, between which others are dropped
    decode_tags,
    decode_entities,
    decode_percent,
    decode_escapes,
    decode_base64,
    decode_hex,
)
# What is encoded would be lost in these.
_SPELLINGS: tuple[_Step, ...] = (read_repeats, read_case, read_digits)


def readings(text: str) -> list[View]:
    """Read a text in other ways, in time and memory linear in its length.

    text (str): Any text.
    RETURNS (List[View]): At most two views, aligned with the text: "folded" and
        "decoded". None for a text that has nothing to fold or decode, and none that
        reads like the text or like the other one.
    """
    views = all_readings(text)
    if len(views) > 1 and views[0].text == views[1].text:
        views.pop()
    return [view for view in views if view.text and view.text != text]


def all_readings(text: str) -> list[View]:
    """text (str): Any text.
    RETURNS (List[View]): As `readings`, also those that read like the text or like the
        other one, or like nothing."""
    to_fold, to_decode = may_differ(text)
    made = (
        folded(text) if to_fold else None,
        decoded(text) if to_fold or to_decode else None,  # a disguise can hide a code
    )
    return [view for view in made if view is not None]


def folded(text: str) -> View | None:
    """text (str): Any text.
    RETURNS (Optional[View]): The text without disguises; None if it has none. Joiners,
        selectors, spaces and signs that are usual in its script are no disguises."""
    view, is_disguised = _fold(View.of(text))
    return view.whole(FOLDED) if is_disguised else None


def decoded(text: str) -> View | None:
    """text (str): Any text.
    RETURNS (Optional[View]): The text with what is encoded in it decoded, level by
        level, and then folded; None if nothing is encoded in it. A text with an
        override that is disguised otherwise, in the order in which it's stored."""
    view, is_decoded = View.of(text), False
    for _ in range(_MOST_LEVELS):
        read = _decode(view)
        if read is None:
            break
        view, is_decoded = read, True
    if not is_decoded:
        stored = view.edit(drop_overrides(text))
        view, is_decoded = _fold(stored) if stored is not view else (view, False)
        return view.whole(DECODED) if is_decoded else None
    return _fold(view)[0].whole(DECODED)


def _decode(view: View) -> View | None:
    """What a view reads with what is encoded in it decoded once: as it is, in NFKC and
    without disguises. Where a disguise divides what is encoded, more of it is decoded
    without: then it isn't decoded as it is. None if nothing is encoded in it."""
    steps = (_as_it_is, _compose, _without_disguises)
    visible = _read_hidden(view)
    best, most = _decode_in(visible, steps)
    for i in range(1, len(steps)) if best is not None else ():
        read, size = _decode_in(visible, steps[i:])
        if size > most:
            best, most = read, size
    return visible if best is None and visible is not view else best


def _read_hidden(view: View) -> View:
    """What a view reads with what is hidden decoded. It would be dropped without
    disguises, however much else is decoded then."""
    for decode in (decode_selectors, decode_tags):
        view = view.edit(release(view.text, list(decode(view.text))))
    return view


def _decode_in(
    view: View, steps: Iterable[Callable[[View], View]]
) -> tuple[View | None, tuple[int, int]]:
    """RETURNS (Tuple[Optional[View], Tuple[int, int]]): What a view reads with what is
    encoded in it decoded after each of some steps; how many characters of it are
    decoded after the first step that shows any, and in how few parts."""
    most = (0, 0)
    for step in steps:
        size = n_parts = 0
        plain = read = step(view)
        for decode in _DECODERS:
            edits = list(decode(read.text))
            size += sum(edit.end - edit.start for edit in edits)
            n_parts += len(edits)
            read = read.edit(release(read.text, edits))
        if read is not plain:
            view = read
            most = most if any(most) else (size, -n_parts)
    return (view if any(most) else None), most


def _as_it_is(view: View) -> View:
    return view


def _without_disguises(view: View) -> View:
    without, is_disguised = _fold_once(view, spellings=False)
    return without if is_disguised else view


def _fold(view: View) -> tuple[View, bool]:
    """RETURNS (Tuple[View, bool]): The view without disguises; whether it had any."""
    view, is_disguised = _fold_once(view)
    for _ in range(_MOST_LEVELS - 1):
        if not is_disguised or not may_differ(view.text)[0]:
            break
        view, differs = _fold_once(view)
        if not differs:
            break
    return view, is_disguised


def _fold_once(view: View, *, spellings: bool = True) -> tuple[View, bool]:
    before = view
    view = view.edit(apply_deletions(view.text))
    view = view.edit(apply_overrides(view.text))
    is_disguised = view is not before or has_blanks_for_spaces(view.text)
    view = view.edit(read_blanks(view.text))
    is_disguised |= has_odd_spaces(view.text)
    if view.text.isascii() and view.text.isprintable():
        before = view
    else:
        hidden = "".join(filter(is_hidden, set(view.text)))
        if hidden:
            is_disguised |= has_odd_hidden(view.text, hidden)
            view = view.edit(_drop(view.text, hidden))
        is_disguised |= has_odd_letters(view.text)
        before = view
        for step in _BEFORE_NFKC:
            view = view.edit(step(view.text))
        is_disguised |= view is not before
        # NFKC would make other spaces the same as those between words.
        before = view = _compose(replace(view, text=OTHER_SPACE.sub(OTHER, view.text)))
    for step in _AFTER_NFKC + (_SPELLINGS if spellings else ()):
        view = view.edit(step(view.text))
    is_disguised |= view is not before
    return view.select(*collapse_spaces(view.text)), is_disguised


def _compose(view: View) -> View:
    """NFKC of the visible characters."""
    if view.text.isascii() and view.text.isprintable():
        return view
    return view.select(*compose(view.text))


def _drop(text: str, characters: str) -> Iterable[Edit]:
    dropped = frozenset(characters)
    for i, character in enumerate(text):
        if character in dropped:
            yield Edit(i, i + 1, "")
