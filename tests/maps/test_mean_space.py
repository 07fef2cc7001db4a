"""Consensus embeddings, compared with an average of rotated runs written out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import relgraph as rg
from relgraph.errors import InputError
from relgraph.maps import consensus_embeddings


def rows(seed: int = 0, count: int = 30, width: int = 4) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int, width: int = 4) -> Tensor:
    return torch.linalg.qr(rows(seed, width, width)).Q


def runs(count: int = 3, noise: float = 0.1) -> list[Tensor]:
    """One space, rotated, scaled and moved, with noise."""
    return [(1 + i) * (rows() + noise * rows(10 + i)) @ rotation(20 + i) + i for i in range(count)]


def test_it_is_the_mean_of_the_translated_runs() -> None:
    spaces, ids = runs(), torch.arange(30)
    published = [rg.AnchorSet(ids, z, z.mean(0)) for z in spaces]
    moved = [spaces[0]] + [
        rg.translate(space, published[0], "procrustes")(z) for space, z in zip(published[1:], spaces[1:], strict=True)
    ]
    found, mean = consensus_embeddings(spaces), sum(moved) / 3
    torch.testing.assert_close(found.embeddings, mean)
    apart = torch.stack([((z - mean) ** 2).sum(1) for z in moved]).mean(0)
    torch.testing.assert_close(found.dispersion, (apart / mean.var(0, correction=0).sum()).sqrt())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 10))
def test_coordinates_of_the_other_runs_do_not_matter(seed: int, scale: float) -> None:
    spaces = runs()
    moved = [spaces[0], *(scale * z @ rotation(seed) + 7 for z in spaces[1:])]
    one, other = consensus_embeddings(spaces), consensus_embeddings(moved)
    torch.testing.assert_close(one.embeddings, other.embeddings)
    torch.testing.assert_close(one.dispersion, other.dispersion)


def test_runs_that_are_copies_have_no_dispersion_and_noise_has() -> None:
    assert float(consensus_embeddings(runs(noise=0)).dispersion.max()) < 1e-6
    noisy = runs(noise=0)
    noisy[1] = noisy[1].clone()
    noisy[1][4] += 9
    assert int(consensus_embeddings(noisy).dispersion.argmax()) == 4


def test_it_is_closer_to_what_the_runs_share_than_a_single_run_is() -> None:
    spaces = runs(8, noise=0.3)
    truth = rows() @ rotation(20)
    mean = consensus_embeddings(spaces).embeddings
    assert float((mean - truth).norm()) < 0.95 * float((spaces[0] - truth).norm())


def test_rows_are_matched_by_id() -> None:
    spaces = runs()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))[:20]
    ids = [torch.arange(30) + 100, order + 100, torch.arange(30) + 100]
    found = consensus_embeddings([spaces[0], spaces[1][order], spaces[2]], ids)
    kept = order.sort().values
    assert torch.equal(found.ids, kept + 100)
    torch.testing.assert_close(found.embeddings, consensus_embeddings([z[kept] for z in spaces]).embeddings)


def test_widths_and_types_may_differ() -> None:
    wide = torch.cat([rows(), rows(5, width=3)], dim=1).float()
    found = consensus_embeddings([rows().float(), wide])
    assert found.embeddings.shape == (30, 4) and found.embeddings.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "at least one run (got none)"),
        (([rows(), rows(count=9)],), "must be given for spaces of different numbers of rows (got 9 and 30)"),
        (([rows()], [torch.arange(9)]), "one id for each row of each space (got [9] for [30] rows)"),
        (([rows()], [torch.arange(30), torch.arange(30)]), "(got [30, 30] for [30] rows)"),
        (([rows(), rows()], [torch.arange(30), torch.arange(28, 58)]), "at least 3 rows in common (got 2)"),
        (([rows() / 0],), "must hold finite numbers"),
    ],
)
def test_inputs_that_do_not_fit(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError) as caught:
        consensus_embeddings(*arguments)
    assert message in str(caught.value)
