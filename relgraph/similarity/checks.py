"""What embeddings and anchors must be before they are compared, and the precision to compare them in."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relgraph.errors import InputError


def check_finite(name: str, tensor: Tensor) -> None:
    """Refuse NaN and infinite values, naming the first row that holds one.

    It reads values, which a compiled forward must not do: call it where data enter.

    Raises:
        InputError: If a value is not finite.

    Example:
        >>> check_finite("z", torch.tensor([[1.0], [float("nan")]]))
        Traceback (most recent call last):
        relgraph.errors.InputError: 'z' must be finite (row 1 holds nan); look for a diverged run or missing features
    """
    bad = ~torch.isfinite(tensor.detach())
    if bool(bad.any()):
        place = bad.nonzero()[0]
        row = f"row {int(place[0])} holds " if tensor.dim() else "got "
        raise InputError(
            name, f"must be finite ({row}{float(tensor[tuple(place)])}); look for a diverged run or missing features"
        )


def check_shrinkage(shrinkage: float) -> None:
    """Refuse a shrinkage that is negative or not finite.

    Example:
        >>> check_shrinkage(0.01)
    """
    if not 0 <= shrinkage < math.inf:
        raise InputError("shrinkage", f"must be 0 or more and finite (got {shrinkage}); the default is 0.01")


def check_pair(x: Tensor, anchors: Tensor, center: Tensor | None = None, *, batched: bool = False) -> torch.dtype:
    """Check shapes, types and devices of what is compared, never values; returns the precision to compute in.

    Args:
        x: Embeddings ``(N, F)``.
        anchors: Embeddings of the anchors ``(K, F)``.
        center: The centre ``(F,)``, if there is one.
        batched: Whether both may have leading dimensions, such as one for many runs.

    Raises:
        InputError: If one is not a matrix of floating point numbers, or they do not fit each other. Different types
            are let through under autocast only, where they are the rule.

    Example:
        >>> check_pair(torch.ones(3, 2), torch.ones(1, 2))
        torch.float32
    """
    for name, tensor in (("embeddings", x), ("anchors", anchors)):
        if tensor.dim() != 2 and not (batched and tensor.dim() > 2):
            raise InputError(name, f"must be a matrix, one row each (got shape {tuple(tensor.shape)}); reshape it")
        if not tensor.is_floating_point():
            raise InputError(name, f"must hold floating point numbers (got {tensor.dtype}); call .float() first")
    if anchors.size(-2) == 0 or anchors.size(-1) == 0:
        raise InputError(
            "anchors", f"must hold at least one row and one column (got {tuple(anchors.shape)}); choose some"
        )
    if x.size(-1) != anchors.size(-1):
        raise InputError(
            "anchors",
            f"must have as many columns as the embeddings, {x.size(-1)} (got {anchors.size(-1)}); "
            "take anchors of the same space",
        )
    if center is not None and center.shape != anchors.shape[1:]:
        raise InputError(
            "center",
            f"must have shape {tuple(anchors.shape[1:])} (got {tuple(center.shape)}); pass one mean per column",
        )
    for name, other in (("anchors", anchors), ("center", x if center is None else center)):
        if other.device != x.device:
            raise InputError(name, f"must be on the embeddings' device {x.device} (got {other.device}); move it there")
        if other.dtype != x.dtype and name == "anchors" and not torch.is_autocast_enabled(x.device.type):
            raise InputError(name, f"must have the embeddings' type {x.dtype} (got {other.dtype}); convert one of them")
    return wide(torch.promote_types(x.dtype, anchors.dtype))


def wide(dtype: torch.dtype) -> torch.dtype:
    """The precision to compute in: float32, or wider if the input is.

    Example:
        >>> wide(torch.bfloat16)
        torch.float32
    """
    return torch.promote_types(dtype, torch.float32)


def no_autocast(x: Tensor) -> torch.autocast:
    """A block in which autocast does not lower the precision on the device of ``x``.

    Example:
        >>> with torch.autocast("cpu", dtype=torch.bfloat16), no_autocast(x := torch.ones(1, 1)):
        ...     (x @ x).dtype
        torch.float32
    """
    return torch.autocast(device_type=x.device.type, enabled=False)
