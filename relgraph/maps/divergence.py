"""The affine map fitted to the head's probabilities on the anchors by KL divergence: convex, still a linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relgraph.errors import InputError
from relgraph.maps.estimator import Estimator
from relgraph.maps.leave_one_out import Shrinkage, resolve_shrinkage
from relgraph.maps.matched import MatchedAnchors
from relgraph.maps.ridge import ridge_coefficients
from relgraph.threads import thread_pools

# From a prototype, and checked on the validation nodes of Cora and CiteSeer (benchmarks/stitching/tune.py).
LEAST_PRIOR_STRENGTH = 4.0
STRENGTH_PER_SHRINKAGE = 120.0
INVERSE_TEMPERATURE = 2.0
MAX_ITERATIONS = 200


def _softmax(logits: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    most = logits.max(axis=1, keepdims=True)
    powers = np.exp(logits - most)
    total = powers.sum(axis=1, keepdims=True)
    return most + np.log(total), powers / total


def _sigmoid(logits: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    each = np.logaddexp(0, logits)
    return each.sum(axis=1, keepdims=True), np.exp(logits - each)


# The log partition function of each mode, one value per anchor, and its gradient, the probabilities.
FAMILIES: dict[str, Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]] = {
    "multiclass": _softmax,
    "multilabel": _sigmoid,
}


def kl(
    matched: MatchedAnchors,
    shrinkage: Shrinkage = "loo",
    *,
    prior_strength: float | None = None,
    inverse_temperature: float = INVERSE_TEMPERATURE,
) -> nn.Module:
    r"""The linear layer of least KL divergence to the head's probabilities on the anchors.

    .. math:: \min_{W, b} \sum_k n_k \mathrm{KL}\bigl(\mathrm{softmax}(\beta L_k) \,\big\Vert\,
        \mathrm{softmax}(\beta (W' a_k + b))\bigr) + \frac{\rho}{2 v} \bigl(s^2 \lVert W - W_0 \rVert_F^2
        + \lVert b - l \rVert^2\bigr)

    (for a multilabel head the sum over labels of the divergences of two Bernoulli distributions, with the sigmoid in
    place of the softmax), with anchors ``a`` around the source center that count as ``n`` anchors each
    (:attr:`relgraph.maps.MatchedAnchors.counts`), their mean variance :math:`s^2` per coordinate, the head's
    mean logits ``l``, the variance ``v`` per class of its logits around them, in which an anchor counts as in least
    squares, and :math:`W_0` the weighted ridge regression of the logits with shrinkage ``g``. Least squares on logits
    gives confident anchors the most weight; the divergence gives it to anchors whose class is uncertain. Networks
    trained with dropout and weight decay are under-confident, which the inverse temperature :math:`\beta = 2`
    compensates. The prior holds the map near :math:`W_0` and ``l`` with the weight of :math:`\rho = \max(4, 120 g)`
    anchors in every direction: few anchors are not interpolated, many decide, and the noise that a large shrinkage
    indicates counts for more. It measures deviations in units of ``v``, since the logits of a head that was trained for
    long can be several times as large as those of another. The problem is strictly convex; L-BFGS starts from
    :math:`W_0` and runs in float64 for at most 200 steps: within a relative 1e-5 of the minimum for logits of ordinary
    size. For logits of tens it ends further from the minimum, by some percent of the objective.

    Args:
        matched: Anchors of a source and of a head.
        shrinkage: Of the ridge regression; a number, or ``"loo"``.
        prior_strength: The weight :math:`\rho`, in anchors; ``None`` for the one above.
        inverse_temperature: The factor :math:`\beta`.

    Raises:
        InputError: If the head is a regression or has a single class, or ``prior_strength`` is not above 0.
    """
    from scipy.optimize import minimize

    count, width = matched.values.shape
    if matched.mode not in FAMILIES:
        raise InputError("method", "'kl' needs a head of logits (got a regression); use 'ridge' or 'kernel-ridge'")
    if not matched.decides:
        way_out = "use 'ridge', or publish a head of one label with mode='multilabel'"
        raise InputError("method", f"'kl' needs a head of at least two outputs (got 1); {way_out}")
    if prior_strength is not None and not prior_strength > 0:
        raise InputError("prior_strength", f"must be above 0 (got {prior_strength}); leave it out for the default")
    family = FAMILIES[matched.mode]
    _, goal = family((inverse_temperature * matched.values).numpy())
    curvature = float((goal * (1 - goal)).mean())
    rows, row_targets = matched.weighted_rows(matched.contrasts)
    number = resolve_shrinkage(rows, row_targets, shrinkage)
    variance = float(row_targets.square().sum() / (matched.weights().sum() * width))
    strength = prior_strength or max(LEAST_PRIOR_STRENGTH, STRENGTH_PER_SHRINKAGE * number)
    strength /= inverse_temperature**2 * (variance or 1.0)  # the loss is a function of logits times the temperature
    counts = matched.counts.unsqueeze(1)
    basis, penalty = _coordinates(counts.sqrt() * matched.offsets, strength, curvature)
    start = torch.linalg.solve(basis, inverse_temperature * ridge_coefficients(rows, row_targets, number)).numpy()
    one = (count * curvature + strength) ** -0.5  # as long as the axes of the basis
    inputs = np.hstack([(matched.offsets @ basis).numpy(), np.full((count, 1), one)])
    prior = np.vstack([start, inverse_temperature * matched.mean.numpy()[None] / one])
    penalty = np.vstack([penalty, [[strength * one**2]]])
    weights = counts.numpy()
    goal = weights * goal

    def loss(flat: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        weight = flat.reshape(-1, width)
        logits = inputs @ weight
        log_total, probabilities = family(logits)
        away = weight - prior
        pull = penalty * away
        value = (pull * away).sum() / 2 + (weights * log_total).sum() - (goal * logits).sum()
        slope = inputs.T @ (weights * probabilities - goal) + pull
        return value / count, slope.ravel() / count

    # One thread: with several, the products are so small that waiting takes longer than computing.
    options: Any = {"maxiter": MAX_ITERATIONS, "ftol": 1e-11, "gtol": 1e-7}
    with thread_pools("scipy").limit(limits=1):
        found = minimize(loss, prior.ravel(), jac=True, method="L-BFGS-B", options=options)
    weight = torch.from_numpy(found.x.reshape(-1, width)) / inverse_temperature
    return matched.affine(basis @ weight[:-1], one * weight[-1])


def _coordinates(anchors: Tensor, prior_strength: float, curvature: float) -> tuple[Tensor, NDArray[Any]]:
    """Axes ``(F, F)`` along which the loss has about equal curvature, and the penalty along each, ``(F, 1)``.

    In the embeddings' own coordinates L-BFGS would need thousands of steps.
    """
    values, vectors = torch.linalg.eigh(anchors.mT @ anchors)
    size = float(anchors.square().mean())
    held = prior_strength * size if size > 0 else 1.0  # a constant space: any value will do
    lengths = (curvature * values.clamp(min=0) + held).rsqrt()
    return vectors * lengths, (held * lengths.square()).unsqueeze(1).numpy()


KL = Estimator("kl", kl, targets="outputs")
