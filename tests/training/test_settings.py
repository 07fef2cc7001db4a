"""Settings: their ranges, and the defaults that depend on the data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from relgraph.errors import InputError
from relgraph.problems import make_problem
from relgraph.registry import SETTINGS
from relgraph.training import TrainSettings, default_anchors, fit, fit_many, keeps_runs
from tests.handmade import molecules
from tests.training.graphs import clusters


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0), ("patience", 0), ("batch_size", 1), ("hidden_channels", 0), ("num_layers", 0), ("lr", 0.0),
        ("weight_decay", -1.0), ("head_weight_decay", float("nan")), ("dropout", 1.0), ("input_dropout", -0.1),
        ("epochs", "3"), ("epochs", None), ("batch_size", 8.5), ("patience", "no"), ("num_layers", [2]), ("lr", "0.1"),
        ("weight_decay", None), ("dropout", "half"), ("lr", float("inf")), ("weight_decay", float("inf")),
    ],
)  # fmt: skip
def test_values_out_of_range_or_of_another_type_are_refused(setting: str, value: object) -> None:
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


def test_other_kinds_of_data_keep_their_own_settings() -> None:
    # These were chosen for their data; new defaults for nodes must not change them.
    common = {"lr": 0.01, "head_weight_decay": 0.0, "hidden_channels": 64, "patience": None, "log_test": False}
    links = {"epochs": 150, "lr": 0.03, "weight_decay": 3e-5, "hidden_channels": 128, "dropout": 0.2}
    found = TrainSettings.for_data(make_problem(clusters(), "link")).to_dict()
    assert found == common | links | {"num_layers": None, "input_dropout": 0.8, "batch_size": 32}
    many_labels = {"epochs": 100, "weight_decay": 2e-3, "dropout": 0.5, "input_dropout": 0.0, "batch_size": 32}
    assert TrainSettings.large("sage").to_dict() == common | many_labels | {"num_layers": 3}
    graphs = {"epochs": 40, "lr": 0.001, "weight_decay": 0.0, "hidden_channels": 128, "patience": 15, "dropout": 0.5}
    found = TrainSettings.molecules().to_dict()
    assert found == common | graphs | {"num_layers": None, "input_dropout": 0.0, "batch_size": 32}


def test_published_settings_are_known_by_name() -> None:
    data, published = clusters(), TrainSettings.named("kipf-welling")
    assert (published.epochs, published.lr, published.weight_decay, published.patience) == (200, 0.01, 5e-4, None)
    assert published != TrainSettings()
    assert TrainSettings.for_data(data, "gcn", "kipf-welling", lr=0.5) == TrainSettings.named("kipf-welling", lr=0.5)
    assert TrainSettings.for_data(data, "gcn", published, epochs=3) == TrainSettings.named("kipf-welling", epochs=3)
    by_name = fit(data, "gcn", settings="kipf-welling", epochs=3)
    by_value = fit_many(data, "gcn", [0], settings=TrainSettings.named("kipf-welling", epochs=3))[0].model
    assert all(map(torch.equal, by_name.parameters(), by_value.parameters()))


def test_settings_can_be_registered() -> None:
    SETTINGS.register("short", {"epochs": 2}, "two epochs")
    try:
        assert TrainSettings.named("short") == TrainSettings(epochs=2)
    finally:
        SETTINGS.remove("short")


@pytest.mark.parametrize("make", [TrainSettings.named, lambda name: fit(clusters(), "gcn", settings=name)])
def test_unknown_settings_are_refused(make: Callable[[str], object]) -> None:
    with pytest.raises(InputError, match="'settings' must be one of kipf-welling .*did you mean 'kipf-welling'"):
        make("kipf-weling")


@pytest.mark.parametrize(
    "make",
    [
        TrainSettings.molecules, TrainSettings.large, partial(TrainSettings.named, "kipf-welling"),
        partial(TrainSettings.for_data, clusters()), partial(TrainSettings.for_data, None, "gcn", TrainSettings()),
    ],
)  # fmt: skip
def test_unknown_fields_are_refused(make: Callable[..., object]) -> None:
    with pytest.raises(InputError, match="'settings' must be one of .*did you mean 'epochs'"):
        make(epoch=3)


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


def test_numbers_of_numpy_become_those_of_json() -> None:
    settings = TrainSettings(lr=np.float32(0.5), dropout=np.float64(0.25), epochs=np.int64(3))
    assert json.loads(json.dumps(dataclasses.asdict(settings))) == dataclasses.asdict(settings)
