"""Each encoder against its formula, written densely and in float64."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Data
from torch_geometric.nn import GraphConv

from relgraph.errors import InputError
from relgraph.nn.encoders import (
    Encoder,
    GATEncoder,
    GCN2Encoder,
    GCNEncoder,
    GINEncoder,
    Layer,
    MLPEncoder,
    SAGEEncoder,
    TransformerEncoder,
    layers_of,
    make_encoder,
)
from relgraph.nn.model import Model, TailHead
from relgraph.registry import ENCODERS

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
    return a @ (a @ x @ encoder.layers[0].conv.lin.weight.T + encoder.layers[0].conv.bias).clamp(min=0)


def dense_deeper_gcn(encoder: GCNEncoder, x: Tensor, a: Tensor) -> Tensor:
    a = normalized_adjacency(a)
    for conv in (layer.conv for layer in encoder.layers[:-1]):
        x = (a @ x @ conv.lin.weight.T + conv.bias).clamp(min=0)
    return a @ x


def dense_sage(encoder: SAGEEncoder, x: Tensor, a: Tensor) -> Tensor:
    mean = a / a.sum(1, keepdim=True).clamp(min=1)
    for conv in (layer.conv for layer in encoder.layers[:-1]):
        x = (mean @ x @ conv.lin_l.weight.T + x @ conv.lin_r.weight.T + conv.lin_l.bias).clamp(min=0)
    return torch.cat([x, mean @ x], dim=1)


def slow_attention(conv: nn.Module, x: Tensor, edges: Tensor) -> Tensor:
    """One layer of graph attention (Velickovic et al. 2018), node by node and head by head, every node a neighbor
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
    first, _, second = encoder.layers[0].conv.nn
    h = (a @ x @ first.weight.T + first.bias).clamp(min=0)
    z = a @ (h @ second.weight.T + second.bias).clamp(min=0)
    z = z - z.mean(1, keepdim=True)
    return z / (z.square().mean(1, keepdim=True) + 1e-5).sqrt()


def dense_gcn2(encoder: GCN2Encoder, x: Tensor, a: Tensor, alpha: float, theta: float) -> Tensor:
    a = normalized_adjacency(a)
    initial = h = (x @ encoder.layers[0].lin.weight.T + encoder.layers[0].lin.bias).clamp(min=0)
    for layer, conv in enumerate((layer.conv for layer in encoder.layers), start=1):
        beta = math.log(theta / layer + 1)
        mixed = (1 - alpha) * a @ h.clamp(min=0) + alpha * initial
        h = (1 - beta) * mixed + beta * mixed @ conv.weight1
    return h


def slow_dot_attention(conv: nn.Module, x: Tensor, edges: Tensor) -> Tensor:
    """One layer of Shi et al. (2021), node by node and head by head; a node is no neighbor of its own."""
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


# --- slices -----------------------------------------------------------------------------------------------------

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
