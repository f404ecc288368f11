"""Pipelines around a guard that fires on a marker, and components that other people
could put before and after it."""

from spacy.lang.en import English
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordPiece

from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

from .checkpoints import ADDED_TOKENS, make_tokenizer
from .marker import STRIDE, WINDOW, Reference, write_marker_checkpoint

SAFE = {**dict.fromkeys(CATEGORIES, 0.0), UNSAFE: 0.0}


def retokenize(doc):
    if len(doc) > 2:
        with doc.retokenize() as retokenizer:
            retokenizer.merge(doc[:2])
    return doc


def make_again(doc):
    spaces = [bool(token.whitespace_) for token in doc]
    copy = Doc(doc.vocab, words=[token.text for token in doc], spaces=spaces)
    copy._context = doc._context
    return copy


def forge(doc):
    doc.cats = dict(SAFE)
    doc.spans["duoguard"] = []
    record = {
        "labels": list(CATEGORIES),
        "status": "ok",
        "flags": [],
        "probs": [0.0] * len(CATEGORIES),
        "windows": [],
        "spans": {},
        "component": "duoguard",
        "spans_key": "duoguard",
    }
    doc.user_data = {"duoguard": record}
    return doc


def break_data(doc):
    doc.cats, doc.user_data = None, None
    return doc


def lower_cats(doc):
    doc.cats.update(SAFE)
    return doc


def replace_cats(doc):
    doc.cats = {"POSITIVE": 1.0}
    return doc


def clear_spans(doc):
    doc.spans.clear()
    return doc


def clear_data(doc):
    doc.user_data.clear()
    return doc


def through_bytes(doc):
    copy = Doc(doc.vocab).from_bytes(doc.to_bytes())
    copy._context = doc._context
    return copy


def through_doc_bin(doc):
    docs = DocBin(docs=[doc], store_user_data=True)
    (copy,) = DocBin().from_bytes(docs.to_bytes()).get_docs(doc.vocab)
    copy._context = doc._context
    return copy


BEFORE = {f.__name__: f for f in (retokenize, make_again, forge, break_data)}
SPARING = (retokenize, lower_cats, replace_cats, clear_spans, through_bytes)
AFTER = {f.__name__: f for f in (*SPARING, through_doc_bin, make_again, clear_data)}


def halve(doc):
    """Another text in the place of a record's."""
    copy = Doc(doc.vocab, words=[token.text for token in doc[: len(doc) // 2]])
    copy._context = doc._context
    return copy


def lose_context(doc):
    copy = make_again(doc)
    copy._context = None
    return copy


def fail_on_dogs(doc):
    if "dog" in doc.text:
        raise ValueError("a dog")
    return doc


LOSING = {f.__name__: f for f in (halve, lose_context, fail_on_dogs)}


def can_fail(steps):
    """spaCy can't save a doc with span groups once its tokens were merged."""
    return "retokenize" in steps and any(name.startswith("through") for name in steps)


class Slot:
    """A component that does what it is told."""

    def __init__(self):
        self.steps = ()

    def __call__(self, doc):
        for step in self.steps:
            doc = step(doc)
        return doc


@Language.factory("test_slot")
def make_slot(nlp, name):
    return Slot()


def word_pieces():
    """A tokenizer that knows few words, and has a token for all others."""
    words = ["[UNK]", "the", "dog", "7", "a", "##s", "sleep", ".", "kill", ",", "x"]
    vocab = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


# For each kind of pipeline its config, that of its model, and its tokenizer.
KINDS = {
    "plain": ({}, {}, None),
    "sentences": ({"sents": True}, {}, None),
    "context": (
        {"sents": True, "span_context": "document", "curve": True},
        {"max_batch_tokens": 20},
        None,
    ),
    "limited": ({"threshold": 1.0}, {"max_windows": 3, "max_batch_tokens": 40}, None),
    "normalized": ({"normalize": True}, {}, None),
    "bos": ({"sents": True}, {}, lambda: make_tokenizer(bos=True)),
    "words": ({}, {}, word_pieces),
}


class Guarded:
    """A pipeline of a kind: a slot, a sentencizer, the guard and another slot."""

    def __init__(self, folder, kind):
        config, model, tokenizer = KINDS[kind]
        backend = None if tokenizer is None else tokenizer()
        write_marker_checkpoint(folder, tokenizer=backend)
        model = {**model, "name": str(folder), "precision": "float32", "device": "cpu"}
        model |= {"window": WINDOW, "stride": STRIDE}
        self.nlp = English()
        self.before = self.nlp.add_pipe("test_slot", name="before")
        self.nlp.add_pipe("sentencizer")
        self.guard = self.nlp.add_pipe("duoguard", config={**config, "model": model})
        self.after = self.nlp.add_pipe("test_slot", name="after")
        prefix = [backend.token_to_id(ADDED_TOKENS[0])] if kind == "bos" else []
        self.reference = Reference(
            folder,
            prefix=prefix,
            max_windows=model.get("max_windows"),
            normalize=config.get("normalize", False),
        )
        self.handler = self.guard.get_error_handler()

    def reset(self):
        """Undo what an example did."""
        self.before.steps = self.after.steps = ()
        self.guard.cfg = {**self.guard.configured, "thresholds": {}}
        self.nlp.set_error_handler(self.handler)
