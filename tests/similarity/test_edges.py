from __future__ import annotations

import pytest
import torch

from relgraph.errors import InputError
from relgraph.similarity import edge_similarity, relative
from relgraph.similarity import edges as edges_module
from tests.registered import EVERY_PAIR
from tests.spaces import normal


@EVERY_PAIR
@pytest.mark.parametrize("centered", [False, True])
def test_edges_are_entries_of_the_whole_with_its_gradient(similarity, normalization, centered, monkeypatch):
    every = torch.cartesian_prod(torch.arange(9), torch.arange(5)).T.flip(0)
    edges = every[:, torch.randperm(45, generator=torch.Generator().manual_seed(0))[:40]]
    inputs = [normal(9, 4, seed=1), normal(5, 4, seed=2), *([normal(4, seed=3)] if centered else [])]
    weight = normal(40, seed=4)

    def values_and_gradients(function):
        leaves = [t.clone().requires_grad_() for t in inputs]
        options = {"center": leaves[2] if centered else None, "shrinkage": 0.05}
        values = function(leaves[0], leaves[1], options)
        return values, torch.autograd.grad((values * weight).sum(), leaves, allow_unused=True)

    expected = values_and_gradients(lambda x, a, o: relative(x, a, similarity, normalization, **o)[edges[1], edges[0]])
    for limit in (1, 1 << 22):  # in chunks, and at once
        monkeypatch.setattr(edges_module, "CHUNK", limit)
        got = values_and_gradients(lambda x, a, o: edge_similarity(x, a, edges, similarity, normalization, **o))
        torch.testing.assert_close(got, expected)
    with torch.no_grad():
        again = edge_similarity(*inputs[:2], edges, similarity, normalization, shrinkage=0.05)
    assert again.shape == (40,)


def test_edges_are_checked():
    x = normal(4, 3)
    wrong = {
        r"'edge_index' must hold whole numbers of shape \(2, E\)": torch.zeros(3, 2, dtype=torch.int64),
        r"'edge_index' must hold whole numbers .* \(got torch.float32": torch.zeros(2, 3),
        r"ranks of anchors from 0 to 1 in row 0 \(got 2\)": torch.tensor([[0, 2], [1, 1]]),
        r"ranks of anchors from 0 to 1 in row 0 \(got -1\)": torch.tensor([[0, -1], [1, 1]]),
        r"rows of nodes from 0 to 3 in row 1 \(got 4\)": torch.tensor([[0, 1], [1, 4]]),
        "'edge_index' must be on the embeddings' device": torch.zeros(2, 3, dtype=torch.int64, device="meta"),
    }
    for message, edges in wrong.items():
        with pytest.raises(InputError, match=message):
            edge_similarity(x, x[:2], edges)
    assert edge_similarity(x, x[:2], torch.zeros(2, 0, dtype=torch.int64)).shape == (0,)
