"""A decoder's weights as the native kernels read them, and the structures of
`forward.c`."""

from collections.abc import Sequence
from ctypes import Structure, addressof, c_float, c_int64, c_void_p

import torch
import torch.nn.functional as F
from torch import Tensor

from ....errors import Errors, SettingsError
from ..decoder import Decoder, DecoderLayer

KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2}

_TINY = 1e-12  # the peak of a channel of zeros

_MOST_COLUMNS = 65536  # of int8: 255 * 127 times as many fit into 32 bits


class Product(Structure):
    """A packed weight, its scales and biases."""

    _fields_ = (
        *((name, c_void_p) for name in ("weight", "scale", "bias")),
        *((name, c_int64) for name in ("panels", "words")),
    )


class Layer(Structure):
    """The weights of a layer."""

    _fields_ = (
        ("kind", c_int64),
        *((name, c_void_p) for name in ("input_norm", "mlp_norm")),
        *((name, Product) for name in ("qkv", "o", "gate_up", "down")),
    )


class Model(Structure):
    """The layers and their sizes."""

    _fields_ = (
        *((name, c_int64) for name in ("size", "stride", "heads", "kv_heads")),
        *((name, c_int64) for name in ("head_width", "inner", "layers")),
        ("eps", c_float),
        *((name, c_void_p) for name in ("layer", "norm")),
    )


class Batch(Structure):
    """A packed batch."""

    _fields_ = (
        *((name, c_int64) for name in ("rows", "sequences", "scored")),
        *((name, c_void_p) for name in ("bounds", "scored_rows")),
        *((name, c_void_p) for name in ("cos", "sin", "x", "out")),
    )


class Layout:
    """A decoder's weights, packed. Holds all memory that the structures point to."""

    def __init__(self, decoder: Decoder, *, int8: bool, lanes: int) -> None:
        """decoder (Decoder): A decoder on the CPU.
        int8 (bool): Multiply in int8.
        lanes (int): The lanes of a vector of the kernels."""
        config = decoder.config
        self.panel = 2 * lanes
        self._lanes, self._int8 = lanes, int8
        self._kept: list[Tensor] = []
        self.stride = self._padded(config.hidden_size)
        self._layers = (Layer * len(decoder.layers))(
            *(self._layer(layer) for layer in decoder.layers)  # type: ignore[arg-type]
        )
        self.model = Model(
            size=config.hidden_size,
            stride=self.stride,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_width=config.head_dim,
            inner=self._padded(config.intermediate_size),
            layers=len(decoder.layers),
            eps=config.rms_norm_eps,
            layer=addressof(self._layers),
            norm=self._vector(decoder.norm.weight, self.stride),
        )

    def _layer(self, layer: DecoderLayer) -> Layer:
        attention, mlp = layer.attention, layer.mlp
        dtype = torch.int8 if self._int8 else layer.dtype
        gate_up = mlp.gate_up_proj
        biases = () if gate_up.bias is None else gate_up.bias.chunk(2)
        return Layer(
            kind=KINDS[dtype],
            input_norm=self._vector(layer.input_norm.weight, self.stride),
            mlp_norm=self._vector(layer.mlp_norm.weight, self.stride),
            qkv=self._linear(dtype, attention.qkv_proj),
            o=self._linear(dtype, attention.o_proj),
            gate_up=self._product(
                dtype,
                self._interleaved(gate_up.weight.chunk(2)),
                self._interleaved(biases) if biases else None,
            ),
            down=self._linear(dtype, mlp.down_proj),
        )

    def _linear(self, dtype: torch.dtype, linear: torch.nn.Linear) -> Product:
        return self._product(dtype, linear.weight, linear.bias)

    def _product(
        self, dtype: torch.dtype, weight: Tensor, bias: Tensor | None
    ) -> Product:
        weight = weight.detach()
        rows, columns = map(self._padded, weight.shape)
        scale = None
        if dtype == torch.int8:
            weight = weight.float()
            scales = weight.abs().amax(1).clamp_(min=_TINY) / 127
            weight = torch.round(weight / scales[:, None]).to(torch.int8)
            scale = self._vector(scales, rows)
            if columns > _MOST_COLUMNS:
                raise SettingsError(Errors.E236.format(precision=f"int8 × {columns}"))
        missing = (0, columns - weight.shape[1], 0, rows - weight.shape[0])
        words = F.pad(weight.to(dtype), missing).view(torch.int32)
        if dtype == torch.int8:  # unsigned: q + 128
            words = words.bitwise_xor(torch.tensor(-0x7F7F7F80, dtype=torch.int32))
        panels = words.view(-1, self.panel, words.shape[1]).transpose(1, 2).contiguous()
        return Product(
            weight=self._keep(panels),
            scale=scale,
            bias=None if bias is None else self._vector(bias, rows),
            panels=len(panels),
            words=words.shape[1],
        )

    def _interleaved(self, parts: Sequence[Tensor]) -> Tensor:
        """Rows of the gate and of `up` in turn, a vector's lanes of each."""
        rows = self._padded(len(parts[0]))
        missing = [0, 0] * (parts[0].ndim - 1) + [0, rows - len(parts[0])]
        padded = [F.pad(part.detach(), missing) for part in parts]
        split = [part.view(-1, self._lanes, *part.shape[1:]) for part in padded]
        return torch.stack(split, 1).flatten(0, 2)

    def _vector(self, values: Tensor, size: int) -> int:
        values = values.detach().float()
        return self._keep(F.pad(values, (0, size - len(values))).clone())

    def _keep(self, tensor: Tensor) -> int:
        self._kept.append(tensor)
        return tensor.data_ptr()

    def _padded(self, size: int) -> int:
        return -(-size // self.panel) * self.panel
