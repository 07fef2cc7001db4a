"""Graphs for tests of training."""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected


def clusters(nodes: int = 240, *, classes: int = 3, features: int = 12, weighted: bool = False, seed: int = 0) -> Data:
    """A graph whose classes can be learned, with masks of a half, a quarter and a quarter; the last three are isolated.

    Features are the center of the class and noise; two thirds of the edges are within classes.
    """
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(nodes) % classes
    x = 0.7 * torch.eye(features)[y] + 0.5 * torch.randn(nodes, features, generator=generator)
    source = torch.randint(nodes - 3, (4 * nodes,), generator=generator)
    near = source + classes * torch.randint(-9, 10, (4 * nodes,), generator=generator)
    far = torch.randint(nodes - 3, (4 * nodes,), generator=generator)
    within = torch.rand(4 * nodes, generator=generator) < 2 / 3
    target = torch.where(within, near.remainder(nodes - 3), far)
    data = Data(x=x, edge_index=to_undirected(torch.stack([source, target])), y=y)
    if weighted:
        data.edge_weight = torch.rand(data.edge_index.size(1), generator=generator) + 0.1
    part = torch.randperm(nodes, generator=generator) * 4 // nodes
    data.train_mask, data.val_mask, data.test_mask = part < 2, part == 2, part == 3
    return data
