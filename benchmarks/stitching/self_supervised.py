"""Encoders trained without labels, with the heads of supervised GCNs: Deep Graph Infomax and graph autoencoders.

    python -m benchmarks.stitching.self_supervised --data-root DIR

Ten sources each, trained on the whole graph by PyG's ``DeepGraphInfomax`` and ``GAE`` with the published settings
(Velickovic et al., 2019: one layer, 512 wide; Kipf and Welling, 2016: two layers, 32 and 16 wide; rows of features sum
to 1); heads of ten GCNs, all pairs of different seeds, anchors drawn anew per source. ``linear-probe`` is a logistic
regression on the source's embeddings with all public labels.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GAE, GCN, DeepGraphInfomax
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.transforms import NormalizeFeatures

from benchmarks import common
from benchmarks.study import Row, Study
from relgraph.memory import keep_freed_memory
from relgraph.modes import seeded
from relgraph.problems import Problem
from relgraph.stitching import Run

MAPS = ("kl", "ridge", "logistic-decisions", "permuted-anchors")
NO_ANCHORS = ("class-centroid", "linear-probe")
PATIENCE = 20


class OneLayer(nn.Module):
    """A graph convolution with PReLU on features that are sparse or not, of the graph and of the corrupted one.

    The corrupted graph of the paper has permuted rows of features; both graphs share the product with the weights.
    """

    def __init__(self, in_channels: int, channels: int = 512) -> None:
        super().__init__()
        self.weight, self.activation = nn.Parameter(torch.empty(in_channels, channels)), nn.PReLU(channels)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor, adjacency: Tensor, *orders: Tensor) -> list[Tensor]:
        """Embeddings ``(N, channels)`` of the graph, and of the graph with its rows in other orders."""
        h = x @ self.weight
        return [self.activation(adjacency @ rows) for rows in (h, *(h[order] for order in orders))]


def infomax(data: Any, epochs: int) -> Tensor:
    """Embeddings by Deep Graph Infomax."""
    edges, weights = gcn_norm(data.edge_index, None, data.num_nodes)
    adjacency = torch.sparse_coo_tensor(edges, weights, (data.num_nodes,) * 2).coalesce().to_sparse_csr()
    model = DeepGraphInfomax(512, OneLayer(data.num_features), lambda z: z.mean(dim=0).sigmoid(), lambda *_: ())
    # The gradient of a product with a sparse matrix costs more than that of a dense one with a tenth of nonzero values.
    x = data.x if data.x.count_nonzero() > 0.05 * data.x.numel() else data.x.to_sparse_csr()

    def loss() -> Tensor:
        here, corrupted = model.encoder(x, adjacency, torch.randperm(len(x)))
        value: Tensor = model.loss(here, corrupted, model.summary(here))
        return value

    found: Tensor = _trained(model, loss, epochs, lr=0.001).encoder(x, adjacency)[0]
    return found


def autoencoder(data: Any, epochs: int) -> Tensor:
    """Embeddings by a graph autoencoder with an inner-product decoder."""
    model = GAE(GCN(data.num_features, 32, num_layers=2, out_channels=16))
    found = _trained(
        model, lambda: model.recon_loss(model.encode(data.x, data.edge_index), data.edge_index), epochs, lr=0.01
    )
    return found.encode(data.x, data.edge_index)


SOURCES = {"infomax": infomax, "autoencoder": autoencoder}


def _trained(model: nn.Module, loss_of: Any, epochs: int, lr: float) -> Any:
    """The model at its least loss, from which training stops after some epochs without a lower one."""
    optimizer, best, since = torch.optim.Adam(model.parameters(), lr=lr), (torch.inf, copy.deepcopy(model)), 0
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = loss_of()
        if loss.item() < best[0]:
            best, since = (loss.item(), copy.deepcopy(model)), 0
        elif (since := since + 1) == PATIENCE:
            break
        loss.backward()
        optimizer.step()
    return best[1].eval()


@lru_cache(maxsize=2)
def sources_of(kind: str, problem: Problem, seeds: int, epochs: int) -> list[Run]:
    """Runs without a head of their own."""
    runs = []
    keep_freed_memory()
    for seed in range(seeds):
        with seeded(seed), torch.sparse.check_sparse_tensor_invariants(False), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
            z = SOURCES[kind](NormalizeFeatures()(problem.data), epochs).detach()
        runs.append(Run(problem, z, nn.Identity(), "gcn", seed))
    return runs


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures over all pairs of different seeds."""
    problem, method = common.node_problem(cell["dataset"], options.data_root), cell["method"]
    targets = common.trained_runs(problem, "gcn", range(options.seeds), argparse.Namespace(epochs=0, device="cpu"))
    sources = sources_of(cell["sources"], problem, options.seeds, options.epochs)
    anchors = common.Anchors.draw(problem, cell["anchors"] or 1, seeds=range(options.seeds))
    found = common.matrices(method, sources, targets, anchors=anchors, decisive=False)
    names = ["gcn"] * len(targets)
    yield from common.rows_of(found, names, common.pair_groups(names))


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed"),
        "sources": tuple(SOURCES),
        "anchors": (0, 32, 128, 512),
        "method": (*NO_ANCHORS, *MAPS),
    },
    settings={"seeds": 10, "epochs": 300},
    exists=lambda cell: (cell["anchors"] == 0) == (cell["method"] in NO_ANCHORS),
)

if __name__ == "__main__":
    STUDY.main()
