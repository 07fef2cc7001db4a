"""Dropout that draws 16 random bits per value: on a CPU, drawing random numbers takes most of the time of dropout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Inverted dropout, as ``torch.nn.functional.dropout``, and several times faster on a CPU.

    The probability ``p`` is exact to 1/131,072 there. On other devices, in compiled functions and under ``torch.func``
    it is ``torch.nn.functional.dropout``.

    Example:
        >>> with torch.random.fork_rng(devices=[]):
        ...     _ = torch.manual_seed(0)
        ...     dropout(torch.ones(4), 0.5, training=True)
        tensor([0., 0., 2., 0.])
    """
    if not training or p == 0:
        return x
    if p >= 1:
        return torch.zeros_like(x)
    if x.device.type != "cpu" or torch.compiler.is_compiling() or torch._C._functorch.maybe_current_level() is not None:
        return F.dropout(x, p, training)
    return x * keep_mask(x.shape, p, [torch.default_generator], x)[0]


def keep_mask(shape: torch.Size, p: float, generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Factors of dropout, 0 with probability ``p`` and ``1 / (1 - p)`` otherwise, shape ``(S, *shape)``.

    Each of the ``S`` masks has a generator of its own. Type and device are those of ``like``.
    """
    count = shape.numel()
    # One draw of 64 bits decides about four values, which is several times faster than ``bernoulli_``.
    bits = torch.empty(len(generators), (count + 3) // 4, dtype=torch.int64, device=like.device)
    for row, generator in zip(bits, generators, strict=True):
        row.random_(-(2**63), None, generator=generator)
    threshold = min(round(p * 65536), 65535) - 32768
    keep = bits.view(torch.int16)[:, :count] >= threshold
    return keep.to(like.dtype).mul_(1 / (1 - p)).view(len(generators), *shape)
