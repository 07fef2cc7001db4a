"""A published head as a head on relative representations equals the ridge regression with equal weights."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.errors import InputError
from relgraph.maps import convert
from relgraph.nn.folding import fold, relative_head
from relgraph.nn.model import RelativeModel
from relgraph.nn.relative import RelativeLayer

# Most runs in these tests are unrelated, or have very few anchors.
pytestmark = pytest.mark.filterwarnings(
    "ignore::relgraph.maps.NoCorrespondenceWarning", "ignore::relgraph.maps.FewAnchorsWarning"
)


def space(seed: int, width: int, anchors: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, AnchorSet]:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(60, width, generator=generator, dtype=torch.float64) * 3 + 5
    z = z.to(dtype)
    return z, AnchorSet(torch.arange(anchors), z[:anchors], z.mean(0))


def linear(width: int, classes: int, dtype: torch.dtype = torch.float64) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(width, classes, dtype=dtype)


@pytest.mark.parametrize("shrinkage", [0.001, 0.01, 0.3])
@pytest.mark.parametrize(("anchors", "width", "foreign"), [(20, 6, 6), (20, 4, 9), (3, 6, 5), (1, 2, 2)])
def test_relative_head_on_whitened_vectors_is_the_conversion_with_equal_weights(
    anchors: int, width: int, foreign: int, shrinkage: float
) -> None:
    z, source = space(0, width, anchors)
    _, target = space(1, foreign, anchors)
    published = publish(linear(foreign, 3), target, mode="regression")  # without robust weights
    through = relative_head(published)(RelativeLayer("whitened", shrinkage=shrinkage)(z, anchors=source))
    torch.testing.assert_close(
        through, convert(source, published, "ridge", shrinkage=shrinkage)(z), rtol=1e-9, atol=1e-9
    )


def test_heads_that_are_not_linear_are_converted_too() -> None:
    z, source = space(0, 5, 20)
    foreign, target = space(1, 7, 20)
    head = nn.Sequential(linear(7, 8), nn.ReLU(), linear(8, 4))
    published = publish(head, target, embeddings=foreign, mode="regression")
    through = relative_head(published)(RelativeLayer("whitened")(z, anchors=source))
    torch.testing.assert_close(through, convert(source, published, "ridge", shrinkage=0.01)(z), rtol=1e-9, atol=1e-9)


def test_it_is_the_formula_in_the_docstring() -> None:
    logits, mean = torch.tensor([[1.0, 2.0], [3.0, 5.0], [0.0, 1.0]]), torch.tensor([0.5, -1.0])
    r = torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]])
    out = relative_head(PublishedHead(torch.arange(3), logits, mean))(r)
    slow = [
        [sum(float(row[k]) * float(logits[k, c] - mean[c]) for k in range(3)) + float(mean[c]) for c in range(2)]
        for row in r
    ]
    torch.testing.assert_close(out, torch.tensor(slow))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_frozen_and_has_the_type_of_the_head(dtype: torch.dtype) -> None:
    _, target = space(0, 4, 6, dtype)
    head = relative_head(publish(linear(4, 3, dtype), target))
    assert (head.in_features, head.out_features, head.weight.dtype) == (6, 3, dtype)
    assert not any(parameter.requires_grad for parameter in head.parameters())


def test_it_draws_no_random_numbers() -> None:
    published = PublishedHead(torch.arange(3), torch.eye(3), torch.zeros(3))
    state = torch.get_rng_state()
    relative_head(published)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_takes_the_order_of_the_anchors_it_is_given() -> None:
    z, source = space(0, 5, 20)
    _, target = space(1, 7, 20)
    published = publish(linear(7, 4), target, mode="regression")
    turned = source.take(torch.randperm(20, generator=torch.Generator().manual_seed(0)))
    head = relative_head(published, turned)
    assert torch.equal(head.anchor_ids, turned.ids)
    out = head(RelativeLayer("whitened")(z, anchors=turned))
    torch.testing.assert_close(out, convert(source, published, "ridge", shrinkage=0.01)(z), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(fold(head, RelativeLayer("whitened"), turned)(z), out, rtol=1e-6, atol=1e-6)
    with pytest.raises(InputError, match=r"must be those of the head, 20 \(got 12, 12 of them the head's\)"):
        relative_head(published, source.take(torch.arange(12)))


def test_other_anchors_and_another_similarity_are_refused() -> None:
    _, source = space(0, 5, 20)
    _, target = space(1, 7, 20)
    head = relative_head(publish(linear(7, 4), target))
    head.check(RelativeLayer("whitened"), source)
    with pytest.raises(InputError, match="same order .got others, or another order"):
        fold(head, RelativeLayer("whitened"), source.take(source.ids.flip(0)))
    with pytest.raises(InputError, match="similarity that the head reads, 'whitened' .got 'cosine'"):
        fold(head, RelativeLayer("cosine"), source)
    with pytest.raises(InputError, match="similarity that the head reads"):
        RelativeModel(nn.Identity(), RelativeLayer("cosine"), head)
    for other in (linear(7, 4), target):
        with pytest.raises(InputError, match=f"'head' must be a PublishedHead .got {type(other).__name__}"):
            relative_head(other)  # type: ignore[arg-type]
    again = pickle.loads(pickle.dumps(copy.deepcopy(head)))
    assert torch.equal(again.anchor_ids, source.ids) and "similarity='whitened'" in repr(again)
