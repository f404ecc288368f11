"""`verify`: our scores and speed against those of `transformers`."""

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

Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False),
]
Texts = Annotated[
    str | None,
    typer.Option(
        help="Texts like yours: .txt, .jsonl, .csv or .parquet. 500 of ours if left "
        "out",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="Take the first so many texts")]
PrecisionOption = Annotated[Precision, typer.Option(help="What to compute with")]


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
    """Compare scores and speed with the transformers library's, on your machine.

    The same weights are scored by both, and their probabilities and speeds compared;
    transformers scores one text at a time, as on the model card. No code of a
    repository is run. The first time takes a while: weights are loaded twice.

    Exit codes: 1 the promised bound is not kept, or an error, else 0. For bfloat16 it
    is meant for 500 texts or more, and not judged for fewer; for int8 there is none.
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
