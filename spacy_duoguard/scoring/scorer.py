"""Records → results, a batch at a time."""

from collections.abc import Callable, Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..errors import DuoGuardError, SettingsError
from ..pipeline.registry import guard_names
from .inputs import Record
from .results import failed_result, to_result

# Records of a batch. Part of the result, though in the last digits only: texts that
# are packed together are multiplied together.
BATCH = 128


class RecordScorer:
    """Scores batches of records with a pipeline. Whatever happens to a record, there
    is one result for each, in order."""

    def __init__(self, nlp: Language, *, curve: bool = False) -> None:
        """nlp (Language): From `load_guard`. Its error handlers are replaced.
        curve (bool): Whether the risk curve is wanted.
        RAISES (SettingsError): No component of the factory 'duoguard' is in it.
        RAISES (DuoGuardError): Its weights cannot be loaded.
        """
        self.nlp = nlp
        self.curve = curve
        guard: Any = nlp.get_pipe(guard_names(nlp)[-1])
        _ = guard.classifier  # no record is to blame if that fails
        self._guard = guard
        self._problems: dict[int, str] = {}
        nlp.set_error_handler(self._note)  # type: ignore[arg-type]

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories."""
        return tuple(self._guard.labels)

    def score(self, records: Sequence[Record]) -> list[dict]:
        """Score a batch.

        records (Sequence[Record]): The records, at most `BATCH`.
        RETURNS (List[Dict]): A result for each, in order.
        RAISES (SettingsError): A setting of the pipeline makes scoring impossible.
        """
        self._problems = {}
        with self.nlp.memory_zone():
            docs = self._run(records)
            return [
                self._result(i, record, docs.get(i)) for i, record in enumerate(records)
            ]

    def _run(self, records: Sequence[Record]) -> dict[int, Doc]:
        """RETURNS (Dict[int, Doc]): What came out of the pipeline, by position."""
        pairs = []
        for i, record in enumerate(records):
            if record.problem is None:
                doc = self._make_doc(i, record.text)
                if doc is not None:
                    pairs.append((doc, i))
        stream = self.nlp.pipe(pairs, as_tuples=True, batch_size=max(len(pairs), 1))
        return {i: doc for doc, i in stream}

    def _make_doc(self, i: int, text: str) -> Doc | None:
        try:
            return self.nlp.make_doc(text)
        except Exception as e:  # spaCy's limit of characters, above all
            self._problems[i] = f"no tokens: {type(e).__name__}"
            return None

    def _result(self, i: int, record: Record, doc: Doc | None) -> dict:
        problem = record.problem or self._problems.get(i)
        if problem is None and (doc is None or doc._.duoguard_status is None):
            problem = "lost in the pipeline"
        if problem is None and doc is not None and doc._.duoguard_status == "error":
            problem = "not scored"
        if problem is not None or doc is None:
            found = problem or "not scored"
            return failed_result(record, found, self.labels, curve=self.curve)
        key = self._guard.cfg["spans_key"]
        return to_result(record, doc, spans_key=key, curve=self.curve)

    def _note(
        self, name: str, proc: Callable, docs: Sequence[Doc], error: Exception
    ) -> None:
        """The pipeline's error handler."""
        if isinstance(error, SettingsError):
            raise error
        # What others raise may quote the text.
        own = isinstance(error, DuoGuardError)
        reason = str(error) if own else type(error).__name__
        for doc in docs:
            self._problems[doc._context] = f"component '{name}': {reason}"
