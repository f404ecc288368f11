"""The augmenter disguises texts and keeps their gold."""

import random

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_duoguard.disguises.suite import SUITE, TO_LEARN
from spacy_duoguard.errors import SettingsError

NAME = "spacy-duoguard.disguise.v1"
TEXT = "The dog sleeps. I will kill you all, Max! See you at noon."


def create(**settings):
    return spacy.registry.augmenters.get(NAME)(**settings)


def disguise(name, text, *, words=1.0):
    """One disguise of a text with gold for its second sentence."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    reference = nlp(text)
    sents = list(reference.sents)
    reference.cats = {"Hate": 1.0, "Privacy": 0.0}
    second = sents[1]
    reference.spans["duoguard"] = [
        Span(reference, second.start, second.end, "Hate", span_id="a"),
        Span(reference, second.start, second.end, "Violent crimes"),
    ]
    reference.spans["duoguard"].attrs["source"] = "me"
    last = sents[2]
    rejected = [[last.start_char, last.end_char, "Hate"]]
    reference.spans["duoguard"].attrs["rejected"] = rejected
    i = [token.text for token in reference].index("Max")
    reference.set_ents([Span(reference, i, i + 1, "PERSON")])
    example = Example(nlp(text), reference)
    before = reference.to_bytes()
    (copy,) = create(level=1.0, disguises=[name], words=words)(nlp, example)
    assert reference.to_bytes() == before  # the original stays
    return copy


@pytest.mark.parametrize("name", SUITE)
def test_the_gold_is_kept_where_the_text_is(name):
    copy = disguise(name, TEXT)
    gold, apply = copy.reference, SUITE[name].apply
    assert gold.text != TEXT
    assert gold.cats == {"Hate": 1.0, "Privacy": 0.0}
    group = gold.spans["duoguard"]
    assert [span.label_ for span in group] == ["Hate", "Violent crimes"]
    assert group[0].id_ == "a"
    assert group.attrs["source"] == "me"
    ((start, end, label),) = group.attrs["rejected"]
    assert (gold.text[start:end], label) == (list(gold.sents)[2].text, "Hate")
    assert group[0].text == group[1].text
    parts = [apply("I will kill you all,"), " ", apply("Max"), apply("!")]
    assert group[0].text == "".join(parts)
    (name_of_max,) = gold.ents
    assert (name_of_max.text, name_of_max.label_) == (apply("Max"), "PERSON")
    assert [sent.text for sent in gold.sents][1] == group[0].text
    # The getter `sents` returns the spans that have gold.
    assert [sent.text for sent in copy.predicted.sents] == [s.text for s in gold.sents]
    assert copy.predicted.text == gold.text
    assert copy.predicted.cats == {}


@pytest.mark.parametrize("name", SUITE)
def test_without_spans_a_text_is_disguised_as_a_whole(name):
    nlp = spacy.blank("en")
    example = Example.from_dict(nlp.make_doc(TEXT), {"cats": {"unsafe": 1.0}})
    (copy,) = create(level=1.0, disguises=[name])(nlp, example)
    assert copy.predicted.text == copy.reference.text == SUITE[name].apply(TEXT)
    assert copy.reference.cats == {"unsafe": 1.0}
    # A doc of one token always has a sentence.
    has_sentences = copy.predicted.has_annotation("SENT_START")
    assert has_sentences == (len(copy.predicted) == 1)


def test_only_a_share_of_the_texts_and_words_is_disguised():
    nlp = spacy.blank("en")
    random.seed(0)

    def share(augmenter, text):
        example = Example.from_dict(nlp.make_doc(text), {"cats": {}})
        copies = [next(iter(augmenter(nlp, example))).text for _ in range(400)]
        return sum(copy != text for copy in copies) / len(copies)

    fullwidth = ["fullwidth"]
    assert share(create(level=0.0, disguises=fullwidth), "kill") == 0
    assert 0.2 < share(create(level=0.3, disguises=fullwidth), "kill") < 0.4
    half = create(level=1.0, disguises=fullwidth, words=0.5)
    assert 0.4 < share(half, "kill") < 0.6
    assert 0.65 < share(half, "kill you") < 0.85


def test_it_draws_from_what_no_view_undoes_by_default():
    nlp = spacy.blank("en")
    random.seed(0)
    text = "You took it and hate dogs"
    example = Example.from_dict(nlp.make_doc(text), {"cats": {}})
    augmenter = create(level=1.0)
    copies = {next(iter(augmenter(nlp, example))).text for _ in range(300)}
    assert copies == {SUITE[name].apply(text) for name in TO_LEARN}


@pytest.mark.parametrize("text", ["", " ", "\n\n", " a  b ", "a\n"])
def test_odd_spaces_are_kept(text):
    nlp = spacy.blank("en")
    example = Example.from_dict(nlp.make_doc(text), {"cats": {"unsafe": 0.0}})
    (copy,) = create(level=1.0, disguises=["capitals"])(nlp, example)
    assert copy.text == text.upper()


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"level": 1.5}, "E242.*level"),
        ({"level": "all"}, "E242.*level"),
        ({"level": 0.5, "words": -1}, "E242.*words"),
        ({"level": 0.5, "disguises": ["morse"]}, "E240.*morse"),
        ({"level": 0.5, "disguises": []}, "E241"),
    ],
)
def test_settings_are_checked(settings, code):
    with pytest.raises(SettingsError, match=code):
        create(**settings)


def test_spacys_corpus_takes_it(tmp_path):
    nlp = spacy.blank("en")
    doc = nlp.make_doc("kill them")
    doc.cats = {"unsafe": 1.0}
    spacy.tokens.DocBin(docs=[doc], store_user_data=True).to_disk(tmp_path / "a.spacy")
    config = {
        "corpus": {
            "@readers": "spacy.Corpus.v1",
            "path": str(tmp_path / "a.spacy"),
            **{"gold_preproc": False, "max_length": 0, "limit": 0},
            "augmenter": {"@augmenters": NAME, "level": 1.0, "disguises": ["hex"]},
        }
    }
    (example,) = spacy.registry.resolve(config)["corpus"](nlp)
    assert example.text == "6b696c6c207468656d"
    assert isinstance(example.reference, Doc)
