"""Texts can be personal data: no message, warning or log line quotes them."""

import io
import logging
import sys
import traceback
import warnings

import pytest
import torch
from spacy.tokens import Span
from spacy.training import Example
from spacy.util import ignore_error, raise_error
from support.failures import BAD

from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.text.tokenizer import TextTokenizer
from spacy_duoguard.scoring.inputs import parse_json_lines
from spacy_duoguard.scoring.record import BrokenRecordError

# Joined at run time, so that no source line in a traceback contains it.
SECRET = "".join(["rosebud", "4711", "tau"])
TEXT = f"{BAD} {SECRET} is my name. {SECRET} again."


@pytest.fixture
def watched(caplog, capfd):
    """Run something that fails or warns, and check all it writes: that it has the
    expected message, and never the secret."""

    def watch(run, expected):
        caplog.set_level(logging.DEBUG)
        written = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                run()
            except (Exception, KeyboardInterrupt) as e:
                written += traceback.format_exception(e)
                written += [f"{e!r} {e.args}" for e in chain(e)]
        written += [str(warning.message) for warning in caught]
        written += [record.getMessage() for record in caplog.records]
        written += [str(record.exc_info) for record in caplog.records]
        written += capfd.readouterr()
        assert expected in "\n".join(written)
        for text in written:
            assert SECRET not in text

    return watch


def chain(error):
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


def test_leaks_are_detected(watched):
    def leak():
        logging.getLogger("here").info("scoring %s", SECRET)

    def warn():
        warnings.warn(SECRET, stacklevel=1)

    def fail():
        try:
            raise KeyError(SECRET)
        except KeyError as e:
            raise ValueError("hidden") from e

    for run in (leak, warn, fail, lambda: sys.stderr.write(SECRET)):
        with pytest.raises(AssertionError):
            watched(run, "")


@pytest.mark.parametrize("handler", [raise_error, ignore_error])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("broken"), "broken"),
        (KeyError("lookup"), "E044"),
        (torch.OutOfMemoryError("CUDA out of memory"), "E120"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (None, "E040"),
    ],
)
@pytest.mark.parametrize("normalize", [False, True])
def test_a_forward_that_fails(
    watched, make_nlp, monkeypatch, handler, error, expected, normalize
):
    def broken(self, batch):
        if error is not None:
            raise type(error)(*error.args)
        return torch.full((len(batch.scored_rows), 12), float("nan"))

    monkeypatch.setattr(CpuForward, "__call__", broken)
    nlp = make_nlp(sents=True, normalize=normalize)
    nlp.set_error_handler(handler)
    swallowed = handler is ignore_error and expected != "KeyboardInterrupt"
    for run in (lambda: nlp(TEXT), lambda: list(nlp.pipe([TEXT, "a", f"{TEXT}!"]))):
        watched(run, "" if swallowed else expected)


def test_an_unpaired_surrogate(watched, classifier, make_nlp):
    watched(lambda: classifier.score([f"{SECRET}\ud800"]), "E052")
    component = make_nlp().get_pipe("duoguard")
    watched(lambda: component.classifier.analyze([f"\udfff{SECRET}"]), "E052")


def test_texts_of_the_wrong_type(watched, classifier):
    watched(lambda: classifier.score(SECRET), "E049")
    watched(lambda: classifier.score(["a", SECRET.encode()]), "E051")
    watched(lambda: classifier.score([[SECRET]]), "E051")


@pytest.mark.parametrize(
    ("getter", "expected"),
    [
        (lambda docs: [list(doc.sents) for doc in docs], "E041"),
        (lambda docs: [], "E043"),
        (lambda docs: [[doc.text] for doc in docs], "E050"),
        (lambda docs: [[Span(docs[0].copy(), 0, 1)]], "E050"),
    ],
)
def test_a_span_getter_that_fails(watched, make_nlp, getter, expected):
    nlp = make_nlp()
    nlp.get_pipe("duoguard").span_getter = getter
    watched(lambda: nlp(TEXT), expected)


def test_a_tokenizer_that_fails(watched, make_nlp, monkeypatch):
    nlp = make_nlp()

    def broken(*args, **kwargs):
        raise TypeError("TextInputSequence must be str")

    assert nlp.get_pipe("duoguard").classifier.tokenizer  # loaded before it breaks
    monkeypatch.setattr(TextTokenizer, "encode", broken)
    watched(lambda: nlp(TEXT), "TextInputSequence")


def test_a_missing_model_and_an_invalid_setting(watched, make_nlp, tmp_path):
    watched(lambda: make_nlp(model={"name": str(tmp_path)})(TEXT), "E017")
    nlp = make_nlp()
    nlp.get_pipe("duoguard").cfg["threshold"] = float("nan")
    watched(lambda: nlp(TEXT), "E001")


@pytest.mark.parametrize(
    ("cats", "expected"),
    [
        ({"Hate": 2.0}, "E063"),
        ({"Hate": 0.5}, "E064"),
        ({"POSITIVE": 1.0}, "E065"),
        ({"Hate": 1.0, "POSITIVE": 1.0}, "W010"),
    ],
)
def test_invalid_gold(watched, make_nlp, cats, expected):
    nlp = make_nlp(model={"trainable_layers": 0})

    def train():
        example = Example.from_dict(nlp.make_doc(TEXT), {"cats": cats})
        nlp.initialize(lambda: [example])
        nlp.update([example])

    watched(train, expected)


@pytest.mark.parametrize(
    ("sents", "tokens", "label", "expected"),
    [
        (True, (0, 6), "Hat", "E067"),
        (True, (0, 2), "Hate", "W012"),
        (False, (0, 6), "Hate", "W011"),
    ],
)
def test_invalid_gold_spans(watched, make_nlp, sents, tokens, label, expected):
    nlp = make_nlp(sents=sents, model={"trainable_layers": 0})

    def train():
        predicted, reference = nlp.make_doc(TEXT), nlp.make_doc(TEXT)
        if sents:
            predicted = nlp.get_pipe("sentencizer")(predicted)
        reference.cats = {"Hate": 1.0}
        reference.spans["duoguard"] = [Span(reference, *tokens, label=label)]
        example = Example(predicted, reference)
        nlp.initialize(lambda: [example])
        nlp.update([example])

    watched(train, expected)


def test_an_error_handler_that_warns(watched, breaking):
    nlp = breaking(ValueError("broken"))

    def handler(name, component, docs, error):
        warnings.warn(f"{name}: {error!r} in {len(docs)} doc", stacklevel=1)

    nlp.set_error_handler(handler)
    watched(lambda: list(nlp.pipe([TEXT, "a"])), "duoguard: ValueError")


@pytest.mark.parametrize(
    "line",
    [b'{"text": "secret \xff"}', b'{"text": "secret"', b'{"secret": 1, "secret": 2}'],
)
def test_a_line_that_can_not_be_read_is_not_kept_by_its_error(line):
    ((_, error),) = parse_json_lines(io.BytesIO(line + b"\n"))
    assert isinstance(error, BrokenRecordError)
    assert error.__cause__ is None
    assert error.__context__ is None
