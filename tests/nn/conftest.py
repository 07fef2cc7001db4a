"""A small graph for the tests of encoders."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor


@pytest.fixture
def x() -> Tensor:
    features = torch.randn(9, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    features[4] = 0
    features[6] = features[5]
    return features


@pytest.fixture
def edges() -> Tensor:
    """Directed, with two parallel edges, a node that only sends (3), one that only receives (2), and an isolated."""
    pairs = [(0, 1), (1, 0), (0, 2), (1, 2), (3, 1), (3, 4), (4, 5), (5, 6), (6, 5), (7, 6), (0, 7), (0, 7)]
    return torch.tensor(pairs).T.contiguous()


@pytest.fixture
def weights() -> Tensor:
    return torch.rand(12, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1


@pytest.fixture
def seeded_globally() -> Iterator[None]:
    """Parameters of modules are drawn from seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
