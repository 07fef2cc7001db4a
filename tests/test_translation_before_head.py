"""Heads that are not linear, and heads that pass messages, read another run's space."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

from relgraph.anchors import AnchorSet, GraphChangedWarning
from relgraph.errors import InputError
from relgraph.translation import translate_then

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def rotation(width: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(width, width, seed=seed))[0]


def published(z: Tensor, count: int, *, center: Tensor | None = None, fingerprint: str = "") -> AnchorSet:
    return AnchorSet(torch.arange(count), z[:count], z.mean(0) if center is None else center, fingerprint)


def ring(count: int) -> Tensor:
    rows = torch.arange(count)
    return torch.cat([torch.stack([rows, (rows + 1) % count]), torch.stack([(rows + 1) % count, rows])], dim=1)


@pytest.mark.parametrize("method", ["procrustes", "l-ortho", "ridge-affine"])
def test_an_mlp_head_reads_another_runs_space(method: str) -> None:
    z = normal(80, 4)
    other = 3 * z @ rotation(4) + 1
    head = nn.Sequential(nn.Linear(4, 8, dtype=F64), nn.Tanh(), nn.Linear(8, 3, dtype=F64))
    options = {"shrinkage": 0.0} if method == "ridge-affine" else {}
    module = translate_then(head, published(z, 30), published(other, 30), method, **options)
    torch.testing.assert_close(module(z), head(other))
    assert module.head is head and module.training


@pytest.mark.parametrize("as_keyword", [False, True])
def test_a_message_passing_head_is_given_the_graph_at_hand(as_keyword: bool) -> None:
    z, edges = normal(80, 4), ring(80)
    other = 3 * z @ rotation(4) + 1
    head = GCNConv(4, 3).double()
    module = translate_then(head, published(z, 30), published(other, 30), "procrustes")
    got = module(z, edge_index=edges) if as_keyword else module(z, edges)
    torch.testing.assert_close(got, head(other, edges))
    # Another graph than the one of the anchors, its nodes in the source's space.
    torch.testing.assert_close(module(z[50:], ring(30)), head(other[50:], ring(30)))


def test_gradients_reach_the_representation_through_both() -> None:
    z = normal(30, 4).requires_grad_()
    head = GCNConv(4, 3).double()
    translate_then(head, published(z.detach(), 20), published(z.detach(), 20))(z, ring(30)).sum().backward()
    assert z.grad is not None and bool(z.grad.any())


def test_heads_and_methods_that_do_not_fit_are_named() -> None:
    a, b = published(normal(30, 4), 20), published(normal(30, 5), 20)
    for head in (nn.Linear(4, 3), GCNConv(4, 3), nn.Sequential(nn.Linear(4, 3), nn.ReLU())):
        with pytest.raises(InputError, match=r"'target_space' must be the space that the head reads, 4 wide \(got 5\)"):
            translate_then(head, a, b)
    assert translate_then(GCNConv(-1, 3), a, b) is not None  # a width that the head learns at its first call
    with pytest.raises(InputError, match="'method' must be one of .* did you mean 'procrustes'"):
        translate_then(nn.ReLU(), a, b, "procrustis")


def test_another_graph_is_one_warning_at_the_callers_line() -> None:
    a, b = published(normal(30, 4), 20, fingerprint="a"), published(normal(30, 4), 20, fingerprint="b")
    with pytest.warns(GraphChangedWarning) as caught:
        translate_then(nn.ReLU(), a, b)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_head_in_another_type_reads_in_its_own() -> None:
    z = normal(40, 4).float()
    space = AnchorSet(torch.arange(40), z, z.mean(0))
    assert translate_then(nn.Linear(4, 3).double(), space, space)(z).dtype == torch.float64
