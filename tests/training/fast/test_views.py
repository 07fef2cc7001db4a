"""Embeddings of chosen nodes for a stack of models, against PyG's modules on the full graph, in double precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data

from relgraph.nn.encoders import GCNEncoder, SAGEEncoder
from relgraph.nn.encoders.attention import GATEncoder, TransformerEncoder
from relgraph.nn.encoders.gcn2 import GCN2Encoder
from relgraph.nn.encoders.gin import GINEncoder
from relgraph.nn.encoders.mlp import MLPEncoder
from relgraph.nn.model import Model
from relgraph.training.fast.ensemble import VIEWS, ParameterStack
from relgraph.training.fast.views import Graph, propagation

ROWS = np.array([2, 3, 7, 11, 36, 39])
ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "gcn": lambda **rates: GCNEncoder(30, 8, **rates),
    "sage": lambda **rates: SAGEEncoder(30, 8, **rates),
    "gat": lambda **rates: GATEncoder(30, 8, heads=4, **rates),
    "transformer": lambda **rates: TransformerEncoder(30, 8, heads=2, **rates),
    "gin": lambda **rates: GINEncoder(30, 8, **rates),
    "mlp": lambda **rates: MLPEncoder(30, 8, **rates),
    "gcn2": lambda **rates: GCN2Encoder(30, 8, num_layers=2, **rates),
    "gcn2 of one layer": lambda **rates: GCN2Encoder(30, 8, num_layers=1, **rates),
    "gcn2 of four layers": lambda **rates: GCN2Encoder(30, 8, num_layers=4, alpha=0.3, theta=1.5, **rates),
}


def graph(seed: int = 0, *, weighted: bool = False, density: float = 0.1) -> Data:
    """A directed graph with isolated nodes, a self-loop, a repeated edge and an empty feature row."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, 35, (2, 120), generator=generator)  # nodes 35..39 are isolated
    edges = torch.cat([edges, edges[:, :1], torch.tensor([[3, 2], [3, 7]]), torch.tensor([[2], [7]])], dim=1)
    x = torch.rand(40, 30, generator=generator) * (torch.rand(40, 30, generator=generator) < density)
    x[7] = 0
    data = Data(x=x.double(), edge_index=edges, y=torch.arange(40) % 3)
    if weighted:
        data.edge_weight = torch.rand(edges.size(1), generator=generator).double()
    return data


def models(name: str, count: int = 3, **rates: float) -> list[Model]:
    """Models in evaluation mode and double precision, in which no parameter is zero."""
    encoders = [ENCODERS[name](**rates) for _ in range(count)]
    made = [Model(encoder, nn.Linear(encoder.out_channels, 3)).double().eval() for encoder in encoders]  # type: ignore[arg-type]
    for model in made:
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
    return made


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("density", [0.1, 0.9])
@pytest.mark.parametrize("input_dropout", [0.0, 0.5])
def test_outputs_losses_and_gradients_equal_those_of_the_module(
    name: str, weighted: bool, density: float, input_dropout: float
) -> None:
    data = graph(weighted=weighted, density=density)
    stack = models(name, input_dropout=input_dropout)
    parameters = ParameterStack(stack)
    # Without input dropout a view may use propagated features; with it (not drawn here, as without generators) not.
    view = VIEWS[type(stack[0].encoder)](Graph(data), stack[0].encoder, ROWS, training=True)
    z = view.embed(parameters.encoder)
    logits = torch.baddbmm(parameters.head["bias"], z, parameters.head["weight"])
    y = data.y[ROWS]
    losses = [F.cross_entropy(one, y) for one in logits]
    torch.stack(losses).sum().backward()
    for s, model in enumerate(stack):
        wanted = model.encode(data)[ROWS]
        torch.testing.assert_close(z[s], wanted, rtol=1e-10, atol=1e-12)
        loss = F.cross_entropy(model.head(wanted), y)
        torch.testing.assert_close(losses[s], loss, rtol=1e-10, atol=1e-12)
        loss.backward()
    gradients = [tensor.grad for tensor in parameters.tensors()]
    moved = [model.__class__(model.encoder, model.head) for model in stack]
    wanted_gradients = [
        [parameter.grad.clone() for parameter in (*model.encoder.parameters(), *model.head.parameters())]
        for model in stack
    ]
    parameters.write(moved, gradients)  # the layout of gradients is that of parameters
    for s, model in enumerate(moved):
        for found, gradient in zip(model.parameters(), wanted_gradients[s], strict=True):
            torch.testing.assert_close(found.detach(), gradient, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ENCODERS)
def test_parameters_go_there_and_back(name: str) -> None:
    stack = models(name)
    before = [{key: value.clone() for key, value in model.state_dict().items()} for model in stack]
    parameters = ParameterStack(stack)
    for model in stack:
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    parameters.write(stack, parameters.tensors())
    for model, state in zip(stack, before, strict=True):
        for key, value in model.state_dict().items():
            assert torch.equal(value, state[key])


@pytest.mark.parametrize("name", ENCODERS)
def test_only_nodes_that_embeddings_depend_on_are_computed(name: str) -> None:
    chain = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]])
    data = Data(x=torch.eye(7).repeat(1, 5)[:, :30].double(), edge_index=chain)
    stack = models(name, input_dropout=0.5)
    data.x[: 6 - len(stack[0].encoder)] = float("nan")  # of two layers: node 6 depends on nodes 4 to 6
    view = VIEWS[type(stack[0].encoder)](Graph(data), stack[0].encoder, np.array([6]), training=True)
    assert torch.isfinite(view.embed(ParameterStack(stack).encoder)).all()


@pytest.mark.parametrize("name", ENCODERS)
def test_a_graph_without_edges_has_the_outputs_of_the_module(name: str) -> None:
    data = Data(x=graph().x, edge_index=torch.empty(2, 0, dtype=torch.long))
    stack = models(name)
    parameters = ParameterStack(stack)
    z = VIEWS[type(stack[0].encoder)](Graph(data), stack[0].encoder, ROWS).embed(parameters.encoder)
    z.sum().backward()
    for s, model in enumerate(stack):
        torch.testing.assert_close(z[s], model.encode(data)[ROWS], rtol=1e-10, atol=1e-12)
    assert all(tensor.grad is None or torch.isfinite(tensor.grad).all() for tensor in parameters.tensors())


def test_only_an_attention_mechanism_keeps_repeated_edges_apart() -> None:
    data = graph()
    edges = data.edge_index.size(1)
    assert propagation("edges", data).nnz == edges
    loops = int((data.edge_index[0] == data.edge_index[1]).sum())
    assert propagation("loops", data).nnz == edges - loops + 40
    assert propagation("mean", data).nnz < edges
