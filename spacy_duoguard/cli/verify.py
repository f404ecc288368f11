"""`verify`: compare scores and speed with `transformers`."""

from typing import Annotated

import typer

from .failures import one_line_errors
from .options import (
    MODEL_HELP,
    BatchTokens,
    Device,
    Precision,
    TextKey,
    Verbose,
    value_of,
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
Texts = Annotated[
    str | None,
    typer.Option(
        help="File with texts like yours, in a format that score reads. Default: 500 "
        "sample texts",
    ),
]
Limit = Annotated[
    int, typer.Option(min=1, help="Maximum number of texts to read from --texts")
]
PrecisionOption = Annotated[Precision, typer.Option(help="Precision to verify")]


def verify_cli(
    model: Model,
    texts: Texts = None,
    text_key: TextKey = "text",
    limit: Limit = 500,
    precision: PrecisionOption = Precision.auto,
    device: Device = "auto",
    batch_tokens: BatchTokens = None,
    verbose: Verbose = False,
) -> None:
    """Compare scores and speed with transformers.

    Both score the same texts with the same weights on your machine, transformers one
    text at a time as on the model card. No code from the model's repository is run.
    The weights are loaded twice, which takes a while.

    The exit code is 1 if the difference is outside the bound, or after an error, and 0
    otherwise. The bound for bfloat16 requires at least 500 texts. int8 has no bound.
    """
    with one_line_errors(verbose):
        from itertools import islice

        from ..evaluation.parity import format_parity, sample_texts, verify
        from ..scoring.pipelines import GuardOptions, load_classifier
        from ..scoring.run import open_source, read_records

        selected = sample_texts()
        if texts is not None:
            records = read_records(open_source(texts, text_key=text_key))
            readable = (record.text for record in records if record.problem is None)
            selected = list(islice(readable, limit))
        parity = verify(
            lambda precision: load_classifier(
                GuardOptions(
                    model=model,
                    device=device,
                    precision=precision,
                    batch_tokens=batch_tokens,
                )
            ),
            selected,
            precision=value_of(precision),
            report=lambda line: typer.echo(line, err=True),
        )
        typer.echo(format_parity(parity))
        if parity.holds is False:
            raise typer.Exit(1)
