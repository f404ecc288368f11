"""Score a Ray dataset with actors that each load the model once.

Ray is imported inside the functions: `pip install "spacy-duoguard[ray]"` installs it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...errors import Errors, SettingsError
from ..batches import make_batches
from ..parquet import holds_messages, result_columns, to_table
from ..parquet_schema import check_no_json, load_pyarrow
from ..pipelines import GuardOptions, load_guard
from ..record import BATCH, check_columns
from ..results import output_names
from ..scorer import RecordScorer
from .table_rows import TableRow, make_table_rows

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset


@dataclass(frozen=True)
class Actors:
    """How many processes score, and what each requests from the cluster."""

    count: int = 2
    cpus: int = 1  # per actor, and the number of its torch threads
    gpus: float = 0.0  # per actor; with less than 1, actors share a GPU

    def __post_init__(self) -> None:
        """RAISES (SettingsError): A value is out of range."""
        for name, value, least in (
            ("actors", self.count, 1),
            ("cpus", self.cpus, 1),
            ("gpus", self.gpus, 0),
        ):
            if not value >= least:
                message = Errors.E156.format(name=name, value=value, least=least)
                raise SettingsError(message)


class ScoreTexts:
    """Scores the batches of a Ray dataset. Pass it to `Dataset.map_batches` with an
    actor pool, as `score_dataset` does, and each actor loads the model once.

    The columns of the result follow the dataset's: `cats` (a struct with the categories
    and `unsafe`), `flags`, `status`, `sentences` and `error`. A row that cannot be
    scored has an `error`, all scores 1.0 and the status "error". Columns of the dataset
    that have one of these names are renamed to "input_<name>".
    """

    def __init__(
        self,
        options: "GuardOptions | Mapping[str, Any] | None" = None,
        *,
        text_key: str = "text",
        threads: int = 1,
    ) -> None:
        """options (Optional[Union[GuardOptions, Mapping[str, Any]]]): The model and how
            to score: a `GuardOptions`, or its fields as a mapping.
        text_key (str): The column with the texts.
        threads (int): The number of torch threads in this actor.
        RAISES (DuoGuardError): The model cannot be loaded.
        """
        self.text_key = text_key
        self.scorer = make_scorer(options, threads)

    def __call__(self, batch: "pyarrow.Table | Mapping[str, Any]") -> "pyarrow.Table":
        """batch (Union[pyarrow.Table, Mapping[str, ndarray]]): Some rows.
        RETURNS (pyarrow.Table): The same rows in the same order, with results.
        RAISES (SettingsError): There is no column with the name `text_key`, it holds
            JSON, or the batch can't become a table."""
        table = _to_table(batch)
        check_columns(table.schema.names, self.text_key, name="The dataset")
        check_no_json(table.schema.field(self.text_key), path="the dataset")
        rows = (
            row
            for part in table.to_batches()
            for row in make_table_rows(part, self.text_key, first=1, with_fields=False)
        )
        scored = [
            score_rows(self.scorer, batch, table.schema, self.text_key)[0]
            for batch in make_batches(rows, measure=lambda row: row.size)
        ]
        if not scored:
            scored = [score_rows(self.scorer, [], table.schema, self.text_key)[0]]
        # The rows of a dataset have no numbers.
        return load_pyarrow().concat_tables(scored).drop_columns("record")


def _to_table(batch: Any) -> "pyarrow.Table":
    pa = load_pyarrow()
    if isinstance(batch, pa.Table):
        return batch
    if not isinstance(batch, Mapping):
        problem = f"it has the type '{type(batch).__name__}'"
        raise SettingsError(Errors.E321.format(problem=problem))
    columns = {}
    for name, values in batch.items():
        # Of NumPy's strings, pyarrow leaves out what follows a NUL.
        is_text = getattr(getattr(values, "dtype", None), "kind", None) in ("U", "S")
        try:
            columns[name] = pa.array(values.tolist() if is_text else values)
        except (pa.ArrowException, ValueError, OverflowError, TypeError) as e:
            problem = f"the column {name!r} can't be converted ({type(e).__name__})"
            # Not chained: the message of the cause can quote a text.
            raise SettingsError(Errors.E321.format(problem=problem)) from None
    try:
        return pa.table(columns)
    except pa.ArrowException as e:
        problem = f"its columns don't go together ({type(e).__name__})"
        raise SettingsError(Errors.E321.format(problem=problem)) from e


