"""Dropout of every backend: its share, its expectation, and its effect on the loss, against independent references."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import Data

from relgraph.modes import seeded
from relgraph.nn.encoders.gcn2 import GCN2Encoder
from relgraph.nn.model import Model
from relgraph.problems import make_problem
from relgraph.training import TrainSettings
from relgraph.training.fast.ensemble import ParameterStack, train_ensemble
from relgraph.training.fast.sparse import SparseNodes
from relgraph.training.fast.two_hop import TwoHopView
from relgraph.training.fast.views import Graph
from relgraph.training.trainer import train
from tests.training.graphs import clusters

EPOCHS = 200
RATES = [(0.3, 0.7), (0.6, 0.0), (0.0, 0.6)]


def reference(model: Model, data: Data, input_dropout: float, dropout: float, rows: torch.Tensor) -> np.ndarray:
    """Losses under torch's own dropout at the input of every layer of the encoder in evaluation mode.

    Attention weights are dropped by PyG's own layers, and states between the layers of GCNII, which hold the initial
    state as well, by its layers with torch's function.
    """
    encoder, x, edges = model.encoder.eval(), data.x, data.edge_index
    for layer in encoder.layers:  # type: ignore[union-attr]
        if hasattr(layer.conv, "dropout"):
            layer.conv.dropout = dropout
            layer.conv.train()
    losses = []
    with seeded(99), torch.no_grad():
        for _ in range(EPOCHS):
            if isinstance(encoder, GCN2Encoder):
                with patch("relgraph.nn.encoders.gcn2.dropout", F.dropout):
                    z = encoder.train()(x, edges)
            else:
                h = encoder[:1](F.dropout(x, input_dropout), edges)  # type: ignore[index]
                z = encoder[1:](F.dropout(h, dropout), edges)  # type: ignore[index]
            losses.append(float(F.cross_entropy(model.head(z)[rows], data.y[rows])))
    return np.array(losses)


def large_model(encoder: str, data: Data, settings: TrainSettings) -> Model:
    """A model with weights so large that its loss depends on dropout."""
    model = make_problem(data).build(encoder, 0, settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)
    return model


def features(density: str) -> Data:
    data = clusters(120)
    if density == "sparse":
        data.x = data.x * (data.x > 0.9)
    return data


@cache
def expected(encoder: str, density: str, input_dropout: float, dropout: float) -> np.ndarray:
    """The reference's losses, which several backends are compared with."""
    data, settings = features(density), TrainSettings(hidden_channels=8, input_dropout=input_dropout, dropout=dropout)
    model = large_model(encoder, data, settings)
    return reference(model, data, input_dropout, dropout, make_problem(data).train)


@pytest.mark.parametrize(
    ("encoder", "density", "backend"),
    [
        ("gcn", "sparse", "ensemble"), ("gcn", "dense", "ensemble"), ("sage", "sparse", "ensemble"),
        ("sage", "dense", "ensemble"), ("gcn", "dense", "sparse"), ("sage", "sparse", "sparse"),
        ("gcn", "sparse", "loop"), ("sage", "dense", "loop"), ("gat", "sparse", "ensemble"),
        ("gat", "dense", "ensemble"), ("transformer", "sparse", "ensemble"),
        ("gin", "sparse", "ensemble"), ("gin", "dense", "ensemble"), ("gcn2", "sparse", "ensemble"),
        ("gcn2", "dense", "ensemble"), ("mlp", "sparse", "ensemble"), ("mlp", "dense", "ensemble"),
    ],
)  # fmt: skip
def test_losses_under_dropout_have_the_mean_and_spread_of_the_reference(
    encoder: str, density: str, backend: str
) -> None:
    data = features(density)
    problem = make_problem(data)
    for input_dropout, dropout in RATES[: 1 if backend == "loop" else None]:
        settings = TrainSettings(
            epochs=EPOCHS,
            patience=None,
            lr=1e-9,
            weight_decay=0.0,
            hidden_channels=8,
            input_dropout=input_dropout,
            dropout=dropout,
        )
        model = large_model(encoder, data, settings)
        wanted = expected(encoder, density, input_dropout, dropout)
        with seeded(1):
            if backend == "ensemble":
                run = train_ensemble(problem, [model], [5], settings, "")[0]
            else:
                run = train(SparseNodes(problem) if backend == "sparse" else problem, model, 5, settings, "")
        found = np.array(run.history.train_loss)
        error = np.sqrt((found.var() + wanted.var()) / EPOCHS)
        assert abs(found.mean() - wanted.mean()) <= 4.5 * error
        assert 0.7 < found.std() / wanted.std() < 1.4
        assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.3  # a new mask at every epoch


@pytest.mark.parametrize("encoder", ["gcn", "sage"])
def test_the_reference_tells_lost_and_wrong_rates_from_the_right_ones(encoder: str) -> None:
    data = clusters(120)
    model, rows = large_model(encoder, data, TrainSettings(hidden_channels=8)), make_problem(data).train
    right = reference(model, data, 0.3, 0.7, rows)
    wrong_rates = [(0.0, 0.7), (0.3, 0.0), *([(0.7, 0.3)] if encoder == "gcn" else [])]
    for input_dropout, dropout in wrong_rates:
        wrong = reference(model, data, input_dropout, dropout, rows)
        assert abs(right.mean() - wrong.mean()) > 4.5 * np.sqrt((right.var() + wrong.var()) / EPOCHS)


@pytest.mark.parametrize("input_dropout", [0.0, 0.3])
def test_dropout_of_hidden_states_keeps_the_expectation_and_drops_its_share(input_dropout: float) -> None:
    data = clusters(90)
    problem = make_problem(data)
    model = problem.build("gcn", 0, TrainSettings(hidden_channels=6, input_dropout=input_dropout, dropout=0.4))
    parameters = ParameterStack([model]).encoder
    view = TwoHopView(Graph(data), model.encoder, np.arange(90), training=True)
    view.second = [_Identity()]  # type: ignore[list-item]
    generators = [torch.Generator().manual_seed(0)]
    draws = torch.stack([view.embed(parameters, generators)[0].detach() for _ in range(400)])
    plain = view.embed(parameters)[0].detach()
    if input_dropout == 0:
        positive = plain > 1e-3
        assert abs(float((draws[:, positive] == 0).float().mean()) - 0.4) < 0.01
        kept = draws[:, positive] != 0
        torch.testing.assert_close(draws[:, positive][kept], (plain[positive] / 0.6).expand(400, -1)[kept])
        torch.testing.assert_close(draws.mean(0)[positive], plain[positive], rtol=0.3, atol=0)
    else:
        assert (draws == 0).float().mean() > 0.4


class _Identity:
    def product(self, h: torch.Tensor) -> torch.Tensor:
        return h
