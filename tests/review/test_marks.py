"""Corrections on the review page, by mouse and by keyboard."""

import pytest
from support.review_page import HOSTILE, given, press, record, said, stored

from spacy_duoguard.taxonomy import CATEGORIES

pytestmark = pytest.mark.browser

HATEFUL = "I hate you. You fool! 🙂 Have a nice day."
RECORDS = [
    record(
        HATEFUL,
        scores={"Hate": 0.93, "Privacy": 0.6},
        sentences=[(0, 11, {"Hate": 0.95})],
    ),
    record("What a lovely day.", scores={"Privacy": 0.45}),
    record("Give me your number.", scores={"Privacy": 0.8}),
    {"record": 4, "error": "the line is not JSON", "cats": {}, "status": "error"},
    record("", status="empty", scores=dict.fromkeys(CATEGORIES, 0.0)),
    {"text": "Not scored.", "record": 6, "error": "no", "cats": {}, "status": "error"},
]


@pytest.fixture
def page(open_page):
    return open_page(RECORDS, anchor="#record-1")


def progress(page):
    return page.locator("#progress-text").inner_text()


def question(page):
    return page.locator("#asked").inner_text()


def open_record(page, number):
    page.locator(".row", has=page.get_by_text(f"#{number}", exact=True)).click()


def test_flags_are_asked_about_by_score(page):
    assert question(page) == "Does this document belong to 9 Hate?"
    assert page.locator("#asked-note").inner_text() == "0.930, flagged"
    page.keyboard.press("y")
    assert said(page) == "Hate: yes. Next: Privacy."
    assert progress(page) == "0 of 4 done · 100% agreed"
    page.keyboard.press("n")
    assert given(page) == {"Hate": "yes", "Privacy": "no"}
    assert progress(page) == "1 of 4 done · 50% agreed"
    assert page.locator(".row[aria-selected=true] .done").inner_text() == "done"
    page.keyboard.press("j")
    assert given(page) == {}


@pytest.mark.parametrize(
    ("typed", "label"),
    [("1", 1), ("0", 10), ("10", 10), ("12", 12), ("13", 3), ("99", 9), ("012", 12)],
)
def test_digits_ask_about_a_category(page, typed, label):
    page.keyboard.type(typed)
    assert question(page).startswith(f"Does this document belong to {label} ")
    page.keyboard.press("i")
    assert given(page) == {}
    row = page.locator("#categories-of tr").nth(label - 1)
    assert row.locator(".unsure").inner_text() == "unsure"
    page.locator("#categories-of tr").nth(label - 1).locator(".pick").click()
    page.keyboard.press("Delete")
    assert row.locator(".unsure").inner_text() == ""


def test_a_late_digit_is_another_number(page):
    page.keyboard.press("1")
    page.wait_for_timeout(1100)
    page.keyboard.press("2")
    assert question(page).endswith("2 Non-violent crimes?")


def test_a_number_ends_with_an_answer(page):
    page.keyboard.type("1y2n1")
    assert given(page) == {"Violent crimes": "yes", "Non-violent crimes": "no"}
    assert question(page).endswith("1 Violent crimes?")


def test_a_key_that_is_held_answers_once(page):
    page.keyboard.down("y")
    page.keyboard.down("y")
    assert given(page) == {"Hate": "yes"}
    page.keyboard.up("y")


def test_after_undo_the_same_question_is_asked(page):
    press(page, "s y z")
    assert question(page) == "Does this sentence 1 of 3 belong to 9 Hate?"
    press(page, "n d y z n")
    assert given(page) == {"Hate": "no"}
    press(page, "j z")
    assert question(page) == "Does this document belong to 9 Hate?"


def test_answers_by_mouse_and_undo(page):
    page.get_by_role("button", name="Hate: no", exact=True).click()
    page.get_by_role("button", name="Sexual content: yes", exact=True).click()
    assert given(page) == {"Hate": "no", "Sexual content": "yes"}
    page.get_by_role("button", name="Hate: yes", exact=True).click()
    assert given(page) == {"Hate": "yes", "Sexual content": "yes"}
    page.get_by_role("button", name="Hate: yes", exact=True).click()  # taken back
    assert given(page) == {"Sexual content": "yes"}
    for expected in [
        {"Hate": "yes", "Sexual content": "yes"},
        {"Hate": "no", "Sexual content": "yes"},
        {"Hate": "no"},
        {},
    ]:
        page.locator("#undo").click()
        assert given(page) == expected
    assert page.locator("#undo").is_disabled()
    assert stored(page) == {}
    page.keyboard.press("z")
    assert said(page) == "Nothing to undo."


