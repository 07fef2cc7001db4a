"""The training loop and the choice of the best epoch, against plain loops written out here."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relgraph.metrics import ACCURACY, RMSE
from relgraph.modes import seeded
from relgraph.nn.model import Model
from relgraph.problems import make_problem
from relgraph.task import Task
from relgraph.training import TrainSettings
from relgraph.training.trainer import BestEpoch, rescale_head, train
from tests.handmade import molecules
from tests.training.graphs import clusters


class Rows:
    """A problem of plain rows, with a record of the modes in which the model is called."""

    def __init__(self, task: Task, x: Tensor, y: Tensor) -> None:
        self.task, self.x, self.y = task, x, y
        self.train, self.validation, self.test = torch.arange(40), torch.arange(40, 60), torch.arange(60, 80)
        self.training: list[bool] = []

    def batches(self, model: Model, settings: TrainSettings) -> Iterator[tuple[Tensor, Tensor]]:
        self.training.append(model.training)
        for rows in self.train.split(settings.batch_size):
            yield model(self.x[rows]), self.y[rows]

    @torch.no_grad()
    def outputs(self, model: Model, rows: Tensor) -> Tensor:
        out: Tensor = model.eval()(self.x[rows])
        return out


def rows(mode: str = "multiclass") -> Rows:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 5, generator=generator)
    y = x[:, :2] * 7 + 100 if mode == "regression" else x[:, :3].argmax(1)
    return Rows(Task.of("graph", mode), x, y)  # type: ignore[arg-type]


def network(outputs: int) -> Model:
    with seeded(1):
        return Model(nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.3)), nn.Linear(8, outputs))


def state(model: nn.Module) -> Tensor:
    return torch.cat([value.double().view(-1) for value in model.state_dict().values()])


def test_the_loop_equals_one_written_out() -> None:
    problem, settings = rows(), TrainSettings(epochs=12, batch_size=16, weight_decay=0.1, head_weight_decay=0.01)
    model, slow = network(3), network(3)
    with seeded(7):
        run = train(problem, model, 7, settings, "mine")  # type: ignore[arg-type]
    best: tuple[float, float] = (-1.0, 0.0)
    with seeded(7):
        adam = torch.optim.Adam(slow.encoder.parameters(), lr=0.01, weight_decay=0.1)
        adam_head = torch.optim.Adam(slow.head.parameters(), lr=0.01, weight_decay=0.01)
        for epoch in range(1, 13):
            slow.train()
            for batch in problem.train.split(16):
                slow.zero_grad()
                F.cross_entropy(slow(problem.x[batch]), problem.y[batch]).backward()
                adam.step()
                adam_head.step()
            logits = problem.outputs(slow, problem.validation)
            y = problem.y[problem.validation]
            found = float((logits.argmax(1) == y).double().mean()), -float(F.cross_entropy(logits, y))
            if found > best:
                best, best_epoch, kept = found, epoch, copy.deepcopy(slow.state_dict())
    slow.load_state_dict(kept)
    assert torch.equal(state(model), state(slow))
    assert (run.best_epoch, run.validation, run.encoder, run.seed, run.backend) == (
        best_epoch,
        best[0],
        "mine",
        7,
        "loop",
    )
    assert len(run.history.validation) == len(run.history.train_loss) == 12 and run.history.test == []
    assert not model.training


def test_every_epoch_trains_in_training_mode() -> None:
    problem = rows()
    train(problem, network(3).eval(), 0, TrainSettings(epochs=3), "")  # type: ignore[arg-type]
    assert problem.training == [True] * 3


def test_only_validation_rows_choose_the_epoch() -> None:
    runs = []
    for change in ("none", "test", "validation"):
        problem = rows()
        part = {"none": problem.test[:0], "test": problem.test, "validation": problem.validation}[change]
        problem.y[part] = (problem.y[part] + 1) % 3
        with seeded(0):
            runs.append(train(problem, network(3), 0, TrainSettings(epochs=30, log_test=True), ""))  # type: ignore[arg-type]
    assert torch.equal(state(runs[0].model), state(runs[1].model))
    assert runs[0].best_epoch != runs[2].best_epoch
    assert runs[0].history.test != runs[1].history.test and runs[0].history.train == runs[2].history.train


def test_a_regression_predicts_in_the_unit_of_its_targets() -> None:
    problem = rows("regression")
    with seeded(0):
        run = train(problem, network(2), 0, TrainSettings(epochs=150, weight_decay=0.0), "")  # type: ignore[arg-type]
    outputs = problem.outputs(run.model, problem.validation)
    assert problem.task.value(problem.y[problem.validation], outputs.numpy()) == pytest.approx(run.validation, rel=1e-4)
    assert run.validation == min(run.history.validation) < 0.6 * float(problem.y.std())
    assert abs(float(outputs.mean()) - 100) < 5  # a head without its rescaled bias predicts around 0


def test_targets_of_a_regression_are_standardized_over_training_rows() -> None:
    models = []
    for change in (0.0, 1000.0):
        problem = rows("regression")
        problem.y[problem.test] += change
        with seeded(0):
            models.append(train(problem, network(2), 0, TrainSettings(epochs=5), "").model)  # type: ignore[arg-type]
    assert torch.equal(state(models[0]), state(models[1]))


def test_a_rescaled_head_is_an_affine_map_of_the_old_one() -> None:
    head, mean, scale = nn.Linear(4, 2), torch.tensor([10.0, -3.0]), torch.tensor([2.0, 5.0])
    z = torch.randn(6, 4)
    wanted = head(z) * scale + mean
    rescale_head(head, mean, scale)
    torch.testing.assert_close(head(z), wanted)


@pytest.mark.parametrize("metric", [ACCURACY, RMSE])
def test_better_is_by_direction_then_by_loss(metric: object) -> None:
    best = BestEpoch(metric, None)  # type: ignore[arg-type]
    sign = 1 if metric is ACCURACY else -1
    values, losses = [0.5, 0.5, 0.5, 0.6, 0.4], [2.0, 1.0, 1.0, 9.0, 0.0]
    found = [
        bool(best.update(i, [sign * v], [loss])) for i, (v, loss) in enumerate(zip(values, losses, strict=True), 1)
    ]
    assert found == [True, True, False, True, False]
    assert best.epochs == [4] and best.values == [sign * 0.6] and best.stopped == [False]


def test_without_a_metric_the_loss_alone_decides() -> None:
    best = BestEpoch(RMSE, None)
    assert [bool(best.update(i, [float("nan")], [loss])) for i, loss in enumerate([3.0, 1.0, 2.0], 1)] == [1, 1, 0]
    assert best.epochs == [2] and best.values[0] != best.values[0]


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_a_run_stops_after_patience_epochs_without_a_better_one(patience: int) -> None:
    best = BestEpoch(ACCURACY, patience, runs=2)
    values = [0.1, 0.2, 0.3] + [0.0] * 9
    stops = [0, 0]
    for epoch, value in enumerate(values, 1):
        best.update(epoch, [value, 0.01 * epoch], [0.0, 0.0])
        for run in (0, 1):
            stops[run] = stops[run] or (epoch if best.stopped[run] else 0)
    assert stops == [3 + patience, 0] and best.epochs == [3, 12]
    best.update(13, [9.0, 0.0], [0.0, 0.0])
    assert best.epochs == [3, 12]  # a stopped run stays as it is


def test_early_stopping_ends_training_and_completes_the_progress() -> None:
    settings = TrainSettings.molecules(epochs=30, patience=2, lr=1e-9, hidden_channels=8, num_layers=1)
    problem, done = make_problem(molecules("regression")), []
    with seeded(0):
        run = train(problem, problem.initialize("gcn", settings), 0, settings, "gcn", done.append)
    assert len(run.history.validation) == run.best_epoch + 2 < 30
    assert sum(done) == 30 and len(done) == len(run.history.validation)


def test_one_class_in_validation_leaves_the_choice_to_the_loss() -> None:
    from dataclasses import replace

    dataset = molecules()
    ones = (dataset.y[:, 0] == 1).nonzero().view(-1)
    dataset = replace(dataset, validation=ones[:5], train=dataset.train[~torch.isin(dataset.train, ones[:5])])
    problem, settings = make_problem(dataset), TrainSettings.molecules(epochs=3, hidden_channels=8, num_layers=1)
    with seeded(0):
        run = train(problem, problem.initialize("gcn", settings), 0, settings, "gcn")
    assert run.validation != run.validation and 1 <= run.best_epoch <= 3


def test_the_best_epoch_is_the_model_that_is_returned() -> None:
    problem, settings = make_problem(clusters()), TrainSettings(epochs=20, log_test=True)
    with seeded(0):
        run = train(problem, problem.initialize("gat", settings), 0, settings, "gat")
    assert run.validation == max(run.history.validation) == run.history.validation[run.best_epoch - 1]
    for part, recorded in ((problem.validation, run.history.validation), (problem.test, run.history.test)):
        hits = problem.outputs(run.model, part).argmax(1) == problem.y[part]
        assert float(hits.double().mean()) == recorded[run.best_epoch - 1]
