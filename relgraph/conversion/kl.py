"""Conversion fitted to the head's probabilities on the anchors: convex, still a linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relgraph.conversion.pairing import Pairing
from relgraph.errors import InputError
from relgraph.translation import Shrinkage, ridge
from relgraph.translation.leave_one_out import resolve_shrinkage

# Cora's validation nodes chose the sharpness and could not tell the weights from each other, CiteSeer's had 1 in front:
# benchmarks/stitching/choose.py.
ANCHORS_WORTH = 1.0
SHARPNESS = 2.0
# What holds the constant, in anchors. A head that is sure of everything says next to nothing of it.
CONSTANT_WORTH = 0.01
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
        \mathrm{softmax}(\beta (W' a_k + b))\bigr) + \frac{\rho \beta^2 s^2}{2} \lVert W - W_0 \rVert_F^2
        + \frac{\varepsilon \beta^2}{2} \lVert b - l \rVert^2

    (for a head of labels the sum over labels of the divergences between two coins, with the sigmoid in place of the
    softmax), the anchors ``a`` around the centre of the space, their mean variance :math:`s^2` per coordinate, the
    head's mean logits ``l``, and the weighted linear conversion :math:`W_0`: ridge regression of the logits with the
    weights of :meth:`relgraph.conversion.pairing.Pairing.weights`. Least squares on logits spends its effort on what is
    certain anyway; the divergence looks where the probabilities move. Networks trained with dropout and decay are right
    more often than they are sure, so the probabilities are sharpened, by :math:`\beta = 2`: what they decide then
    weighs more. The penalty keeps few anchors from being interpolated: it holds the map to :math:`W_0` with the weight
    of :math:`\rho = 1` anchor in every direction, so that it fades as anchors are added, and fastest where they vary
    most. The constant is held by :math:`\varepsilon = 0.01` of an anchor, for heads so sure that nothing else does. The
    problem is strictly convex; L-BFGS starts from :math:`W_0` and runs in float64 until the loss stands still, or for
    200 steps, which with hundreds of anchors and tens of classes leave a relative 1e-5 of it.

    Args:
        pairing: Anchors and logits.
        shrinkage: Of the linear conversion; ``None`` stands for ``"loo"``.
        worth: The weight :math:`\rho`, in anchors.
        sharpness: The factor :math:`\beta`.

    Raises:
        InputError: If the head predicts values, or has a single class, whose softmax says nothing, or ``worth`` is not
            above 0.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    count, width = pairing.logits.shape
    if pairing.outputs == "values":
        raise InputError("method", '"kl" needs a head of logits (got one that predicts values); use "linear" or "rbf"')
    if pairing.outputs == "classes" and width < 2:
        raise InputError(
            "method",
            '"kl" needs a head of at least two outputs (got 1); use "linear" or "rbf", '
            'or publish a head of one label with outputs="labels"',
        )
    if not worth > 0:
        raise InputError("worth", f"must be above 0 (got {worth}); {ANCHORS_WORTH:g} is a good start")
    log_total, probabilities = FAMILIES[pairing.outputs]
    goal = probabilities((sharpness * pairing.logits).numpy())
    curvature = float((goal * (1 - goal)).mean())
    basis, penalty = _coordinates(pairing.anchors, worth, curvature)
    rows, logits_of_rows = weighted(pairing)
    number = resolve_shrinkage(rows, logits_of_rows, "loo" if shrinkage is None else shrinkage)
    linear = torch.linalg.solve(basis, sharpness * ridge(rows, logits_of_rows, number)).numpy()
    one = (count * curvature + CONSTANT_WORTH) ** -0.5  # as long as the axes of the basis are
    inputs = np.hstack([(pairing.anchors @ basis).numpy(), np.full((count, 1), one)])
    prior = np.vstack([linear, sharpness * pairing.mean.numpy()[None] / one])
    penalty = np.vstack([penalty, [[CONSTANT_WORTH * one**2]]])

    def loss(flat: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        weight = flat.reshape(-1, width)
        logits = inputs @ weight
        away = weight - prior
        pull = penalty * away
        value = (pull * away).sum() / 2 + log_total(logits) - (goal * logits).sum()
        slope = inputs.T @ (probabilities(logits) - goal) + pull
        return value / count, slope.ravel() / count

    # One thread: the products are so small that several would wait for each other longer than they compute.
    with threadpool_limits(1):
        found = minimize(
            loss,
            prior.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_ITERATIONS, "ftol": 1e-11, "gtol": 1e-7},
        )
    weight = torch.from_numpy(found.x.reshape(-1, width)) / sharpness
    return pairing.linear(basis @ weight[:-1], one * weight[-1])


def weighted(pairing: Pairing) -> tuple[Tensor, Tensor]:
    """Anchors and logits whose plain ridge regression is the weighted one: rows times the root of their weight."""
    roots = pairing.weights().sqrt().unsqueeze(1)
    return roots * pairing.anchors, roots * pairing.offset


def _coordinates(anchors: Tensor, worth: float, curvature: float) -> tuple[Tensor, NDArray[Any]]:
    """Axes ``(F, F)`` along which the loss curves about alike, and the penalty along each, ``(F, 1)``.

    Along the embeddings' own coordinates the descent would need thousands of steps.
    """
    values, vectors = torch.linalg.eigh(anchors.mT @ anchors)
    size = float(anchors.square().mean())
    held = worth * size if size > 0 else 1.0  # a constant space: no direction, and none is needed
    lengths = (curvature * values.clamp(min=0) + held).rsqrt()
    return vectors * lengths, (held * lengths.square()).unsqueeze(1).numpy()
