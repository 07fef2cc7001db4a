from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from relgraph.errors import InputError
from relgraph.similarity import (
    angular_similarity,
    distances,
    euclidean_distance,
    l1_distance,
    linf_distance,
    median_distance,
    rbf_similarity,
)
from tests.similarity.slow import slow_width
from tests.spaces import normal


def test_angular_is_finite_where_the_cosine_is_one():
    for dtype in (torch.float32, torch.float64):
        z = normal(7, 33, seed=1).to(dtype).requires_grad_()
        got = angular_similarity(z, torch.cat([z, -z]))
        step = torch.finfo(dtype).eps
        assert (got.diagonal() < 1).all() and (got.diagonal() > 1 - 3 * step**0.5).all()
        assert (got[:, 7:].diagonal() > 0).all() and (got[:, 7:].diagonal() < 3 * step**0.5).all()
        got.diagonal().sum().backward()
        assert z.grad.isfinite().all() and z.grad.norm() < 1e-2
    plain = normal(2, 3).requires_grad_()
    (plain @ plain.T / plain.square().sum(1)).clamp(-1, 1).arccos().sum().backward()
    assert not plain.grad.isfinite().all()  # what the clamp inside (-1, 1) is for


def test_rbf_width():
    x, anchors = normal(5, 3, seed=1), normal(6, 3, seed=2)
    torch.testing.assert_close(rbf_similarity(x, anchors, width=0.5), (-2 * torch.cdist(x, anchors) ** 2).exp())
    width = median_distance(anchors)
    torch.testing.assert_close(width.item(), slow_width(anchors.numpy()))
    assert torch.equal(rbf_similarity(x, anchors), rbf_similarity(x, anchors, width=width.item()))
    doubled = torch.cat([anchors[:1].expand(9, -1), anchors])  # most pairs coincide, yet the width is no zero
    assert median_distance(doubled) > 0.1
    for single in (anchors[:1], anchors[:1].expand(4, -1)):
        assert median_distance(single) == 1
        torch.testing.assert_close(rbf_similarity(x, single), rbf_similarity(x, single, width=1.0))
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(InputError, match="'width' must be positive"):
            rbf_similarity(x, anchors, width=wrong)


@pytest.mark.parametrize(("function", "order"), [(l1_distance, 1), (linf_distance, math.inf)])
def test_gradient_of_the_distances_in_chunks_equals_torch(function, order, monkeypatch):
    x, anchors, weight = normal(3, 11, 4, seed=1), normal(3, 5, 4, seed=2), normal(3, 11, 5, seed=3)
    x[:, 0] = anchors[:, 0]
    expected = [x.clone().requires_grad_(), anchors.clone().requires_grad_()]
    (
        torch.linalg.vector_norm(expected[0][:, :, None] - expected[1][:, None], ord=order, dim=-1) * weight
    ).sum().backward()
    for limit in (1, 3 * 5 * 4 * 4, 1 << 22):
        monkeypatch.setattr(distances, "CHUNK", limit)
        got = [x.clone().requires_grad_(), anchors.clone().requires_grad_()]
        (function(*got) * weight).sum().backward()
        torch.testing.assert_close([t.grad for t in got], [t.grad for t in expected])


def test_coordinates_that_share_the_maximum_share_its_gradient():
    x = torch.tensor([[2.0, -2.0, 1.0]], requires_grad=True)
    linf_distance(x, torch.zeros(1, 3)).sum().backward()
    assert x.grad.tolist() == [[0.5, -0.5, 0.0]]


def test_distances_hold_no_tensor_of_nodes_by_anchors_by_features(monkeypatch):
    monkeypatch.setattr(distances, "CHUNK", 4000)
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            largest = max(largest, out.numel() if isinstance(out, torch.Tensor) else 0)
            return out

    x, anchors = normal(300, 20).requires_grad_(), normal(10, 20, seed=1).requires_grad_()
    for function in (euclidean_distance, l1_distance, linf_distance, rbf_similarity):
        largest = 0
        with Watch():
            function(x, anchors).sum().backward()
        assert 0 < largest <= 300 * 20, function


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts peak memory as Linux does")
def test_the_gradient_of_many_rows_does_not_hold_the_memory_of_its_parts():
    code = (
        "import resource, torch; from relgraph.similarity import l1_distance\n"
        "torch.set_num_threads(1)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "x, anchors = torch.randn(8000, 256, requires_grad=True), torch.randn(128, 256, requires_grad=True)\n"
        "distance = l1_distance(x, anchors); before = peak()\n"
        "distance.sum().backward(); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 400  # MiB; all differences at once are 1,000
