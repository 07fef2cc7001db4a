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
4. **Scale of a run.** One training can be noisier than another in all of its rows, or only in those that no seed moves
   far, where errors of the map prevail. So the rows are divided into five strata by the spread of the other old runs,
   and the median of each stratum is made that of the old runs (:func:`leveled`). The distances of each run are then
   divided by their median. A row has moved if it is far beyond the typical row of its version (the empirical null of
   Efron, 2004). Two old runs have no other spread, and then the whole run has one scale.

The exchangeability is approximate: of a mean over ``m`` runs, an old run is compared with that of ``m - 1``. Squared
distances are scaled so that their means agree, and their shapes are close but not equal.
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
from relgraph.versions.tail import Floats, far_rows, pareto_tail, tail_start

PENALTY = 1e-3
SHRINKAGE = 1.0
NEAREST = 20
POWER = 0.5
ROUNDS = 4
"""Times that weights and fit are computed in turn."""
TUNING = 3.0
"""Squared distance, in medians, at which a row counts half."""
STRATA = 5
"""Parts of the rows, by their spread, of which each has its own scale in each run."""
ROWS_PER_STRATUM = 40
LARGEST = 1e100
"""Numbers from here on have squares that may not be finite."""
FARTHEST = 1e3
"""Norm of a row, in medians, beyond which it is shortened: a damaged row must not determine the frame of the others."""
ROUNDING = 1e-12
"""Share of the variance below which movement by another seed is rounding error."""


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

    @property
    def untested(self) -> NDArray[np.bool_]:
        """A mask of the rows of which an old run is far beyond all others (:func:`far_rows`), ``(N,)``."""
        return far_rows(self.null)

    def p_values(self) -> Floats:
        r"""Approximately conformal p-values, ``(N,)``: the share of null distances at least as large.

        .. math:: p_i = \frac{1 + \#\{(j, l) : d^0_{jl} \ge d_i\}}{1 + m N}

        A conformal p-value (Vovk, Gammerman & Shafer, 2005) against the pooled null of all rows and old runs; only
        approximately, since old and new distances have equal second moments under no change, but are no exchangeable
        draws. It is marginal: it holds for the average row, and rows that every seed moves far have small values more
        often than others.

        By rank alone, no value could be below ``1 / (m N)``, and after correction for ``N`` rows a few rows would never
        be found, however far they moved. So the share beyond the upper 2 % of the null is not counted but that of a
        generalized Pareto distribution fitted to these (Knijnenburg et al., 2009), whose shape is at least 0.1, a tail
        heavier than the exponential. :attr:`untested` rows are left out of the null, since one of them would determine
        the tail, and have the value 1.
        """
        untested = self.untested
        null = np.sort(self.null[:, ~untested], axis=None)
        beyond = len(null) - np.searchsorted(null, self.distances, side="left")
        p = (1.0 + beyond) / (1.0 + len(null))
        start, excesses = tail_start(null)
        above = self.distances > start
        share = (1.0 + len(excesses)) / (1.0 + len(null))
        p[above] = share * pareto_tail(excesses, self.distances[above] - start)
        p[untested] = 1.0
        return np.asarray(p)


@torch.no_grad()
def movement(old: list[Tensor], new: list[Tensor]) -> Movement:
    r"""How far each row lies from one version to the other, beside how far another seed moves it.

    .. math:: d_i^2 \propto \frac{\lVert (\bar b_i - \bar a_i) W \rVert^2}{s_i}, \qquad
        (d^0_{ji})^2 \propto \frac{\lVert (a_{ji} - \bar a_{-j,i}) W \rVert^2}{s_{-j,i}}

    with the old runs ``a_j`` and the new runs in the common frame, their means, the whitening ``W``, the spread
    ``s_{-j}`` of the old runs other than ``j`` and the geometric mean ``s`` of these. Runs are brought to one scale in
    every stratum of the spread, and divided by their median over the rows. See :mod:`relgraph.versions.movement` for
    each part.

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
    for argument, runs in (("old", old), ("new", new)):
        for run in runs:
            unit(run.double(), argument)
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
        spread = others_spread(a)
        scales = near_mean(spread, frame).pow(POWER)
        null, moved = null / scales, moved / scales.log().mean(dim=0).exp()
        null, moved = leveled(null, moved, spread)
    null = null / null.median(dim=1, keepdim=True).values
    moved = moved / moved.median() if bool(moved.median() > 0) else moved
    return Movement(moved.sqrt().numpy(), null.sqrt().numpy(), overall, seeds.numpy())


def common_frame(runs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The frame ``(N, F)``, and what each run lacks of it after its map, ``(runs, N, F)``, in float64."""
    scaled = [unit(run.double()) for run in runs]
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


