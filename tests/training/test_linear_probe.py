"""A linear head on fixed vectors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.training.linear_probe import fit_linear_head, measurable_head


@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes_are_separated(classes: int):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(90) % classes
    r = torch.eye(classes)[y] + 0.1 * torch.randn(90, classes, generator=generator)
    head = fit_linear_head(r, y, torch.arange(30), torch.arange(30, 60), classes)
    assert (head(r).argmax(-1) == y).float().mean() > 0.95
    assert not any(parameter.requires_grad for parameter in head.parameters())


def test_a_class_without_training_nodes_is_never_predicted():
    r = torch.rand(60, 5, generator=torch.Generator().manual_seed(0))
    y = torch.arange(60) % 3
    train = (y != 1).nonzero().view(-1)[:20]
    head = fit_linear_head(r, y, train, torch.arange(40, 60), 3)
    assert head.out_features == 3
    assert 1 not in head(r).argmax(-1)
    assert torch.isfinite(head(r)).all()


def test_one_class_in_training_predicts_that_class():
    r = torch.rand(20, 4)
    y = torch.arange(20) % 2
    head = fit_linear_head(r, y, (y == 1).nonzero().view(-1), torch.arange(20), 2)
    assert (head(r).argmax(-1) == 1).all()


def test_only_the_given_strengths_are_tried():
    y = torch.arange(60) % 3
    r = torch.eye(3)[y] + 0.1 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(60)
    weak, strong = (fit_linear_head(r, y, rows, rows, 3, strengths=[c]).weight.norm() for c in (100.0, 0.1))
    assert weak > 2 * strong


def test_many_training_rows_are_sampled_always_in_the_same_way(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("relgraph.training.linear_probe.MOST_ROWS", 50)
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(400) % 3
    r = torch.eye(3)[y] + 0.3 * torch.randn(400, 3, generator=generator)
    rows = torch.arange(200)
    one, again = (fit_linear_head(r, y, rows, torch.arange(200, 300), 3) for _ in range(2))
    assert torch.equal(one.weight, again.weight)
    assert (one(r[300:]).argmax(-1) == y[300:]).float().mean() > 0.9
    monkeypatch.undo()
    assert not torch.equal(one.weight, fit_linear_head(r, y, rows, torch.arange(200, 300), 3).weight)


def test_a_sample_has_a_row_of_every_class(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("relgraph.training.linear_probe.MOST_ROWS", 20)
    y = torch.zeros(400, dtype=torch.int64)
    y[200:399], y[399] = 1, 2
    r = 9 * torch.eye(3)[y]
    assert fit_linear_head(r, y, torch.arange(400), torch.arange(400), 3)(r).argmax(-1).equal(y)


def test_the_strength_is_chosen_on_validation_rows() -> None:
    """Noisy training labels: a weak penalty fits the noise, which either the validation or the test rows repeat."""
    generator = torch.Generator().manual_seed(0)
    r = torch.cat([torch.randn(60, 1, generator=generator), 0.3 * torch.randn(60, 80, generator=generator)], dim=1)
    clean = (r[:, 0] > 0).long()
    noisy = torch.where(torch.rand(60, generator=generator) < 0.3, 1 - clean, clean)
    both, y = torch.cat([r, r]), torch.cat([noisy, clean])
    train, repeated, other = torch.arange(60), torch.arange(30), torch.arange(60, 120)

    def probe(validation: Tensor, **options: object) -> Tensor:
        return fit_linear_head(both, y, train, validation, 2, **options).weight  # type: ignore[arg-type]

    weak, strong = (probe(train, strengths=[strength]) for strength in (1000.0, 0.1))
    assert torch.equal(probe(repeated, strengths=[0.1, 1000.0]), weak)
    assert torch.equal(probe(other, strengths=[0.1, 1000.0]), strong)


def test_no_row_is_predicted_by_a_head_that_its_own_label_chose() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(190) % 3
    r = torch.cat([torch.eye(3)[y], torch.zeros(190, 20)], dim=1) + 0.9 * torch.randn(190, 23, generator=generator)
    train, check, strengths = torch.arange(60), torch.arange(60, 117), (0.001, 0.1, 100.0)
    head, predictions = measurable_head(r, y, train, check, 3, strengths)
    own = fit_linear_head(r, y, train, check, 3, strengths)
    assert torch.equal(head.weight, own.weight) and torch.equal(head.bias, own.bias)
    for part in torch.randperm(57, generator=torch.Generator().manual_seed(0)).chunk(5):
        rest = check[torch.ones(57, dtype=torch.bool).index_fill_(0, part, False)]
        expected = fit_linear_head(r, y, train, rest, 3, strengths)(r[check[part]]).argmax(1)
        assert torch.equal(predictions[part], expected)


@pytest.mark.parametrize("wrong", [3, -1])
def test_a_class_without_an_output_is_refused_in_training_rows_alone(wrong: int) -> None:
    r, y, train = torch.rand(30, 4), torch.arange(30) % 3, torch.arange(20)
    y[25] = wrong
    assert fit_linear_head(r, y, train, torch.arange(20, 30), 3).out_features == 3
    with pytest.raises(
        InputError, match=f"'y' must have classes from 0 to 2, one for each of 3 outputs, .* to train on .got {wrong}"
    ):
        fit_linear_head(r, y, torch.arange(30), torch.arange(20), 3)
