"""Convert labelled records to corpora for `spacy train`."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from spacy.tokens import Doc, DocBin

from ..engine.checkpoint.files import try_sync, write_aside
from ..engine.checkpoint.output_paths import check_output
from ..errors import Errors, SettingsError
from ..pipeline.settings import SPANS_KEY
from ..scoring.pipelines import blank_pipeline
from ..scoring.record import STANDARD
from ..scoring.run import open_source
from ..scoring.run import read_records as read_source
from .gold_docs import add_gold
from .labels import LabelNames, shorten
from .merge import Conflict, Policy, merge
from .reading import Reading, read_documents, read_records
from .split import is_dev

SUFFIX = ".spacy"

_SHOWN = 20  # conflicts and labels in an error


@dataclass(frozen=True)
class Request:
    """What to convert, and how."""

    source: str  # JSON lines: a file, or "-" for standard input
    output: Path
    names: LabelNames
    split: float | None = None  # the share of texts for the dev set
    policy: Policy = Policy.refuse
    documents: Path | None = None  # results, for the corrections of sentences
    documents_key: str = "text"
    language: str = "xx"
    text_key: str = "text"
    spans_key: str = SPANS_KEY
    strict: bool = False


@dataclass
class Conversion:
    """What was written."""

    reading: Reading
    corpora: dict[Path, list[Doc]] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)  # resolved


def convert(request: Request) -> Conversion:
    """Convert JSON lines to one corpus, or to one for training and one for evaluation.

    request (Request): What to convert.
    RETURNS (Conversion): What was read and written.
    RAISES (SettingsError): The input can't be read, has labels that aren't categories,
        contradicts itself, or holds no gold. Nothing has been written.
    """
    _check_request(request)
    source = open_source(request.source, form="jsonl", text_key=request.text_key)
    documents = None
    if request.documents is not None:
        documents = read_documents(request.documents, text_key=request.documents_key)
    nlp = blank_pipeline(request.language)
    nlp.max_length = sys.maxsize  # it protects parsers, and there are none
    reading = read_records(
        read_source(source),
        request.names,
        nlp.make_doc,
        documents=documents,
        strict=request.strict,
    )
    _check_labels(reading)
    docs, conflicts = _merge(reading, request)
    corpora = _divide(docs, reading.split_keys(), request)
    conversion = Conversion(reading, corpora, conflicts)
    _write(conversion.corpora)
    return conversion


def _write(corpora: Mapping[Path, Sequence[Doc]]) -> None:
    """Write all files before the first one is replaced. If the process is killed while
    they are, the training set is missing: an old one beside a new dev set could have
    the same texts, and the figures would be too good.

    corpora (Mapping[Path, Sequence[Doc]]): The docs of each file; the dev set is last.
    """
    with ExitStack() as stack:
        for path, docs in corpora.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = stack.enter_context(write_aside(path))
            DocBin(docs=docs, store_user_data=True).to_disk(aside)
        for path in [*corpora][:-1]:
            path.unlink(missing_ok=True)
            try_sync(path.parent)
        # The last file that was written is the first to be renamed.


def _check_request(request: Request) -> None:
    is_folder = request.split is not None
    if is_folder == (request.output.suffix == SUFFIX):
        raise SettingsError(Errors.E268.format(output=request.output))
    if request.split is not None and not 0.0 < request.split < 1.0:
        raise SettingsError(Errors.E269.format(value=request.split))
    inputs = [] if request.source == STANDARD else [Path(request.source)]
    inputs += [request.documents] if request.documents is not None else []
    for path in _outputs(request):
        check_output(path, inputs)


def _outputs(request: Request) -> list[Path]:
    if request.split is None:
        return [request.output]
    return [request.output / f"{name}{SUFFIX}" for name in ("train", "dev")]


def _check_labels(reading: Reading) -> None:
    if not reading.unknown:
        return
    shown = [f"'{label}' ({n})" for label, n in reading.unknown.most_common(_SHOWN)]
    shown += ["…"] if len(reading.unknown) > _SHOWN else []
    raise SettingsError(Errors.E272.format(labels=", ".join(shown)))


def _merge(reading: Reading, request: Request) -> tuple[list[Doc], list[Conflict]]:
    conflicts: list[Conflict] = []
    docs = []
    for text in reading.texts.values():
        gold = merge(text.annotations, request.names.categories, request.policy)
        conflicts += gold.conflicts
        key = request.spans_key
        docs.append(add_gold(text.doc, gold, text.records, spans_key=key))
    if conflicts and request.policy is Policy.refuse:
        shown = [describe(conflict) for conflict in conflicts[:_SHOWN]]
        shown += ["…"] if len(conflicts) > _SHOWN else []
        message = Errors.E273.format(count=len(conflicts), conflicts="; ".join(shown))
        raise SettingsError(message)
    if not any(doc.cats or doc.spans for doc in docs):
        problem = reading.broken[0] if reading.broken else ("", "")
        first = f" {problem[0]}: {problem[1]}." if reading.broken else ""
        message = Errors.E274.format(
            source=request.source, count=reading.n_records, first=first
        )
        raise SettingsError(message)
    return docs, conflicts


def describe(conflict: Conflict) -> str:
    """conflict (Conflict): A contradiction.
    RETURNS (str): Its label and its records, without the text."""
    where = ""
    if conflict.span is not None:
        where = f" of the span {conflict.span[0]}-{conflict.span[1]}"
    numbers = ", ".join(map(str, conflict.records))
    return f"'{shorten(conflict.label)}'{where} in records {numbers}"


def _divide(
    docs: Sequence[Doc], keys: Sequence[str], request: Request
) -> dict[Path, list[Doc]]:
    outputs = _outputs(request)
    if request.split is None:
        return {outputs[0]: list(docs)}
    parts: tuple[list[Doc], list[Doc]] = ([], [])
    for doc, key in zip(docs, keys, strict=True):
        parts[is_dev(key, request.split)].append(doc)
    if not all(parts):
        message = Errors.E275.format(share=request.split, count=len(docs))
        raise SettingsError(message)
    return dict(zip(outputs, parts, strict=True))
