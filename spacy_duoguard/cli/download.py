"""`download`: get a model for use without a network."""

from pathlib import Path
from typing import Annotated

import typer

from .failures import one_line_errors
from .options import Verbose

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name on the Hugging Face hub, e.g. DuoGuard/DuoGuard-0.5B",
    ),
]
Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="Folder to create, or an empty one"),
]
Revision = Annotated[str, typer.Option(help="Branch, tag or commit of the model")]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        help="Name of the tokenizer. Default: the known one for this model, else the "
        "model's own",
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
    """Download a model to use it without a network.

    This includes its tokenizer. Use the folder as --model of the other commands, or as
    the component's setting model.name. Its download.json lists the commits and the
    SHA-256 of each file.
    """
    hint = "Finished downloads are kept. Run the command again to continue."
    with one_line_errors(verbose, interrupted=hint):
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
        typer.echo(f"Model commit: {record['commit']}")
        typer.echo(f"Tokenizer commit: {record['tokenizer_commit']}")
        typer.echo(f"Saved to {folder}")
