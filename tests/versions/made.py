"""Runs of one made space, of which some rows move in the new version."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

ROWS, WIDTH = 240, 6


def runs(
    old: int = 3, new: int = 1, *, moved: int = 0, by: float = 3.0, seed: int = 0, rows: int = ROWS, width: int = WIDTH
) -> tuple[list[Tensor], list[Tensor]]:
    """Old and new runs: rotations of one space of four dimensions with noise; the first rows move in the new ones."""
    rng = np.random.default_rng(seed)
    space = rng.normal(size=(rows, 4))
    later = space + np.where(np.arange(rows)[:, None] < moved, by, 0.0) * rng.choice([-1, 1], size=(rows, 4))

    def one(points: np.ndarray) -> Tensor:
        noise = 0.1 * rng.normal(size=(rows, 4)) * (0.5 + np.abs(space[:, :1]))
        return torch.from_numpy((points + noise) @ rng.normal(size=(4, width)) + rng.normal(size=(rows, width)) * 0.05)

    return [one(space) for _ in range(old)], [one(later) for _ in range(new)]
