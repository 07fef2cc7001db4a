"""Two layers of attention over neighbors, for many seeds and heads at once.

Weights of attention are the values of a sparse matrix of fixed structure, one set for each seed and head. Scores are
sums or sampled products, aggregation is a product, and the gradient of one is the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from relgraph.nn.dropout import keep_mask
from relgraph.nn.encoders.attention import GATEncoder, TransformerEncoder
from relgraph.training.fast.products import Features
from relgraph.training.fast.views import Generators, Graph, Hop, View, dropped

Linear = Callable[[Tensor], Tensor]
Layer = dict[str, Tensor]


class AttentionView(View):
    """A view of a :class:`~relgraph.nn.encoders.attention.GATEncoder` or a transformer."""

    def __init__(self, graph: Graph, encoder: Any, rows: np.ndarray, *, training: bool = False) -> None:
        edges, self.attend = ATTENTION[type(encoder)]
        self.convs = [layer.conv for layer in encoder.layers]
        self.shares = [layer.dropout if training else 0.0 for layer in encoder.layers]
        second = Hop(graph, edges, rows)
        first = Hop(graph, edges, second.columns)
        self.edges = [Edges(first), Edges(second)]
        self.features = Features(graph.features[first.columns], graph.device)
        self.size = max(
            conv.heads * max(edges.row.numel(), edges.hop.columns.size * conv.out_channels)
            for conv, edges in zip(self.convs, self.edges, strict=True)
        )

    def embed(self, parameters: dict[str, Tensor], generators: Generators | None = None) -> Tensor:
        """Embeddings ``(S, R, F)``."""
        values = None if generators is None else self.features.dropped(self.shares[0], generators)
        h = F.elu(self._layer(0, lambda weight: self.features.product(weight, values), parameters, generators))
        h = dropped(h, self.shares[1], generators)
        return self._layer(1, lambda weight: h @ weight, parameters, generators)

    def _layer(
        self, place: int, linear: Linear, parameters: dict[str, Tensor], generators: Generators | None
    ) -> Tensor:
        conv, start = self.convs[place], f"layers.{place}.conv."
        own = {name.removeprefix(start): value for name, value in parameters.items() if name.startswith(start)}
        return self.attend(self.edges[place], linear, own, conv, generators)


class Edges:
    """The edges of a hop: scores of attention to weights, and weights to sums.

    Args:
        hop: The hop.
    """

    def __init__(self, hop: Hop) -> None:
        self.hop, matrix = hop, hop.matrix
        counts = matrix.crow.diff()
        self.row = torch.arange(counts.numel(), device=counts.device).repeat_interleave(counts)
        self.target = hop.at.index_select(0, self.row)

    def weights(self, scores: Tensor, heads: int, p: float, generators: Generators | None) -> Tensor:
        """Softmax of scores ``(S * heads, E)`` over the incoming edges of every node, with dropout."""
        weights: Tensor = _Softmax.apply(scores, self)  # type: ignore[no-untyped-call]
        if p == 0 or generators is None:
            return weights
        return weights * keep_mask(torch.Size([heads, weights.size(1)]), p, generators, weights).view_as(weights)

    def pairs(self, source: Tensor, target: Tensor) -> Tensor:
        """``(G, E)``: the value of the source of an edge and that of its target, added; both are ``(G, C)``."""
        out: Tensor = _Pairs.apply(source, target, self)  # type: ignore[no-untyped-call]
        return out


class _Pairs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, source: Tensor, target: Tensor, edges: Edges) -> Tensor:
        ctx.edges = edges
        return source.index_select(1, edges.hop.matrix.col).add_(target.index_select(1, edges.target))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        hop: Hop = ctx.edges.hop
        of_source = _reduce(grad.index_select(1, hop.matrix.t_order), hop.matrix.t_crow, "sum")
        of_target = torch.zeros_like(of_source)
        of_target[:, hop.at.long()] = _reduce(grad, hop.matrix.crow, "sum")
        return of_source, of_target, None


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, edges: Edges) -> Tensor:
        ctx.edges, crow = edges, edges.hop.matrix.crow
        weights = scores.sub(_reduce(scores, crow, "max").index_select(1, edges.row)).exp_()
        weights.div_(_reduce(weights, crow, "sum").index_select(1, edges.row))
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        product = weights * grad
        mean = _reduce(product, ctx.edges.hop.matrix.crow, "sum").index_select(1, ctx.edges.row)
        return product.sub_(weights * mean), None


def _reduce(values: Tensor, crow: Tensor, how: str) -> Tensor:
    """Sum or maximum of consecutive values ``(G, E)``: ``(G, R)``, where row ``r`` ends at ``crow[r + 1]``."""
    offsets = crow.long().expand(values.size(0), -1).contiguous()
    return torch.segment_reduce(values, how, offsets=offsets, axis=1, unsafe=True)


def _gat(edges: Edges, linear: Linear, own: Layer, conv: Any, generators: Generators | None) -> Tensor:
    g = linear(own["lin.weight"])
    # Inner products with the attention vectors of all heads at once, as one product with block-diagonal matrices.
    blocks = torch.eye(conv.heads, dtype=g.dtype, device=g.device).unsqueeze(1)
    both = [(own[name].squeeze(1).unsqueeze(-1) * blocks).flatten(1, 2) for name in ("att_src", "att_dst")]
    source, target = (g @ torch.cat(both, 2)).mT.chunk(2, 1)
    scores = F.leaky_relu(edges.pairs(source.flatten(0, 1), target.flatten(0, 1)), conv.negative_slope)
    weights = edges.weights(scores, conv.heads, conv.dropout, generators)
    return _merge(edges.hop.matrix.product(_split(g, conv.heads), weights), conv.heads) + own["bias"]


def _transformer(edges: Edges, linear: Linear, own: Layer, conv: Any, generators: Generators | None) -> Tensor:
    names = ("query", "skip", "key", "value")
    weight, bias = (torch.cat([own[f"lin_{name}.{part}"] for name in names], -1) for part in ("weight", "bias"))
    states = (linear(weight) + bias).chunk(4, -1)
    query, skip = (edges.hop.select(state) for state in states[:2])
    q, k, v = (_split(state, conv.heads) for state in (query, *states[2:]))
    scores = edges.hop.matrix.sampled(q / conv.out_channels**0.5, k)
    weights = edges.weights(scores, conv.heads, conv.dropout, generators)
    return _merge(edges.hop.matrix.product(v, weights), conv.heads) + skip


def _split(h: Tensor, heads: int) -> Tensor:
    """``(S, R, heads * F)`` to ``(S * heads, R, F)``."""
    return h.view(*h.shape[:2], heads, -1).transpose(1, 2).flatten(0, 1).contiguous()


def _merge(h: Tensor, heads: int) -> Tensor:
    """The inverse of :func:`_split`."""
    return h.view(-1, heads, *h.shape[1:]).transpose(1, 2).flatten(2)


Attend = Callable[[Edges, Linear, Layer, Any, Generators | None], Tensor]
ATTENTION: dict[type[nn.Module], tuple[str, Attend]] = {
    GATEncoder: ("loops", _gat),
    TransformerEncoder: ("edges", _transformer),
}
"""Which edges an encoder attends to, and its layer."""
