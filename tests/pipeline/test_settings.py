"""Bad settings: coded errors with rule, value and remedy, before any text is scored."""

import re
import warnings

import pytest
import spacy
import torch
from support.checkpoints import LLAMA, make_tokenizer

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.device import resolve_device, resolve_precision
from spacy_duoguard.engine.streaming.stream import Stream
from spacy_duoguard.errors import (
    CheckpointError,
    DuoGuardError,
    Errors,
    ScoringError,
    SettingsError,
)
from spacy_duoguard.pipeline import architecture
from spacy_duoguard.pipeline.settings import DEFAULT_CONFIG, RUN_TIME_SETTINGS
from spacy_duoguard.taxonomy import CATEGORIES


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"threshold": 1.5}, ["E001", "1.5", "[0, 1]"]),
        ({"threshold": -0.1}, ["E001", "-0.1"]),
        ({"threshold": "0.5"}, ["E001", "'0.5'"]),
        ({"thresholds": {"Hate": 2}}, ["E001", "thresholds['Hate']", "2"]),
        ({"thresholds": {"unsafe": 0.5}}, ["E002", "'unsafe'"]),
        ({"span_context": "doc"}, ["E009", "'doc'", "'isolated'", "'document'"]),
        ({"max_chars": 0}, ["E004", "max_chars", "0"]),
        ({"model": {"stride": 600}}, ["E003", "600", "512"]),
        ({"model": {"stride": 0}}, ["E003", "(0)"]),
        ({"model": {"window": 0}}, ["E004", "window", "(0)"]),
        ({"spans_key": ""}, ["E053", "''"]),
        ({"model": {"window": 64}}, ["E003", "384", "64"]),
        ({"model": {"max_windows": 0}}, ["E004", "max_windows", "0"]),
        ({"model": {"max_batch_tokens": -1}}, ["E004", "max_batch_tokens", "-1"]),
        ({"model": {"trainable_layers": -1}}, ["E060", "-1", "0 for the head"]),
        ({"model": {"precision": "int4"}}, ["E006", "'int4'", "'bfloat16'"]),
        ({"model": {"precision": "int4"}}, ["E006", "'int4'"]),
        ({"model": {"device": "tpu"}}, ["E007", "'tpu'", "'cuda:N'"]),
        ({"model": {"device": "cuda:x"}}, ["E007", "'cuda:x'"]),
    ],
)
def test_add_pipe_refuses(make_nlp, config, words):
    with pytest.raises(SettingsError) as caught:
        make_nlp(**config)
    for word in words:
        assert word in str(caught.value)


def test_a_threshold_for_no_category(make_nlp):
    """The weights may bring categories. Until then, any name can be one."""
    nlp = make_nlp(thresholds={"Hat": 0.5})
    for wrong in (lambda: nlp("a"), nlp.initialize):
        with pytest.raises(SettingsError, match=r"E002.*'Hat'.*Violent crimes"):
            wrong()
    nlp.get_pipe("duoguard").add_label("Hat")
    assert nlp("a")._.duoguard_status == "ok"


def test_the_factory_does_not_ask_whether_the_model_exists(make_nlp):
    nlp = make_nlp(model={"name": "/no/such/folder"})
    with pytest.raises(CheckpointError, match=r"E020.*/no/such/folder"):
        nlp.initialize()


@pytest.mark.parametrize(
    "name",
    [
        "/no/such/folder",
        "./missing",
        "a/b/c",
        "",
        "has space/name",
        "../up",
        "a--b/c",
        "x" * 5000,
        "a/\0",
    ],
)
def test_names_that_are_neither_folder_nor_hub_name(name):
    with pytest.raises(CheckpointError, match="E020"):
        Classifier.from_pretrained(name)


def test_a_head_for_other_categories(checkpoint):
    folder = checkpoint(id2label={"0": "safe", "1": "unsafe"})
    with pytest.raises(CheckpointError, match=r"E014.* 2 rows.*12 categories"):
        Classifier.from_pretrained(str(folder))


def test_a_window_beyond_the_models_positions(checkpoint):
    folder = checkpoint(max_position_embeddings=256)
    with pytest.raises(SettingsError, match=r"E005.*512.*256"):
        Classifier.from_pretrained(str(folder))


