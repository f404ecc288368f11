"""The component's settings as its users see and change them at run time."""

from typing import Any

from spacy.pipeline import TrainablePipe

from .architecture import get_shim


class ConfigurablePipe(TrainablePipe):
    """A component whose model scores with the component's settings."""

    @property
    def cfg(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): The settings, which can be changed in place. They
        are checked before each batch."""
        return super().cfg

    @cfg.setter
    def cfg(self, cfg: dict[str, Any]) -> None:
        get_shim(self.model).cfg = cfg  # for `model.predict`
        TrainablePipe.cfg.__set__(self, cfg)
