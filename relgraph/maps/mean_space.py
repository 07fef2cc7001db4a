"""The mean of several runs' embeddings of the same rows, in the coordinates of the first run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from relgraph.anchors import AnchorSet, shared_ids
from relgraph.anchors.base import check_rows, checked_ids
from relgraph.errors import InputError
from relgraph.maps.leave_one_out import Shrinkage
from relgraph.maps.methods import translate

FEWEST_COMMON = 3


@dataclass(frozen=True, eq=False)
class ConsensusEmbeddings:
    """Mean embeddings of rows, and how far the runs are apart on each of them.

    Args:
        ids: Ids of the rows that all runs have, in the order of the first, ``(N,)``.
        embeddings: Means over the runs in the coordinates of the first, ``(N, F)``.
        dispersion: Root mean squared distance of the runs to their mean on each row, divided by that of the means to
            their center: 0 where all runs agree, ``(N,)``.
    """

    ids: Tensor
    embeddings: Tensor
    dispersion: Tensor


def consensus_embeddings(
    spaces: Sequence[Tensor],
    ids: Sequence[Tensor] | None = None,
    *,
    method: str = "procrustes",
    shrinkage: Shrinkage | None = None,
) -> ConsensusEmbeddings:
    r"""Translate the embeddings of several runs into the coordinates of the first, and average them row by row.

    .. math:: \bar z_k = \frac{1}{R} \sum_r T_r(z^{(r)}_k), \qquad
        d_k^2 = \frac{\sum_r \lVert T_r(z^{(r)}_k) - \bar z_k \rVert^2 / R}
        {\sum_j \lVert \bar z_j - \bar z \rVert^2 / N}

    with translations :math:`T_r` (:func:`relgraph.translate`) fitted on all common rows, :math:`T_1` the identity, and
    the center :math:`\bar z` of the means. What all runs have in common stays, and what is due to one run's seed is
    averaged out.

    Args:
        spaces: Embeddings ``(N_r, F_r)`` of each run.
        ids: Stable ids of their rows, ``(N_r,)`` for each run; by default row numbers, for equally many rows.
        method, shrinkage: As of :func:`relgraph.translate`. The default keeps distances within a run as they are;
            ``"ridge"`` would keep of the other runs only what predicts the first, whose seed is to be averaged out.

    Raises:
        InputError: If there is no space, numbers are not finite, ids do not fit or fewer than 3 are common to all, or
            the method does not translate.

    Warns:
        FewAnchorsWarning: As :func:`relgraph.translate`.

    Example:
        >>> z = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [1.0, 4.0]])
        >>> found = consensus_embeddings([z, 3 * z.flip(1)])
        >>> torch.allclose(found.embeddings, z, atol=1e-5), bool(found.dispersion.max() < 1e-5)
        (True, True)
    """
    spaces = [check_rows("spaces", rows) for rows in spaces]
    if not spaces:
        raise InputError("spaces", "must hold the embeddings of at least one run (got none)")
    named = _ids(spaces, ids)
    common = named[0]
    for other in named[1:]:
        common = common[shared_ids(common, other)[0]]
    if len(common) < FEWEST_COMMON:
        raise InputError("ids", f"must have at least {FEWEST_COMMON} rows in common (got {len(common)}); check the ids")
    tables = [rows[shared_ids(common, own)[1].to(rows.device)] for rows, own in zip(spaces, named, strict=True)]
    published = [AnchorSet(common, rows, rows.double().mean(dim=0).to(rows)) for rows in tables]
    like, moved = tables[0], [tables[0].double()]
    for space, rows in zip(published[1:], tables[1:], strict=True):
        moved.append(translate(space, published[0], method, shrinkage=shrinkage)(rows).to(moved[0]))
    runs = torch.stack(moved)
    mean = runs.mean(dim=0)
    apart = (runs - mean).square().sum(dim=2).mean(dim=0)
    spread = (mean - mean.mean(dim=0)).square().sum(dim=1).mean()
    dispersion = (apart / spread.clamp(min=torch.finfo(spread.dtype).tiny)).sqrt()
    return ConsensusEmbeddings(common, mean.to(like), dispersion.to(like))


def _ids(spaces: Sequence[Tensor], ids: Sequence[Tensor] | None) -> list[Tensor]:
    """The ids of every run's rows."""
    if ids is None:
        if len(counts := {len(rows) for rows in spaces}) > 1:
            got = f"(got {' and '.join(map(str, sorted(counts)))})"
            raise InputError("ids", f"must be given for spaces of different numbers of rows {got}")
        return [torch.arange(len(rows)) for rows in spaces]
    named = [checked_ids(one).cpu() for one in ids]
    if [len(one) for one in named] != [len(rows) for rows in spaces]:
        got = f"got {[len(one) for one in named]} for {[len(rows) for rows in spaces]} rows"
        raise InputError("ids", f"must hold one id for each row of each space ({got})")
    return named
