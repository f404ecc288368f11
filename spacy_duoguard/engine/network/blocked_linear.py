"""Linear layers with weights in oneDNN's blocked layout, for inference on a CPU.

The weights are reordered once into the order in which the kernels read them. This makes
products faster, especially with few rows. The operators are private to torch, so they
are only used where a small test product comes out right.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The layout is chosen for batches; products of a few rows are just as fast with it.
_ROWS = 512


class BlockedLinear:
    """A linear layer."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """weight (Tensor): (out_features, in_features).
        bias (Optional[Tensor]): (out_features,)."""
        self.dtype = weight.dtype
        self.weight = torch.ops.mkldnn._reorder_linear_weight(
            weight.detach().contiguous(), _ROWS
        )
        self.bias = None if bias is None else bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        """x (Tensor): (rows, in_features), of any float dtype.
        RETURNS (Tensor): (rows, out_features), of the weight's dtype."""
        return self.apply(x.to(self.dtype))

    def apply(self, x: Tensor, activation: str = "none") -> Tensor:
        """activation (str): "none", or "swish" for SiLU."""
        return torch.ops.mkldnn._linear_pointwise.default(
            x, self.weight, self.bias, activation, [], ""
        )

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """other (Tensor): Factors for the outputs, of the same shape."""
        return torch.ops.mkldnn._linear_pointwise.binary(
            x, other, self.weight, self.bias, "mul"
        )


class BlockedGate:
    """silu(gate(x)) * up(x), fused into the products."""

    def __init__(self, gate_up: nn.Linear) -> None:
        """gate_up (nn.Linear): The rows of the gate, then those of `up`."""
        weights = gate_up.weight.chunk(2)
        biases = (None, None) if gate_up.bias is None else gate_up.bias.chunk(2)
        self.gate, self.up = map(BlockedLinear, weights, biases)

    def __call__(self, x: Tensor) -> Tensor:
        """x (Tensor): (rows, hidden_size), of any float dtype.
        RETURNS (Tensor): (rows, intermediate_size)."""
        x = x.to(self.gate.dtype)
        return self.up.times(x, self.gate.apply(x, "swish"))


@cache
def blocked_products(dtype: torch.dtype) -> bool:
    """Check whether this torch and this CPU have the operators and compute correctly.

    dtype (torch.dtype): The dtype of the weights.
    RETURNS (bool): Whether to use them instead of plain products.
    """
    draw = torch.Generator().manual_seed(0)
    mlp = torch.randn(2 * 32, 16, generator=draw).to(dtype)
    x = torch.randn(3, 16, generator=draw).to(dtype)
    linear = nn.Linear(16, 2 * 32, bias=False, dtype=dtype)
    linear.weight.data = mlp
    gate, up = F.linear(x, mlp).chunk(2, dim=-1)
    try:
        with torch.inference_mode():
            output = BlockedGate(linear)(x)
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return torch.allclose(output, F.silu(gate) * up, rtol=0.05, atol=0.05)
