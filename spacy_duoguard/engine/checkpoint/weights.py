"""Weights: safetensors ⇄ the decoder's parameters, complete in both directions."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save as save_bytes
from safetensors.torch import save_file
from torch import Tensor, nn

from ...errors import CheckpointError, Errors
from ..network.config import DecoderConfig
from ..network.decoder import Decoder
from ..network.trainable import widen
from .files import read_json
from .origin import Origin
from .repository import Repository, require
from .safetensors import MappedFile, Stored, joined, open_tensors

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

# No weight of a model that works is near this; a damaged one can be, and then all
# logits saturate without being infinite.
WEIGHT_LIMIT = 1e6

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
        `parse_tensors`.
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
    check_values(stored, slots, source=source)
    return fill(
        Decoder(config, device="meta", dtype=dtype),
        stored,
        device=device,
        trained_layers=trained_layers,
    )


def check_values(
    stored: Mapping[str, Stored], names: Iterable[str], *, source: str
) -> None:
    """Check that each weight is one that a working model can have.

    stored (Mapping[str, Stored]): The tensors by name.
    names (Iterable[str]): Which of them to check.
    source (str): Where they came from, for messages.
    RAISES (CheckpointError): A value that is not finite, or beyond the limit.
    """
    for name in names:
        # As floats of Python: beside a float16 tensor the limit would be infinite too.
        low, high = (bound.item() for bound in stored[name].read().aminmax())
        if not (low >= -WEIGHT_LIMIT and high <= WEIGHT_LIMIT):  # NaN is neither
            raise CheckpointError(
                Errors.E016.format(name=name, source=source, limit=WEIGHT_LIMIT)
            )


def fill(
    decoder: Decoder,
    stored: Mapping[str, Stored],
    *,
    device: torch.device,
    trained_layers: int | None,
    given: Mapping[str, Tensor] | None = None,
) -> Decoder:
    """Give a decoder its weights: mapped from the file where they lie there as they are
    to be, else copied.

    decoder (Decoder): Made without memory, on the device "meta".
    stored (Mapping[str, Stored]): Tensors of its shapes.
    device (torch.device): Where it is to be.
    trained_layers (Optional[int]): As in `load_decoder`.
    given (Optional[Mapping[str, Tensor]]): Parameters, by our names, that are taken
        from here instead.
    RETURNS (Decoder): The same, in evaluation mode and without gradients.
    """
    widen(decoder, trained_layers)
    parts: dict[str, list[Stored]] = {}
    for name, slot in tensor_slots(decoder.config).items():
        if slot.parameter not in (given or {}):
            parts.setdefault(slot.parameter, []).append(stored[name])
    mapped = {}
    for name, like in list(decoder.named_parameters()):
        if given and name in given:
            tensor, file = given[name], None
        else:
            tensor, file = _assemble(parts[name], like, device)
        module, _, attribute = name.rpartition(".")
        parameter = nn.Parameter(tensor, requires_grad=False)
        setattr(decoder.get_submodule(module), attribute, parameter)
        if file is not None:
            mapped[name] = file
    decoder.origin = Origin(decoder, stored, mapped)
    return decoder.eval()


def _assemble(
    parts: Sequence[Stored], like: Tensor, device: torch.device
) -> tuple[Tensor, MappedFile | None]:
    """A parameter from what is stored of it, and the file where it is mapped."""
    if device.type == "cpu":
        tensor = joined(parts, like.dtype)
        if tensor is not None:
            return tensor, parts[0].file
    tensor = torch.empty(like.shape, dtype=like.dtype, device=device)
    start = 0
    for part in parts:
        tensor[start : start + part.shape[0]].copy_(part.read())
        start += part.shape[0]
    return tensor, None


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
        return open_tensors(single)
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
        part = open_tensors(require(repository, shard))
        stored.update(part)
        places += [(name, shard) for name in part]
    if sorted(places) != sorted(weight_map.items()):
        problem = "the index and the shards name different tensors"
        message = Errors.E015.format(source=repository.name, problem=problem)
        raise CheckpointError(message)
    return stored


def _read_index(path: Path) -> dict[str, str]:
    weight_map = read_json(path, kind="an index").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        problem = "it has no weight_map"
    elif all(isinstance(v, str) and _SHARD.fullmatch(v) for v in weight_map.values()):
        return weight_map
    else:
        problem = "a shard's name is no plain safetensors file name"
    message = Errors.E018.format(source=path.name, kind="an index", problem=problem)
    raise CheckpointError(message)


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
    path.touch()  # with the permissions of any other new file
    mode = path.stat().st_mode
    save_file(stored_tensors(decoder), path, metadata={"format": "pt"})
    path.chmod(mode)  # safetensors lets nobody but the owner read its files


def dump_weights(decoder: Decoder) -> bytes:
    """decoder (Decoder): What to write.
    RETURNS (bytes): The content of a safetensors file."""
    return save_bytes(stored_tensors(decoder), metadata={"format": "pt"})
