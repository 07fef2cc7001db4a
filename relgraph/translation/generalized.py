"""Generalized Procrustes: any number of spaces turned into one that they share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from relgraph.anchors import AnchorSet, aligned_rows
from relgraph.errors import InputError
from relgraph.translation.affine import Translation, centered


def generalized_procrustes(
    spaces: Sequence[AnchorSet], *, scale: bool = True, tolerance: float = 1e-12, max_rounds: int = 200
) -> list[Translation]:
    r"""One rotation for each space into a shared one, so that all agree on the anchors as well as rotations can.

    .. math:: \min_{Q_1, \dots, Q_n} \sum_i \lVert s_i A_i Q_i - M \rVert_F^2, \qquad
        M = \frac1n \sum_i s_i A_i Q_i, \qquad Q_i' Q_i = I

    with the anchors around each space's centre, and ``s_i`` their mean length made 1 (Gower, 1975). Each round turns
    every space onto the mean of all; the sum falls until it moves no more. With ``N`` spaces that is ``N`` maps, and
    none between pairs. The shared space is as wide as the widest, its centre is the origin, and its first coordinates
    are those of the first space with that width, up to where the rounds have moved them.

    Args:
        spaces: Published spaces, at least two. Anchors that all of them have are used.
        scale: Make all spaces equally large, instead of leaving lengths as they are.
        tolerance: Stop when a round lowers the sum by less than this share of it.
        max_rounds: Stop after as many rounds in any case.

    Returns:
        One map for each space, in its type and on its device; fitted in float64.

    Raises:
        InputError: If there are fewer than two spaces, or two share too few anchors.

    Example:
        >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
        >>> a, b = (AnchorSet(torch.arange(3), rows, torch.zeros(2)) for rows in (z, 2 * z.flip(1)))
        >>> to_shared = generalized_procrustes([a, b])
        >>> torch.allclose(to_shared[0](z), to_shared[1](2 * z.flip(1)), atol=1e-6)
        True
    """
    if len(spaces) < 2:
        raise InputError("spaces", f"must hold at least two spaces (got {len(spaces)}); one alone is shared already")
    wide = max(space.num_features for space in spaces)
    anchors = [F.pad(rows, (0, wide - rows.size(1))) for rows in _shared_anchors(spaces)]
    sizes = [float(rows.square().sum(dim=1).mean().sqrt()) if scale else 1.0 for rows in anchors]
    anchors = [rows / size if size > 0 else rows for rows, size in zip(anchors, sizes, strict=True)]
    start = next(i for i, space in enumerate(spaces) if space.num_features == wide)
    mean, last = anchors[start], float("inf")
    turns: list[torch.Tensor] = []
    for _ in range(max_rounds):
        turns = []
        for rows in anchors:
            left, _values, right = torch.linalg.svd(rows.mT @ mean)
            turns.append(left @ right)
        turned = torch.stack([rows @ turn for rows, turn in zip(anchors, turns, strict=True)])
        mean = turned.mean(dim=0)
        error = float((turned - mean).square().sum())
        # Below rounding there is nothing left to gain, and the error only wanders.
        if last - error <= tolerance * max(error, float(turned.square().sum()) * 1e-12):
            break
        last = error
    maps = []
    for space, turn, size in zip(spaces, turns, sizes, strict=True):
        weight = turn[: space.num_features] / (size if size > 0 else 1.0)
        maps.append(Translation(weight.to(space.embeddings), space.center, space.center.new_zeros(wide)))
    return maps


def _shared_anchors(spaces: Sequence[AnchorSet]) -> list[torch.Tensor]:
    """The anchors of all spaces that every space has, in the order of the first, around each centre."""
    first = spaces[0]
    ids = first.ids.cpu()
    kept = torch.ones(ids.numel(), dtype=torch.bool)
    for other in spaces[1:]:
        aligned_rows(
            first.ids,
            other.ids,
            num_features=first.num_features,
            fingerprints=(first.fingerprint, other.fingerprint),
            stacklevel=3,
        )
        kept &= torch.isin(ids, other.ids.cpu())
    common = ids[kept]
    full = all(len(space) == common.numel() for space in spaces)
    if not full and common.numel() < (need := max(space.num_features for space in spaces) + 1):
        raise InputError(
            "spaces",
            f"with different anchors need {need} ids that all of them have, one more than the widest has "
            f"dimensions (got {common.numel()}); choose the same anchors for all with relgraph.AddAnchors.from_ids",
        )
    anchors = []
    for space in spaces:
        order = space.ids.cpu().argsort()
        rows = order[torch.searchsorted(space.ids.cpu()[order], common)]
        anchors.append(centered(space, rows.to(space.ids.device)))
    return anchors
