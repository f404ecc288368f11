"""Options that several commands share."""

from enum import Enum
from typing import Annotated, Any

import typer


class Precision(str, Enum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


MODEL_HELP = (
    "Name on the Hugging Face hub, folder of a checkpoint or saved spaCy pipeline, or "
    "'demo' to try it out"
)
Model = Annotated[str, typer.Option(help=MODEL_HELP)]
Device = Annotated[
    str,
    typer.Option(help="auto (a GPU if there is one), cpu, cuda, cuda:N or mps"),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        help="Precision to compute in. By default auto, or that of the saved pipeline",
        show_default=False,
    ),
]
BatchTokens = Annotated[
    int | None,
    typer.Option(
        help="Number of tokens to compute at once: fewer tokens need less memory",
        show_default=False,
    ),
]
TextKey = Annotated[str, typer.Option(help="Field or column that holds the text")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-V", help="Show the traceback of an error"),
]


def value_of(choice: Enum | None) -> Any:
    """choice (Optional[Enum]): A choice of an option.
    RETURNS (Optional[str]): The value as typed."""
    return None if choice is None else choice.value
