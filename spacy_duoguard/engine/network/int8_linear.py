"""Linear layers in int8, for inference on a CPU.

Every row of the activations and every output channel of the weights has its own scale.
Both are symmetric: x ≈ q · peak / 127 with q in -127 … 127. Rows are scaled on the fly
(dynamic quantization), so a text's score does not depend on the rest of its batch.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# oneDNN's kernels expect unsigned activations: q + 128.
_ZERO_POINT = 128
_TINY = 1e-12  # the peak of a row of zeros


class Int8Linear:
    """A linear layer, up to rounding."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """weight (Tensor): (out_features, in_features), of any float dtype.
        bias (Optional[Tensor]): (out_features,)."""
        values = weight.detach().float()
        self.scales = values.abs().amax(1).clamp_(min=_TINY) / 127
        quantized = torch.round(values / self.scales[:, None]).to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(quantized, None)
        self.bias = None if bias is None else bias.detach().float()
        self.zeros = torch.zeros(len(quantized), dtype=torch.int32)
        self.one = torch.ones(1)
        self.zero_point = torch.tensor([_ZERO_POINT], dtype=torch.int32)

    def __call__(self, x: Tensor) -> Tensor:
        """x (Tensor): (rows, in_features), of any float dtype. Overwritten.
        RETURNS (Tensor): (rows, out_features), float32."""
        return self.apply(*quantize_rows(x.float()))

    def apply(self, x: Tensor, scale: Tensor) -> Tensor:
        """x (Tensor), scale (Tensor): From `quantize_rows`."""
        output = torch.ops.onednn.qlinear_pointwise.tensor(
            *(x, self.one, self.zero_point, self.weight, self.scales, self.zeros),
            *(None, 1.0, 0, torch.float32, "none", [], ""),
        ).mul_(scale)
        return output if self.bias is None else output.add_(self.bias)


class Int8Gate:
    """silu(gate(x)) * up(x), up to rounding."""

    def __init__(self, gate_up: nn.Linear) -> None:
        """gate_up (nn.Linear): The rows of the gate, then those of `up`."""
        weights = gate_up.weight.chunk(2)
        biases = (None, None) if gate_up.bias is None else gate_up.bias.chunk(2)
        self.gate, self.up = map(Int8Linear, weights, biases)

    def __call__(self, x: Tensor) -> Tensor:
        """x (Tensor): (rows, hidden_size), of any float dtype. Overwritten.
        RETURNS (Tensor): (rows, intermediate_size), float32."""
        rows, scale = quantize_rows(x.float())
        gate = F.silu(self.gate.apply(rows, scale), inplace=True)
        return gate.mul_(self.up.apply(rows, scale))


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """x (Tensor): (rows, features), float32. Overwritten.
    RETURNS (Tuple[Tensor, Tensor]): The rows as uint8 around 128, and their scales,
        (rows, 1) float32. A row that is not finite gets a scale that is not finite."""
    # An infinity norm and a cast to uint8 would each take many times as long.
    peak = torch.maximum(x.amax(-1, keepdim=True), x.amin(-1, keepdim=True).neg_())
    peak = peak.clamp_(min=_TINY)
    rounded = x.mul_(127 / peak).round_().to(torch.int8)
    return rounded.view(torch.uint8).bitwise_xor_(_ZERO_POINT), peak / 127


@cache
def int8_products() -> bool:
    """RETURNS (bool): Whether this torch and this CPU multiply int8 natively, without
    overflow in intermediate sums."""
    if not torch.cpu._is_vnni_supported():
        return False
    draw = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(rows, 64, generator=draw) for rows in (32, 3))
    try:
        with torch.inference_mode():
            output = Int8Linear(weight, None)(x.clone())
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return torch.allclose(output, F.linear(x, weight), atol=0.5)
