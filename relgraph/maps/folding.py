"""A fitted translation as one linear layer, which serves a query by one product of a vector and a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from relgraph.errors import InputError
from relgraph.maps.modules import AffineMap, FittedLinear, KernelMap, frozen_linear

if TYPE_CHECKING:
    from collections.abc import Iterable


@torch.no_grad()
def fold_translation(translation: nn.Module) -> nn.Linear:
    r"""Merge an affine translation, or a chain of them, into one frozen linear layer.

    .. math:: (x - m_s) \, T + m_t = x \, T + (m_t - m_s T)

    The product is computed in float64, and the layer has the type and the device of the translation.

    Args:
        translation: What :func:`relgraph.translate` returns, a half of a :class:`relgraph.maps.ResidualMetric`, a
            linear layer, or an ``nn.Sequential`` of these.

    Raises:
        InputError: If it is curved, such as a kernel ridge regression with a Gaussian kernel, or another module.

    Example:
        >>> moved = AffineMap(torch.eye(2), torch.ones(2), torch.tensor([5.0, 0.0]))
        >>> fold_translation(moved)(torch.tensor([[1.0, 2.0]]))
        tensor([[5., 1.]])
    """
    steps = translation if isinstance(translation, nn.Sequential) else [translation]
    weight, bias = _merged(_affine(step) for step in steps)
    like = next((t for t in (*translation.buffers(), *translation.parameters()) if t.is_floating_point()), weight)
    return frozen_linear(FittedLinear, weight.mT.to(like), bias.to(like)).eval()


def _merged(parts: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    first, *others = parts
    weight, bias = first
    for other, shift in others:
        weight, bias = weight @ other, bias @ other + shift
    return weight, bias


def _affine(step: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight ``(F, G)`` and bias ``(G,)`` of one step, in float64."""
    if isinstance(step, AffineMap):
        weight = step.weight.double()
        return weight, step.target_center.double() - step.source_center.double() @ weight
    if isinstance(step, KernelMap) and step.weight is not None:
        weight = step.weight.double()
        return weight, step.bias.double() - step.center.double() @ weight
    if isinstance(step, nn.Linear):
        weight = step.weight.double().mT
        return weight, torch.zeros_like(weight[0]) if step.bias is None else step.bias.double()
    found = f"KernelMap of similarity '{step.similarity}'" if isinstance(step, KernelMap) else type(step).__name__
    raise InputError(
        "translation", f"must be affine to be folded into one matrix (got a {found}); use it as it is, or fit 'ridge'"
    )
