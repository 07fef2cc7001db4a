"""The graph of the scripts here, their training settings, and what a trained run of it brings."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

import relgraph as rg
from relgraph.training import TrainSettings, apply_protocol
from relgraph.training.kept import fit_kept
from relgraph.training.whole_graph import WholeGraph

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
    """A trained run: embeddings of all nodes ``(N, F)``, and in WholeGraph's order the state one layer earlier."""

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


def trained(data, graph, encoder, seeds, folder, settings=SETTINGS, progress=None):
    """The runs of an encoder, read where they are there, else trained and kept."""
    runs = []
    for one in fit_kept(data, encoder, seeds, folder, settings=settings, progress=progress):
        one.model.requires_grad_(False)
        last = one.model.encoder.num_layers
        inner = graph.inside(graph.encode(one.model.encoder, last - 1))
        z = graph.outside(graph.part(one.model.encoder, inner, last - 1, last))
        runs.append(Run(encoder, one.seed, z, inner, one.model, one.validation, one.seconds))
    return runs


def whole(data):
    """The graph laid out for training."""
    return WholeGraph(data)
