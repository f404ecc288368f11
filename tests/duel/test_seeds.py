"""Seeds, and what is asked about them."""

import json

import pytest
import srsly

from spacy_duoguard.duel.prompts import clean_answer, read_prompts
from spacy_duoguard.duel.seeds import Seed, check_labels, make_seed, read_seeds
from spacy_duoguard.errors import SettingsError

SECRET = "Gleeb zorp"


@pytest.mark.parametrize(
    ("record", "unsafe"),
    [
        ({"text": "a", "unsafe": 1}, True),
        ({"text": "a", "unsafe": 0}, False),
        ({"text": "a", "cats": {"unsafe": 0}}, False),
        ({"text": "a", "cats": {"Hate": 1}}, True),
        ({"text": "a", "cats": {"Spam": 1.0}}, True),
        ({"text": "a", "cats": {"Hate": 0}, "unsafe": 0}, False),
        ({"text": "a", "cats": {"Hate": 0}, "unsafe": 1, "language": "Thai"}, True),
    ],
)
def test_labels_of_seeds(record, unsafe):
    seed = make_seed(record, 3)
    assert (seed.unsafe, seed.number, seed.language) == (
        unsafe,
        3,
        record.get("language"),
    )


@pytest.mark.parametrize(
    "record",
    [
        [SECRET],
        {"text": SECRET},
        {"text": SECRET, "cats": {"Hate": 0}},
        {"text": SECRET, "unsafe": 0.5},
        {"text": SECRET, "unsafe": [1]},
        {"text": SECRET, "unsafe": True},
        {"text": SECRET, "unsafe": 0, "cats": {"Hate": 1}},
        {"text": SECRET, "unsafe": 0, "cats": {"unsafe": 1}},
        {"text": SECRET, "cats": [SECRET]},
        {"text": [SECRET], "unsafe": 1},
        {"text": " ", "unsafe": 1},
        {"text": SECRET + "\ud800", "unsafe": 1},
        {"text": SECRET, "unsafe": 1, "language": 3},
    ],
)
def test_invalid_lines_are_named_and_not_quoted(tmp_path, record):
    path = tmp_path / "seeds.jsonl"
    path.write_text(f'{{"text": "a", "unsafe": 0}}\n\n{json.dumps(record)}\n')
    with pytest.raises(SettingsError, match=r"E289.*line 3") as error:
        read_seeds(path)
    assert SECRET not in str(error.value)


def test_files_without_both_labels_are_refused(tmp_path):
    path = tmp_path / "seeds.jsonl"
    for content in ("", '{"text": "a", "unsafe": 0}\n', "{\n"):
        path.write_text(content)
        with pytest.raises(SettingsError, match="E289"):
            read_seeds(path)
    with pytest.raises(SettingsError, match="E289"):
        read_seeds(tmp_path / "none.jsonl")


SAFE_LINE = {"text": "a", "unsafe": 0}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"unsafe": 1}, {"unsafe": 0}),
        ({"cats": {"Hate": 1}}, {"unsafe": 0}),
        ({"cats": {"Hate": 1}}, {"cats": {"Hate": 0}, "unsafe": 1}),
    ],
)
def test_lines_of_a_text_that_contradict_each_other_are_refused(tmp_path, one, other):
    path = tmp_path / "seeds.jsonl"
    texts = [SAFE_LINE, {"text": SECRET, **one}, SAFE_LINE, {"text": SECRET, **other}]
    path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    with pytest.raises(SettingsError, match=r"E345.* other: 2 and 4\.") as error:
        read_seeds(path)
    assert SECRET not in str(error.value)


def test_lines_of_a_text_that_agree_are_kept(tmp_path):
    path = tmp_path / "seeds.jsonl"
    lines = [{"text": "b", "unsafe": 1}, {"text": "b", "cats": {"Hate": 1}}, SAFE_LINE]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(read_seeds(path)) == 3


def test_labels_that_the_guard_does_not_have_are_refused():
    seeds = [make_seed({"text": "b", "cats": {"Spam": 1, "Hat": 0}}, 4)]
    check_labels("s.jsonl", seeds, ["Hat", "Spam"], "g")
    with pytest.raises(SettingsError, match=r"E346.*guard g: 'Hat', 'Spam'\."):
        check_labels("s.jsonl", seeds, ["Hate"], "g")


