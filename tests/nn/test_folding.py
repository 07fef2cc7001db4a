from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from relgraph.errors import InputError
from relgraph.nn.folding import FoldedCosine, fold
from relgraph.nn.relative import RelativeLayer
from relgraph.similarity import safe_norm
from tests.registered import NORMALIZATIONS, SIMILARITIES, looped

PAIRS = [
    (s, n)
    for s, entry in SIMILARITIES.items()
    for n in NORMALIZATIONS
    if entry.bilinear and (n == "none" or not entry.whitens)
]
FOLDABLE = looped("similarity, normalization", PAIRS)


def parts(dtype: torch.dtype, anchors: int = 9, bias: bool = True):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(30, 5, generator=generator, dtype=torch.float64).to(dtype) * 2 + 1
    head = nn.Linear(anchors, 3, bias=bias, dtype=dtype)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return z, z[:anchors].clone(), head


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("anchors", [9, 4])
@pytest.mark.parametrize("centered", [False, True])
@FOLDABLE
def test_equals_layer_then_head(similarity, normalization, centered, anchors, dtype):
    z, rows, head = parts(dtype, anchors)
    z[20] = 0
    z[22] = z[21]
    given = SimpleNamespace(embeddings=rows, center=z.mean(0)) if centered else rows
    layer = RelativeLayer(similarity, normalization, shrinkage=0.05)
    folded = fold(head, layer, given)
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(folded(z), head(layer(z, anchors=given)), **tolerance)
    assert folded(z).dtype == dtype and folded(z[:0]).shape == (0, 3)


@FOLDABLE
def test_head_without_bias(similarity, normalization):
    z, rows, head = parts(torch.float64, bias=False)
    layer = RelativeLayer(similarity, normalization)
    torch.testing.assert_close(fold(head, layer, rows)(z), head(layer(z, anchors=rows)))


@FOLDABLE
@pytest.mark.parametrize("case", ["zero row is an anchor", "constant", "constant up to rounding", "duplicates"])
def test_degenerate_anchors(similarity, normalization, case):
    z, rows, head = parts(torch.float32)
    center = rows.mean(0)
    if case == "zero row is an anchor":
        rows[2] = 0
    elif case == "duplicates":
        rows[:] = rows[[0, 0, 0, 0, 1, 1, 1, 1, 1]]
    else:
        rows[:] = rows[0] + 1000
        center = rows[0] + (1e-4 if case == "constant up to rounding" else 0)
        z = z + 1000
    given = SimpleNamespace(embeddings=rows, center=center)
    layer = RelativeLayer(similarity, normalization)
    got = fold(head, layer, given)(z)
    assert got.isfinite().all()
    torch.testing.assert_close(got, head(layer(z, anchors=given)), rtol=1e-3, atol=1e-3)


@FOLDABLE
@pytest.mark.parametrize("centered", [False, True])
def test_frozen_layer_folds_with_its_own_anchors(similarity, normalization, centered):
    z, rows, head = parts(torch.float64)
    given = SimpleNamespace(embeddings=rows, center=z.mean(0)) if centered else rows
    layer = RelativeLayer(similarity, normalization).freeze(given)
    torch.testing.assert_close(fold(head, layer)(z), head(layer(z)))
    with pytest.raises(InputError, match=r"'anchors' must be given unless the layer is frozen \(got both\)"):
        fold(head, layer, rows)
    with pytest.raises(InputError, match=r"'anchors' must be given unless the layer is frozen \(got none\)"):
        fold(head, RelativeLayer(layer.similarity, layer.normalization))


def test_whitened_becomes_a_plain_frozen_linear():
    z, rows, head = parts(torch.float32)
    folded = fold(head, RelativeLayer("whitened"), rows)
    assert type(folded) is nn.Linear and (folded.in_features, folded.out_features) == (5, 3)
    before = folded(z)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        rows.zero_()
    assert torch.equal(folded(z), before)


@FOLDABLE
def test_is_frozen_and_independent_of_the_head(similarity, normalization):
    z, rows, head = parts(torch.float32)
    folded = fold(head, RelativeLayer(similarity, normalization), rows)
    assert all(not parameter.requires_grad for parameter in folded.parameters())
    before = folded(z)
    assert not before.requires_grad
    with torch.no_grad():
        head.bias.add_(1)
    assert torch.equal(folded(z), before)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_folded_cosine_saves_and_loads(normalization):
    z, rows, head = parts(torch.float32)
    folded = fold(head, RelativeLayer("cosine", normalization), rows)
    other = fold(head, RelativeLayer("cosine", normalization), rows.flip(0) * 2 + 1)
    assert isinstance(folded, FoldedCosine) and not torch.allclose(other(z), folded(z))
    other.load_state_dict(folded.state_dict())
    assert torch.equal(other(z), folded(z))
    assert repr(folded) == "FoldedCosine(in_features=5, out_features=3)"


