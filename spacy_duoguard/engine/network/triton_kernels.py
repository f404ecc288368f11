"""Triton kernels for what lies between the products: one pass over memory each, where
torch's own take several.

Importing this module needs Triton. `fused.py` is the only one that does. Triton's
compiler evaluates the annotations of kernels, and refuses all but `tl.constexpr`.
"""

# mypy: allow-untyped-defs
# ruff: noqa: ANN001, ANN202

import torch
import triton
import triton.language as tl
from torch import Tensor

# Columns of one program of the elementwise kernel.
_BLOCK = 1024


def add_norm(
    x: Tensor, change: Tensor | None, weight: Tensor, eps: float, dtype: torch.dtype
) -> Tensor:
    """Add to the residual stream, and normalize it.

    x (Tensor): (rows, size), float32, contiguous. The sum is written into it.
    change (Optional[Tensor]): (rows, size), what to add; None for nothing.
    weight (Tensor): (size,).
    eps (float): See `RMSNorm`.
    dtype (torch.dtype): The dtype of the output.
    RETURNS (Tensor): The normed rows, (rows, size).
    """
    output = torch.empty(x.shape, dtype=dtype, device=x.device)
    rows, size = x.shape
    if rows:
        _add_norm[(rows,)](
            *(x, x if change is None else change.contiguous(), weight, output),
            *(size, eps),
            ADDS=change is not None,
            BLOCK=triton.next_power_of_2(size),
        )
    return output


def rotate(qkv: Tensor, cos: Tensor, sin: Tensor, n_heads: int) -> None:
    """Apply the rotary embedding in place.

    qkv (Tensor): (total, all heads, head_dim), contiguous.
    cos (Tensor), sin (Tensor): (total, 1, head_dim / 2), contiguous.
    n_heads (int): How many heads to rotate, from the first on.
    """
    total, heads, width = qkv.shape
    if total:
        _rotate[(total,)](
            *(qkv, cos, sin, heads * width, n_heads, width // 2),
            HEADS=triton.next_power_of_2(n_heads),
            BLOCK=triton.next_power_of_2(width // 2),
        )


def swiglu(gate_up: Tensor) -> Tensor:
    """gate_up (Tensor): (rows, 2 * size), contiguous: the gate, then what it gates.
    RETURNS (Tensor): silu(gate) * up, (rows, size), of the same dtype."""
    rows, size = len(gate_up), gate_up.shape[1] // 2
    output = gate_up.new_empty(rows, size)
    if rows:
        grid = (rows, triton.cdiv(size, _BLOCK))
        _swiglu[grid](gate_up, output, size, BLOCK=_BLOCK)
    return output


@triton.jit
def _add_norm(
    x,
    change,
    weight,
    output,
    size,
    eps,
    ADDS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    row = tl.program_id(0).to(tl.int64) * size
    column = tl.arange(0, BLOCK)
    inside = column < size
    values = tl.load(x + row + column, mask=inside, other=0.0)
    if ADDS:
        added = tl.load(change + row + column, mask=inside, other=0.0)
        values += added.to(tl.float32)
        tl.store(x + row + column, values, mask=inside)
    scale = 1.0 / tl.sqrt(tl.sum(values * values, axis=0) / size + eps)
    factor = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    normed = values * scale * factor
    tl.store(output + row + column, normed.to(output.dtype.element_ty), mask=inside)


@triton.jit
def _rotate(
    qkv,
    cos,
    sin,
    stride,
    heads,
    half,
    HEADS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    head = tl.arange(0, HEADS)
    inside = column < half
    both = (head < heads)[:, None] & inside[None, :]
    first_at = qkv + row * stride + 2 * half * head[:, None] + column[None, :]
    second_at = first_at + half
    first = tl.load(first_at, mask=both, other=0.0).to(tl.float32)
    second = tl.load(second_at, mask=both, other=0.0).to(tl.float32)
    c = tl.load(cos + row * half + column, mask=inside, other=0.0).to(tl.float32)
    s = tl.load(sin + row * half + column, mask=inside, other=0.0).to(tl.float32)
    c, s = c[None, :], s[None, :]
    dtype = qkv.dtype.element_ty
    tl.store(first_at, (first * c - second * s).to(dtype), mask=both)
    tl.store(second_at, (second * c + first * s).to(dtype), mask=both)


@triton.jit
def _swiglu(
    gate_up,
    output,
    size,
    BLOCK: tl.constexpr,  # noqa: N803
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < size
    at = gate_up + row * 2 * size + column
    gate = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(at + size, mask=inside, other=0.0).to(tl.float32)
    small = tl.exp(-tl.abs(gate))  # never infinite
    sigmoid = tl.where(gate >= 0, 1.0, small) / (1.0 + small)
    gated = gate * sigmoid * up
    tl.store(
        output + row * size + column, gated.to(output.dtype.element_ty), mask=inside
    )
