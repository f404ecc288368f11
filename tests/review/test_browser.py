"""The review page in a real Chromium: what reviewers can do, and texts can't."""

import json
import time

import pytest
from support.review_page import HOSTILE, record

from spacy_duoguard.review.page import write_page
from spacy_duoguard.taxonomy import CATEGORIES

pytestmark = pytest.mark.browser

EMOJI = "🙂🙂 Good morning. 🙂 I hate you all. Bye."
RECORDS = [
    record("What a lovely day.", author="Ada"),
    record(
        EMOJI,
        scores={"Hate": 0.93, "Violent crimes": 0.61},
        sentences=[(19, 33, {"Violent crimes": 0.61, "Hate": 0.93})],
        curve={"end": [16, 33, 38], "unsafe": [0.1, 0.9349, 0.93]},
        first_unsafe=33,
    ),
    record("Almost.", scores={"Privacy": 0.45}),
    {"record": 4, "error": "the line is not JSON", "cats": {}, "status": "error"},
    record("", status="empty", scores=dict.fromkeys(CATEGORIES, 0.0)),
    record("Left out.", status="truncated", scores={"Privacy": 0.7}),
    *(record(text) for text in HOSTILE),
]


def count(page):
    return page.locator("#count").inner_text()


def rows(page):
    """The record numbers in the list, from the top."""
    texts = page.locator(".row .number").all_inner_texts()
    return [int(text.removeprefix("#")) for text in texts]


def category(page, name):
    return page.locator(".category", has_text=name)


def slide(page, value):
    page.locator("#threshold").fill(str(value))


def test_the_list_is_sorted_by_risk_with_failures_first(open_page):
    page = open_page(RECORDS)
    assert rows(page)[:4] == [4, 2, 6, 3]
    assert count(page) == "13 of 13 documents · 3 flagged"
    assert "1 not scored" in page.locator("#summary").inner_text()
    assert "marked unsafe in every category" in page.locator("article").inner_text()
    assert page.locator("article tr.flagged").count() == 12
    page.locator("#order").select_option("record")
    assert rows(page)[:4] == [1, 2, 3, 4]


def test_a_disguised_text_says_how_it_was_read(open_page):
    readings = [
        {"view": "decoded", "start": 0, "end": 4, "unsafe": 0.1, "text": text}
        for text in ["I hate you.", *HOSTILE[:-1]]
    ]
    page = open_page([record("SSBo", read_as=readings)])
    items = page.locator(".readings li").all_inner_texts()
    assert items[0] == "decoded, unsafe 0.100: I hate you."
    assert [item.partition(": ")[2] for item in items[1:]] == HOSTILE[:-1]


def test_a_failure_comes_before_a_score_of_one(open_page):
    failed = {"record": 2, "error": "torn", "cats": {}, "status": "error"}
    assert rows(open_page([record("a", scores={"Hate": 1.0}), failed])) == [2, 1]


def test_filters(open_page):
    page = open_page(RECORDS)
    category(page, "Hate").click()
    assert rows(page) == [4, 2]
    category(page, "Privacy").click()
    assert rows(page) == [4, 2, 6]
    page.get_by_role("button", name="Violent crimes", exact=False).first.click()
    category(page, "Hate").click()
    assert rows(page) == [4, 6, 2]  # by risk in the chosen categories, 0.7 and 0.61
    page.locator("#reset").click()
    page.locator("#status").select_option("truncated")
    assert rows(page) == [6]
    page.locator("#reset").click()
    page.locator("#flagged-only").check()
    assert rows(page) == [4, 2, 6]
    page.locator("#reset").click()
    page.locator("#query").fill("ＨＡＴＥ you")
    page.locator("#count", has_text="1 found").wait_for()
    assert rows(page) == [2]
    page.locator("#query").fill("ada")  # a field
    page.locator(".row .number", has_text="#1").wait_for()
    assert rows(page) == [1]
    page.locator("#query").fill("nowhere")
    page.locator("#nothing").wait_for()
    assert rows(page) == []
    page.locator("#reset").click()
    assert len(rows(page)) == 13


