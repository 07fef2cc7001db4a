"""Every figure of the report, recomputed by loops from the recorded outputs alone; the schema."""

from __future__ import annotations

import copy
import itertools
import json
import math
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from relgraph.measures import linear_cka, matched_cosine
from relgraph.problems import make_problem
from relgraph.registry import METHODS
from relgraph.stitching import Experiment, build_report, report_schema, run_experiment
from relgraph.stitching.report import to_json
from relgraph.training import TrainSettings
from tests.stitching.small import KINDS, SMALL, blocks, method, settings

Report = dict[str, Any]
VALIDATOR = jsonschema.Draft202012Validator(report_schema())


class Slow:
    """Everything again, one pair after the other."""

    def __init__(self, experiment: Experiment) -> None:
        self.e, self.problem, self.task = experiment, experiment.problem, experiment.problem.task
        self.encoders = [run.encoder for run in experiment.runs]
        self.y = self.problem.y[self.problem.test].numpy()
        self.models = [
            self.task.record(self.problem.outputs(one.trained.model, self.problem.test)) for one in self.e.runs
        ]
        self.own = [self.value(model) for model in self.models]

    def value(self, record: np.ndarray) -> float:
        if self.task.mode == "multiclass":
            return sum(int(a == b) for a, b in zip(record, self.y, strict=True)) / len(self.y)
        return self.task.metric.value(self.y, record)

    def model(self, name: str, i: int) -> np.ndarray:
        if method(name).head == "linear":
            return self.models[i]
        data = self.problem.with_anchors(self.e.anchors).data
        model = self.e.others[method(name).head][i].trained.model
        return self.task.record(model.predict(data)[self.problem.test])

    def stitched(self, name: str, i: int, j: int) -> np.ndarray | None:
        record = self.e.stitched[name].outputs[i, j]
        undefined = record[0] == -1 if record.dtype.kind == "i" else np.isnan(record).all()
        return None if undefined else record

    def values(self, name: str, i: int, j: int) -> float:
        record = self.stitched(name, i, j)
        return math.nan if record is None else self.value(record)

    def retention(self, name: str, i: int, j: int) -> float:
        had, better = self.own[j] - self.problem.chance, self.task.metric.higher_is_better
        if (had <= 0) if better else (had >= 0):
            return math.nan
        return (self.values(name, i, j) - self.problem.chance) / had

    def fidelity(self, name: str, i: int, j: int) -> float:
        record = self.stitched(name, i, j)
        return math.nan if record is None else self.task.agreement(record, self.model(name, j))

    def decisive(self, name: str, i: int, j: int) -> float:
        record, source, target = self.stitched(name, i, j), self.model(name, i), self.model(name, j)
        if record is None or self.task.mode == "regression":
            return math.nan
        one, other = (np.atleast_2d(self.decided(record).T).T for record in (source, target))
        rows = [n for n in range(len(self.y)) if (one[n] != other[n]).any()]
        return self.task.agreement(record[rows], target[rows]) if rows else math.nan

    def decided(self, record: np.ndarray) -> np.ndarray:
        return record if self.task.mode == "multiclass" else record > 0

    def cross(self, *, seeds: bool, encoder: str | None = None) -> list[tuple[int, int]]:
        return [
            (i, j)
            for i, j in itertools.permutations(range(len(self.encoders)), 2)
            if (self.encoders[i] == self.encoders[j]) == seeds and encoder in (None, self.encoders[i])
        ]


def check(figure: Report | None, values: list[float], n_is: str, *, lower_is_worse: bool = True) -> None:
    values = [value for value in values if not math.isnan(value)]
    if not values:
        assert figure is None
        return
    assert figure is not None and (figure["n"], figure["n_is"]) == (len(values), n_is)
    assert figure["mean"] == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert figure["worst"] == pytest.approx(min(values) if lower_is_worse else max(values), abs=1e-6)
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    assert figure["std"] == pytest.approx(float(spread), abs=1e-6)


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, experiments: dict[str, Experiment]) -> tuple[Slow, Report]:
    """Each experiment in turn, and its report."""
    done = experiments[request.param]
    return Slow(done), build_report(done, command="some words")


# --- figures ----------------------------------------------------------------------------------------------------


