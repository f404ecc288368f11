"""A session by keyboard alone, accessibility, and how long a correction takes."""

import json
import os
from pathlib import Path

import pytest
from support.paths import ROOT
from support.review_page import exported, given, press, record, said, stored

pytestmark = pytest.mark.browser

RECORDS = [
    record(
        "I hate you. Have a nice day.",
        scores={"Hate": 0.93},
        sentences=[(0, 11, {"Hate": 0.95})],
    ),
    record("Call me: 555-0100.", scores={"Privacy": 0.8, "Hate": 0.52}),
    record("What a lovely day."),
    record("How do I kill a process?", scores={"Violent crimes": 0.7}),
]
AXE = [
    Path(os.environ.get("AXE_CORE", ROOT / "node_modules/axe-core")) / "axe.min.js",
]


def tab_to(page, name):
    """Press Tab until an element has the focus."""
    for _ in range(80):
        if page.evaluate("document.activeElement.id") == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} can't be reached")


def test_a_session_by_keyboard_alone(open_page):
    page = open_page(RECORDS)
    press(page, "?")
    assert page.locator("#help").is_visible()
    press(page, "Escape")
    tab_to(page, "marks")
    page.keyboard.type("und")  # the select chooses "undone"
    assert page.locator("#marks").input_value() == "undone"
    tab_to(page, "list")
    press(page, "Home Enter")
    press(page, "y x")  # hate, and nothing else
    press(page, "s y a x d")  # the sentence, and none of the other one
    press(page, "c")
    page.keyboard.type("A quote?")
    press(page, "Escape Escape u")
    assert page.locator("article h2").inner_text() == "Record 2"
    press(page, "n n z z y i")  # privacy was right, hate is unsure
    assert given(page) == {"Privacy": "yes"}
    press(page, "u n 4 y u x")
    assert said(page) == "No to 12 categories."
    press(page, "u")
    assert said(page) == "Each document in the list is done."
    assert page.locator("#progress-text").inner_text() == "4 of 4 done · 92% agreed"
    press(page, "Escape")
    tab_to(page, "export")
    with page.expect_download() as download:
        press(page, "Enter")
    content = download.value.path().read_text(encoding="utf8")
    lines = [json.loads(line) for line in content.splitlines()]
    assert len(lines) == 12 + 1 + 12 + 2 + 12 + 2
    accepted = [
        (line["meta"]["record"], line["text"][:11], line["label"])
        for line in lines
        if line["answer"] == "accept"
    ]
    assert accepted == [
        (1, "I hate you.", "Hate"),
        (1, "I hate you.", "Hate"),
        (2, "Call me: 55", "Privacy"),
        (4, "How do I ki", "Child sexual exploitation"),
    ]
    unsure = [line["label"] for line in lines if line["answer"] == "ignore"]
    assert unsure == ["Hate"]
    page.reload()
    assert exported(page)[0] == content


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1920, 390])
def test_accessibility(open_page, scheme, width):
    path = next(filter(Path.is_file, AXE), None)
    if path is None:
        pytest.skip("needs axe-core: npm install axe-core, or its folder in AXE_CORE")
    page = open_page(RECORDS, width=width, color_scheme=scheme, bypass_csp=True)
    page.evaluate(path.read_text(encoding="utf8"))
    assert page.evaluate("async () => (await axe.run()).passes.length") > 20
    serious = """async () => (await axe.run()).violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])"""
    states = ["", "Home Enter", "y s n c", "Escape Escape x z", "?"]
    page.locator("#list").focus()
    for keys in states:
        if keys:
            press(page, keys)
        assert page.evaluate(serious) == [], keys
    press(page, "Escape Escape Escape")
    if width < 800:
        page.locator("#more > summary").click()
    page.locator("#by-category summary").click()
    page.evaluate("document.querySelector('#notices').textContent = 'A notice.'")
    assert page.evaluate(serious) == []


def test_a_correction_of_ten_thousand_documents(open_page):
    long = "A sentence of some length that goes on for a while. " * 8
    page = open_page(
        record(f"{i} {long}", scores={"Hate": i % 100 / 100}) for i in range(10_000)
    )
    timed = """key => {
        const started = performance.now();
        const event = new KeyboardEvent("keydown", { key, bubbles: true });
        document.body.dispatchEvent(event);
        document.body.getBoundingClientRect();
        return performance.now() - started;
    }"""
    times = {key: [] for key in "ynixz"}
    for _ in range(5):
        for key in times:
            times[key].append(page.evaluate(timed, key))
    for key, values in times.items():
        # Milliseconds; about 2 where nothing else runs.
        assert sorted(values)[2] < 50, (key, values)
    assert len(stored(page)) == 1
    page.locator("#marks").select_option("undone")
    page.keyboard.press("j")
    assert page.locator("article h2").inner_text() == "Record 200"
