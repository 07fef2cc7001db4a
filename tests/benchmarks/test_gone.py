"""Which published anchors are left after a loss."""

from __future__ import annotations

import pytest
import torch

from benchmarks.versions.gone import LOSSES, SHARES, STUDY, mean_and_error, remaining

DEGREES = torch.tensor([5, 1, 9, 3, 7, 2, 8, 4, 6, 0])
ANCHORS = torch.tensor([8, 2, 5, 9, 0, 4])  # of 6, 9, 2, 0, 5 and 7 neighbors


@pytest.mark.parametrize(
    ("loss", "left"),
    [
        ("random", [9, 0, 4]),
        ("fewest-neighbors", [8, 2, 4]),
        ("hubs", [5, 9, 0]),
        ("oldest", [8, 5, 9]),
    ],
)
def test_half_of_the_anchors_are_left(loss: str, left: list[int]) -> None:
    assert remaining(ANCHORS, 0.5, loss, DEGREES).tolist() == left


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_left_keeps_its_order_and_its_share(loss: str) -> None:
    anchors = torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:300]
    degrees = torch.randint(5, (1000,), generator=torch.Generator().manual_seed(1))
    for share in SHARES:
        left = remaining(anchors, share, loss, degrees)
        assert len(left) == 300 - round(share * 300)
        assert torch.equal(left, anchors[torch.isin(anchors, left)])
        gone = anchors[~torch.isin(anchors, left)]
        if loss == "hubs":
            assert degrees[gone].min() >= degrees[left].max()
        if loss == "fewest-neighbors":
            assert degrees[gone].max() <= degrees[left].min()
        if loss == "oldest":
            assert gone.max() < left.min()


def test_among_equals_the_random_order_of_the_anchors_decides() -> None:
    equal = torch.ones(10, dtype=torch.int64)
    for loss in ("fewest-neighbors", "hubs"):
        assert torch.equal(remaining(ANCHORS, 0.5, loss, equal), ANCHORS[3:])


def test_mean_and_standard_error_of_differences() -> None:
    mean, error = mean_and_error(torch.tensor([0.01, 0.03, 0.02], dtype=torch.float64).numpy())
    assert (mean, error) == pytest.approx((0.02, 0.01 / 3**0.5))
    assert mean_and_error(torch.zeros(1).numpy())[0] == 0


def test_cells_are_consecutive_and_two_step_releases() -> None:
    cells = STUDY.cells()
    assert {(cell["old"], cell["new"]) for cell in cells if cell["graph"] == "cora"} == {(0, 1)}
    for graph, encoder in (("arxiv-folded", "gcn"), ("arxiv-folded", "sage"), ("arxiv-anew", "sage")):
        found = [cell for cell in cells if (cell["graph"], cell["encoder"]) == (graph, encoder)]
        assert {cell["published"] for cell in found} == {1024, 4096}
        assert {cell["new"] - cell["old"] for cell in found} == {1, 2} and len(found) == 2 * 7