def test_the_metric_of_every_method(pair: tuple[Slow, Report]) -> None:
    slow, report = pair
    runs, better = range(len(slow.encoders)), slow.task.metric.higher_is_better
    for name, found in report["methods"].items():
        for i, j in itertools.product(runs, repeat=2):
            expected = slow.values(name, i, j)
            assert found["matrix"][i][j] == (None if math.isnan(expected) else pytest.approx(expected))
        control = found["kind"] == "control"
        own = [math.nan if control else slow.values(name, i, i) for i in runs]
        check(found["own"], own, "runs", lower_is_worse=better)
        for key, seeds in (("cross_seed", True), ("cross_encoder", False)):
            pairs = [slow.values(name, i, j) for i, j in slow.cross(seeds=seeds)]
            check(found[key], pairs, "pairs", lower_is_worse=better)
        collapsed = slow.task.collapsed(np.array(own), slow.problem.constant).sum()
        assert found["collapsed"] == (None if control else collapsed)
        for encoder, part in found["per_encoder"].items():
            these = [value for value, other in zip(own, slow.encoders, strict=True) if other == encoder]
            check(part["own"], these, "runs", lower_is_worse=better)
            among = [slow.values(name, i, j) for i, j in slow.cross(seeds=True, encoder=encoder)]
            check(part["cross_seed"], among, "pairs", lower_is_worse=better)
        assert list(found["per_encoder"]) == report["encoders"]
        assert found["seconds"] == pytest.approx(slow.e.stitched[name].seconds, abs=1e-4)


@pytest.mark.parametrize("which", ["retention", "fidelity", "decisive"])
def test_retention_and_fidelity_of_every_method(pair: tuple[Slow, Report], which: str) -> None:
    slow, report = pair
    for name, found in report["methods"].items():
        for key, seeds in (("cross_seed", True), ("cross_encoder", False)):
            values = [getattr(slow, which)(name, i, j) for i, j in slow.cross(seeds=seeds)]
            check(found[f"{which}_{key}"], values, "pairs")


def test_draws_of_the_control(pair: tuple[Slow, Report]) -> None:
    slow, report = pair
    values = [slow.value(draw) for draw in slow.e.stitched["permuted-anchors"].draws]
    assert report["methods"]["permuted-anchors"]["draws"] == {
        "mean": pytest.approx(np.mean(values)),
        "std": pytest.approx(np.std(values, ddof=1)),
        "best": pytest.approx(max(values) if slow.task.metric.higher_is_better else min(values)),
        "count": max(20, len(slow.encoders) * (len(slow.encoders) - 1)),
    }
    assert all(found["draws"] is None for name, found in report["methods"].items() if name != "permuted-anchors")


def test_robustness_is_of_absolute_models_within_each_encoder(pair: tuple[Slow, Report]) -> None:
    slow, found = pair[0], pair[1]["robustness"]
    groups = [
        [slow.own[i] for i, one in enumerate(slow.encoders) if one == name] for name in dict.fromkeys(slow.encoders)
    ]
    assert found["value_std"] == pytest.approx(math.sqrt(np.mean([np.var(group, ddof=1) for group in groups])))
    pairs = [(i, j) for i, j in slow.cross(seeds=True) if i < j]  # each pair once
    check(found["agreement"], [slow.task.agreement(slow.models[i], slow.models[j]) for i, j in pairs], "pairs")
    if slow.task.mode == "regression":
        assert found["disagreement"] is None
    else:
        decided = [np.atleast_2d(slow.decided(model).T).T for model in slow.models]
        differ = [np.mean([(a != b).any() for a, b in zip(decided[i], decided[j], strict=True)]) for i, j in pairs]
        check(found["disagreement"], differ, "pairs", lower_is_worse=False)


def test_similarities_are_means_over_pairs_of_seeds(pair: tuple[Slow, Report]) -> None:
    slow, found = pair[0], pair[1]["robustness"]
    rows, anchors, pairs = slow.problem.test, slow.e.anchors, [(i, j) for i, j in slow.cross(seeds=True) if i < j]
    spaces = [run.z[rows] for run in slow.e.runs]
    unit = [run.z / run.z.norm(dim=1, keepdim=True).clamp(min=1e-8) for run in slow.e.runs]
    relative = [z[rows] @ z[anchors].T for z in unit]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))

    def mean(values: list[float]) -> Any:
        return pytest.approx(sum(values) / len(values), abs=1e-5)

    assert found["absolute_similarity"] == mean([matched_cosine(spaces[i], spaces[j]) for i, j in pairs])
    assert found["relative_similarity"] == mean([matched_cosine(relative[i], relative[j]) for i, j in pairs])
    shuffled = [matched_cosine(relative[i], relative[j][order]) for i, j in pairs]
    assert found["relative_similarity_shuffled"] == mean(shuffled)
    assert found["linear_cka"] == mean([linear_cka(spaces[i], spaces[j]) for i, j in pairs])


