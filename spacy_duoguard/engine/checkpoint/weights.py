"""Weights: safetensors ⇄ the decoder's parameters, complete in both directions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

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
from .safetensors import MappedFile, StoredTensor, join_mapped, open_tensors
from .tensor_names import ParameterRows, checkpoint_tensors

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

# No weight of a working model comes near this. A damaged one may, and all logits would
# saturate without being infinite.
WEIGHT_LIMIT = 1e6

_SHARD = re.compile(r"[\w-][\w.-]{0,200}\.safetensors", re.ASCII)

# Tensors that a classifier does not use: the language model's head, and a buffer stored
# by old transformers releases.
_UNUSED = re.compile(
    r"lm_head\.weight|model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
)


def load_decoder(
    config: DecoderConfig,
    stored: Mapping[str, StoredTensor],
    *,
    source: str,
    device: torch.device,
    dtype: torch.dtype,
    trained_layers: int | None = 0,
) -> Decoder:
    """Build a decoder from stored tensors. Each must be used, and none may be missing.

    config (DecoderConfig): The architecture.
    stored (Mapping[str, StoredTensor]): The tensors by name, from `open_weights` or
        `parse_tensors`.
    source (str): Where they came from, for messages.
    device (torch.device): The decoder's device.
    dtype (torch.dtype): The dtype to compute with.
    trained_layers (Optional[int]): Number of top layers that stay float32 because they
        were trained; None for all.
    RETURNS (Decoder): The decoder, in evaluation mode and without gradients.
    RAISES (CheckpointError): A tensor is missing, surplus, of another shape or dtype,
        or holds a value that no working model has.
    """
    if config.num_hidden_layers > len(stored):  # before listing all their tensors
        problem = f"{len(stored)} tensors for {config.num_hidden_layers} layers"
        raise CheckpointError(Errors.E015.format(source=source, problem=problem))
    expected = checkpoint_tensors(config)
    _check_complete(expected, stored, source)
    # Nothing is allocated until the stored shapes are known to match.
    check_values(stored, expected, source=source)
    return fill(
        Decoder(config, device="meta", dtype=dtype),
        stored,
        device=device,
        trained_layers=trained_layers,
    )


def check_values(
    stored: Mapping[str, StoredTensor], names: Iterable[str], *, source: str
) -> None:
    """Check that all weights are finite and within `WEIGHT_LIMIT`.

    stored (Mapping[str, StoredTensor]): The tensors by name.
    names (Iterable[str]): The names of those to check.
    source (str): Where they came from, for messages.
    RAISES (CheckpointError): A value that is not finite, or beyond the limit.
    """
    for name in names:
        # Compare Python floats: in float16 the limit itself would be infinite.
        low, high = (bound.item() for bound in stored[name].read().aminmax())
        if not (low >= -WEIGHT_LIMIT and high <= WEIGHT_LIMIT):  # NaN is neither
            raise CheckpointError(
                Errors.E016.format(name=name, source=source, limit=WEIGHT_LIMIT)
            )


def fill(
    decoder: Decoder,
    stored: Mapping[str, StoredTensor],
    *,
    device: torch.device,
    trained_layers: int | None,
    given: Mapping[str, Tensor] | None = None,
) -> Decoder:
    """Give a decoder its weights. They are mapped from the file if it holds them in the
    right layout and dtype, and copied otherwise. The head is always copied.

    decoder (Decoder): A decoder without memory, on the device "meta".
    stored (Mapping[str, StoredTensor]): Tensors of matching shapes.
    device (torch.device): The device to load to.
    trained_layers (Optional[int]): See `load_decoder`.
    given (Optional[Mapping[str, Tensor]]): Parameters to use instead of stored ones, by
        our names.
    RETURNS (Decoder): The same decoder, in evaluation mode and without gradients.
    """
    widen(decoder, trained_layers)
    given = given or {}
    blocks: dict[str, list[StoredTensor]] = {}
    for name, target in checkpoint_tensors(decoder.config).items():
        if target.parameter not in given:
            blocks.setdefault(target.parameter, []).append(stored[name])
    mapped = {}
    for name, empty in list(decoder.named_parameters()):
        if name in given:
            tensor, file = given[name], None
        else:
            # The head is multiplied in place, and the last bits of MKL's product depend
            # on the alignment of the weight. In a file, that is arbitrary; memory that
            # torch allocates begins at a multiple of 64 bytes.
            mappable = device.type == "cpu" and name != "score.weight"
            tensor, file = _assemble(blocks[name], empty, device, mappable=mappable)
        module, _, attribute = name.rpartition(".")
        parameter = nn.Parameter(tensor, requires_grad=False)
        setattr(decoder.get_submodule(module), attribute, parameter)
        if file is not None:
            mapped[name] = file
    decoder.origin = Origin(decoder, stored, mapped)
    return decoder.eval()


def _assemble(
    blocks: Sequence[StoredTensor],
    empty: Tensor,
    device: torch.device,
    *,
    mappable: bool,
) -> tuple[Tensor, MappedFile | None]:
    """Assemble a parameter from blocks of rows, with its file if it is mapped."""
    if mappable:
        tensor = join_mapped(blocks, empty.dtype)
        if tensor is not None:
            return tensor, blocks[0].file
    tensor = torch.empty(empty.shape, dtype=empty.dtype, device=device)
    start = 0
    for block in blocks:
        tensor[start : start + block.shape[0]].copy_(block.read())
        start += block.shape[0]
    return tensor, None


def _check_complete(
    expected: Mapping[str, ParameterRows],
    stored: Mapping[str, StoredTensor],
    source: str,
) -> None:
    surplus = [
        name for name in stored if name not in expected and not _UNUSED.fullmatch(name)
    ]
    missing = [name for name in expected if name not in stored]
    problem = ""
    if missing:
        problem = f"{len(missing)} missing, the first is '{missing[0]}'"
    elif surplus:
        problem = f"{len(surplus)} surplus, the first is '{sorted(surplus)[0]}'"
    for name, target in expected.items():
        if not problem and stored[name].shape != target.shape:
            actual, wanted = stored[name].shape, target.shape
            problem = f"'{name}' has the shape {actual} instead of {wanted}"
    if problem:
        raise CheckpointError(Errors.E015.format(source=source, problem=problem))


def open_weights(repository: Repository) -> dict[str, StoredTensor]:
    """Read the headers of a checkpoint's safetensors files.

    repository (Repository): The checkpoint, with its weights in one file or in shards
        with an index.
    RETURNS (Dict[str, StoredTensor]): The tensors by name, each read on demand.
    RAISES (CheckpointError): There are no safetensors, a file is damaged, a dtype is
        not a float, or the index does not match the shards.
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
    stored: dict[str, StoredTensor] = {}
    pairs: list[tuple[str, str]] = []
    for shard in sorted(set(weight_map.values())):
        tensors = open_tensors(require(repository, shard))
        stored.update(tensors)
        pairs += [(name, shard) for name in tensors]
    if sorted(pairs) != sorted(weight_map.items()):
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
        problem = "a shard's name is not a plain safetensors file name"
    message = Errors.E018.format(source=path.name, kind="an index", problem=problem)
    raise CheckpointError(message)


