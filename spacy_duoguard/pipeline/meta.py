"""The source and licence of the weights in a pipeline's `meta.json`."""

from typing import Any

from spacy.language import Language

from ..engine.checkpoint.published import AUTHOR, PUBLISHED


def note_source(nlp: Language, name: str) -> None:
    """Add published weights to the sources in `nlp.meta`, which `spacy package` lists.
    Users state the licence of any other weights.

    nlp (Language): The pipeline.
    name (str): The model's name.
    """
    sources = list(nlp.meta.get("sources") or ())
    if name not in PUBLISHED or any(source.get("name") == name for source in sources):
        return
    source: dict[str, Any] = {
        "name": name,
        "url": f"https://huggingface.co/{name}",
        "author": AUTHOR,
        "license": PUBLISHED[name].licence,
    }
    nlp.meta["sources"] = [*sources, source]
