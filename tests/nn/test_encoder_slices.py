"""Slices of encoders; encoders compiled, copied, and of one's own."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GraphConv

from relgraph.errors import InputError
from relgraph.nn import Encoder, Layer, make_encoder
from relgraph.nn.encoders import layers_of
from relgraph.nn.model import Model, TailHead
from relgraph.registry import ENCODERS
from tests.nn.reference import NAMES, made

FORMS = [(name, None) for name in NAMES] + [("gcn", 3), ("sage", 3), ("gcn2", 3), ("gcn", 5), ("gcn2", 1)]


@pytest.mark.parametrize(("name", "depth"), FORMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_slices_joined_at_any_layer_are_the_encoder(
    name: str, depth: int | None, weighted: bool, x: Tensor, edges: Tensor, weights: Tensor
) -> None:
    encoder, given = made(name, num_layers=depth), weights if weighted else None
    head = nn.Linear(encoder.out_channels, 3, dtype=torch.float64)
    expected = encoder(x, edges, given)
    for k in range(1, len(encoder)):
        front, rest = encoder[:k], encoder[k:]
        h = front(x, edges, given)
        assert h.shape == (9, encoder.widths[k - 1]) == (9, front.out_channels) and len(rest) == len(encoder) - k
        assert torch.equal(rest(h, edges, given), expected)
        assert torch.equal(TailHead(rest, head)(h, edges, given), head(expected))
    assert torch.equal(encoder[:](x, edges, given), expected)


def test_slices_share_the_layers_and_keep_their_mode() -> None:
    encoder = made("gcn", num_layers=3)
    encoder.train()
    encoder.layers[2].eval()
    part = encoder[1:]
    assert part.layers[0] is encoder.layers[1] and part.training
    assert [layer.training for layer in part.layers] == [True, False]


def test_slices_are_those_of_a_list(x: Tensor, edges: Tensor) -> None:
    encoder = made("gcn2", hidden_channels=6)
    layers = list(encoder.layers)
    for part in (slice(1, -1), slice(-2, None), slice(0, 99), slice(None, None, 1), slice(2, 2)):
        found = encoder[part]
        assert list(found.layers) == layers[part] and found.widths == encoder.widths[part]
    rest = encoder[len(encoder) :]
    assert len(rest) == 0 and rest.in_channels == rest.out_channels == encoder.out_channels
    z = encoder(x, edges)
    assert rest(z) is z
    assert torch.equal(encoder[1:][1:](encoder[:2](x, edges), edges), z)


@pytest.mark.parametrize("part", [slice(None, None, 2), slice(None, None, -1), 1, -1])
def test_steps_and_numbers_are_refused(part: object) -> None:
    with pytest.raises(InputError, match="'layers' must be a slice without a step"):
        made("gcn")[part]  # type: ignore[index]


def test_an_encoder_of_own_layers(x: Tensor, edges: Tensor, weights: Tensor) -> None:
    convs = [GraphConv(5, 4).double(), GraphConv(4, 3).double()]
    encoder = Encoder([Layer(convs[0], 0.5, torch.tanh), Layer(convs[1])], 5, (4, 3)).eval()
    h = convs[0](x, edges).tanh()
    assert torch.equal(encoder[:1](x, edges), h) and torch.equal(encoder(x, edges), convs[1](h, edges))
    weighted = Encoder(encoder.layers, 5, (4, 3), lambda h, *graph: graph).eval()
    assert torch.equal(weighted(x, edges, weights), convs[1](convs[0](x, edges, weights).tanh(), edges, weights))
    with pytest.raises(InputError, match=r"'widths' must hold one size per layer, 2 \(got 1\)"):
        Encoder(convs, 5, (4,))


def test_message_passing_without_edges_is_refused(x: Tensor) -> None:
    for name in NAMES:
        if name != "mlp":
            with pytest.raises(InputError, match="'edge_index' must be given to an encoder that passes messages"):
                made(name)(x)


@pytest.mark.parametrize("name", NAMES)
def test_models_compile_to_one_graph(name: str, x: Tensor, edges: Tensor) -> None:
    torch._dynamo.reset()
    encoder = made(name)
    model = Model(encoder, nn.Linear(encoder.out_channels, 3).double()).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, edges), model(x, edges))


def test_dropout_compiles_to_one_graph_and_runs_under_functorch(x: Tensor, edges: Tensor) -> None:
    torch._dynamo.reset()
    encoder = made("gcn", hidden_channels=6).train()
    with torch.random.fork_rng(devices=[]):
        compiled = torch.compile(encoder, backend="eager", fullgraph=True)
        assert not torch.equal(compiled(x, edges), compiled(x, edges))
        states = torch.func.vmap(lambda x: encoder(x, edges), randomness="different")(torch.stack([x, x]))
    assert states.shape == (2, 9, 6) and not torch.equal(*states)


@pytest.mark.parametrize("name", NAMES)
def test_encoders_and_slices_can_be_copied_and_pickled(name: str, x: Tensor, edges: Tensor) -> None:
    encoder = made(name)
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert type(other) is type(encoder) and torch.equal(other(x, edges), encoder(x, edges))
    first = encoder[:1]
    assert torch.equal(pickle.loads(pickle.dumps(first))(x, edges), first(x, edges))


def test_an_encoder_can_be_registered_from_outside() -> None:
    ENCODERS.register("mine", lambda in_channels, width=4: nn.Linear(in_channels, width), "a linear map")
    try:
        assert make_encoder("mine", 3, width=7).out_features == 7 and layers_of("mine") == 1
        with pytest.raises(InputError, match="'num_layers' must be 1 for the encoder 'mine'"):
            make_encoder("mine", 3, num_layers=2)
    finally:
        ENCODERS.remove("mine")
