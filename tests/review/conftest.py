"""The review page in a real Chromium."""

import json
import shutil

import pytest

from spacy_duoguard.review.page import write_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser():
    reason = "needs Playwright: pip install playwright"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Open the page of some records. Whatever the test does, there must be no console
    message, no error, no request but the file, and no script from a text."""
    opened = []

    def watch(page, url):
        page.set_default_timeout(20_000)
        seen = []
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("request", lambda request: seen.append(request.url))
        page.goto(url)
        opened.append((page, seen))
        return page

    def open_it(
        records=None, *, width=1400, anchor="", before="", beside=None, top=None, **more
    ):
        """records (Optional[Iterable[dict]]): None for the page that was written last.
        before (str): A script that runs before those of the page.
        beside (Optional[Page]): Open it as another tab of the browser of this page."""
        results, target = tmp_path / "results.jsonl", tmp_path / "page.html"
        if records is not None:
            lines = (json.dumps(record) for record in records)
            results.write_text("\n".join(lines), encoding="utf8")
            write_page(results, target, top=top)
        size = {"width": width, "height": 800}
        context = (
            beside.context if beside else browser.new_context(viewport=size, **more)
        )
        page = context.new_page()
        if before:
            page.add_init_script(before)
        return watch(page, f"{target.as_uri()}{anchor}")

    yield open_it
    for page, seen in opened:
        assert [entry for entry in seen if "/page.html" not in entry] == []
        assert seen  # the file itself, again if it was reloaded
        if not page.is_closed():
            assert page.evaluate("window.hacked") is None
    for page, _ in opened:
        page.context.close()
