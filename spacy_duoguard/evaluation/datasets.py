"""Read the six files of the paper's evaluation."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Errors, SettingsError

# In the order of the paper's tables.
LANGUAGES: tuple[str, ...] = ("En", "Fr", "Es", "De")

_MAX_CELL = 16 * 2**20  # characters; completions in XSTest have a few thousand

Row = tuple[str, bool]  # a text and whether it is unsafe


@dataclass(frozen=True)
class Dataset:
    """A file in the folder of a language, and how to read it."""

    filename: str
    rows: Callable[[Path], Iterator[dict[str, Any]]]
    read: Callable[[dict[str, Any]], Row]


def _read_flag(row: dict[str, Any]) -> Row:
    return row["prompt"], _to_bool(row["moderation_flag"])


def _read_class(row: dict[str, Any]) -> Row:
    return row["prompt"], _to_bool(row["class"])


def _read_answer(row: dict[str, Any]) -> Row:
    """BeaverTails: the prompt and the response, joined as in the paper."""
    return f"{row['prompt']} {row['response']}", not _to_bool(row["is_safe"])


def _read_xstest(row: dict[str, Any]) -> Row:
    """XSTest: only the prompt is scored. The contrast prompts are the unsafe ones."""
    return row["prompt"], row["type"].startswith("contrast_")


def _to_bool(value: Any) -> bool:
    if value not in (0, 1):  # true for False and True as well
        raise ValueError("a class that is neither 0 nor 1")
    return bool(value)


def _json(path: Path) -> Iterator[dict[str, Any]]:
    yield from json.loads(path.read_text(encoding="utf8"))


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf8") as handle:
        for line in handle:
            if line.strip():
                yield json.loads(line)


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    before = csv.field_size_limit(_MAX_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            yield from csv.DictReader(handle, strict=True)
    finally:
        csv.field_size_limit(before)


DATASETS: tuple[Dataset, ...] = (
    Dataset("XSafety.json", _json, _read_class),
    Dataset("openai.json", _json, _read_flag),
    Dataset("toxic_chat.json", _json, _read_flag),
    Dataset("beavertail_test.jsonl", _json_lines, _read_answer),
    Dataset("rtp_lx_prompt.json", _json, _read_class),
    Dataset("xstest_v2_completions_gpt4_gpteval.csv", _csv, _read_xstest),
)


def list_inputs(folder: Path, languages: Iterable[str]) -> list[Path]:
    """folder (Path): Has a folder for each language.
    languages (Iterable[str]): The languages.
    RETURNS (List[Path]): The files that may be read, whether they exist or not."""
    return [
        folder / language / dataset.filename
        for language in languages
        for dataset in DATASETS
    ]


def load_rows(dataset: Dataset, path: Path) -> list[Row]:
    """Read a file. One damaged row fails it, as the rest would give different figures.

    dataset (Dataset): How to read it.
    path (Path): The file.
    RETURNS (List[Row]): Its texts, and whether they are unsafe.
    RAISES (SettingsError): The file is damaged. The message never quotes a text.
    """
    rows: list[Row] = []
    try:
        for row in dataset.rows(path):
            text, unsafe = dataset.read(row)
            if not isinstance(text, str):
                raise TypeError("a text that is not a string")
            rows.append((text, unsafe))
    except KeyError as e:
        raise _damaged(path, rows, f"no field {e}") from e
    except (
        OSError,
        csv.Error,
        UnicodeDecodeError,
        json.JSONDecodeError,
        RecursionError,
    ) as e:
        raise _damaged(path, rows, type(e).__name__) from e
    except (TypeError, AttributeError, ValueError) as e:
        known = type(e) is ValueError or str(e).startswith("a text that")
        raise _damaged(path, rows, str(e) if known else type(e).__name__) from e
    if not rows:
        raise _damaged(path, rows, "no rows")
    return rows


def _damaged(path: Path, rows: list[Row], problem: str) -> SettingsError:
    message = Errors.E145.format(path=path, number=len(rows) + 1, problem=problem)
    return SettingsError(message)
