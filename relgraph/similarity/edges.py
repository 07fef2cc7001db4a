"""The relative representation along given edges from anchors to nodes only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from relgraph.errors import InputError
from relgraph.similarity.checks import check_pair, no_autocast
from relgraph.similarity.distances import CHUNK
from relgraph.similarity.functional import Similarity
from relgraph.similarity.normalization import Normalization, apply_map
from relgraph.similarity.relative import resolve


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
    """One similarity per edge from an anchor to a node, equal to that entry of :func:`relative` up to rounding.

    Nodes and anchors are normalized once; an edge then costs O(F). Few edges are gathered at a time, and again for the
    gradient, so that only O(E) memory is held beyond the input.

    Args:
        edge_index: Edges ``(2, E)``: row 0 the rank of an anchor, 0..K-1; row 1 the row of a node, 0..N-1.
        x, anchors, similarity, normalization, center, shrinkage: As of :func:`relative`.

    Returns:
        Similarities ``(E,)``, in the precision of ``x``.

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
        nodes, rows = x.to(dtype), anchors.to(dtype)
        if chosen.whitens:
            nodes, rows = chosen.prepare(nodes, rows, center, shrinkage)
        else:
            shift, scale = normalized.function(rows, center, shrinkage)
            nodes, rows = chosen.prepare(apply_map(nodes, shift, scale), apply_map(rows, shift, scale))
        return _along(nodes, rows, edge_index, chosen.pairwise).to(x.dtype)


def _check_edges(edge_index: Tensor, num_anchors: int, x: Tensor) -> None:
    # Values are checked on the CPU only, where that needs no synchronization, and not in a compiled graph.
    whole = edge_index.dtype in (torch.int64, torch.int32)
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or not whole:
        raise InputError(
            "edge_index",
            f"must hold whole numbers of shape (2, E) (got {edge_index.dtype} of shape "
            f"{tuple(edge_index.shape)}); put the anchors' ranks in row 0 and the nodes' rows in row 1",
        )
    if edge_index.device != x.device:
        raise InputError(
            "edge_index", f"must be on the embeddings' device {x.device} (got {edge_index.device}); move it there"
        )
    if edge_index.numel() == 0 or edge_index.device.type != "cpu" or torch.compiler.is_compiling():
        return
    for row, count, what, hint in (
        (0, num_anchors, "ranks of anchors", "anchors are numbered in rank order, not by their nodes"),
        (1, x.size(0), "rows of nodes", "edges go from anchors (row 0) to nodes (row 1)"),
    ):
        least, most = (int(end) for end in torch.aminmax(edge_index[row]))
        if least < 0 or most >= count:
            got = least if least < 0 else most
            raise InputError("edge_index", f"must hold {what} from 0 to {count - 1} in row {row} (got {got}); {hint}")


def _along(nodes: Tensor, rows: Tensor, edge_index: Tensor, pairwise: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    # At least N edges at a time, since the gradient of gathering each chunk is a tensor of all nodes.
    step = max(CHUNK // nodes.size(1), nodes.size(0), 1)

    def chunk(nodes: Tensor, rows: Tensor, ranks: Tensor, ends: Tensor) -> Tensor:
        return pairwise(nodes.index_select(0, ends), rows.index_select(0, ranks))

    if edge_index.size(1) <= step:
        return chunk(nodes, rows, edge_index[0], edge_index[1])
    parts = zip(*(torch.split(row, step) for row in edge_index), strict=True)
    if not torch.is_grad_enabled() or not (nodes.requires_grad or rows.requires_grad):
        return torch.cat([chunk(nodes, rows, ranks, ends) for ranks, ends in parts])
    return torch.cat(
        [
            checkpoint(chunk, nodes, rows, ranks, ends, use_reentrant=False, preserve_rng_state=False)
            for ranks, ends in parts
        ]
    )
