"""Whose weights a pipeline holds, for its meta.json and the package made of it."""

from typing import Any

from spacy.language import Language

_AUTHOR = "Deng et al. 2025 (arXiv 2502.05163)"

# As the model cards state them.
_LICENCES = {
    "DuoGuard/DuoGuard-0.5B": "Apache-2.0",
    "DuoGuard/DuoGuard-1.5B-transfer": "Apache-2.0",
    "DuoGuard/DuoGuard-1B-Llama-3.2-transfer": "Llama 3.2 Community License",
}


def note_source(nlp: Language, name: str) -> None:
    """Add the weights to the sources that `nlp.meta` names; `spacy package` lists them.
    Of other names than DuoGuard's own the licence is the user's to state.

    nlp (Language): The pipeline.
    name (str): The model's name.
    """
    licence = _LICENCES.get(name)
    sources = list(nlp.meta.get("sources") or ())
    if licence is None or any(own.get("name") == name for own in sources):
        return
    source: dict[str, Any] = {
        "name": name,
        "url": f"https://huggingface.co/{name}",
        "author": _AUTHOR,
        "license": licence,
    }
    nlp.meta["sources"] = [*sources, source]
