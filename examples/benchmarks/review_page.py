"""Measure the review page in headless Chromium: opening, filtering and correcting.

    python examples/benchmarks/review_page.py [--documents 10000] [--rounds 9]
    python examples/benchmarks/review_page.py --page review.html

The documents have 430 characters. Each time is from the event to the finished layout,
in milliseconds: first without marks, then with an answer to each category of each
document. With `--page`, measures a page that was built before, by any version.
Prints medians and the slowest; the last line is JSON. Needs Playwright and Chromium.
"""

import argparse
import json
import platform
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from spacy_duoguard.review.page import write_page
from spacy_duoguard.taxonomy import CATEGORIES

SENTENCE = "A sentence of some length that goes on for a while. "
EVENTS = """([kind, values]) => {
    const times = [];
    for (const value of values) {
        const started = performance.now();
        if (kind === "key") {
            const event = { key: value, bubbles: true };
            document.body.dispatchEvent(new KeyboardEvent("keydown", event));
        } else {
            const control = document.getElementById(kind);
            control.value = value;
            control.dispatchEvent(new Event(kind === "threshold" ? "input" : "change"));
        }
        document.body.getBoundingClientRect();
        times.push(performance.now() - started);
    }
    return times;
}"""
# As the page stores them: the item of a document whose categories all have an answer.
FILL = """([digest, count, labels]) => {
    const line = JSON.stringify({ marks: { "": "n".repeat(labels) }, notes: {} });
    for (let record = 1; record <= count; record += 1) {
        localStorage.setItem(`spacy-duoguard:${digest}:${record}`, line);
    }
}"""


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description="Time the review page.")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--page", type=Path, help="a page that was built before")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.page or build(Path(folder), args.documents)
        with sync_playwright() as driver:
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = driver.chromium.launch(executable_path=chromium)
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            figures = measure(page, path.resolve().as_uri(), args.rounds)
            version = browser.version
            browser.close()
        megabytes = path.stat().st_size / 1e6
    for name, times in figures.items():
        print(f"{name:28} {median(times):8.1f} ms, slowest {max(times):.1f}")
    medians = {name: round(median(times), 1) for name, times in figures.items()}
    slowest = {name: round(max(times), 1) for name, times in figures.items()}
    about = {"megabytes": round(megabytes, 1), "chromium": version}
    print(
        json.dumps(
            {"median": medians, "slowest": slowest, **about, "host": platform.machine()}
        )
    )


def build(folder: Path, count: int) -> Path:
    """Write the page of documents like those of the tests."""
    results = folder / "results.jsonl"
    with results.open("w", encoding="utf8") as file:
        for i in range(count):
            cats = {**dict.fromkeys(CATEGORIES, 0.1), "Hate": i % 100 / 100}
            flags = [label for label in CATEGORIES if cats[label] > 0.5]
            text = f"{i} {SENTENCE * 8}"
            record = {"text": text, "flags": flags, "status": "ok", "sentences": []}
            record["cats"] = {**cats, "unsafe": max(cats.values())}
            file.write(json.dumps(record) + "\n")
    write_page(results, folder / "page.html")
    return folder / "page.html"


def measure(page: Page, url: str, rounds: int) -> dict[str, list[float]]:
    """The times of each thing that a moderator does."""
    figures = {"open": opening(page, url, rounds)}
    values = [(0.9, 0.2, 0.7, 0.4, 0.98)[i % 5] for i in range(rounds)]
    figures["threshold"] = page.evaluate(EVENTS, ["threshold", values])
    page.locator("#as-scored").click()
    if not page.locator("#question").count():
        return figures
    figures |= marking(page, rounds)
    page.evaluate("localStorage.clear()")
    page.reload()
    data = "document.getElementById('data').textContent"
    digest, count, labels = page.evaluate(
        f"(d => [d.digest, d.docs.length, d.labels.length])(JSON.parse({data}))"
    )
    page.evaluate(FILL, [digest, count, labels])
    full = {"open": opening(page, url, rounds), **marking(page, rounds)}
    return {**figures, **{f"{name}, all marked": t for name, t in full.items()}}


def opening(page: Page, url: str, rounds: int) -> list[float]:
    times = []
    for _ in range(min(rounds, 5)):
        page.goto("about:blank")
        started = time.perf_counter()
        page.goto(url)
        page.locator("#count", has_text="documents").wait_for()
        times.append(1000 * (time.perf_counter() - started))
    return times


def marking(page: Page, rounds: int) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {}
    for name, keys in [
        ("yes or no", "yn"),
        ("no to the rest and undo", "xz"),
        ("next document", "j"),
        ("next undone document", "u"),
        ("next sentence", "a"),
    ]:
        typed = [keys[i % len(keys)] for i in range(rounds)]
        figures[name] = page.evaluate(EVENTS, ["key", typed])
    for name in ("closeness", "record", "risk"):
        figures[f"order by {name}"] = page.evaluate(EVENTS, ["order", [name]])
    figures["filter by marks"] = page.evaluate(
        EVENTS, ["marks", ["undone", "differs", ""]]
    )
    return figures


if __name__ == "__main__":
    main()
