from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from relgraph.tables.trust import FEWEST, LEVEL, Trust, conformal_quantiles, logarithms, principal_axes
from tests.spaces import F64, normal


def rows(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Offsets, translations, and true rows whose errors grow with the first coordinate."""
    x = normal(count, 8, seed=seed) * torch.tensor([4, 3, 2, 2, 1, 1, 1, 1], dtype=F64)
    noise = normal(count, 5, seed=seed + 1) * (0.05 * x[:, :1].abs())
    turned = x @ normal(8, 5, seed=77)
    return x, turned, turned + noise


def test_expected_cosines_are_right_on_average_and_intervals_cover() -> None:
    x, translated, true = rows(1500, 0)
    trust = Trust.calibrate(x, translated, true, axes := principal_axes(x))
    assert trust is not None
    fresh, there, truth = rows(20_000, 5)
    found = trust(fresh @ axes, fresh, there)
    cosines = torch.nn.functional.cosine_similarity(there, truth)
    assert float(found[:, 0].mean()) == pytest.approx(float(cosines.mean()), abs=0.003)
    assert spearmanr(found[:, 0], cosines)[0] > 0.5
    covered = (cosines >= found[:, 1]) & (cosines <= found[:, 2])
    assert float(covered.double().mean()) == pytest.approx(LEVEL, abs=0.025)
    single = trust((fresh @ axes).float(), fresh.float(), there.float())
    torch.testing.assert_close(single.double(), found, atol=1e-4, rtol=0)


def test_energies_are_sums_of_squares_along_the_axes() -> None:
    x, translated, _ = rows(60, 0)
    axes = principal_axes(x)
    assert axes.shape == (8, 2) and principal_axes(normal(30, 40)).shape == (40, 10)
    vectors = torch.linalg.svd(x, full_matrices=False)[2]
    found = logarithms(x @ axes, x, translated).exp()
    along = (x @ vectors.mT).square()
    wanted = [along[:, 0], along[:, 1], along[:, 2:].sum(1), along.sum(1), translated.square().sum(1)]
    torch.testing.assert_close(found, torch.stack(wanted, dim=1))


def test_quantiles_cover_a_new_value_at_the_level() -> None:
    rng, hits = np.random.default_rng(0), []
    for _ in range(2000):
        *known, new = rng.normal(size=100)
        high, low = conformal_quantiles(np.array(known))
        hits.append(low <= new <= high)
    assert np.mean(hits) == pytest.approx(LEVEL, abs=0.02)


def test_too_few_rows_give_no_trust_and_degenerate_ones_finite_numbers() -> None:
    x, translated, true = rows(FEWEST, 0)
    axes = principal_axes(x)
    assert Trust.calibrate(x[1:], translated[1:], true[1:], axes) is None
    assert Trust.calibrate(x, 0 * translated, true, axes) is None
    exact = Trust.calibrate(x, true, true, axes)
    assert exact is not None
    found = exact(torch.cat([x, 0 * x]) @ axes, torch.cat([x, 0 * x]), torch.cat([true, 0 * true]))
    assert bool(found.isfinite().all()) and float(found[: len(x), 0].min()) > 0.999


def test_one_row_far_beyond_all_others_overflows_nothing() -> None:
    spread = normal(400, 1, seed=3)
    x = torch.nn.functional.normalize(normal(400, 8), dim=1) * (1 + 0.01 * spread)  # of nearly one size
    y = x[:, :5]
    true = y + 0.1 * (-spread).exp() * normal(400, 5, seed=1) * y.norm(dim=1, keepdim=True)  # errors fall steeply
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x[7], y = x[7] * 1e6, torch.cat([y[:7], y[7:8] * 1e6, y[8:]])
        trust = Trust.calibrate(x, y, true, principal_axes(x))
    assert trust is not None and bool(trust.factors.isfinite().all())
