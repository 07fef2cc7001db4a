"""Sparse products over a full graph equal message passing, forward and backward, for any order of nodes."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from relgraph.modes import eval_mode
from relgraph.nn.encoders import make_encoder
from relgraph.problems import make_problem
from relgraph.registry import ENCODERS
from relgraph.training import TrainSettings
from relgraph.training.fast.sparse import SparseGraph, SparseNodes, can_use_sparse
from tests.training.graphs import clusters


def graph(nodes: int = 60, *, directed: bool = False, weighted: bool = False) -> Data:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(nodes - 3, (2, 4 * nodes), generator=generator)  # the last three are isolated
    edges = edges if directed else to_undirected(edges)
    data = Data(x=torch.randn(nodes, 7, generator=generator), edge_index=edges, y=torch.arange(nodes) % 3)
    if weighted:
        data.edge_weight = torch.rand(edges.size(1), generator=generator) + 0.1
    for name, part in (("train_mask", slice(0, 30)), ("val_mask", slice(30, 45)), ("test_mask", slice(45, None))):
        data[name] = torch.zeros(nodes, dtype=torch.bool)
        data[name][part] = True
    return data


@pytest.mark.parametrize("encoder", ["gcn", "sage"])
@pytest.mark.parametrize("layers", [2, 3, 4])
@pytest.mark.parametrize("directed", [False, True])
def test_every_part_equals_message_passing(encoder: str, layers: int, directed: bool) -> None:
    data = graph(directed=directed)
    model, sparse = make_encoder(encoder, 7, num_layers=layers, hidden_channels=5).eval(), SparseGraph(data)
    for start in range(layers):
        state = data.x if start == 0 else model[:start](data.x, data.edge_index)
        inside = sparse.x if start == 0 else state[sparse.order]
        for stop in range(start + 1, layers + 1):
            found = sparse.states(model, inside, start, stop)[sparse.position]
            torch.testing.assert_close(found, model[start:stop](state, data.edge_index), rtol=1e-4, atol=1e-5)


def test_edge_weights_are_used() -> None:
    data = graph(weighted=True)
    model = make_encoder("gcn", 7).eval()
    sparse = SparseGraph(data)
    found = sparse.states(model, sparse.x)[sparse.position]
    torch.testing.assert_close(found, model(data.x, data.edge_index, data.edge_weight), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, model(data.x, data.edge_index), atol=1e-3)


@pytest.mark.parametrize("encoder", ["gcn", "sage"])
def test_gradients_equal_those_of_message_passing(encoder: str) -> None:
    data = graph()
    model, sparse = make_encoder(encoder, 7, num_layers=3, hidden_channels=5).eval(), SparseGraph(data)
    weights = torch.randn(60, model.out_channels, generator=torch.Generator().manual_seed(1))
    plain = torch.autograd.grad((model(data.x, data.edge_index) * weights).sum(), list(model.parameters()))
    inside = (sparse.states(model, sparse.x) * weights[sparse.order]).sum()
    for found, wanted in zip(torch.autograd.grad(inside, list(model.parameters())), plain, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_the_order_is_a_permutation_that_brings_neighbors_together() -> None:
    # A path whose nodes are shuffled: ordered again, its neighbors are neighbors in memory.
    shuffled = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    edges = to_undirected(torch.stack([shuffled[:-1], shuffled[1:]]))
    sparse = SparseGraph(Data(x=torch.zeros(200, 1), edge_index=edges, y=torch.zeros(200, dtype=torch.long)))
    assert sparse.order.sort().values.tolist() == list(range(200))
    assert int((sparse.position[edges[0]] - sparse.position[edges[1]]).abs().max()) == 1
    rows = torch.tensor([3, 150])
    assert sparse.order[sparse.position[rows]].tolist() == rows.tolist()


@pytest.mark.parametrize("head", ["linear", "relative-cosine"])
def test_a_sparse_problem_has_the_rows_and_outputs_of_the_problem(head: str) -> None:
    problem = make_problem(clusters()).with_anchors(torch.tensor([4, 1, 9]))
    sparse = SparseNodes(problem)
    model = problem.build("sage", 0, TrainSettings(hidden_channels=8), head)  # type: ignore[arg-type]
    for name in ("train", "validation", "test"):
        rows = getattr(sparse, name)
        assert torch.equal(rows.sort().values, getattr(problem, name))
        torch.testing.assert_close(sparse.outputs(model, rows), problem.outputs(model, rows), rtol=1e-4, atol=1e-5)
    with eval_mode(model):
        ((outputs, y),) = sparse.batches(model, TrainSettings())
        torch.testing.assert_close(outputs, problem.outputs(model, sparse.train), rtol=1e-4, atol=1e-5)
    assert torch.equal(y, problem.y[sparse.train])


def test_encoders_that_can_use_sparse_products() -> None:
    problem = make_problem(clusters())
    models = {name: problem.build(name, 0, TrainSettings()) for name in ENCODERS}
    assert {name for name, model in models.items() if can_use_sparse(problem, model)} == {"gcn", "sage"}


def test_rows_of_a_sparse_problem_are_in_the_order_of_the_graph() -> None:
    sparse = SparseNodes(make_problem(clusters()))
    for rows in (sparse.train, sparse.validation, sparse.test):
        assert bool((sparse.graph.position[rows].diff() > 0).all())
