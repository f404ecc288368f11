"""A folder of files → a folder of results, on a Ray cluster."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.checkpoint.atomic_folder import replace_folder, restore_folder
from ..errors import DuoGuardError, Errors, ScoringError, SettingsError
from .ray_dataset import (
    BATCH,
    Actors,
    make_scorer,
    map_actors,
    score_dataset,
)

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

    from .pipelines import GuardOptions

# Bytes that go to an actor at once: small, so that all have work to the end.
_BLOCK = 2**18

# Records of a file that is written.
_PART = 32 * BATCH

_SUFFIXES = (".jsonl", ".parquet")

# Other than what actors ask for, or Ray would read whole files in the actors.
_APART: dict[str, Any] = {"num_cpus": 0.5}


class ScoreLines:
    """As `ScoreTexts`, for the records of JSON lines files, whose fields need not be
    the same in all of them: a column of records in, a column of lines out."""

    def __init__(
        self, options: "GuardOptions | Mapping[str, Any] | None", *, threads: int
    ) -> None:
        """options, threads: As in `ScoreTexts`."""
        self.scorer = make_scorer(options, threads)

    def __call__(self, batch: "pyarrow.Table") -> "pyarrow.Table":
        """batch (pyarrow.Table): From `_read_files`.
        RETURNS (pyarrow.Table): The column `line`: a result for each record."""
        import pyarrow as pa

        from .inputs import Record
        from .jsonl import to_line

        records = [
            Record(
                row["number"], json.loads(row["fields"]), row["text"], row["problem"]
            )
            for row in batch.to_pylist()
        ]
        lines = [to_line(result) for result in self.scorer.score(records)]
        return pa.table({"line": pa.array(lines, pa.binary())})


def _holds_parts(folder: Path) -> bool:
    """Whether nothing is lost where a folder is replaced by the results of a run."""
    return folder.is_dir() and all(
        path.is_file() and path.suffix in _SUFFIXES for path in folder.iterdir()
    )


@dataclass(frozen=True)
class Counts:
    """What a run did."""

    records: int
    failed: int
    flagged: int


@dataclass
class FolderRun:
    """Scores a folder of JSON lines or Parquet files into a folder of parts, which is
    there when it is whole. All nodes must see both folders under the same names."""

    source: Path
    output: Path
    options: "GuardOptions | Mapping[str, Any] | None" = None
    text_key: str = "text"
    actors: Actors = field(default_factory=Actors)
    overwrite: bool = False

    def run(self) -> Counts:
        """RETURNS (Counts): Of the records.
        RAISES (SettingsError): As `check`.
        RAISES (ScoringError): Ray gave up: what was at `output` is as it was."""
        files = self.check()
        with replace_folder(self.output.resolve()) as aside:
            self._write(files, aside)
            return _count(aside)

    def check(self) -> list[Path]:
        """RETURNS (List[Path]): The files to read, by name.
        RAISES (SettingsError): A folder that cannot be read or written."""
        source, output = self.source.resolve(), self.output.resolve()
        files = [source] if source.is_file() else sorted(source.glob("*.*"))
        files = [
            path
            for path in files
            if path.suffix in _SUFFIXES and path.name[0] not in "._"
        ]
        if len({path.suffix for path in files}) != 1:
            raise SettingsError(Errors.E159.format(path=self.source))
        if output == source or output in source.parents:
            raise SettingsError(Errors.E162.format(path=self.output))
        restore_folder(output)
        if output.exists() and not (self.overwrite and _holds_parts(output)):
            raise SettingsError(Errors.E160.format(path=self.output))
        return files

    def _write(self, files: list[Path], folder: Path) -> None:
        import ray
        from ray.data import DataContext

        context = DataContext.get_current()
        order, size = (
            context.execution_options.preserve_order,
            context.target_max_block_size,
        )
        context.execution_options.preserve_order = True
        context.target_max_block_size = _BLOCK
        names = list(map(str, files))
        try:
            if files[0].suffix == ".parquet":
                rows = ray.data.read_parquet(names, **_APART)
                scored = score_dataset(
                    rows, self.options, text_key=self.text_key, actors=self.actors
                )
                scored.write_parquet(str(folder), min_rows_per_file=_PART)
            else:
                self._write_lines(ray.data.from_items(names), folder)
        except ray.exceptions.RayError as e:
            raise _explain(e) from e
        finally:
            context.execution_options.preserve_order = order
            context.target_max_block_size = size

    def _write_lines(self, names: "Dataset", folder: Path) -> None:
        reader: Any = _read_files
        rows = names.map_batches(
            reader,
            batch_size=1,
            fn_kwargs={"text_key": self.text_key},
            **_APART,
        )
        scored = map_actors(rows, ScoreLines, self.options, self.actors)
        scored.write_datasink(_lines_sink(str(folder)))


def _read_files(
    batch: Mapping[str, Any], *, text_key: str
) -> "Iterator[pyarrow.Table]":
    """Of one file, in blocks that need not fit into memory all at once."""
    import pyarrow as pa

    from .inputs import open_source
    from .run import cut_batches

    schema = pa.schema(
        [
            ("number", pa.int64()),
            ("fields", pa.string()),
            ("text", pa.string()),
            ("problem", pa.string()),
        ]
    )
    for name in batch["item"]:
        records = open_source(str(name), form="jsonl", text_key=text_key).records()
        for part in cut_batches(records):
            rows = [
                {
                    "number": record.number,
                    "fields": json.dumps(record.fields),
                    "text": record.text,
                    "problem": record.problem,
                }
                for record in part
            ]
            yield pa.Table.from_pylist(rows, schema)


def _lines_sink(folder: str) -> Any:
    """RETURNS (Datasink): Writes the column `line` into .jsonl files."""
    from ray.data.datasource import BlockBasedFileDatasink

    class LinesSink(BlockBasedFileDatasink):
        def write_block_to_file(self, block: Any, file: Any) -> None:
            for line in block.to_arrow().column("line"):
                file.write(line.as_py())

    return LinesSink(folder, file_format="jsonl", min_rows_per_file=_PART)


def _explain(error: Exception) -> DuoGuardError:
    """What Ray reports has what was raised in an actor at its end, if it was that."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DuoGuardError):
        cause = getattr(cause, "cause", None) or cause.__cause__
    if isinstance(cause, DuoGuardError):
        return ScoringError(str(cause))
    # An actor that could not begin is known by its traceback alone.
    coded = re.findall(r"spacy_duoguard\.errors\.\w+: (\[E\d+\] .*)", str(error))
    if coded:
        return ScoringError(coded[-1])
    # What others raise may quote a text.
    return ScoringError(Errors.E161.format(kind=type(error).__name__))


def _count(folder: Path) -> Counts:
    records = failed = flagged = 0
    for status, flags in _read_verdicts(folder):
        records += 1
        failed += status == "error"
        flagged += bool(flags)
    return Counts(records, failed, flagged)


def _read_verdicts(folder: Path) -> Iterator[tuple[str, list[str]]]:
    from pyarrow.parquet import ParquetFile

    for path in sorted(folder.iterdir()):
        if path.suffix == ".jsonl":
            with path.open("rb") as lines:
                for result in map(json.loads, lines):
                    yield result["status"], result["flags"]
        else:
            with ParquetFile(path) as file:
                for batch in file.iter_batches(columns=["status", "flags"]):
                    for row in batch.to_pylist():
                        yield row["status"], row["flags"]
