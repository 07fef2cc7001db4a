"""Relative vectors in coordinates of their span have the distances and angles that they had."""

from __future__ import annotations

import pytest
import torch

from benchmarks.retrieval.run import in_their_span
from relgraph.similarity import relative
from tests.spaces import normal


@pytest.mark.parametrize("kind", ["cosine", "whitened"])
def test_coordinates_of_the_span_keep_distances_and_angles(kind: str) -> None:
    new, old, anchors = normal(300, 5), normal(300, 7, seed=1), torch.arange(200)
    one, two = (relative(z, z[anchors], kind, center=z.mean(0) if kind == "whitened" else None) for z in (new, old))
    fewer, other = in_their_span(one, two, anchors)
    assert fewer.size(1) == other.size(1) == 5 + 7 < one.size(1)
    torch.testing.assert_close(torch.cdist(fewer, other), torch.cdist(one, two))
    torch.testing.assert_close(fewer @ other.mT, one @ two.mT)
