"""Anchors of a training graph, used on the graph that grew out of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

import relgraph as rg
from relgraph.anchors import GraphChangedWarning
from relgraph.errors import InputError
from relgraph.graph import anchor_index
from relgraph.nn.encoders import make_encoder

NODES, OLD = 60, 40


def grown() -> Data:
    """Sixty nodes of which forty were there before; node 7 has no neighbor, and node 3 only new ones."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(NODES, (2, 300), generator=generator)
    edges = edges[:, (edges != 7).all(0)]
    edges = edges[:, ~((edges == 3).any(0) & (edges < OLD).all(0))]
    return Data(
        x=torch.rand(NODES, 6, generator=generator),
        edge_index=torch.cat([edges, edges.flip(0)], 1),
        node_id=1000 + torch.arange(NODES),
    )


def before(data: Data) -> Data:
    """The graph of the old nodes, which training saw."""
    return data.subgraph(torch.arange(NODES) < OLD)


@pytest.mark.parametrize("encoder", ["gcn", "sage", "gat", "gin", "gcn2", "transformer"])
def test_anchors_of_a_training_graph_are_used_on_a_larger_graph(encoder: str) -> None:
    data = grown()
    ids = torch.tensor([1007, 1003, *range(1010, 1040)])
    then = rg.AddAnchors.from_ids(ids)(before(data))
    now = rg.AddAnchors.from_ids(ids)(data)
    assert torch.equal(then.node_id[anchor_index(then)], now.node_id[anchor_index(now)])

    def run(seed: int) -> tuple[nn.Module, nn.Linear]:
        torch.manual_seed(seed)
        return make_encoder(encoder, 6, hidden_channels=8).eval(), nn.Linear(16 if encoder == "sage" else 8, 3)

    def embed(model: nn.Module, graph: Data) -> Tensor:
        out: Tensor = model(graph.x, graph.edge_index).detach()
        return out

    (source, _), (target, head) = run(0), run(1)
    published = rg.publish(head, rg.AnchorSet.from_embeddings(embed(target, then), then))
    z = embed(source, now)
    for method in ("ridge", "kl", "kernel-ridge", "auto"):
        with pytest.warns(GraphChangedWarning):  # what was published belongs to the graph as it was
            module = rg.convert(rg.AnchorSet.from_embeddings(z, now), published, method)
        assert module(z).isfinite().all()
    layer = rg.RelativeLayer("whitened")
    assert layer(z, anchor_index(now)).isfinite().all()


def test_anchors_that_the_training_graph_lacks_are_named() -> None:
    data = grown()
    with pytest.raises(InputError, match=r"'ids' must all be nodes of the graph \(missing: 1045, 1059\); take anchors"):
        rg.AddAnchors.from_ids(torch.tensor([1000, 1045, 1001, 1059]))(before(data))


def test_anchors_drawn_on_a_training_graph_are_old_nodes_and_are_found_in_the_new_one() -> None:
    data = grown()
    drawn = rg.AddAnchors(16, "kmeans")(before(data))
    ids = drawn.node_id[anchor_index(drawn)]
    assert int(ids.max()) < 1000 + OLD
    assert torch.equal(data.node_id[anchor_index(rg.AddAnchors.from_ids(ids)(data))], ids)


def test_anchor_sets_with_too_few_common_ids_are_refused() -> None:
    old, new = rg.AddAnchors.from_ids(torch.arange(1000, 1040)), rg.AddAnchors.from_ids(torch.arange(1040, 1060))
    data = grown()
    z = torch.rand(NODES, 4)
    one, other = (rg.AnchorSet.from_embeddings(z, add(data)) for add in (old, new))
    with pytest.raises(InputError, match="need 5 ids in common.*got 0 of 20 and 40.*choose the same anchors"):
        rg.convert(other, rg.publish(nn.Linear(4, 3), one))