def test_cosine_makes_no_copy_of_the_embeddings_and_one_of_the_logits():
    _, rows, head = parts(torch.float32)
    wide = torch.randn(2000, 5, generator=torch.Generator().manual_seed(1)).repeat(1, 40)
    folded = fold(head, RelativeLayer(), rows.repeat(1, 40))
    made = {}

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                made[out.untyped_storage().data_ptr()] = out  # kept, so that no place is given out twice
            return out

    with Watch():
        folded(wide)
    sizes = [out.numel() for out in made.values()]
    assert max(sizes) == 2000 * 3 and sizes.count(2000 * 3) == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_many_rows_are_processed_in_parts(monkeypatch, normalization, dtype):
    z, rows, head = parts(torch.float32)
    folded, z = fold(head, RelativeLayer("cosine", normalization), rows).to(dtype), z.to(dtype)
    z[20] = 0
    taken = []
    monkeypatch.setattr("relgraph.nn.folding.safe_norm", lambda part: (taken.append(len(part)), safe_norm(part))[1])
    expected = folded(z)
    # Parts of four rows for each thread; 30 rows are more than four such parts with one thread.
    monkeypatch.setattr("relgraph.nn.folding._PART", 5 * 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    got = folded(z)
    assert taken == [30, 4, 4, 4, 4, 4, 4, 4, 2]
    torch.testing.assert_close(got, expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert folded(z).dtype == (torch.float64 if dtype == torch.float64 else torch.bfloat16)
    learning = z.clone().requires_grad_()
    folded(learning).sum().backward()
    assert taken[-2:] == [30, 30] and learning.grad.isfinite().all()


@FOLDABLE
def test_gradients_reach_the_embeddings(similarity, normalization):
    z, rows, head = parts(torch.float64)
    z[20] = 0
    layer = RelativeLayer(similarity, normalization)
    upstream = torch.randn(30, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mine, expected = z.clone().requires_grad_(), z.clone().requires_grad_()
    fold(head, layer, rows)(mine).backward(upstream)
    head(layer(expected, anchors=rows)).backward(upstream)
    torch.testing.assert_close(mine.grad, expected.grad)


@FOLDABLE
def test_compiles_to_one_graph(similarity, normalization):
    z, rows, head = parts(torch.float32)
    folded = fold(head, RelativeLayer(similarity, normalization), rows)
    compiled = torch.compile(folded, backend="aot_eager", fullgraph=True)
    mine, expected = z.clone().requires_grad_(), z.clone().requires_grad_()
    compiled(mine).square().sum().backward()
    folded(expected).square().sum().backward()
    torch.testing.assert_close(compiled(z), folded(z))
    torch.testing.assert_close(mine.grad, expected.grad)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_dot_folds_to_a_linear(normalization):
    z, rows, head = parts(torch.float64)
    layer = RelativeLayer("dot", normalization)
    folded = fold(head, layer, rows)
    assert type(folded) is nn.Linear
    torch.testing.assert_close(folded(z), head(layer(z, anchors=rows)))


@FOLDABLE
def test_half_precision_head(similarity, normalization):
    z, rows, head = parts(torch.float32)
    expected = fold(head, RelativeLayer(similarity, normalization), rows)(z)
    folded = fold(head.bfloat16(), RelativeLayer(similarity, normalization), rows)
    got = folded(z.bfloat16())
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, rtol=0.1, atol=0.02 * float(expected.abs().max()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert folded(z).dtype == torch.bfloat16


def test_wrong_input():
    _, rows, head = parts(torch.float32)
    with pytest.raises(
        InputError, match=r"bilinear similarity to be folded: cosine, dot, whitened \(got 'euclidean'\)"
    ):
        fold(head, RelativeLayer("euclidean"), rows)
    with pytest.raises(InputError, match=r"'head' must be a torch.nn.Linear to be folded \(got Sequential\)"):
        fold(nn.Sequential(head), RelativeLayer(), rows)
    with pytest.raises(InputError, match=r"one coordinate per anchor, 8 \(got 9\)"):
        fold(head, RelativeLayer(), rows[:8])


def test_registry_entries_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SIMILARITIES["cosine"].fill = 1.0
