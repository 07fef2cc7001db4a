"""The relative representation along given edges from anchors to nodes only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from relgraph.errors import InputError
from relgraph.similarity.checks import check_pair, no_autocast
from relgraph.similarity.distances import CHUNK
from relgraph.similarity.functional import Similarity
from relgraph.similarity.normalization import Normalization
from relgraph.similarity.relative import placed, resolve


def edge_similarity(
    x: Tensor,
    anchors: Tensor,
    edge_index: Tensor,
    similarity: str | Similarity = "cosine",
    normalization: str | Normalization = "none",
    *,
    center: Tensor | None = None,
    shrinkage: float = 0.01,
) -> Tensor:
    """One similarity ``(E,)`` per edge from an anchor to a node: that entry of :func:`relative`, up to rounding.

    Nodes and anchors are normalized once; an edge then costs O(F). Few edges are gathered at a time, and again for the
    gradient, so that only O(E) memory is held beyond the input.

    Args:
        edge_index: Edges ``(2, E)``: row 0 the rank of an anchor, 0..K-1; row 1 the row of a node, 0..N-1.
        x, anchors, similarity, normalization, center, shrinkage: As of :func:`relative`.

    Raises:
        InputError: As :func:`relative`, or if the edges are no pairs of an anchor and a node.

    Example:
        >>> z = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-2.0, 0.0]])
        >>> edge_similarity(z, z[:2], torch.tensor([[0, 1], [2, 0]]))
        tensor([-1.0000,  0.7071])
    """
    chosen, normalized = resolve(similarity, normalization)
    dtype = check_pair(x, anchors, center)
    _check_edges(edge_index, anchors.size(0), x)
    with no_autocast(x):
        nodes, rows, options = placed(x.to(dtype), anchors.to(dtype), chosen, normalized, center, shrinkage)
        return _along(*chosen.prepare(nodes, rows, **options), edge_index, chosen.pairwise).to(x.dtype)


def _check_edges(edge_index: Tensor, num_anchors: int, x: Tensor) -> None:
    # Values are checked on the CPU only, where that needs no synchronization, and not in a compiled graph.
    whole = edge_index.dtype in (torch.int64, torch.int32)
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or not whole:
        got = f"{edge_index.dtype} of shape {tuple(edge_index.shape)}"
        hint = "put the anchors' ranks in row 0 and the nodes' rows in row 1"
        raise InputError("edge_index", f"must hold whole numbers of shape (2, E) (got {got}); {hint}")
    if edge_index.device != x.device:
        where = f"{x.device} (got {edge_index.device})"
        raise InputError("edge_index", f"must be on the embeddings' device {where}; move it there")
    if edge_index.numel() == 0 or edge_index.device.type != "cpu" or torch.compiler.is_compiling():
        return
    for row, count, what, hint in (
        (0, num_anchors, "ranks of anchors", "anchors are numbered in rank order, not by their nodes"),
        (1, x.size(0), "rows of nodes", "edges go from anchors (row 0) to nodes (row 1)"),
    ):
        least, most = (int(end) for end in torch.aminmax(edge_index[row]))
        if least < 0 or most >= count:
            wrong = least if least < 0 else most
            raise InputError("edge_index", f"must hold {what} from 0 to {count - 1} in row {row} (got {wrong}); {hint}")


def _along(nodes: Tensor, rows: Tensor, edge_index: Tensor, pairwise: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    # At least N edges at a time, since the gradient of gathering each chunk is a tensor of all nodes.
    step = max(CHUNK // nodes.size(1), nodes.size(0), 1)

    def chunk(nodes: Tensor, rows: Tensor, ranks: Tensor, ends: Tensor) -> Tensor:
        return pairwise(nodes.index_select(0, ends), rows.index_select(0, ranks))

    compute = chunk
    if edge_index.size(1) > step and torch.is_grad_enabled() and (nodes.requires_grad or rows.requires_grad):
        compute = partial(checkpoint, chunk, use_reentrant=False, preserve_rng_state=False)
    parts = zip(*(row.split(step) for row in edge_index), strict=True)
    return torch.cat([compute(nodes, rows, ranks, ends) for ranks, ends in parts])
