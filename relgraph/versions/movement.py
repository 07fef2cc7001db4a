r"""How far rows move between two versions of a space, in units of what another seed moves them.

All runs are treated alike, those of the old and those of the new version, up to the comparison of their means. If
nothing has changed, the new runs are therefore exchangeable with the old ones, and so are their distances.

1. **Common frame.** Runs are centered, rows of more than a thousand median norms are shortened to that, and all runs
   are scaled to the same mean squared norm and put side by side; the first ``F`` principal components ``G`` ``(N, F)``
   of these columns are the frame, as in canonical correlation analysis of many sets (Kettenring, 1971, MAXVAR). Each
   run is mapped to it by ridge regression with exact leave-one-out predictions, so that the map of a row was not fitted
   on that row, and with Cauchy weights of the residuals (Holland & Welsch, 1977), so that rows which moved hardly bend
   it.
2. **Metric.** Distances are whitened by the covariance of the runs around their mean, shrunken halfway to a multiple of
   the identity, over all runs and with the same weights.
3. **Scale of a row.** Some rows move more than others by seed alone. Old run ``j`` is divided by the spread of the
   other old runs at the row and its nearest rows in the frame, to a power between 0 (one scale for all rows) and 1.
   Two old runs leave no other pair, and all rows then have the same scale.
4. **Scale of a run.** The distances of each run are divided by their median, since one training can be noisier than
   another in all of its rows. A row has moved if it is far beyond the typical row of its version (the empirical null of
   Efron, 2004).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relgraph.errors import InputError
from relgraph.maps.leave_one_out import Smoother

PENALTY = 1e-3
SHRINKAGE = 1.0
NEAREST = 20
POWER = 0.5
ROUNDS = 4
"""Times that weights and fit are computed in turn."""
TUNING = 3.0
"""Squared distance, in medians, at which a row counts half."""
TAIL = 0.02
"""Share of the null distances that the tail of the p-values is fitted to."""
FEWEST_IN_TAIL = 20
SMALLEST_SHAPE, LARGEST_SHAPE = 0.1, 0.9
LARGEST = 1e100
"""Numbers from here on have squares that may not be finite."""
FARTHEST = 1e3
"""Norm of a row, in medians, beyond which it is shortened: a damaged row must not determine the frame of the others."""
ROUNDING = 1e-12
"""Share of the variance below which movement by another seed is rounding error."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Movement:
    """Distances of all rows; made by :func:`movement`.

    Args:
        distances: From the old to the new version, in medians over all rows, ``(N,)``.
        null: The same for each old run and the mean of the other old runs, ``(m, N)``.
        overall: Movement of the median row, in units of the median of the old runs.
        seeds: The same of each old run and the others, ``(m,)``.
    """

    distances: Floats
    null: Floats
    overall: float
    seeds: Floats

    def p_values(self) -> Floats:
        r"""The share of null distances at least as large, ``(N,)``.

        .. math:: p_i = \frac{1 + \#\{(j, l) : d^0_{jl} \ge d_i\}}{1 + m N}

        A conformal p-value (Vovk, Gammerman & Shafer, 2005) against the pooled null of all rows and old runs. By rank
        alone, no value could be below ``1 / (m N)``, and after correction for ``N`` rows a few rows would never be
        found, however far they moved. So the share beyond the upper 2 % of the null is that of a generalized Pareto
        distribution fitted to these (Knijnenburg et al., 2009), whose shape is at least 0.1, a tail heavier
        than the exponential.
        """
        null = np.sort(self.null, axis=None)
        beyond = len(null) - np.searchsorted(null, self.distances, side="left")
        by_rank = (1.0 + beyond) / (1.0 + len(null))
        count = max(FEWEST_IN_TAIL, round(TAIL * len(null)))
        if count >= len(null):
            return np.asarray(by_rank)
        start = null[-count - 1]
        tail = (1.0 + count) / (1.0 + len(null)) * pareto_tail(null[-count:] - start, self.distances - start)
        return np.asarray(np.where(self.distances > start, tail, by_rank))