def others_spread(runs: Tensor) -> Tensor:
    """The spread of the runs other than each one at every row, ``(m, N)``."""
    spreads = []
    for left in range(len(runs)):
        others = torch.cat([runs[:left], runs[left + 1 :]])
        spreads.append((others - others.mean(dim=0)).square().sum(dim=(0, 2)))
    return torch.stack(spreads)


def near_mean(spreads: Tensor, frame: Tensor) -> Tensor:
    """The mean of spreads over every row and the nearest rows of the frame, in medians over the rows, ``(m, N)``."""
    from sklearn.neighbors import NearestNeighbors

    nearest = min(NEAREST, len(frame) // 2)
    found = NearestNeighbors(n_neighbors=nearest).fit(frame.numpy()).kneighbors(return_distance=False)
    places = torch.cat([torch.arange(len(frame)).unsqueeze(1), torch.from_numpy(found)], dim=1)
    means = torch.stack([spread[places].mean(dim=1) for spread in spreads])
    # Rows that no seed moves would have an infinite movement.
    return (means / means.median(dim=1, keepdim=True).values).clamp(min=1e-6)


def leveled(null: Tensor, moved: Tensor, spreads: Tensor) -> tuple[Tensor, Tensor]:
    r"""Squared distances of all runs at the same scale in every stratum of the spread.

    .. math:: \log d_j^2(i) - f_j(u_{ji}) + \frac{1}{m} \sum_k f_k(u_{ji})

    where :math:`u_{ji}` is the logarithm of the spread of the old runs other than ``j``, for the new version the mean
    of these, and :math:`f_j` is linear between the medians of ``u`` and of the logarithm of the squared distance in
    each of five strata of equal size. What all runs have in common remains, so that rows with a large spread stay
    farther than others. A change in fewer than half of the rows of a stratum hardly bends its median.

    Args:
        null: Squared distances of the old runs, ``(m, N)``.
        moved: Those of the new version, ``(N,)``.
        spreads: Spread of the other old runs, ``(m, N)``.
    """
    logs = _logs(spreads)
    logs = logs - np.median(logs, axis=1, keepdims=True)
    mean, squares, new = logs.mean(axis=0), _logs(null), _logs(moved)
    profiles = [_profile(run, spread) for run, spread in zip(squares, logs, strict=True)]

    def common(spread: Floats) -> Floats:
        return np.asarray(np.mean([np.interp(spread, *profile) for profile in profiles], axis=0))

    level = [np.interp(one, *profile) - common(one) for one, profile in zip(logs, profiles, strict=True)]
    change = np.interp(mean, *_profile(new, mean)) - common(mean)
    return null / torch.from_numpy(np.exp(level)), moved / torch.from_numpy(np.exp(change))


def _profile(squares: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Medians of spread and squared distance in strata of the spread; rows of equal spread are in one stratum."""
    count = min(STRATA, max(1, len(spread) // ROWS_PER_STRATUM))
    strata = np.searchsorted(np.quantile(spread, np.arange(1, count) / count), spread, side="left")
    parts = [strata == one for one in np.unique(strata)]
    return np.array([np.median(spread[part]) for part in parts]), np.array([np.median(squares[part]) for part in parts])


def _logs(squares: Tensor) -> Floats:
    """Logarithms of squares, not below a millionth of the median, and finite where all are zero."""
    least = 1e-6 * squares.median(dim=-1, keepdim=True).values
    return np.asarray(squares.clamp(min=least.clamp(min=torch.finfo(squares.dtype).tiny)).log().numpy())


def unit(run: Tensor, argument: str = "old", name: str = "") -> Tensor:
    """A run around its mean, of mean squared norm 1, without rows far beyond all others.

    Args:
        run: The rows, ``(N, F)``.
        argument: Name of the argument that holds the run, for errors.
        name: What the run is called, for errors.

    Raises:
        InputError: If numbers are too large to be squared, or all rows are the same vector.
    """
    if not run.abs().max() < LARGEST:
        got = f"got {float(run.abs().max()):.5g}" + (f" in {name}" if name else "")
        raise InputError(argument, f"must hold numbers below {LARGEST:g} ({got}); divide the table by a constant")
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
        got = "got one vector in every row" + (f" of {name}" if name else "")
        raise InputError(argument, f"must have different rows ({got}); embed the rows anew, or leave the table out")
    found: Tensor = around / size
    return found


def _weights(squares: Tensor) -> Tensor:
    """Cauchy weights of squared distances."""
    median = squares.median().clamp(min=torch.finfo(squares.dtype).tiny)
    return 1 / (1 + squares / (TUNING * median))


def _same_space(a: Tensor, b: Tensor) -> bool:
    """Whether one of two tables is an affine map of the other, up to rounding."""
    a, b = sorted((unit(one.double()) for one in (a, b)), key=lambda one: one.size(1))
    rest = a - b @ torch.linalg.lstsq(b, a, driver="gelsd").solution
    return bool(rest.square().sum(dim=1).mean() <= ROUNDING)
