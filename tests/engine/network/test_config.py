"""`config.json`: what is read, what is refused, what is ignored, what is written."""

import json

import pytest
import transformers
from support.checkpoints import LLAMA, QWEN2, TEXTS

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.config import DecoderConfig, Llama3Scaling
from spacy_duoguard.engine.network.packing import pack
from spacy_duoguard.errors import CheckpointError
from spacy_duoguard.taxonomy import CATEGORIES

QWEN2_CONFIG = {**QWEN2, "vocab_size": 300}
LLAMA_CONFIG = {**LLAMA, "vocab_size": 300}
SCALING = LLAMA["rope_scaling"]


def read(base=QWEN2_CONFIG, **changes):
    """Parse a configuration with changes; a value of `...` leaves the key out."""
    data = {**base, **changes}
    text = json.dumps({key: value for key, value in data.items() if value is not ...})
    return DecoderConfig.from_json(text)


def new_form(base):
    """The keys that turn the 4.x form of a configuration into the 5.x form."""
    rope = {"rope_theta": base["rope_theta"], "rope_type": "default"}
    rope.update(base.get("rope_scaling") or {})
    return {"rope_theta": ..., "rope_scaling": ..., "rope_parameters": rope}


def test_every_value_is_read():
    assert read(pad_token_id=7) == DecoderConfig(
        model_type="qwen2",
        num_labels=12,
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        rms_norm_eps=1e-6,
        max_position_embeddings=2048,
        rope_theta=1e6,
        qkv_bias=True,
        tie_word_embeddings=True,
        pad_token_id=7,
    )
    llama = read(LLAMA_CONFIG, head_dim=16, attention_bias=True, mlp_bias=True)
    assert llama.rope_scaling == Llama3Scaling(8.0, 1.0, 4.0, 64)
    assert (llama.head_dim, llama.rope_theta) == (16, 500000.0)
    assert (llama.qkv_bias, llama.o_bias, llama.mlp_bias) == (True, True, True)
    plain = read(LLAMA_CONFIG)
    assert (plain.qkv_bias, plain.o_bias, plain.mlp_bias) == (False, False, False)


def test_absent_sizes_follow_from_others():
    config = read(LLAMA_CONFIG, num_key_value_heads=..., head_dim=..., id2label=...)
    assert (config.num_key_value_heads, config.head_dim) == (4, 8)
    assert config.num_labels == 2


# Rotary settings


@pytest.mark.parametrize("base", [QWEN2_CONFIG, LLAMA_CONFIG], ids=["qwen2", "llama"])
def test_both_forms_of_rope_are_the_same_configuration(base):
    new = new_form(base)
    assert read(base, **new) == read(base)
    both = {"rope_parameters": new["rope_parameters"]}
    assert read(base, **both) == read(base)


def test_both_forms_of_llama3_scaling_names_are_read():
    old_name = {
        "type": "llama3",
        **{k: v for k, v in SCALING.items() if "type" not in k},
    }
    assert read(LLAMA_CONFIG, rope_scaling=old_name) == read(LLAMA_CONFIG)


@pytest.mark.parametrize("base", [QWEN2, LLAMA], ids=["qwen2", "llama"])
def test_both_forms_of_rope_give_the_same_logits(checkpoint, base):
    settings = {"precision": "float32", "device": "cpu"}
    old = Classifier.from_pretrained(str(checkpoint(base)), **settings)
    new = Classifier.from_pretrained(
        str(checkpoint(base, **new_form(base))), **settings
    )
    other = Classifier.from_pretrained(
        str(checkpoint(base, rope_theta=10000.0)), **settings
    )
    batch = pack([old.tokenizer.encode(text).ids for text in TEXTS])
    logits = old.decoder(batch)
    assert logits.equal(new.decoder(batch))
    assert (logits - other.decoder(batch)).abs().max() > 1e-3


@pytest.mark.parametrize(
    "theta", [..., None, "1000000", True, 0, -1.0, float("nan"), float("inf")]
)
def test_a_config_without_a_rotary_base_is_refused(theta):
    with pytest.raises(CheckpointError, match="E013"):
        read(rope_theta=theta)
    rope = {"rope_type": "default"}
    if theta is not ...:
        rope["rope_theta"] = theta
    with pytest.raises(CheckpointError, match="E013"):
        read(rope_theta=..., rope_parameters=rope)


