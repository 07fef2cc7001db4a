from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from relgraph.errors import InputError
from relgraph.nn import EdgeGCNConv, EdgeSAGEConv, GraphEncoder, edge_gin_conv
from relgraph.nn.model import call_with_graph
from relgraph.registry import GRAPH_ENCODERS

EDGES = torch.tensor([[0, 1, 1, 2, 3], [1, 0, 2, 1, 1]])


def graph(seed: int = 0, *, nodes: int = 5) -> Data:
    generator = torch.Generator().manual_seed(seed)
    x, e = torch.randn(nodes, 3, generator=generator), torch.randn(EDGES.size(1), 2, generator=generator)
    return Data(x=x, edge_index=EDGES, edge_attr=e)


def encoder(name: str, **options: float) -> nn.Module:
    conv = GRAPH_ENCODERS.resolve(name)
    return GraphEncoder(conv, lambda width: nn.Linear(3, width), lambda width: nn.Linear(2, width), 8, **options)


def slow(conv: nn.Module, x: Tensor, e: Tensor) -> Tensor:
    """Every message by itself, by the formulas of the docstrings."""
    rows = []
    incoming = {i: [k for k in range(EDGES.size(1)) if EDGES[1, k] == i] for i in range(len(x))}
    degrees = {i: len(found) + 1 for i, found in incoming.items()}
    for i in range(len(x)):
        if isinstance(conv, EdgeGCNConv):
            row = (conv.lin(x[i]) + conv.root[0]).relu() / degrees[i]
            for k in incoming[i]:
                j = int(EDGES[0, k])
                row = row + (conv.lin(x[j]) + e[k]).relu() / (degrees[j] * degrees[i]) ** 0.5
        else:
            said = [(x[EDGES[0, k]] + e[k]).relu() for k in incoming[i]]
            if isinstance(conv, EdgeSAGEConv):
                mean = sum(said) / len(said) if said else torch.zeros_like(x[i])
                row = conv.own(x[i]) + conv.neighbors(mean)
            else:
                row = (1 + conv.eps) * x[i] + sum(said)
        rows.append(row)
    out = torch.stack(rows)
    return out if isinstance(conv, EdgeGCNConv | EdgeSAGEConv) else conv.nn(out)


@pytest.mark.parametrize("make", [EdgeGCNConv, EdgeSAGEConv, edge_gin_conv])
def test_messages_follow_the_formula(make: type[nn.Module]) -> None:
    torch.manual_seed(0)
    conv, x, e = make(4).eval(), torch.randn(5, 4), torch.randn(EDGES.size(1), 4)  # node 4 is alone
    torch.testing.assert_close(conv(x, EDGES, e), slow(conv, x, e))


@pytest.mark.parametrize("name", GRAPH_ENCODERS)
def test_every_layer_drops_its_share(name: str) -> None:
    torch.manual_seed(0)
    x, edges, e = torch.randn(2000, 8), torch.randint(2000, (2, 4000)), torch.randn(4000, 2)
    for layer in encoder(name, num_layers=2, dropout=0.3).eval().layers:  # type: ignore[union-attr]
        plain = layer(x, edges, e)  # type: ignore[operator]
        layer.training = True  # of the layer alone, since batch norm differs in training
        found, positive = layer(x, edges, e), plain > 0  # type: ignore[operator]
        assert abs(float((found[positive] == 0).double().mean()) - 0.3) < 0.02
        kept = found != 0
        torch.testing.assert_close(found[kept], plain[kept] / 0.7)


@pytest.mark.parametrize("name", GRAPH_ENCODERS)
def test_a_graph_has_the_same_embedding_alone_and_in_a_batch(name: str) -> None:
    torch.manual_seed(0)
    module = encoder(name, num_layers=2).eval()
    graphs = [graph(0), graph(1), graph(2, nodes=7)]
    together = call_with_graph(module, Batch.from_data_list(graphs))
    assert together.shape == (3, 8)
    torch.testing.assert_close(together, torch.cat([call_with_graph(module, one) for one in graphs]))


@pytest.mark.parametrize("make", [EdgeGCNConv, EdgeSAGEConv, edge_gin_conv])
def test_new_weights_are_those_of_the_seed(make: type[nn.Module]) -> None:
    conv = make(4)
    conv.reset_parameters()
    torch.manual_seed(1)
    conv.reset_parameters()
    first = [parameter.clone() for parameter in conv.parameters()]
    conv.reset_parameters()
    assert not all(torch.equal(a, b) for a, b in zip(first, conv.parameters(), strict=True))
    torch.manual_seed(1)
    conv.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(first, conv.parameters(), strict=True))


def test_unknown_names_and_no_layers_are_refused() -> None:
    with pytest.raises(InputError, match="'encoder' must be one of gcn, gin, sage .got 'gat'"):
        encoder("gat")
    with pytest.raises(InputError, match="'num_layers' must be at least 1 .got 0"):
        encoder("gcn", num_layers=0)


def test_resetting_an_encoder_is_building_it_anew_from_the_seed() -> None:
    module = encoder("gin", num_layers=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module.reset_parameters()
        once = [parameter.clone() for parameter in module.parameters()]
        module.reset_parameters()
        assert not all(torch.equal(a, b) for a, b in zip(once, module.parameters(), strict=True))
        torch.manual_seed(1)
        module.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(once, module.parameters(), strict=True))
