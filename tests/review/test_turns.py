"""The turns of conversations on the review page."""

import json
import math

import pytest

from spacy_duoguard.review.documents import read_document
from spacy_duoguard.scoring.pipelines import GuardOptions, load_guard
from spacy_duoguard.scoring.record import make_record
from spacy_duoguard.scoring.scorer import RecordScorer

pytestmark = pytest.mark.filterwarnings("ignore:.W001")  # the model is the demo

ANSWER = "The weather report says that the train to the museum leaves at nine. " * 8
MESSAGES = [
    {"role": "user", "content": "I will kill you, idiot."},
    {"role": "assistant", "content": ANSWER},
]


@pytest.fixture(scope="module")
def result():
    """A conversation whose first message is flagged, and which isn't as a whole."""
    options = GuardOptions(model="demo", device="cpu", precision="float32")
    record = make_record(1, {"text": MESSAGES}, "text")
    (result,) = RecordScorer(load_guard(options)).score([record])
    first, last = result["turns"]
    assert first["flags"]
    assert not last["flags"]
    assert not result["flags"]
    return json.dumps(result)


def test_a_flagged_turn_is_shown_and_counts_as_a_risk(result):
    record = json.loads(result)
    document = read_document(record, 1)
    (shown,) = document.sentences
    first = record["turns"][0]
    assert document.text[shown.start : shown.end] == MESSAGES[0]["content"]
    assert shown.cats == {label: first["cats"][label] for label in first["flags"]}
    assert document.risk == max(shown.cats.values()) > max(document.cats.values())


@pytest.mark.browser
def test_a_sentence_that_is_a_whole_message_has_each_category_once(result, open_page):
    record = json.loads(result)
    first = record["turns"][0]
    score = first["cats"]["Hate"]
    cats = {"Hate": score - 0.1, "Privacy": 0.9}
    record["sentences"] = [{"start": first["start"], "end": first["end"], "cats": cats}]
    page = open_page([record])
    item = page.locator("#sentences li").inner_text()
    assert item.count("Hate") == 1
    hate = math.floor(score * 1000 + 1e-9) / 1000
    assert f"Hate {hate:.3f}" in item
    assert page.locator("mark").get_attribute("data-tip").count("Hate") == 1
    page.keyboard.press("s")
    row = page.locator("#categories-of tr", has_text="Hate")
    assert f"{hate:.3f}" in row.inner_text()


@pytest.mark.parametrize("content", [None, ""])
@pytest.mark.parametrize("changed", [False, True])
def test_a_conversation_without_text_is_empty(content, changed):
    options = GuardOptions(model="demo", device="cpu", precision="float32")
    messages = [{"role": "user", "content": content}]
    record = make_record(1, {"text": messages}, "text")
    (result,) = RecordScorer(load_guard(options)).score([record])
    if changed:  # to one that can't be: the text isn't hidden
        result["text"] = "I will kill you."
    document = read_document(json.loads(json.dumps(result)), 1)
    assert document.status == ("error" if changed else "empty")
    assert document.text == ("I will kill you." if changed else "")


def test_a_turn_of_another_role_is_not_shown(result):
    record = json.loads(result)
    record["turns"][0] |= {"status": "context", "cats": None, "flags": None}
    assert read_document(record, 1).sentences == ()


@pytest.mark.parametrize(
    "change",
    [
        {"flags": []},
        {"cats": {"unsafe": 0.1}},
        {"cats": None},
        {"end": 10_000},
        {"start": -1},
        {"status": "fine"},
    ],
)
def test_a_turn_that_contradicts_itself_is_not_trusted(result, change):
    record = json.loads(result)
    first = record["turns"][0]
    if change == {"flags": []}:  # the rest says that a category is above 0.5
        change = {"status": "error", "flags": []}
        record["turns"][0] = first | change
        (shown,) = read_document(record, 1).sentences
        assert set(shown.cats.values()) == {1.0}
        return
    record["turns"][0] = first | change
    assert read_document(record, 1).status == "error"


def test_a_turn_with_categories_of_another_model_is_not_left_out(result):
    record = json.loads(result)
    first = record["turns"][0]
    first["cats"] = {"Spam": 0.9, **first["cats"], "unsafe": 0.9}
    first["flags"] = ["Spam"]
    assert read_document(record, 1).status == "error"


@pytest.mark.parametrize("turns", [5, [5], {}])
def test_turns_that_are_none(result, turns):
    record = json.loads(result) | {"turns": turns}
    assert read_document(record, 1).status == "error"
