"""Saving and loading the component: weights, tokenizer and settings."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from spacy import util
from spacy.vocab import Vocab
from thinc.api import Model

from .engine.files import write_aside
from .model import get_shim
from .settings import dump_settings, restore_settings

T = TypeVar("T", bound="SavedComponent")


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
        serialize = {
            "cfg": lambda: dump_settings(self.cfg, self._configured),
            "vocab": lambda: self.vocab.to_bytes(exclude=exclude),
            "model": self.model.to_bytes,
        }
        return util.to_bytes(serialize, exclude)

    def from_bytes(self: T, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> T:
        """Load what `to_bytes` returned.

        bytes_data (bytes): The serialized component.
        exclude (Iterable[str]): As in `to_bytes`.
        RETURNS (DuoGuard): This component.
        """
        deserialize: dict[str, Callable[[bytes], Any]] = {
            "vocab": lambda data: self.vocab.from_bytes(data, exclude=exclude),
            "model": self.model.from_bytes,
            "cfg": self._restore,
        }
        util.from_bytes(bytes_data, deserialize, exclude)
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write weights, tokenizer and settings; loads them first if need be.

        path (str / Path): The component's folder.
        exclude (Iterable[str]): As in `to_bytes`.
        """
        serialize = {
            "cfg": self._write_settings,
            "vocab": lambda p: self.vocab.to_disk(p, exclude=exclude),
            "model": get_shim(self.model).to_disk,
        }
        util.to_disk(path, serialize, exclude)

    def from_disk(self: T, path: str | Path, *, exclude: Iterable[str] = ()) -> T:
        """Load what `to_disk` wrote, without a network.

        path (str / Path): The component's folder.
        exclude (Iterable[str]): As in `to_bytes`.
        RETURNS (DuoGuard): This component.
        """
        deserialize: dict[str, Callable[[Path], Any]] = {
            "vocab": lambda p: self.vocab.from_disk(p, exclude=exclude),
            "model": get_shim(self.model).from_disk,
            "cfg": lambda p: self._restore(p.read_bytes()),
        }
        util.from_disk(path, deserialize, exclude)
        return self

    def _restore(self, data: bytes) -> None:
        shim = get_shim(self.model)
        labels = shim.labels if shim.is_loaded else None
        restored = restore_settings(
            data, self._configured, name=self.name, labels=labels
        )
        self.cfg.update(restored)

    def _write_settings(self, path: Path) -> None:
        with write_aside(path) as aside:
            aside.write_bytes(dump_settings(self.cfg, self._configured))
