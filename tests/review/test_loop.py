"""From a moderator's session in a real Chromium to a guard that has learned from it."""

import json

import pytest
from support.corrections import FORBIDDEN, follow_the_page
from support.review_page import exported, press, said

from spacy_duoguard.taxonomy import CATEGORIES

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore:.W001")]

DONE = "Each document in the list is done."


def test_what_a_moderator_corrects_makes_a_better_guard(
    browser, tmp_path, monkeypatch, capfd
):
    pytest.importorskip("matplotlib", reason="calibrate draws curves")
    number = CATEGORIES.index(FORBIDDEN) + 1

    def correct(texts):
        page = browser.new_page()
        page.goto(f"{(tmp_path / 'review.html').as_uri()}#record-1")
        for _ in texts:
            heading = page.locator("article h2").inner_text()
            record = int(heading.removeprefix("Record "))
            is_forbidden = list(texts.values())[record - 1]
            press(page, f"{number} y x" if is_forbidden else "x")
            page.keyboard.press("u")
        assert said(page) == DONE
        content, name = exported(page)
        page.close()
        assert name == "results.marks.jsonl"
        marks = [json.loads(line) for line in content.split("\n") if line]
        assert len(marks) == len(texts) * len(CATEGORIES)
        assert {mark["text"] for mark in marks} == set(texts)
        return content

    follow_the_page(tmp_path, monkeypatch, capfd, correct)
