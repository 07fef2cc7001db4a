"""The relative representation of a space, and its invariances."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from relgraph.errors import InputError
from relgraph.registry import NORMALIZATIONS, SIMILARITIES
from relgraph.similarity.checks import check_pair, no_autocast
from relgraph.similarity.functional import Similarity
from relgraph.similarity.normalization import WHITEN, Normalization, apply_map


def resolve(
    similarity: str | Similarity, normalization: str | Normalization = "none"
) -> tuple[Similarity, Normalization]:
    """The records of these names; records are returned as they are.

    Raises:
        InputError: If a name is unknown, or a similarity that whitens has another normalization.

    Example:
        >>> resolve("cosine", "center")[0].bilinear
        True
    """
    chosen: Similarity = similarity if isinstance(similarity, Similarity) else SIMILARITIES.resolve(similarity)
    normalized: Normalization
    normalized = normalization if isinstance(normalization, Normalization) else NORMALIZATIONS.resolve(normalization)
    if chosen.whitens and normalized.name != "none":
        raise InputError(
            "normalization",
            f"must be 'none' with similarity '{chosen.name}', which centers and whitens itself "
            f"(got '{normalized.name}': whitening twice); leave it out or choose another similarity",
        )
    return chosen, normalized


def relative(
    x: Tensor,
    anchors: Tensor,
    similarity: str | Similarity = "cosine",
    normalization: str | Normalization = "none",
    *,
    center: Tensor | None = None,
    shrinkage: float = 0.01,
) -> Tensor:
    """Relative representation ``(N, K)``: the similarities of each node to the anchors, after normalizing the space.

    Args:
        x: Embeddings ``(N, F)``.
        anchors: Embeddings of the anchors ``(K, F)``.
        similarity: A name of :data:`relgraph.registry.SIMILARITIES`, or a record.
        normalization: A name of :data:`relgraph.registry.NORMALIZATIONS`, or a record.
        center: The center ``(F,)`` of the space; by default the anchors' mean.
        shrinkage: The share of the mean variance that whitening adds to each direction.

    Raises:
        InputError: If a name is unknown, the space would be whitened twice, shapes, types or devices do not fit, or
            whitening has shrinkage 0 and the anchors do not span the space.

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-2.0, 0.0]])
        >>> relative(z, z[:2])
        tensor([[ 1.0000,  0.7071],
                [ 0.7071,  1.0000],
                [-1.0000, -0.7071]])
    """
    chosen, normalized = resolve(similarity, normalization)
    dtype = check_pair(x, anchors, center)
    with no_autocast(x):
        nodes, rows, options = placed(x.to(dtype), anchors.to(dtype), chosen, normalized, center, shrinkage)
        return chosen.function(nodes, rows, **options).to(x.dtype)


def placed(
    x: Tensor, anchors: Tensor, chosen: Similarity, normalized: Normalization, center: Tensor | None, shrinkage: float
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Nodes and anchors in the normalized space, and the further arguments of a similarity that whitens."""
    if chosen.whitens:
        return x, anchors, {"center": center, "shrinkage": shrinkage}
    shift, scale = normalized.function(anchors, center, shrinkage)
    return apply_map(x, shift, scale), apply_map(anchors, shift, scale), {}


def invariances(similarity: str, normalization: str, *, shrinkage: float, spanning: bool) -> frozenset[str]:
    """The changes of a space that leave its relative representation unchanged.

    ``"rotation"`` includes reflections, ``"scaling"`` is one positive factor, ``"node-scaling"`` one per node,
    ``"coordinate-scaling"`` one per coordinate, ``"affine"`` any invertible affine map.

    Args:
        similarity, normalization: As of :func:`relative`.
        shrinkage: The shrinkage of whitening; only with 0 is it invariant to affine maps.
        spanning: Whether the anchors' differences from the center span all F dimensions.

    Example:
        >>> sorted(invariances("cosine", "none", shrinkage=0.01, spanning=True))
        ['node-scaling', 'rotation', 'scaling']
        >>> "affine" in invariances("whitened", "none", shrinkage=0, spanning=True)
        True
    """
    chosen, normalized = resolve(similarity, normalization)
    if chosen.whitens:
        normalized = WHITEN
    found = (chosen.invariant_to - normalized.removes) | normalized.adds
    if normalized.name == "whiten" and shrinkage == 0 and spanning and "rotation" in found:
        found |= {"affine", "coordinate-scaling"}
    return found
