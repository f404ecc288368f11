"""Moderate a text: print the scores and flags of the document, and its flagged
sentences.

python examples/quickstart.py [--model NAME_OR_FOLDER] [--file TEXT_FILE]
"""

import argparse
from pathlib import Path

import spacy
from spacy.tokens import Doc

TEXT = """\
Thanks for joining the neighbourhood forum! Before you post, please read the house \
rules. They are short, and they keep this a friendly place for everybody.

Last week's thread about the new bicycle lane went wrong. Somebody wrote: "I hate you \
all, you are disgusting animals." Minutes later: "Shut up or I will find you and kill \
you, you stupid bitch." Several members told us that they felt threatened.

So from today each post is checked before it appears. Recipes, lost cats and questions \
like how to kill a hanging Python process are as welcome as ever. If your post was \
held back by mistake, write to us and a person will look at it within a day.
"""


def main() -> None:
    """Read the arguments, build the pipeline and print its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo", help="hub name or folder")
    parser.add_argument("--file", type=Path, help="a text file instead of the example")
    args = parser.parse_args()
    text = args.file.read_text(encoding="utf8") if args.file else TEXT

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    config = {"sents": True, "model": {"name": args.model}}
    nlp.add_pipe("duoguard", config=config)
    print_report(nlp(text))


def print_report(doc: Doc) -> None:
    """doc (Doc): A doc scored by the component."""
    print(f"\nDocument: {len(doc.text)} characters, status {doc._.duoguard_status}\n")
    flags = doc._.duoguard_flags
    for label, score in doc._.duoguard_cats.items():
        mark = "flagged" if label in flags else ""
        print(
            f"  {label:<26} {score:6.3f}  {'#' * round(score * 30):<30} {mark}".rstrip()
        )

    sentences = [sent for sent in doc.sents if not sent.text.isspace()]
    flagged = [(span, span._.duoguard_cats) for span in sentences if is_flagged(span)]
    print(f"\nFlags of the document: {', '.join(flags) or 'none'}")
    print(f"Flagged sentences: {len(flagged)} of {len(sentences)}\n")
    for sentence, cats in flagged:
        label = max((key for key in cats if key != "unsafe"), key=cats.__getitem__)
        print(f"  {cats['unsafe']:.3f}  {label}: {' '.join(sentence.text.split())}")


def is_flagged(span: spacy.tokens.Span) -> bool:
    """Whether the component added the span to its group of flagged spans."""
    group = span.doc.spans["duoguard"]
    return any(
        (span.start, span.end) == (flagged.start, flagged.end) for flagged in group
    )


if __name__ == "__main__":
    main()
