"""Whole experiments: order, repeatability, progress, cache, warnings, and data that do not allow them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from relgraph.anchors import AnchorSet, select_anchors
from relgraph.errors import InputError
from relgraph.maps import FewAnchorsWarning, convert
from relgraph.registry import METHODS
from relgraph.stitching import Experiment, StitchSettings, View, build_report, run_experiment
from relgraph.stitching import experiment as module
from relgraph.training import TrainSettings
from relgraph.transforms import AddAnchors
from tests.handmade import molecules
from tests.stitching.small import KINDS, SMALL, blocks, method, run, settings, undefined_like

CHEAP = ("absolute", "ridge", "procrustes", "class-centroid")


# --- whole experiments ------------------------------------------------------------------------------------------


def test_runs_are_ordered_by_encoder_then_by_seed() -> None:
    done = run_experiment(blocks(), settings(seeds=2, methods=("relative-cosine",)))
    asked = replace(done.settings, seeds=(3, 1))
    again = run_experiment(blocks(), asked)
    for group in (again.runs, *again.others.values()):
        assert [(one.encoder, one.seed) for one in group] == [("gcn", 3), ("gcn", 1), ("sage", 3), ("sage", 1)]
    assert again.encoders == ["gcn", "gcn", "sage", "sage"] and again.methods == ("relative-cosine",)


def test_every_method_has_outputs_for_every_pair_of_equal_width(experiment: Experiment) -> None:
    count = len(experiment.runs)
    for name, crossing in experiment.stitched.items():
        outputs = crossing.outputs
        assert outputs.shape == (count, count, *experiment.own.shape[1:])
        missing = outputs == -1 if undefined_like(experiment) == -1 else np.isnan(outputs)
        widths = np.array([one.z.size(1) for one in experiment.runs])
        expected = widths[:, None] != widths[None, :] if name == "absolute" else np.zeros((count, count), dtype=bool)
        assert np.array_equal(missing.reshape(count, count, -1).all(-1), expected) and (missing.any() == expected.any())
        assert (crossing.draws is not None) == (name == "permuted-anchors")
        assert crossing.seconds > 0


def test_all_methods_that_apply_are_taken(experiments: dict[str, Experiment]) -> None:
    for kind, done in experiments.items():
        if kind != "five":
            usual = [name for name, entry in METHODS.items() if entry.traits.get("usual", True)]
            able = [name for name in usual if not method(name).why_not(done.problem, done.settings.at)]
            assert list(done.methods) == able and done.settings.methods == tuple(able)


def test_the_diagonal_is_the_prediction_of_the_models_themselves(experiment: Experiment) -> None:
    """Of the absolute models, and of those with a relative layer."""
    problem, rows = experiment.problem, np.arange(len(experiment.runs))
    np.testing.assert_allclose(
        experiment.stitched["absolute"].outputs[rows, rows], experiment.own, rtol=1e-5, atol=1e-5
    )
    for kind, runs in experiment.others.items():
        data = problem.with_anchors(experiment.anchors).data
        for row, one in enumerate(runs):
            own = one.trained.model.predict(data)[problem.test].argmax(-1).numpy()
            assert np.array_equal(experiment.stitched[kind].outputs[row, row], own)


def test_maps_are_far_better_than_absolute_heads_and_shuffled_anchors() -> None:
    train, names = TrainSettings(epochs=60, hidden_channels=16), ("absolute", "ridge", "kl", "permuted-anchors")
    done = run_experiment(blocks(signal=1.0), settings(seeds=3, train=train, methods=names))
    methods = build_report(done)["methods"]
    assert min(methods[name]["cross_seed"]["mean"] for name in ("ridge", "kl")) > 0.85
    assert max(methods[name]["cross_seed"]["mean"] for name in ("absolute", "permuted-anchors")) < 0.65
    assert abs(methods["permuted-anchors"]["draws"]["mean"] - 1 / 3) < 0.12


@contextmanager
def unchanged(data: Data) -> Iterator[None]:
    before, state = data.clone(), torch.get_rng_state()
    yield
    assert set(data.keys()) == set(before.keys())
    assert all(torch.equal(value, before[key]) for key, value in data.to_dict().items() if torch.is_tensor(value))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_settings_twice_give_the_same_bits(kind: str, experiments: dict[str, Experiment]) -> None:
    done = experiments[kind]
    again = run(kind, done.methods)
    assert np.array_equal(done.own, again.own) and torch.equal(done.anchors, again.anchors)
    for one, other in zip(done.runs, again.runs, strict=True):
        assert torch.equal(one.z, other.z)
    for name, crossing in again.stitched.items():
        np.testing.assert_array_equal(crossing.outputs, done.stitched[name].outputs, name)
        assert crossing.draws is None or np.array_equal(crossing.draws, done.stitched[name].draws)


def test_weighted_anchors_give_the_space_that_the_graph_with_anchors_gives() -> None:
    done = run_experiment(blocks(), settings(methods=("ridge",), strategy="kmeans", anchor_seed=3))
    data = AddAnchors(16, "kmeans", seed=3)(blocks())
    for one, space in zip(done.runs, done.spaces, strict=True):
        expected = AnchorSet.from_embeddings(one.z, data)
        assert space.id == expected.id and torch.equal(space.weights, expected.weights)
    assert float(done.weights.sum()) == pytest.approx(1) and done.weights.unique().numel() > 1
    assert [head.anchor_set for head in done.heads] == [space.id for space in done.spaces]
    unweighted = replace(done, weights=None)
    assert unweighted.spaces[0].weights.unique().numel() == 1 and unweighted.spaces[0].id != done.spaces[0].id
    source, target = View(done.runs[0], done.anchors, done.weights), View(done.runs[1], done.anchors)
    outputs = convert(source.space, target.published, "ridge")(source.run.z)[done.problem.test]
    assert np.array_equal(done.stitched["ridge"].outputs[0, 1], outputs.argmax(-1).numpy())


def test_random_anchors_have_no_weights(experiments: dict[str, Experiment]) -> None:
    for done in experiments.values():
        assert done.weights is None and all(space.weights.unique().numel() == 1 for space in done.spaces)


def test_the_graph_and_the_global_generator_are_not_changed() -> None:
    data = blocks()
    with unchanged(data):
        run_experiment(data, settings(methods=("relative-cosine", "permuted-anchors")))


def test_fewer_methods_give_the_same_outputs(nodes: Experiment) -> None:
    part = run_experiment(blocks(), settings(methods=("ridge",)))
    assert part.methods == ("ridge",) and part.others == {}
    assert np.array_equal(part.stitched["ridge"].outputs, nodes.stitched["ridge"].outputs)
    whole, alone = build_report(nodes), build_report(part)
    for report in (whole, alone):
        del report["methods"]["ridge"]["seconds"]
    assert alone["methods"] == {"ridge": whole["methods"]["ridge"]} and alone["robustness"] == whole["robustness"]


def test_behind_a_layer_own_values_are_those_of_the_whole_models(nodes: Experiment, inner: Experiment) -> None:
    assert np.array_equal(nodes.own, inner.own)
    assert not np.array_equal(nodes.stitched["ridge"].outputs, inner.stitched["ridge"].outputs)
    assert [one.trained.validation for one in nodes.runs] == [one.trained.validation for one in inner.runs]


def test_a_deeper_encoder_is_stitched_at_a_deeper_layer() -> None:
    train = TrainSettings(epochs=3, hidden_channels=8, num_layers=3)
    done = run_experiment(blocks(), settings(methods=("absolute", "ridge"), train=train, at=2))
    rows = np.arange(4)
    assert [one.z.size(1) for one in done.runs] == [8] * 4
    assert np.array_equal(done.stitched["absolute"].outputs[rows, rows], done.own)


def test_runs_that_are_trained_already_are_used(nodes: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = [one.trained for one in nodes.runs]
    monkeypatch.setattr(module, "fit_grid", lambda *_, **__: pytest.fail("trained"))
    done = run_experiment(blocks(), settings(methods=CHEAP), runs=trained)
    for name in CHEAP:
        assert np.array_equal(done.stitched[name].outputs, nodes.stitched[name].outputs)
    with pytest.raises(InputError, match="'runs' must be those of 'encoders' and 'seeds'.*got sage 1, sage 0, gcn 1"):
        run_experiment(blocks(), settings(methods=CHEAP), runs=trained[::-1])


def test_a_cache_is_filled_and_read(tmp_path: Path) -> None:
    asked = settings(methods=("absolute", "relative-cosine"))
    first = run_experiment(blocks(), asked, cache=tmp_path)
    written = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = run_experiment(blocks(), asked, cache=tmp_path)
    assert len(written) == 8 and written == {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    for name in asked.methods:
        assert np.array_equal(first.stitched[name].outputs, again.stitched[name].outputs)


def test_large_graphs_have_a_cache_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path))
    run_experiment(blocks(), settings(("gcn",), methods=("absolute",)))
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(module, "keeps_runs", lambda problem: True)
    run_experiment(blocks(), settings(("gcn",), methods=("absolute",)))
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_progress_adds_up() -> None:
    steps: dict[str, list[tuple[int, int]]] = {}
    asked = settings(("gcn", "gat"), methods=("absolute", "relative-cosine"), train=replace(SMALL, epochs=2))
    run_experiment(blocks(), asked, progress=lambda stage, *step: steps.setdefault(stage, []).append(step))
    for stage, total in (("train", 16), ("stitch", 2)):
        assert {given for _, given in steps[stage]} == {total}
        assert sum(done for done, _ in steps[stage]) == total
    assert set(steps) == {"train", "stitch"}


def test_seconds_are_recorded_for_every_stage(experiment: Experiment) -> None:
    assert list(experiment.seconds) == ["anchors", "train", "stitch"]
    assert all(seconds > 0 for seconds in experiment.seconds.values())
    assert sum(one.seconds for one in experiment.stitched.values()) <= experiment.seconds["stitch"]


def test_warnings_are_raised_once_and_kept() -> None:
    asked = settings(("gcn",), methods=("ridge", "procrustes"), num_anchors=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = run_experiment(blocks(), asked)
    assert [one.category for one in caught] == [FewAnchorsWarning]
    assert caught[0].filename == __file__
    assert done.warnings == [str(caught[0].message)] and build_report(done)["warnings"] == done.warnings


# --- anchors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["kmeans", "farthest-point"])
def test_anchors_are_chosen_in_the_features_asked_for(strategy: str) -> None:
    seen = []
    for features in ("input", "propagated", "run"):
        asked = settings(("sage", "gcn"), methods=("absolute",), strategy=strategy, anchor_features=features)
        done = run_experiment(blocks(), asked)
        where = done.runs[0].z if features == "run" else features  # the first seed of the first encoder
        expected = select_anchors(
            done.problem.data, 16, strategy, features=where, generator=torch.Generator().manual_seed(0)
        )
        assert torch.equal(done.anchors, expected)
        assert done.settings.labels_used == ("run-embeddings" if features == "run" else "none")
        seen.append(tuple(done.anchors.tolist()))
    assert len(set(seen)) == 3


def test_embeddings_of_the_first_run_are_those_of_the_last_layer(nodes: Experiment) -> None:
    asked = settings(methods=("ridge",), strategy="kmeans", anchor_features="run")
    assert torch.equal(*(run_experiment(blocks(), replace(asked, at=at)).anchors for at in (None, 1)))


def test_absolute_models_do_not_depend_on_the_anchors_and_relative_ones_do() -> None:
    one, other = (
        run_experiment(blocks(), settings(("gcn",), methods=("relative-cosine",), anchor_seed=seed)) for seed in (0, 1)
    )
    assert not torch.equal(one.anchors, other.anchors)
    assert torch.equal(one.runs[0].z, other.runs[0].z)
    assert not torch.equal(one.others["relative-cosine"][0].z, other.others["relative-cosine"][0].z)


def test_seeds_of_the_split_and_of_the_anchors_are_separate() -> None:
    seen = []
    for anchor_seed, split_seed in ((0, 0), (1, 0), (0, 1)):
        asked = settings(("gcn",), methods=("absolute",), anchor_seed=anchor_seed, split_seed=split_seed)
        done = run_experiment(blocks(), asked)
        seen.append((done.anchors.tolist(), done.problem.test.tolist()))
    assert seen[0][0] == seen[2][0] != seen[1][0]
    assert seen[0][1] == seen[1][1] != seen[2][1]


def test_the_number_of_anchors_is_by_data() -> None:
    done = run_experiment(blocks(), settings(("gcn",), methods=("absolute",), num_anchors=None))
    assert done.settings.num_anchors == done.anchors.numel() == 32
    done = run_experiment(molecules(), StitchSettings(("gcn",), (0, 1), ("absolute",), epochs=1))
    assert done.anchors.numel() == done.problem.train.numel() == 40  # all training graphs, as there are fewer than 256


# --- data that do not allow it ----------------------------------------------------------------------------------


def test_test_rows_without_labels_do_not_count() -> None:
    data, rows = blocks(20), torch.arange(60)
    data.train_mask, data.val_mask, data.test_mask = rows % 3 == 0, rows % 3 == 1, rows % 3 == 2
    data.y = data.y.clone()
    data.y[30:] = torch.where(rows[30:] % 3 == 2, -1, data.y[30:])
    done = run_experiment(data, settings(("gcn",), methods=("ridge",), num_anchors=4))
    assert done.problem.test.tolist() == [row for row in range(30) if row % 3 == 2]
    data.y[rows % 3 == 2] = -1
    with pytest.raises(InputError, match=r"'test' must name at least one labeled node \(got none\)"):
        run_experiment(data, settings(("gcn",), num_anchors=4))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_anchors": 181}, r"'num_anchors' must be at most 180, the rows to choose from \(got 181\)"),
        ({"at": 3}, r"'at' must be from 1 to 2, the layers of GCNEncoder \(got 3\)"),
        ({"at": 0}, r"'at' must be from 1 to 2, the layers of GCNEncoder \(got 0\)"),
        ({"at": 1, "methods": ("ridge", "kl")}, r"'methods' must apply here \(got 'kl': it needs a head that reads"),
        ({"methods": ("label-ridge",)}, r"'methods' must apply here \(got 'label-ridge': it needs a task that is regr"),
        ({"split": "public"}, "'split' must be 'random' or 'paper' for a graph without masks"),
        ({"train": TrainSettings(num_layers=3), "encoders": ("gat",)}, "'num_layers' must be 2"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused_before_training(
    given: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "fit_grid", lambda *_, **__: pytest.fail("trained"))
    asked = settings(**{"encoders": ("gcn",), **given})
    data = blocks()
    with unchanged(data), pytest.raises(InputError, match=message):
        run_experiment(data, asked)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"at": 1}, r"'at' must be left out for a graph-level task \(got 1\)"),
        ({"encoders": ("gat",)}, r"'encoder' must be one of gcn, gin, sage \(got 'gat'\)"),
        ({"methods": ("relative-cosine",)}, "got 'relative-cosine': models of graph-level tasks have no rel"),
        ({"strategy": "degree"}, "'strategy' must be random, kmeans or farthest-point for whole graphs"),
        ({"split": "random"}, "'split' must be 'public' or left out"),
    ],
)
def test_settings_that_do_not_fit_whole_graphs(given: dict[str, Any], message: str) -> None:
    asked = settings(**{"encoders": ("gcn",), "train": TrainSettings(epochs=1), **given})
    with pytest.raises(InputError, match=message):
        run_experiment(molecules(), asked)


def test_one_class_is_refused() -> None:
    data = blocks()
    data.y = torch.zeros_like(data.y)
    with pytest.raises(InputError, match=r"'y' must hold at least two classes \(got one\)"):
        run_experiment(data, settings())


def test_a_problem_has_its_task_and_split_already(nodes: Experiment) -> None:
    assert run_experiment(nodes.problem, settings(("gcn",), methods=("absolute",))).problem is nodes.problem
    for argument, value in (("split", "paper"), ("task", "node")):
        with pytest.raises(InputError, match=f"'{argument}' must be left out for a problem"):
            run_experiment(nodes.problem, settings(**{argument: value}))