def test_forms_that_disagree_are_refused():
    new = {"rope_theta": 10000.0, "rope_type": "default"}
    with pytest.raises(CheckpointError, match=r"E013.*10000\.0, 1000000\.0"):
        read(rope_parameters=new)
    with pytest.raises(CheckpointError, match=r"E012.*rope_scaling"):
        read(LLAMA_CONFIG, rope_parameters={**new, "rope_theta": 500000.0})
    scaled = {**SCALING, "rope_theta": 500000.0, "factor": 4.0}
    with pytest.raises(CheckpointError, match=r"E012.*rope_scaling"):
        read(LLAMA_CONFIG, rope_parameters=scaled)


@pytest.mark.parametrize("form", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("name", ["rope_type", "type"])
@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn", "longrope", "x", None])
def test_other_rope_types_are_refused(form, name, kind):
    rope = {name: kind, "factor": 2.0, "rope_theta": 1000000.0}
    with pytest.raises(CheckpointError, match=r"E012.*rope_type"):
        read(**{form: rope})


@pytest.mark.parametrize("form", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("rope", ["yarn", 2.0, ["llama3"], True])
def test_rope_that_is_no_object_is_refused(form, rope):
    with pytest.raises(CheckpointError, match=f"E012.*{form}"):
        read(**{form: rope})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"factor": 0.0}, "E010"),
        ({"factor": None}, "E010"),
        ({"low_freq_factor": "1"}, "E010"),
        ({"high_freq_factor": float("inf")}, "E010"),
        ({"original_max_position_embeddings": 64.5}, "E010"),
        ({"high_freq_factor": 1.0}, "E012"),
    ],
)
def test_impossible_llama3_scaling_is_refused(changes, code):
    with pytest.raises(CheckpointError, match=code):
        read(LLAMA_CONFIG, rope_scaling={**SCALING, **changes})


# What is refused


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_sliding_window", True),
        ("hidden_act", "gelu"),
        ("hidden_act", None),
        ("layer_types", ["full_attention", "sliding_attention", "full_attention"]),
        ("quantization_config", {"quant_method": "gptq", "bits": 4}),
        ("use_mrope", True),
        ("partial_rotary_factor", 0.5),
        ("rope_parameters", {"rope_theta": 1000000.0, "partial_rotary_factor": 0.5}),
        ("attention_bias", False),
    ],
)
def test_other_mathematics_is_refused(key, value):
    with pytest.raises(CheckpointError, match=f"E012.*{key}"):
        read(**{key: value})


@pytest.mark.parametrize(
    ("architectures", "model_type"),
    [
        (["Qwen2ForSequenceClassification"], "llama"),
        (["LlamaForSequenceClassification"], "qwen2"),
        (["Qwen2ForSequenceClassification", "LlamaForSequenceClassification"], "qwen2"),
        (["BertForSequenceClassification"], "bert"),
        (["Qwen2ForCausalLM"], "qwen2"),
        ("Qwen2ForSequenceClassification", "qwen2"),
        (["Qwen2ForSequenceClassification"], ...),
        ([], "qwen2"),
        (..., "qwen2"),
    ],
)
def test_other_architectures_are_refused(architectures, model_type):
    with pytest.raises(CheckpointError, match="E011"):
        read(architectures=architectures, model_type=model_type)


@pytest.mark.parametrize("value", [..., None, 0, -8, 8.0, True, "8", [8]])
@pytest.mark.parametrize(
    "key",
    [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings",
    ],
)
def test_impossible_sizes_are_refused(key, value):
    with pytest.raises(CheckpointError, match=f"E010.*{key}"):
        read(**{key: value})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_key_value_heads": 3}, "multiple"),
        ({"num_key_value_heads": 0}, "num_key_value_heads"),
        ({"head_dim": 7}, "odd"),
        ({"head_dim": 0}, "head_dim"),
        ({"hidden_size": 2}, "head_dim"),
        ({"rms_norm_eps": ...}, "rms_norm_eps"),
        ({"rms_norm_eps": 0.0}, "rms_norm_eps"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps"),
        ({"rms_norm_eps": 0.1}, "rms_norm_eps"),
        ({"rms_norm_eps": 1e6}, "rms_norm_eps"),
        ({"id2label": {}}, "id2label"),
        ({"id2label": ["a"] * 12}, "id2label"),
    ],
)
def test_impossible_combinations_are_refused(changes, problem):
    with pytest.raises(CheckpointError, match=f"E010.*{problem}"):
        read(**changes)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a": 1,}', "[]", "[{}]", "12", pytest.param("[" * 10**5, id="deep")],
)
def test_a_file_that_is_no_json_object_is_refused(text):
    with pytest.raises(CheckpointError, match="E010"):
        DecoderConfig.from_json(text)


