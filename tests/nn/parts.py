"""Shared by the tests of modules taken apart: a graph with anchors, and equality with the original."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import torch_geometric.nn as gnn
from torch import nn
from torch_geometric.data import Data

import relgraph as rg

N = 30


def graph() -> Data:
    generator = torch.Generator().manual_seed(1)
    edges = torch.randint(0, N, (2, 4 * N), generator=generator)
    data = Data(x=torch.rand(N, 5, generator=generator), edge_index=edges, batch=torch.arange(N) // 10)
    return rg.AddAnchors(20)(data)


def warmed(model: nn.Module, *inputs: Any) -> nn.Module:
    """A module whose running statistics are not those of its construction."""
    with torch.no_grad():
        model.train()(*inputs)
    return model.eval()


def agree(model: nn.Module, data: Any, expected: Any, at: Any = None, **options: Any) -> rg.Model:
    parts = rg.split(model, at, **options)
    found = parts(data)
    pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    assert all(torch.equal(one, other) for one, other in pairs)
    own = {id(parameter) for parameter in model.parameters()}
    assert {id(parameter) for parameter in parts.parameters()} <= own  # shared, and none is new
    return parts


class Variational(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mu, self.logstd = gnn.GCNConv(5, 8), gnn.GCNConv(8, 4), gnn.GCNConv(8, 4)

    def forward(self, x, edge_index):
        x = self.conv(x, edge_index).relu()
        return self.mu(x, edge_index), self.logstd(x, edge_index)


class Deep(nn.Module):
    def __init__(self, block: str) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(16 if block == "dense" else 8, 3)
        self.blocks = nn.ModuleList(
            gnn.DeepGCNLayer(gnn.GENConv(8, 8), nn.LayerNorm(8), nn.ReLU(), block, dropout=0.3)
            for _ in range(1 if block == "dense" else 3)
        )

    def forward(self, x, edge_index):
        x = self.first(x)
        for block in self.blocks:
            x = block(x, edge_index)
        return self.last(F.dropout(x, p=0.1, training=self.training))
