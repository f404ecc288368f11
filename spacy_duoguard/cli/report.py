"""`report`: results → a page to look at."""

from pathlib import Path
from typing import Annotated

import typer

from .failures import one_line_errors
from .options import TextKey, Verbose

Results = Annotated[
    Path,
    typer.Argument(
        help="What 'score' wrote: a .jsonl file, or a folder of parts", exists=True
    ),
]
Page = Annotated[
    Path,
    typer.Argument(
        help="The HTML file to make; one that is there is replaced", dir_okay=False
    ),
]
Top = Annotated[
    int | None,
    typer.Option(help="Show only so many documents, the riskiest", min=1),
]


def report_cli(
    results: Results,
    page: Page,
    text_key: TextKey = "text",
    top: Top = None,
    verbose: Verbose = False,
) -> None:
    """Make a page for reviewing results: by risk, with the flagged sentences marked.

    The page is one file that works without a network and sends nothing anywhere. It
    holds the texts and all their fields: keep it where you keep those.
    """
    with one_line_errors(verbose):
        from ..review.page import write_page

        total, failed = write_page(results, page, text_key=text_key, top=top)
        shown = total if top is None else min(top, total)
        of_all = "" if shown == total else f" of {total:,}, the riskiest"
        typer.echo(f"{page}: {shown:,} documents{of_all}; {failed:,} were not scored.")
