"""GCNII of any depth for many seeds at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from relgraph.training.fast.products import Features
from relgraph.training.fast.views import Generators, Graph, Hop, View, dropped


class GCN2View(View):
    """A view of :class:`~relgraph.nn.encoders.gcn2.GCN2Encoder`."""

    def __init__(self, graph: Graph, encoder: Any, rows: np.ndarray, *, training: bool = False) -> None:
        self.layers = list(encoder.layers)
        self.training = training
        self.hops: list[Hop] = []
        for layer in reversed(self.layers):
            hop = Hop(graph, "normalized", rows, scale=1 - layer.conv.alpha)
            self.hops.insert(0, hop)
            rows = hop.columns
        self.features = Features(graph.features[rows], graph.device)
        self.size = rows.size * encoder.out_channels

    def embed(self, parameters: dict[str, Tensor], generators: Generators | None = None) -> Tensor:
        """Embeddings ``(S, R, F)``."""
        first = self.layers[0]
        values = None
        if self.training and generators is not None:
            values = self.features.dropped(first.input_dropout, generators)
        weight, bias = (parameters[f"layers.0.lin.{part}"] for part in ("weight", "bias"))
        h = initial = (self.features.product(weight, values) + bias).relu()
        for place, (layer, hop) in enumerate(zip(self.layers, self.hops, strict=True)):
            h = dropped(h if place == 0 else h.relu(), layer.dropout if self.training else 0.0, generators)
            initial = hop.select(initial)
            h = torch.add(hop.matrix.product(h), initial, alpha=layer.conv.alpha)
            # PyG multiplies by this matrix itself, not by its transpose, unlike the weights of linear maps.
            weight = parameters[f"layers.{place}.conv.weight1"].mT
            h = torch.baddbmm(h, h, weight, beta=1 - layer.conv.beta, alpha=layer.conv.beta)
        return h
