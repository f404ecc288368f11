"""What the results of a run depend on, as plain data that two runs can compare."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from spacy.language import Language

from ..engine.checkpoint.manifest import digest_file
from ..engine.network.decoder import Decoder
from ..pipeline.registry import guard_names
from .batches import BATCH_SIZE
from .record import BATCH, Record, Source

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_PACKAGES = ("spacy-duoguard", "spacy", "torch", "tokenizers", "tiktoken")
_FUNCTIONS = ("sents", "span_getter", "span_context", "views")


def describe(nlp: Language, source: Source, *, curve: bool) -> dict[str, Any]:
    """Describe what results depend on, besides the records.

    nlp (Language): The pipeline that scores, with its weights loaded.
    source (Source): How records are read.
    curve (bool): Whether results include the risk curve.
    RETURNS (Dict[str, Any]): JSON-serializable, by what to tell the user if it differs.
    """
    known = {
        **{f"version of {name}": _version(name) for name in _PACKAGES},
        "--format": source.form,
        "--text-key": source.text_key,
        "--language": nlp.lang,
        "--curve": curve,
        "batch size": [BATCH, BATCH_SIZE],
        "components": nlp.pipe_names,
        "files of the pipeline": _digest_pipeline(nlp),
    }
    for name in guard_names(nlp):
        known |= _describe_guard(nlp, name)
    # As it is read from a file, where tuples are lists.
    plain: dict[str, Any] = json.loads(json.dumps(known, default=_type_name))
    return plain


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a folder
        return None


def _describe_guard(nlp: Language, name: str) -> dict[str, Any]:
    guard: Any = nlp.get_pipe(name)
    classifier = guard.classifier
    config = nlp.get_pipe_config(name)
    settings = {
        **asdict(classifier.settings),
        **{key: config.get(key) for key in _FUNCTIONS},
        **guard.cfg,
        "device": classifier.decoder.device.type,
        "dtype": str(classifier.decoder.dtype),
    }
    model = sha256(classifier.tokenizer.data.encode("utf8"))
    _add_weights(model, classifier.decoder)
    return {
        **{f"{name}.{key}": value for key, value in settings.items()},
        f"model of {name}": model.hexdigest(),
    }


def _add_weights(digest: "Hash", decoder: Decoder) -> None:
    """The weights as they were loaded, wherever from."""
    digest.update(repr(decoder.config).encode("utf8"))
    for name, tensor in decoder.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(raw.numpy())


def _digest_pipeline(nlp: Language) -> str | None:
    """The files of a saved pipeline without those of the guards, whose weights and
    settings are described as they were loaded."""
    try:
        folder = Path(nlp.path)
    except TypeError:  # made here, not saved
        return None
    digest = sha256()
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.is_file() and inner.parts[0] not in guard_names(nlp):
            digest.update(f"{inner.as_posix()} {digest_file(path)}".encode())
    return digest.hexdigest()


def _type_name(value: Any) -> str:
    return type(value).__name__


def add_record(digest: "Hash", record: Record) -> None:
    """Add all of a record that its result depends on to a digest. Deep nesting,
    unpaired surrogates and values that JSON does not have are no problem.

    digest (Hash): A digest of the records before it, updated in place.
    record (Record): The record.
    """
    waiting: list[Any] = [[record.fields, record.text, record.problem]]
    while waiting:
        value = waiting.pop()
        kind, size = _type_name(value), 0
        data = b""
        if isinstance(value, Mapping):
            size = len(value)
            waiting += [item for pair in value.items() for item in pair]
        elif isinstance(value, (list, tuple)):
            size = len(value)
            waiting += value
        else:
            data = _to_bytes(value)
            size = len(data)
        digest.update(f"{kind} {size}:".encode())
        digest.update(data)


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):  # not in decimal, which has a limit of digits
        return f"{value:x}".encode()
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf8", "surrogatepass")
