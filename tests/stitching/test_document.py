"""Every figure of the document, recomputed by loops from the predictions alone."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from torch_geometric.data import Data
from torch_geometric.utils import stochastic_blockmodel_graph

from relgraph.errors import DataError
from relgraph.graph import fingerprint
from relgraph.stitching import ARMS, Experiment, StitchSettings, build_document, run_experiment, write_document
from relgraph.training import TrainSettings

Document = dict[str, Any]


def blocks(size: int = 60, signal: float = 0.5) -> Data:
    """Three blocks of nodes; the features say little, so that runs differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        edges = stochastic_blockmodel_graph([size] * 3, 0.09 * torch.eye(3) + 0.02)
        y = torch.arange(3).repeat_interleave(size)
        return Data(x=torch.rand(3 * size, 12) + signal * torch.eye(3).repeat(1, 4)[y], edge_index=edges, y=y)


def run(data: Data, encoders: tuple[str, ...], seeds: int, epochs: int, **given: Any) -> Experiment:
    train = TrainSettings(epochs=epochs, hidden_channels=8)
    return run_experiment(data, StitchSettings(encoders, tuple(range(seeds)), num_anchors=12, train=train, **given))


@pytest.fixture(scope="module")
def mixed() -> Experiment:
    """Two encoders of different widths and all arms, trained so little that one absolute run has collapsed."""
    return run(blocks(), ("gcn", "sage"), 3, 8)


@pytest.fixture(scope="module")
def five() -> Experiment:
    """Enough runs for intervals."""
    return run(blocks(), ("gcn",), 5, 8, arms=("absolute", "converted", "procrustes", "permuted-anchors"))


@pytest.fixture(scope="module")
def rough() -> Experiment:
    """Isolated nodes, empty feature rows, duplicate rows, and a class without training nodes."""
    data = blocks(50)
    data.edge_index = data.edge_index[:, (data.edge_index >= 12).all(0)]
    data.x[:6] = 0
    data.x[6:16] = data.x[6]
    data.x[60:70] = data.x[60]
    rows = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    masks = [torch.zeros(150, dtype=torch.bool) for _ in range(3)]
    for mask, part in zip(masks, (rows[:40], rows[40:70], rows[70:]), strict=True):
        mask[part] = True
    data.train_mask, data.val_mask, data.test_mask = masks
    data.train_mask &= data.y != 1
    return run(data, ("gcn", "sage", "gat"), 2, 3)


@pytest.fixture(scope="module", params=["mixed", "five", "rough"])
def pair(request: pytest.FixtureRequest) -> tuple[Experiment, Document]:
    experiment = request.getfixturevalue(request.param)
    return experiment, build_document(experiment, command="some words")


class Slow:
    """Everything again, one pair and one node after the other."""

    def __init__(self, experiment: Experiment) -> None:
        self.e = experiment
        self.runs = range(len(experiment.kinds))
        self.y = experiment.nodes.y[experiment.nodes.test].tolist()
        self.floor = max(self.y.count(label) for label in set(self.y)) / len(self.y)
        models = [run.model for run in experiment.absolute]
        self.models = [model.predict(experiment.data).argmax(-1)[experiment.nodes.test].tolist() for model in models]
        self.own = [self.share(zip(model, self.y, strict=True)) for model in self.models]

    @staticmethod
    def share(couples: Any) -> float:
        same = [a == b for a, b in couples]
        return sum(same) / len(same) if same else math.nan

    def said(self, arm: str, i: int, j: int) -> list[int] | None:
        said = self.e.arms[arm].predictions[i, j].tolist()
        return None if -1 in said else said

    def accuracy(self, arm: str, i: int, j: int) -> float:
        said = self.said(arm, i, j)
        return math.nan if said is None else self.share(zip(said, self.y, strict=True))

    def collapsed(self, own: float) -> bool:
        return own < self.floor + 0.05 * (1 - self.floor)

    def counted(self, i: int) -> float:
        if not self.collapsed(self.own[i]):
            return self.own[i]
        return float(np.median([self.own[j] for j in self.runs if self.e.kinds[j] == self.e.kinds[i]]))

    def retention(self, arm: str, i: int, j: int) -> float:
        return self.accuracy(arm, i, j) / min(self.counted(i), self.counted(j))

    def model(self, arm: str, i: int) -> list[int]:
        if arm != "relative-cosine":
            return self.models[i]
        own = self.e.relative[i].model.predict(self.e.data).argmax(-1)[self.e.nodes.test]
        return own.tolist()

    def fidelity(self, arm: str, i: int, j: int, *, decisive: bool = False) -> float:
        said, source, target = self.said(arm, i, j), self.model(arm, i), self.model(arm, j)
        if said is None:
            return math.nan
        return self.share((s, t) for s, a, t in zip(said, source, target, strict=True) if not decisive or a != t)

    def decisive(self, arm: str, i: int, j: int) -> float:
        return self.fidelity(arm, i, j, decisive=True)

    def cross(self, *, seeds: bool, kind: str | None = None) -> list[tuple[int, int]]:
        kinds = self.e.kinds
        return [
            (i, j)
            for i, j in itertools.permutations(self.runs, 2)
            if (kinds[i] == kinds[j]) == seeds and kind in (None, kinds[i])
        ]


