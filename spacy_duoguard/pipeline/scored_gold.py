"""Notice scores of the component that stand where gold should be: `spacy apply` writes
them into `doc.cats` of a corpus, in which they replace the gold."""

from spacy.tokens import Doc

from ..engine.user_warnings import warn_once
from ..errors import Errors, SettingsError, Warnings
from ..taxonomy import UNSAFE
from .doc_record import read_record


def has_scores_as_gold(doc: Doc) -> bool:
    """doc (Doc): A doc with gold.
    RETURNS (bool): Whether its `doc.cats` are what its record says that it scores."""
    record = read_record(doc) or {}
    labels, probs = record.get("labels"), record.get("probs")
    if not isinstance(labels, (list, tuple)) or not isinstance(probs, (list, tuple)):
        return False
    if not labels or len(labels) != len(probs):
        return False
    scores = dict(zip(labels, probs, strict=True))
    known = {label: doc.cats.get(label) for label in scores}
    return known == scores and doc.cats.get(UNSAFE) == max(scores.values())


def refuse_scores(doc: Doc) -> None:
    """doc (Doc): A doc with gold.
    RAISES (SettingsError): Its gold are scores of the component."""
    if has_scores_as_gold(doc):
        raise SettingsError(Errors.E353)


def warn_of_scores(doc: Doc) -> None:
    """Warn, once in a process, if the gold of a doc are scores of the component.

    doc (Doc): A doc with gold."""
    if has_scores_as_gold(doc):
        warn_once(Warnings.W033)
