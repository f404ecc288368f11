"""The file of marks that the review page exports and imports."""

import json

import pytest
from support.review_page import (
    HOSTILE,
    exported,
    given,
    press,
    record,
    said,
    stored,
)

from spacy_duoguard.taxonomy import CATEGORIES

pytestmark = pytest.mark.browser

TEXT = "🙂 I hate you. You \ud800 fool! Have a nice day."
RECORDS = [
    record(
        TEXT,
        scores={"Hate": 0.93, "Privacy": 0.6},
        sentences=[(2, 13, {"Hate": 0.95})],
        id=7,
    ),
    record("What a lovely day."),
    record("What a lovely day.", scores={"Hate": 0.7}),
    *(record(f"{text}. Yes.") for text in HOSTILE),
]


def lines_of(content):
    return [json.loads(line) for line in content.splitlines()]


def bring(page, lines):
    """Import lines: dicts, or strings as they are."""
    content = "".join(
        (line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines
    )
    page.locator("#import-file").set_input_files(
        {"name": "m.jsonl", "mimeType": "text/plain", "buffer": content.encode()}
    )
    page.locator("#said", has_text="imported").wait_for()
    return said(page)


def line(text, label, answer="accept", **meta):
    return {"text": text, "label": label, "answer": answer, "meta": meta}


def test_a_line_for_each_mark(open_page):
    page = open_page(RECORDS, anchor="#record-1")
    assert page.locator("#export").is_disabled()
    press(page, "y i s n c")
    page.keyboard.type("Ask Ada.")
    press(page, "Escape a 9 y d")
    page.locator(".row", has=page.get_by_text("#2", exact=True)).click()
    press(page, "c")
    page.keyboard.type("Lovely.")
    content, name = exported(page)
    assert name == "results.marks.jsonl"
    digest = json.loads(page.locator("#data").text_content())["digest"]
    assert len(digest) == 32
    both = {"source": "results.jsonl", "results": digest, "record": 1}
    document = {"unit": "document", **both}
    sentence = {"unit": "sentence", **both}
    scored = {"start": 2, "end": 13, "id": "7", "note": "Ask Ada."}
    expected = [
        line(TEXT, "Privacy", "ignore", **document, score=0.6, flagged=True, id="7"),
        line(TEXT, "Hate", **document, score=0.93, flagged=True, id="7"),
        line(
            "I hate you.",
            "Hate",
            "reject",
            **sentence,
            score=0.95,
            flagged=True,
            **scored,
        ),
        line(
            *("You \ud800 fool!", "Hate", "accept"),
            **{**sentence, "score": None, "flagged": None, "start": 14, "end": 25},
            id="7",
        ),
        line(
            *("What a lovely day.", "", "ignore"),
            **{**document, "record": 2, "score": None, "flagged": None},
            note="Lovely.",
        ),
    ]
    assert lines_of(content) == expected
    assert [list(found["meta"]) for found in lines_of(content)] == [
        list(wanted["meta"]) for wanted in expected
    ]
    assert "5 lines exported" in said(page)


def test_a_round_trip_loses_nothing(open_page):
    page = open_page(RECORDS)
    for _ in RECORDS:
        press(page, "y n x a 3 y a 4 i c")
        page.keyboard.type("A note.")
        press(page, "Escape Escape j")
    content, _ = exported(page)
    before = stored(page)
    assert len(before) == len(RECORDS)
    other = open_page(RECORDS)  # another browser
    assert said(other) == ""
    count = len(content.splitlines())
    assert bring(other, [content]) == f"{count} lines imported."
    assert stored(other) == before
    assert exported(other)[0] == content
    press(other, "z")
    assert stored(other) == {}


def test_marks_that_are_here_already_stay(open_page):
    page = open_page(RECORDS, anchor="#record-1")
    press(page, "y c")
    page.keyboard.type("Mine.")
    press(page, "Escape")
    what = bring(
        page,
        [
            line(TEXT, "Hate", "accept", record=1),
            line(TEXT, "Hate", "reject", record=1),
            line(TEXT, "Privacy", "reject", record=1),
            line(TEXT, "Privacy", "reject", record=1, note="Yours."),
        ],
    )
    assert what == (
        "2 lines imported; 2 lines (2, 4) differ from your marks, which were kept."
    )
    assert given(page) == {"Hate": "yes", "Privacy": "no"}
    assert page.locator("#note").input_value() == "Mine."


def test_lines_of_others_are_found_by_their_text(open_page):
    page = open_page(RECORDS)
    prodigy = {
        **{"text": "What a lovely day.", "label": "Hate", "answer": "reject"},
        **{"_input_hash": 1, "_task_hash": 2, "_view_id": "classification"},
    }
    assert bring(page, [prodigy]) == "1 line imported."
    marks = {
        key[-2:]: json.loads(value)["marks"] for key, value in stored(page).items()
    }
    assert marks == {key: {"": "........n..."} for key in (":2", ":3")}
    # A mark of other results, whose records are in another order.
    moved = line("What a lovely day.", "Privacy", record=1, unit="document")
    assert bring(page, [moved]) == "1 line imported."
    marks = {
        key[-2:]: json.loads(value)["marks"] for key, value in stored(page).items()
    }
    assert marks == {key: {"": ".....y..n..."} for key in (":2", ":3")}


def test_marks_that_a_page_with_top_leaves_out(open_page):
    page = open_page(RECORDS)
    press(page, "n j y")
    assert len(stored(page)) == 2
    riskiest = open_page(RECORDS, beside=page, top=1)
    content, _ = exported(riskiest)
    assert len(lines_of(content)) == 1
    assert said(riskiest).endswith(
        "It lacks the marks of 1 document that this page leaves out."
    )


@pytest.mark.parametrize(
    "bad",
    [
        "{torn",
        "null",
        "3",
        "[]",
        line("Unknown text.", "Hate"),
        line(TEXT, "unsafe"),
        line(TEXT, "constructor"),
        line(TEXT, "Hate", "yes"),
        line(TEXT, "", "ignore"),
        line(3, "Hate"),
        line("I hate you.", "Hate", unit="sentence", record=1, start=1, end=13),
        line("I hate you.", "Hate", unit="sentence", record=1, start=-2, end=13),
        line("I hate you.", "Hate", unit="sentence", record=1, start="2", end=13),
        line("I hate you.", "Hate", unit="sentence", record=99, start=2, end=13),
        line("", "Hate", unit="sentence", record=1, start=2, end=2),
        {"text": TEXT, "label": "Hate"},
    ],
    ids=repr,
)
def test_lines_that_fit_nothing_are_named(open_page, bad):
    page = open_page(RECORDS)
    what = bring(page, ["", bad, line(TEXT, "Hate")])
    assert what == (
        "1 line imported; 1 line (2) fit no document of these results, or are no marks."
    )
    assert len(stored(page)) == 1


def test_hostile_lines_are_inert(open_page):
    page = open_page(RECORDS)
    lines = [
        line(f"{text}. Yes.", CATEGORIES[0], note=text, record=i)
        for i, text in enumerate(HOSTILE, start=4)
    ]
    assert bring(page, lines) == f"{len(HOSTILE)} lines imported."
    for i, text in enumerate(HOSTILE[:-1], start=4):
        page.locator(".row", has=page.get_by_text(f"#{i}", exact=True)).click()
        assert page.locator("#note").input_value() == text
        assert page.locator("article :is(script, img, iframe, link, a)").count() == 0
