"""Weights: safetensors ⇄ the decoder's parameters, complete in both directions."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from safetensors.torch import save_file
from torch import Tensor

from ..errors import CheckpointError, Errors
from .config import DecoderConfig
from .decoder import Decoder
from .files import write_aside
from .hub import Repository, require
from .trainable import widen

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

# No weight of a model that works is near this; a damaged one can be, and then all
# logits saturate without being infinite.
WEIGHT_LIMIT = 1e6

_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_SHARD = re.compile(r"[\w-][\w.-]*\.safetensors")

# What a classifier does not use: the language model's head, and a buffer that old
# transformers releases stored.
_UNUSED = re.compile(
    r"lm_head\.weight|model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
)


class Slot(NamedTuple):
    """Where a stored tensor goes: rows of a parameter."""

    parameter: str
    start: int
    shape: tuple[int, ...]


class Stored(NamedTuple):
    """A tensor of a file, not read yet."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[], Tensor]


def tensor_slots(config: DecoderConfig) -> dict[str, Slot]:
    """The tensors of a checkpoint, by the names of `transformers`.

    config (DecoderConfig): The architecture.
    RETURNS (Dict[str, Slot]): For each stored name its place in the decoder, in
        order. Fused parameters are named several times, once for each part.
    """
    hidden = config.hidden_size
    slots = {
        "model.embed_tokens.weight": Slot(
            "embedding.weight", 0, (config.vocab_size, hidden)
        )
    }
    for i in range(config.num_hidden_layers):
        for stored, parameter, start, shape in _layer_slots(config):
            name = f"model.layers.{i}.{stored}"
            slots[name] = Slot(f"layers.{i}.{parameter}", start, shape)
    slots["model.norm.weight"] = Slot("norm.weight", 0, (hidden,))
    slots["score.weight"] = Slot("score.weight", 0, (config.num_labels, hidden))
    return slots


def _layer_slots(
    config: DecoderConfig,
) -> Iterator[tuple[str, str, int, tuple[int, ...]]]:
    hidden, inner = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    linears = [
        ("self_attn.q_proj", "attention.qkv_proj", 0, queries, hidden, config.qkv_bias),
        (
            "self_attn.k_proj",
            "attention.qkv_proj",
            queries,
            keys,
            hidden,
            config.qkv_bias,
        ),
        (
            "self_attn.v_proj",
            "attention.qkv_proj",
            queries + keys,
            keys,
            hidden,
            config.qkv_bias,
        ),
        ("self_attn.o_proj", "attention.o_proj", 0, hidden, queries, config.o_bias),
        ("mlp.gate_proj", "mlp.gate_up_proj", 0, inner, hidden, config.mlp_bias),
        ("mlp.up_proj", "mlp.gate_up_proj", inner, inner, hidden, config.mlp_bias),
        ("mlp.down_proj", "mlp.down_proj", 0, hidden, inner, config.mlp_bias),
    ]
    yield "input_layernorm.weight", "input_norm.weight", 0, (hidden,)
    for stored, parameter, start, rows, columns, bias in linears:
        yield f"{stored}.weight", f"{parameter}.weight", start, (rows, columns)
        if bias:
            yield f"{stored}.bias", f"{parameter}.bias", start, (rows,)
    yield "post_attention_layernorm.weight", "mlp_norm.weight", 0, (hidden,)


def load_decoder(
    config: DecoderConfig,
    stored: Mapping[str, Stored],
    *,
    source: str,
    device: torch.device,
    dtype: torch.dtype,
    trained_layers: int | None = 0,
) -> Decoder:
    """Build a decoder from stored tensors: all of them, and no others.

    config (DecoderConfig): The architecture.
    stored (Mapping[str, Stored]): The tensors by name, from `open_weights` or
        `parse_weights`.
    source (str): Where they came from, for messages.
    device (torch.device): Where the decoder is to be.
    dtype (torch.dtype): What it is to compute with.
    trained_layers (Optional[int]): How many of the top layers are float32 all the
        same, since they were trained; None for all.
    RETURNS (Decoder): In evaluation mode, without gradients.
    RAISES (CheckpointError): A tensor is missing, surplus, of another shape or dtype,
        or holds a value no working model has.
    """
    if config.num_hidden_layers > len(stored):  # before a list of all is made
        problem = f"{len(stored)} tensors for {config.num_hidden_layers} layers"
        raise CheckpointError(Errors.E015.format(source=source, problem=problem))
    slots = tensor_slots(config)
    _check_complete(slots, stored, source)
    # Nothing is allocated before the stored shapes are known to match.
    decoder = Decoder(config, device="meta", dtype=dtype)
    widen(decoder, trained_layers)
    decoder.to_empty(device=device)
    parameters = dict(decoder.named_parameters())
    with torch.no_grad():
        for name, slot in slots.items():
            tensor = stored[name].read()
            if not tensor.abs().max() <= WEIGHT_LIMIT:  # false for NaN as well
                raise CheckpointError(
                    Errors.E016.format(name=name, source=source, limit=WEIGHT_LIMIT)
                )
            rows = parameters[slot.parameter][slot.start : slot.start + slot.shape[0]]
            rows.copy_(tensor)
    return decoder.eval().requires_grad_(False)


