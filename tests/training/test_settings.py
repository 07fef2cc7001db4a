"""Settings: their ranges, and the defaults that depend on the data."""

from __future__ import annotations

import pytest

from relgraph.errors import InputError
from relgraph.problems import make_problem
from relgraph.training import TrainSettings, default_anchors, keeps_runs
from tests.handmade import molecules
from tests.training.graphs import clusters


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0), ("patience", 0), ("batch_size", 1), ("hidden_channels", 0), ("num_layers", 0), ("lr", 0.0),
        ("weight_decay", -1.0), ("head_weight_decay", float("nan")), ("dropout", 1.0), ("input_dropout", -0.1),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=f"'{setting}' must"):
        TrainSettings(**{setting: value})  # type: ignore[arg-type]


def test_kipf_welling_are_the_published_settings() -> None:
    """Kipf and Welling (2017), section 5.2, with 64 hidden channels and dropout on the features as well."""
    kipf = {"epochs": 200, "lr": 0.01, "weight_decay": 5e-4, "head_weight_decay": 0.0, "hidden_channels": 64}
    kipf |= {"num_layers": None, "dropout": 0.5, "input_dropout": 0.5, "patience": None, "batch_size": 32}
    found = TrainSettings.named("kipf-welling")
    assert found.to_dict() == kipf | {"log_test": False} == TrainSettings.for_data(clusters(), "gcn", found).to_dict()
    assert TrainSettings.named("kipf-welling", epochs=3).epochs == 3
    with pytest.raises(InputError, match="did you mean 'kipf-welling'"):
        TrainSettings.named("kipf-weling")


def test_defaults_depend_on_the_data() -> None:
    small, graphs = make_problem(clusters()), make_problem(molecules())
    assert TrainSettings.for_data(small, "gcn") == TrainSettings()
    assert TrainSettings.for_data(clusters(), "gat", lr=0.5) == TrainSettings(lr=0.5)
    for data in (graphs, graphs.data):
        found = TrainSettings.for_data(data, "gin", epochs=3)
        assert found == TrainSettings.molecules(epochs=3)
        assert (found.lr, found.patience, found.hidden_channels, found.weight_decay) == (0.001, 15, 128, 0.0)


def test_datasets_of_ogb_get_as_many_layers_as_all_encoders_can_have() -> None:
    data = clusters()
    data.dataset_name = "ogbn-arxiv"
    for encoders, layers in (("gcn", 3), (("gcn", "sage"), 3), (["gcn", "gat"], None), ("gat", None), (object(), None)):
        found = TrainSettings.for_data(data, encoders)
        assert (found.num_layers, found.epochs, found.input_dropout, found.weight_decay) == (layers, 100, 0.0, 2e-3)


def test_large_problems_get_more_anchors_and_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, graphs = make_problem(clusters(300)), make_problem(molecules())
    assert (default_anchors(problem), keeps_runs(problem)) == (32, False)
    assert default_anchors(graphs) == 40  # no more than there are training graphs
    monkeypatch.setattr("relgraph.training.settings.LARGE", 300)
    assert (default_anchors(problem), keeps_runs(problem)) == (256, True)
    assert default_anchors(problem, "class-stratified") == 32
