"""Stand in for a moderator, to measure what corrections on the review page do.

    python scripts/corrections.py texts duoguard-eval corrections
    python scripts/corrections.py mark duoguard-eval corrections --seed 0

`texts` writes the English rows of ToxicChat to corrections/texts.jsonl, which
`duoguard score` then turns into corrections/results.jsonl. `mark` corrects some of
them, chosen at random, as a moderator would who agrees with the gold labels, and writes

- marks.jsonl: the corrections, in the form that the review page exports;
- rest.jsonl: the gold of all other rows, to measure on.
"""

import argparse
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from spacy_duoguard.taxonomy import CATEGORIES


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=("texts", "mark"))
    parser.add_argument("data", type=Path, help="folder with the evaluation files")
    parser.add_argument("folder", type=Path, help="folder to write to")
    parser.add_argument("--count", type=int, default=200, help="rows to correct")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    rows = read_rows(args.data)
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.step == "texts":
        texts = [{"text": text} for text in rows]
        write_lines(args.folder / "texts.jsonl", texts)
        return
    numbers = dict(zip(rows, range(1, len(rows) + 1), strict=True))
    flags = read_flags(args.folder / "results.jsonl")
    chosen = set(random.Random(args.seed).sample(list(rows), args.count))
    marks = (
        mark
        for text in chosen
        for mark in make_marks(text, rows[text], numbers[text], flags[text])
    )
    write_lines(args.folder / "marks.jsonl", sorted(marks, key=order))
    rest = (
        {"text": text, "unsafe": int(rows[text] is not None)}
        for text in rows
        if text not in chosen
    )
    write_lines(args.folder / "rest.jsonl", rest)


def read_rows(data: Path) -> dict[str, list[str] | None]:
    """data (Path): The folder with the evaluation files.
    RETURNS (Dict[str, Optional[List[str]]]): For each text of ToxicChat, None if it is
        safe, else its categories, of which a few rows have none."""
    content = (data / "En" / "toxic_chat.json").read_text(encoding="utf8")
    rows: dict[str, list[str] | None] = {}
    for row in json.loads(content):
        named = None
        if row["moderation_flag"]:
            result = row["parsed_result"]["MODERATION_RESULT"]
            codes = {name.split("(")[0] for name, value in result.items() if value}
            named = [c for i, c in enumerate(CATEGORIES, 1) if f"C{i}" in codes]
        rows[row["prompt"]] = named
    return rows


def read_flags(results: Path) -> dict[str, list[str]]:
    """results (Path): What `duoguard score` wrote.
    RETURNS (Dict[str, List[str]]): The flags of each text."""
    lines = results.read_text(encoding="utf8").split("\n")
    scored = [json.loads(line) for line in lines if line]
    return {result["text"]: result["flags"] for result in scored}


def make_marks(
    text: str, categories: list[str] | None, record: int, flags: list[str]
) -> list[dict]:
    """text (str): The text to correct.
    categories (Optional[List[str]]): Its categories, None if it is safe.
    record (int): Its number.
    flags (List[str]): What the model flagged.
    RETURNS (List[dict]): A mark for each category. If a text is unsafe and has none of
        them, the moderator is unsure about all."""

    def answer(category: str) -> str:
        if categories == []:
            return "ignore"
        return "accept" if category in (categories or ()) else "reject"

    meta = {"unit": "document", "source": "results.jsonl", "record": record}
    return [
        {
            **{"text": text, "label": category, "answer": answer(category)},
            "meta": {**meta, "flagged": category in flags},
        }
        for category in CATEGORIES
    ]


def order(mark: dict) -> tuple[int, int]:
    """mark (dict): A mark. RETURNS (Tuple[int, int]): Its place in the file."""
    return mark["meta"]["record"], CATEGORIES.index(mark["label"])


def write_lines(path: Path, records: Iterable[dict]) -> None:
    """path (Path): The JSON lines file.
    records (Iterable[dict]): The lines."""
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text("".join(lines), encoding="utf8")


if __name__ == "__main__":
    main()
