"""Checks of embeddings and anchors before they are compared, and the precision of the comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real

import torch
from torch import Tensor

from relgraph.errors import InputError


def check_shrinkage(shrinkage: float | str, word: str | None = None) -> None:
    """Refuse a shrinkage that is no real number, negative or not finite, and not the word that is allowed as well."""
    given: object = shrinkage  # type checkers do not know that a float is a real number
    number = isinstance(given, Real) and not isinstance(given, bool)
    if not (number and 0 <= float(shrinkage) < math.inf) and (word is None or shrinkage != word):
        rule = "must be a finite number of at least 0" + ("" if word is None else f", or '{word}'")
        raise InputError("shrinkage", f"{rule} (got {shrinkage!r}); 0.01 is a good start")


def check_pair(x: Tensor, anchors: Tensor, center: Tensor | None = None, *, batched: bool = False) -> torch.dtype:
    """Check shapes, types and devices, never values; returns the precision to compute in.

    With ``batched``, embeddings and anchors may have leading dimensions; under autocast their types may differ.
    """
    for name, tensor in (("embeddings", x), ("anchors", anchors)):
        if tensor.dim() != 2 and not (batched and tensor.dim() > 2):
            raise InputError(name, f"must be a matrix, one row each (got shape {tuple(tensor.shape)}); reshape it")
        if not tensor.is_floating_point():
            raise InputError(name, f"must hold floating point numbers (got {tensor.dtype}); call .float() first")
    if anchors.size(-2) == 0 or anchors.size(-1) == 0:
        raise InputError("anchors", f"must hold at least one row and column (got {tuple(anchors.shape)}); choose some")
    wanted, got = x.size(-1), anchors.size(-1)
    if wanted != got:
        rule = f"must have as many columns as the embeddings, {wanted} (got {got})"
        raise InputError("anchors", f"{rule}; take anchors from the same space")
    if center is not None and center.shape != anchors.shape[1:]:
        rule = f"must have shape {tuple(anchors.shape[1:])} (got {tuple(center.shape)})"
        raise InputError("center", f"{rule}; pass one mean per column")
    for name, other in (("anchors", anchors), ("center", x if center is None else center)):
        if other.device != x.device:
            raise InputError(name, f"must be on the embeddings' device {x.device} (got {other.device}); move it there")
        if other.dtype != x.dtype and name == "anchors" and not torch.is_autocast_enabled(x.device.type):
            raise InputError(name, f"must have the embeddings' type {x.dtype} (got {other.dtype}); convert one of them")
    return wide(torch.promote_types(x.dtype, anchors.dtype))


def wide(dtype: torch.dtype) -> torch.dtype:
    """The precision to compute in: float32, or wider if the input is."""
    return torch.promote_types(dtype, torch.float32)


def is_rounding(offset: Tensor, rows: Tensor, dtype: torch.dtype, factor: float = 4.0) -> bool:
    r"""Whether rows ``(N, F)`` differ from one vector, by ``offset`` ``(N, F)``, by no more than rounding.

    .. math:: \lVert (|o| - (\epsilon - \epsilon_w) \, |r|)_+ \rVert \le c \, \epsilon_w \lVert r \rVert

    The errors of a computation are those of its precision, :math:`\epsilon_w` of float32 or wider (:func:`wide`), and
    grow with the size of the rows, times a factor ``c``. In half precision each number has been rounded once more when
    it was stored, by no more than one step to either side, :math:`\epsilon` of its own size; that is far more than the
    first, and a space whose mean is large has few steps: what differs by more than one is no rounding.

    Args:
        offset: Rows minus their center, in float64.
        rows: The rows, in float64.
        dtype: Type in which they were given.
        factor: ``c``.

    Example:
        >>> rows = torch.tensor([[40.0], [40.25], [41.5]])  # a step of bfloat16 is 0.25 here
        >>> [is_rounding(some - 40, some, torch.bfloat16) for some in (rows[:2], rows)]
        [True, False]
        >>> is_rounding(rows[:2] - 40, rows[:2], torch.float32)
        False
    """
    computed, stored = rounding_steps(dtype)
    beyond = (offset.abs() - stored * rows.abs()).clamp(min=0)
    return bool(beyond.norm() <= factor * computed * rows.norm())


def rounding_steps(dtype: torch.dtype) -> tuple[float, float]:
    """The step from 1 to the next number in the precision of computing, and what a step of this type is longer.

    Example:
        >>> rounding_steps(torch.float32)[1], rounding_steps(torch.bfloat16)[1] > 0.0078
        (0.0, True)
    """
    computed = torch.finfo(wide(dtype)).eps
    return computed, torch.finfo(dtype).eps - computed


def exact(device: torch.device) -> torch.dtype:
    """The widest precision of a device: float64, but float32 on Apple's GPUs."""
    return torch.float32 if device.type == "mps" else torch.float64


def no_autocast(x: Tensor) -> torch.autocast:
    """A block in which autocast does not lower the precision on the device of ``x``."""
    return torch.autocast(device_type=x.device.type, enabled=False)


def compare(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, anchors: Tensor) -> Tensor:
    """Check embeddings and anchors, compare them in float32 or wider, and return the precision of ``x``."""
    dtype = check_pair(x, anchors, batched=True)
    with no_autocast(x):
        return function(x.to(dtype), anchors.to(dtype)).to(x.dtype)
