"""fit and fit_many: any encoder, seeds that do not influence each other, backends, and errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN, GATConv

from relgraph.errors import DataError, InputError
from relgraph.modes import seeded
from relgraph.nn.encoders import GCNEncoder
from relgraph.problems import make_problem
from relgraph.training import TrainSettings, fit, fit_many, memory
from relgraph.training.trainer import TrainedRun, train
from tests.handmade import molecules
from tests.training.graphs import clusters

MOLECULES = TrainSettings.molecules(epochs=3, hidden_channels=8, num_layers=1, batch_size=16)


@pytest.fixture(scope="module")
def data() -> Data:
    return make_problem(clusters()).with_anchors(torch.arange(16)).data  # type: ignore[no-any-return]


def state(run: TrainedRun | nn.Module) -> Tensor:
    model = run.model if isinstance(run, TrainedRun) else run
    return torch.cat([value.double().view(-1) for value in model.state_dict().values()])


class Attention(nn.Module):
    """A user's own encoder, without reset_parameters and out_channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = GATConv(12, 9)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        out: Tensor = self.conv(x, edge_index).relu()
        return out


@pytest.mark.parametrize("encoder", ["gcn", "gat"])
def test_the_global_generator_is_neither_read_nor_changed(data: Data, encoder: str) -> None:
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        models.append(fit(data, encoder, epochs=2))
        assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(state(models[0]), state(models[1]))


@pytest.mark.parametrize("encoder", ["gcn", "gin", "sage"])
def test_seeds_of_whole_graphs_do_not_influence_each_other(encoder: str) -> None:
    problem = make_problem(molecules(targets=2))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    together = fit_many(problem, encoder, [0, 1], settings=MOLECULES)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    (alone,) = fit_many(problem, encoder, [1], settings=MOLECULES)
    assert torch.equal(state(together[1]), state(alone))
    assert not torch.equal(state(together[0]), state(alone))
    assert not alone.model.training and alone.backend == "loop"


def test_training_of_nodes_restarts_the_random_stream_and_that_of_graphs_continues_it() -> None:
    nodes, graphs = make_problem(clusters()), make_problem(molecules())
    for problem, encoder, settings in ((nodes, "gat", TrainSettings(epochs=2)), (graphs, "gcn", MOLECULES)):
        assert problem.restarts_stream == (problem is nodes)
        with seeded(4):
            model = problem.initialize(encoder, settings)
            if problem is nodes:
                torch.manual_seed(4)
            wanted = train(problem, model, 4, settings, encoder)
        (found,) = fit_many(problem, encoder, [4], settings=settings, backend="loop")
        assert torch.equal(state(found), state(wanted))


@pytest.mark.parametrize("backend", ["ensemble", "sparse", "loop"])
def test_weights_and_dropout_have_seeds_of_their_own(data: Data, backend: Any) -> None:
    def run(seed: int, training_seed: int | None, **others: Any) -> Tensor:
        settings = TrainSettings(epochs=2, **others)
        seeds = None if training_seed is None else [training_seed]
        return state(fit_many(data, "gcn", [seed], training_seeds=seeds, settings=settings, backend=backend)[0])

    assert torch.equal(run(3, 3), run(3, None))
    assert not torch.equal(run(3, 4), run(3, 3)) and not torch.equal(run(3, 4), run(4, 4))
    torch.testing.assert_close(run(3, 4, lr=1e-12), run(3, 3, lr=1e-12))  # the same start
    off = {"dropout": 0.0, "input_dropout": 0.0}
    assert torch.equal(run(3, 4, **off), run(3, 3, **off))


def test_order_of_mini_batches_has_a_seed_of_its_own() -> None:
    def run(seed: int, training_seed: int) -> Tensor:
        pairs = {"seeds": [seed], "training_seeds": [training_seed], "settings": MOLECULES}
        return state(fit_many(molecules(), "gin", **pairs)[0])  # type: ignore[arg-type]

    assert torch.equal(run(0, 1), run(0, 1))
    assert not torch.equal(run(0, 1), run(0, 0)) and not torch.equal(run(0, 1), run(1, 1))