def pareto_tail(excesses: Floats, values: Floats) -> Floats:
    r"""The share of excesses above a threshold that are beyond some values, by a generalized Pareto distribution.

    .. math:: P(y) = (1 + \xi y / \sigma)^{-1 / \xi}, \qquad \xi = 2 - \lambda_1 / \lambda_2, \qquad
        \sigma = \lambda_1 (\lambda_1 / \lambda_2 - 1)

    with the first two L-moments of the excesses (Hosking & Wallis, 1987). A shape outside 0.1 to 0.9 is replaced by the
    nearest of these, at the same mean: the tail of an estimated negative shape would end at a finite distance.

    Example:
        >>> pareto_tail(np.arange(1.0, 8.0), np.array([0.0, 4.0])).round(4)
        array([1.    , 0.3487])
    """
    ordered = np.sort(excesses)
    count, first = len(ordered), float(ordered.mean())
    second = float((2 * np.arange(1, count + 1) - count - 1) @ ordered) / (count * (count - 1))
    if not second > 0:
        return np.where(values > 0, 1 / count, 1.0)
    shape = min(max(2 - first / second, SMALLEST_SHAPE), LARGEST_SHAPE)
    above = np.maximum(values, 0.0)
    return np.asarray((1 + shape * above / (first * (1 - shape))) ** (-1 / shape))


@torch.no_grad()
def movement(old: list[Tensor], new: list[Tensor]) -> Movement:
    r"""How far each row lies from one version to the other, beside how far another seed moves it.

    .. math:: d_i^2 \propto \frac{\lVert (\bar b_i - \bar a_i) W \rVert^2}{s_i}, \qquad
        (d^0_{ji})^2 \propto \frac{\lVert (a_{ji} - \bar a_{-j,i}) W \rVert^2}{s_{-j,i}}

    with the old runs ``a_j`` and the new runs in the common frame, their means, the whitening ``W``, the spread
    ``s_{-j}`` of the old runs other than ``j`` and the geometric mean ``s`` of these. Both are divided by their median
    over the rows. See :mod:`relgraph.versions.movement` for each part.

    Args:
        old: Two or more runs of the old version, ``(N, *)`` each; widths may differ.
        new: One or more runs of the new version, rows in the same order.

    Raises:
        InputError: If old runs are equal up to an affine map, or a table has the same vector in every row.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> space = torch.randn(200, 3, generator=generator)
        >>> runs = [space + 0.1 * torch.randn(200, 3, generator=generator) for _ in range(4)]
        >>> runs[3][:5] += 2
        >>> found = movement(runs[:3], runs[3:])
        >>> found.p_values()[:5].max() < 0.01
        np.True_
    """
    frame, residuals = common_frame([*old, *new])
    m, n = len(old), len(new)
    if any(_same_space(*pair) for pair in itertools.combinations(old, 2)):
        rule = "must hold other seeds than 'old', each once (got the same space twice)"
        raise InputError("null", f"{rule}; leave it out, or train once more")
    whitened = residuals @ whitening(residuals)
    a, b = whitened[:m], whitened[m:].mean(dim=0)
    mean = a.mean(dim=0)
    null = (a - mean).square().sum(dim=2) * (m / (m - 1))
    moved = (b - mean).square().sum(dim=1) / (1 / m + 1 / n)
    typical = null.median(dim=1).values
    seeds = (typical / typical.mean()).sqrt()
    overall = float((moved.median() / typical.mean()).sqrt())
    if m > 2:
        scales = others_spread(a, frame).pow(POWER)
        null, moved = null / scales, moved / scales.log().mean(dim=0).exp()
    null = null / null.median(dim=1, keepdim=True).values
    moved = moved / moved.median() if bool(moved.median() > 0) else moved
    return Movement(moved.sqrt().numpy(), null.sqrt().numpy(), overall, seeds.numpy())


