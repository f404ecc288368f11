"""`verify`: compare scores and speed with `transformers`."""

from typing import Annotated

import typer

from .failures import complain, one_line_errors
from .options import (
    MODEL_HELP,
    BatchTokens,
    Device,
    Precision,
    TextKey,
    Verbose,
    value_of,
)

_SHOWN = 5  # records without a text

Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
Texts = Annotated[
    str | None,
    typer.Option(
        help="File with texts like yours, in a format that score reads. Default: 500 "
        "sample texts",
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="Maximum number of texts")]
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
        from ..evaluation.parity import format_parity, sample_texts, verify
        from ..scoring.pipelines import GuardOptions, load_classifier

        if texts is None:
            selected = sample_texts()[:limit]
        else:
            selected = _read(texts, text_key, limit)
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


def _read(path: str, text_key: str, limit: int) -> list[str]:
    """Read texts, and say which records have none.

    path (str): The file.
    text_key (str): The field that holds the text.
    limit (int): The most texts to read.
    RETURNS (List[str]): The texts."""
    from ..scoring.run import open_source, read_records

    texts: list[str] = []
    broken: list[str] = []
    for record in read_records(open_source(path, text_key=text_key)):
        if record.problem is None:
            texts.append(record.text)
        else:
            broken.append(f"{record.name}: {record.problem}")
        if len(texts) == limit:
            break
    if broken:
        count = f"{len(broken):,} record{'s' * (len(broken) != 1)} left out"
        more = "; …" if len(broken) > _SHOWN else ""
        complain(f"{count}: {'; '.join(broken[:_SHOWN])}{more}")
    return texts
