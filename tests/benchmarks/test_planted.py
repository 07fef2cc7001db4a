"""Planted changes touch the nodes that they say."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from benchmarks.versions.drift import block_model
from benchmarks.versions.planted import KINDS, neighborhood_change, planted, reach
from relgraph.problems import make_problem


@pytest.mark.parametrize("kind", KINDS)
def test_the_neighbors_of_every_touched_node_changed(kind: str) -> None:
    problem = block_model()
    changed, touched = planted(problem, kind, seed=0)
    before, after, nodes = problem.data.edge_index, changed.data.edge_index, problem.data.num_nodes
    old, new = (set(map(tuple, edges.t().tolist())) for edges in (before, after))
    ends = {node for edge in old ^ new for node in edge}
    assert touched.any()
    assert set(touched.nonzero().view(-1).tolist()) <= ends
    assert bool((neighborhood_change(before, after, nodes)[touched.numpy()] > 0).all())
    assert bool(reach(before, after, nodes)[touched].all())


def test_a_drawn_node_whose_edges_all_stay_is_not_touched() -> None:
    edges = torch.tensor([[0, 1], [1, 0]])  # one edge among 100 nodes, of which five are drawn
    data = Data(x=torch.eye(100), edge_index=edges, y=torch.arange(100) % 2)
    masks = {name: torch.arange(100) % 3 == number for number, name in enumerate(("train_mask", "val_mask"))}
    problem = make_problem(Data(**data.to_dict(), **masks, test_mask=torch.arange(100) % 3 == 2))
    for seed in range(5):
        changed, touched = planted(problem, "rewired-half", seed)
        assert int(touched.sum()) <= 2
        assert not touched.any() or not torch.equal(changed.data.edge_index, edges)
