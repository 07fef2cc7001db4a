"""Each encoder against its formula, and what all of them share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Data

from relgraph.errors import InputError
from relgraph.nn import GATEncoder, GCN2Encoder, MLPEncoder, SAGEEncoder, TransformerEncoder, make_encoder
from relgraph.nn.encoders import layers_of
from relgraph.nn.model import Model
from relgraph.registry import ENCODERS
from tests.nn.reference import (
    NAMES,
    adjacency,
    dense_deeper_gcn,
    dense_gcn,
    dense_gcn2,
    dense_gin,
    dense_sage,
    made,
    slow_attention,
    slow_dot_attention,
)

# --- the formulas -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_gcn_is_its_formula(x: Tensor, edges: Tensor, weights: Tensor, weighted: bool) -> None:
    encoder = made("gcn", hidden_channels=6)
    given = weights if weighted else None
    z = encoder(x, edges, given)
    torch.testing.assert_close(z, dense_gcn(encoder, x, adjacency(edges, given, 9)), rtol=1e-10, atol=1e-12)


def test_gcn_keeps_the_weights_of_loops_that_are_there(x: Tensor) -> None:
    edges, weights = torch.tensor([[0, 0, 1], [0, 1, 0]]), torch.tensor([3.0, 0.5, 2.0], dtype=torch.float64)
    encoder = made("gcn", hidden_channels=6)
    expected = dense_gcn(encoder, x, adjacency(edges, weights, 9))
    torch.testing.assert_close(encoder(x, edges, weights), expected, rtol=1e-10, atol=1e-12)


def test_gcn_without_weights_is_gcn_with_ones(x: Tensor, edges: Tensor) -> None:
    encoder = made("gcn")
    torch.testing.assert_close(encoder(x, edges), encoder(x, edges, torch.ones(12, dtype=torch.float64)))


def test_sage_is_its_formula(x: Tensor, edges: Tensor) -> None:
    encoder = made("sage", hidden_channels=6)
    expected = dense_sage(encoder, x, adjacency(edges, None, 9))
    torch.testing.assert_close(encoder(x, edges), expected, rtol=1e-10, atol=1e-12)


def test_sage_without_gradients_gathers_few_columns_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            largest = max(largest, out.numel() if isinstance(out, Tensor) else 0)
            return out

    monkeypatch.setattr("relgraph.nn.encoders.sage._GATHERED", 1, raising=False)
    draw = torch.Generator().manual_seed(0)
    x, edges = torch.rand(50, 99, generator=draw), torch.randint(50, (2, 2000), generator=draw)
    encoder = SAGEEncoder(99, 8, num_layers=3).eval()
    expected = encoder(x, edges)
    with Watch(), torch.no_grad():
        found = encoder(x, edges)
    assert torch.equal(found, expected)
    assert largest <= 2000 * 16


@pytest.mark.parametrize("num_layers", [3, 5])
def test_deeper_gcn_and_sage_are_their_formulas(x: Tensor, edges: Tensor, weights: Tensor, num_layers: int) -> None:
    gcn = made("gcn", hidden_channels=6, num_layers=num_layers)
    a = adjacency(edges, weights, 9)
    torch.testing.assert_close(gcn(x, edges, weights), dense_deeper_gcn(gcn, x, a), rtol=1e-10, atol=1e-12)
    sage = made("sage", hidden_channels=6, num_layers=num_layers)
    a = adjacency(edges, None, 9)
    torch.testing.assert_close(sage(x, edges), dense_sage(sage, x, a), rtol=1e-10, atol=1e-12)
    assert len(gcn) == len(sage) == num_layers


@pytest.mark.parametrize("name", ["gcn", "sage"])
def test_fewer_than_two_layers_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"'num_layers' must be at least 2 \(got 1\)"):
        make_encoder(name, 3, num_layers=1)


@pytest.mark.parametrize("name", ["gat", "gin", "mlp", "transformer"])
def test_encoders_of_fixed_depth_refuse_another_depth(name: str) -> None:
    own = layers_of(name)
    assert make_encoder(name, 3, num_layers=own).num_layers == own == (1 if name == "mlp" else 2)
    with pytest.raises(
        InputError, match=rf"'num_layers' must be {own} for the encoder '{name}'.*\(got 3\).*one of gcn, gcn2, sage"
    ):
        make_encoder(name, 3, num_layers=3)


def test_gat_is_two_layers_of_attention_with_elu_between(x: Tensor, edges: Tensor) -> None:
    encoder = made("gat", hidden_channels=6, heads=3)
    first, second = (layer.conv for layer in encoder.layers)
    assert (first.heads, first.out_channels, second.heads) == (3, 2, 1)
    hidden = slow_attention(encoder.layers[0].conv, x, edges)
    hidden = torch.where(hidden > 0, hidden, hidden.exp() - 1)
    expected = slow_attention(encoder.layers[1].conv, hidden, edges)
    torch.testing.assert_close(encoder(x, edges), expected, rtol=1e-10, atol=1e-12)


def test_gin_is_its_formula(x: Tensor, edges: Tensor) -> None:
    encoder = made("gin", hidden_channels=6)
    expected = dense_gin(encoder, x, adjacency(edges, None, 9))
    torch.testing.assert_close(encoder(x, edges), expected, rtol=1e-10, atol=1e-12)


def test_embeddings_of_hubs_in_gin_are_as_long_as_others(x: Tensor) -> None:
    star = torch.stack([torch.arange(1, 9).repeat(50), torch.zeros(400, dtype=torch.int64)])
    norms = made("gin")(x, star).norm(dim=1)
    assert norms[0] < 1.1 * norms[1:].median()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("num_layers", [1, 4])
def test_gcn2_is_its_formula(x: Tensor, edges: Tensor, weights: Tensor, weighted: bool, num_layers: int) -> None:
    encoder = made("gcn2", hidden_channels=6, num_layers=num_layers, alpha=0.2, theta=0.7)
    given = weights if weighted else None
    expected = dense_gcn2(encoder, x, adjacency(edges, given, 9), alpha=0.2, theta=0.7)
    torch.testing.assert_close(encoder(x, edges, given), expected, rtol=1e-10, atol=1e-12)


def test_gcn2_has_the_settings_of_its_docstring(x: Tensor, edges: Tensor) -> None:
    encoder = made("gcn2", hidden_channels=6)
    assert len(encoder) == 4
    expected = dense_gcn2(encoder, x, adjacency(edges, None, 9), alpha=0.1, theta=0.5)
    torch.testing.assert_close(encoder(x, edges), expected, rtol=1e-10, atol=1e-12)
    with pytest.raises(InputError, match=r"'num_layers' must be at least 1 \(got 0\)"):
        GCN2Encoder(3, num_layers=0)


def test_mlp_is_its_formula_and_ignores_edges(x: Tensor, edges: Tensor) -> None:
    encoder = made("mlp", hidden_channels=6)
    assert isinstance(encoder, MLPEncoder)
    expected = (x @ encoder.layers[0].conv.weight.T + encoder.layers[0].conv.bias).clamp(min=0)
    torch.testing.assert_close(encoder(x), expected)
    assert torch.equal(encoder(x, edges), encoder(x))


def test_transformer_is_two_layers_of_dot_attention_with_elu_between(x: Tensor, edges: Tensor) -> None:
    encoder = made("transformer", hidden_channels=6, heads=3)
    first, second = (layer.conv for layer in encoder.layers)
    assert (first.heads, first.out_channels, second.heads) == (3, 2, 1)
    hidden = slow_dot_attention(encoder.layers[0].conv, x, edges)
    hidden = torch.where(hidden > 0, hidden, hidden.exp() - 1)
    expected = slow_dot_attention(encoder.layers[1].conv, hidden, edges)
    torch.testing.assert_close(encoder(x, edges), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_default_widths_are_those_of_the_help(name: str) -> None:
    assert f"({made(name).out_channels} wide)" in ENCODERS[name].meaning


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mlp"])
def test_an_edge_moves_the_node_it_points_to(name: str, x: Tensor, edges: Tensor) -> None:
    encoder = made(name)
    moved = (encoder(x, edges) - encoder(x, edges[:, :-3])).abs().amax(dim=1)  # without 7 -> 6 and 0 -> 7, twice
    assert moved[6] > 1e-6 and moved[7] > 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_a_linear_head_reads_the_embeddings(name: str, x: Tensor, edges: Tensor) -> None:
    data = Data(x=x, edge_index=edges)
    encoder = made(name)
    head = nn.Linear(encoder.out_channels, 3, dtype=torch.float64)
    model = Model(encoder, head).eval()
    torch.testing.assert_close(model(data), model.embed(data) @ head.weight.T + head.bias)


# --- what all of them share -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_out_channels_is_the_width_of_the_embeddings(name: str, x: Tensor, edges: Tensor) -> None:
    encoder = made(name, hidden_channels=16)
    assert encoder(x, edges).shape == (9, encoder.out_channels)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_deterministic_and_training_is_not(name: str, x: Tensor, edges: Tensor) -> None:
    encoder = made(name)
    assert torch.equal(encoder(x, edges), encoder(x, edges))
    encoder.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = encoder(x, edges), encoder(x, edges)
        torch.manual_seed(0)
        assert torch.equal(first, encoder(x, edges))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dropped", ["dropout", "input_dropout"])
def test_each_kind_of_dropout_can_be_turned_off_alone(name: str, dropped: str, x: Tensor, edges: Tensor) -> None:
    encoder = made(name, **{"dropout": 0.0, "input_dropout": 0.0, dropped: 0.5})
    expected = encoder(x, edges)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.allclose(encoder.train()(x, edges), expected)
        still = made(name, dropout=0.0, input_dropout=0.0)
        torch.testing.assert_close(still.train()(x, edges), expected)


@pytest.mark.parametrize("name", ["gat", "transformer"])
def test_every_layer_drops_a_share_of_its_attention_weights(name: str) -> None:
    encoder = made(name, dropout=0.3, input_dropout=0.0).train()
    loops = torch.arange(2000).expand(2, -1)  # every node attends to itself alone, with weight 1
    for layer in encoder.layers:  # type: ignore[union-attr]
        conv, h = layer.conv, torch.ones(2000, layer.conv.in_channels, dtype=torch.float64)  # type: ignore[union-attr]
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            away = (conv(h, loops) - conv.eval()(h, loops)).abs()
        dropped = away > 0.7 * away.amax(dim=0)  # a kept weight moves the output less: by 0.3 / 0.7
        assert torch.allclose(dropped.double().mean(dim=0), torch.tensor(0.3, dtype=torch.float64), atol=0.05)


@pytest.mark.parametrize(
    ("name", "depth"), [*((name, None) for name in NAMES if name != "gcn2"), ("gcn", 4), ("sage", 4)]
)
def test_every_layer_drops_its_share_of_its_input(name: str, depth: int | None) -> None:
    encoder = made(name, dropout=0.3, input_dropout=0.6, num_layers=depth).train()
    edges, seen = torch.arange(400).expand(2, -1), []
    for place, layer in enumerate(encoder.layers):  # type: ignore[union-attr, arg-type]
        h = torch.ones(400, encoder.widths[place - 1] if place else 5, dtype=torch.float64)  # type: ignore[index]
        hook = layer.conv.register_forward_pre_hook(lambda conv, given: seen.append(given[0]))  # type: ignore[union-attr]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layer(h, *encoder.shared(h, edges, None))  # type: ignore[operator]
        hook.remove()
        assert abs(float((seen.pop() == 0).double().mean()) - (0.3 if place else 0.6)) < 0.05


@pytest.mark.parametrize(("name", "depth"), [*((name, None) for name in NAMES), ("gcn", 4), ("sage", 4)])
def test_reset_draws_new_weights_and_a_seed_gives_the_same(name: str, depth: int | None) -> None:
    encoder = made(name, num_layers=depth)
    states = []
    with torch.random.fork_rng(devices=[]):
        for seed in (5, 6, 5):
            torch.manual_seed(seed)
            encoder.reset_parameters()
            states.append({key: value.clone() for key, value in encoder.state_dict().items()})
    assert all(torch.equal(states[0][key], states[2][key]) for key in states[0])
    matrices = [key for key in states[0] if "weight" in key or "att" in key]
    assert matrices and all(not torch.equal(states[0][key], states[1][key]) for key in matrices)


@pytest.mark.parametrize("name", NAMES)
def test_embeddings_do_not_depend_on_the_order_of_nodes(name: str, x: Tensor, edges: Tensor) -> None:
    encoder = made(name)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    moved = encoder(x[order], order.argsort()[edges])
    torch.testing.assert_close(moved, encoder(x, edges)[order], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_no_edges_and_empty_rows_give_finite_numbers(name: str) -> None:
    encoder, none = made(name), torch.zeros(2, 0, dtype=torch.int64)
    z = encoder(torch.zeros(3, 5, dtype=torch.float64), none)
    assert z.shape == (3, encoder.out_channels) and z.isfinite().all()
    assert encoder(torch.zeros(0, 5, dtype=torch.float64), none).shape == (0, encoder.out_channels)


def test_the_error_for_an_unknown_encoder_lists_all_names() -> None:
    with pytest.raises(
        InputError,
        match=r"'encoder' must be one of gat, gcn, gcn2, gin, mlp, sage, transformer \(got 'gnc'\); did you mean 'gcn'",
    ):
        make_encoder("gnc", 3)


@pytest.mark.parametrize("encoder", [GATEncoder, TransformerEncoder])
@pytest.mark.parametrize("hidden", [4, 12])
def test_attention_needs_a_width_that_is_a_multiple_of_its_heads(encoder: type[nn.Module], hidden: int) -> None:
    with pytest.raises(InputError, match="'hidden_channels' must be a multiple of 'heads'"):
        encoder(3, hidden)