def common_frame(runs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The frame ``(N, F)``, and what each run lacks of it after its map, ``(runs, N, F)``, in float64."""
    scaled = [_unit(run.double()) for run in runs]
    columns = torch.cat(scaled, dim=1)
    _, vectors = torch.linalg.eigh(columns.mT @ columns)
    width = min(max(run.size(1) for run in runs), columns.size(1))
    frame = columns @ vectors[:, -width:]
    return frame, torch.stack([left_out(run, frame) for run in scaled])


def left_out(rows: Tensor, frame: Tensor) -> Tensor:
    """Leave-one-out predictions of the frame from the rows, less the frame, ``(N, F)``, by robust ridge regression."""
    roots = rows.new_ones(len(rows), 1)
    for _ in range(ROUNDS):
        smoother = Smoother.of_rows(roots * rows)
        penalty = PENALTY * float(smoother.values.sum()) / rows.size(1)
        found = -next(smoother.errors(roots * frame, [penalty], roots)) / roots
        roots = _weights(found.square().sum(dim=1)).sqrt().unsqueeze(1)
    return found


def whitening(residuals: Tensor) -> Tensor:
    """``W`` with ``W W'`` the inverse of the robust covariance of runs around their mean, ``(F, F)``."""
    around = residuals - residuals.mean(dim=0)
    weights = around.new_ones(around.size(1))
    for _ in range(ROUNDS):
        flat = (weights.sqrt().unsqueeze(1) * around).flatten(0, 1)
        values, vectors = torch.linalg.eigh(flat.mT @ flat / weights.sum())
        values = values.clamp(min=0)
        root = vectors * (values + SHRINKAGE * values.mean()).rsqrt()
        weights = _weights((around @ root).square().sum(dim=(0, 2)))
    found: Tensor = root
    return found


def others_spread(runs: Tensor, frame: Tensor) -> Tensor:
    """The spread of the runs other than each one, mean over the nearest rows of the frame, ``(m, N)``.

    They are in medians over the rows.
    """
    from sklearn.neighbors import NearestNeighbors

    nearest = min(NEAREST, len(frame) // 2)
    found = NearestNeighbors(n_neighbors=nearest).fit(frame.numpy()).kneighbors(return_distance=False)
    places = torch.cat([torch.arange(len(frame)).unsqueeze(1), torch.from_numpy(found)], dim=1)
    spreads = []
    for left in range(len(runs)):
        others = torch.cat([runs[:left], runs[left + 1 :]])
        spread = (others - others.mean(dim=0)).square().sum(dim=(0, 2))[places].mean(dim=1)
        spreads.append(spread / spread.median())
    # Rows that no seed moves would have an infinite movement.
    return torch.stack(spreads).clamp(min=1e-6)


def _unit(run: Tensor) -> Tensor:
    """A run around its mean, of mean squared norm 1, without rows far beyond all others."""
    if not run.abs().max() < LARGEST:
        rule = f"and all other tables must hold numbers below {LARGEST:g}"
        raise InputError("old", f"{rule} (got {float(run.abs().max()):.5g}); divide the table by a constant")
    middle = run - run.median(dim=0).values
    lengths = middle.norm(dim=1)
    most = FARTHEST * lengths.median()
    if 0 < most < lengths.max():
        run, around = run[lengths <= most], middle * (most / lengths).clamp(max=1).unsqueeze(1)
        around = around - around.mean(dim=0)
    else:
        around = run - run.mean(dim=0)
    size = around.square().sum(dim=1).mean().sqrt()
    if not size > ROUNDING * run.abs().max():
        raise InputError(
            "old", "and all other tables must have different rows (got one vector in every row of a table)"
        )
    unit: Tensor = around / size
    return unit


def _weights(squares: Tensor) -> Tensor:
    """Cauchy weights of squared distances."""
    median = squares.median().clamp(min=torch.finfo(squares.dtype).tiny)
    return 1 / (1 + squares / (TUNING * median))


def _same_space(a: Tensor, b: Tensor) -> bool:
    """Whether one of two tables is an affine map of the other, up to rounding."""
    a, b = sorted((_unit(one.double()) for one in (a, b)), key=lambda one: one.size(1))
    rest = a - b @ torch.linalg.lstsq(b, a, driver="gelsd").solution
    return bool(rest.square().sum(dim=1).mean() <= ROUNDING)
