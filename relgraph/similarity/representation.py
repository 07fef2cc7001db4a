"""The whole map from a space to relative coordinates, and the changes of the space that it ignores."""

from __future__ import annotations

from torch import Tensor

from relgraph.errors import InputError, unknown_name
from relgraph.similarity.checks import check_pair
from relgraph.similarity.normalization import NORMALIZATIONS, Normalization, normalize
from relgraph.similarity.registry import SIMILARITIES, Similarity

#: The changes of a space that :func:`invariances` speaks of; nodes, anchors and centre all change alike.
CHANGES = frozenset({"rotation", "scaling", "node-scaling", "translation", "coordinate-scaling", "affine"})


def resolve(similarity: str, normalization: str = "none") -> tuple[Similarity, Normalization]:
    """The two registered entries of these names.

    Raises:
        InputError: If a name is unknown, or the similarity whitens already and a normalization is asked for as well.

    Example:
        >>> resolve("cosine", "center")[0].bilinear
        True
    """
    if similarity not in SIMILARITIES:
        raise unknown_name("similarity", similarity, SIMILARITIES)
    if normalization not in NORMALIZATIONS:
        raise unknown_name("normalization", normalization, NORMALIZATIONS)
    if SIMILARITIES[similarity].whitens and normalization != "none":
        raise InputError(
            "normalization",
            f"must be 'none' with similarity '{similarity}', which centers and whitens itself "
            f"(got '{normalization}': whitening twice); drop it or choose another similarity",
        )
    return SIMILARITIES[similarity], NORMALIZATIONS[normalization]


def relative(
    x: Tensor,
    anchors: Tensor,
    similarity: str = "cosine",
    normalization: str = "none",
    *,
    center: Tensor | None = None,
    shrinkage: float = 0.01,
) -> Tensor:
    """Relative representation: each node by its similarity to the anchors, after normalizing the space.

    Args:
        x: Embeddings ``(N, F)``.
        anchors: Embeddings of the anchors ``(K, F)``.
        similarity: A name of :data:`SIMILARITIES`.
        normalization: A name of :data:`NORMALIZATIONS`.
        center: The centre ``(F,)`` of the space; ``None`` takes the anchors' mean.
        shrinkage: The share of the mean variance that whitening adds to each direction.

    Returns:
        Relative representation ``(N, K)``.

    Raises:
        InputError: If a name is unknown, the space would be whitened twice, or the shapes do not fit.

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-2.0, 0.0]])
        >>> relative(z, z[:2])
        tensor([[ 1.0000,  0.7071],
                [ 0.7071,  1.0000],
                [-1.0000, -0.7071]])
    """
    chosen, _ = resolve(similarity, normalization)
    dtype = check_pair(x, anchors, center)
    if chosen.whitens:
        return chosen.function(x, anchors, center=center, shrinkage=shrinkage)
    pair = normalize(x.to(dtype), anchors.to(dtype), normalization, center=center, shrinkage=shrinkage)
    return chosen.function(*pair).to(x.dtype)


def invariances(similarity: str, normalization: str, *, shrinkage: float, spanning: bool) -> frozenset[str]:
    """The changes of a space that leave its relative representation as it is.

    ``"rotation"`` includes reflections, ``"scaling"`` is one positive factor, ``"node-scaling"`` one per node,
    ``"coordinate-scaling"`` one per coordinate, ``"affine"`` any invertible affine map.

    Args:
        similarity: A name of :data:`SIMILARITIES`.
        normalization: A name of :data:`NORMALIZATIONS`.
        shrinkage: What whitening adds; only at exactly 0 does it undo every affine map.
        spanning: Whether the anchors, seen from the centre, span all F dimensions.

    Example:
        >>> sorted(invariances("cosine", "none", shrinkage=0.01, spanning=True))
        ['node-scaling', 'rotation', 'scaling']
        >>> "affine" in invariances("whitened", "none", shrinkage=0, spanning=True)
        True
    """
    chosen, normalized = resolve(similarity, normalization)
    if chosen.whitens:
        normalized = NORMALIZATIONS["whiten"]
    found = (chosen.invariant_to - normalized.removes) | normalized.adds
    if normalized.name == "whiten" and shrinkage == 0 and spanning and "rotation" in found:
        found |= {"affine", "coordinate-scaling"}
    return found
