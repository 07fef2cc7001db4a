"""Temporary states: a module in evaluation mode, and seeded global generators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every submodule is in its own previous mode again.

    Example:
        >>> layer = nn.Dropout()
        >>> with eval_mode(layer):
        ...     layer.training
        False
        >>> layer.training
        True
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:  # one by one: a frozen part of a module in training stays frozen
            part.training = training


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global generators, of the CPU and of a CUDA device; afterwards restore their state.

    Example:
        >>> with seeded(0):
        ...     one = torch.rand(1)
        >>> with seeded(0):
        ...     torch.equal(one, torch.rand(1))
        True
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