def test_the_list_shows_the_score_of_a_part_by_which_it_is_sorted(open_page):
    sentence, other = (0, 11, {"Hate": 0.97}), (12, 15, {"Privacy": 0.6})
    records = [
        record("Call me: 555-0100.", scores={"Privacy": 0.9}),
        record("I hate you. Bye.", scores={"Hate": 0.3}, sentences=[sentence, other]),
        record("I hate you. Bye.", scores={"Hate": 0.98}, sentences=[sentence]),
    ]
    page = open_page(records)
    assert rows(page) == [3, 2, 1]
    lines = page.locator(".row").all_inner_texts()
    assert ["a part 0.970" in line for line in lines] == [False, True, False]
    assert "0.300" in lines[1]


def test_the_slider_changes_counts_and_a_failure_stays_flagged(open_page):
    page = open_page(RECORDS)
    number = category(page, "Privacy").locator(".number")
    assert number.inner_text() == "2"  # one document and the failure
    slide(page, 0.44)
    assert (count(page), number.inner_text()) == ("13 of 13 documents · 4 flagged", "3")
    slide(page, 0.45)  # strictly above
    assert number.inner_text() == "2"
    slide(page, 1)
    assert (count(page), number.inner_text()) == ("13 of 13 documents · 1 flagged", "1")
    page.locator("#as-scored").click()
    assert count(page) == "13 of 13 documents · 3 flagged"


def test_the_slider_changes_the_document_and_not_what_is_asked(open_page):
    page = open_page(RECORDS, anchor="#record-2")
    kept = page.locator(".text").element_handle()
    page.keyboard.press("s")
    asked = page.locator("#asked").inner_text()
    assert asked.startswith("Does this sentence 3 of 5 belong")
    slide(page, 0.95)
    assert page.locator("#asked").inner_text() == asked
    page.keyboard.press("d")
    assert page.locator("article tr.flagged").count() == 0
    assert page.locator("article .limit").count() == 1
    assert page.locator("article .head .note").inner_text() == "2 of 13"
    page.locator("#order").select_option("record")
    page.locator("#query").fill("hate")
    page.locator("#count", has_text="1 of 13").wait_for()
    assert page.locator("article .head .note").inner_text() == "1 of 1"
    page.locator("#as-scored").click()
    assert page.locator("article tr.flagged").count() == 2
    assert page.locator("article .limit").count() == 0
    assert page.locator(".text").evaluate("(now, kept) => now === kept", kept)


def test_the_right_characters_are_marked_after_emoji(open_page):
    page = open_page(RECORDS, anchor="#record-2")
    mark = page.locator("mark")
    text = "node => [...node.childNodes].find(n => n.nodeType === 3).data"
    assert mark.evaluate(text) == EMOJI[19:33] == "I hate you all"
    assert "[flagged: Hate 0.930 · Violent crimes 0.610]" in mark.text_content()
    mark.hover()
    assert page.locator("#tip").inner_text() == "Hate 0.930 · Violent crimes 0.610"
    page.mouse.move(0, 0)
    assert page.locator("#tip").is_hidden()
    page.keyboard.press("s")
    assert page.locator("#tip").is_visible()
    assert mark.evaluate("node => node === document.activeElement")


def test_overlapping_sentences(open_page):
    spans = [(0, 5, {"Hate": 0.9}), (2, 9, {"Privacy": 0.8}), (2, 9, {"Hate": 0.7})]
    page = open_page([record("abcdefghijk", scores={"Hate": 0.9}, sentences=spans)])
    texts = (
        "nodes => nodes.map(m => [...m.childNodes].find(n => n.nodeType === 3).data)"
    )
    assert page.locator("mark").evaluate_all(texts) == ["ab", "cde", "fghi"]
    tips = page.locator("mark").evaluate_all("nodes => nodes.map(m => m.dataset.tip)")
    assert tips[1] == "Hate 0.900 · Privacy 0.800"  # each category once
    assert page.locator(".text").evaluate("node => node.lastChild.textContent") == "jk"


