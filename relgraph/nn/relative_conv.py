"""The relative layer as message passing: coordinates only where an edge joins an anchor and a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing

from relgraph.nn.relative import given_anchors
from relgraph.similarity import check_shrinkage, edge_similarity, resolve

if TYPE_CHECKING:
    from relgraph.anchors import AnchorSet


class RelativeConv(MessagePassing):  # type: ignore[misc]  # PyG has no types
    r"""Relative representation along edges from anchors to nodes, and a constant where there is no edge.

    .. math:: r_{ik} = s(\nu(z_i), \nu(a_k)) \text{ if there is an edge } k \to i, \text{ else } c

    The message of an edge is one number, which goes to coordinate ``k`` of node ``i``; an edge that is there twice
    counts once. On :func:`relgraph.nn.anchor_edges.complete_edges` the result is that of
    :class:`relgraph.RelativeLayer`, up to rounding. Time is O(E F + N K), memory O(E + N K) beyond the embeddings: the
    edges' vectors are gathered a part at a time. To join fewer, use
    :func:`relgraph.nn.anchor_edges.nearest_anchor_edges` or :func:`relgraph.nn.anchor_edges.within_hops_edges`.

    The relative map is that of Moschella et al. 2023 (arXiv 2209.15430), message passing that of Gilmer et al. 2017.

    Args:
        similarity: A name of :data:`relgraph.similarity.SIMILARITIES`.
        normalization: ``"none"``, ``"center"``, ``"standardize"`` or ``"whiten"``, from the anchors; must be
            ``"none"`` for ``"whitened"``.
        fill: The value ``c`` of an absent coordinate; ``None`` takes that of the similarity, which says "nothing to do
            with each other": 0 for products and kernels, 0.5 (a right angle) for ``"angular"``, infinity for
            distances. A layer that adds coordinates up needs a finite one: name it for distances.
        shrinkage: The share of the anchors' mean variance that whitening adds to each direction.
        detach_anchors: Whether gradients stop at the anchors and all that is computed from them.

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
        chosen, _ = resolve(similarity, normalization)
        check_shrinkage(shrinkage)
        self.similarity = similarity
        self.normalization = normalization
        self.fill = chosen.fill if fill is None else float(fill)
        self.shrinkage = shrinkage
        self.detach_anchors = detach_anchors

    def reset_parameters(self) -> None:
        """Nothing to reset; PyG's containers call it on every layer."""

    def forward(
        self,
        z: Tensor,
        edge_index: Tensor,
        anchor_index: Tensor | None = None,
        anchors: AnchorSet | Tensor | None = None,
    ) -> Tensor:
        """Relative representation ``(N, K)`` of embeddings ``(N, F)``, in their precision.

        Args:
            z: Embeddings ``(N, F)``.
            edge_index: Edges ``(2, E)``: row 0 the rank of an anchor, 0..K-1; row 1 the row of a node, 0..N-1.
            anchor_index: Rows of the anchors in ``z``, ``(K,)``, in rank order.
            anchors: In place of ``anchor_index``: an AnchorSet, whose centre is then used, or embeddings ``(K, F)``.

        Raises:
            InputError: If not exactly one of the two is given, or shapes, types, devices or edges do not fit.
        """
        rows, center = given_anchors(z, anchor_index, anchors)
        if self.detach_anchors:
            rows, center = rows.detach(), None if center is None else center.detach()
        values = edge_similarity(
            z, rows, edge_index, self.similarity, self.normalization, center=center, shrinkage=self.shrinkage
        )
        out: Tensor = self.propagate(edge_index, size=(rows.size(0), z.size(0)), values=values)
        return out

    def message(self, values: Tensor) -> Tensor:
        """The message of each edge: its similarity, one number, ``(E, 1)``."""
        return values.unsqueeze(-1)

    def explain_message(self, inputs: Tensor, dim_size: int | None) -> Tensor:
        """Messages under the edge mask of a PyG explainer, if that explains these edges and not those of the graph."""
        if self._edge_mask is not None and self._edge_mask.size(0) != inputs.size(0):
            return inputs
        out: Tensor = super().explain_message(inputs, dim_size)
        return out

    def aggregate(self, inputs: Tensor, edge_index: Tensor, size_i: int, size_j: int) -> Tensor:
        """Messages ``(E, 1)`` to their places in ``(N, K)``."""
        inputs = inputs.squeeze(-1)
        place = edge_index[1].long() * size_j + edge_index[0]
        if torch.is_grad_enabled() and inputs.requires_grad:
            # An edge that is there twice is written twice, but its gradient may flow once only.
            small = torch.int32 if place.numel() < 2**31 else torch.int64
            rank = torch.arange(place.numel(), device=place.device, dtype=small)
            last = rank.new_empty(size_i * size_j).scatter_(0, place, rank)[place]
            inputs = torch.where(last == rank, inputs, inputs.detach())
        return inputs.new_full((size_i * size_j,), self.fill).scatter_(0, place, inputs).view(size_i, size_j)

    def __repr__(self) -> str:
        options = f"similarity={self.similarity!r}, normalization={self.normalization!r}, fill={self.fill}"
        if resolve(self.similarity)[0].whitens or self.normalization == "whiten":
            options += f", shrinkage={self.shrinkage}"
        return f"{type(self).__name__}({options}{', detach_anchors=True' if self.detach_anchors else ''})"
