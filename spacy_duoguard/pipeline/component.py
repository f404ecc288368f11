"""The pipeline component."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any

from spacy import util
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab
from thinc.api import Model

from ..engine.classifier import Classifier
from ..engine.flags import resolve_thresholds
from ..errors import Errors, ScoringError, SettingsError
from .annotations import annotate, install_extensions
from .architecture import get_shim
from .doc_scores import DocScores, ask, read_answers
from .losses import CategoryLoss, LogSumExp
from .meta import note_source
from .scorer import score_categories
from .serialization import SavedComponent
from .settings import DEFAULT_CONFIG, check_settings
from .spans import SpanGetter, get_sentences, get_spans
from .training import TrainedComponent

SPAN_CONTEXTS: tuple[str, ...] = ("isolated", "document")

# For docs that are read from disk where no component is made. If a name is taken, the
# component says so when it is made; an error here would break every pipeline.
with suppress(SettingsError):
    install_extensions()


@Language.factory(
    "duoguard",
    assigns=[
        "doc.cats",
        "doc.spans",
        "doc._.duoguard_flags",
        "doc._.duoguard_status",
        "doc._.duoguard_windows",
        "doc._.duoguard_curve",
        "doc._.duoguard_first_unsafe",
        "span._.duoguard_cats",
        "span._.duoguard_delta",
    ],
    default_config=DEFAULT_CONFIG,
    default_score_weights={
        "duoguard_score": 1.0,
        "duoguard_unsafe_f": None,
        "duoguard_unsafe_p": None,
        "duoguard_unsafe_r": None,
        "duoguard_unsafe_fpr": None,
        "duoguard_unsafe_auc": None,
        "duoguard_unsafe_auprc": None,
        "duoguard_macro_p": None,
        "duoguard_macro_r": None,
        "duoguard_macro_f": None,
        "duoguard_macro_auc": None,
        "duoguard_macro_auprc": None,
        "duoguard_f_per_type": None,
        "duoguard_fpr_per_type": None,
        "duoguard_auc_per_type": None,
        "duoguard_auprc_per_type": None,
        "duoguard_spans_p": None,
        "duoguard_spans_r": None,
        "duoguard_spans_f": None,
        "duoguard_spans_per_type": None,
        "duoguard_spans_macro_auc": None,
        "duoguard_spans_macro_auprc": None,
    },
    retokenizes=False,
)
def make_duoguard(
    nlp: Language,
    name: str,
    model: Model,
    threshold: float,
    thresholds: dict[str, float],
    sents: bool,
    span_getter: SpanGetter | None,
    span_context: str,
    spans_key: str,
    curve: bool,
    patience: int,
    max_chars: int | None,
    normalize: bool,
    loss: CategoryLoss,
    scorer: Callable | None,
) -> "DuoGuard":
    """The factory: builds, and neither loads nor downloads."""
    note_source(nlp, get_shim(model).source["name"])
    return DuoGuard(
        nlp.vocab,
        model,
        name,
        threshold=threshold,
        thresholds=thresholds,
        sents=sents,
        span_getter=span_getter,
        span_context=span_context,
        spans_key=spans_key,
        curve=curve,
        patience=patience,
        max_chars=max_chars,
        normalize=normalize,
        loss=loss,
        scorer=scorer,
    )


class DuoGuard(SavedComponent, TrainedComponent):
    """Scores docs, and spans of them, with a DuoGuard classifier.

    Sets `doc.cats` to the probabilities of the categories and `unsafe`, the attributes
    `doc._.duoguard_flags`, `doc._.duoguard_status`, `doc._.duoguard_windows` and
    `span._.duoguard_cats`, and where spans are scored `doc.spans[spans_key]`. A doc
    that cannot be scored reads as unsafe, whatever the error handler does.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str = "duoguard",
        *,
        threshold: float = 0.5,
        thresholds: dict[str, float] = util.SimpleFrozenDict(),  # noqa: B008
        sents: bool = False,
        span_getter: SpanGetter | None = None,
        span_context: str = "isolated",
        spans_key: str = "duoguard",
        curve: bool = False,
        patience: int = 2,
        max_chars: int | None = None,
        normalize: bool = False,
        loss: CategoryLoss = LogSumExp(),  # noqa: B008
        scorer: Callable | None = score_categories,
    ) -> None:
        """vocab (Vocab): The shared vocabulary.
        model (Model): From "spacy-duoguard.DuoGuard.v1".
        name (str): The component's name in the pipeline.
        threshold (float): A category is flagged above it.
        thresholds (Dict[str, float]): Thresholds of single categories.
        sents (bool): Whether to score each sentence of `doc.sents`.
        span_getter (Optional[SpanGetter]): Other spans to score, from the registry
            `span_getters` of spacy-transformers.
        span_context (str): "isolated": each span is scored as a text of its own.
            "document": in the pass of its doc, after what precedes it.
        spans_key (str): The group of `doc.spans` for flagged spans.
        curve (bool): Keep the scores of the text up to each piece.
        patience (int): How many pieces in a row make a flag of the curve.
        max_chars (Optional[int]): The most characters of a doc or span that are
            scored, half of them from each end.
        normalize (bool): Score what each text reads like without characters that hide
            words too, and take the maximum of both.
        loss (CategoryLoss): What training lowers, from the registry `losses`.
        scorer (Optional[Callable]): The scoring method.
        RAISES (SettingsError): A setting out of range or at odds with another.
        """
        if sents and span_getter is not None:
            raise SettingsError(Errors.E042.format(name=name))
        if span_context not in SPAN_CONTEXTS:
            raise SettingsError(Errors.E009.format(value=span_context))
        get_shim(model)  # is it of our architecture?
        install_extensions()
        self.vocab = vocab
        self.model = model
        self.name = name
        self.span_getter = get_sentences if sents else span_getter
        self.in_context = span_context == "document"
        self.loss = loss
        self.scorer = scorer
        self.cfg: dict[str, Any] = {
            "threshold": threshold,
            "thresholds": dict(thresholds),
            "spans_key": spans_key,
            "curve": curve,
            "patience": patience,
            "max_chars": max_chars,
            "normalize": normalize,
        }
        check_settings(self.cfg)
        self._configured = deepcopy(self.cfg)

    @property
    def classifier(self) -> Classifier:
        """RETURNS (Classifier): The engine, loaded at the first use."""
        return get_shim(self.model).classifier

    def __call__(self, doc: Doc) -> Doc:
        """Score one doc, in place.

        doc (Doc): The doc.
        RETURNS (Doc): The same doc, also where an error handler swallowed an error.
        """
        self._process([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Score a stream of docs. Each batch is sorted by length and packed inside;
        docs come back in order, and every one comes back.

        stream (Iterable[Doc]): The docs.
        batch_size (int): How many docs are scored together.
        YIELDS (Doc): The same docs.
        """
        for docs in util.minibatch(stream, size=batch_size):
            self._process(docs)
            yield from docs

    def predict(self, docs: Iterable[Doc]) -> list[DocScores]:
        """Score docs without changing them.

        docs (Iterable[Doc]): The docs.
        RETURNS (List[DocScores]): One for each doc, in order.
        RAISES (SettingsError): Sentences are wanted and not set, or `cfg` was changed
            to values that are not allowed.
        RAISES (ScoringError): A logit is not finite.
        """
        # Tools write into it: above NaN, nothing is flagged.
        check_settings(self.cfg, self.labels)
        docs = list(docs)
        spans = self._get_spans(docs)
        context = self.in_context
        queries = ask(docs, spans, in_context=context, curve=self.cfg["curve"])
        limits = {key: self.cfg[key] for key in ("max_chars", "normalize")}
        answers = self.classifier.answer(queries, **limits)
        return read_answers(answers, spans, n_docs=len(docs), in_context=context)

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[DocScores]) -> None:
        """Write scores into docs.

        docs (Iterable[Doc]): The docs.
        scores (Sequence[DocScores]): From `predict`.
        """
        thresholds = resolve_thresholds(
            self.labels, self.cfg["threshold"], self.cfg["thresholds"]
        )
        for doc, found in zip(docs, scores, strict=True):
            annotate(
                doc, found, thresholds, self.cfg["spans_key"], self.cfg["patience"]
            )

    def _process(self, docs: list[Doc]) -> None:
        """Mark the docs as failed, then score them: nothing that breaks in between
        can leave one that looks safe."""
        self._set_failed(docs, [() if self.span_getter else None for _ in docs])
        try:
            _ = self.classifier
        except Exception:  # no text's fault, so no text is tried
            for doc in docs:
                self._fail(doc)
            raise
        self._score(docs)

    def _score(self, docs: list[Doc]) -> None:
        """Score docs; where that fails, halve the batch down to the doc at fault, so
        that its mates keep their scores."""
        try:
            self.set_annotations(docs, self.predict(docs))
        except Exception as e:
            if len(docs) == 1:
                self._handle(docs[0], e)
                return
            middle = len(docs) // 2
            self._score(docs[:middle])
            self._score(docs[middle:])

    def _handle(self, doc: Doc, error: Exception) -> None:
        """Leave a doc as failed and pass the error on to the error handler."""
        self._fail(doc)
        if isinstance(error, KeyError):
            cause, error = error, ScoringError(Errors.E044.format(name=self.name))
            error.__cause__ = cause
        self.get_error_handler()(self.name, self, [doc], error)

    def _fail(self, doc: Doc) -> None:
        """Mark a doc as failed, and its spans as far as they can be had."""
        spans: Sequence[Span] | None = None
        if self.span_getter is not None:
            try:
                spans = get_spans(self.span_getter, [doc], name=self.name)[0]
            except Exception:  # the getter is what failed, as the error to come says
                spans = ()
        self._set_failed([doc], [spans])

    def _set_failed(
        self, docs: Sequence[Doc], spans: Sequence[Sequence[Span] | None]
    ) -> None:
        failed = [
            DocScores.failed(
                len(self.labels),
                group,
                deltas=self.in_context,
                curve=bool(self.cfg["curve"]),
            )
            for group in spans
        ]
        self.set_annotations(docs, failed)

    def _get_spans(self, docs: list[Doc]) -> list[list[Span]] | None:
        if self.span_getter is None:
            return None
        return get_spans(self.span_getter, docs, name=self.name)