def stored_tensors(decoder: Decoder) -> dict[str, Tensor]:
    """Get the decoder's parameters by their names in `transformers`, without copying.

    decoder (Decoder): The decoder.
    RETURNS (Dict[str, Tensor]): The tensors of a checkpoint.
    """
    values = {name: p.detach() for name, p in decoder.named_parameters()}
    return {
        name: values[target.parameter][target.rows]
        for name, target in checkpoint_tensors(decoder.config).items()
    }


def check_parameters(decoder: Decoder) -> None:
    """Check before saving what loading checks: a training that diverged may give scores
    that are finite all the same.

    decoder (Decoder): The decoder.
    RAISES (CheckpointError): A weight is not finite, or beyond `WEIGHT_LIMIT`."""
    for parameter in decoder.parameters():
        low, high = (bound.item() for bound in parameter.detach().aminmax())
        if not (low >= -WEIGHT_LIMIT and high <= WEIGHT_LIMIT):
            raise CheckpointError(Errors.E105)


def write_weights(decoder: Decoder, path: Path) -> None:
    """decoder (Decoder): The decoder to save.
    path (Path): The safetensors file.
    RAISES (CheckpointError): As `check_parameters`."""
    check_parameters(decoder)
    path.touch()  # with default permissions
    mode = path.stat().st_mode
    save_file(stored_tensors(decoder), path, metadata={"format": "pt"})
    path.chmod(mode)  # safetensors makes files readable for their owner only


def dump_weights(decoder: Decoder) -> bytes:
    """decoder (Decoder): The decoder to save.
    RETURNS (bytes): The content of a safetensors file.
    RAISES (CheckpointError): As `check_parameters`."""
    check_parameters(decoder)
    return save_bytes(stored_tensors(decoder), metadata={"format": "pt"})
