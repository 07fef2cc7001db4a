from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

from relgraph.errors import InputError
from relgraph.maps import AffineMap, KernelMap, MatchedAnchors, TranslatedHead, translate
from relgraph.maps.kernel import kernel_ridge
from relgraph.maps.modules import FittedLinear, frozen_linear, similarities
from tests.spaces import F64, normal, space


@pytest.mark.parametrize("kernel", [("cosine", 1.0), ("rbf", 2.0)])
def test_a_kernel_map_computes_rows_in_chunks(kernel: tuple[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    x = (1e3 * normal(57, 3, seed=2)).requires_grad_()
    matched = MatchedAnchors.match(space(normal(20, 3), 20), space(normal(20, 2, seed=1), 20))
    module = kernel_ridge(matched, 0.01, kernel=kernel)
    whole = module(x)
    monkeypatch.setattr("relgraph.maps.modules.CHUNK", 100)
    parts = module(x)
    torch.testing.assert_close(parts, whole)
    (one,), (other,) = torch.autograd.grad(whole.sum(), x), torch.autograd.grad(parts.sum(), x)
    torch.testing.assert_close(one, other)
    assert module(x[:0]).shape == (0, 2)


def test_the_expanded_square_of_double_precision_equals_exact_distances() -> None:
    x, a = 1e3 * normal(30, 5), normal(12, 5, seed=1)
    for width in (0.5, 3.0, 2000.0):
        exact = (-(x.unsqueeze(1) - a).square().sum(2) / (2 * width**2)).exp()
        torch.testing.assert_close(similarities(x, a, "rbf", width), exact, rtol=1e-6, atol=1e-12)
    assert torch.equal(similarities(a, a, "rbf", 1.0).diagonal().round(decimals=9), torch.ones(12, dtype=F64))


def test_a_curved_map_stays_exact_in_single_precision() -> None:
    a, b = normal(200, 6).float().double(), normal(200, 2, seed=1)
    matched = MatchedAnchors.match(space(a, 200, center=torch.zeros(6)), space(b, 200))
    module = kernel_ridge(matched, 1e-4, kernel=("rbf", 12.0))
    exact, placed = module(a), module.to_like(a.float())
    assert placed(a.float()).dtype == torch.float32
    torch.testing.assert_close(placed(a.float()), exact.float())
    assert float((placed.float()(a.float()) - exact).abs().max()) > 0.01  # what float64 prevents


def test_unknown_kernels_are_refused() -> None:
    a = normal(3, 3)
    with pytest.raises(InputError, match="'similarity' must be one of cosine, dot, rbf"):
        KernelMap(a[0], a, a, a[0], "rbv")


def test_an_affine_map_has_no_parameters_and_returns_the_type_of_its_input() -> None:
    module = AffineMap(torch.eye(3)[:, :2], torch.ones(3), torch.zeros(2))
    assert not list(module.parameters())
    assert set(module.state_dict()) == {"weight", "source_center", "target_center"}
    assert module(torch.zeros(0, 3)).shape == (0, 2) and repr(module) == "AffineMap(3 -> 2)"
    assert module(torch.zeros(4, 3, dtype=F64)).dtype == F64


def test_a_translated_head_names_the_further_arguments_of_its_head() -> None:
    class Pairs(nn.Module):
        def forward(self, z: Tensor, pairs: Tensor, *rest: Tensor, weight: Tensor | None = None) -> Tensor:
            return z[pairs]

    class Named(nn.Identity):
        graph_arguments = ("edge_index", "batch")

    assert TranslatedHead(nn.Identity(), Pairs()).graph_arguments == ("pairs", "weight")
    assert TranslatedHead(nn.Identity(), Named()).graph_arguments == ("edge_index", "batch")
    assert TranslatedHead(nn.Identity(), nn.Linear(2, 2)).graph_arguments == ()
    assert TranslatedHead(nn.Identity(), GCNConv(2, 2)).graph_arguments == ("edge_index", "edge_weight")
    nested = TranslatedHead(nn.Identity(), TranslatedHead(nn.Identity(), Pairs()))
    assert nested.graph_arguments == ("pairs", "weight")


def test_a_translated_head_uses_the_type_of_its_head() -> None:
    assert TranslatedHead(nn.Identity(), nn.Linear(4, 3).double())(torch.zeros(5, 4)).dtype == F64


@pytest.mark.parametrize("method", ["ridge", "procrustes", "orthogonal", "kernel-ridge"])
@pytest.mark.filterwarnings("ignore::relgraph.maps.FewAnchorsWarning")
def test_a_map_shares_no_memory_with_the_spaces_it_was_made_of(method: str) -> None:
    a, b = space(normal(20, 3), 20), space(normal(20, 3, seed=1), 20)
    tensors = [one for piece in (a, b) for one in (piece.ids, piece.values, piece.mean, piece.weights)]
    before = [one.clone() for one in tensors]
    for one in translate(a, b, method).buffers():
        one.zero_()
    assert all(torch.equal(one, was) for one, was in zip(tensors, before, strict=True))


def test_buffers_are_copies() -> None:
    x = normal(3, 3)
    made = [AffineMap(x, x[0], x[1]), KernelMap(x[0], x, x, x[1], "rbf")]
    kept = [one(normal(2, 3, seed=1)) for one in made]
    x.zero_()
    assert all(torch.equal(one(normal(2, 3, seed=1)), was) for one, was in zip(made, kept, strict=True))


@pytest.mark.parametrize("kind", ["affine", "kernel", "linear", "head"])
def test_arrays_are_taken_another_width_is_one_sentence(kind: str) -> None:
    z, there = normal(20, 3), space(normal(20, 2, seed=1), 20)
    matched = MatchedAnchors.match(space(z, 20), there)
    made = {
        "affine": lambda: translate(space(z, 20), there, "procrustes"),
        "kernel": lambda: kernel_ridge(matched, 0.01, kernel=("rbf", 2.0)),
        "linear": lambda: frozen_linear(FittedLinear, normal(2, 3), normal(1, 2)[0]),
        "head": lambda: TranslatedHead(translate(space(z, 20), there), nn.Identity()),
    }[kind]()
    assert torch.equal(made(z.numpy()), made(z)) and torch.equal(made(z.tolist()), made(z.float()))
    for wrong in (z[:, :2], z.numpy()[:, :2]):
        with pytest.raises(InputError, match=r"'x' must hold rows of 3 numbers \(got shape \(20, 2\)\); pass embed"):
            made(wrong)
    with pytest.raises(InputError, match="'x' must be a tensor, or an array or list of numbers .got object"):
        made(object())
    torch.testing.assert_close(torch.compile(made, backend="eager", fullgraph=True)(z), made(z))
