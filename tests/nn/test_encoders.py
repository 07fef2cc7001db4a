"""Each encoder against its formula, written densely and in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Data

from relgraph import names
from relgraph.errors import InputError
from relgraph.nn.encoders import (
    ENCODERS,
    GATEncoder,
    GCN2Encoder,
    GCNEncoder,
    GINEncoder,
    MLPEncoder,
    SAGEEncoder,
    TransformerEncoder,
    layers_of,
    make_encoder,
)
from relgraph.nn.model import Model

NAMES = sorted(ENCODERS)


def made(name: str, in_channels: int = 5, *, seed: int = 0, **options: float | None) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = make_encoder(name, in_channels, **options).double()
        # PyG starts biases at zero, which would hide a forgotten one.
        for parameter in encoder.parameters():
            if parameter.dim() == 1:
                nn.init.normal_(parameter)
    return encoder.eval()


@pytest.fixture
def x() -> Tensor:
    features = torch.randn(9, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    features[4] = 0
    features[6] = features[5]
    return features


@pytest.fixture
def edges() -> Tensor:
    """Directed, with two parallel edges, a node that only sends (3), one that only receives (2), and an isolated."""
    pairs = [(0, 1), (1, 0), (0, 2), (1, 2), (3, 1), (3, 4), (4, 5), (5, 6), (6, 5), (7, 6), (0, 7), (0, 7)]
    return torch.tensor(pairs).T.contiguous()


@pytest.fixture
def weights() -> Tensor:
    return torch.rand(12, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1


def adjacency(edges: Tensor, weights: Tensor | None, count: int) -> Tensor:
    """Row = receiving node, column = sending node; parallel edges add up."""
    dense = torch.zeros(count, count, dtype=torch.float64)
    for place, (source, target) in enumerate(edges.T.tolist()):
        dense[target, source] += 1.0 if weights is None else weights[place]
    return dense


def dense_gcn(encoder: GCNEncoder, x: Tensor, a: Tensor) -> Tensor:
    a = normalized_adjacency(a)
    return a @ (a @ x @ encoder.conv.lin.weight.T + encoder.conv.bias).clamp(min=0)


def dense_deeper_gcn(encoder: GCNEncoder, x: Tensor, a: Tensor) -> Tensor:
    a = normalized_adjacency(a)
    for conv in (encoder.conv, *encoder.more):
        x = (a @ x @ conv.lin.weight.T + conv.bias).clamp(min=0)
    return a @ x


def dense_sage(encoder: SAGEEncoder, x: Tensor, a: Tensor) -> Tensor:
    mean = a / a.sum(1, keepdim=True).clamp(min=1)
    for conv in (encoder.conv, *encoder.more):
        x = (mean @ x @ conv.lin_l.weight.T + x @ conv.lin_r.weight.T + conv.lin_l.bias).clamp(min=0)
    return torch.cat([x, mean @ x], dim=1)


def slow_attention(conv: nn.Module, x: Tensor, edges: Tensor) -> Tensor:
    """One layer of graph attention (Velickovic et al. 2018), node by node and head by head, every node a neighbour
    of its own."""
    heads, width = conv.heads, conv.out_channels
    h = (x @ conv.lin.weight.T).view(len(x), heads, width)
    out = torch.zeros(len(x), heads * width, dtype=torch.float64)
    for node in range(len(x)):
        senders = [source for source, target in edges.T.tolist() if target == node] + [node]
        for head in range(heads):
            scores = []
            for sender in senders:
                raw = (conv.att_src[0, head] @ h[sender, head] + conv.att_dst[0, head] @ h[node, head]).item()
                scores.append(math.exp(raw if raw > 0 else 0.2 * raw))
            for sender, score in zip(senders, scores, strict=True):
                out[node, head * width : (head + 1) * width] += score / sum(scores) * h[sender, head]
    return out + conv.bias


def normalized_adjacency(a: Tensor) -> Tensor:
    a = a + torch.diag(torch.where(a.diagonal() == 0, 1.0, 0.0).to(a))
    scale = a.sum(1).rsqrt()
    return scale[:, None] * a * scale[None, :]


def dense_gin(encoder: GINEncoder, x: Tensor, a: Tensor) -> Tensor:
    a = a + torch.eye(len(a), dtype=a.dtype)
    first, _, second = encoder.conv.nn
    h = (a @ x @ first.weight.T + first.bias).clamp(min=0)
    z = a @ (h @ second.weight.T + second.bias).clamp(min=0)
    z = z - z.mean(1, keepdim=True)
    return z / (z.square().mean(1, keepdim=True) + 1e-5).sqrt()


def dense_gcn2(encoder: GCN2Encoder, x: Tensor, a: Tensor, alpha: float, theta: float) -> Tensor:
    a = normalized_adjacency(a)
    initial = h = (x @ encoder.lin.weight.T + encoder.lin.bias).clamp(min=0)
    for layer, conv in enumerate(encoder.convs, start=1):
        beta = math.log(theta / layer + 1)
        mixed = (1 - alpha) * a @ h.clamp(min=0) + alpha * initial
        h = (1 - beta) * mixed + beta * mixed @ conv.weight1
    return h


def slow_dot_attention(conv: nn.Module, x: Tensor, edges: Tensor) -> Tensor:
    """One layer of Shi et al. (2021), node by node and head by head; a node is no neighbour of its own."""
    heads, width = conv.heads, conv.out_channels
    query, key, value = (
        (x @ lin.weight.T + lin.bias).view(len(x), heads, width)
        for lin in (conv.lin_query, conv.lin_key, conv.lin_value)
    )
    out = x @ conv.lin_skip.weight.T + conv.lin_skip.bias
    for node in range(len(x)):
        senders = [source for source, target in edges.T.tolist() if target == node]
        for head in range(heads):
            scores = [math.exp((query[node, head] @ key[j, head]).item() / math.sqrt(width)) for j in senders]
            for sender, score in zip(senders, scores, strict=True):
                out[node, head * width : (head + 1) * width] += score / sum(scores) * value[sender, head]
    return out


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


def test_sage_without_a_gradient_gathers_few_of_many_columns(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert len(gcn.more) == len(sage.more) == num_layers - 2


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("gcn", ["conv.bias", "conv.lin.weight"]),
        ("sage", ["conv.lin_l.weight", "conv.lin_l.bias", "conv.lin_r.weight"]),
    ],
)
def test_two_layers_have_the_parameters_they_always_had(name: str, keys: list[str]) -> None:
    assert list(made(name).state_dict()) == list(made(name, num_layers=2).state_dict()) == keys
    deeper = list(made(name, num_layers=3).state_dict())
    assert deeper[: len(keys)] == keys and deeper[len(keys) :] == [key.replace("conv", "more.0") for key in keys]


@pytest.mark.parametrize("name", ["gcn", "sage"])
def test_fewer_than_two_layers_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"'num_layers' must be at least 2, a convolution .* \(got 1\)"):
        make_encoder(name, 3, num_layers=1)


@pytest.mark.parametrize("name", ["gat", "gin", "mlp", "transformer"])
def test_encoders_of_one_form_refuse_another_depth(name: str) -> None:
    own = layers_of(name)
    assert make_encoder(name, 3, num_layers=own).num_layers == own == (1 if name == "mlp" else 2)
    with pytest.raises(
        InputError, match=rf"'num_layers' must be {own} for the encoder '{name}'.*\(got 3\).*one of gcn, gcn2, sage"
    ):
        make_encoder(name, 3, num_layers=3)


def test_gat_is_two_layers_of_attention_with_elu_between(x: Tensor, edges: Tensor) -> None:
    encoder = made("gat", hidden_channels=6, heads=3)
    assert (encoder.first.heads, encoder.first.out_channels, encoder.second.heads) == (3, 2, 1)
    hidden = slow_attention(encoder.first, x, edges)
    hidden = torch.where(hidden > 0, hidden, hidden.exp() - 1)
    expected = slow_attention(encoder.second, hidden, edges)
    torch.testing.assert_close(encoder(x, edges), expected, rtol=1e-10, atol=1e-12)


def test_gin_is_its_formula(x: Tensor, edges: Tensor) -> None:
    encoder = made("gin", hidden_channels=6)
    expected = dense_gin(encoder, x, adjacency(edges, None, 9))
    torch.testing.assert_close(encoder(x, edges), expected, rtol=1e-10, atol=1e-12)


def test_a_hub_does_not_outgrow_the_other_nodes_of_gin(x: Tensor) -> None:
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
    assert len(encoder.convs) == 4
    expected = dense_gcn2(encoder, x, adjacency(edges, None, 9), alpha=0.1, theta=0.5)
    torch.testing.assert_close(encoder(x, edges), expected, rtol=1e-10, atol=1e-12)
    with pytest.raises(InputError, match=r"'num_layers' must be at least 1 \(got 0\)"):
        GCN2Encoder(3, num_layers=0)


def test_mlp_is_its_formula_and_sees_no_edge(x: Tensor, edges: Tensor) -> None:
    encoder = made("mlp", hidden_channels=6)
    assert isinstance(encoder, MLPEncoder)
    expected = (x @ encoder.lin.weight.T + encoder.lin.bias).clamp(min=0)
    torch.testing.assert_close(encoder(x), expected)
    assert torch.equal(encoder(x, edges), encoder(x))


def test_transformer_is_two_layers_of_dot_attention_with_elu_between(x: Tensor, edges: Tensor) -> None:
    encoder = made("transformer", hidden_channels=6, heads=3)
    assert (encoder.first.heads, encoder.first.out_channels, encoder.second.heads) == (3, 2, 1)
    hidden = slow_dot_attention(encoder.first, x, edges)
    hidden = torch.where(hidden > 0, hidden, hidden.exp() - 1)
    expected = slow_dot_attention(encoder.second, hidden, edges)
    torch.testing.assert_close(encoder(x, edges), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_default_widths_are_those_of_the_help(name: str) -> None:
    assert f"({made(name).out_channels} wide)" in names.ENCODERS[name]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mlp"])
def test_an_edge_moves_the_node_it_points_to(name: str, x: Tensor, edges: Tensor) -> None:
    encoder = made(name)
    moved = (encoder(x, edges) - encoder(x, edges[:, :-3])).abs().amax(dim=1)  # without 7 -> 6 and 0 -> 7, twice
    assert moved[6] > 1e-6 and moved[7] > 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_the_representation_is_what_a_linear_head_reads(name: str, x: Tensor, edges: Tensor) -> None:
    data = Data(x=x, edge_index=edges)
    encoder = made(name)
    head = nn.Linear(encoder.out_channels, 3, dtype=torch.float64)
    model = Model(encoder, head).eval()
    torch.testing.assert_close(model(data), model.encode(data) @ head.weight.T + head.bias)


# --- what all of them share -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_width_is_what_the_encoder_says(name: str, x: Tensor, edges: Tensor) -> None:
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
def test_a_node_embeds_the_same_wherever_its_row_is(name: str, x: Tensor, edges: Tensor) -> None:
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


def test_an_unknown_encoder_lists_the_known() -> None:
    with pytest.raises(
        InputError,
        match=r"'encoder' must be one of gat, gcn, gcn2, gin, mlp, sage, transformer \(got 'gnc'\); did you mean 'gcn'",
    ):
        make_encoder("gnc", 3)


@pytest.mark.parametrize("encoder", [GATEncoder, TransformerEncoder])
@pytest.mark.parametrize("hidden", [4, 12])
def test_attention_refuses_a_width_that_its_heads_do_not_share_out(encoder: type[nn.Module], hidden: int) -> None:
    with pytest.raises(InputError, match="'hidden_channels' must be a multiple of 'heads'"):
        encoder(3, hidden)
