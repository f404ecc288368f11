"""Settings that only the config sets are not restored, and W003 says which."""

import json
import warnings

import pytest
import spacy
from support.checkpoints import reseal

from spacy_duoguard.errors import SettingsError

LOUD = {"loud": {"@misc": "test_config_settings.loud"}}

# How a config sets it, its name in W003, and what was saved.
SETTINGS = [
    ({"sents": True}, "sents = True"),
    ({"span_context": "document"}, "span_context = 'document'"),
    ({"views": LOUD}, "views = ['loud']"),
    ({"model": {"window": 256, "stride": 256}}, "model.window = 256"),
    ({"model": {"stride": 128}}, "model.stride = 128"),
    ({"model": {"max_windows": 3}}, "model.max_windows = 3"),
    ({"model": {"precision": "bfloat16"}}, "model.precision = 'bfloat16'"),
]


@spacy.registry.misc("test_config_settings.loud")
def make_loud():
    return lambda text: (text.upper(), range(len(text)))


def plain(make_nlp):
    return make_nlp(model={"precision": "auto"}).get_pipe("duoguard")


@pytest.mark.parametrize(("config", "named"), SETTINGS)
@pytest.mark.parametrize("by", ["bytes", "disk"])
def test_what_differs_is_named(make_nlp, tmp_path, config, named, by):
    model = {"precision": "auto", **config.get("model", {})}
    saved = make_nlp(**{**config, "model": model}).get_pipe("duoguard")
    other = plain(make_nlp)
    saved.to_disk(tmp_path)
    sources = {"bytes": saved.to_bytes(), "disk": tmp_path}
    with pytest.warns(UserWarning, match="W003") as caught:
        getattr(other, f"from_{by}")(sources[by])
    assert f"saved with {named}, but" in str(caught[0].message)
    assert len(caught) == len(config.get("model", config))
    assert (other.sents, other.span_context, other.views) == (False, "isolated", {})
    assert other.classifier.settings.window == 512


def first_words(docs):
    return [[doc[:1]] for doc in docs]


def test_a_span_getter_is_known_by_its_name(make_nlp):
    saved = make_nlp().get_pipe("duoguard")
    saved.span_getter = first_words
    data = saved.to_bytes()
    other = make_nlp().get_pipe("duoguard")
    with pytest.warns(UserWarning, match=r"W003.*span_getter = '.*\.first_words', but"):
        other.from_bytes(data)
    assert other.span_getter is None
    other.span_getter = first_words
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.from_bytes(data)


def test_what_is_the_same_or_was_chosen_is_not_named(make_nlp):
    saved = make_nlp(
        span_context="document", model={"max_windows": 3, "window": 128, "stride": 64}
    ).get_pipe("duoguard")
    data = saved.to_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = make_nlp(
            span_context="document",
            model={"max_windows": 3, "window": 128, "stride": 64},
        )
        same.get_pipe("duoguard").from_bytes(data)
        chosen = make_nlp(
            span_context="document",
            model={"max_windows": 5, "window": 64, "stride": 32},
        )
        chosen.get_pipe("duoguard").from_bytes(data)


def test_without_the_model_its_windows_are_those_of_the_other(make_nlp):
    saved = make_nlp(model={"max_windows": 3}).get_pipe("duoguard")
    other = make_nlp().get_pipe("duoguard")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.from_bytes(saved.to_bytes(), exclude=["model"])


def test_saved_settings_that_are_none_are_refused(make_nlp, tmp_path):
    make_nlp().get_pipe("duoguard").to_disk(tmp_path)
    content = json.loads((tmp_path / "cfg").read_text(encoding="utf8"))
    for config in (5, "sents", [1]):
        text = json.dumps({**content, "config": config})
        (tmp_path / "cfg").write_text(text, encoding="utf8")
        reseal(tmp_path)
        with pytest.raises(SettingsError, match="E023"):
            make_nlp().get_pipe("duoguard").from_disk(tmp_path)