def test_every_run_has_its_entry(pair: tuple[Slow, Report]) -> None:
    slow, report = pair
    for i, (entry, run) in enumerate(zip(report["runs"], slow.e.runs, strict=True)):
        trained = run.trained
        assert (entry["encoder"], entry["seed"]) == (run.encoder, run.seed)
        assert (entry["backend"], entry["best_epoch"]) == (trained.backend, trained.best_epoch)
        assert entry["validation"] == (None if math.isnan(trained.validation) else trained.validation)
        assert entry["own"] == pytest.approx(slow.own[i])
        assert entry["collapsed"] == bool(slow.task.collapsed(np.array(slow.own[i]), slow.problem.constant))
        assert entry["train_seconds"] == pytest.approx(trained.seconds, abs=1e-4)


def test_settings_and_data_are_written_down(pair: tuple[Slow, Report]) -> None:
    slow, report = pair
    asked, problem = slow.e.settings, slow.problem
    assert report["task"] == {"level": slow.task.level, "mode": slow.task.mode}
    assert report["dataset"] == problem.describe() and report["split"] == problem.split.to_dict()
    assert [report["split"][part] for part in ("train", "validation", "test")] == [
        rows.numel() for rows in (problem.train, problem.validation, problem.test)
    ]
    assert report["metric"] == {
        "name": slow.task.metric.title,
        "direction": slow.task.metric.direction,
        "chance": problem.chance,
        "constant": problem.constant,
        "optimum": slow.task.metric.optimum,
    }
    assert (report["encoders"], report["seeds"]) == (list(asked.encoders), list(asked.seeds))
    assert report["stitch_at"] == asked.at and TrainSettings(**report["train"]) == asked.train
    assert report["anchors"] == {
        "strategy": "random",
        "count": 16,
        "seed": 0,
        "ids": problem.ids[slow.e.anchors].tolist(),
        "features": None,
        "labels_used": "none",
    }
    assert (report["command"], set(report["seconds"])) == ("some words", {"anchors", "train", "stitch"})
    kinds = {name: (found["kind"], found["trains"]) for name, found in report["methods"].items()}
    assert kinds == {name: (method(name).kind, method(name).trains) for name in slow.e.methods}


def test_the_chance_level_of_a_regression_is_the_error_of_the_training_mean(experiments: dict[str, Experiment]) -> None:
    """Not of the test mean: test targets choose nothing."""
    problem = experiments["regression"].problem
    train, test = problem.y[problem.train].double(), problem.y[problem.test].double()
    errors = [(test[:, t] - train[:, t].nanmean()).square().nanmean().sqrt() for t in range(2)]
    assert build_report(experiments["regression"])["metric"]["chance"] == pytest.approx(float(sum(errors) / 2))


def test_intervals_need_five_runs_and_contain_the_mean(experiments: dict[str, Experiment]) -> None:
    report = build_report(experiments["five"])
    ridge = report["methods"]["ridge"]
    for key in ("own", "cross_seed", "retention_cross_seed", "fidelity_cross_seed", "decisive_cross_seed"):
        low, high = ridge[key]["interval"]
        assert low <= ridge[key]["mean"] <= high and low < high
    assert ridge["per_encoder"]["gcn"]["cross_seed"] == ridge["cross_seed"]
    assert report["robustness"]["disagreement"]["interval"] is not None and report["intervals"]["level"] == 0.95
    assert build_report(experiments["nodes"])["methods"]["ridge"]["own"]["interval"] is None


def test_the_examples_are_not_trivial(experiments: dict[str, Experiment]) -> None:
    """Something is undefined, and something is decisive."""
    report = build_report(experiments["nodes"])
    assert None in report["methods"]["absolute"]["matrix"][0] and report["methods"]["absolute"]["cross_encoder"] is None
    for name in ("nodes", "five", "inner"):
        ridge = build_report(experiments[name])["methods"]["ridge"]
        assert 0 < ridge["decisive_cross_seed"]["mean"] < 1
        assert ridge["cross_seed"]["mean"] != pytest.approx(ridge["own"]["mean"])


