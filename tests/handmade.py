"""A handmade dataset of small graphs, for all tests of whole graphs."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from relgraph.datasets.graph_dataset import GraphDataset
from relgraph.task import Mode, Task


def molecules(mode: Mode = "multilabel", *, targets: int = 1, count: int = 60, seed: int = 0) -> GraphDataset:
    """Chains of 2 to 6 atoms whose targets depend on the mean of their first feature; of two, some are missing."""
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, high, shape, generator=generator)

    graphs, means = [], []
    for _ in range(count):
        size = 2 + int(draw(5, 1))
        x = torch.cat([draw(5, size, 1), draw(2, size, 8)], dim=1)
        steps = torch.arange(size - 1)
        edges = torch.stack([torch.cat([steps, steps + 1]), torch.cat([steps + 1, steps])])
        graphs.append(Data(x=x, edge_index=edges, edge_attr=draw(2, edges.size(1), 3)))
        means.append(x[:, 0].float().mean())
    y = torch.stack(means).unsqueeze(1) * torch.tensor([1.0, -3.0][:targets]) + 10
    if mode == "multilabel":
        y = (y > y.median(dim=0).values).float()
    if targets > 1:
        y[::7, 0] = torch.nan
    order = torch.randperm(count, generator=generator)
    parts = order[: count * 2 // 3], order[count * 2 // 3 : count * 5 // 6], order[count * 5 // 6 :]
    return GraphDataset("handmade", graphs, y, *parts, Task.of("graph", mode), "handmade")
