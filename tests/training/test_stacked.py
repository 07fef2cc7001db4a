"""Side by side equals alone equals the plain loop."""

from __future__ import annotations

import pytest
import torch

import relgraph as rg
from relgraph.nn.relative import RelativeLayer
from relgraph.training import TrainSettings, apply_protocol, fit_many

# A seed alone and among others differs in the last bits of batched products, which training amplifies a little.
TOLERANCE = 1e-5
QUIET = {"dropout": 0.0, "input_dropout": 0.0}


@pytest.fixture(scope="module")
def data():
    return rg.AddAnchors(16)(apply_protocol(rg.load_dataset("digits"), "random")[0])


def parameters(run):
    return torch.cat([parameter.detach().view(-1) for parameter in run.model.parameters()])


@pytest.mark.parametrize("encoder", ["gcn", "sage"])
@pytest.mark.parametrize("head", ["linear", "relative-cosine"])
def test_without_dropout_the_paths_give_the_same_model(data, encoder: str, head: str):
    settings = TrainSettings(epochs=8, **QUIET, log_test=True)
    stacked = fit_many(data, encoder, [3, 4], head=head, settings=settings)
    loop = fit_many(data, encoder, [3, 4], head=head, settings=settings, path="loop")
    assert [run.path for run in stacked + loop] == ["stacked", "stacked", "loop", "loop"]
    for one, two in zip(stacked, loop, strict=True):
        assert one.best_epoch == two.best_epoch
        torch.testing.assert_close(parameters(one), parameters(two), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(one.history.train_loss, two.history.train_loss, rtol=1e-4, atol=1e-5)
        for part in ("train", "validation", "test"):
            torch.testing.assert_close(getattr(one.history, part), getattr(two.history, part), rtol=0, atol=2e-3)


@pytest.mark.parametrize("head", ["linear", "relative-cosine"])
def test_a_seed_alone_equals_the_seed_among_others(data, head: str):
    settings = TrainSettings(epochs=10)
    alone = fit_many(data, "gcn", [2], head=head, settings=settings)[0]
    among = fit_many(data, "gcn", [0, 2, 5], head=head, settings=settings)[1]
    assert alone.best_epoch == among.best_epoch
    torch.testing.assert_close(parameters(alone), parameters(among), rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("path", ["auto", "loop"])
def test_the_same_plan_twice_gives_the_same_bits(data, path: str):
    settings = TrainSettings(epochs=5)
    one, two = (fit_many(data, "gcn", [0, 1], settings=settings, path=path) for _ in range(2))
    for first, second in zip(one, two, strict=True):
        assert torch.equal(parameters(first), parameters(second))
    assert not torch.equal(parameters(one[0]), parameters(one[1]))


def test_what_is_kept_is_the_best_validation_epoch(data):
    run = fit_many(data, "gcn", [0], settings=TrainSettings(epochs=25, log_test=True))[0]
    assert run.validation == max(run.history.validation)
    assert run.history.validation[run.best_epoch - 1] == run.validation
    predicted = run.model.predict(data).argmax(-1)
    for mask, recorded in ((data.val_mask, run.history.validation), (data.test_mask, run.history.test)):
        accuracy = float((predicted == data.y)[mask].double().mean())
        assert accuracy == pytest.approx(recorded[run.best_epoch - 1], abs=1e-9)


def test_test_accuracy_is_recorded_only_when_asked(data):
    run = fit_many(data, "gcn", [0], settings=TrainSettings(epochs=2))[0]
    assert run.history.test == []
    assert len(run.history.validation) == len(run.history.train_loss) == 2


def test_logging_the_test_nodes_changes_nothing(data):
    plain, logged = (fit_many(data, "gcn", [0], settings=TrainSettings(epochs=6, log_test=log))[0] for log in (0, 1))
    assert plain.best_epoch == logged.best_epoch
    torch.testing.assert_close(parameters(plain), parameters(logged), rtol=TOLERANCE, atol=TOLERANCE)


def test_progress_counts_model_epochs(data):
    told: list[int] = []
    fit_many(data, "gcn", [0, 1, 2], settings=TrainSettings(epochs=4), progress=told.append)
    assert sum(told) == 12
    told.clear()
    fit_many(data, "gcn", [0, 1], settings=TrainSettings(epochs=4), path="loop", progress=told.append)
    assert sum(told) == 8


def test_other_relative_layers_are_left_to_the_loop(data):
    from relgraph.nn.encoders import GCNEncoder
    from relgraph.nn.model import Model, RelativeModel
    from relgraph.training.stacked import can_stack

    encoder, head = GCNEncoder(64, 8), torch.nn.Linear(16, 10)
    assert can_stack(RelativeModel(encoder, RelativeLayer("cosine"), head))
    assert not can_stack(RelativeModel(encoder, RelativeLayer("cosine", "center"), head))
    assert not can_stack(RelativeModel(encoder, RelativeLayer("whitened"), head))
    assert not can_stack(Model(encoder, torch.nn.Sequential(head)))
    assert not can_stack(Model(GCNEncoder(64, 8, num_layers=3), head))
    assert not can_stack(Model(torch.nn.Sequential(encoder), head))
