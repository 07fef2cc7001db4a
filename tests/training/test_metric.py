from __future__ import annotations

import numpy as np
import pytest

from relgraph.datasets.evaluate import evaluate
from relgraph.errors import InputError
from relgraph.training import METRICS, metric_named


@pytest.mark.parametrize(
    ("metric", "name", "tasks"),
    [
        ("rocauc", "ogbg-molbace", 1), ("rocauc", "ogbg-moltox21", 12), ("rmse", "ogbg-molesol", 1),
        ("ap", "ogbg-molpcba", 128),
    ],
)  # fmt: skip
def test_values_are_those_of_ogbs_evaluator(metric: str, name: str, tasks: int) -> None:
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(50, tasks)).round(1)
    y = rng.normal(size=(50, tasks)) if metric == "rmse" else (rng.random((50, tasks)) < 0.4).astype(float)
    if tasks > 1:
        y[rng.random(y.shape) < 0.3] = np.nan
        y[:, 1] = 0  # a label of one class says nothing
    assert METRICS[metric].value(y, outputs) == pytest.approx(evaluate(name, y, outputs), abs=1e-6)


def test_nothing_to_measure_is_nan() -> None:
    ones, missing = np.ones((3, 1)), np.full((3, 1), np.nan)
    assert np.isnan(METRICS["rocauc"].value(ones, ones)) and np.isnan(METRICS["rmse"].value(missing, ones))


def test_floors_are_what_a_constant_gets() -> None:
    y_train, y = np.array([[0.0], [1.0], [1.0], [np.nan]]), np.array([[1.0], [0.0], [1.0], [1.0]])
    assert METRICS["rmse"].floor(y_train, y) == pytest.approx(np.sqrt(np.mean((y - 2 / 3) ** 2)))
    assert METRICS["rocauc"].floor(y_train, y) == 0.5 == METRICS["rocauc"].value(y, np.zeros_like(y))
    assert METRICS["ap"].floor(y_train, y) == 0.75


def test_directions_and_names() -> None:
    assert METRICS["rocauc"].better(0.8, 0.7) and METRICS["rmse"].better(0.7, 0.8)
    with pytest.raises(InputError, match="'metric' must be one of ap, rmse, rocauc .got 'acc'"):
        metric_named("acc")
