"""Conversion fitted to the head's probabilities on the anchors: convex, still a linear layer."""

from __future__ import annotations

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

    with the anchors ``a`` around the centre of the space, their covariance ``S`` (shrinkage 0.01) and the linear
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
        InputError: If the head has a single output, whose softmax says nothing.
    """
    from scipy.optimize import minimize

    count, outputs = pairing.logits.shape
    if outputs < 2:
        raise InputError('\'method\' "kl" needs a head of at least two outputs (got 1); use "linear" or "rbf"')
    anchors, offset = pairing.anchors, pairing.logits - pairing.mean
    number = resolve_shrinkage(anchors, offset, "loo" if shrinkage is None else shrinkage)
    start = sharpness * ridge(anchors, offset, number)
    root, back = _whitening(pairing)
    prior = (back @ start).numpy()
    inputs = np.hstack([(anchors @ root).numpy(), np.ones((count, 1))])
    goal = (sharpness * pairing.logits).softmax(dim=1).numpy()

    def loss(flat: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        weight = flat.reshape(-1, outputs)
        logits = inputs @ weight
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        total = powers.sum(axis=1, keepdims=True)
        away = weight[:-1] - prior
        value = worth / 2 * (away * away).sum() - (goal * (logits - np.log(total))).sum()
        slope = inputs.T @ (powers / total - goal)
        slope[:-1] += worth * away
        return value / count, slope.ravel() / count

    found = minimize(
        loss,
        np.vstack([prior, sharpness * pairing.mean.numpy()[None]]).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_ITERATIONS, "ftol": 1e-12, "gtol": 1e-7},
    )
    weight = torch.from_numpy(found.x.reshape(-1, outputs)) / sharpness
    return pairing.linear(root @ weight[:-1], weight[-1])


def _whitening(pairing: Pairing) -> tuple[torch.Tensor, torch.Tensor]:
    """``S^-1/2`` and ``S^1/2``: in whitened coordinates the descent needs tens of steps and not thousands."""
    anchors = pairing.anchors
    covariance = anchors.mT @ anchors / anchors.size(0)
    covariance.diagonal().add_(0.01 * covariance.diagonal().mean())
    values, vectors = torch.linalg.eigh(covariance)
    values = torch.where(values > 0, values, 1)  # a constant space: no direction, and none is needed
    return vectors * values.rsqrt() @ vectors.mT, vectors * values.sqrt() @ vectors.mT
