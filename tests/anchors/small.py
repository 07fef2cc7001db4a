"""A small graph for the tests of anchors."""

from __future__ import annotations

import torch
from torch_geometric.data import Data


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def graph(num_nodes: int = 40, width: int = 5, seed: int = 0) -> Data:
    draw = seeded(seed)
    pairs = torch.randint(num_nodes - 1, (2, 3 * num_nodes), generator=draw)  # the last node stays isolated
    pairs = pairs[:, pairs[0] != pairs[1]]
    edge_index = torch.cat([pairs, pairs.flip(0)], dim=1).unique(dim=1)
    x = torch.randn(num_nodes, width, generator=draw)
    x[1], x[2] = x[0], 0  # a duplicate and an empty row
    y = torch.randint(3, (num_nodes,), generator=draw)
    return Data(x=x, edge_index=edge_index, y=y, train_mask=torch.ones(num_nodes, dtype=torch.bool))
