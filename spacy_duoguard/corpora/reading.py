"""Read labelled records and group them by their texts."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from spacy.tokens import Doc

from ..errors import Errors, ResultsError, SettingsError
from ..scoring.record import BrokenRecordError, Record, list_files
from ..scoring.result_files import read_results
from ..scoring.results import FIELDS
from .annotations import Annotation, Skipped
from .forms import check_offsets, read_annotation
from .labels import LabelNames, UnknownLabelError
from .merge import Policy, merge
from .split import Unit, group_keys

_SUFFIXES = (".jsonl", ".json", ".parquet")

_UNITS = ("document", "sentence")


@dataclass
class LabelledText:
    """A text, and what records say about it."""

    doc: Doc
    annotations: list[tuple[int, Annotation]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    # The documents that the text is a sentence of, each once.
    units: dict[Unit, None] = field(default_factory=dict)


@dataclass
class Reading:
    """What was read."""

    texts: dict[str, LabelledText] = field(default_factory=dict)  # by their text
    n_records: int = 0
    skipped: Counter[Skipped] = field(default_factory=Counter)
    broken: list[tuple[str, str]] = field(default_factory=list)  # names and problems
    unknown: Counter[str] = field(default_factory=Counter)  # labels
    n_sentences: int = 0  # corrections of sentences, each as a text
    documents: dict[Unit, str] = field(default_factory=dict)  # corrected ones
    # Sentences that label spans, and the texts that have them, each once.
    spans: dict[str, dict[str, None]] = field(default_factory=dict)

    def split_keys(self) -> list[str]:
        """RETURNS (List[str]): For each text what decides on which side of a split it
        is: a sentence goes with all documents that have it, and with the other
        sentences of these."""
        sentences = {text: labelled.units for text, labelled in self.texts.items()}
        return group_keys(sentences, self.documents, self.spans)


def read_records(
    records: Iterable[Record],
    names: LabelNames,
    make_doc: Callable[[str], Doc],
    *,
    documents: Mapping[int, str] | None = None,
    strict: bool = False,
) -> Reading:
    """Read what records say. One that is broken costs that record alone.

    records (Iterable[Record]): The records.
    names (LabelNames): The labels that they may use.
    make_doc (Callable[[str], Doc]): Makes the doc of a text.
    documents (Optional[Mapping[int, str]]): The texts of the results that the review
        page showed, by their number. With them, a correction of a sentence labels a
        span of its document, else it labels a text.
    strict (bool): Stop at the first broken record.
    RETURNS (Reading): What was read.
    RAISES (SettingsError): A record is broken, with `strict`.
    """
    reading = Reading()
    for record in records:
        reading.n_records += 1
        try:
            _read(record, reading, names, make_doc, documents)
        except UnknownLabelError as e:
            reading.unknown[e.label] += 1
        except BrokenRecordError as e:
            if strict:
                message = Errors.E270.format(record=record.name, problem=e)
                raise SettingsError(message) from None
            reading.broken.append((record.name, str(e)))
    return reading


def _read(
    record: Record,
    reading: Reading,
    names: LabelNames,
    make_doc: Callable[[str], Doc],
    documents: Mapping[int, str] | None,
) -> None:
    if record.problem is not None:
        raise BrokenRecordError(record.problem)
    if not record.text.strip():
        raise BrokenRecordError("the text is empty")
    annotation = read_annotation(record.fields, record.text, names)
    if isinstance(annotation, Skipped):
        reading.skipped[annotation] += 1
        return
    text, unit = record.text, unit_of(record.fields)
    is_part = unit is not None and record.fields["meta"]["unit"] == "sentence"
    if is_part and documents is not None:
        text, annotation = _locate(record, annotation, documents)
        reading.spans.setdefault(record.text, {})[text] = None
        is_part = False
    own = merge([(record.number, annotation)], names.categories, Policy.refuse)
    if own.conflicts:
        problem = f"its values contradict each other ('{own.conflicts[0].label}')"
        raise BrokenRecordError(problem)
    known = reading.texts.get(text)
    labelled = LabelledText(make_doc(text)) if known is None else known
    annotation = _align(labelled.doc, text, annotation)
    labelled.annotations.append((record.number, annotation))
    labelled.records.append(record.fields)
    reading.texts[text] = labelled
    if is_part and unit is not None:
        reading.n_sentences += 1
        labelled.units[unit] = None
    elif unit is not None:
        reading.documents[unit] = text


def unit_of(fields: Mapping[str, Any]) -> Unit | None:
    """fields (Mapping[str, Any]): The fields of a record.
    RETURNS (Optional[Tuple[str, int]]): If it is a correction of the review page, the
        document that it belongs to."""
    meta = fields.get("meta")
    if not isinstance(meta, Mapping) or meta.get("unit") not in _UNITS:
        return None
    number = meta.get("record")
    return str(meta.get("results")), number if isinstance(number, int) else 0


def _locate(
    record: Record, annotation: Annotation, documents: Mapping[int, str]
) -> tuple[str, Annotation]:
    """Turn what a record says about a sentence into an answer about a span."""
    meta = record.fields["meta"]
    number = meta.get("record")
    document = documents.get(number) if isinstance(number, int) else None
    if document is None:
        raise BrokenRecordError("--documents doesn't have the document of its sentence")
    start, end = meta.get("start"), meta.get("end")
    check_offsets(start, end, document)
    if document[start:end] != record.text:
        raise BrokenRecordError("its sentence isn't there in the document")
    answers = tuple(a._replace(span=(start, end)) for a in annotation.answers)
    return document, Annotation(answers)


def _align(doc: Doc, text: str, annotation: Annotation) -> Annotation:
    """Check that spans match tokens. The review page shows sentences with the spaces
    around them, which belong to no span in spaCy."""
    answers = [
        answer
        if answer.span is None
        else answer._replace(span=_align_span(doc, text, *answer.span))
        for answer in annotation.answers
    ]
    return replace(annotation, answers=tuple(answers))


def _align_span(doc: Doc, text: str, start: int, end: int) -> tuple[int, int]:
    if doc.char_span(start, end) is not None:
        return start, end
    content = text[start:end]  # of the doc, which would join its tokens each time
    inner_start = start + len(content) - len(content.lstrip())
    inner_end = end - len(content) + len(content.rstrip())
    if inner_start < inner_end and doc.char_span(inner_start, inner_end) is not None:
        return inner_start, inner_end
    raise BrokenRecordError(
        f"the span {start}-{end} doesn't match token boundaries of the language "
        f"'{doc.lang_}' (--language)"
    )


def read_documents(path: Path, *, text_key: str) -> dict[int, str]:
    """Read the texts of results, numbered as on the review page.

    path (Path): What `report` read: a file of results, or a folder of parts.
    text_key (str): The field that holds the text, or the messages of a conversation.
    RETURNS (Dict[int, str]): The texts by the numbers of their records, as the page
        shows them. Those that can't be read are left out.
    RAISES (ResultsError): There are none.
    """
    texts: dict[int, str] = {}
    files = list_files(path, *_SUFFIXES) if path.is_dir() else [path]
    results = chain.from_iterable(map(read_results, files))
    key = f"input_{text_key}" if text_key in FIELDS else text_key
    for number, fields in enumerate(results, start=1):
        if not isinstance(fields, Mapping):
            continue
        text = fields.get("scored_text") or fields.get(key)  # of messages, or the text
        if isinstance(text, str):
            texts[number] = text
    if not texts:
        raise ResultsError(Errors.E271.format(path=path, key=text_key))
    return texts