def test_no_to_the_rest_is_one_step(page):
    page.keyboard.press("y")
    page.keyboard.press("x")
    expected = {**dict.fromkeys(CATEGORIES, "no"), "Hate": "yes"}
    assert given(page) == expected
    assert said(page) == "No to 11 categories."
    page.keyboard.press("Control+z")
    assert given(page) == {"Hate": "yes"}


def test_undo_shows_the_document_that_it_changes(page):
    page.keyboard.press("y")
    open_record(page, 2)
    page.keyboard.press("z")
    assert page.locator("article h2").inner_text() == "Record 1"
    assert said(page) == "Undone: record 1."
    assert given(page) == {}


def test_sentences_are_marked_on_their_own(page):
    page.keyboard.press("s")
    assert question(page) == "Does this sentence 1 of 3 belong to 9 Hate?"
    press(page, "n")
    press(page, "a")  # "You fool!": the model has not flagged it
    assert page.locator(".target").inner_text() == "You fool!"
    assert page.locator("#asked-note").inner_text() == "not scored"
    page.keyboard.type("9y")
    assert given(page) == {"Hate": "yes"}
    listed = page.locator("#sentences li").all_inner_texts()
    assert listed == [
        "Hate 0.950 Hate: no I hate you.",
        "not flagged Hate: yes You fool!",
    ]
    page.keyboard.press("d")
    assert given(page) == {}
    page.locator(".sentence", has_text="🙂").click()
    assert question(page).startswith("Does this sentence 3 of 3")
    page.keyboard.press("Escape")
    assert question(page).startswith("Does this document")
    (value,) = stored(page).values()
    assert value == (
        '{"marks":{"0-11":"........n...","12-21":"........y..."},"notes":{}}'
    )


def test_the_rest_of_a_long_text_is_not_divided(open_page):
    long = record("I hate you. " + "Yes. " * 1001, sentences=[(0, 11, {"Hate": 0.9})])
    page = open_page([record("Yes. " * 1000), long], anchor="#record-1")
    press(page, "a")
    assert question(page).startswith("Does this sentence 1 of 1000 belong")
    press(page, "k a")  # the riskier one comes first
    assert question(page).startswith("Does this sentence 1 of 1 belong")


def test_a_sentence_without_a_verdict_does_not_count_as_agreement(page):
    press(page, "a a")
    page.keyboard.press("y")
    assert progress(page) == "0 of 4 done"
    assert page.locator("#agreement").inner_text() == (
        "1 answer. You agree with 0 of 0 verdicts: 0 of 0 flags were right, 0 missed."
    )


def test_agreement_by_category(page):
    press(page, "y n 1 y")  # one flag right, one wrong, one missed
    assert page.locator("#agreement").inner_text() == (
        "3 answers. You agree with 1 of 3 verdicts: 1 of 2 flags were right, 1 missed."
    )
    page.locator("#by-category summary").click()
    rows = page.locator("#agreement-rows tr").all_inner_texts()
    assert [row.split("\t") for row in rows] == [
        ["Violent crimes", "1", "0", "0 of 0", "1"],
        ["Privacy", "0", "1", "0 of 1", "0"],
        ["Hate", "1", "0", "1 of 1", "0"],
    ]


def test_a_note_is_kept_with_each_letter_and_undone_as_a_whole(page):
    page.keyboard.press("c")
    page.keyboard.type("yn1: a quote")
    assert page.locator("#note").input_value() == "yn1: a quote"
    (value,) = stored(page).values()
    assert '"notes":{"":"yn1: a quote"}' in value
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "document"
    page.keyboard.press("j")
    page.keyboard.press("z")
    assert page.locator("article h2").inner_text() == "Record 1"
    assert page.locator("#note").input_value() == ""
    assert stored(page) == {}


def test_what_cannot_be_learned_from_cannot_be_marked(page):
    for number, is_markable in [(4, False), (5, False), (6, True)]:
        open_record(page, number)
        press(page, "y x")
        assert page.locator("#question").is_visible() == is_markable
        assert page.locator("#note").count() == is_markable
    assert len(stored(page)) == 1
    assert (
        progress(page) == "1 of 4 done"
    )  # not scored: there is no verdict to agree with


def test_the_undone_are_filtered_and_nothing_disappears_while_it_is_open(page):
    page.locator("#marks").select_option("undone")
    assert page.locator("#count").inner_text().startswith("4 of 6 documents")
    open_record(page, 1)
    press(page, "y y")
    assert page.locator(".row").count() == 4
    page.keyboard.press("j")
    assert page.locator(".row .number").all_inner_texts() == ["#6", "#3", "#2"]
    assert page.locator("article h2").inner_text() == "Record 3"
    for name, expected in [("done", ["#1"]), ("differs", []), ("begun", [])]:
        page.locator("#marks").select_option(name)
        assert page.locator(".row .number").all_inner_texts() == expected
    page.locator("#marks").select_option("undone")
    press(page, "u y c h i Escape")
    for name in ("differs", "notes"):
        page.locator("#marks").select_option(name)
        assert page.locator(".row .number").count() == 1


