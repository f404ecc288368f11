"""Options that several commands have."""

from enum import Enum
from typing import Annotated, Any

import typer


class Precision(str, Enum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


Model = Annotated[
    str,
    typer.Option(
        help="Name on the Hugging Face hub, a folder, a saved spaCy pipeline, or "
        "'demo' to try things out"
    ),
]
Device = Annotated[
    str, typer.Option(help="auto (a GPU if there is one), cpu, cuda, cuda:N or mps")
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        help="What to compute with. auto, or what the saved pipeline has",
        show_default=False,
    ),
]
BatchTokens = Annotated[
    int | None,
    typer.Option(
        help="Tokens that are computed at once: less takes less memory",
        show_default=False,
    ),
]


def value_of(choice: Enum | None) -> Any:
    """choice (Optional[Enum]): One of an option's choices.
    RETURNS (Optional[str]): What was typed."""
    return None if choice is None else choice.value
