"""Scoring on a Ray cluster: actors that load the model once, over a Ray dataset.

Ray is imported inside the functions: `pip install "spacy-duoguard[ray]"` brings it.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import DuoGuardError, Errors, ScoringError, SettingsError

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

    from .records.pipeline import GuardOptions
    from .records.reading import Record
    from .records.scoring import RecordScorer

# Records of a batch, as where one process scores.
BATCH = 128

# Bytes that go to an actor at once: small, so that all have work to the end.
_BLOCK = 2**18

# Records of a file that is written.
_PART = 32 * BATCH

# Other than what actors ask for, or Ray would read whole files in the actors.
_APART: dict[str, Any] = {"num_cpus": 0.5}


@dataclass(frozen=True)
class Actors:
    """How many processes score, and what each of them takes of the cluster."""

    count: int = 2
    cpus: int = 1  # of each; torch computes with so many threads
    gpus: float = 0.0  # of each; below 1, actors share a GPU

    def __post_init__(self) -> None:
        """RAISES (SettingsError): Out of range."""
        for name, value, least in (
            ("actors", self.count, 1),
            ("cpus", self.cpus, 1),
            ("gpus", self.gpus, 0),
        ):
            if not value >= least:
                message = Errors.E156.format(name=name, value=value, least=least)
                raise SettingsError(message)


class ScoreTexts:
    """Scores the batches of a Ray dataset: give it to `Dataset.map_batches`, with an
    actor pool, and each actor loads the model once. `score_dataset` does that.

    Columns stay as they are, and those of a result follow: `cats` (a struct with the
    categories and `unsafe`), `flags`, `status`, `sentences`, and for a row that could
    not be scored `error`, all scores 1.0 and the status "error". A column of the input
    that has such a name is kept as "input_<name>".
    """

    def __init__(
        self,
        options: "GuardOptions | Mapping[str, Any] | None" = None,
        *,
        text_key: str = "text",
        threads: int = 1,
    ) -> None:
        """options (Optional[Union[GuardOptions, Mapping[str, Any]]]): The model and how
            to score; as a mapping, the fields of `GuardOptions`.
        text_key (str): The column with the texts.
        threads (int): Torch's threads in this actor.
        RAISES (DuoGuardError): The model cannot be loaded.
        """
        self.text_key = text_key
        self.scorer = _make_scorer(options, threads)

    def __call__(
        self, batch: "pyarrow.Table | Mapping[str, Any]"
    ) -> "pyarrow.Table":
        """batch (Union[pyarrow.Table, Mapping[str, ndarray]]): Some rows.
        RETURNS (pyarrow.Table): The same rows in the same order, with results.
        RAISES (SettingsError): There is no column with that name."""
        import pyarrow as pa

        from .records.parquet import result_columns
        from .records.reading import check_columns
        from .records.results import kept_names

        table = pa.table(dict(batch)) if isinstance(batch, Mapping) else batch
        names = table.schema.names
        check_columns(names, self.text_key, name="The dataset")
        texts = table.column(self.text_key).to_pylist()
        scorer = self.scorer
        results = scorer.score([_record(text, self.text_key) for text in texts])
        table = table.rename_columns(kept_names(names))
        for column in result_columns(scorer.labels, curve=scorer.curve):
            if column.name != "record":  # rows of a dataset have no numbers
                values = [result.get(column.name) for result in results]
                table = table.append_column(column, pa.array(values, column.type))
        return table


def _record(text: Any, key: str) -> "Record":
    """Of a row, whose other columns stay in the table."""
    from .records.reading import Record

    if isinstance(text, str):
        return Record(0, {}, text)
    kind = "null" if text is None else f"of type '{type(text).__name__}'"
    return Record(0, {}, "", f"'{key}' is {kind}, not a string")


class ScoreLines:
    """As `ScoreTexts`, for the records of JSON lines files, whose fields need not be the
    same in all of them: a column of records in, a column of lines out."""

    def __init__(
        self, options: "GuardOptions | Mapping[str, Any] | None", *, threads: int
    ) -> None:
        """options, threads: As in `ScoreTexts`."""
        self.scorer = _make_scorer(options, threads)

    def __call__(self, batch: "pyarrow.Table") -> "pyarrow.Table":
        """batch (pyarrow.Table): From `_read_files`.
        RETURNS (pyarrow.Table): The column `line`: a result for each record."""
        import pyarrow as pa

        from .records.reading import Record
        from .records.writing import to_line

        records = [
            Record(row["number"], json.loads(row["fields"]), row["text"], row["problem"])
            for row in batch.to_pylist()
        ]
        lines = [to_line(result) for result in self.scorer.score(records)]
        return pa.table({"line": pa.array(lines, pa.binary())})


def _make_scorer(options: Any, threads: int) -> "RecordScorer":
    import torch

    from .records.pipeline import GuardOptions, load_guard
    from .records.scoring import RecordScorer

    if not isinstance(options, GuardOptions):
        options = GuardOptions(**(options or {}))
    torch.set_num_threads(threads)
    return RecordScorer(load_guard(options), curve=options.curve)


def score_dataset(
    dataset: "Dataset",
    options: "GuardOptions | Mapping[str, Any] | None" = None,
    *,
    text_key: str = "text",
    actors: Actors = Actors(),  # noqa: B008
) -> "Dataset":
    """Score a Ray dataset, from wherever it was read to wherever it is written.

    dataset (ray.data.Dataset): With a column of texts.
    options (Optional[Union[GuardOptions, Mapping[str, Any]]]): As in `ScoreTexts`.
    text_key (str): The column with the texts.
    actors (Actors): Of the pool. It must leave the cluster a CPU for reading and
        writing: Ray Data waits for ever for a CPU that the actors hold.
    RETURNS (ray.data.Dataset): With the columns of results.
    """
    arguments = {"options": _plain(options), "text_key": text_key}
    return _map(dataset, ScoreTexts, arguments, actors)


def _map(
    dataset: "Dataset", cls: type, arguments: dict[str, Any], actors: Actors
) -> "Dataset":
    from ray.data import ActorPoolStrategy

    return dataset.map_batches(
        cls,
        fn_constructor_kwargs={**arguments, "threads": actors.cpus},
        batch_format="pyarrow",
        batch_size=BATCH,
        compute=ActorPoolStrategy(size=actors.count),
        num_cpus=actors.cpus,
        num_gpus=actors.gpus,
    )


def _plain(options: Any) -> dict[str, Any]:
    """For the journey to an actor."""
    if options is None or isinstance(options, Mapping):
        return dict(options or {})
    return asdict(options)


def connect(actors: Actors, *, address: str | None = None) -> None:
    """Connect to a Ray cluster, or start a local one that has room for the actors.

    actors (Actors): To make room for.
    address (Optional[str]): Of a cluster, as "host:6379", "ray://host:10001" or "auto";
        None: that of RAY_ADDRESS, else a local one.
    RAISES (SettingsError): Ray is not installed, or the cluster is too small.
    """
    import os

    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise SettingsError(Errors.E157)
    import ray

    needed = actors.count * actors.cpus + 1
    address = address or os.environ.get("RAY_ADDRESS")
    if not ray.is_initialized():
        if address:
            ray.init(address=address)
        else:
            cpus = max(needed, os.cpu_count() or 1)
            ray.init(address="local", num_cpus=cpus, include_dashboard=False)
    found = ray.cluster_resources()
    if found.get("CPU", 0) < needed or found.get("GPU", 0) < actors.count * actors.gpus:
        message = Errors.E158.format(
            actors=actors.count,
            cpus=f"{found.get('CPU', 0):g} of {needed}",
            gpus=f"{found.get('GPU', 0):g} of {actors.count * actors.gpus:g}",
        )
        raise SettingsError(message)


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
        RAISES (SettingsError): A folder that cannot be read or written.
        RAISES (ScoringError): Ray gave up: nothing is at `output`."""
        self.source, self.output = self.source.resolve(), self.output.resolve()
        files = self._files()
        if self.output.exists() and not self.overwrite:
            raise SettingsError(Errors.E160.format(path=self.output))
        aside = self.output.with_name(f".{self.output.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            self._write(files, aside)
            counts = _count(aside)
            if self.output.exists():
                shutil.rmtree(self.output)
            aside.rename(self.output)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return counts

    def _files(self) -> list[Path]:
        for suffix in (".jsonl", ".parquet"):
            files = sorted(self.source.glob(f"*{suffix}"))
            if files:
                return [path for path in files if path.name[0] not in "._"]
        raise SettingsError(Errors.E159.format(path=self.source))

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
                rows = ray.data.read_parquet(names, ray_remote_args=_APART)
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
        rows = names.map_batches(
            _read_files,
            batch_size=1,
            fn_kwargs={"text_key": self.text_key},
            **_APART,
        )
        options = {"options": _plain(self.options)}
        scored = _map(rows, ScoreLines, options, self.actors)
        scored.write_datasink(_lines_sink(str(folder)))


def _read_files(
    batch: Mapping[str, Any], *, text_key: str
) -> "Iterator[pyarrow.Table]":
    """Of one file, in blocks that need not fit into memory all at once."""
    import pyarrow as pa

    from .records.reading import open_source
    from .records.run import cut_batches

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
    """What Ray reports ends with what was raised in an actor, if that is what it was."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DuoGuardError):
        cause = getattr(cause, "cause", None) or cause.__cause__
    if isinstance(cause, DuoGuardError):
        return ScoringError(str(cause))
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
