"""Two layers of attention over neighbors, for many seeds and heads at once.

Weights of attention are the values of a sparse matrix of fixed structure, one set for each seed and head. Scores are
sums or sampled products, aggregation is a product, and the gradient of one is the other.

In memory, scores ``(G, E)`` have the edges first and the seeds and heads last: what is read or summed at an edge is
then one contiguous row.
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
        self.edges = [Edges(hop, conv.heads) for hop, conv in zip((first, second), self.convs, strict=True)]
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

    States ``(S, C, heads * F)`` are read as ``(S, C * heads, F)``, so that no state is copied: one head has each
    ``heads``-th row, from which the matrix of all heads takes its entries. Its own rows are in the order of head and
    node.

    Args:
        hop: The hop.
        heads: Number of heads.
    """

    def __init__(self, hop: Hop, heads: int) -> None:
        self.hop, self.heads, matrix = hop, heads, hop.matrix
        self._of_heads = matrix.interleaved(heads)
        counts = matrix.crow.diff()
        self.row = torch.arange(counts.numel(), device=counts.device).repeat_interleave(counts)
        self.target = hop.at.index_select(0, self.row)
        self.order = torch.arange(self.row.numel(), dtype=matrix.crow.dtype, device=counts.device)

    def weights(self, scores: Tensor, p: float, generators: Generators | None) -> Tensor:
        """Softmax of scores ``(S * heads, E)`` over the incoming edges of every node, with dropout."""
        weights: Tensor = _Softmax.apply(scores.T.contiguous(), self).T.contiguous()  # type: ignore[no-untyped-call]
        if p == 0 or generators is None:
            return weights
        return weights * keep_mask(torch.Size([self.heads, weights.size(1)]), p, generators, weights).view_as(weights)

    def product(self, states: Tensor, weights: Tensor) -> Tensor:
        """``(S, R, heads * F)``: sums of states ``(S, C, heads * F)`` by the weights ``(S * heads, E)``."""
        size, rows = states.size(0), self.hop.at.numel()
        summed = self._of_heads.product(self._by_head(states), weights.reshape(size, -1))
        return summed.view(size, self.heads, rows, -1).transpose(1, 2).flatten(2)

    def sampled(self, query: Tensor, key: Tensor) -> Tensor:
        """``(S * heads, E)``: inner products, head by head, of ``(S, R, heads * F)`` and ``(S, C, heads * F)``."""
        left = query.view(*query.shape[:2], self.heads, -1).transpose(1, 2).flatten(1, 2)
        return self._of_heads.sampled(left, self._by_head(key)).view(query.size(0) * self.heads, -1)

    def _by_head(self, states: Tensor) -> Tensor:
        return states.reshape(states.size(0), states.size(1) * self.heads, -1)

    def pairs(self, source: Tensor, target: Tensor) -> Tensor:
        """``(G, E)``: the value of the source of an edge and that of its target, added; both are ``(G, C)``."""
        out: Tensor = _Pairs.apply(source.T.contiguous(), target.T.contiguous(), self)  # type: ignore[no-untyped-call]
        return out.T

    def sums(self, values: Tensor) -> Tensor:
        """``(R, G)``: sums of values ``(E, G)`` over the incoming edges of every node."""
        matrix = self.hop.matrix
        return F.embedding_bag(self.order, values, matrix.crow, mode="sum", include_last_offset=True)

    def source_sums(self, values: Tensor) -> Tensor:
        """``(C, G)``: sums of values ``(E, G)`` over the outgoing edges of every node."""
        matrix = self.hop.matrix
        order = matrix.t_order.to(matrix.t_crow.dtype)
        return F.embedding_bag(order, values, matrix.t_crow, mode="sum", include_last_offset=True)


class _Pairs(torch.autograd.Function):
    """``(C, G)`` twice to ``(E, G)``."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, target: Tensor, edges: Edges) -> Tensor:
        ctx.edges = edges
        return source.index_select(0, edges.hop.matrix.col).add_(target.index_select(0, edges.target))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        edges, grad = ctx.edges, grad.contiguous()
        of_source = edges.source_sums(grad)
        of_target = torch.zeros_like(of_source).index_copy_(0, edges.hop.at.long(), edges.sums(grad))
        return of_source, of_target, None


class _Softmax(torch.autograd.Function):
    """Scores ``(E, G)`` to weights ``(E, G)``."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, edges: Edges) -> Tensor:
        crow = edges.hop.matrix.crow.long()
        most = torch.segment_reduce(scores.detach(), "max", offsets=crow, axis=0, unsafe=True)
        weights = scores.sub(most.index_select(0, edges.row)).exp_()
        weights.div_(edges.sums(weights).index_select(0, edges.row))
        ctx.edges = edges
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        product = weights * grad
        mean = ctx.edges.sums(product).index_select(0, ctx.edges.row)
        return product.sub_(weights * mean), None


def _gat(edges: Edges, linear: Linear, own: Layer, conv: Any, generators: Generators | None) -> Tensor:
    g = linear(own["lin.weight"])
    # Inner products with the attention vectors of all heads at once, as one product with block-diagonal matrices.
    blocks = torch.eye(conv.heads, dtype=g.dtype, device=g.device).unsqueeze(1)
    both = [(own[name].squeeze(1).unsqueeze(-1) * blocks).flatten(1, 2) for name in ("att_src", "att_dst")]
    source, target = (g @ torch.cat(both, 2)).mT.chunk(2, 1)
    scores = F.leaky_relu(edges.pairs(source.flatten(0, 1), target.flatten(0, 1)), conv.negative_slope)
    return edges.product(g, edges.weights(scores, conv.dropout, generators)) + own["bias"]


def _transformer(edges: Edges, linear: Linear, own: Layer, conv: Any, generators: Generators | None) -> Tensor:
    names = ("query", "skip", "key", "value")
    weight, bias = (torch.cat([own[f"lin_{name}.{part}"] for name in names], -1) for part in ("weight", "bias"))
    states = (linear(weight) + bias).chunk(4, -1)
    query, skip = (edges.hop.select(state) for state in states[:2])
    scores = edges.sampled(query / conv.out_channels**0.5, states[2])
    return edges.product(states[3], edges.weights(scores, conv.dropout, generators)) + skip


Attend = Callable[[Edges, Linear, Layer, Any, Generators | None], Tensor]
ATTENTION: dict[type[nn.Module], tuple[str, Attend]] = {
    GATEncoder: ("loops", _gat),
    TransformerEncoder: ("edges", _transformer),
}
"""Which edges an encoder attends to, and its layer."""
