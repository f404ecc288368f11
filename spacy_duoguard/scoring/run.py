"""Score an input into an output in one process: the formats of both, and the run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

from ..errors import Errors, ScoringError, SettingsError
from .inputs import guess_standard_input, read_text_file
from .jsonl import JsonLinesWriter, StandardOutputWriter
from .parquet import (
    ParquetWriter,
    count_rows,
    input_columns,
    read_rows,
    result_columns,
)
from .pipelines import GuardOptions, load_guard
from .record import STANDARD, Record, Source, make_batches, make_records
from .results import Counts
from .scorer import RecordScorer

FORMATS: tuple[str, ...] = ("txt", "jsonl", "csv", "parquet")

Report = Callable[[str, str], None]  # the name of a failed record, and its problem


class ResultWriter(Protocol):
    """Writes results. Scoring begins with record `start` (from 0), at the start of a
    batch: the results before it already exist."""

    start: int

    def write(self, results: Sequence[dict]) -> None:
        """results (Sequence[dict]): The next results."""

    def close(self, *, finished: bool) -> None:
        """finished (bool): Whether all of the input was scored."""


@dataclass(frozen=True)
class ScoreRequest:
    """What to score, and how."""

    source: Source
    output: str
    options: GuardOptions
    resume: bool = False
    overwrite: bool = False
    strict: bool = False  # stop at the first record that cannot be scored


def open_source(
    name: str, *, form: str | None = None, text_key: str = "text"
) -> Source:
    """Choose how to read an input.

    name (str): A file, a folder of Parquet files, or "-" for standard input.
    form (Optional[str]): One of `FORMATS`; by default chosen by the name's suffix.
        Standard input is read as JSON lines if its first character is "{".
    text_key (str): The field or column with the text.
    RETURNS (Source): What to read.
    RAISES (SettingsError): The format is unknown, or the file does not exist.
    """
    if name == STANDARD:
        return Source(name, form or guess_standard_input(), text_key)
    path = Path(name)
    if not path.exists():
        raise SettingsError(Errors.E139.format(name=name, problem="no such file"))
    form = form or ("parquet" if path.is_dir() else path.suffix[1:].lower())
    if form not in FORMATS:
        raise SettingsError(Errors.E134.format(name=name, formats=", ".join(FORMATS)))
    return Source(name, form, text_key)


def read_records(source: Source) -> Iterator[Record]:
    """Read an input.

    source (Source): From `open_source`.
    YIELDS (Record): The records, in order.
    RAISES (SettingsError): The file cannot be read, or has no column for the texts.
    """
    if source.form != "parquet":
        return read_text_file(source)
    rows = read_rows(Path(source.name), required=source.text_key)
    return make_records(rows, source.text_key)


def count_records(source: Source) -> int | None:
    """source (Source): An input.
    RETURNS (Optional[int]): The number of its records; None for standard input, which
        can be read only once."""
    if source.name == STANDARD:
        return None
    if source.form == "parquet":
        return count_rows(Path(source.name))
    return sum(1 for _ in read_records(source))


def score_file(
    request: ScoreRequest, *, report: Report = lambda name, problem: None
) -> Iterator[Counts]:
    """Score an input into an output.

    request (ScoreRequest): What to score, and how.
    report (Callable): Called for each record that cannot be scored.
    YIELDS (Counts): The counts before the first batch and after each batch.
    RAISES (SettingsError): An input, output or setting that the user can correct.
    RAISES (ScoringError): With `strict`, a record that cannot be scored.
    """
    if _is_same_file(request.source.name, request.output):
        raise SettingsError(Errors.E140.format(path=request.output))
    _check_output(request)
    records = _read_ahead(read_records(request.source))
    scorer = RecordScorer(load_guard(request.options), curve=request.options.curve)
    writer = _open_writer(request, scorer)
    finished = False
    try:
        yield from _score(records, scorer, writer, report, strict=request.strict)
        finished = True
    finally:
        writer.close(finished=finished)


def _is_same_file(source: str, output: str) -> bool:
    if STANDARD in (source, output):
        return False
    return Path(source).resolve() == Path(output).resolve()


def _is_parquet(output: str) -> bool:
    path = Path(output)
    return (
        path.suffix.lower() == ".parquet"
        or path.is_dir()
        or (output.endswith("/") and output != "/")
    )


def _check_output(request: ScoreRequest) -> None:
    """Check the output before anything is loaded or written.

    RAISES (SettingsError): It exists already, or its name has no known format.
    """
    output, path = request.output, Path(request.output)
    if output == STANDARD:
        if request.resume:
            raise SettingsError(Errors.E135.format(name=output))
        return
    if not _is_parquet(output) and path.suffix.lower() != ".jsonl":
        raise SettingsError(Errors.E135.format(name=output))
    exists = any(path.iterdir()) if path.is_dir() else path.exists()
    both = request.resume and request.overwrite
    if both or (exists and not (request.resume or request.overwrite)):
        raise SettingsError(Errors.E130.format(path=path))


def _open_writer(request: ScoreRequest, scorer: RecordScorer) -> ResultWriter:
    if request.output == STANDARD:
        return StandardOutputWriter()
    path = Path(request.output)
    if not _is_parquet(request.output):
        path.parent.mkdir(parents=True, exist_ok=True)
        return JsonLinesWriter(path, resume=request.resume)
    return ParquetWriter(
        path,
        input_columns(request.source),
        result_columns(scorer.labels, curve=scorer.curve),
        resume=request.resume,
    )


def _read_ahead(records: Iterator[Record]) -> Iterator[Record]:
    """Read the first record now, so that an unreadable input fails before a model is
    loaded."""
    first = list(islice(records, 1))
    return chain(first, records)


def _score(
    records: Iterable[Record],
    scorer: RecordScorer,
    writer: ResultWriter,
    report: Report,
    *,
    strict: bool,
) -> Iterator[Counts]:
    counts = Counts(done=writer.start)
    yield counts
    for batch in make_batches(records, start=writer.start):
        results = scorer.score(batch)
        for i, (record, result) in enumerate(zip(batch, results, strict=True)):
            if result["status"] != "error":
                continue
            if strict:
                writer.write(results[:i])
                raise ScoringError(
                    Errors.E137.format(record=record.name, problem=result["error"])
                )
            report(record.name, result["error"])
        writer.write(results)
        counts = counts.add(results)
        yield counts
