"""Score an input into an output in one process: the formats of both, and the run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

from ..errors import Errors, ScoringError, SettingsError
from .batches import make_batches
from .compression import describe_compressor
from .fields import keep_fields
from .file_names import FORMATS, compression_of, format_of, suffix_of
from .fingerprint import describe
from .inputs import read_text_file
from .jsonl import JsonLinesWriter, StandardOutputWriter
from .locks import locked
from .overlap import check_overlap, check_replaceable
from .parquet import (
    InputColumns,
    count_rows,
    input_columns,
    read_rows,
    result_columns,
)
from .parquet_schema import load_pyarrow
from .parquet_writer import ParquetWriter
from .pipelines import GuardOptions, load_guard
from .record import STANDARD, Record, Source, make_records
from .results import Counts
from .run_state import Mark, Output, RunState, compare, read_state
from .scorer import RecordScorer
from .text_files import guess_standard_input
from .watch import watched

Report = Callable[[str, str], None]  # the name of a failed record, and its problem


class ResultWriter(Protocol):
    """Writes results. Scoring begins with record `start` (from 0), at the start of a
    batch: the results before it already exist. Results up to `mark` are written."""

    start: int

    @property
    def mark(self) -> Mark: ...

    def open(self) -> None:
        """Begin to write."""

    def write(
        self, results: Sequence[dict], *, is_full: bool = False, is_last: bool = False
    ) -> None:
        """results (Sequence[dict]): The next results.
        is_full (bool): Whether they are those of a full batch.
        is_last (bool): Whether the run stops after them, without being finished."""

    def sync(self) -> None:
        """Wait until what is written is on disk, and check that it still is there.
        RAISES (SettingsError): Another program has removed or changed it."""

    def close(self, *, finished: bool) -> None:
        """finished (bool): Whether all of the input was scored. What is written is on
        disk afterwards.
        RAISES (SettingsError): It should be finished, but isn't there."""


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
        Standard input must be JSON lines then, and begin with "{".
    text_key (str): The field or column with the text.
    RETURNS (Source): What to read.
    RAISES (SettingsError): The format is unknown, or the file does not exist.
    """
    if name == STANDARD:
        if form == "parquet":
            problem = "Parquet is read from files, not from standard input"
            raise SettingsError(Errors.E139.format(name=name, problem=problem))
        return Source(name, form or guess_standard_input(), text_key)
    path = Path(name)
    if not path.exists():
        raise SettingsError(Errors.E139.format(name=name, problem="no such file"))
    form = form or ("parquet" if path.is_dir() else format_of(path))
    if form == "parquet" and path.is_file() and compression_of(path) is not None:
        problem = "a Parquet file can't be compressed as a whole"
        raise SettingsError(Errors.E139.format(name=name, problem=problem))
    if form not in FORMATS:
        raise SettingsError(Errors.E134.format(name=name, formats=", ".join(FORMATS)))
    return Source(name, form, text_key)


def read_records(source: Source) -> Iterator[Record]:
    """Read an input.

    source (Source): From `open_source`.
    YIELDS (Record): The records, in order.
    RAISES (SettingsError): The file cannot be read, has no column for the texts, or is
        changed meanwhile.
    """
    if source.form != "parquet":
        return watched(source, read_text_file(source))
    rows = read_rows(Path(source.name), required=source.text_key)
    return watched(source, make_records(rows, source.text_key))


def count_records(source: Source) -> int | None:
    """source (Source): An input.
    RETURNS (Optional[int]): The number of its records; None for standard input and
        pipes, which can be read only once."""
    if source.is_stream:
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
    output = _check_output(request)
    records = _read_ahead(read_records(request.source))
    if output is None:
        scorer = _load_scorer(request)
        yield from _score(records, scorer, StandardOutputWriter(), report, request)
        return
    with locked(output) as check_locks:
        _check_output(request)  # another run may have ended just now
        yield from _score_to_disk(request, output, records, report, check_locks)


def _score_to_disk(
    request: ScoreRequest,
    output: Output,
    records: Iterator[Record],
    report: Report,
    check_locks: Callable[[], None],
) -> Iterator[Counts]:
    earlier, known = Mark(), None
    if request.resume and output.exists:
        earlier, known = read_state(output)
    scorer = _load_scorer(request)
    known_now = describe(scorer.nlp, request.source, curve=scorer.columns.curve)
    state = RunState(output, known_now | _describe_writer(output), check_locks)
    if known is not None:
        compare(known, state.known, path=output.path)
    writer: ResultWriter
    if output.is_folder:
        columns = input_columns(request.source)
        records = keep_fields(records, {column.name for column in columns.fields})
        writer = _make_parquet_writer(output, columns, scorer, earlier)
    else:
        writer = JsonLinesWriter(output.path, earlier)
    begin, kept = writer.start, writer.mark
    rest = state.begin(records, earlier, start=begin, kept=kept, strict=request.strict)
    if state.is_done:  # so that nothing is written, whatever fails now
        yield Counts(done=earlier.records, failed_before=earlier.failed)
        return
    yield from _score(rest, scorer, writer, report, request, state)


def _describe_writer(output: Output) -> dict[str, str]:
    """RETURNS (Dict[str, str]): The version of what turns results into bytes."""
    if output.is_folder:
        return {"version of pyarrow": load_pyarrow().__version__}
    return describe_compressor(output.compression)


def _load_scorer(request: ScoreRequest) -> RecordScorer:
    return RecordScorer(load_guard(request.options), curve=request.options.curve)


def _is_parquet(output: str) -> bool:
    path = Path(output)
    return (
        path.suffix.lower() == ".parquet"
        or path.is_dir()
        or (output.endswith("/") and output != "/")
    )


def _check_output(request: ScoreRequest) -> Output | None:
    """Check the output before anything is loaded or written.

    RETURNS (Optional[Output]): The output, None for standard output.
    RAISES (SettingsError): It exists already, its name has no known format, or a file
        of the input would be written to.
    """
    name, path = request.output, Path(request.output)
    if name == STANDARD:
        if request.resume:
            raise SettingsError(Errors.E135.format(name=name))
        check_overlap(request.source, None)
        return None
    output = Output(path, _is_parquet(name))
    if not output.is_folder and suffix_of(path) != ".jsonl":
        raise SettingsError(Errors.E135.format(name=name))
    check_overlap(request.source, output)
    check_replaceable(output)
    _describe_writer(output)  # fails without pyarrow, if it is needed
    both = request.resume and request.overwrite
    if both or (output.exists and not (request.resume or request.overwrite)):
        raise SettingsError(Errors.E130.format(path=path))
    return output


def _make_parquet_writer(
    output: Output, columns: InputColumns, scorer: RecordScorer, earlier: Mark
) -> ParquetWriter:
    included = replace(scorer.columns, turns=columns.messages)
    results = result_columns(scorer.labels, included)
    return ParquetWriter(output.path, columns.fields, results, earlier)


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
    request: ScoreRequest,
    state: RunState | None = None,
) -> Iterator[Counts]:
    """Score the records from `writer.start` on."""
    before = state is not None and state.has_failed
    counts, finished = Counts(done=writer.start, failed_before=before), False
    writer.open()
    try:
        yield counts
        for batch in make_batches(records, before=writer.start):
            results = scorer.score(batch)
            failed = _failures(results)
            if request.strict and failed:
                first = failed[0]
                writer.write(results[:first], is_last=True)
                yield counts.add(results[:first])
                name, problem = batch[first].name, results[first]["error"]
                raise ScoringError(Errors.E137.format(record=name, problem=problem))
            for i in failed:
                report(batch[i].name, results[i]["error"])
            writer.write(results, is_full=batch.is_full)
            counts = counts.add(results)
            if state is not None:
                state.add(batch)
                _note(state, writer, counts)
                if state.is_due:
                    writer.sync()
                    state.save()
            yield counts
        finished = True
    finally:
        try:
            writer.close(finished=finished)
        except BaseException:
            finished = False
            raise
        finally:
            if state is not None:
                _note(state, writer, counts)
                state.save(finished=finished)


def _note(state: RunState, writer: ResultWriter, counts: Counts) -> None:
    state.reach(writer.mark, failed=counts.failed > 0)


def _failures(results: Sequence[dict]) -> list[int]:
    return [i for i, result in enumerate(results) if result["status"] == "error"]
