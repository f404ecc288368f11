"""The pipeline component."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from spacy import util
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer

from ..engine.classifier import Classifier
from ..engine.network.config import is_label
from ..engine.text.views.functions import Views, check_views
from ..errors import Errors, SettingsError
from . import fail_closed, serialization, training
from .architecture import get_shim
from .batch_annotations import annotate_docs
from .batches import DocBatch, read_batches
from .configurable import ConfigurablePipe
from .conversation import read_chats
from .doc_scores import DocQueries, DocScores, SpanGetter, get_sentences, get_spans
from .extensions import install_extensions
from .losses import CategoryLoss, LogSumExp
from .record_writer import SpansGroup
from .scorer import score_categories
from .settings import FACTORY, SPAN_CONTEXTS, SPANS_KEY, check_settings, make_policy


class DuoGuard(ConfigurablePipe):
    """Scores docs, and spans of them, with a DuoGuard classifier.

    Sets `doc.cats` to the probabilities of the categories and of `unsafe`, the
    extension attributes, and `doc.spans[spans_key]` if spans are scored. A doc that
    cannot be scored is marked unsafe, whatever the error handler does.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str = FACTORY,
        *,
        threshold: float = 0.5,
        thresholds: dict[str, float] = util.SimpleFrozenDict(),  # noqa: B008
        review_threshold: float | None = None,
        review_thresholds: dict[str, float] = util.SimpleFrozenDict(),  # noqa: B008
        sents: bool = False,
        span_getter: SpanGetter | None = None,
        span_context: str = "isolated",
        spans_key: str = SPANS_KEY,
        curve: bool = False,
        patience: int = 2,
        max_chars: int | None = None,
        normalize: bool = False,
        roles: Sequence[str] | None = None,
        views: Views = None,
        loss: CategoryLoss = LogSumExp(),  # noqa: B008
        scorer: Callable | None = score_categories,
    ) -> None:
        """vocab (Vocab): The shared vocabulary.
        model (Model): From "spacy-duoguard.DuoGuard.v1".
        name (str): The component's name in the pipeline.
        threshold (float): Categories with a higher probability are flagged.
        thresholds (Dict[str, float]): Thresholds of single categories.
        review_threshold (Optional[float]): Texts with a category above it, and none
            above its threshold, are to be reviewed. None to review no text.
        review_thresholds (Dict[str, float]): Review thresholds of single categories.
        sents (bool): Whether to score each sentence of `doc.sents`.
        span_getter (Optional[SpanGetter]): Returns other spans to score; from the
            registry `span_getters` of spacy-transformers.
        span_context (str): "isolated" to score each span as a text of its own,
            "document" to score it after the text that precedes it.
        spans_key (str): The group of `doc.spans` for flagged spans.
        curve (bool): Whether to store the score of the text up to each token.
        patience (int): Tokens in a row above a threshold that flag in the curve.
        max_chars (Optional[int]): Maximum number of characters to score of a doc or
            span, half of them from each end.
        normalize (bool): Whether to also score other readings of each text.
        roles (Optional[Sequence[str]]): The roles whose turns of a conversation are
            scored; None for all.
        views (Optional[Mapping[str, Callable]]): Functions for `normalize`, by name.
        loss (CategoryLoss): The training loss, from the registry `losses`.
        scorer (Optional[Callable]): The scoring method.
        RAISES (SettingsError): A setting is out of range, or conflicts with another.
        """
        if sents and span_getter is not None:
            raise SettingsError(Errors.E042.format(name=name))
        if span_context not in SPAN_CONTEXTS:
            raise SettingsError(Errors.E009.format(value=span_context))
        install_extensions()
        self.vocab = vocab
        self.model = model
        self.name = name
        self.span_getter = get_sentences if sents else span_getter
        self.in_context = span_context == "document"
        self.loss = loss
        self.scorer = scorer
        self.cfg = {
            "threshold": threshold,
            "thresholds": dict(thresholds),
            "review_threshold": review_threshold,
            "review_thresholds": dict(review_thresholds),
            "spans_key": spans_key,
            "curve": curve,
            "patience": patience,
            "max_chars": max_chars,
            "normalize": normalize,
            "roles": roles if roles is None else list(roles),
        }
        get_shim(model).views = check_views(views)
        check_settings(self.cfg)
        self.configured = deepcopy(self.cfg)  # what serialization compares `cfg` with
        self.has_seen_gold = False
        self.warned: set[str] = set()

    @property
    def classifier(self) -> Classifier:
        """RETURNS (Classifier): The engine, loaded on first use."""
        return get_shim(self.model).classifier

    def __call__(self, doc: Doc) -> Doc:
        """doc (Doc): The doc to score, in place.
        RETURNS (Doc): The same doc, even if an error handler swallowed an error."""
        fail_closed.score_docs(self, [doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """stream (Iterable[Doc]): The docs to score, in place.
        batch_size (int): Number of docs to score together.
        YIELDS (Doc): Every doc, in order.
        RAISES (SettingsError): `batch_size` isn't a positive integer."""
        with closing(read_batches(self, stream, batch_size)) as batches:
            for batch in batches:
                with closing(batch):
                    fail_closed.score_marked(self, batch)
                yield from batch

    def predict(self, docs: Iterable[Doc]) -> list[DocScores]:
        """Score docs without changing them.

        docs (Iterable[Doc]): The docs.
        RETURNS (List[DocScores]): One for each doc, in order.
        RAISES (SettingsError): A doc has no sentence boundaries but needs them, or a
            value in `cfg` is not allowed.
        RAISES (ScoringError): A logit is not finite.
        """
        # `cfg` may have changed: with a threshold of NaN, nothing would be flagged.
        check_settings(self.cfg, self.labels)
        batch, spans = DocBatch.of(docs), None
        if self.span_getter is not None:
            spans = get_spans(self.span_getter, list(batch), name=self.name)
        queries = DocQueries.of(
            batch.read_texts(),
            spans,
            in_context=self.in_context,
            curve=self.cfg["curve"],
            chats=read_chats(batch, self.cfg["roles"]),
        )
        labels = self.classifier.labels
        answers = get_shim(self.model).answer(queries.queries, self.cfg, batch.ahead)
        return queries.read(answers, labels)

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[DocScores]) -> None:
        """docs (Iterable[Doc]): The docs to write to.
        scores (Sequence[DocScores]): Their scores, from `predict`, in the same order.
        RAISES (ScoringError): Scores are those of another text, or of other categories,
            or contradict themselves. Their doc, and those after it, are unchanged."""
        policy = make_policy(self.cfg, self.labels)
        group = SpansGroup(self.name, self.cfg["spans_key"])
        annotate_docs(docs, scores, policy, group, self.cfg["patience"])

    def add_label(self, label: str) -> int:
        """Add a category, before `unsafe`. Its weights start as the mean of the twelve,
        so no text becomes more unsafe before the category is trained.

        label (str): Its name.
        RETURNS (int): 1, or 0 if the category exists.
        RAISES (SettingsError): The name is not allowed.
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
        """Load the weights if there are none yet, and check the gold. Categories are
        not inferred from examples, whose keys may belong to other components.

        get_examples (Callable[[], Iterable[Example]]): The training data.
        nlp (Optional[Language]): The pipeline.
        labels (Optional[List[str]]): Categories to add if they are missing.
        RAISES (SettingsError): A gold value, setting or threshold is not allowed.
        """
        training.initialize(self, get_examples, labels or (), nlp)

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
        drop (float): Not used: the models have no dropout.
        sgd (Optional[Optimizer]): Updates the weights, if given.
        losses (Optional[Dict[str, float]]): Where to add the loss, summed over texts.
        RETURNS (Dict[str, float]): The updated losses.
        RAISES (SettingsError): A gold value is not allowed, or no example so far had
            gold for the component.
        RAISES (ScoringError): A logit or gradient is not finite, or the device has not
            enough memory for one window. No weight was changed.
        """
        return training.finish(self, training.learn(self, examples), sgd, losses)

    def rehearse(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Pull the scores of texts back to what they were before training, so that the
        model doesn't forget them. The gold is not used.

        examples (Iterable[Example]): Docs to rehearse.
        drop (float), sgd (Optional[Optimizer]): As in `update`.
        losses (Optional[Dict[str, float]]): Where to add the divergence from the
            earlier probabilities, summed over categories and texts.
        RETURNS (Dict[str, float]): The updated losses.
        RAISES (SettingsError): All layers are trained, so no earlier copy was kept.
        """
        return training.finish(self, training.rehearse(self, examples), sgd, losses)

    def get_loss(self, examples: Iterable[Example], scores: Any) -> tuple[float, Any]:
        """examples (Iterable[Example]): Predicted docs, and references with the gold.
        scores (ndarray): Logits, (n_texts, n_labels), of the docs as returned by
            `model.begin_update`, then of their spans, if any.
        RETURNS (Tuple[float, ndarray]): The loss, summed over the texts, and its
            gradient with respect to the logits."""
        return training.get_loss(self, examples, scores)

    @contextmanager
    def memory_zone(self, mem: Any = None) -> Iterator[Any]:
        """At the end of the block, drop the features that training cached in it. Called
        by `nlp.memory_zone`.

        mem (Optional[Pool]): spaCy's memory pool, not used here.
        YIELDS (Optional[Pool]): The same pool.
        """
        with get_shim(self.model).zone():
            yield mem

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """exclude (Iterable[str]): Any of "cfg", "model" and "vocab".
        RETURNS (bytes): The weights, tokenizer and settings.
        RAISES (SettingsError): The weights are too large for msgpack."""
        return serialization.to_bytes(self, exclude)

    def from_bytes(
        self, bytes_data: bytes, *, exclude: Iterable[str] = ()
    ) -> "DuoGuard":
        """bytes_data (bytes): From `to_bytes`.
        exclude (Iterable[str]): As in `to_bytes`.
        RETURNS (DuoGuard): This component.
        RAISES (CheckpointError): The bytes are damaged. The component is unchanged."""
        serialization.from_bytes(self, bytes_data, exclude)
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save weights, tokenizer and settings, after loading the weights if necessary.
        If the process is killed, the folder holds the previous version or this one.

        path (str / Path): The component's folder.
        exclude (Iterable[str]): As in `to_bytes`.
        """
        serialization.to_disk(self, Path(path), exclude)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "DuoGuard":
        """path (str / Path): A folder saved by `to_disk`.
        exclude (Iterable[str]): As in `to_bytes`.
        RETURNS (DuoGuard): This component.
        RAISES (CheckpointError): A file is damaged. The component is unchanged."""
        serialization.from_disk(self, Path(path), exclude)
        return self
