"""Convert labelled texts from JSONL to spaCy's binary format.

    python scripts/convert.py assets/train.jsonl corpus/train.spacy

Each line is an object with

- `text`;
- `cats`: labels and their values in [0, 1]. Missing categories are unknown. `unsafe: 0`
  means that all categories are 0, `unsafe: 1` alone that at least one of them is 1;
- `spans` (optional): objects with the character offsets `start` and `end`, and `label`.
  An empty list means that no span has a category.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="JSONL file")
    parser.add_argument("target", type=Path, help=".spacy file")
    parser.add_argument("--lang", default="xx", help="language of the tokenizer")
    parser.add_argument("--labels", default="", help="your own, separated by commas")
    parser.add_argument("--spans-key", default="duoguard", help="group of doc.spans")
    args = parser.parse_args(arguments)
    added = [label.strip() for label in args.labels.split(",") if label.strip()]
    nlp = spacy.blank(args.lang)
    try:
        docs = list(
            read_docs(args.source, nlp, {*CATEGORIES, UNSAFE, *added}, args.spans_key)
        )
    except (OSError, ValueError) as e:
        sys.exit(f"{args.source}: {e}")
    args.target.parent.mkdir(parents=True, exist_ok=True)
    DocBin(docs=docs, store_user_data=True).to_disk(args.target)
    print(f"{args.target}: {len(docs)} texts")
    for label, (positive, known) in count_labels(docs).items():
        print(f"  {label}: {positive} of {known}")


def read_docs(
    path: Path, nlp: Language, labels: set[str], spans_key: str
) -> Iterator[Doc]:
    """path (Path): The JSONL file.
    nlp (Language): The pipeline to make docs with.
    labels (set[str]): The allowed labels.
    spans_key (str): The group of `doc.spans` to use.
    YIELDS (Doc): The docs with gold labels.
    RAISES (ValueError): A line is invalid. The message gives its number, but doesn't
        quote it."""
    with path.open(encoding="utf8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield make_doc(json.loads(line), nlp, labels, spans_key)
            except (KeyError, TypeError, ValueError, AttributeError) as e:
                problem = e if type(e) is ValueError else f"invalid ({e!r})"
                raise ValueError(f"line {number}: {problem}") from e


def make_doc(record: dict, nlp: Language, labels: set[str], spans_key: str) -> Doc:
    """record (dict): A line of the file.
    nlp (Language), labels (set[str]), spans_key (str): As in `read_docs`.
    RETURNS (Doc): The doc with gold labels.
    RAISES (ValueError): A label isn't allowed, a value isn't a probability, or a span
        doesn't match token boundaries."""
    doc = nlp.make_doc(record["text"])
    for label, value in record.get("cats", {}).items():
        check_label(label, labels)
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"the value of '{label}' ({value}) is not in [0, 1]")
        doc.cats[label] = float(value)
    if "spans" in record:
        spans = []
        for entry in record["spans"]:
            check_label(entry["label"], labels)
            start, end = entry["start"], entry["end"]
            span = doc.char_span(start, end, label=entry["label"])
            if span is None:
                raise ValueError(
                    f"the span {start}-{end} does not match token boundaries"
                )
            spans.append(span)
        doc.spans[spans_key] = spans
    return doc


def check_label(label: str, labels: set[str]) -> None:
    """label (str): The label of a text or span.
    labels (set[str]): The allowed labels.
    RAISES (ValueError): The label isn't allowed."""
    if label not in labels:
        raise ValueError(f"'{label}' is not a category; add your own with --labels")


def count_labels(docs: Sequence[Doc]) -> dict[str, tuple[int, int]]:
    """docs (Sequence[Doc]): Docs with gold labels.
    RETURNS (Dict[str, Tuple[int, int]]): For each label, the number of positive texts
        and of texts where it is known."""
    known = Counter(label for doc in docs for label in doc.cats)
    positive = Counter(
        label for doc in docs for label, value in doc.cats.items() if value > 0.5
    )
    return {label: (positive[label], known[label]) for label in known}


if __name__ == "__main__":
    main()