def check_figure(figure: Document | None, values: list[float], n_is: str) -> None:
    values = [value for value in values if not math.isnan(value)]
    if not values:
        assert figure is None
        return
    assert figure is not None
    assert (figure["n"], figure["n_is"]) == (len(values), n_is)
    assert figure["mean"] == pytest.approx(sum(values) / len(values))
    assert figure["min"] == pytest.approx(min(values))
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    assert figure["std"] == pytest.approx(float(spread))


def test_the_floor_is_the_share_of_the_most_frequent_class(pair: tuple[Experiment, Document]) -> None:
    experiment, document = pair
    assert document["metric"] == {
        "name": "accuracy",
        "direction": "higher",
        "floor": pytest.approx(Slow(experiment).floor),
    }


def test_accuracy_by_arm(pair: tuple[Experiment, Document]) -> None:
    experiment, document = pair
    slow = Slow(experiment)
    for name, arm in document["arms"].items():
        for i in slow.runs:
            for j in slow.runs:
                expected = slow.accuracy(name, i, j)
                assert arm["matrix"][i][j] == (None if math.isnan(expected) else pytest.approx(expected))
        owns = [math.nan if arm["kind"] == "control" else slow.accuracy(name, i, i) for i in slow.runs]
        check_figure(arm["own"], owns, "runs")
        check_figure(arm["cross_seed"], [slow.accuracy(name, i, j) for i, j in slow.cross(seeds=True)], "pairs")
        check_figure(arm["cross_encoder"], [slow.accuracy(name, i, j) for i, j in slow.cross(seeds=False)], "pairs")
        assert list(arm["per_encoder"]) == list(experiment.settings.encoders)
        for kind, part in arm["per_encoder"].items():
            own = [value for value, other in zip(owns, experiment.kinds, strict=True) if other == kind]
            check_figure(part["own"], own, "runs")
            among = [slow.accuracy(name, i, j) for i, j in slow.cross(seeds=True, kind=kind)]
            check_figure(part["cross_seed"], among, "pairs")


@pytest.mark.parametrize("which", ["retention", "fidelity", "decisive"])
def test_retention_and_fidelity_by_arm(pair: tuple[Experiment, Document], which: str) -> None:
    experiment, document = pair
    slow = Slow(experiment)
    for name, arm in document["arms"].items():
        of = getattr(slow, which)
        key = "decisive_fidelity" if which == "decisive" else which
        check_figure(arm[f"{key}_cross_seed"], [of(name, i, j) for i, j in slow.cross(seeds=True)], "pairs")
        if which != "decisive":
            check_figure(arm[f"{key}_cross_encoder"], [of(name, i, j) for i, j in slow.cross(seeds=False)], "pairs")


def test_kappa_of_the_control_is_scikit_learns(pair: tuple[Experiment, Document]) -> None:
    experiment, document = pair
    control, slow = experiment.arms["permuted-anchors"], Slow(experiment)
    assert control.draws is not None
    kappas = [cohen_kappa_score(draw, slow.y) for draw in control.draws]
    assert document["arms"]["permuted-anchors"]["kappa"] == {
        "mean": pytest.approx(np.mean(kappas)),
        "std": pytest.approx(np.std(kappas, ddof=1)),
        "max_abs": pytest.approx(max(abs(kappa) for kappa in kappas)),
        "draws": max(20, len(slow.runs) * (len(slow.runs) - 1)),
    }
    assert [name for name, arm in document["arms"].items() if "kappa" in arm] == ["permuted-anchors"]


