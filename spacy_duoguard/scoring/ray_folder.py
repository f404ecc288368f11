"""Score a folder of files into a folder of results, on a Ray cluster."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.checkpoint.atomic_folder import replace_folder, restore_folder
from ..errors import DuoGuardError, Errors, ScoringError, SettingsError
from .inputs import read_text_file
from .jsonl import to_line
from .parquet_schema import load_pyarrow
from .pipelines import GuardOptions
from .ray_dataset import Actors, make_scorer, map_actors, score_dataset
from .record import PART, Record, Source, list_files, make_batches
from .result_files import read_results
from .results import Counts
from .run_state import LOCK_NAME, STATE_NAME

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

# Bytes that go to an actor at once: small, so that all actors are busy to the end.
_BLOCK = 2**18

_SUFFIXES = (".jsonl", ".parquet")
_HIDDEN = (STATE_NAME, LOCK_NAME)  # from a run in one process

# Must differ from what actors request, or Ray reads whole files inside the actors.
_READING: dict[str, Any] = {"num_cpus": 0.5}


class ScoreLines:
    """Like `ScoreTexts`, but for the records of JSON lines files, which need not all
    have the same fields: takes a table of records and returns a table of lines."""

    def __init__(
        self, options: "GuardOptions | Mapping[str, Any] | None", *, threads: int
    ) -> None:
        """options, threads: As in `ScoreTexts`."""
        self.scorer = make_scorer(options, threads)

    def __call__(self, batch: "pyarrow.Table") -> "pyarrow.Table":
        """batch (pyarrow.Table): From `_read_files`.
        RETURNS (pyarrow.Table): The column `line` with a result for each record."""
        pa = load_pyarrow()
        records = [
            Record(**{**row, "fields": json.loads(row["fields"])})
            for row in batch.to_pylist()
        ]
        lines = [to_line(result) for result in self.scorer.score(records)]
        return pa.table({"line": pa.array(lines, pa.binary())})


def _holds_parts(folder: Path) -> bool:
    """RETURNS (bool): Whether a folder holds only results, which a run may replace."""
    return folder.is_dir() and all(
        path.is_file() and (path.suffix in _SUFFIXES or path.name in _HIDDEN)
        for path in folder.iterdir()
    )


@dataclass
class FolderRun:
    """Scores a folder of JSON lines or Parquet files into a folder of parts, which
    appears once it is complete. All nodes must see both folders under the same path."""

    source: Path
    output: Path
    options: "GuardOptions | Mapping[str, Any] | None" = None
    text_key: str = "text"
    actors: Actors = field(default_factory=Actors)
    overwrite: bool = False

    def run(self) -> Counts:
        """RETURNS (Counts): How many records were scored.
        RAISES (SettingsError): As in `check`.
        RAISES (ScoringError): Ray failed. `output` is unchanged."""
        files = self.check()
        with replace_folder(self.output.resolve()) as aside:
            self._write(files, aside)
            return _count(aside)

    def check(self) -> list[Path]:
        """RETURNS (List[Path]): The files to read, by name.
        RAISES (SettingsError): A folder cannot be read or written."""
        source, output = self.source.resolve(), self.output.resolve()
        files = list_files(source, *_SUFFIXES)
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
                rows = ray.data.read_parquet(names, **_READING)
                scored = score_dataset(
                    rows, self.options, text_key=self.text_key, actors=self.actors
                )
                scored.write_parquet(str(folder), min_rows_per_file=PART)
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
            **_READING,
        )
        scored = map_actors(rows, ScoreLines, self.options, self.actors)
        scored.write_datasink(_lines_sink(str(folder)))


def _read_files(
    batch: Mapping[str, Any], *, text_key: str
) -> "Iterator[pyarrow.Table]":
    """Read files as tables of records, without loading a whole file."""
    pa = load_pyarrow()
    schema = pa.schema(
        [
            ("number", pa.int64()),
            ("fields", pa.string()),  # JSON: records need not have the same fields
            ("text", pa.string()),
            ("problem", pa.string()),
        ]
    )
    for name in batch["item"]:
        source = Source(str(name), "jsonl", text_key)
        for records in make_batches(read_text_file(source)):
            rows = [
                {**vars(record), "fields": json.dumps(record.fields)}
                for record in records
            ]
            yield pa.Table.from_pylist(rows, schema)


def _lines_sink(folder: str) -> Any:
    """RETURNS (Datasink): Writes the column `line` to .jsonl files."""
    from ray.data.datasource import BlockBasedFileDatasink

    class LinesSink(BlockBasedFileDatasink):
        def write_block_to_file(self, block: Any, file: Any) -> None:
            for line in block.to_arrow().column("line"):
                file.write(line.as_py())

    return LinesSink(folder, file_format="jsonl", min_rows_per_file=PART)


def _explain(error: Exception) -> DuoGuardError:
    """Find our own error at the end of Ray's report, if there is one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DuoGuardError):
        cause = getattr(cause, "cause", None) or cause.__cause__
    if isinstance(cause, DuoGuardError):
        return ScoringError(str(cause))
    # An actor that failed to start leaves only a traceback.
    coded = re.findall(r"spacy_duoguard\.errors\.\w+: (\[E\d+\] .*)", str(error))
    if coded:
        return ScoringError(coded[-1])
    # Only our own messages are known never to quote a text.
    return ScoringError(Errors.E161.format(kind=type(error).__name__))


def _count(folder: Path) -> Counts:
    counts = Counts()
    for path in folder.iterdir():
        for results in make_batches(read_results(path, columns=("status", "flags"))):
            counts = counts.add(results)
    return counts
