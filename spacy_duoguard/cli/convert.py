"""`convert`: labelled records to corpora for training, and back."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .failures import complain, one_line_errors
from .options import TextKey, Verbose, value_of


class Conflicts(str, Enum):
    refuse = "refuse"
    unknown = "unknown"
    unsafe = "unsafe"
    last = "last"


In = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        help="The records: a .jsonl file, which may be compressed (.gz, .zst), or - "
        "for standard input. Or a .spacy file or folder, to write it as JSON lines",
        show_default=False,
    ),
]
Out = Annotated[
    str,
    typer.Argument(
        metavar="OUT",
        help="The .spacy file, or with --split the folder for train.spacy and "
        "dev.spacy. Or a .jsonl file, or - for standard output",
        show_default=False,
    ),
]
Split = Annotated[
    float | None,
    typer.Option(
        help="Write this share of the texts to dev.spacy and the others to train.spacy",
        show_default=False,
    ),
]
Labels = Annotated[str, typer.Option(help="Your own categories, separated by commas")]
Rename = Annotated[
    list[str] | None,
    typer.Option(
        help="Read a label as a category, e.g. HATE=Hate, or leave it out, e.g. "
        "OTHER=, so that it stays unknown; can be repeated",
        show_default=False,
    ),
]
ConflictsOption = Annotated[
    Conflicts,
    typer.Option(
        help="If records with the same text contradict each other: refuse to write "
        "anything, make the label unknown, take the unsafe answer, or the last one"
    ),
]
Documents = Annotated[
    Path | None,
    typer.Option(
        help="Results that the review page was made of: corrections of sentences then "
        "label the sentences of their documents",
        exists=True,
        show_default=False,
    ),
]
DocumentsKey = Annotated[
    str, typer.Option(help="Field of --documents that holds the text")
]
LanguageOption = Annotated[
    str, typer.Option(help="Language of the tokenizer: xx works for any language")
]
SpansKey = Annotated[str, typer.Option(help="Group of doc.spans for labelled spans")]
Gold = Annotated[
    bool,
    typer.Option(
        "--gold",
        help="From a .spacy file, write what is known about each text in one line, "
        "instead of the records that it was converted from",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Stop at the first record with a mistake")
]


def convert_cli(
    source: In,
    output: Out,
    split: Split = None,
    labels: Labels = "",
    rename: Rename = None,
    conflicts: ConflictsOption = Conflicts.refuse,
    documents: Documents = None,
    documents_key: DocumentsKey = "text",
    text_key: TextKey = "text",
    language: LanguageOption = "xx",
    spans_key: SpansKey = "duoguard",
    gold: Gold = False,
    strict: Strict = False,
    verbose: Verbose = False,
) -> None:
    """Convert labelled records to a corpus for 'spacy train'.

    Records are JSON lines: corrections of the review page, exports of Prodigy (binary,
    choice and spans), or 'text' with 'cats', 'unsafe' or 'spans'. What records don't
    mention stays unknown. All records of a text are merged.

    From a .spacy file, it writes these records again, or its gold.

    Exit codes: 0 all records converted, 1 error, 2 wrong usage, 3 finished, but some
    records could not be converted.
    """
    with one_line_errors(verbose):
        from ..corpora.export import export, list_corpora

        if source != "-" and list_corpora(Path(source)):
            done = export(Path(source), output, spans_key=spans_key, gold=gold)
            changed = f"; {done.n_changed:,} have other gold than their records"
            note = changed if done.n_changed else ""
            counts = f"{done.n_lines:,} records of {done.n_docs:,} texts{note}"
            typer.echo(f"{output}: {counts}", err=output == "-")
            return
        from ..corpora.convert import Request, convert
        from ..corpora.labels import parse_labels
        from ..corpora.merge import Policy
        from ..corpora.summary import format_conversion, list_broken

        request = Request(
            source=source,
            output=Path(output),
            names=parse_labels(labels, rename or []),
            split=split,
            policy=Policy(value_of(conflicts)),
            documents=documents,
            documents_key=documents_key,
            language=language,
            text_key=text_key,
            spans_key=spans_key,
            strict=strict,
        )
        conversion = convert(request)
        typer.echo(
            format_conversion(conversion, policy=request.policy, spans_key=spans_key)
        )
        for problem in list_broken(conversion):
            complain(problem)
        if conversion.reading.broken:
            raise typer.Exit(3)
