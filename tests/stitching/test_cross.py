"""Every encoder with every head: the double loop against an obvious one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from relgraph.errors import InputError
from relgraph.stitching import Experiment, Method, Run, View, cross
from tests.stitching.small import method, undefined_like


def test_crossing_is_the_obvious_double_loop(experiment: Experiment) -> None:
    """Every pair of every method that draws nothing, prepared and predicted anew."""
    problem, rows = experiment.problem, experiment.problem.test
    for name, crossing in experiment.stitched.items():
        way = method(name)
        runs = experiment.others.get(way.head, experiment.runs)
        if way.draws or name == "relative-cosine-probe":
            continue
        for i, j in itertools.product(range(len(runs)), repeat=2):
            views = [way.prepare(View(one, experiment.anchors)) for one in (runs[i], runs[j])]
            outputs = way.predict(*views, rows, torch.Generator())
            expected = undefined_like(experiment) if outputs is None else problem.task.record(outputs)
            np.testing.assert_array_equal(
                crossing.outputs[i, j], np.broadcast_to(expected, crossing.outputs[i, j].shape)
            )


def test_the_control_shuffles_with_one_generator_in_the_order_of_the_pairs(experiment: Experiment) -> None:
    problem, crossing = experiment.problem, experiment.stitched["permuted-anchors"]
    control, generator = method("permuted-anchors"), torch.Generator().manual_seed(0)
    views, different = [control.prepare(View(one, experiment.anchors)) for one in experiment.runs], []
    for i, j in itertools.product(range(len(views)), repeat=2):
        record = problem.task.record(control.predict(views[i], views[j], problem.test, generator))
        np.testing.assert_array_equal(crossing.outputs[i, j], record)
        if i != j:
            different.append((i, j, record))
    drawn = [record for _, _, record in different]
    while len(drawn) < 20:
        i, j, _ = different[len(drawn) % len(different)]
        drawn.append(problem.task.record(control.predict(views[i], views[j], problem.test, generator)))
    np.testing.assert_array_equal(crossing.draws, np.stack(drawn))
    again = control.predict(views[0], views[1], problem.test, generator)  # a new shuffle of the same pair
    assert not np.array_equal(drawn[0], problem.task.record(again))


def test_only_the_pairs_asked_for_are_evaluated(nodes: Experiment) -> None:
    pairs = np.zeros((4, 4), dtype=bool)
    pairs[0, 1] = pairs[3, 2] = True
    whole = nodes.stitched["ridge"].outputs
    found = cross(method("ridge"), nodes.runs, anchors=nodes.anchors, rows=nodes.problem.test, pairs=pairs)
    assert np.array_equal(found.outputs[pairs], whole[pairs]) and (found.outputs[~pairs] == -1).all()
    control = cross(method("permuted-anchors"), nodes.runs, anchors=nodes.anchors, rows=nodes.problem.test, pairs=pairs)
    assert control.draws.shape == (20, nodes.problem.test.numel())


def test_targets_rows_and_anchors_of_every_source(nodes: Experiment) -> None:
    """Two sources with anchors of their own, three targets, a few rows."""
    sources, targets, rows = nodes.runs[:2], nodes.runs[1:], nodes.problem.validation[:7]
    anchors = [torch.arange(0, 180, 9), torch.arange(5, 170, 11)]
    found = cross(method("ridge"), sources, targets, anchors=anchors, rows=rows)
    assert found.outputs.shape == (2, 3, 7) and found.seconds > 0
    for i, source in enumerate(sources):
        one = cross(method("ridge"), [source], targets, anchors=anchors[i], rows=rows)
        assert np.array_equal(found.outputs[i], one.outputs[0])
    control = cross(method("permuted-anchors"), sources, targets, anchors=anchors, rows=rows)
    assert len(control.draws) == 20 and np.array_equal(control.draws[0], control.outputs[0, 0])
    assert np.array_equal(control.draws[3], control.outputs[1, 1])  # the second source's own head is no pair


def test_weights_of_anchors_of_all_sources_and_of_every_source(nodes: Experiment) -> None:
    """The same anchors with equal weights, with others, and one weight that is nearly all."""
    rows, run = nodes.problem.test, nodes.runs[0]
    few = torch.tensor([1.0, *[1e-9] * (len(nodes.anchors) - 1)])
    weights = [None, torch.arange(1.0, len(nodes.anchors) + 1), few]
    sources = [run] * 3
    found = cross(method("ridge"), sources, nodes.runs, anchors=nodes.anchors, weights=weights, rows=rows).outputs
    for i, one in enumerate(weights):
        alone = cross(method("ridge"), [run], nodes.runs, anchors=nodes.anchors, weights=one, rows=rows).outputs
        assert np.array_equal(found[i], alone[0])
        space = View(run, nodes.anchors, one).space
        assert torch.equal(space.weights, torch.full_like(few, 1 / len(few)) if one is None else one)
        assert torch.equal(View(run, nodes.anchors, one).with_head(run.head).space.weights, space.weights)
    assert np.array_equal(found[0], nodes.stitched["ridge"].outputs[0]) and not np.array_equal(found[0], found[2])


def test_every_run_is_prepared_once(nodes: Experiment) -> None:
    prepared = []

    class Counted(type(method("ridge"))):  # type: ignore[misc]
        def prepare(self, view: View) -> View:
            prepared.append(view.run)
            return super().prepare(view)

    cross(Counted("ridge"), nodes.runs, anchors=nodes.anchors, rows=nodes.problem.test)
    assert prepared == nodes.runs


def test_the_seed_of_a_control_decides(nodes: Experiment) -> None:
    options = {"anchors": nodes.anchors, "rows": nodes.problem.test}
    one, again, other = (cross(method("permuted-anchors"), nodes.runs, seed=s, **options).draws for s in (0, 0, 1))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_a_method_that_returns_nothing_leaves_its_pairs_undefined(nodes: Experiment) -> None:
    class Never(Method):
        draws = 3

        def predict(self, source: View, target: View, rows: Any, generator: Any) -> None:
            return None

    found = cross(Never(), nodes.runs, anchors=nodes.anchors, rows=nodes.problem.test)
    assert (found.outputs == -1).all() and found.draws is None
    with pytest.raises(InputError, match="'sources' must hold at least one run"):
        cross(Never(), [], anchors=nodes.anchors, rows=nodes.problem.test)
    assert isinstance(nodes.runs[0], Run)
