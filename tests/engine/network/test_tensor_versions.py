"""What is computed with weights is only kept while they stay as they were."""

import pytest
import torch
from support.decoders import make_decoder
from torch import nn

from spacy_duoguard.engine.network.tensor_versions import ModuleVersions, TensorVersions
from spacy_duoguard.errors import ScoringError


def replace_parameter(decoder):
    weight = decoder.layers[1].mlp.down_proj.weight
    decoder.layers[1].mlp.down_proj.weight = nn.Parameter(weight.clone())


def move_parameter(decoder):
    weight = decoder.layers[0].attention.o_proj.weight
    weight.data = weight.data.clone()


def reinterpret_parameter(decoder):
    weight = decoder.layers[0].attention.o_proj.weight
    weight.requires_grad_(False)
    weight.data = weight.data.view(torch.int32)  # the same bytes


def cast_layer(decoder):
    decoder.layers[2].double()


def write_to_parameter(decoder):
    with torch.no_grad():
        decoder.embedding.weight[3] += 1


def write_to_view(decoder):
    with torch.no_grad():
        decoder.norm.weight[:2].zero_()


def replace_layer(decoder):
    decoder.layers[1] = decoder.layers[0]


def replace_deep_module(decoder):
    old = decoder.layers[1].mlp.gate_up_proj
    new = nn.Linear(old.in_features, old.out_features, bias=old.bias is not None)
    decoder.layers[1].mlp.gate_up_proj = new


def drop_layer(decoder):
    del decoder.layers[2]


def add_parameter(decoder):
    decoder.layers[0].mlp.scale = nn.Parameter(torch.ones(1))


def add_module(decoder):
    decoder.layers[0].mlp.adapter = nn.Linear(2, 2)


def replace_root(decoder):
    decoder.norm = type(decoder.norm)(len(decoder.norm.weight), 1e-6)


def roots(decoder):
    return decoder.embedding, decoder.layers, decoder.norm


@pytest.mark.parametrize(
    "change",
    [
        replace_parameter,
        move_parameter,
        reinterpret_parameter,
        cast_layer,
        write_to_parameter,
        write_to_view,
        replace_layer,
        replace_deep_module,
        drop_layer,
        add_parameter,
        add_module,
        replace_root,
    ],
)
def test_every_change_of_modules_is_noticed(change):
    decoder = make_decoder()
    before = ModuleVersions(roots(decoder))
    assert before.match(roots(decoder))
    change(decoder)
    assert not before.match(roots(decoder))
    assert ModuleVersions(roots(decoder)).match(roots(decoder))


def test_what_is_no_change_is_none():
    decoder = make_decoder()
    before = ModuleVersions(roots(decoder))
    decoder.eval()
    decoder.requires_grad_(False)
    decoder.score.weight.data.mul_(2)  # another module
    [weight.sum() for weight in decoder.parameters()]
    assert before.match(roots(decoder))


def test_weights_whose_changes_are_not_counted_are_refused():
    layer = nn.Linear(4, 4)
    with torch.inference_mode():
        layer.weight = nn.Parameter(layer.weight.clone(), requires_grad=False)
    with pytest.raises(ScoringError, match="E326"):
        ModuleVersions([layer])


def test_a_freed_address_is_not_taken_for_the_same_tensor():
    layer = nn.Linear(64, 64)
    modules, tensors = ModuleVersions([layer]), TensorVersions(layer.parameters())
    for _ in range(20):
        layer.weight.data = torch.zeros(64, 64)
        assert not modules.match([layer])
        assert not tensors.match(layer.parameters())