@pytest.mark.parametrize("theta", ["5.0", True, [1.0]])
def test_a_rotary_base_that_is_no_number_is_refused_beside_a_good_one(theta):
    with pytest.raises(CheckpointError, match="E013"):
        read(rope_theta=theta, rope_parameters={"rope_theta": 1e6})


@pytest.mark.parametrize("key", ["rope_theta", "partial_rotary_factor"])
def test_what_transformers_5_reads_in_rope_scaling_is_not_passed_over(key):
    with pytest.raises(CheckpointError, match=r"E01[23]"):
        read(rope_scaling={"rope_type": "default", key: 0.5})


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_types": 5},
        {"layer_types": [[]]},
        {"architectures": [[]]},
        {"rope_theta": 10**400},
        {"rms_norm_eps": 10**400},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_values_of_another_kind_are_refused_with_a_code(changes):
    with pytest.raises(CheckpointError, match="E01"):
        read(**changes)


def test_a_category_that_no_config_can_name_is_refused():
    names = [*CATEGORIES, "Spam", "Hate = 0.999\n#"]
    with pytest.raises(CheckpointError, match="E062"):
        read(id2label={str(i): name for i, name in enumerate(names)})


def test_our_categories_in_another_order_are_refused():
    names = [*CATEGORIES[1:], CATEGORIES[0]]
    with pytest.raises(CheckpointError, match="E022"):
        read(id2label={str(i): name for i, name in enumerate(names)})
    names = [*CATEGORIES[::-1][:-1], "Violence"]  # although one has another name
    with pytest.raises(CheckpointError, match="E022"):
        read(id2label={str(i): name for i, name in enumerate(names)})
    for change in (str.lower, str.upper, lambda name: name.replace(" ", "_")):
        names = [change(name) for name in CATEGORIES]
        assert read(id2label=dict(zip(map(str, range(12)), names, strict=True)))
        with pytest.raises(CheckpointError, match="E022"):
            read(id2label={str(i): name for i, name in enumerate(names[::-1])})
    assert read(id2label={str(i): f"LABEL_{i}" for i in range(12)}) == read()


# What is ignored


@pytest.mark.parametrize(
    "ignored",
    [
        {"_attn_implementation": "owner/kernel"},
        {"_attn_implementation_internal": "owner/kernel:run"},
        {"attn_implementation": "flash_attention_2"},
        {"auto_map": {"AutoModel": "owner/repo--code.Model"}},
        {"trust_remote_code": True, "custom_pipelines": {"x": {"impl": "os.system"}}},
        {"sliding_window": 16, "max_window_layers": 2, "use_sliding_window": False},
        {"layer_types": ["full_attention"] * 3},
        {"attention_dropout": 0.5, "use_cache": False, "unknown": [1, {"a": None}]},
        {"partial_rotary_factor": 1.0, "quantization_config": None},
        {"torch_dtype": "bfloat16", "dtype": "float16"},
    ],
    ids=lambda ignored: next(iter(ignored)),
)
def test_other_keys_change_nothing(ignored):
    assert read(**ignored) == read()


# What is written


@pytest.mark.parametrize("base", [QWEN2_CONFIG, LLAMA_CONFIG], ids=["qwen2", "llama"])
@pytest.mark.parametrize("labels", [(), CATEGORIES], ids=["unnamed", "named"])
def test_what_is_written_is_read_again(base, labels):
    config = read(base, pad_token_id=3)
    data = json.loads(json.dumps(config.to_dict(labels)))
    assert DecoderConfig.from_dict(data) == config
    assert len(data["id2label"]) == len(data["label2id"]) == 12
    assert data["id2label"]["8"] == (labels[8] if labels else "LABEL_8")


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        (QWEN2_CONFIG, {}),
        (LLAMA_CONFIG, {}),
        (LLAMA_CONFIG, {"rope_scaling": None, "attention_bias": True}),
    ],
    ids=["qwen2", "llama", "llama-plain"],
)
def test_transformers_reads_what_is_written(tmp_path, base, changes):
    config = read(base, **changes)
    text = json.dumps(config.to_dict(CATEGORIES))
    (tmp_path / "config.json").write_text(text, encoding="utf8")
    theirs = transformers.AutoConfig.from_pretrained(tmp_path)
    assert theirs.architectures == base["architectures"]
    assert [theirs.id2label[i] for i in range(12)] == list(CATEGORIES)
    for key in ("hidden_size", "head_dim", "rms_norm_eps", "num_key_value_heads"):
        assert getattr(theirs, key) == getattr(config, key)
    # And what transformers writes, in its own form, is read as the same again.
    again = DecoderConfig.from_json(theirs.to_json_string(use_diff=False))
    assert again == config
