"""Say what was converted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from spacy.tokens import Doc
from wasabi.tables import table

from ..pipeline.gold import POSITIVE, REJECTED
from .convert import Conversion, describe
from .merge import Policy

_SHOWN = 20  # records and conflicts


def format_conversion(conversion: Conversion, *, policy: Policy, spans_key: str) -> str:
    """conversion (Conversion): What was written.
    policy (Policy): What became of contradictions.
    spans_key (str): The group of `doc.spans` with the gold of spans.
    RETURNS (str): The files, and a table with the positive and negative texts, and
        spans, of each label."""
    lines = [f"{path}: {_texts(len(d))}" for path, d in conversion.corpora.items()]
    columns = [_count(docs, spans_key) for docs in conversion.corpora.values()]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [
        (name, *(cell for c in columns for cell in _cells(c, name))) for name in names
    ]
    stems = [path.stem for path in conversion.corpora]
    header = ("", *(f"{stem}: {what}" for stem in stems for what in ("yes", "no")))
    aligns = ("l", *"rr" * len(stems))
    lines.append(table(rows, header=header, divider=True, aligns=aligns, max_col=40))
    return "\n".join([*lines, *_notes(conversion, policy)])


def _texts(number: int) -> str:
    return f"{number:,} text{'s' * (number != 1)}"


def _count(docs: Sequence[Doc], spans_key: str) -> dict[str, Counter[bool]]:
    counts: dict[str, Counter[bool]] = {}
    for doc in docs:
        for label, value in doc.cats.items():
            counts.setdefault(label, Counter())[value > POSITIVE] += 1
        if spans_key not in doc.spans:
            continue
        group = doc.spans[spans_key]
        for span in group:
            counts.setdefault(f"{span.label_} (spans)", Counter())[True] += 1
        for _, _, label in group.attrs.get(REJECTED, ()):
            counts.setdefault(f"{label} (spans)", Counter())[False] += 1
    return dict(sorted(counts.items(), key=lambda item: item[0].endswith(" (spans)")))


def _cells(counts: Mapping[str, Counter[bool]], name: str) -> tuple[str, str]:
    of_label = counts.get(name, Counter())
    return str(of_label[True]), str(of_label[False])


def _notes(conversion: Conversion, policy: Policy) -> Iterator[str]:
    reading = conversion.reading
    n_texts = len(reading.texts)
    yield f"Read {reading.n_records:,} records about {_texts(n_texts)}."
    if reading.skipped:
        counts = (f"{n:,} {reason.value}" for reason, n in reading.skipped.items())
        yield f"Left out: {', '.join(counts)}."
    if reading.n_sentences:
        yield (
            f"Corrections of sentences that became texts: {reading.n_sentences:,}. To "
            "label the sentences of their documents instead, add --documents."
        )
    conflicts = conversion.conflicts
    if conflicts:
        shown = "; ".join(map(describe, conflicts[:_SHOWN]))
        more = "; …" if len(conflicts) > _SHOWN else ""
        count = f"Contradictions settled by '{policy.value}': {len(conflicts):,}"
        yield f"{count} ({shown}{more})."


def list_broken(conversion: Conversion) -> Iterator[str]:
    """conversion (Conversion): What was written.
    YIELDS (str): The records that couldn't be converted, and why."""
    broken = conversion.reading.broken
    for name, problem in broken[:_SHOWN]:
        yield f"{name} can't be converted: {problem}"
    if len(broken) > _SHOWN:
        yield f"… and {len(broken) - _SHOWN:,} more"