def test_one_training_seed_for_each_run(data: Data) -> None:
    with pytest.raises(InputError, match="'training_seeds' must name one seed for each of 'seeds' .got 1 for 2 seeds"):
        fit_many(data, "gcn", [0, 1], training_seeds=[0])


def test_whole_graphs_are_trained_by_their_own_defaults() -> None:
    one, two = (
        fit(molecules(), "gin", epochs=1),
        fit_many(molecules(), "gin", [0], settings=TrainSettings.molecules(epochs=1)),
    )
    assert torch.equal(state(one), state(two[0]))


def test_a_regression_of_whole_graphs_learns() -> None:
    problem = make_problem(molecules("regression", targets=2, count=90))
    settings = TrainSettings.molecules(epochs=40, hidden_channels=16, num_layers=1, dropout=0.0, lr=0.01)
    (run,) = fit_many(problem, "gin", [0], settings=settings)
    outputs = run.model.head(problem.embed(run.model)).detach()
    known = ~problem.y.isnan()
    error = (outputs - problem.y)[known].square().mean().sqrt()
    assert error < 0.5 * problem.y[known].std()


@pytest.mark.parametrize(
    "encoder", [Attention, GCN(12, 24, 2), lambda: GCN(12, 24, 2)], ids=["class", "module", "function"]
)
def test_a_users_encoder_learns(data: Data, encoder: object) -> None:
    run = fit_many(data, encoder, [0], settings=TrainSettings(epochs=25))[0]  # type: ignore[arg-type]
    assert run.backend == "loop" and run.encoder in ("Attention", "GCN")
    assert run.validation > 0.6
    assert not run.model.training


def test_a_given_module_is_copied_and_reset(data: Data) -> None:
    mine = GCN(12, 24, 2)
    before = state(mine)
    first, second = fit_many(data, mine, [0, 1], settings=TrainSettings(epochs=2))
    assert torch.equal(before, state(mine))
    assert not torch.equal(state(first), state(second))


def test_a_relative_head_reads_the_anchors(data: Data) -> None:
    assert fit(data, "gcn", head="relative-cosine", epochs=2).head.in_features == 16
    with pytest.raises(InputError, match="AddAnchors"):
        fit(clusters(), "gcn", head="relative-cosine", epochs=2)


