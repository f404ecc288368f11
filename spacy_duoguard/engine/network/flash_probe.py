"""Whether the attention kernel for packed rows can be used."""

import numpy as np
import torch

from ..fallbacks import describe
from .attention import packed_attention, varlen_attention
from .config import DecoderConfig
from .memory import out_of_memory
from .packing import pack

# What an operator raises that this build of torch or this device doesn't have, or that
# takes other arguments.
_REFUSALS = (
    AttributeError,
    ImportError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)

_problems: dict[tuple[object, ...], str | None] = {}


def flash_problem(
    config: DecoderConfig, dtype: torch.dtype, device: torch.device
) -> str | None:
    """Run the kernel once for each kind of heads, and compare it with the plain way.

    config (DecoderConfig): With the heads and their size.
    dtype (torch.dtype): Half precision.
    device (torch.device): The device to compute on.
    RETURNS (Optional[str]): Why it can't be used; None if it can.
    """
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    key = (heads, kv_heads, config.head_dim, dtype, device)
    if key not in _problems:
        try:
            right = _is_right(heads, kv_heads, config.head_dim, dtype, device)
            _problems[key] = None if right else "its output is wrong"
        except _REFUSALS as e:
            if out_of_memory(e):
                return describe(e)  # this time: there may be room later
            _problems[key] = describe(e)
    return _problems[key]


def _is_right(
    heads: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
) -> bool:
    draw, lengths = torch.Generator().manual_seed(0), (5, 3)
    query, key, value = (
        torch.randn(sum(lengths), n, head_dim, generator=draw).to(device, dtype)
        for n in (heads, kv_heads, kv_heads)
    )
    batch = pack([np.zeros(n, dtype=np.int64) for n in lengths], device=device)
    found = varlen_attention(query, key, value, batch).float()
    expected = packed_attention(query.float(), key.float(), value.float(), batch)
    return torch.allclose(found, expected, rtol=0.05, atol=0.05)
