"""Dropout: the share dropped, the scale of the rest, and the random numbers used."""

from __future__ import annotations

import pytest
import torch

from relgraph.nn.dropout import dropout, keep_mask


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("p", [0.01, 0.25, 0.5, 0.8, 0.99])
def test_the_share_dropped_is_p_and_the_rest_is_scaled(p: float) -> None:
    count = 200_003
    mask = keep_mask(torch.Size([count]), p, [seeded(0)], torch.zeros(1, dtype=torch.float64))[0]
    dropped = float((mask == 0).double().mean())
    assert abs(dropped - p) < 5 * (p * (1 - p) / count) ** 0.5 + 1 / 131_072
    torch.testing.assert_close(mask[mask != 0].unique(), torch.tensor([1 / (1 - p)], dtype=torch.float64))


def test_adjacent_values_are_dropped_independently() -> None:
    """Four values share one random number of 64 bits; every pattern of them must be as frequent as any other."""
    mask = keep_mask(torch.Size([80_000]), 0.5, [seeded(1)], torch.zeros(1))[0] > 0
    patterns = (mask.view(-1, 4).long() * torch.tensor([8, 4, 2, 1])).sum(1).bincount(minlength=16)
    expected = 20_000 / 16
    assert float(((patterns - expected) ** 2 / expected).sum()) < 37.7  # chi squared, 15 degrees of freedom, 0.1 %


@pytest.mark.parametrize("shape", [(5, 3), (4,), (1, 1, 7), (0, 3), ()])
def test_masks_of_a_seed_do_not_depend_on_other_seeds(shape: tuple[int, ...]) -> None:
    size, like = torch.Size(shape), torch.zeros(1)
    alone = [keep_mask(size, 0.5, [seeded(seed)], like)[0] for seed in (3, 4, 5)]
    together = keep_mask(size, 0.5, [seeded(5), seeded(3), seeded(4)], like)
    assert together.shape == (3, *shape)
    for place, mask in zip((1, 2, 0), alone, strict=True):
        assert torch.equal(together[place], mask)


def test_later_masks_of_a_generator_are_new() -> None:
    generator, like = seeded(0), torch.zeros(1)
    first, second = (keep_mask(torch.Size([64]), 0.5, [generator], like) for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_masks_have_the_type_of_like(dtype: torch.dtype) -> None:
    assert keep_mask(torch.Size([3]), 0.5, [seeded(0)], torch.zeros(1, dtype=dtype)).dtype == dtype
    with torch.random.fork_rng(devices=[]):
        assert dropout(torch.ones(3, dtype=dtype), 0.5, training=True).dtype == dtype


def test_nothing_happens_without_training_or_at_p_0() -> None:
    x, state = torch.rand(5, 3), torch.get_rng_state()
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0, training=True) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_the_global_seed_decides_and_gradients_pass_where_values_do() -> None:
    outs = []
    for seed in (0, 0, 1):
        x = torch.ones(40, dtype=torch.float64, requires_grad=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            out = dropout(x, 0.75, training=True)
        out.sum().backward()
        assert x.grad is not None
        assert torch.equal(x.grad, out.detach())
        assert set(out.tolist()) == {0.0, 4.0}
        outs.append(out.detach())
    assert torch.equal(outs[0], outs[1]) and not torch.equal(outs[0], outs[2])


def test_empty_tensors_pass() -> None:
    with torch.random.fork_rng(devices=[]):
        assert dropout(torch.ones(0, 4), 0.5, training=True).shape == (0, 4)


@pytest.mark.parametrize("p", [0.999_999, 1.0])
def test_probabilities_near_one_drop_everything(p: float) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not dropout(torch.ones(50), p, training=True).any()