def test_more_seeds_than_memory_allows_are_trained_in_parts(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainSettings(epochs=3)
    whole = fit_many(data, "gcn", [0, 1, 2], settings=settings)
    monkeypatch.setattr("relgraph.training.fitting.runs_that_fit", lambda *args, **options: 2)
    parts = fit_many(data, "gcn", [0, 1, 2], settings=settings)
    assert [run.seed for run in parts] == [0, 1, 2]
    for one, two in zip(whole, parts, strict=True):
        torch.testing.assert_close(state(one), state(two), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("encoder", ["gcn", "gat"])
def test_a_graph_that_does_not_fit_in_memory_is_refused(
    data: Data, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
    with pytest.raises(DataError, match=r"fit in memory as one batch: 240 nodes need about .* GiB"):
        fit(data, encoder, epochs=1)


def test_memory_allows_more_runs_where_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, counts = make_problem(clusters()), []
    for free in (10_000_000, 40_000_000):
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        counts.append([memory.runs_that_fit(problem, TrainSettings(), sparse=sparse) for sparse in (True, False)])
    assert 1 <= counts[0][0] < counts[1][0] and counts[1][1] < counts[1][0]


def test_backends_are_chosen_by_model_and_size(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(encoder: object, **options: object) -> str:
        settings = TrainSettings(epochs=1, num_layers=options.pop("num_layers", None))  # type: ignore[arg-type]
        return fit_many(data, encoder, [0], settings=settings, **options)[0].backend  # type: ignore[arg-type]

    assert [backend(name) for name in ("gcn", "sage", "gat", GCNEncoder(12, 8))] == [
        "ensemble", "ensemble", "ensemble", "ensemble",
    ]  # fmt: skip
    assert backend("gcn", num_layers=3) == "loop" and backend("gcn", num_layers=3, backend="sparse") == "sparse"
    assert backend("gcn", head="relative-cosine") == "ensemble" and backend("gcn", backend="loop") == "loop"
    monkeypatch.setattr("relgraph.training.settings.LARGE", 240)
    assert [backend(name) for name in ("gcn", "sage", "gat")] == ["sparse", "sparse", "loop"]
    assert backend("gcn", num_layers=3) == "sparse" and backend("gcn", backend="ensemble") == "ensemble"
    with pytest.raises(InputError, match="'backend' must be one of auto, ensemble, loop for 'gat' .got 'sparse'"):
        backend("gat", backend="sparse")
    with pytest.raises(InputError, match="'backend' must be one of auto, ensemble, loop, sparse .got 'whole'"):
        backend("gcn", backend="whole")
    with pytest.raises(InputError, match="'backend' must be one of auto, loop for 'gcn'"):
        fit_many(molecules(), "gcn", [0], settings=MOLECULES, backend="ensemble")


@pytest.mark.parametrize("encoder", ["gcn", "sage"])
def test_two_layers_are_the_default_depth(data: Data, encoder: str) -> None:
    two, same = (fit_many(data, encoder, [0], settings=TrainSettings(epochs=2, num_layers=n))[0] for n in (2, None))
    assert torch.equal(state(two), state(same))
    assert len(fit(data, encoder, epochs=1, num_layers=3).encoder) == 3
    with pytest.raises(InputError, match="'num_layers' must be 2 for the encoder 'gat'"):
        fit(data, "gat", epochs=1, num_layers=3)


def test_progress_counts_the_epochs_of_all_runs(data: Data) -> None:
    for backend in ("ensemble", "loop", "sparse"):
        done: list[int] = []
        fit_many(data, "gcn", [0, 1, 2], settings=TrainSettings(epochs=4), backend=backend, progress=done.append)  # type: ignore[arg-type]
        assert sum(done) == 12


def test_wrong_arguments_are_one_sentence(data: Data) -> None:
    with pytest.raises(InputError, match="'settings' must be one of .*did you mean 'epochs'"):
        fit(data, "gcn", epoch=3)
    with pytest.raises(InputError, match="'epochs' must be at least 1"):
        fit(data, "gcn", epochs=0)
    with pytest.raises(InputError, match="'epochs' must be a whole number .got '3'"):
        fit(data, "gcn", epochs="3")
    with pytest.raises(InputError, match="'seed' must be a whole number .got 'a'"):
        fit(data, "gcn", seed="a")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'seeds' must be a whole number .got 1.5"):
        fit_many(data, "gcn", [0, 1.5])  # type: ignore[list-item]
    with pytest.raises(InputError, match="'training_seeds' must be a whole number .got 'a'"):
        fit_many(data, "gcn", [0], training_seeds=["a"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="'seeds' must name at least one"):
        fit_many(data, "gcn", [])


def test_a_class_without_training_nodes_and_empty_rows_stay_finite() -> None:
    data = clusters(60)
    data.x[:5] = 0
    data.train_mask = data.train_mask & (data.y != 2)
    data = make_problem(data).with_anchors(torch.arange(8)).data
    for encoder in ("gcn", "sage", "gat"):
        for head in ("linear", "relative-cosine"):
            model = fit(data, encoder, head=head, epochs=3)  # type: ignore[arg-type]
            assert torch.isfinite(model.predict(data)).all()
            assert model.head.out_features == 3
