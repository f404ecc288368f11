"""Scoring on a Ray cluster: actors that load the model once, over a Ray dataset.

Ray is imported inside the functions: `pip install "spacy-duoguard[ray]"` brings it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Errors, SettingsError

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

    from .inputs import Record
    from .pipelines import GuardOptions
    from .scorer import RecordScorer

# Records of a batch, as where one process scores.
BATCH = 128


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
        self.scorer = make_scorer(options, threads)

    def __call__(self, batch: "pyarrow.Table | Mapping[str, Any]") -> "pyarrow.Table":
        """batch (Union[pyarrow.Table, Mapping[str, ndarray]]): Some rows.
        RETURNS (pyarrow.Table): The same rows in the same order, with results.
        RAISES (SettingsError): There is no column with that name."""
        import pyarrow as pa

        from .inputs import check_columns
        from .parquet import result_columns
        from .results import kept_names

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
    from .inputs import Record

    if isinstance(text, str):
        return Record(0, {}, text)
    kind = "null" if text is None else f"of type '{type(text).__name__}'"
    return Record(0, {}, "", f"'{key}' is {kind}, not a string")


def make_scorer(options: Any, threads: int) -> "RecordScorer":
    import torch

    from .pipelines import GuardOptions, load_guard
    from .scorer import RecordScorer

    if not isinstance(options, GuardOptions):
        options = GuardOptions(**(options or {}))
    torch.set_num_threads(threads)
    return RecordScorer(load_guard(options), curve=options.curve)


def score_dataset(
    dataset: "Dataset",
    options: "GuardOptions | Mapping[str, Any] | None" = None,
    *,
    text_key: str = "text",
    actors: Actors = Actors(),
) -> "Dataset":
    """Score a Ray dataset, from wherever it was read to wherever it is written.

    dataset (ray.data.Dataset): With a column of texts.
    options (Optional[Union[GuardOptions, Mapping[str, Any]]]): As in `ScoreTexts`.
    text_key (str): The column with the texts.
    actors (Actors): Of the pool. It must leave the cluster a CPU for reading and
        writing: Ray Data waits for ever for a CPU that the actors hold.
    RETURNS (ray.data.Dataset): With the columns of results.
    """
    return map_actors(dataset, ScoreTexts, options, actors, text_key=text_key)


def map_actors(
    dataset: "Dataset", cls: type, options: Any, actors: Actors, **arguments: Any
) -> "Dataset":
    """dataset (ray.data.Dataset): What to map.
    cls (type): `ScoreTexts`, or what is made as it is.
    options, actors: As in `score_dataset`.
    arguments: Others that the class takes.
    RETURNS (ray.data.Dataset): Mapped by a pool of actors of that class."""
    from ray.data import ActorPoolStrategy

    options = _resolve(options, actors)
    return dataset.map_batches(
        cls,
        fn_constructor_kwargs={
            "options": options,
            "threads": actors.cpus,
            **arguments,
        },
        batch_format="pyarrow",
        batch_size=BATCH,
        compute=ActorPoolStrategy(size=actors.count),
        num_cpus=actors.cpus,
        num_gpus=actors.gpus,
    )


def _resolve(options: Any, actors: Actors) -> "GuardOptions":
    """What is not said of the device is what the actors ask the cluster for: a GPU that
    was not asked for belongs to others."""
    from .pipelines import GuardOptions

    if not isinstance(options, GuardOptions):
        options = GuardOptions(**(options or {}))
    if Path(options.model).is_dir():  # an actor has another working folder
        options = replace(options, model=str(Path(options.model).resolve()))
    if options.device == "auto":
        options = replace(options, device="cuda" if actors.gpus else "cpu")
    return options


def connect(actors: Actors, *, address: str | None = None) -> None:
    """Connect to a Ray cluster, or start a local one that has room for the actors.

    actors (Actors): To make room for.
    address (Optional[str]): Of a cluster, as "host:6379", "ray://host:10001" or "auto";
        None: that of RAY_ADDRESS, else a local one.
    RAISES (SettingsError): Ray is not installed, or the cluster is too small.
    """
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
