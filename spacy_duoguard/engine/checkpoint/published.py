"""The published DuoGuard models, as their model cards describe them."""

from typing import NamedTuple


class PublishedModel(NamedTuple):
    """A DuoGuard model on the hub. None of them comes with a tokenizer."""

    tokenizer: str  # hub name of the base model
    licence: str


AUTHOR = "Deng et al. 2025 (arXiv 2502.05163)"

PUBLISHED = {
    "DuoGuard/DuoGuard-0.5B": PublishedModel("Qwen/Qwen2.5-0.5B", "Apache-2.0"),
    "DuoGuard/DuoGuard-1.5B-transfer": PublishedModel(
        "Qwen/Qwen2.5-1.5B", "Apache-2.0"
    ),
    "DuoGuard/DuoGuard-1B-Llama-3.2-transfer": PublishedModel(
        "meta-llama/Llama-3.2-1B", "Llama 3.2 Community License"
    ),
}


def published_tokenizer(name: str) -> str | None:
    """name (str): The hub name of a model.
    RETURNS (Optional[str]): The hub name of its tokenizer; None if the model is not one
        of `PUBLISHED`."""
    model = PUBLISHED.get(name)
    return None if model is None else model.tokenizer