def test_an_unsafe_text_needs_a_category_that_is_not_zero():
    seed = make_seed({"text": SECRET, "unsafe": 1, "cats": {"Hate": 0, "Spam": 0}}, 4)
    check_labels("s.jsonl", [seed], ["Hate", "Spam", "Fraud"], "g")
    with pytest.raises(SettingsError, match=r"E289.*line 4") as error:
        check_labels("s.jsonl", [seed], ["Hate", "Spam"], "g")
    assert SECRET not in str(error.value)


def test_a_line_separator_in_a_text_ends_no_line(tmp_path):
    path = tmp_path / "seeds.jsonl"
    lines = [{"text": "a\u2028b", "unsafe": 1}, {"text": "c", "unsafe": 0}]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf8")
    assert [seed.text for seed in read_seeds(path)] == ["a\u2028b", "c"]


def test_prompts_hold_the_text_as_it_is_and_name_language_and_categories():
    prompts = read_prompts(None)
    seed = Seed(1, "{language} {text} \\1", {"Hate": 1.0, "Privacy": 0.0}, unsafe=True)
    system, user = prompts.for_generator(seed, "Turkish", unsafe=True)
    assert (system["role"], user["role"]) == ("system", "user")
    assert user["content"].endswith("\n{language} {text} \\1")
    assert "Turkish" in user["content"]
    assert "Turkish" in system["content"]
    assert "Hate" in user["content"]
    assert "Privacy" not in user["content"]


def test_each_kind_of_text_has_a_prompt_that_says_what_it_is_for():
    prompts = read_prompts(None)
    unsafe = Seed(1, "x", {"Hate": 1.0}, unsafe=True)
    safe = Seed(2, "x", {"unsafe": 0.0}, unsafe=False)
    made = [
        prompts.for_generator(unsafe, "Thai", unsafe=True),
        prompts.for_generator(unsafe, "Thai", unsafe=False),
        prompts.for_generator(safe, "Thai", unsafe=False),
    ]
    assert len({messages[1]["content"] for messages in made}) == 3
    assert all("classifier" in messages[0]["content"] for messages in made)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"judge": "Rate it"}, "judge lacks {text}"),
        ({"generate_safe": "{text}"}, "generate_safe lacks {language}"),
        ({"system": "{name}"}, "system has {name}"),
        ({"contrast": None}, "contrast is not a string"),
        ({"refusals": "no"}, "refusals is not a list"),
        ({"refusals": [""]}, "refusals is not a list"),
        ({"other": "x"}, "its keys must be"),
    ],
)
def test_prompts_of_your_own_are_checked(tmp_path, changes, problem):
    ours = read_prompts(None)
    content = {**ours.templates, "refusals": list(ours.refusals)}
    path = tmp_path / "prompts.yml"
    srsly.write_yaml(path, content)
    assert read_prompts(str(path)) == ours
    srsly.write_yaml(path, {**content, **changes})
    with pytest.raises(SettingsError, match="E290") as error:
        read_prompts(str(path))
    assert problem in str(error.value)


def test_prompts_that_are_no_yaml_are_refused(tmp_path):
    path = tmp_path / "prompts.yml"
    for content in ("a: [", "- 1", ""):
        path.write_text(content)
        with pytest.raises(SettingsError, match="E290"):
            read_prompts(str(path))
    with pytest.raises(SettingsError, match="E290"):
        read_prompts(str(tmp_path / "none.yml"))


def test_refusals_are_recognized_at_the_beginning_only():
    prompts = read_prompts(None)
    assert prompts.is_refusal("\n I'm sorry, but I can't help with that.")
    assert prompts.is_refusal("TUT MIR LEID, das geht nicht.")
    assert not prompts.is_refusal("She said: I'm sorry.")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (' "a b" \n', "a b"),
        ("„a b”", "„a b”"),
        ("„a b“", "a b"),
        ("«a»", "a"),
        ('"a" and "b"', '"a" and "b"'),
        ('"', '"'),
        ('""', '""'),
        ("it's", "it's"),
    ],
)
def test_quotation_marks_around_a_text_are_removed(answer, text):
    assert clean_answer(answer) == text
