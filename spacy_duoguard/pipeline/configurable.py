"""The component's settings as its users see and change them at run time."""

from copy import deepcopy
from typing import Any

from spacy.pipeline import TrainablePipe

from ..engine.text.views.functions import ViewFunction
from ..errors import Errors, SettingsError
from .architecture import get_shim
from .doc_scores import get_sentences
from .settings import check_settings


class Setting:
    """An attribute for a value of `cfg`, which is checked when it is set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, component: Any, owner: type | None = None) -> Any:
        return self if component is None else component.cfg[self.name]

    def __set__(self, component: Any, value: Any) -> None:
        shim = get_shim(component.model)
        labels = shim.labels if shim.is_loaded else None
        check_settings({**component.cfg, self.name: value}, labels)
        # A copy: the caller's may belong to another component, too.
        component.cfg[self.name] = deepcopy(value)


class ConfigurablePipe(TrainablePipe):
    """A component whose model scores with the component's settings."""

    threshold = Setting()
    thresholds = Setting()
    review_threshold = Setting()
    review_thresholds = Setting()
    spans_key = Setting()
    curve = Setting()
    patience = Setting()
    max_chars = Setting()
    normalize = Setting()
    roles = Setting()

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The categories, without `unsafe`."""
        return get_shim(self.model).labels

    @property
    def label_data(self) -> list[str]:
        """RETURNS (List[str]): The labels for `initialize`, saved by `init labels`."""
        return list(self.labels)

    @property
    def is_resizable(self) -> bool:
        """RETURNS (bool): True, since categories can be added."""
        return True

    @property
    def cfg(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): The settings, which can be changed in place. They
        are checked before each batch."""
        return super().cfg

    @cfg.setter
    def cfg(self, cfg: dict[str, Any]) -> None:
        get_shim(self.model).cfg = cfg  # for `model.predict`
        TrainablePipe.cfg.__set__(self, cfg)

    @property
    def views(self) -> dict[str, ViewFunction]:
        """RETURNS (Dict[str, Callable]): The functions of other views, by name."""
        return dict(get_shim(self.model).views)

    @views.setter
    def views(self, value: Any) -> None:
        raise SettingsError(Errors.E109.format(name="views", component=self.name))

    @property
    def sents(self) -> bool:
        """RETURNS (bool): Whether each sentence is scored."""
        return self.span_getter is get_sentences

    @sents.setter
    def sents(self, value: bool) -> None:
        raise SettingsError(Errors.E109.format(name="sents", component=self.name))

    @property
    def span_context(self) -> str:
        """RETURNS (str): "document" if spans are scored after the text that precedes
        them, else "isolated"."""
        return "document" if self.in_context else "isolated"

    @span_context.setter
    def span_context(self, value: str) -> None:
        message = Errors.E109.format(name="span_context", component=self.name)
        raise SettingsError(message)
