from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from relgraph.datasets.evaluate import evaluate
from relgraph.errors import InputError


def _binary(rows: int, tasks: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (rows, tasks), generator=generator).float()
    return y, torch.randn(rows, tasks, generator=generator)


@pytest.mark.parametrize("name", ["ogbn-arxiv", "ogbn-products", "ogbn-mag", "ogbg-ppa"])
def test_accuracy_in_both_shapes_without_missing_labels(name: str) -> None:
    true, predicted = torch.tensor([0, 1, 2, -1]), torch.tensor([0, 1, 1, 0])
    assert evaluate(name, true, predicted) == pytest.approx(2 / 3)
    assert evaluate(name, true[:, None], predicted[:, None].numpy()) == pytest.approx(2 / 3)
    assert evaluate(name, torch.tensor([0, 1, 2, torch.nan]), predicted) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("name", "tasks", "score"),
    [
        ("ogbn-proteins", 112, roc_auc_score),
        ("ogbg-moltox21", 12, roc_auc_score),
        ("ogbg-molbace", 1, roc_auc_score),
        ("ogbg-molmuv", 17, average_precision_score),
    ],
)
def test_binary_labels_are_scored_column_by_column_where_they_are_known(name: str, tasks: int, score) -> None:
    y, predicted = _binary(60, tasks)
    y[:7, 0] = torch.nan
    known = ~y.isnan()
    expected = [score(y[known[:, t], t].numpy(), predicted[known[:, t], t].numpy()) for t in range(tasks)]
    before = y.clone(), predicted.clone()
    assert evaluate(name, y, predicted) == pytest.approx(np.mean(expected))
    assert evaluate(name, y, predicted.to(torch.bfloat16).requires_grad_()) == pytest.approx(
        np.mean(expected), abs=0.02
    )
    torch.testing.assert_close(before, (y, predicted), equal_nan=True)


def test_regression_is_the_root_of_the_mean_squared_error() -> None:
    true, predicted = torch.tensor([1.0, 2.0, torch.nan]), torch.tensor([1.0, 4.0, 9.0])
    assert evaluate("ogbg-molesol", true, predicted) == pytest.approx(2**0.5)


def test_wrong_input_is_one_sentence() -> None:
    y, predicted = _binary(6, 1)
    with pytest.raises(InputError, match=r"'name' must be one of .* \(got 'ogbn-arxif'\); did you mean 'ogbn-arxiv'"):
        evaluate("ogbn-arxif", y, predicted)
    with pytest.raises(InputError, match="'name' must be one of"):
        evaluate("ogbg-code2", y, predicted)
    with pytest.raises(InputError, match=r"the shape \(n, 1\) for 'ogbn-arxiv' \(got \(6,\) and \(6, 40\)\).*argmax"):
        evaluate("ogbn-arxiv", y[:, 0], torch.zeros(6, 40))
    with pytest.raises(InputError, match=r"the shape \(n, 12\)"):
        evaluate("ogbg-moltox21", y, predicted)
    with pytest.raises(InputError, match="must be finite .got 1 NaN"):
        evaluate("ogbg-molbace", y, predicted.index_fill(0, torch.tensor([2]), torch.nan))
    with pytest.raises(InputError, match="a label of 'ogbn-arxiv' in every column"):
        evaluate("ogbn-arxiv", torch.tensor([-1, -1]), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="0 and 1 for rocauc of 'ogbg-molbace'"):
        evaluate("ogbg-molbace", torch.ones(6, 1), predicted)