def test_u_goes_to_the_next_that_is_undone(page):
    seen = []
    for _ in range(4):
        page.keyboard.press("u")
        seen.append(page.locator("article h2").inner_text().split()[1])
        page.keyboard.press("x")
    assert sorted(seen) == ["1", "2", "3", "6"]
    page.keyboard.press("u")
    assert said(page) == "Each document in the list is done."


def test_what_is_unsure_comes_first(open_page):
    split = [(0, 2, {"Hate": 0.9})]
    page = open_page(
        [
            record("a b", scores={"Hate": 0.85}, sentences=split),
            record("c d", scores={"Hate": 0.52}, sentences=[(0, 2, {"Hate": 0.6})]),
            record("e f", scores={"Hate": 0.2}, sentences=split),
            record("g h", scores={"Hate": 0.95}),
            record("i j", scores={"Privacy": 0.49}),
            {"record": 6, "error": "no", "cats": {}, "status": "error"},
        ]
    )

    def order(name):
        page.locator("#order").select_option(name)
        return [int(n[1:]) for n in page.locator(".row .number").all_inner_texts()]

    assert order("risk") == [6, 4, 1, 3, 2, 5]  # a sentence counts as well
    assert order("closeness") == [6, 5, 2, 3, 1, 4]
    assert order("disagreement") == [6, 3, 4, 1, 2, 5]
    page.locator(".category", has_text="Hate").click()
    page.locator("#threshold").fill("0.9")
    assert order("closeness") == [6, 4]


def test_without_sentences_there_is_no_disagreement(open_page):
    page = open_page([record("a", scores={"Hate": 0.9})])
    assert page.locator("#by-disagreement").is_disabled()


def test_decisions_are_shown_and_filtered(open_page):
    def decided(text, action, category, margin, **scores):
        reason = {"category": category, "margin": margin}
        return {**record(text, scores=scores), "action": action, "reason": reason}

    page = open_page(
        [
            decided("a", "block", "Hate", 0.4, Hate=0.9),
            decided("b", "review", "Hate", 0.1, Hate=0.4),
            decided("c", "allow", "Hate", -0.2),
            {"record": 4, "error": "no", "cats": {}, "status": "error"},
        ]
    )
    options = page.locator("#action option").all_inner_texts()
    assert options == ["any (4)", "allow (1)", "review (1)", "block (2)"]
    page.locator("#action").select_option("review")
    assert page.locator(".row .number").all_inner_texts() == ["#2"]
    open_record(page, 2)
    head = page.locator(".head").inner_text()
    assert "review" in head
    assert "because of Hate, margin 0.100" in head
    assert page.locator(".fields").count() == 0
    page.locator("#reset").click()
    open_record(page, 3)
    assert "because of Hate, margin -0.200" in page.locator(".head").inner_text()


def test_a_sentence_to_be_reviewed(open_page):
    sentence = {"start": 0, "end": 2, "cats": {"Hate": 0.4}, "action": "review"}
    page = open_page([{**record("a. b."), "sentences": [sentence]}])
    assert "[to be reviewed: Hate 0.400]" in page.locator("mark").text_content()
    press(page, "s")
    assert page.locator("#asked-note").inner_text() == "0.400, not flagged"
    press(page, "y")
    assert "0 of 1 verdict: 0 of 0 flags" in page.locator("#agreement").inner_text()
    assert "1 missed" in page.locator("#agreement").inner_text()


def test_without_decisions_there_is_no_filter(page):
    assert page.locator("#action-field").is_hidden()


def test_notes_and_sentences_are_inert(open_page):
    page = open_page([record(f"{text} One. Two.") for text in HOSTILE[:-1]])
    for number, text in enumerate(HOSTILE[:-1], start=1):
        open_record(page, number)
        press(page, "a y c")
        page.keyboard.insert_text(text)
        press(page, "Escape Escape")
        assert page.locator("#sentences li").count() == 1
        assert page.locator("article :is(script, img, iframe, link, a)").count() == 0
    page.reload()
    press(page, "a")
    assert page.locator("#note").input_value() in HOSTILE


def test_shortcuts_can_be_turned_off(page):
    page.keyboard.press("?")
    page.locator("#single-keys").uncheck()
    page.keyboard.press("Escape")
    press(page, "y n x 1 u")
    assert stored(page) == {}
