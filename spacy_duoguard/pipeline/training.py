"""How the component learns: initialize, update, rehearse, categories of one's own."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.training import Example, validate_examples, validate_get_examples
from thinc.api import Model, Optimizer

from ..engine.network.config import is_label
from ..engine.prefix_scores import Query
from ..errors import Errors, SettingsError, Warnings
from .architecture import get_shim
from .gold import (
    Gold,
    Lesson,
    ask_lessons,
    check_group,
    fill_maximum,
    foreign_keys,
    read_cats,
    read_group,
)
from .losses import BinaryCrossEntropy, CategoryLoss
from .settings import check_settings
from .spans import SpanGetter, get_spans


class TrainedComponent(TrainablePipe):
    """What `nlp.initialize`, `nlp.update`, `nlp.rehearse` and `spacy train` call."""

    name: str
    model: Model
    cfg: dict[str, Any]
    loss: CategoryLoss
    span_getter: SpanGetter | None
    in_context: bool  # spans are scored in the pass of their doc
    _found_gold: bool = False  # has an example had gold for us?
    _warned: frozenset[str] = frozenset()

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The categories; `unsafe` is their maximum."""
        return get_shim(self.model).labels

    @property
    def label_data(self) -> list[str]:
        """RETURNS (List[str]): For `spacy init labels`; `initialize` takes it."""
        return list(self.labels)

    @property
    def is_resizable(self) -> bool:
        """RETURNS (bool): Categories can be added."""
        return True

    def add_label(self, label: str) -> int:
        """Add a category of one's own, after those there are and before `unsafe`. Its
        row of the head starts as the mean of the twelve, so that no text becomes more
        unsafe by it before it is trained.

        label (str): Its name.
        RETURNS (int): 1, or 0 if there is such a category.
        RAISES (SettingsError): The name cannot be one.
        """
        if not is_label(label):
            raise SettingsError(Errors.E062.format(label=label))
        if label in self.labels:
            return 0
        get_shim(self.model).add_label(label)
        self.vocab.strings.add(label)
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: list[str] | None = None,
    ) -> None:
        """Load the weights where none have arrived yet; never replace any. Categories
        are not taken from the examples, whose keys can be other components'.

        get_examples (Callable[[], Iterable[Example]]): The training data. Its gold is
            checked here, before the first step.
        nlp (Optional[Language]): The pipeline.
        labels (Optional[List[str]]): Categories to add where they are missing, as
            `spacy init labels` writes them.
        RAISES (SettingsError): Gold that is not allowed, a setting at odds with the
            model, or a threshold for no category.
        """
        validate_get_examples(get_examples, "DuoGuard.initialize")
        shim = get_shim(self.model)
        _ = shim.classifier
        for label in labels or []:
            self.add_label(label)
        check_settings(self.cfg, self.labels)
        shim.check_trainable()
        for eg in get_examples():
            gold = read_cats(eg.reference.cats, self.labels)
            group = eg.reference.spans.get(self.cfg["spans_key"], ())
            check_group(group, self.labels)
            truths = fill_maximum([gold], np.zeros((1, len(self.labels))))
            self._check_loss(truths)
            self._found_gold |= gold.teaches or self._has_span_gold(eg)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from a batch.

        examples (Iterable[Example]): Predicted docs, and references with the gold.
        drop (float): Not used: the networks have no dropout, and were trained without.
        sgd (Optional[Optimizer]): If given, a step is taken.
        losses (Optional[Dict[str, float]]): Where to add the loss, a sum over texts.
        RETURNS (Dict[str, float]): The same.
        RAISES (SettingsError): Gold that is not allowed, or none for us so far.
        RAISES (ScoringError): A logit or a gradient is not finite, or a window does
            not fit into the memory of the device. No weight was changed.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "DuoGuard.update")
        lessons = [lesson for lesson in self._lessons(examples) if lesson.gold.teaches]
        self._check_gold(examples, lessons)
        if lessons:
            trainer = get_shim(self.model).trainer
            queries, golds = ask_lessons(lessons, in_context=self.in_context)
            logits, backprop = trainer.begin(queries, max_chars=self.cfg["max_chars"])
            loss, d_logits = self._loss(golds, logits)
            backprop(d_logits)
            losses[self.name] += loss
        if sgd not in (None, False):
            self.finish_update(sgd)
        return losses

    def get_loss(
        self, examples: Iterable[Example], scores: Any
    ) -> tuple[float, np.ndarray]:
        """The loss of logits, and its gradient.

        examples (Iterable[Example]): Predicted docs, and references with the gold.
        scores (ndarray): Logits, (n_texts, n_labels): of the docs, as
            `model.begin_update` gives them, and then of the spans, if any are scored.
        RETURNS (Tuple[float, ndarray]): The loss, a sum over the texts, and its
            gradient with respect to the logits.
        """
        examples = list(examples)
        validate_examples(examples, "DuoGuard.get_loss")
        lessons = self._lessons(examples)
        logits = self.model.ops.to_numpy(scores)
        if len(logits) == len(examples):
            lessons = lessons[: len(examples)]
        return self._loss([lesson.gold for lesson in lessons], logits)

    def rehearse(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Bring the scores of texts back towards those before training began, so that
        what the model knew is not forgotten. The gold is not looked at.

        examples (Iterable[Example]): Docs like those to remember.
        drop (float): As in `update`.
        sgd (Optional[Optimizer]): If given, a step is taken.
        losses (Optional[Dict[str, float]]): Where to add the loss: the divergence of
            the probabilities from the earlier ones, summed over categories and texts.
        RETURNS (Dict[str, float]): The same.
        RAISES (SettingsError): All layers are trained: no copy of them is kept.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "DuoGuard.rehearse")
        queries = [Query(eg.predicted.text) for eg in examples if eg.predicted.text]
        if queries:
            trainer, limit = get_shim(self.model).trainer, self.cfg["max_chars"]
            before = trainer.initial_logits(queries, max_chars=limit).astype(np.float64)
            logits, backprop = trainer.begin(queries, max_chars=limit)
            loss, target = BinaryCrossEntropy(), 1.0 / (1.0 + np.exp(-before))
            truths = np.full(logits.shape, np.nan)  # open where categories were added
            truths[:, : target.shape[1]] = target
            gradient, cross_entropy = loss(logits, truths)
            backprop(gradient)
            losses[self.name] += cross_entropy - loss.get_loss(before, target)
        if sgd not in (None, False):
            self.finish_update(sgd)
        return losses

    @contextmanager
    def memory_zone(self, mem: Any = None) -> Iterator[Any]:
        """Called by `nlp.memory_zone`: what training keeps of texts in the block, it
        forgets in the end.

        mem (Optional[Pool]): spaCy's; nothing here is allocated from it.
        YIELDS (Optional[Pool]): The same.
        """
        with get_shim(self.model).zone():
            yield mem

    def _loss(
        self, golds: Sequence[Gold], logits: np.ndarray
    ) -> tuple[float, np.ndarray]:
        gradient, loss = self.loss(logits, fill_maximum(golds, logits))
        return float(loss), gradient

    def _lessons(self, examples: Sequence[Example]) -> list[Lesson]:
        """The docs in order, then their spans."""
        lessons = []
        for eg in examples:
            gold = read_cats(eg.reference.cats, self.labels)
            if not eg.predicted.text:  # is never scored, whatever it should be
                gold = read_cats({}, self.labels)
            lessons.append(Lesson(eg.predicted, gold))
        marked = [eg for eg in examples if self._has_span_gold(eg)]
        if self.span_getter is None or not marked:
            return lessons
        docs = [eg.predicted for eg in marked]
        found = get_spans(self.span_getter, docs, name=self.name, unset=Errors.E066)
        strays = 0
        for eg, spans in zip(marked, found, strict=True):
            group = eg.reference.spans[self.cfg["spans_key"]]
            golds, lost = read_group(group, spans, self.labels)
            strays += lost
            lessons += map(Lesson, spans, golds)
        if strays:
            key = self.cfg["spans_key"]
            self._warn("W012", Warnings.W012, count=strays, key=key)
        return lessons

    def _has_span_gold(self, eg: Example) -> bool:
        key = self.cfg["spans_key"]
        if key not in eg.reference.spans:
            return False
        if self.span_getter is None:
            self._warn("W011", Warnings.W011, key=key)
        return self.span_getter is not None

    def _check_gold(
        self, examples: Sequence[Example], lessons: Sequence[Lesson]
    ) -> None:
        """Nothing to learn in a batch is no fault, nothing in all of them is."""
        self._found_gold |= bool(lessons)
        if examples and not self._found_gold:
            names = ", ".join(self.labels)
            message = Errors.E065.format(name=self.name, categories=names)
            raise SettingsError(message)
        keys = {
            key
            for eg in examples
            for key in foreign_keys(eg.reference.cats, self.labels)
        }
        if keys:
            self._warn("W010", Warnings.W010, keys=sorted(keys)[:5])

    def _check_loss(self, truths: np.ndarray) -> None:
        if isinstance(self.loss, CategoryLoss):
            self.loss.check(truths)

    def _warn(self, code: str, message: str, **values: Any) -> None:
        """Once for each component."""
        if code not in self._warned:
            self._warned |= {code}
            warnings.warn(message.format(name=self.name, **values), stacklevel=4)
