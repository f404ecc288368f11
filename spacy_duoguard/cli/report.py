"""`report`: build a page to review results."""

from pathlib import Path
from typing import Annotated

import typer

from .failures import one_line_errors
from .options import TextKey, Verbose

Results = Annotated[
    Path,
    typer.Argument(
        metavar="RESULTS",
        help="Output of 'score': a .jsonl, .jsonl.gz or .jsonl.zst file, or a folder "
        "of parts",
        exists=True,
    ),
]
Page = Annotated[
    Path,
    typer.Argument(
        metavar="PAGE",
        help="HTML file to write. An existing one is replaced",
        dir_okay=False,
    ),
]
Top = Annotated[
    int | None,
    typer.Option(help="Include only this many documents, the riskiest ones", min=1),
]


def report_cli(
    results: Results,
    page: Page,
    text_key: TextKey = "text",
    top: Top = None,
    verbose: Verbose = False,
) -> None:
    """Build a page to review results.

    It sorts documents by risk and highlights flagged sentences. You can correct it, and
    export your corrections. The page is a single file that works offline and sends
    nothing anywhere. It contains the texts and all their fields, so keep it as safe as
    the texts.
    """
    with one_line_errors(verbose):
        from ..review.page import write_page

        total, failed = write_page(results, page, text_key=text_key, top=top)
        shown = total if top is None else min(top, total)
        riskiest = "" if shown == total else f" of {total:,}, the riskiest"
        typer.echo(f"{page}: {shown:,} documents{riskiest}; {failed:,} not scored")
