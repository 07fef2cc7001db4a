from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch_geometric.data import Batch

from relgraph.errors import InputError
from relgraph.training import GraphTrainSettings, embed, fit_graphs
from relgraph.training.graphs import _loss
from tests.handmade import molecules

SMALL = GraphTrainSettings(epochs=3, hidden_channels=8, num_layers=1, batch_size=16)


def state(run):
    return torch.cat([value.double().view(-1) for value in run.model.state_dict().values()])


@pytest.mark.parametrize("encoder", ["gcn", "gin", "sage"])
def test_alone_or_among_others_a_seed_gives_the_same_bits(encoder: str) -> None:
    dataset = molecules(tasks=2)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    together = fit_graphs(dataset, encoder, [0, 1], settings=SMALL)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    (alone,) = fit_graphs(dataset, encoder, [1], settings=SMALL)
    assert torch.equal(state(together[1]), state(alone))
    assert not torch.equal(state(together[0]), state(alone))
    assert not alone.model.training and alone.path == "loop"


def test_a_regression_learns_and_speaks_in_the_unit_of_its_targets() -> None:
    dataset = molecules("regression", tasks=2, count=90)
    settings = GraphTrainSettings(epochs=40, hidden_channels=16, num_layers=1, dropout=0.0, lr=0.01)
    (run,) = fit_graphs(dataset, "gin", [0], settings=settings)
    out = run.model.head(embed(run.model, dataset)).detach()
    there = ~dataset.y.isnan()
    error = (out - dataset.y)[there].square().mean().sqrt()
    assert error < 0.5 * dataset.y[there].std()
    assert (
        run.validation == min(run.history.validation) and run.history.validation[run.best_epoch - 1] == run.validation
    )


def test_a_missing_label_moves_nothing() -> None:
    outputs, y = (
        torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True),
        torch.tensor([[1.0, torch.nan], [0.0, 1.0]]),
    )
    for task in ("binary", "regression"):
        (slope,) = torch.autograd.grad(_loss(outputs, y, task), outputs)
        assert slope[0, 1] == 0 and slope.isfinite().all()
    assert _loss(outputs, torch.full_like(y, torch.nan), "binary") == 0


def test_embeddings_are_those_of_the_graphs_in_their_order() -> None:
    dataset = molecules()
    (run,) = fit_graphs(dataset, "gcn", [0], settings=SMALL)
    z = embed(run.model, dataset)
    one = run.model.encode(Batch.from_data_list([dataset.graphs[17]]))
    torch.testing.assert_close(z[17:18], one)
    assert z.shape == (60, 8) and not z.requires_grad


def test_one_class_in_validation_leaves_the_choice_to_the_loss() -> None:
    dataset = molecules()
    ones = (dataset.y[:, 0] == 1).nonzero().view(-1)
    dataset = replace(dataset, validation=ones[:5], train=dataset.train[~torch.isin(dataset.train, ones[:5])])
    (run,) = fit_graphs(dataset, "gcn", [0], settings=SMALL)
    assert run.validation != run.validation and 1 <= run.best_epoch <= 3


def test_early_stopping_and_progress() -> None:
    told: list[int] = []
    settings = replace(SMALL, epochs=30, patience=2, lr=1e-9)
    runs = fit_graphs(molecules("regression"), "gcn", [0, 1], settings=settings, progress=told.append)
    assert sum(told) == 60 and all(len(run.history.validation) < 30 for run in runs)


def test_a_last_batch_of_one_graph_is_left_out() -> None:
    dataset = molecules()
    fit_graphs(replace(dataset, train=dataset.train[:17]), "gin", [0], settings=SMALL)


def test_what_cannot_be_trained_is_refused() -> None:
    dataset = molecules()
    for bad, message in (
        (replace(dataset, train=dataset.train[:1]), "'train' must list at least two graphs .got 1"),
        (replace(dataset, validation=dataset.train[:0]), "'validation' must list at least one graph"),
        (replace(dataset, y=torch.full_like(dataset.y, torch.nan)), "'y' must hold a training label .* task 0"),
    ):
        with pytest.raises(InputError, match=message):
            fit_graphs(bad, "gcn", [0], settings=SMALL)
    with pytest.raises(InputError, match="'seeds' must name at least one"):
        fit_graphs(dataset, "gcn", [])
    with pytest.raises(InputError, match="'encoder' must be one of"):
        fit_graphs(dataset, "mlp", [0], settings=SMALL)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0), ("patience", 0), ("batch_size", 1), ("hidden_channels", 0), ("num_layers", 0), ("lr", 0.0),
        ("weight_decay", -1.0), ("dropout", 1.0),
    ],
)  # fmt: skip
def test_settings_are_checked(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=f"'{setting}' must"):
        GraphTrainSettings(**{setting: value})
