"""Records of results for the review page."""

from spacy_duoguard.taxonomy import CATEGORIES

HOSTILE = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "</script><script>window.hacked = 1</script>",
    "<!--<script>",
    "<svg onload='window.hacked = 1'><a href='javascript:window.hacked=1'>x</a>",
    "<iframe src='https://example.org/'></iframe><link href=//example.org/a.css>",
    "{{script}} &lt;b&gt; \u2028 \u202e desrever \0 \ud800 end",
]


def record(text, *, scores=None, status="ok", sentences=(), **more):
    cats = {**dict.fromkeys(CATEGORIES, 0.1), **(scores or {})}
    return {
        "text": text,
        "cats": {**cats, "unsafe": max(cats.values())},
        "flags": [label for label in CATEGORIES if cats[label] > 0.5],
        "status": status,
        "sentences": [
            {"start": start, "end": end, "cats": cats} for start, end, cats in sentences
        ],
        **more,
    }


def stored(page):
    """What the page keeps in the browser: the items of its documents."""
    items = page.evaluate("Object.entries(localStorage)")
    return {key: value for key, value in items if not key.endswith(":tab")}


def press(page, keys):
    """Press one key after the other."""
    for key in keys.split() if " " in keys else [keys]:
        page.keyboard.press(key)


def given(page):
    """The answers that are pressed in the table of categories."""
    pressed = page.locator("#categories-of [aria-pressed=true]")
    names = pressed.evaluate_all("nodes => nodes.map(n => n.ariaLabel)")
    return dict(name.split(": ") for name in names)


def exported(page):
    """Export the marks. RETURNS: the lines of the file, and its name."""
    with page.expect_download() as download:
        page.locator("#export").click()
    path = download.value.path()
    return path.read_text(encoding="utf8"), download.value.suggested_filename


def said(page):
    return page.locator("#said").inner_text()