def score_rows(
    scorer: RecordScorer,
    rows: Sequence[TableRow],
    schema: "pyarrow.Schema",
    text_key: str,
) -> "tuple[pyarrow.Table, list[dict]]":
    """Score a batch of rows. Their other columns are not converted, so their types and
    values stay as they are.

    scorer (RecordScorer): What to score with.
    rows (Sequence[TableRow]): The rows.
    schema (pyarrow.Schema): Their columns.
    text_key (str): The column with the texts.
    RETURNS (Tuple[pyarrow.Table, List[Dict]]): The same rows in the same order, with
        the columns of results, and these results.
    """
    pa = load_pyarrow()
    turns = holds_messages(schema, text_key)
    columns = result_columns(scorer.labels, replace(scorer.columns, turns=turns))
    results = scorer.score([row.record for row in rows])
    scored = to_table(results, columns)
    table = pa.Table.from_batches([row.cells for row in rows], schema).combine_chunks()
    table = table.rename_columns(output_names(schema.names))
    for column in columns:
        table = table.append_column(column, scored.column(column.name))
    return table, results


def make_scorer(options: Any, threads: int) -> RecordScorer:
    """options (Optional[Union[GuardOptions, Mapping[str, Any]]]): As in `ScoreTexts`.
    threads (int): The number of torch threads.
    RETURNS (RecordScorer): The scorer of an actor."""
    options = _to_options(options)
    torch.set_num_threads(threads)
    return RecordScorer(load_guard(options), curve=options.curve)


def _to_options(options: Any) -> GuardOptions:
    if isinstance(options, GuardOptions):
        return options
    return GuardOptions(**(options or {}))


def score_dataset(
    dataset: "Dataset",
    options: "GuardOptions | Mapping[str, Any] | None" = None,
    *,
    text_key: str = "text",
    actors: Actors = Actors(),
) -> "Dataset":
    """Score a Ray dataset.

    dataset (ray.data.Dataset): A dataset with a column of texts.
    options (Optional[Union[GuardOptions, Mapping[str, Any]]]): As in `ScoreTexts`.
    text_key (str): The column with the texts.
    actors (Actors): The pool of actors. Leave the cluster a CPU for reading and
        writing: Ray Data waits forever for a CPU that the actors hold.
    RETURNS (ray.data.Dataset): The dataset with the columns of results.
    """
    from ray.data import ActorPoolStrategy

    return dataset.map_batches(
        ScoreTexts,
        fn_constructor_kwargs={
            "options": resolve(options, actors),
            "threads": actors.cpus,
            "text_key": text_key,
        },
        batch_format="pyarrow",
        batch_size=BATCH,
        compute=ActorPoolStrategy(size=actors.count),
        num_cpus=actors.cpus,
        num_gpus=actors.gpus,
    )


def resolve(options: Any, actors: Actors) -> GuardOptions:
    """Resolve what depends on the machine. With the device "auto", actors use only what
    they request from the cluster: any other GPU belongs to somebody else.

    options (Optional[Union[GuardOptions, Mapping[str, Any]]]): As in `ScoreTexts`.
    actors (Actors): What actors request.
    RETURNS (GuardOptions): The options for the actors."""
    options = _to_options(options)
    if Path(options.model).is_dir():  # actors have another working directory
        options = replace(options, model=str(Path(options.model).resolve()))
    if options.device == "auto":
        options = replace(options, device="cuda" if actors.gpus else "cpu")
    return options


def connect(actors: Actors, *, address: str | None = None) -> None:
    """Connect to a Ray cluster, or start a local one that has room for the actors.

    actors (Actors): The actors to make room for.
    address (Optional[str]): The cluster: "host:6379", "ray://host:10001" or "auto". By
        default the one in RAY_ADDRESS, else a local one.
    RAISES (SettingsError): Ray is not installed, or the cluster is too small.
    """
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise SettingsError(Errors.E157)
    import ray

    cpus, gpus = actors.count * actors.cpus + 1, actors.count * actors.gpus
    address = address or os.environ.get("RAY_ADDRESS")
    if not ray.is_initialized():
        if address:
            ray.init(address=address)
        else:
            num_cpus = max(cpus, os.cpu_count() or 1)
            ray.init(address="local", num_cpus=num_cpus, include_dashboard=False)
    resources = ray.cluster_resources()
    cpus_there, gpus_there = resources.get("CPU", 0), resources.get("GPU", 0)
    if cpus_there < cpus or gpus_there < gpus:
        message = Errors.E158.format(
            actors=actors.count,
            cpus=f"{cpus_there:g} of {cpus}",
            gpus=f"{gpus_there:g} of {gpus:g}",
        )
        raise SettingsError(message)