def test_collapsed_runs_stay_in_and_are_counted() -> None:
    """After one epoch all runs are near a constant prediction."""
    data = blocks(signal=0.0)
    data.x = torch.ones_like(data.x)
    report = build_report(run_experiment(data, settings(("gcn",), 3, methods=("absolute", "ridge"), train=SMALL)))
    collapsed = sum(run["collapsed"] for run in report["runs"])
    assert collapsed > 0 and report["methods"]["absolute"]["collapsed"] == collapsed
    assert report["methods"]["ridge"]["cross_seed"]["n"] == 6


def test_rough_data_give_finite_numbers() -> None:
    """Isolated nodes, empty feature rows, duplicate rows, and a class without training nodes."""
    data = blocks(50)
    data.edge_index = data.edge_index[:, (data.edge_index >= 12).all(0)]
    data.x[:6], data.x[6:16], data.x[60:70] = 0, data.x[6].clone(), data.x[60].clone()
    rows = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    for name, part in (("train_mask", rows[:40]), ("val_mask", rows[40:70]), ("test_mask", rows[70:])):
        data[name] = torch.zeros(150, dtype=torch.bool)
        data[name][part] = True
    data.train_mask &= data.y != 1
    names = tuple(name for name in METHODS if not method(name).why_not(make_problem(data)))
    done = run_experiment(data, settings(("gcn", "sage", "gat"), methods=names, num_anchors=12, train=SMALL))
    for name in ("class-centroid", "relative-cosine-probe"):
        assert 1 not in done.stitched[name].outputs
    to_json(build_report(done))


def test_retention_is_null_where_every_own_value_is_at_chance() -> None:
    """Test rows of a class without training rows: every model is always wrong."""
    data, rows = blocks(50, signal=3.0), torch.arange(150)
    data.train_mask, data.val_mask = (data.y < 2) & (rows % 2 == 0), (data.y < 2) & (rows % 2 == 1)
    data.test_mask = data.y == 2
    train = TrainSettings(epochs=30, hidden_channels=8)
    report = build_report(run_experiment(data, settings(("gcn",), methods=("absolute", "ridge"), train=train)))
    assert [run["own"] for run in report["runs"]] == [0.0, 0.0]
    assert report["methods"]["ridge"]["retention_cross_seed"] is None
    VALIDATOR.validate(report)


# --- schema and file --------------------------------------------------------------------------------------------


def test_reports_of_every_task_and_layer_fit_one_schema(pair: tuple[Slow, Report]) -> None:
    VALIDATOR.check_schema(report_schema())
    VALIDATOR.validate(json.loads(to_json(pair[1])))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "relgraph.stitching/1"),
        (("task", "mode"), "binary"),
        (("metric", "direction"), "up"),
        (("stitch_at",), 0),
        (("seeds",), [0]),
        (("anchors", "labels_used"), "no"),
        (("methods", "ridge", "kind"), "arm"),
        (("methods", "ridge", "own"), 0.5),
        (("methods", "ridge", "own", "interval"), [0.1]),
        (("methods", "ridge", "matrix"), [[0.5]]),
        (("methods", "permuted-anchors", "collapsed"), 1),
        (("methods", "ridge", "surprise"), 1),
        (("runs", 0, "collapsed"), None),
        (("robustness", "linear_cka"), "high"),
        (("extra",), 1),
    ],
)
def test_the_schema_refuses_other_documents(nodes: Experiment, path: tuple[Any, ...], value: Any) -> None:
    report = copy.deepcopy(build_report(nodes))
    place: Any = report
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not VALIDATOR.is_valid(report)


def test_every_key_is_required(nodes: Experiment) -> None:
    whole = build_report(nodes)
    for key in whole:
        assert not VALIDATOR.is_valid({name: value for name, value in whole.items() if name != key})
    for key in whole["methods"]["ridge"]:
        report = copy.deepcopy(whole)
        del report["methods"]["ridge"][key]
        assert not VALIDATOR.is_valid(report)


def test_the_text_is_the_report_and_holds_no_number_that_json_lacks(nodes: Experiment) -> None:
    report = build_report(nodes)
    assert json.loads(to_json(report)) == report
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"new": math.nan})
