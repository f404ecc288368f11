"""docs/corrections.md: from corrections to a better guard, by its own commands."""

import json

import pytest
from support.corrections import COMMANDS, COMPARE, FORBIDDEN, follow_the_page

from spacy_duoguard.taxonomy import CATEGORIES

pytestmark = pytest.mark.filterwarnings("ignore:.W001")


def make_marks(texts):
    """What the review page exports if somebody answers for each category."""
    lines = []
    for record, (text, is_forbidden) in enumerate(texts.items(), start=1):
        meta = {"unit": "document", "source": "results.jsonl", "record": record}
        for label in CATEGORIES:
            answer = "accept" if is_forbidden and label == FORBIDDEN else "reject"
            mark = {"text": text, "label": label, "answer": answer, "meta": meta}
            lines.append(json.dumps(mark))
    return "\n".join(lines)


def test_corrections_make_a_better_guard(tmp_path, monkeypatch, capfd):
    pytest.importorskip("matplotlib", reason="calibrate draws curves")
    follow_the_page(tmp_path, monkeypatch, capfd, make_marks)
    assert (tmp_path / "review.html").stat().st_size > 10_000


def test_every_command_of_the_page_is_run():
    starts = ("python -m spacy ", COMPARE)
    assert len(COMMANDS) >= 7
    assert all(command.startswith(starts) for command in COMMANDS)