def test_a_stride_that_leaves_gaps_beside_template_tokens(checkpoint):
    folder = checkpoint(LLAMA, tokenizer=make_tokenizer(bos=True))
    with pytest.raises(SettingsError, match=r"E003.*\(64\).*63.*template"):
        Classifier.from_pretrained(str(folder), window=64, stride=64)
    Classifier.from_pretrained(str(folder), window=64, stride=63)


def test_a_device_that_is_not_here():
    with pytest.raises(SettingsError, match=r"E008.*cuda:99"):
        resolve_device("cuda:99")


def test_a_tokenizer_of_another_model(checkpoint):
    folder = checkpoint(vocab_size=150000, hidden_size=4, num_attention_heads=2)
    with pytest.raises(CheckpointError, match=r"E019.*150000"):
        Classifier.from_pretrained(str(folder))


@pytest.mark.parametrize(("cpu", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_precision_follows_the_hardware(monkeypatch, cpu, expected):
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: cpu)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    assert str(resolve_precision("auto", resolve_device("cpu"))) == f"torch.{expected}"


@pytest.mark.parametrize(("major", "expected"), [(7, "float32"), (9, "bfloat16")])
def test_auto_precision_on_cuda(monkeypatch, major, expected):
    import torch

    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (major, 0))
    precision = resolve_precision("auto", torch.device("cuda"))
    assert str(precision) == f"torch.{expected}"


@pytest.mark.parametrize(
    ("device", "cuda", "cupy", "warns"),
    [
        ("auto", True, False, True),
        ("auto", True, True, False),  # the user hasn't asked for the GPU
        ("auto", False, False, False),
        ("cpu", True, False, False),
    ],
)
def test_a_gpu_that_spacy_cannot_use_is_not_passed_over_in_silence(
    make_nlp, monkeypatch, recwarn, device, cuda, cupy, warns
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(architecture, "has_cupy_gpu", cupy)
    monkeypatch.setattr(architecture, "get_torch_default_device", lambda: "cpu")
    warnings.simplefilter("always")
    for _ in range(2):
        make_nlp(model={"device": device})
    messages = [str(warning.message) for warning in recwarn]
    assert len(messages) == warns
    assert all("W006" in text and "device to 'cuda'" in text for text in messages)


def test_auto_device_follows_spacy(make_nlp, monkeypatch):
    from spacy_duoguard.pipeline import architecture as model
    from spacy_duoguard.pipeline.architecture import get_shim

    assert get_shim(model.create_duoguard()).settings.device == "cpu"
    monkeypatch.setattr(model, "get_torch_default_device", lambda: "cuda:1")
    assert get_shim(model.create_duoguard()).settings.device == "cuda:1"
    assert get_shim(model.create_duoguard(device="cpu")).settings.device == "cpu"


def test_a_model_of_another_architecture():
    nlp = spacy.blank("en")
    config = {"@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": False}
    config.update(ngram_size=1, no_output_layer=False, length=64)
    with pytest.raises(SettingsError, match="E048"):
        nlp.add_pipe("duoguard", config={"model": config})


def test_every_error_has_its_code_and_no_two_share_one():
    messages = {key: value for key, value in vars(Errors).items() if key[0] == "E"}
    for key, message in messages.items():
        assert re.match(rf"\[{key}\] (--)?[A-Z'a-z{{\[]", message)
    assert issubclass(SettingsError, (DuoGuardError, ValueError))


VALUES = {
    "threshold": 0.25,
    "thresholds": {"Hate": 0.25},
    "review_threshold": 0.25,
    "review_thresholds": {"Hate": 0.2},
    "spans_key": "risks",
    "curve": True,
    "patience": 3,
    "max_chars": 12,
    "normalize": True,
    "roles": ["user"],
}


@pytest.mark.parametrize("name", RUN_TIME_SETTINGS)
def test_a_setting_can_be_set_on_the_component(make_nlp, name):
    component = make_nlp().get_pipe("duoguard")
    assert getattr(component, name) == DEFAULT_CONFIG[name]
    setattr(component, name, VALUES[name])
    assert component.cfg[name] == getattr(component, name) == VALUES[name]
    assert component.model.shims[0].cfg[name] == VALUES[name]
    component.cfg[name] = DEFAULT_CONFIG[name]
    assert getattr(component, name) == DEFAULT_CONFIG[name]
    with pytest.raises(AttributeError):
        delattr(component, name)


def test_what_is_set_on_two_components_is_not_shared(make_nlp):
    strict, lax = (make_nlp().get_pipe("duoguard") for _ in range(2))
    chosen = {"Hate": 0.2}
    strict.thresholds = lax.thresholds = chosen
    lax.thresholds["Hate"] = 0.9
    assert strict.thresholds == chosen == {"Hate": 0.2}


def test_a_threshold_that_is_set_on_the_component_flags(make_nlp):
    nlp = make_nlp(threshold=1.0)
    nlp.get_pipe("duoguard").threshold = 0.0
    assert nlp("The dog sleeps.")._.duoguard_flags == list(CATEGORIES)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("threshold", 1.5, "E001"),
        ("thresholds", {"Hat": 0.5}, "E002"),
        ("thresholds", None, "E107"),
        ("spans_key", "", "E053"),
        ("spans_key", "\ud800", "E053"),
        ("curve", "x", "E056"),
        ("patience", 0, "E004"),
        ("max_chars", 0, "E004"),
        ("normalize", 1, "E121"),
        ("review_threshold", 1.5, "E001"),
        ("review_threshold", 0.6, "E250"),
        ("review_thresholds", {"Hat": 0.1}, "E002"),
        ("review_thresholds", None, "E107"),
        ("review_thresholds", {"Hate": 0.6}, "E250"),
        ("roles", [], "E255"),
        ("roles", "user", "E255"),
        ("roles", ["user", ""], "E255"),
    ],
)
def test_a_value_is_checked_when_it_is_set_on_the_component(
    make_nlp, name, value, code
):
    component = make_nlp().get_pipe("duoguard")
    _ = component.classifier  # its labels are not known before
    before = dict(component.cfg)
    with pytest.raises(SettingsError, match=code):
        setattr(component, name, value)
    assert component.cfg == before


