"""`render` draws what was flagged, and escapes texts, labels and titles."""

import re
import sys
from html import unescape
from html.parser import HTMLParser

import pytest
import spacy
from spacy import displacy
from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import registry
from support.scored import mark, mark_failed

import spacy_duoguard
from spacy_duoguard.errors import ResultsError
from spacy_duoguard.taxonomy import CATEGORIES, COLORS

TEXT = "Nice day.\n\nI hate you. Bye!"


def make_doc(
    text=TEXT, *, status="ok", flags=("Hate",), spans=(), scores=(), title=None
):
    """A doc as the component returns it. `spans`: start token, end token, label."""
    doc = spacy.blank("en")(text)
    cats = {**dict.fromkeys(CATEGORIES, 0.1), "Hate": 0.93, "Spam<b>": 0.7}
    if status == "error":
        mark_failed(doc, labels=list(cats))
    else:
        limits = {label: 0.0 if label in flags else 1.0 for label in cats}
        mark(doc, cats if text else {}, thresholds=limits, status=status)
    group = [Span(doc, start, end, label=label) for start, end, label in spans]
    attrs = {"scores": list(scores)}
    doc.spans["duoguard"] = SpanGroup(doc, name="duoguard", attrs=attrs, spans=group)
    if title:
        doc.user_data["title"] = title
    return doc


class Drawing(HTMLParser):
    """The tags, the text, and the labels with their colours."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(markup)
        self.labels = [
            (unescape(label), color)
            for color, label in re.findall(
                r"background: (#\w+); z-index.*?nowrap\">(.*?)</span>",
                markup,
                re.DOTALL,
            )
        ]
        self.words = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


def draw(*args, **kwargs):
    return Drawing(spacy_duoguard.render(*args, jupyter=False, **kwargs))


def test_flagged_spans_are_drawn_with_colors_and_scores():
    spans = [(3, 8, "Hate"), (3, 8, "Violent crimes"), (8, 10, "Privacy")]
    drawing = draw(make_doc(spans=spans, scores=[0.93, 0.6999, 0.51]))
    assert drawing.labels == [
        ("Hate 0.930", COLORS["Hate"]),
        ("Violent crimes 0.699", COLORS["Violent crimes"]),
        ("Privacy 0.510", COLORS["Privacy"]),
    ]
    assert drawing.words.startswith("unsafe 0.930 · flagged: Hate 0.930 Nice day.")


def test_a_span_that_starts_with_line_breaks_keeps_its_label():
    doc = make_doc(spans=[(3, 8, "Hate"), (4, 8, "Privacy")], scores=[0.9, 0.8])
    assert doc.spans["duoguard"][0].text.startswith("\n\n")
    labels = [label for label, _ in draw(doc).labels]
    assert labels == ["Hate 0.900", "Privacy 0.800"]
    assert len(doc.spans["duoguard"][0]) == 5  # the span of the doc is unchanged


def test_the_text_keeps_its_spaces():
    doc = make_doc("Don't (ever) do it: I'll see. Ok?", spans=[(0, 12, "Hate")])
    words = draw(doc, caption=False).words.replace("Hate ", "")
    assert words.startswith("Don't (ever) do it: I'll see.")


def test_a_span_shorter_than_its_label_is_padded():
    doc = make_doc("Die! Go!", spans=[(0, 2, "Non-violent crimes"), (2, 4, "Hate")])
    text = draw(doc, caption=False).text
    first, second = re.split(r"(?=Go!)", text, maxsplit=1)
    assert first.count("\N{NO-BREAK SPACE}") >= 2 * (0.7 * 18 - 4)
    assert 0 <= second.count("\N{NO-BREAK SPACE}") < 5


def test_hostile_texts_labels_and_titles_are_escaped():
    hostile = "<script>alert(1)</script>"
    doc = make_doc(
        f"{hostile} <img src=x> {{}} &amp;",
        spans=[(0, 2, "Spam<b>"), (2, 4, hostile)],
        scores=[0.7, 0.6],
        flags=("Hate", "Spam<b>"),
        title=hostile,
    )
    for page in (False, True):
        drawing = draw(doc, page=page)
        assert not {"script", "img", "b"} & drawing.tags
        assert drawing.words.count("alert(1)") == 3
        assert "Spam<b> 0.700" in drawing.words
        assert [label for label, _ in drawing.labels] == [
            "Spam<b> 0.700",
            f"{hostile} 0.600",
        ]


def test_docs_without_flagged_spans():
    drawing = draw([make_doc(flags=()), make_doc("", status="empty", flags=())])
    assert drawing.labels == []
    assert drawing.words.count("flagged: nothing") == 2
    assert drawing.words.endswith("· empty")


def test_a_failed_doc_has_one_label():
    spans = [(0, 3, label) for label in CATEGORIES]
    doc = make_doc(status="error", flags=CATEGORIES, spans=spans, scores=[1.0] * 12)
    drawing = draw(doc)
    assert [label for label, _ in drawing.labels] == ["not scored"]
    assert "not scored: every category is set to 1.0" in drawing.words


def test_custom_colors():
    spans = [(0, 3, "Hate"), (0, 3, "Spam")]
    colors = {"Hate": "#000001", "Spam": "#000002"}
    drawing = draw(make_doc(spans=spans), options={"colors": colors})
    assert drawing.labels == [("Hate", "#000001"), ("Spam", "#000002")]


def test_an_unscored_doc_is_an_error():
    with pytest.raises(ResultsError, match="E155"):
        draw(spacy.blank("en")(TEXT))


def test_notebooks(monkeypatch):
    shown = []

    class Display:
        HTML = staticmethod(lambda markup: markup)
        display = staticmethod(shown.append)

    monkeypatch.setitem(sys.modules, "IPython", Display)
    monkeypatch.setitem(sys.modules, "IPython.display", Display)
    assert spacy_duoguard.render(make_doc(), jupyter=True) is None
    assert "I hate you." in " ".join(Drawing(shown[0]).text.split())


def test_displacy_has_the_colors():
    assert registry.displacy_colors.get_all()["duoguard"]() == COLORS
    doc = make_doc(spans=[(0, 3, "Hate")])
    options = {"spans_key": "duoguard"}
    assert COLORS["Hate"] in displacy.render(doc, style="span", options=options)


def test_with_the_component(make_nlp):
    nlp = make_nlp(sents=True, threshold=0.0)
    doc = nlp("The dog sleeps.\n\nA fox jumps.")
    labels = [label for label, _ in draw(doc).labels]
    assert len(labels) == 24
    assert {label.rsplit(" ", 1)[0] for label in labels} == set(CATEGORIES)
    again = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert spacy_duoguard.render(again) == spacy_duoguard.render(doc)


def test_unknown_attributes_raise():
    with pytest.raises(AttributeError, match="has no attribute 'draw'"):
        _ = spacy_duoguard.draw
