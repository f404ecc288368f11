"""`download`: a model for machines without a network."""

from pathlib import Path
from typing import Annotated

import typer

from .failures import one_line_errors
from .options import Verbose

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name on the Hugging Face hub, such as DuoGuard/DuoGuard-0.5B",
        show_default=False,
    ),
]
Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="The folder to make", show_default=False),
]
Revision = Annotated[str, typer.Option(help="Branch, tag or commit of the model")]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        help="Name of the tokenizer. The known one for this model, else its own",
        show_default=False,
    ),
]
TokenizerRevision = Annotated[
    str, typer.Option(help="Branch, tag or commit of the tokenizer")
]


def download_cli(
    name: Name,
    folder: Folder,
    revision: Revision = "main",
    tokenizer: Tokenizer = None,
    tokenizer_revision: TokenizerRevision = "main",
    verbose: Verbose = False,
) -> None:
    """Download a model and its tokenizer, for use without a network.

    Give the folder as --model of the other commands, or as the setting model.name of
    the component. Its file download.json holds the commits and the SHA-256 of each
    file.
    """
    again = "What was downloaded is kept: run the command again to go on."
    with one_line_errors(verbose, interrupted=again):
        from ..engine.download import download_model

        record = download_model(
            name,
            folder,
            revision=revision,
            tokenizer=tokenizer,
            tokenizer_revision=tokenizer_revision,
            report=lambda line: typer.echo(line, err=True),
        )
        for filename, file in record["files"].items():
            typer.echo(f"{file['sha256']}  {filename} ({file['size']:,} bytes)")
        typer.echo(f"Commit of the model: {record['commit']}")
        typer.echo(f"Commit of the tokenizer: {record['tokenizer_commit']}")
        typer.echo(f"Saved in {folder}")