@pytest.mark.parametrize(("name", "value"), [("sents", True), ("span_context", "x")])
def test_what_only_the_config_sets(make_nlp, name, value):
    component = make_nlp().get_pipe("duoguard")
    with pytest.raises(SettingsError, match=rf"E109.*{name}"):
        setattr(component, name, value)
    assert getattr(component, name) == DEFAULT_CONFIG[name]


def test_a_name_in_cfg_that_is_no_setting(make_nlp):
    nlp = make_nlp()
    nlp.get_pipe("duoguard").cfg["treshold"] = 0.1
    with pytest.raises(SettingsError, match=r"E059.*unknown: treshold"):
        nlp("The dog sleeps.")


def test_settings_that_are_damaged_are_not_saved(make_nlp, tmp_path):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    component.cfg["threshold"] = float("nan")
    with pytest.raises(SettingsError, match="E001"):
        nlp.to_disk(tmp_path / "nlp")
    with pytest.raises(SettingsError, match="E001"):
        component.to_bytes()


class Lying(dict):
    """A mapping that shows other values than it holds, or none."""

    def items(self):
        return {}.items()

    def get(self, key, default=None):
        return 0.99999

    __getitem__ = get


def test_a_mapping_decides_by_the_values_that_were_checked(make_nlp):
    nlp = make_nlp(threshold=0.0)
    expected = nlp("The dog sleeps.")._.duoguard_flags
    assert expected == list(CATEGORIES)
    guard = nlp.get_pipe("duoguard")
    for cfg in (guard.cfg, guard):
        setting = Lying({"Hate": 0.0})
        if cfg is guard:
            guard.thresholds = setting
        else:
            cfg["thresholds"] = setting
        assert nlp("The dog sleeps.")._.duoguard_flags == expected
    stream = Stream(guard.classifier, threshold=0.0, thresholds=Lying({"Hate": 0.0}))
    first, last = stream.push("The dog sleeps."), stream.close()
    flags = (*first.flags, *last.flags)
    assert {flag.category for flag in flags} == set(CATEGORIES)


def test_what_is_no_doc_costs_the_docs_no_mark(make_nlp):
    nlp = make_nlp()
    docs = [nlp.make_doc("a"), None, nlp.make_doc("b")]
    with pytest.raises(ScoringError, match=r"E323.*'NoneType'"):
        list(nlp.get_pipe("duoguard").pipe(docs))
    assert [doc.cats["unsafe"] for doc in docs if doc is not None] == [1.0, 1.0]


def test_a_batch_may_be_larger_than_any_memory(make_nlp):
    nlp = make_nlp()
    docs = nlp.get_pipe("duoguard").pipe([nlp.make_doc("a")], batch_size=10**20)
    assert [doc._.duoguard_status for doc in docs] == ["ok"]
