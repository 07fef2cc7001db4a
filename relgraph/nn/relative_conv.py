"""The relative layer as message passing: coordinates only where an edge joins an anchor and a node."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing

from relgraph.anchors import AnchorSet
from relgraph.nn.relative import given_anchors, shown_options
from relgraph.similarity import check_shrinkage, edge_similarity, resolve


class RelativeConv(MessagePassing):  # type: ignore[misc]  # PyG has no types
    r"""Relative representation along edges from anchors to nodes, and a constant where there is no edge.

    .. math:: r_{ik} = s(\nu(z_i), \nu(a_k)) \text{ if there is an edge } k \to i, \text{ else } c

    The message of an edge is one number, coordinate ``k`` of node ``i``; repeated edges count once. With
    :func:`complete_edges` the result is that of :class:`RelativeLayer` up to rounding; for fewer edges see
    :func:`nearest_anchor_edges` and :func:`within_hops_edges`. Time is O(E F + N K), memory O(E + N K) beyond the
    embeddings, since the vectors of few edges are gathered at a time.

    Args:
        similarity, normalization, shrinkage, detach_anchors: As of :class:`RelativeLayer`.
        fill: The value ``c`` of an absent coordinate; by default that of an unrelated node: 0 for products and
            kernels, 0.5 (a right angle) for ``"angular"``, infinity for distances, for which layers that sum
            coordinates need a finite value.

    Raises:
        InputError: If a name is unknown or the space would be whitened twice.

    Example:
        >>> conv = RelativeConv()
        >>> z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
        >>> edge_index = torch.tensor([[0, 1, 0], [2, 2, 1]])  # ranks of anchors, rows of nodes
        >>> conv(z, edge_index, torch.tensor([0, 1]))
        tensor([[0.0000, 0.0000],
                [0.0000, 0.0000],
                [0.7071, 0.7071]])
    """

    def __init__(
        self,
        similarity: str = "cosine",
        normalization: str = "none",
        *,
        fill: float | None = None,
        shrinkage: float = 0.01,
        detach_anchors: bool = False,
    ) -> None:
        super().__init__(aggr=None)
        self._resolved = resolve(similarity, normalization)
        check_shrinkage(shrinkage)
        self.similarity, self.normalization, self.shrinkage = similarity, normalization, shrinkage
        self.fill = self._resolved[0].fill if fill is None else float(fill)
        self.detach_anchors = detach_anchors

    def reset_parameters(self) -> None:
        """Nothing to reset; containers of PyG call it on every layer."""

    def forward(
        self,
        z: Tensor,
        edge_index: Tensor,
        anchor_index: Tensor | None = None,
        anchors: AnchorSet | Tensor | None = None,
    ) -> Tensor:
        """Relative representation ``(N, K)`` of embeddings ``(N, F)``; arguments and errors as of the layer's.

        The edges ``(2, E)`` have the rank of an anchor, 0..K-1, in row 0 and the row of a node, 0..N-1, in row 1.
        """
        rows, center = given_anchors(z, anchor_index, anchors, detach=self.detach_anchors)
        values = edge_similarity(z, rows, edge_index, *self._resolved, center=center, shrinkage=self.shrinkage)
        out: Tensor = self.propagate(edge_index, size=(rows.size(0), z.size(0)), values=values)
        return out

    def message(self, values: Tensor) -> Tensor:
        """The message of each edge: its similarity, one number, ``(E, 1)``."""
        return values.unsqueeze(-1)

    def explain_message(self, inputs: Tensor, dim_size: int | None) -> Tensor:
        """Messages under the edge mask of a PyG explainer, unless the mask is that of the edges of the graph."""
        if self._edge_mask is not None and self._edge_mask.size(0) != inputs.size(0):
            return inputs
        out: Tensor = super().explain_message(inputs, dim_size)
        return out

    def aggregate(self, inputs: Tensor, edge_index: Tensor, size_i: int, size_j: int) -> Tensor:
        """Put messages ``(E, 1)`` into their places in ``(N, K)``."""
        inputs = inputs.squeeze(-1)
        place = edge_index[1].long() * size_j + edge_index[0]
        if torch.is_grad_enabled() and inputs.requires_grad:
            # A repeated edge is written twice, but only one of the two may have a gradient.
            small = torch.int32 if place.numel() < 2**31 else torch.int64
            rank = torch.arange(place.numel(), device=place.device, dtype=small)
            last = rank.new_empty(size_i * size_j).scatter_(0, place, rank)[place]
            inputs = torch.where(last == rank, inputs, inputs.detach())
        return inputs.new_full((size_i * size_j,), self.fill).scatter_(0, place, inputs).view(size_i, size_j)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown_options(self, f', fill={self.fill}')})"
