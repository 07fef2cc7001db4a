"""The graph of the scripts here, their training settings, and what a trained run of it brings."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

import relgraph as rg
from relgraph.training import TrainSettings, apply_protocol
from relgraph.training.kept import fit_kept
from relgraph.training.whole_graph import WholeGraph, can_see_whole

sys.path.append(str(Path(__file__).parents[1] / "stitching"))

NAME = "ogbn-arxiv"
# Chosen on validation nodes, with seeds that nothing else uses: choose.py. No dropout of inputs, so that they are
# propagated once.
SETTINGS = TrainSettings(
    epochs=100, num_layers=3, hidden_channels=64, dropout=0.5, input_dropout=0.0, weight_decay=2e-3
)
RUNS = Path("runs") / "ogb"


@dataclass(frozen=True, eq=False)
class Run:
    """A trained run: embeddings of all nodes ``(N, F)``, and their states one layer earlier."""

    encoder: str
    seed: int
    z: Tensor
    inner: Tensor
    model: rg.Model
    validation: float
    seconds: float

    @property
    def head(self) -> nn.Linear:
        """The model's head."""
        return self.model.head


def arxiv(root, features):
    """The graph with its time split."""
    return apply_protocol(rg.load_dataset(NAME, root, features=None if features == "file" else features))[0]


def settings_of(encoder):
    """Training settings: GAT has two layers and no other form."""
    return replace(SETTINGS, num_layers=None) if encoder == "gat" else SETTINGS


def part(graph, encoder, h, start, stop):
    """Layers ``start`` to ``stop`` of an encoder on states of all nodes (``None``: the features), in the graph's order.

    As sparse products where :class:`WholeGraph` knows the encoder, else by passing messages.
    """
    if can_see_whole(encoder):
        return graph.outside(graph.part(encoder, graph.x if h is None else graph.inside(h), start, stop))
    return encoder.part(graph.data.x if h is None else h, start, stop, graph.data.edge_index)


def trained(graph, encoder, seeds, folder, progress=None):
    """The runs of an encoder, read where they are there, else trained and kept."""
    runs = []
    for one in fit_kept(graph.data, encoder, seeds, folder, settings=settings_of(encoder), progress=progress):
        one.model.requires_grad_(False)
        last = one.model.encoder.num_layers
        inner = part(graph, one.model.encoder, None, 0, last - 1)
        z = part(graph, one.model.encoder, inner, last - 1, last)
        runs.append(Run(encoder, one.seed, z, inner, one.model, one.validation, one.seconds))
    return runs


def whole(data):
    """The graph laid out for training."""
    return WholeGraph(data)
