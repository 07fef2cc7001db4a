"""Joint training equals training alone, and the plain loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from relgraph.nn.encoders import GCNEncoder
from relgraph.nn.model import Model, RelativeModel
from relgraph.nn.relative import RelativeLayer
from relgraph.problems import Problem, make_problem
from relgraph.training import TrainSettings, fit_many
from relgraph.training.fast import ensemble
from relgraph.training.fast.ensemble import can_train_ensemble
from relgraph.training.trainer import TrainedRun
from tests.handmade import molecules
from tests.training.graphs import clusters

# A seed alone and among others differs in the last bits of batched products, which training amplifies a little.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def problem() -> Problem:
    return make_problem(clusters()).with_anchors(torch.arange(16))


def parameters(run: TrainedRun) -> Tensor:
    return torch.cat([parameter.detach().view(-1) for parameter in run.model.parameters()])


@pytest.mark.parametrize("encoder", ["gcn", "sage", "gat", "transformer", "gin", "mlp", "gcn2"])
@pytest.mark.parametrize("head", ["linear", "relative-cosine", "frozen"])
def test_without_dropout_all_backends_give_the_same_model(problem: Problem, encoder: str, head: str) -> None:
    settings = TrainSettings(epochs=8, dropout=0.0, input_dropout=0.0, head_weight_decay=0.01, log_test=True)
    loop = fit_many(problem, encoder, [3, 4], head=head, settings=settings, backend="loop")  # type: ignore[arg-type]
    for backend in ("ensemble", "sparse") if encoder in ("gcn", "sage") else ("ensemble",):
        runs = fit_many(problem, encoder, [3, 4], head=head, settings=settings, backend=backend)  # type: ignore[arg-type]
        for one, other in zip(runs, loop, strict=True):
            assert (one.backend, other.backend) == (backend, "loop")
            assert one.best_epoch == other.best_epoch
            torch.testing.assert_close(parameters(one), parameters(other), rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(one.history.train_loss, other.history.train_loss, rtol=1e-4, atol=1e-5)
            for part in ("train", "validation", "test"):
                assert getattr(one.history, part) == pytest.approx(getattr(other.history, part), abs=0.02)


@pytest.mark.parametrize("patience", [None, 3])
@pytest.mark.parametrize("head", ["linear", "relative-cosine", "frozen"])
def test_a_seed_alone_equals_the_seed_among_others(problem: Problem, head: str, patience: int | None) -> None:
    settings = TrainSettings(epochs=25, patience=patience)
    among, done = {}, []
    for run in fit_many(problem, "gcn", [0, 2, 5], head=head, settings=settings, progress=done.append):  # type: ignore[arg-type]
        among[run.seed] = run
    assert sum(done) == 75
    for seed in (0, 2, 5):
        alone = fit_many(problem, "gcn", [seed], head=head, settings=settings)[0]  # type: ignore[arg-type]
        assert alone.best_epoch == among[seed].best_epoch
        assert len(alone.history.validation) == len(among[seed].history.validation) == len(alone.history.train_loss)
        torch.testing.assert_close(parameters(alone), parameters(among[seed]), rtol=TOLERANCE, atol=TOLERANCE)
    assert patience is None or min(len(run.history.validation) for run in among.values()) < 25


@pytest.mark.parametrize("backend", ["ensemble", "sparse", "loop"])
def test_probabilities_that_are_certain_train_as_classes_do(problem: Problem, backend: str) -> None:
    settings = TrainSettings(epochs=8, dropout=0.0, input_dropout=0.0)
    soft = problem.with_soft_targets(torch.eye(3)[problem.y])
    hard = problem.with_soft_targets(torch.eye(3)[problem.y])
    hard.soft_targets = None
    assert soft.train.numel() == problem.y.numel()
    one, two = (fit_many(posed, "gcn", [1], settings=settings, backend=backend)[0] for posed in (soft, hard))  # type: ignore[arg-type]
    torch.testing.assert_close(parameters(one), parameters(two), rtol=TOLERANCE, atol=TOLERANCE)
    unsure = problem.with_soft_targets(torch.full((240, 3), 1 / 3))
    (other,) = fit_many(unsure, "gcn", [1], settings=settings, backend=backend)  # type: ignore[arg-type]
    assert float((parameters(one) - parameters(other)).abs().max()) > 0.01


@pytest.mark.parametrize("encoder", ["gcn", "gat", "gcn2"])
def test_seeds_in_parts_that_stay_in_the_cache_give_the_same_models(
    problem: Problem, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, seeds, done = TrainSettings(epochs=6, log_test=True), [0, 2, 5], []
    whole = fit_many(problem, encoder, seeds, settings=settings)
    monkeypatch.setattr(ensemble, "CACHED", 2 * 240 * 64)  # two models at most, for attention one
    parts = fit_many(problem, encoder, seeds, settings=settings, progress=done.append)
    assert [run.seed for run in parts] == seeds and sum(done) == 18
    for one, two in zip(whole, parts, strict=True):
        assert one.best_epoch == two.best_epoch and one.history.test == two.history.test
        torch.testing.assert_close(parameters(one), parameters(two), rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("encoder", ["gcn", "gat"])
def test_seeds_that_have_stopped_are_not_computed(
    problem: Problem, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    real = ensemble._Network.train_loss

    def counted(network: object, parameters: object, generators: list[torch.Generator]) -> Tensor:
        counts.append(len(generators))
        losses = real(network, parameters, generators)  # type: ignore[arg-type]
        assert losses.shape == (len(generators),)
        return losses

    monkeypatch.setattr(ensemble._Network, "train_loss", counted)
    runs = fit_many(problem, encoder, range(5), settings=TrainSettings(epochs=60, patience=3))
    lengths = [len(run.history.validation) for run in runs]
    assert len(set(lengths)) > 1 and all(run.backend == "ensemble" for run in runs)
    assert counts == [sum(length > epoch for length in lengths) for epoch in range(max(lengths))]
    for run, length in zip(runs, lengths, strict=True):
        assert length == min(run.best_epoch + 3, 60)


@pytest.mark.parametrize("backend", ["ensemble", "sparse", "loop"])
def test_the_same_plan_twice_gives_the_same_bits(problem: Problem, backend: str) -> None:
    settings = TrainSettings(epochs=5)
    one, two = (fit_many(problem, "gcn", [0, 1], settings=settings, backend=backend) for _ in range(2))  # type: ignore[arg-type]
    for first, second in zip(one, two, strict=True):
        assert torch.equal(parameters(first), parameters(second))
    assert not torch.equal(parameters(one[0]), parameters(one[1]))


def test_the_model_of_the_best_validation_epoch_is_returned(problem: Problem) -> None:
    run = fit_many(problem, "gcn", [0], settings=TrainSettings(epochs=25, log_test=True))[0]
    assert run.validation == max(run.history.validation) == run.history.validation[run.best_epoch - 1]
    for rows, recorded in ((problem.validation, run.history.validation), (problem.test, run.history.test)):
        accuracy = float((problem.outputs(run.model, rows).argmax(-1) == problem.y[rows]).double().mean())
        assert accuracy == pytest.approx(recorded[run.best_epoch - 1], abs=1e-9)


def test_recording_test_nodes_changes_nothing(problem: Problem) -> None:
    plain, logged = (
        fit_many(problem, "gcn", [0], settings=TrainSettings(epochs=6, log_test=log))[0] for log in (False, True)
    )
    assert plain.best_epoch == logged.best_epoch and plain.history.test == [] and len(logged.history.test) == 6
    torch.testing.assert_close(parameters(plain), parameters(logged), rtol=TOLERANCE, atol=TOLERANCE)


def test_other_models_and_tasks_are_left_to_the_loop(problem: Problem) -> None:
    encoder, head = GCNEncoder(12, 8), nn.Linear(16, 3)
    assert can_train_ensemble(problem, RelativeModel(encoder, RelativeLayer("cosine"), head))
    assert not can_train_ensemble(problem, RelativeModel(encoder, RelativeLayer("cosine", "center"), head))
    assert not can_train_ensemble(problem, RelativeModel(encoder, RelativeLayer("whitened"), head))
    assert not can_train_ensemble(problem, Model(encoder, nn.Sequential(head)))
    assert not can_train_ensemble(problem, Model(GCNEncoder(12, 8, num_layers=3), head))
    assert not can_train_ensemble(problem, Model(nn.Sequential(encoder), head))
    assert not can_train_ensemble(make_problem(molecules()), Model(encoder, head))
