"""Convert labelled texts from JSONL to spaCy's binary format.

    python scripts/convert.py assets/train.jsonl corpus/train.spacy

Each line is an object with

- `text`;
- `cats`: labels and their values in [0, 1]. A category that is left out is not known.
  `unsafe: 0` says that all categories are 0, `unsafe: 1` alone that one of them, which
  is not known, is 1;
- `spans`, if spans are labelled: objects with `start` and `end`, counted in characters,
  and `label`. An empty list says that no span has a category.
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
    """arguments (Optional[Sequence[str]]): Of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="JSONL file")
    parser.add_argument("target", type=Path, help=".spacy file")
    parser.add_argument("--lang", default="xx", help="whose tokenizer cuts the spans")
    parser.add_argument("--labels", default="", help="of your own, between commas")
    parser.add_argument("--spans-key", default="duoguard", help="group of doc.spans")
    args = parser.parse_args(arguments)
    own = [label.strip() for label in args.labels.split(",") if label.strip()]
    nlp = spacy.blank(args.lang)
    try:
        docs = list(
            read_docs(args.source, nlp, {*CATEGORIES, UNSAFE, *own}, args.spans_key)
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
    nlp (Language): Makes docs.
    labels (set[str]): That are allowed.
    spans_key (str): Where spans go.
    YIELDS (Doc): With gold labels.
    RAISES (ValueError): A line is not as described; it is named, and not quoted."""
    with path.open(encoding="utf8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield make_doc(json.loads(line), nlp, labels, spans_key)
            except (KeyError, TypeError, ValueError, AttributeError) as e:
                problem = e if type(e) is ValueError else f"not as described ({e!r})"
                raise ValueError(f"line {number}: {problem}") from e


def make_doc(record: dict, nlp: Language, labels: set[str], spans_key: str) -> Doc:
    """record (dict): A line of the file. The rest is as in `read_docs`.
    RETURNS (Doc): With gold labels.
    RAISES (ValueError): A label that is not allowed, a value that is no probability, or
        a span between tokens."""
    doc = nlp.make_doc(record["text"])
    for label, value in record.get("cats", {}).items():
        check_label(label, labels)
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"the value of '{label}' ({value}) is not in [0, 1]")
        doc.cats[label] = float(value)
    if "spans" in record:
        spans = []
        for place in record["spans"]:
            check_label(place["label"], labels)
            start, end = place["start"], place["end"]
            span = doc.char_span(start, end, label=place["label"])
            if span is None:
                raise ValueError(f"the span {start}-{end} does not end with tokens")
            spans.append(span)
        doc.spans[spans_key] = spans
    return doc


def check_label(label: str, labels: set[str]) -> None:
    """label (str): Of a text or span. labels (set[str]): That are allowed.
    RAISES (ValueError): It is none of them."""
    if label not in labels:
        raise ValueError(f"'{label}' is no category; name your own with --labels")


def count_labels(docs: Sequence[Doc]) -> dict[str, tuple[int, int]]:
    """docs (Sequence[Doc]): With gold labels.
    RETURNS (Dict[str, Tuple[int, int]]): For each label the positive texts, and those
        where it is known."""
    known = Counter(label for doc in docs for label in doc.cats)
    positive = Counter(
        label for doc in docs for label, value in doc.cats.items() if value > 0.5
    )
    return {label: (positive[label], known[label]) for label in known}


if __name__ == "__main__":
    main()
