"""Marks are kept in the browser, without texts, and not lost without a word."""

import json

import pytest
from support.review_page import given, press, record, said, stored

pytestmark = pytest.mark.browser

RECORDS = [
    record("A very private text.", scores={"Hate": 0.9, "Privacy": 0.8}),
    record("Another private text.", scores={"Hate": 0.7}),
]

# Writing fails as in a browser whose storage is full.
FULL = """Storage.prototype.setItem = () => {
    if (window.hasRoom) return;
    throw new DOMException("", "QuotaExceededError");
};"""
FORBIDDEN = """Object.defineProperty(window, "localStorage", {
    get() { throw new DOMException("", "SecurityError"); },
});"""


def notices(page):
    return page.locator("#notices").inner_text()


def test_marks_survive_a_closed_tab_and_no_text_is_stored(open_page):
    page = open_page(RECORDS)
    press(page, "y s n c")
    page.keyboard.type("Ask Ada.")
    before, answers = stored(page), given(page)
    assert answers == {"Hate": "yes", "Privacy": "no"}
    assert not any("private" in key + value for key, value in before.items())
    again = open_page(beside=page)
    page.close()
    assert given(again) == answers
    assert again.locator("#note").input_value() == "Ask Ada."
    assert stored(again) == before
    assert again.locator("#progress-text").inner_text() == "1 of 2 done · 50% agreed"


def test_other_results_have_other_marks(open_page):
    page = open_page(RECORDS)
    press(page, "y")
    other = open_page([record("B.", scores={"Hate": 0.9})], beside=page)
    assert given(other) == {}
    assert notices(other) == notices(page) == ""
    press(other, "n")
    assert len({key.rpartition(":")[0] for key in stored(page)}) == 2


@pytest.mark.parametrize(
    ("script", "says"),
    [(FULL, "its storage is full"), (FORBIDDEN, "it allows this page no storage")],
)
def test_marks_that_are_not_stored_are_said(open_page, script, says):
    page = open_page(RECORDS, before=script)
    press(page, "y")
    assert given(page) == {"Hate": "yes"}
    assert says in notices(page)
    assert "1 document will be lost with this tab: export your marks" in notices(page)
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.type), dialog.dismiss()))
    page.close(run_before_unload=True)
    page.wait_for_timeout(300)
    assert dialogs == ["beforeunload"]


def test_marks_are_stored_as_soon_as_there_is_room(open_page):
    page = open_page(RECORDS, before=FULL)
    press(page, "y")
    press(page, "j y")
    assert "2 documents will be lost" in notices(page)
    page.evaluate("delete Storage.prototype.setItem; window.hasRoom = true")
    page.evaluate(
        "Storage.prototype.setItem = function (key, value) { this[key] = value; }"
    )
    press(page, "i")
    assert notices(page) == ""
    assert len(stored(page)) == 2


@pytest.mark.parametrize(
    "value",
    [
        "{torn",
        "null",
        "[]",
        '{"marks": {"": "y"}, "notes": {}}',
        '{"marks": {"": "yyyyyyyyyyyx"}, "notes": {}}',
        '{"marks": {"0-999": "yyyyyyyyyyyy"}, "notes": {}}',
        '{"marks": {"5-2": "yyyyyyyyyyyy"}, "notes": {}}',
        '{"marks": {"__proto__": "yyyyyyyyyyyy"}, "notes": {}}',
        '{"marks": {}, "notes": {"": 1}}',
        '{"marks": {}}',
    ],
)
def test_damaged_marks_are_said_and_not_shown(open_page, value):
    page = open_page(RECORDS)
    press(page, "j")
    press(page, "y")
    (key,) = stored(page)
    page.evaluate("([key, value]) => { localStorage[key] = value; }", [key, value])
    page.reload()
    assert "stored marks of 1 document are damaged" in notices(page)
    assert page.locator("#progress-text").inner_text() == "0 of 2 done"


def test_two_tabs_warn_and_share_their_marks(open_page):
    first = open_page(RECORDS)
    second = open_page(beside=first)
    for page in (first, second):
        page.locator("#notices", has_text="open in another tab").wait_for()
    press(first, "y")
    second.get_by_role("button", name="Hate: yes", pressed=True, exact=True).wait_for()
    press(second, "6 n")
    first.get_by_role("button", name="Privacy: no", pressed=True).wait_for()
    assert given(first) == given(second) == {"Hate": "yes", "Privacy": "no"}
    press(first, "z")
    assert said(first) == "Not undone: another tab has changed these marks since."
    assert given(first) == given(second) == {"Hate": "yes", "Privacy": "no"}
    press(second, "a y")  # a sentence that the first tab has not asked about
    first.locator("#sentences li", has_text="Hate: yes").wait_for()
    third = open_page(beside=first)
    third.locator("#notices", has_text="open in another tab").wait_for()
    second.close(run_before_unload=True)
    first.wait_for_timeout(300)
    assert "open in another tab" in notices(first)  # the third one
    third.close(run_before_unload=True)
    first.locator("#notices:empty").wait_for(state="attached")


def test_the_warning_ends_if_the_other_tab_was_killed(open_page):
    first = open_page(RECORDS)
    key = next(k for k in first.evaluate("Object.keys(localStorage)") if "tab" in k)
    other = first.context.new_page()
    other.goto("about:blank")
    other.goto(first.url.replace("page.html", "results.jsonl"))  # the same storage
    other.evaluate("key => { localStorage[key] = 'here and gone'; }", key)
    first.locator("#notices", has_text="open in another tab").wait_for()
    first.locator("#notices:empty").wait_for(state="attached")


def test_marks_that_another_page_removes_are_stored_again(open_page):
    first = open_page(RECORDS)
    press(first, "y")
    before = stored(first)
    second = open_page(beside=first)
    second.evaluate("localStorage.clear()")
    first.wait_for_timeout(300)
    assert stored(first) == before
    assert json.loads(next(iter(before.values())))["marks"] == {"": "........y..."}
