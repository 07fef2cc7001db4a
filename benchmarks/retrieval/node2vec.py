"""Embeddings of PyG's node2vec, an old table that no GNN has made.

PyG draws the walks with pyg-lib. Where it is missing, they are drawn with torch: uniform walks, which are those of
node2vec for p = q = 1, and so of DeepWalk.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn.models import node2vec
from torch_geometric.typing import WITH_PYG_LIB

WIDTH, WALK, CONTEXT, BATCH, RATE = 64, 20, 10, 128, 0.01  # those of PyG's example, but for the width
EPOCHS = 60  # of one walk a node


def uniform_walks(rowptr: Tensor, col: Tensor, start: Tensor, length: int, p: float, q: float) -> Tensor:
    """Walks ``(B, length + 1)`` from ``start`` ``(B,)`` to uniformly drawn neighbors; a node without any stays."""
    if (p, q) != (1.0, 1.0):
        raise NotImplementedError("walks with p or q other than 1 need pyg-lib")
    walk, degree = [start], rowptr.diff()
    for _ in range(length):
        here = walk[-1]
        step = (torch.rand(len(here)) * degree[here]).long()
        alone = degree[here] == 0
        walk.append(torch.where(alone, here, col[(rowptr[here] + step).clamp(max=len(col) - 1)]))
    return torch.stack(walk, dim=1)


def build(edge_index: Tensor, num_nodes: int) -> node2vec.Node2Vec:
    """PyG's model, with its own walks where it has them."""
    about: dict[str, Any] = {"num_nodes": num_nodes, "sparse": True}
    if WITH_PYG_LIB:
        return node2vec.Node2Vec(edge_index, WIDTH, WALK, CONTEXT, **about)
    with patch.object(node2vec, "WITH_PYG_LIB", True), patch.object(torch.ops, "pyg") as operations:
        operations.random_walk = uniform_walks
        return node2vec.Node2Vec(edge_index, WIDTH, WALK, CONTEXT, **about)


def embeddings(data: Data, seed: int, epochs: int) -> Tensor:
    """Embeddings of all nodes ``(N, 64)``, trained from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(data.edge_index, data.num_nodes)
        optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=RATE)
        for _ in range(epochs):
            for positive, negative in model.loader(batch_size=BATCH, shuffle=True):
                optimizer.zero_grad()
                model.loss(positive, negative).backward()
                optimizer.step()
    return model.embedding.weight.detach().clone()