def test_robustness_is_of_absolute_models_within_each_encoder(pair: tuple[Experiment, Document]) -> None:
    experiment, document = pair
    slow, robustness = Slow(experiment), document["robustness"]
    kinds = experiment.kinds
    variances = []
    for kind in dict.fromkeys(kinds):
        variances.append(np.var([slow.own[i] for i in slow.runs if kinds[i] == kind], ddof=1))
    assert robustness["accuracy_std"] == pytest.approx(math.sqrt(sum(variances) / len(variances)))
    differ = [1 - slow.share(zip(slow.models[i], slow.models[j], strict=True)) for i, j in slow.cross(seeds=True)]
    check_figure(robustness["disagreement"], differ, "pairs")

    def unit(rows: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(length > 1e-8, length, 1)

    test, anchors = experiment.nodes.test, experiment.nodes.anchors
    spaces = [z.double() for z in experiment.embeddings]
    tests, relatives, grams = [], [], []
    for z in spaces:
        rows = unit(z[test].numpy())
        tests.append(rows)
        relatives.append(unit(rows @ unit(z[anchors].numpy()).T))
        flat = (z[test] - z[test].mean(0)).numpy()
        grams.append(flat @ flat.T)
    cosine, relative, cka = [], [], []
    for i, j in slow.cross(seeds=True):
        cosine.append((tests[i] * tests[j]).sum(1).mean())
        relative.append((relatives[i] * relatives[j]).sum(1).mean())
        cka.append((grams[i] * grams[j]).sum() / np.linalg.norm(grams[i]) / np.linalg.norm(grams[j]))
    assert robustness["absolute_similarity"] == pytest.approx(np.mean(cosine), abs=1e-5)
    assert robustness["relative_similarity"] == pytest.approx(np.mean(relative), abs=1e-5)
    assert robustness["linear_cka"] == pytest.approx(np.mean(cka), abs=1e-5)


def test_every_run_has_its_entry(pair: tuple[Experiment, Document]) -> None:
    experiment, document = pair
    slow = Slow(experiment)
    assert [(run["encoder"], run["seed"]) for run in document["runs"]] == list(
        zip(experiment.kinds, experiment.seeds, strict=True)
    )
    for i, entry in enumerate(document["runs"]):
        trained = experiment.absolute[i]
        assert (entry["best_epoch"], entry["validation"]) == (trained.best_epoch, trained.validation)
        assert list(entry["arms"]) == list(experiment.arms)
        for name, arm in entry["arms"].items():
            group = experiment.relative if name == "relative-cosine" else experiment.absolute
            assert arm["path"] == group[i].path == ("loop" if entry["encoder"] == "gat" else "stacked")
            assert arm["seconds"] == pytest.approx(experiment.arms[name].seconds[i], abs=1e-4)
            if ARMS[name].kind == "control":
                assert arm["own"] is None and arm["collapsed"] is None
            else:
                assert arm["own"] == pytest.approx(slow.accuracy(name, i, i))
                assert arm["collapsed"] == slow.collapsed(arm["own"])


def test_what_was_asked_is_written_down(pair: tuple[Experiment, Document]) -> None:
    experiment, document = pair
    data, settings = experiment.data, experiment.settings
    assert document["dataset"] == {
        "name": "unnamed",
        "num_nodes": data.num_nodes,
        "num_edges": data.edge_index.size(1),
        "num_features": 12,
        "features": "as given",
        "num_classes": 3,
        "source": "given in memory",
        "fingerprint": fingerprint(data),
    }
    assert document["protocol"] == dataclasses.asdict(experiment.protocol)
    sizes = [int(data[mask].sum()) for mask in ("train_mask", "val_mask", "test_mask")]
    assert [document["protocol"][part] for part in ("train", "validation", "test")] == sizes
    assert document["encoders"] == list(settings.encoders) and document["seeds"] == list(settings.seeds)
    assert document["stitch_at"] is None and document["train"]["num_layers"] is None
    assert document["anchors"] == {
        "strategy": "random",
        "count": 12,
        "seed": 0,
        "ids": experiment.anchor_ids,
        "space": None,
        "labels_used": "no",
    }
    assert TrainSettings(**document["train"]) == settings.train
    assert (document["task"], document["command"]) == ("node-classification", "some words")
    assert {name: (arm["kind"], arm["trains"]) for name, arm in document["arms"].items()} == {
        name: (ARMS[name].kind, ARMS[name].trains) for name in settings.arms
    }
    assert set(document["seconds"]) == {"anchors", "train", "stitch"}


def test_intervals_need_five_runs_and_hold_the_mean(five: Experiment, mixed: Experiment) -> None:
    document = build_document(five, command="")
    arm = document["arms"]["converted"]
    for key in ("own", "cross_seed", "retention_cross_seed", "fidelity_cross_seed", "decisive_fidelity_cross_seed"):
        low, high = arm[key]["interval"]
        assert low <= arm[key]["mean"] <= high and low < high
    assert arm["per_encoder"]["gcn"]["cross_seed"] == arm["cross_seed"]
    assert document["robustness"]["disagreement"]["interval"] is not None
    assert document["intervals"]["level"] == 0.95
    assert build_document(mixed, command="")["arms"]["converted"]["own"]["interval"] is None


def test_the_examples_hold_what_they_are_for(mixed: Experiment, five: Experiment) -> None:
    """A fixture in which nothing is undefined, collapsed or decisive would prove little."""
    document = build_document(mixed, command="")
    assert None in document["arms"]["absolute"]["matrix"][0]
    assert document["arms"]["absolute"]["cross_encoder"] is None
    collapsed = [run["arms"]["absolute"]["collapsed"] for run in document["runs"]]
    assert any(collapsed) and not all(collapsed)
    for experiment in (mixed, five):
        arm = build_document(experiment, command="")["arms"]["converted"]
        assert 0 < arm["decisive_fidelity_cross_seed"]["mean"] < 1
        assert arm["cross_seed"]["mean"] != pytest.approx(arm["own"]["mean"])


def test_a_rough_graph_gives_finite_results(rough: Experiment) -> None:
    data = rough.data
    degree = torch.bincount(data.edge_index.view(-1), minlength=150)
    assert (degree == 0).sum() >= 12 and (data.x == 0).all(1).sum() >= 6
    assert rough.nodes.num_classes == 3 and 1 not in rough.nodes.y[rough.nodes.train]
    assert all(z.isfinite().all() for z in rough.embeddings)
    for name in ("class-centroid", "relative-cosine-posthoc"):
        assert 1 not in rough.arms[name].predictions
    json.dumps(build_document(rough, command=""), allow_nan=False)


def test_a_test_set_that_nobody_gets_right_gives_a_document_too() -> None:
    """Of a class without training nodes alone: every model is always wrong, and retention means nothing."""
    data = blocks(50, signal=3.0)
    rows = torch.arange(150)
    data.train_mask, data.val_mask = (data.y < 2) & (rows % 2 == 0), (data.y < 2) & (rows % 2 == 1)
    data.test_mask = data.y == 2
    experiment = run(data, ("gcn",), 2, 30, arms=("absolute", "converted", "class-centroid"))
    document = build_document(experiment, command="")
    assert [run["arms"]["absolute"]["own"] for run in document["runs"]] == [0.0, 0.0]
    assert document["arms"]["converted"]["retention_cross_seed"] is None
    json.dumps(document, allow_nan=False)


# --- on disk ----------------------------------------------------------------------------------------------------


def test_what_is_written_is_the_document(mixed: Experiment, tmp_path: Path) -> None:
    document = build_document(mixed, command="")
    path = write_document(document, tmp_path)
    assert path == tmp_path / "stitching.json" and list(tmp_path.iterdir()) == [path]
    assert json.loads(path.read_text(encoding="utf-8")) == document
    write_document({"smaller": 1}, tmp_path)
    assert json.loads(path.read_text(encoding="utf-8")) == {"smaller": 1} and list(tmp_path.iterdir()) == [path]


def test_not_a_number_is_refused_and_leaves_the_old_file(tmp_path: Path) -> None:
    write_document({"old": 1}, tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_document({"new": math.nan}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["stitching.json"]
    assert json.loads((tmp_path / "stitching.json").read_text(encoding="utf-8")) == {"old": 1}


def test_an_unwritable_place_is_a_data_error_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "taken" / "stitching.json").mkdir(parents=True)
    for folder in (tmp_path / "gone", tmp_path / "file", tmp_path / "taken"):
        with pytest.raises(DataError, match="the file for output must be one that can be written"):
            write_document({"a": 1}, folder)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["file", "taken", "taken/stitching.json"]
