"""The tensors of a checkpoint: names in `transformers` ⇄ rows of our parameters."""

from collections.abc import Iterator
from typing import NamedTuple

from ..network.config import DecoderConfig


class ParameterRows(NamedTuple):
    """The rows of a parameter that a stored tensor holds."""

    parameter: str
    start: int
    shape: tuple[int, ...]  # of the stored tensor

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.shape[0])


def checkpoint_tensors(config: DecoderConfig) -> dict[str, ParameterRows]:
    """List the tensors of a checkpoint, by their names in `transformers`.

    config (DecoderConfig): The architecture.
    RETURNS (Dict[str, ParameterRows]): For each stored tensor, its rows of the
        decoder's parameters, in order. Several tensors may share a parameter.
    """
    hidden = config.hidden_size
    embedding, head = (config.vocab_size, hidden), (config.num_labels, hidden)
    tensors = {
        "model.embed_tokens.weight": ParameterRows("embedding.weight", 0, embedding)
    }
    for i in range(config.num_hidden_layers):
        for name, rows in _layer_tensors(config):
            parameter = f"layers.{i}.{rows.parameter}"
            tensors[f"model.layers.{i}.{name}"] = rows._replace(parameter=parameter)
    tensors["model.norm.weight"] = ParameterRows("norm.weight", 0, (hidden,))
    tensors["score.weight"] = ParameterRows("score.weight", 0, head)
    return tensors


def _layer_tensors(config: DecoderConfig) -> Iterator[tuple[str, ParameterRows]]:
    hidden, inner = config.hidden_size, config.intermediate_size
    q = config.num_attention_heads * config.head_dim
    kv = config.num_key_value_heads * config.head_dim
    # Our linear layer, the stored ones with their rows, and the number of columns.
    linears = [
        ("attention.qkv_proj", "self_attn", {"q": q, "k": kv, "v": kv}, hidden),
        ("attention.o_proj", "self_attn", {"o": hidden}, q),
        ("mlp.gate_up_proj", "mlp", {"gate": inner, "up": inner}, hidden),
        ("mlp.down_proj", "mlp", {"down": hidden}, inner),
    ]
    biases = (config.qkv_bias, config.o_bias, config.mlp_bias, config.mlp_bias)
    yield "input_layernorm.weight", ParameterRows("input_norm.weight", 0, (hidden,))
    for (ours, module, blocks, columns), bias in zip(linears, biases, strict=True):
        start = 0
        for kind, rows in blocks.items():
            stored, shape = f"{module}.{kind}_proj", (rows, columns)
            yield f"{stored}.weight", ParameterRows(f"{ours}.weight", start, shape)
            if bias:
                yield f"{stored}.bias", ParameterRows(f"{ours}.bias", start, (rows,))
            start += rows
    norm = ParameterRows("mlp_norm.weight", 0, (hidden,))
    yield "post_attention_layernorm.weight", norm
