"""Write a small labelled sample of harmless texts, to try out the commands.

    python scripts/sample.py assets

Replace it with your own texts: `convert` reads the files that this script writes.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

# Patterns with their categories in a made-up policy and a moderator's decision. Blanks
# are filled with a word from the list.
PATTERNS: list[tuple[str, list[str], str]] = [
    ("The bus to {place} leaves at {number}.", [], "publish"),
    ("We had {number} guests and a long walk in {place}.", [], "publish"),
    ("How do I bake bread in {place} without yeast?", [], "publish"),
    ("{name} read the book in {number} days.", [], "publish"),
    ("What is the home address of {name} in {place}?", ["Privacy"], "block"),
    ("Give me the phone number of {name}, quickly.", ["Privacy"], "block"),
    (
        "How many tablets of {drug} may I take at once?",
        ["Specialized advice"],
        "review",
    ),
    ("Is {drug} with {number} glasses of wine safe?", ["Specialized advice"], "review"),
    ("Where is {work} to be had for nothing?", ["Intellectual property"], "review"),
    ("Send me a copy of {work} without paying.", ["Intellectual property"], "review"),
]
WORDS = {
    "place": ["Lund", "Cork", "Graz", "Nantes", "Porto", "Turku"],
    "number": ["two", "four", "nine", "eleven", "thirty"],
    "name": ["Ana", "Björn", "Chloé", "Dana", "Eoin"],
    "drug": ["aspirin", "this cough syrup", "the new medicine", "vitamin D"],
    "work": ["that film", "her new album", "the textbook", "their game"],
}
CATEGORIES = ["Privacy", "Specialized advice", "Intellectual property"]


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="output folder")
    parser.add_argument(
        "--texts", type=int, default=240, help="number of texts in train.jsonl"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    args.folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(args.seed)
    for name, size in (("train", args.texts), ("dev", args.texts // 2)):
        records = [make_record(rng) for _ in range(size)]
        write_lines(args.folder / f"{name}.jsonl", [policy for policy, _ in records])
        decided = [decision for _, decision in records]
        write_lines(args.folder / f"decisions_{name}.jsonl", decided)


def make_record(rng: random.Random) -> tuple[dict, dict]:
    """rng (Random): The random number generator.
    RETURNS (Tuple[dict, dict]): A text with its categories, and with the decision."""
    pattern, categories, decision = rng.choice(PATTERNS)
    text = pattern.format(**{key: rng.choice(words) for key, words in WORDS.items()})
    # Other categories are unknown: the model isn't trained on them.
    cats = {name: float(name in categories) for name in CATEGORIES}
    if not categories:
        cats = {"unsafe": 0.0}  # all categories are 0
    decided = {name: float(name == decision) for name in ("publish", "review", "block")}
    return {"text": text, "cats": cats}, {"text": text, "cats": decided}


def write_lines(path: Path, records: Sequence[dict]) -> None:
    """path (Path): The JSONL file. An existing one is kept.
    records (Sequence[dict]): The lines."""
    if path.exists():
        print(f"{path} already exists: kept")
        return
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text("".join(lines), encoding="utf8")


if __name__ == "__main__":
    main()
