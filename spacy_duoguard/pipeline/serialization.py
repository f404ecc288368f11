"""Saving and loading the component: weights, tokenizer and settings."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import srsly
from spacy.vocab import Vocab
from thinc.api import Model

from ..engine.checkpoint.atomic_folder import locate, staged
from ..engine.checkpoint.manifest import (
    MANIFEST,
    check_digest,
    digest,
    dump_manifest,
    make_manifest,
    parse_manifest,
    read_manifest,
)
from ..errors import CheckpointError, Errors
from .architecture import get_shim
from .settings import dump_settings, restore_settings
from .shim import load_msgpack

T = TypeVar("T", bound="SavedComponent")

_BYTES = "the saved bytes"


class SavedComponent:
    """What `nlp.to_disk`, `nlp.to_bytes` and their counterparts call."""

    vocab: Vocab
    model: Model
    name: str
    cfg: dict[str, Any]
    _configured: dict[str, Any]  # `cfg` as it was when the component was made

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Serialize weights, tokenizer and settings.

        exclude (Iterable[str]): "cfg", "model" or "vocab".
        RETURNS (bytes): The serialized component.
        RAISES (ScoringError): The weights are too large for msgpack.
        """
        parts = self._parts(exclude)
        manifest = make_manifest({name: digest(part) for name, part in parts.items()})
        if "model" not in exclude:
            parts["model"] = get_shim(self.model).to_bytes()
        return srsly.msgpack_dumps({**parts, MANIFEST: dump_manifest(manifest)})

    def from_bytes(self: T, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> T:
        """Load what `to_bytes` returned.

        bytes_data (bytes): The serialized component.
        exclude (Iterable[str]): As in `to_bytes`.
        RETURNS (DuoGuard): This component.
        RAISES (CheckpointError): The bytes are not as they were saved. The component is
            as it was before.
        """
        parts = load_msgpack(bytes_data)
        manifest = parse_manifest(parts.get(MANIFEST), source=_BYTES)
        shim = get_shim(self.model)

        def read(name: str) -> Any:
            have = parts.get(name)
            if not isinstance(have, bytes):
                raise CheckpointError(Errors.E106.format(source=_BYTES, part=name))
            if name != "model":  # which has a manifest of its own
                check_digest(manifest, name, digest(have), source=_BYTES)
            return have

        self._load(read, lambda: shim.from_bytes(read("model")), exclude)
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write weights, tokenizer and settings; loads them first if need be. What is
        killed leaves the version of before, or this one.

        path (str / Path): The component's folder.
        exclude (Iterable[str]): As in `to_bytes`.
        """
        with staged(Path(path)) as aside:
            for name, part in self._parts(exclude).items():
                (aside / name).write_bytes(part)
            if "model" not in exclude:
                (aside / "model").mkdir()
                get_shim(self.model).to_disk(aside / "model")

    def from_disk(self: T, path: str | Path, *, exclude: Iterable[str] = ()) -> T:
        """Load what `to_disk` wrote, without a network.

        path (str / Path): The component's folder.
        exclude (Iterable[str]): As in `to_bytes`.
        RETURNS (DuoGuard): This component.
        RAISES (CheckpointError): The files are not as they were saved. The component is
            as it was before.
        """
        folder, shim = Path(path), get_shim(self.model)
        manifest = read_manifest(locate(folder, MANIFEST))

        def read(name: str) -> bytes:
            if name not in manifest["files"]:
                raise CheckpointError(Errors.E106.format(source=folder, part=name))
            file = locate(folder, name)
            data = file.read_bytes() if file.is_file() else None
            have = None if data is None else digest(data)
            check_digest(manifest, name, have, source=str(folder))
            return data or b""

        def read_model() -> None:
            read(f"model/{MANIFEST}")
            shim.from_disk(folder, inner="model")

        self._load(read, read_model, exclude)
        return self

    def _parts(self, exclude: Iterable[str]) -> dict[str, bytes]:
        """What is saved beside the model."""
        parts = {"cfg": dump_settings(self.cfg, self._configured)}
        if "vocab" not in exclude:
            parts["vocab"] = self.vocab.to_bytes(exclude=exclude)
        return {name: part for name, part in parts.items() if name not in exclude}

    def _load(
        self,
        read: Callable[[str], bytes],
        read_model: Callable[[], Any],
        exclude: Iterable[str],
    ) -> None:
        """Take over all parts, or none."""
        shim = get_shim(self.model)
        data = {n: read(n) for n in ("cfg", "vocab") if n not in exclude}
        with shim.restored_on_error():
            if "model" not in exclude:
                read_model()
            settings: Mapping[str, Any] = {}
            if "cfg" in data:
                settings = restore_settings(
                    data["cfg"],
                    self._configured,
                    name=self.name,
                    labels=shim.labels if shim.is_loaded else None,
                )
            if "vocab" in data:
                self._restore_vocab(data["vocab"], exclude)
        self.cfg.update(settings)

    def _restore_vocab(self, data: bytes, exclude: Iterable[str]) -> None:
        try:
            self.vocab.from_bytes(data, exclude=exclude)
        except Exception as e:  # spaCy's own errors have no base in common
            message = Errors.E018.format(
                source=self.name, kind="a vocab", problem=type(e).__name__
            )
            raise CheckpointError(message) from e
