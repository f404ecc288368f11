"""The architecture of a checkpoint. Only known keys of `config.json` are read."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import CheckpointError, Errors
from ...taxonomy import CATEGORIES, UNSAFE
from ..unique_keys import unique_keys

ARCHITECTURES = {
    "Qwen2ForSequenceClassification": "qwen2",
    "LlamaForSequenceClassification": "llama",
}

# Keys that change the mathematics, and the values that are implemented. Any key that is
# neither here nor read below is ignored.
_REQUIRED_VALUES: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "use_sliding_window": (None, False),
    "use_mrope": (None, False),
    "partial_rotary_factor": (None, 1.0),
    "quantization_config": (None,),
}


_MAX_EPSILON = 0.1  # published models have 1e-6 or 1e-5


@dataclass(frozen=True)
class Llama3Scaling:
    """The `llama3` scaling of the rotary wavelengths (Llama 3.1 and later)."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes and constants of a Qwen2 or Llama sequence classifier. The field names
    are those of the `transformers` configuration."""

    model_type: str
    num_labels: int
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    max_position_embeddings: int
    rope_theta: float
    rope_scaling: Llama3Scaling | None = None
    qkv_bias: bool = False
    o_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = False
    pad_token_id: int | None = None
    extra_labels: tuple[str, ...] = ()  # categories added by the user

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories, in the order of the rows of the head."""
        return (*CATEGORIES, *self.extra_labels)

    @classmethod
    def from_json(cls, text: str) -> "DecoderConfig":
        """Parse a `config.json` written by `transformers` 4.x or 5.x.

        text (str): The content of the file.
        RETURNS (DecoderConfig): The architecture.
        RAISES (CheckpointError): The text is not JSON or has a key twice, an
            architecture or a setting is not implemented, or a size is missing or
            impossible.
        """
        try:
            data = json.loads(text, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as e:
            raise CheckpointError(Errors.E010.format(problem=e)) from e
        if not isinstance(data, dict):
            raise CheckpointError(Errors.E010.format(problem="not a JSON object"))
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DecoderConfig":
        """Like `from_json`, from the parsed object."""
        model_type = _read_architecture(data)
        _refuse_other_mathematics(data, model_type)
        rope_theta, rope_scaling = _read_rope(data)
        heads = _size(data, "num_attention_heads")
        hidden = _size(data, "hidden_size")
        llama = model_type == "llama"
        config = cls(
            model_type=model_type,
            num_labels=_num_labels(data),
            vocab_size=_size(data, "vocab_size"),
            hidden_size=hidden,
            intermediate_size=_size(data, "intermediate_size"),
            num_hidden_layers=_size(data, "num_hidden_layers"),
            num_attention_heads=heads,
            num_key_value_heads=_size(data, "num_key_value_heads", default=heads),
            head_dim=_size(data, "head_dim", default=hidden // heads),
            rms_norm_eps=_epsilon(data, "rms_norm_eps"),
            max_position_embeddings=_size(data, "max_position_embeddings"),
            rope_theta=rope_theta,
            rope_scaling=rope_scaling,
            qkv_bias=bool(data.get("attention_bias", False)) if llama else True,
            o_bias=bool(data.get("attention_bias", False)) if llama else False,
            mlp_bias=bool(data.get("mlp_bias", False)) if llama else False,
            tie_word_embeddings=bool(data.get("tie_word_embeddings", False)),
            pad_token_id=_optional_id(data, "pad_token_id"),
            extra_labels=_extra_labels(data),
        )
        if config.num_attention_heads % config.num_key_value_heads:
            problem = "num_attention_heads is not a multiple of num_key_value_heads"
            raise CheckpointError(Errors.E010.format(problem=problem))
        if config.head_dim % 2:
            raise CheckpointError(Errors.E010.format(problem="head_dim is odd"))
        return config

    def to_dict(self, labels: tuple[str, ...] = ()) -> dict[str, Any]:
        """Convert to the configuration of `transformers`, in a form that 4.x and 5.x
        read, so that both can load a saved folder.

        labels (Tuple[str, ...]): Names for the rows of the head.
        RETURNS (Dict[str, Any]): JSON-serializable.
        """
        data = asdict(self)
        for key in ("num_labels", "extra_labels", "qkv_bias", "o_bias", "mlp_bias"):
            del data[key]
        names = labels or tuple(f"LABEL_{i}" for i in range(self.num_labels))
        data["architectures"] = [
            name for name, kind in ARCHITECTURES.items() if kind == self.model_type
        ]
        data["hidden_act"] = "silu"
        data["id2label"] = {str(i): name for i, name in enumerate(names)}
        data["label2id"] = {name: i for i, name in enumerate(names)}
        if self.model_type == "llama":
            data["attention_bias"] = self.qkv_bias
            data["mlp_bias"] = self.mlp_bias
        if self.rope_scaling is not None:
            data["rope_scaling"] = {"rope_type": "llama3", **asdict(self.rope_scaling)}
        return data


def _read_architecture(data: Mapping[str, Any]) -> str:
    names = data.get("architectures")
    model_type = data.get("model_type")
    name = names[0] if isinstance(names, list) and len(names) == 1 else None
    known = ARCHITECTURES.get(name) if isinstance(name, str) else None
    if known is None or known != model_type:
        raise CheckpointError(
            Errors.E011.format(
                architectures=names,
                model_type=model_type,
                supported=", ".join(ARCHITECTURES),
            )
        )
    return str(model_type)


def _refuse_other_mathematics(data: Mapping[str, Any], model_type: str) -> None:
    for key, allowed in _REQUIRED_VALUES.items():
        value = data.get(key, allowed[0])
        if value not in allowed:
            raise CheckpointError(Errors.E012.format(key=key, value=value))
    layer_types = data.get("layer_types") or []
    if not isinstance(layer_types, list):
        raise CheckpointError(Errors.E012.format(key="layer_types", value=layer_types))
    if layer_types != ["full_attention"] * len(layer_types):
        raise CheckpointError(Errors.E012.format(key="layer_types", value=layer_types))
    if model_type == "qwen2" and data.get("attention_bias") is False:
        raise CheckpointError(Errors.E012.format(key="attention_bias", value=False))


def _read_rope(data: Mapping[str, Any]) -> tuple[float, Llama3Scaling | None]:
    """Read rotary settings in the form of transformers 4.x (`rope_theta` and
    `rope_scaling`) or 5.x (`rope_parameters`). A config with neither is refused: a
    default base would silently change every score."""
    new = data.get("rope_parameters")
    old = data.get("rope_scaling")
    if new is not None and not isinstance(new, dict):
        raise CheckpointError(Errors.E012.format(key="rope_parameters", value=new))
    if old is not None and not isinstance(old, dict):
        raise CheckpointError(Errors.E012.format(key="rope_scaling", value=old))
    thetas = {
        _number(source["rope_theta"])
        for source in (data, new or {}, old or {})
        if source.get("rope_theta") is not None
    }
    if len(thetas) != 1 or not min(thetas) > 0:
        raise CheckpointError(Errors.E013.format(found=sorted(thetas)))
    scaling = _read_scaling(new or old or {})
    if new and old and _read_scaling(old) != scaling:
        raise CheckpointError(Errors.E012.format(key="rope_scaling", value=old))
    for key, rope in (("rope_parameters", new), ("rope_scaling", old)):
        if (rope or {}).get("partial_rotary_factor") not in (None, 1.0):
            raise CheckpointError(Errors.E012.format(key=key, value=rope))
    return thetas.pop(), scaling


def _read_scaling(rope: Mapping[str, Any]) -> Llama3Scaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise CheckpointError(Errors.E012.format(key="rope_type", value=kind))
    scaling = Llama3Scaling(
        factor=_positive(rope, "factor"),
        low_freq_factor=_positive(rope, "low_freq_factor"),
        high_freq_factor=_positive(rope, "high_freq_factor"),
        original_max_position_embeddings=_size(
            rope, "original_max_position_embeddings"
        ),
    )
    if not scaling.high_freq_factor > scaling.low_freq_factor:
        raise CheckpointError(
            Errors.E012.format(key="high_freq_factor", value=scaling.high_freq_factor)
        )
    return scaling


def _num_labels(data: Mapping[str, Any]) -> int:
    """`transformers` omits `id2label` if there are two labels, its default."""
    id2label = data.get("id2label")
    if id2label is None:
        return 2
    if not isinstance(id2label, dict) or not id2label:
        raise CheckpointError(Errors.E010.format(problem="id2label is not an object"))
    names = [str(id2label.get(str(i))) for i in range(len(id2label))]
    ours = {_plain(name): i for i, name in enumerate(CATEGORIES)}
    if any(ours.get(_plain(name), i) != i for i, name in enumerate(names[: len(ours)])):
        raise CheckpointError(Errors.E022.format(found=names[0]))
    return len(id2label)


def _plain(name: str) -> str:
    """A name however it is written, as in "sexual_content"."""
    return " ".join(re.findall(r"\w+", name.casefold().replace("_", " ")))


def _extra_labels(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The categories after the twelve; none if the first twelve differ."""
    id2label = data.get("id2label") or {}
    names = [str(id2label.get(str(i), "")) for i in range(len(id2label))]
    ours, extra = names[: len(CATEGORIES)], names[len(CATEGORIES) :]
    if ours != list(CATEGORIES):
        return ()
    for name in extra:
        if not is_label(name):
            raise CheckpointError(Errors.E062.format(label=name))
    return tuple(extra) if len({*names}) == len(names) else ()


def is_label(name: Any) -> bool:
    """name (Any): The name of a category.
    RETURNS (bool): Whether it is a valid one: a spaCy config, which holds thresholds,
        must be able to name it."""
    if not is_storable(name) or not name.isprintable() or name != name.strip():
        return False
    is_key = name[0] not in "#;[@*" and not {"=", ":"}.intersection(name)
    return is_key and name != UNSAFE


def is_storable(name: Any) -> bool:
    """name (Any): A name that a user gave.
    RETURNS (bool): Whether it is a string, not of a subclass, which may compare as it
        likes, that isn't empty and has no unpaired surrogate."""
    if type(name) is not str or not name:
        return False
    return name.encode("utf8", "ignore").decode("utf8") == name


def _size(data: Mapping[str, Any], key: str, *, default: int | None = None) -> int:
    value = data.get(key)
    if value is None:
        value = default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        problem = f"{key} is {value!r}, not a positive integer"
        raise CheckpointError(Errors.E010.format(problem=problem))
    return value


def _positive(data: Mapping[str, Any], key: str) -> float:
    value = _number(data.get(key))
    if not value > 0:
        problem = f"{key} is {data.get(key)!r}, not a positive number"
        raise CheckpointError(Errors.E010.format(problem=problem))
    return value


def _epsilon(data: Mapping[str, Any], key: str) -> float:
    """A number that avoids divisions by zero: a larger one would make all texts read
    alike."""
    value = _positive(data, key)
    if not value < _MAX_EPSILON:
        problem = f"{key} is {data.get(key)!r}, not between 0 and {_MAX_EPSILON}"
        raise CheckpointError(Errors.E010.format(problem=problem))
    return value


def _optional_id(data: Mapping[str, Any], key: str) -> int | None:
    value = data.get(key)
    return value if type(value) is int and value >= 0 else None  # true is no id


def _number(value: Any) -> float:
    """A finite number, or 0.0 for anything else: all numbers here must be positive."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    try:
        return float(value) if math.isfinite(value) else 0.0
    except OverflowError:  # an integer too large for a float
        return 0.0
