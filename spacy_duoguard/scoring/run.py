"""One code path from input to output: read, cut into batches, score, write."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from ..errors import Errors, ScoringError, SettingsError
from .inputs import STANDARD, Record, Source
from .jsonl import Sink, check_output, open_sink
from .pipelines import GuardOptions, load_guard
from .scorer import BATCH, RecordScorer


@dataclass(frozen=True)
class ScoreRequest:
    """What the user asked for."""

    source: Source
    output: str
    options: GuardOptions
    resume: bool = False
    overwrite: bool = False
    strict: bool = False  # stop at the first record that cannot be scored


@dataclass(frozen=True)
class Progress:
    """How far a run is, after each batch."""

    done: int  # records of the input, with those of an earlier run
    flagged: int  # in this run
    failed: int  # in this run


Report = Callable[[int, str], None]  # the number of a failed record, and why


def score_file(
    request: ScoreRequest, *, report: Report = lambda number, problem: None
) -> Iterator[Progress]:
    """Score an input file into an output file.

    request (ScoreRequest): What the user asked for.
    report (Callable): Called for each record that cannot be scored.
    YIELDS (Progress): Once before the first batch, then after each.
    RAISES (SettingsError): Something that the user can mend.
    RAISES (ScoringError): With `strict`, a record that cannot be scored.
    """
    if _same_file(request.source.name, request.output):
        raise SettingsError(Errors.E140.format(path=request.output))
    check_output(request.output, resume=request.resume, overwrite=request.overwrite)
    records = _begun(request.source.records())
    nlp = load_guard(request.options)
    scorer = RecordScorer(nlp, curve=request.options.curve)

    def columns() -> tuple[list, list]:
        from .parquet import input_columns, result_columns

        curve = request.options.curve
        return input_columns(request.source), result_columns(scorer.labels, curve=curve)

    sink = open_sink(request.output, resume=request.resume, columns=columns)
    finished = False
    try:
        yield from _score(records, scorer, sink, report, strict=request.strict)
        finished = True
    finally:
        sink.close(finished=finished)


def _begun(records: Iterator[Record]) -> Iterator[Record]:
    """The same records, the first one read now: an input that cannot be read says so
    before a model is loaded."""
    first = list(islice(records, 1))
    return chain(first, records)


def count_records(source: Source) -> int | None:
    """source (Source): An input.
    RETURNS (Optional[int]): Its records; None for standard input, which can be read
        only once."""
    if source.name == STANDARD:
        return None
    if source.form == "parquet":
        from .parquet import count_rows

        return count_rows(Path(source.name))
    return sum(1 for _ in source.records())


def _score(
    records: Iterable[Record],
    scorer: RecordScorer,
    sink: Sink,
    report: Report,
    *,
    strict: bool,
) -> Iterator[Progress]:
    done, flagged, failed = sink.start, 0, 0
    yield Progress(done, flagged, failed)
    for batch in cut_batches(records, start=sink.start):
        results = scorer.score(batch)
        for i, (record, result) in enumerate(zip(batch, results, strict=True)):
            if result["status"] != "error":
                flagged += bool(result["flags"])
                continue
            if strict:
                sink.write(results[:i])
                raise ScoringError(
                    Errors.E137.format(number=record.number, problem=result["error"])
                )
            report(record.number, result["error"])
            failed += 1
        sink.write(results)
        done += len(batch)
        yield Progress(done, flagged, failed)


def cut_batches(records: Iterable[Record], *, start: int = 0) -> Iterator[list[Record]]:
    """Cut an input into batches at fixed positions: what a text is packed with, and so
    the last digits of its scores, do not depend on where a run began.

    records (Iterable[Record]): From the first on.
    start (int): How many to leave out, a multiple of `BATCH`.
    YIELDS (List[Record]): Batches of `BATCH` records, the last one of fewer.
    """
    rest = islice(records, start, None)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _same_file(source: str, output: str) -> bool:
    if STANDARD in (source, output):
        return False
    return Path(source).resolve() == Path(output).resolve()
