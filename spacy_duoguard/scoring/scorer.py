"""Score records, one batch at a time."""

from collections.abc import Callable, Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..engine.verdict import Verdict, not_scored
from ..errors import DuoGuardError, SettingsError, describe_type
from ..pipeline.attributes import get_verdict
from ..pipeline.conversation import make_conversation
from ..pipeline.registry import guard_names
from ..pipeline.settings import make_policy
from .record import Record
from .results import Columns, make_result


class RecordScorer:
    """Scores batches of records with a pipeline. Whatever happens to a record, it gets
    a result, in order."""

    def __init__(self, nlp: Language, *, curve: bool = False) -> None:
        """nlp (Language): From `load_guard`. Its error handlers are replaced.
        curve (bool): Include the risk curve in results.
        RAISES (SettingsError): It has no component with the factory 'duoguard'.
        RAISES (DuoGuardError): The weights cannot be loaded.
        """
        self.nlp = nlp
        guard: Any = nlp.get_pipe(guard_names(nlp)[-1])
        _ = guard.classifier  # fail now: it is not the fault of a record
        self._guard = guard
        views = bool(guard.cfg["normalize"])
        actions = make_policy(guard.cfg, guard.labels).has_band
        self.columns = Columns(actions=actions, curve=curve, views=views)
        self._problems: dict[int, str] = {}
        nlp.set_error_handler(self._note)  # type: ignore[arg-type]

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories."""
        return tuple(self._guard.labels)

    def score(self, records: Sequence[Record]) -> list[dict]:
        """Score a batch.

        records (Sequence[Record]): The records, at most `BATCH`.
        RETURNS (List[Dict]): One result per record, in order.
        RAISES (SettingsError): The pipeline's settings make scoring impossible.
        """
        self._problems = {}
        with self.nlp.memory_zone():
            docs = self._run(records)
            results = []
            for i, record in enumerate(records):
                doc = docs.get(i)
                verdict = self._judge(i, record, doc)
                results.append(make_result(record, verdict, doc, self.columns))
            return results

    def _run(self, records: Sequence[Record]) -> dict[int, Doc]:
        """RETURNS (Dict[int, Doc]): The docs from the pipeline, by index."""
        # One by one: while docs are made, the texts of others are tokenized.
        pairs = (
            (doc, i)
            for i, record in enumerate(records)
            if record.problem is None and (doc := self._make_doc(i, record)) is not None
        )
        stream = self.nlp.pipe(pairs, as_tuples=True, batch_size=max(len(records), 1))
        return {i: doc for doc, i in stream}

    def _make_doc(self, i: int, record: Record) -> Doc | None:
        try:
            if record.conversation is not None:
                return make_conversation(self.nlp, record.conversation)
            return self.nlp.make_doc(record.text)
        except Exception as e:  # most likely spaCy's character limit
            self._problems[i] = f"no tokens: {describe_type(e)}"
            return None

    def _judge(self, i: int, record: Record, doc: Doc | None) -> Verdict:
        problem = record.problem or self._problems.get(i)
        if problem is None:
            verdict = None if doc is None else get_verdict(doc)
            if doc is None or verdict is None:
                problem = "lost in the pipeline"
            elif doc.text != record.text:
                problem = "the pipeline changed the text"
            elif verdict.is_scored and tuple(verdict.labels) != self.labels:
                problem = "the scores are those of another model"
            elif verdict.problem is None:
                return verdict
            else:
                problem = verdict.problem
        return not_scored(self.labels, problem)

    def _note(
        self, name: str, proc: Callable, docs: Sequence[Doc], error: Exception
    ) -> None:
        """The pipeline's error handler."""
        if isinstance(error, SettingsError):
            raise error
        # Only our own messages are known never to quote the text.
        is_ours = isinstance(error, DuoGuardError)
        reason = str(error) if is_ours else type(error).__name__
        for doc in docs:
            self._problems[doc._context] = f"component '{name}': {reason}"
