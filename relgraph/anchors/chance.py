"""Anchors by chance: no label, no feature, no edge."""

from __future__ import annotations

import torch
from torch import Tensor


def random_nodes(num_nodes: int, num_anchors: int, generator: torch.Generator | None = None) -> Tensor:
    """Nodes drawn uniformly without repeats, shape ``(num_anchors,)``.

    Example:
        >>> random_nodes(3, 3).sort().values
        tensor([0, 1, 2])
    """
    return torch.randperm(num_nodes, generator=generator)[:num_anchors]
