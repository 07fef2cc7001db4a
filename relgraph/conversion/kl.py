"""Conversion fitted to the head's probabilities on the anchors: convex, still a linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from relgraph.conversion.pairing import Pairing
from relgraph.errors import InputError
from relgraph.translation import Shrinkage, ridge
from relgraph.translation.leave_one_out import resolve_shrinkage

# Both chosen on Cora's validation nodes: benchmarks/stitching/choose.py.
ANCHORS_WORTH = 3.0
SHARPNESS = 4.0
MAX_ITERATIONS = 200


def _log_sums(logits: NDArray[Any]) -> float:
    most = logits.max(axis=1, keepdims=True)
    return float((most + np.log(np.exp(logits - most).sum(axis=1, keepdims=True))).sum())


def _softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _softplus(logits: NDArray[Any]) -> float:
    return float(np.logaddexp(0, logits).sum())


def _sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))


# Of one true class, and of labels that are each true or not: what the logits have to be weighed against (summed over
# anchors), and its slope, the probabilities.
FAMILIES: dict[str, tuple[Callable[[NDArray[Any]], float], Callable[[NDArray[Any]], NDArray[Any]]]] = {
    "classes": (_log_sums, _softmax),
    "labels": (_softplus, _sigmoid),
}


def kl(
    pairing: Pairing,
    shrinkage: Shrinkage | None = None,
    *,
    worth: float = ANCHORS_WORTH,
    sharpness: float = SHARPNESS,
) -> nn.Linear:
    r"""The linear layer of :func:`relgraph.convert` with ``method="kl"``.

    .. math:: \min_{W, b} \sum_k \mathrm{KL}\bigl(\mathrm{softmax}(\beta L_k) \,\big\Vert\,
        \mathrm{softmax}(\beta (W' a_k + b))\bigr) + \frac{\rho \beta^2}{2} \lVert S^{1/2} (W - W_0) \rVert_F^2

    (for a head of labels the sum over labels of the divergences between two coins, with the sigmoid in place of the
    softmax), the anchors ``a`` around the centre of the space, their covariance ``S`` (shrinkage 0.01) and the linear
    conversion :math:`W_0`. Least squares on logits spends its effort on what is certain anyway; the divergence looks
    where the probabilities move. Networks trained with dropout and decay are right more often than they are sure, so
    the probabilities are sharpened, by :math:`\beta = 4`: what they decide then weighs more. The penalty keeps few
    anchors from being interpolated: it holds the map to the linear conversion with the weight of :math:`\rho = 3`
    anchors, so that it fades as anchors are added. The problem is strictly convex in ``W``; L-BFGS starts from
    :math:`W_0` and runs in float64, so the result depends on nothing else.

    Args:
        pairing: Anchors and logits.
        shrinkage: Of the linear conversion; ``None`` stands for ``"loo"``.
        worth: The weight :math:`\rho`, in anchors.
        sharpness: The factor :math:`\beta`.

    Raises:
        InputError: If the head predicts values, or has a single class, whose softmax says nothing.
    """
    from scipy.optimize import minimize

    count, width = pairing.logits.shape
    if pairing.outputs == "values":
        raise InputError('\'method\' "kl" needs a head of logits (got one that predicts values); use "linear" or "rbf"')
    if pairing.outputs == "classes" and width < 2:
        raise InputError(
            '\'method\' "kl" needs a head of at least two outputs (got 1); use "linear" or "rbf", '
            'or publish a head of one label with outputs="labels"'
        )
    log_total, probabilities = FAMILIES[pairing.outputs]
    anchors, offset = pairing.anchors, pairing.logits - pairing.mean
    number = resolve_shrinkage(anchors, offset, "loo" if shrinkage is None else shrinkage)
    start = sharpness * ridge(anchors, offset, number)
    root, back = _whitening(pairing)
    prior = (back @ start).numpy()
    inputs = np.hstack([(anchors @ root).numpy(), np.ones((count, 1))])
    goal = probabilities((sharpness * pairing.logits).numpy())

    def loss(flat: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        weight = flat.reshape(-1, width)
        logits = inputs @ weight
        away = weight[:-1] - prior
        value = worth / 2 * (away * away).sum() + log_total(logits) - (goal * logits).sum()
        slope = inputs.T @ (probabilities(logits) - goal)
        slope[:-1] += worth * away
        return value / count, slope.ravel() / count

    found = minimize(
        loss,
        np.vstack([prior, sharpness * pairing.mean.numpy()[None]]).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_ITERATIONS, "ftol": 1e-12, "gtol": 1e-7},
    )
    weight = torch.from_numpy(found.x.reshape(-1, width)) / sharpness
    return pairing.linear(root @ weight[:-1], weight[-1])


def _whitening(pairing: Pairing) -> tuple[torch.Tensor, torch.Tensor]:
    """``S^-1/2`` and ``S^1/2``: in whitened coordinates the descent needs tens of steps and not thousands."""
    anchors = pairing.anchors
    covariance = anchors.mT @ anchors / anchors.size(0)
    covariance.diagonal().add_(0.01 * covariance.diagonal().mean())
    values, vectors = torch.linalg.eigh(covariance)
    values = torch.where(values > 0, values, 1)  # a constant space: no direction, and none is needed
    return vectors * values.rsqrt() @ vectors.mT, vectors * values.sqrt() @ vectors.mT