def _check_complete(
    slots: Mapping[str, Slot], stored: Mapping[str, Stored], source: str
) -> None:
    surplus = [
        name for name in stored if name not in slots and not _UNUSED.fullmatch(name)
    ]
    missing = [name for name in slots if name not in stored]
    problem = ""
    if missing:
        problem = f"{len(missing)} missing, the first is '{missing[0]}'"
    elif surplus:
        problem = f"{len(surplus)} surplus, the first is '{sorted(surplus)[0]}'"
    for name, slot in slots.items():
        if not problem and stored[name].shape != slot.shape:
            found, wanted = stored[name].shape, slot.shape
            problem = f"'{name}' has the shape {found} instead of {wanted}"
    if problem:
        raise CheckpointError(Errors.E015.format(source=source, problem=problem))


def open_weights(repository: Repository) -> dict[str, Stored]:
    """Read the headers of a checkpoint's safetensors files.

    repository (Repository): Where the checkpoint is; its weights are one file or
        shards with an index.
    RETURNS (Dict[str, Stored]): The tensors by name, each read from disk on demand.
    RAISES (CheckpointError): No safetensors, a damaged file, a dtype that is no
        float, or an index that does not tell what is in the shards.
    """
    single = repository.find(WEIGHTS)
    if single is not None:
        return _open_file(single)
    path = repository.find(INDEX)
    if path is None:
        remedy = "Weights are read from safetensors only: convert the checkpoint."
        message = Errors.E017.format(
            source=repository.name, wanted=f"{WEIGHTS} or {INDEX}", remedy=remedy
        )
        raise CheckpointError(message)
    weight_map = _read_index(path)
    stored: dict[str, Stored] = {}
    places: list[tuple[str, str]] = []
    for shard in sorted(set(weight_map.values())):
        part = _open_file(require(repository, shard))
        stored.update(part)
        places += [(name, shard) for name in part]
    if sorted(places) != sorted(weight_map.items()):
        problem = "the index and the shards name different tensors"
        message = Errors.E015.format(source=repository.name, problem=problem)
        raise CheckpointError(message)
    return stored


def _read_index(path: Path) -> dict[str, str]:
    try:
        weight_map = json.loads(path.read_text(encoding="utf8"))["weight_map"]
        names: list[str] = list(weight_map.values())
        if not names or not all(_SHARD.fullmatch(name) for name in names):
            raise ValueError("a shard's name is no plain safetensors file name")
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        message = Errors.E018.format(source=path.name, kind="an index", problem=e)
        raise CheckpointError(message) from e
    return dict(weight_map)


def _open_file(path: Path) -> dict[str, Stored]:
    try:
        # Tensors are views of the mapped file: reading one copies nothing yet.
        handle = safe_open(path, framework="pt")
        names = handle.keys()
        slices = {name: handle.get_slice(name) for name in names}
        headers = {
            name: (part.get_dtype(), tuple(part.get_shape()))
            for name, part in slices.items()
        }
    except (SafetensorError, OSError, ValueError) as e:
        message = Errors.E018.format(
            source=path.name, kind="safetensors", problem=type(e).__name__
        )
        raise CheckpointError(message) from e
    return {
        name: Stored(
            _checked_dtype(dtype, name, path.name),
            shape,
            lambda name=name: handle.get_tensor(name),  # type: ignore[misc]
        )
        for name, (dtype, shape) in headers.items()
    }


def parse_weights(data: bytes, *, source: str) -> dict[str, Stored]:
    """As `open_weights`, from the content of one safetensors file.

    data (bytes): The content.
    source (str): Where it came from, for messages.
    RETURNS (Dict[str, Stored]): The tensors by name.
    """
    try:
        tensors = load_bytes(data)
    except (SafetensorError, ValueError, KeyError) as e:
        message = Errors.E018.format(
            source=source, kind="safetensors", problem=type(e).__name__
        )
        raise CheckpointError(message) from e
    names = {dtype: name for name, dtype in _DTYPES.items()}
    return {
        name: Stored(
            _checked_dtype(names.get(tensor.dtype, str(tensor.dtype)), name, source),
            tuple(tensor.shape),
            lambda tensor=tensor: tensor,  # type: ignore[misc]
        )
        for name, tensor in tensors.items()
    }


def _checked_dtype(dtype: str, name: str, source: str) -> torch.dtype:
    if dtype not in _DTYPES:
        problem = f"'{name}' is {dtype}, not one of {', '.join(_DTYPES)}"
        raise CheckpointError(Errors.E015.format(source=source, problem=problem))
    return _DTYPES[dtype]


def stored_tensors(decoder: Decoder) -> dict[str, Tensor]:
    """The decoder's parameters under the names of `transformers`, without copying.

    decoder (Decoder): The decoder.
    RETURNS (Dict[str, Tensor]): What a checkpoint of it holds.
    """
    parameters = dict(decoder.named_parameters())
    return {
        name: parameters[slot.parameter].detach()[
            slot.start : slot.start + slot.shape[0]
        ]
        for name, slot in tensor_slots(decoder.config).items()
    }


def write_weights(decoder: Decoder, path: Path) -> None:
    """decoder (Decoder): What to write. path (Path): The safetensors file."""
    with write_aside(path) as aside:
        mode = aside.stat().st_mode
        save_file(stored_tensors(decoder), aside, metadata={"format": "pt"})
        aside.chmod(mode)  # safetensors lets nobody but the owner read its files


def dump_weights(decoder: Decoder) -> bytes:
    """decoder (Decoder): What to write.
    RETURNS (bytes): The content of a safetensors file."""
    return save_bytes(stored_tensors(decoder), metadata={"format": "pt"})
