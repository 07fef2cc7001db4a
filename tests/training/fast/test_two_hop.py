"""Embeddings of chosen nodes for a stack of seeds, against the encoders on the full graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from relgraph.nn.encoders import GCNEncoder, SAGEEncoder
from relgraph.nn.model import Model
from relgraph.training.fast.ensemble import ParameterStack
from relgraph.training.fast.two_hop import TWO_HOP, Graph, View


def graph(seed: int = 0, *, weighted: bool = False, density: float = 0.1) -> Data:
    """A directed graph with isolated nodes, a self-loop, a repeated edge and an empty feature row."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, 35, (2, 120), generator=generator)  # nodes 35..39 are isolated
    edges = torch.cat([edges, edges[:, :1], torch.tensor([[3], [3]])], dim=1)
    x = torch.rand(40, 30, generator=generator) * (torch.rand(40, 30, generator=generator) < density)
    x[7] = 0
    data = Data(x=x, edge_index=edges)
    if weighted:
        data.edge_weight = torch.rand(edges.size(1), generator=generator)
    return data


@pytest.mark.parametrize("kind", [GCNEncoder, SAGEEncoder])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("density", [0.1, 0.9])
@pytest.mark.parametrize("force_late", [False, True])
def test_a_view_equals_the_encoder_on_its_rows(kind: type, weighted: bool, density: float, force_late: bool):
    data = graph(weighted=weighted, density=density)
    models = [Model(kind(30, 8), nn.Linear(kind(30, 8).out_channels, 3)).eval() for _ in range(3)]
    for model in models:
        nn.init.normal_(model.encoder.get_parameter(TWO_HOP[kind].bias))
    parameters = ParameterStack(models)
    rows = np.array([2, 7, 11, 36, 39])
    # Without any dropout the view may use propagated features; with input dropout (not drawn here) it may not.
    view = View(Graph.of(data, TWO_HOP[kind]), TWO_HOP[kind], rows, input_dropout=0.5 if force_late else 0.0)
    z = view.embed(parameters.encoder)
    for s, model in enumerate(models):
        torch.testing.assert_close(z[s], model.encode(data)[rows], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [GCNEncoder, SAGEEncoder])
def test_gradients_equal_those_of_the_encoder(kind: type):
    data = graph(1)
    models = [Model(kind(30, 8), nn.Linear(kind(30, 8).out_channels, 3)).eval() for _ in range(2)]
    parameters = ParameterStack(models)
    rows = np.array([0, 1, 5, 38])
    z = View(Graph.of(data, TWO_HOP[kind]), TWO_HOP[kind], rows).embed(parameters.encoder)
    z.square().sum().backward()
    for s, model in enumerate(models):
        model.encode(data)[rows].square().sum().backward()
        for name, stacked in parameters.encoder.items():
            ours = stacked.grad[s]
            theirs = model.encoder.get_parameter(name).grad
            torch.testing.assert_close(ours.mT if theirs.dim() == 2 else ours.view(-1), theirs, rtol=1e-4, atol=1e-6)


def test_parameters_go_there_and_back():
    models = [Model(SAGEEncoder(30, 8), nn.Linear(16, 3)) for _ in range(3)]
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    stack = ParameterStack(models)
    for model in models:
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    stack.write(models, stack.tensors())
    for model, state in zip(models, before, strict=True):
        for name, value in model.state_dict().items():
            torch.testing.assert_close(value, state[name], rtol=0, atol=0)


def test_a_view_touches_only_the_nodes_it_depends_on():
    chain = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]])
    data = Data(x=torch.eye(7), edge_index=chain)
    view = View(Graph.of(data, TWO_HOP[GCNEncoder]), TWO_HOP[GCNEncoder], np.array([6]), input_dropout=0.5)
    assert view.second[0].shape == (1, 2)  # node 6 and its neighbor
    assert view.first[0].shape == (2, 3)  # and the neighbor's