def test_curve_and_fields(open_page):
    page = open_page(RECORDS, anchor="#record-2")
    assert page.locator("svg .first").count() == 1
    note = page.locator("figure .note").inner_text()
    assert (
        "highest score is 0.934, at character 33 of 38" in note
    )  # truncated, not rounded
    page.keyboard.press("k")
    assert page.locator("figure").count() == 0
    open_page(RECORDS, anchor="#record-1").locator(".fields", has_text="Ada").wait_for()


def test_keys(open_page):
    page = open_page(RECORDS)

    def head():
        return page.locator("article h2").inner_text().split("\n")[0].split(" ")[1]

    page.keyboard.press("j")
    assert head() == "2"
    assert page.evaluate("location.hash") == "#record-2"
    page.keyboard.press("k")
    page.keyboard.press("k")  # already at the first
    assert head() == "4"
    page.locator("#list").focus()
    for key, expected in [("ArrowDown", "2"), ("End", "5"), ("Home", "4")]:
        page.keyboard.press(key)
        assert head() == expected
    active = page.locator("#list").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "document"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    page.keyboard.press("/")
    page.keyboard.type("jk?")  # letters for the search, not keys
    assert page.locator("#query").input_value() == "jk?"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.locator("#single-keys").uncheck()
    page.keyboard.press("Escape")
    before = head()
    page.keyboard.press("j")
    assert head() == before


def test_hostile_texts_are_shown_verbatim(open_page):
    records = [record(text, **{text: text}) for text in HOSTILE]
    page = open_page(records)
    for number, text in enumerate(HOSTILE, start=1):
        page.locator(".row", has_text=f"#{number}").first.click()
        shown = page.locator(".text").evaluate(
            "node => JSON.stringify(node.textContent)"
        )
        assert json.loads(shown) == text
        assert page.locator("article :is(script, img, iframe, link, a)").count() == 0


def test_the_policy_refuses_markup_and_requests(browser, tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(RECORDS[0]), encoding="utf8")
    write_page(path, tmp_path / "page.html")
    page = browser.new_context().new_page()
    page.goto((tmp_path / "page.html").as_uri())
    refused = "try { document.body.innerHTML = '<b>'; false } catch { true }"
    assert page.evaluate(refused)
    fetched = "fetch('https://example.org/').then(() => true, () => false)"
    assert page.evaluate(fetched) is False
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_pages_show_the_list_or_the_document(open_page, scheme):
    page = open_page(RECORDS, width=390, color_scheme=scheme)
    assert page.locator("article").is_hidden()
    page.locator(".row", has_text="#2").click()
    assert page.locator(".list").is_hidden()
    assert page.locator("article h2").is_visible()
    wider = (
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    assert not page.evaluate(wider)
    page.get_by_role("button", name="Back to the list").click()
    assert page.locator("article").is_hidden()
    page.locator("#more > summary").click()
    assert page.locator("#threshold").is_visible()
    assert not page.evaluate(wider)


def test_ten_thousand_documents(open_page):
    long = "A sentence of some length that goes on for a while. " * 8
    records = [
        record(f"{i} {long}", scores={"Hate": i % 100 / 100}) for i in range(10_000)
    ]
    started = time.perf_counter()
    page = open_page(records)
    assert count(page) == "10,000 of 10,000 documents · 4,900 flagged"
    assert time.perf_counter() - started < 15  # of which the file takes a second or two
    assert page.locator(".row").count() < 40
    timed = """value => {
        const slider = document.getElementById("threshold");
        const started = performance.now();
        slider.value = value;
        slider.dispatchEvent(new Event("input"));
        document.getElementById("list").getBoundingClientRect();
        return performance.now() - started;
    }"""
    times = sorted(page.evaluate(timed, value) for value in (0.9, 0.2, 0.7, 0.4, 0.98))
    assert count(page) == "10,000 of 10,000 documents · 100 flagged"
    assert times[2] < 500, times  # milliseconds; about 20 where nothing else runs
    page.locator("#list").focus()
    page.keyboard.press("End")
    assert page.locator("article h2").inner_text() == "Record 9911"
