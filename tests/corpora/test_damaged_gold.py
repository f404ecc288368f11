"""Gold that is damaged is not written out as if it weren't."""

import pytest
import spacy

from spacy_duoguard.corpora.gold_docs import gold_fields
from spacy_duoguard.corpora.segments import rejected_spans
from spacy_duoguard.errors import SettingsError


@pytest.mark.parametrize(
    ("rejected", "code"),
    [([[0, 600, "Hate"]], "E328"), ([[0, 3.5, "Hate"]], "E265"), ([5], "E265")],
)
def test_what_was_rejected_is_checked(rejected, code):
    doc = spacy.blank("en")("The dog sleeps.")
    doc.spans["duoguard"] = []
    doc.spans["duoguard"].attrs["rejected"] = rejected
    with pytest.raises(SettingsError, match=code):
        gold_fields(doc, "duoguard")
    with pytest.raises(SettingsError, match=code):
        rejected_spans(doc.spans["duoguard"])
