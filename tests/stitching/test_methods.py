"""Every method on runs whose answer is known: the second space is the first one rotated, shifted and scaled."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestCentroid
from torch import Tensor, nn
from torch_geometric.data import Data

from relgraph.maps import convert, fit_map, resolve_shrinkage, translate_then
from relgraph.nn import TailHead
from relgraph.problems import Problem, make_problem
from relgraph.problems.graph import GraphProblem
from relgraph.registry import METHODS
from relgraph.stitching import Experiment, Method, Run, View
from tests.handmade import molecules
from tests.spaces import normal, ring, rotation
from tests.stitching.small import blocks, method

COUNT, WIDTH, CLASSES, ANCHORS = 240, 6, 4, torch.arange(100, 124)
OURS = [name for name, entry in METHODS.items() if str(entry.target).startswith("relgraph.stitching.methods:")]
END_TO_END = [name for name in OURS if method(name).head != "linear"]
ON_NODES = [name for name in OURS if "multiclass" in method(name).modes]
CONVERTED = {"ridge-0.01": ("ridge", 0.01)} | {name: (name, None) for name in ("ridge", "kernel-ridge", "kl")}


@pytest.fixture(scope="module")
def problem() -> Problem:
    y, rows = torch.randint(0, CLASSES, (COUNT,), generator=torch.Generator().manual_seed(0)), torch.arange(COUNT)
    masks = {"train_mask": rows < 60, "val_mask": (rows >= 60) & (rows < 120), "test_mask": rows >= 120}
    return make_problem(Data(x=torch.ones(COUNT, 1), edge_index=ring(COUNT), y=y, **masks))


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    head = nn.Linear(weight.size(1), weight.size(0), dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head


@pytest.fixture(scope="module")
def first(problem: Problem) -> Run:
    """Noise around class means with their linear discriminant as the head: nearly always right."""
    means = 3 * normal(CLASSES, WIDTH, seed=1)
    z = means[problem.y] + normal(COUNT, WIDTH, seed=2)
    return Run(problem, z, linear(means, -means.square().sum(1) / 2))


@pytest.fixture(scope="module")
def second(first: Run, problem: Problem) -> Run:
    """The same run in other coordinates, its head changed to match: the same outputs on every node."""
    turn, move, scale = rotation(WIDTH, 3), 10 * normal(WIDTH, seed=4), 2.5
    weight = first.head.weight.detach() @ turn / scale
    other = Run(problem, scale * first.z @ turn + move, linear(weight, first.head.bias.detach() - weight @ move))
    torch.testing.assert_close(other.head(other.z), first.head(first.z))
    return other


@pytest.fixture(scope="module")
def wider(first: Run, problem: Problem) -> Run:
    """The first space rotated inside one of three more dimensions, which the head does not use."""
    turn = rotation(WIDTH + 3, 5)
    z = torch.cat([first.z, 0.1 * normal(COUNT, 3, seed=6)], dim=1) @ turn
    weight = torch.cat([first.head.weight.detach(), torch.zeros(CLASSES, 3, dtype=torch.float64)], dim=1) @ turn
    return Run(problem, z, linear(weight, first.head.bias.detach()))


def predict(name: str | Method, source: Run, target: Run, seed: int = 0, anchors: Tensor = ANCHORS) -> Tensor | None:
    found = method(name) if isinstance(name, str) else name
    views = [found.prepare(View(run, anchors)) for run in (source, target)]
    return found.predict(*views, source.problem.test, torch.Generator().manual_seed(seed))


def accuracy(outputs: Tensor | None, problem: Problem) -> float:
    assert outputs is not None
    return float((outputs.argmax(-1) == problem.y[problem.test]).double().mean())


def own(run: Run) -> Tensor:
    return run.head(run.z[run.problem.test]).detach()


def with_relative_head(run: Run) -> Run:
    return Run(run.problem, run.z, linear(normal(CLASSES, len(ANCHORS), seed=7), normal(CLASSES, seed=8)))


# --- a space in other coordinates -------------------------------------------------------------------------------


def test_absolute_is_right_on_its_own_space_and_wrong_on_another(first: Run, second: Run, problem: Problem) -> None:
    torch.testing.assert_close(predict("absolute", second, second), own(second))
    assert accuracy(own(second), problem) > 0.95
    for source, target in ((first, second), (second, first)):
        assert accuracy(predict("absolute", source, target), problem) < 0.5


@pytest.mark.parametrize("name", CONVERTED)
def test_maps_to_outputs_do_not_depend_on_coordinates(name: str, first: Run, second: Run) -> None:
    expected, tolerance = predict(name, first, first), 1e-8 if name.startswith("ridge") else 1e-4
    for source, target in ((first, second), (second, first), (second, second)):
        torch.testing.assert_close(predict(name, source, target), expected, rtol=tolerance, atol=tolerance)
    assert (expected.argmax(-1) == own(first).argmax(-1)).double().mean() > 0.97


def test_procrustes_is_exact(first: Run, second: Run) -> None:
    for source, target in ((first, second), (second, first)):
        torch.testing.assert_close(predict("procrustes", source, target), own(source), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("name", CONVERTED)
def test_each_map_is_the_conversion_of_that_name(name: str, first: Run, second: Run, problem: Problem) -> None:
    noisy = Run(problem, second.z + normal(COUNT, WIDTH, seed=11), second.head)  # related, but not exactly
    source, target = View(noisy, ANCHORS), View(first, ANCHORS)
    chosen, shrinkage = CONVERTED[name]
    by_hand = convert(source.space, target.published, chosen, shrinkage=shrinkage)(noisy.z[problem.test]).detach()
    assert torch.equal(predict(name, noisy, first), by_hand)


def test_maps_of_different_names_differ(first: Run, second: Run, problem: Problem) -> None:
    noisy = Run(problem, second.z + normal(COUNT, WIDTH, seed=11), second.head)
    # Not ridge, which is kernel ridge regression with the kernel selected here, the dot product.
    found = [predict(name, noisy, first) for name in ("ridge-0.01", "kernel-ridge", "kl", "procrustes")]
    assert not any(torch.allclose(one, other) for k, one in enumerate(found) for other in found[:k])


@pytest.mark.parametrize("name", ["relative-cosine", "relative-cosine-probe"])
def test_relative_representations_follow_rotation_and_scale_but_not_shifts(name: str, first: Run) -> None:
    source = with_relative_head(first)
    turned = Run(first.problem, 3 * first.z @ rotation(WIDTH, 9), source.head)
    shifted = Run(first.problem, first.z + 5, source.head)
    expected = predict(name, source, source)
    torch.testing.assert_close(predict(name, turned, source), expected, rtol=1e-9, atol=1e-9)
    assert (predict(name, shifted, source) - expected).abs().max() > 0.1


def test_relative_cosine_gives_cosines_to_the_foreign_head(first: Run, problem: Problem) -> None:
    head = linear(normal(CLASSES, len(ANCHORS), seed=7), normal(CLASSES, seed=8))
    cosines = torch.stack(
        [torch.stack([z @ a / (z.norm() * a.norm()) for a in first.z[ANCHORS]]) for z in first.z[problem.test]]
    )
    found = predict("relative-cosine", with_relative_head(first), Run(problem, first.z.flip(1), head))
    torch.testing.assert_close(found, head(cosines).detach())


def test_a_head_trained_on_relative_representations_works_on_another_space(first: Run, problem: Problem) -> None:
    turned = Run(problem, first.z @ rotation(WIDTH, 9), first.head)
    for source, target in ((first, first), (first, turned), (turned, first)):
        assert accuracy(predict("relative-cosine-probe", source, target), problem) > 0.95


@pytest.mark.parametrize("name", ON_NODES)
def test_labels_of_test_rows_choose_nothing(name: str, first: Run, problem: Problem) -> None:
    noisy, generator = first.z + 4 * normal(COUNT, WIDTH, seed=11), torch.Generator().manual_seed(0)
    head = linear(normal(CLASSES, len(ANCHORS), seed=7), normal(CLASSES, seed=8)) if name in END_TO_END else first.head

    def relabeled(rows: Tensor) -> set[tuple[float, ...]]:
        found = set()
        for _ in range(6):
            other = copy.copy(problem)
            other.y = problem.y.clone()
            other.y[rows] = torch.randint(CLASSES, (len(rows),), generator=generator)
            run = Run(other, noisy, head)
            found.add(tuple(predict(name, run, run).flatten().tolist()))
        return found

    assert len(relabeled(problem.test)) == 1
    # The linear probe is the only method that chooses anything on validation rows.
    assert (len(relabeled(problem.validation)) > 1) == (name == "relative-cosine-probe")


# --- control and baselines --------------------------------------------------------------------------------------


def test_permuted_anchors_are_near_chance_over_many_draws(first: Run, second: Run, problem: Problem) -> None:
    control, generator = method("permuted-anchors"), torch.Generator().manual_seed(1)
    views = [control.prepare(View(run, ANCHORS)) for run in (first, second)]
    drawn = [control.predict(*views, problem.test, generator) for _ in range(100)]
    found = torch.tensor([accuracy(outputs, problem) for outputs in drawn])
    share = problem.y[problem.test].bincount().double() / problem.test.numel()
    assert abs(float(found.mean()) - float(share.mean())) < 4 * float(found.std()) / 10
    assert float(found.std()) > 0.05  # single draws vary
    assert accuracy(predict("ridge-0.01", first, second), problem) > 0.95


def test_permuted_anchors_shuffle_the_rows_of_the_target(first: Run, second: Run) -> None:
    order = torch.randperm(len(ANCHORS), generator=torch.Generator().manual_seed(5))
    source, target = View(first, ANCHORS), View(second, ANCHORS)
    shuffled = type(target.published)(target.published.ids, target.published.outputs[order], target.published.mean)
    expected = fit_map(source.space, shuffled, "ridge", shrinkage=0.01)[0](first.z[first.problem.test]).detach()
    assert torch.equal(predict("permuted-anchors", first, second, seed=5), expected)


def test_class_centroid_is_that_of_scikit_learn(first: Run, second: Run, problem: Problem) -> None:
    outputs = predict("class-centroid", first, second)
    model = NearestCentroid().fit(first.z[problem.train].numpy(), problem.y[problem.train].numpy())
    assert np.array_equal(outputs.argmax(-1).numpy(), model.predict(first.z[problem.test].numpy()))
    row, label = int(problem.test[0]), 2
    mean = first.z[problem.train[problem.y[problem.train] == label]].mean(0)
    assert float(outputs[0, label]) == pytest.approx(-float((first.z[row] - mean).norm()))
    assert torch.equal(predict("class-centroid", first, first), outputs)


def test_a_class_without_training_rows_is_never_predicted(first: Run) -> None:
    data = first.problem.data.clone()
    data.train_mask &= data.y != 2
    part = Run(make_problem(data), first.z, first.head)
    for name in ("class-centroid", "relative-cosine-probe"):
        outputs = predict(name, part, part)
        assert not outputs.isnan().any() and set(outputs.argmax(-1).tolist()) == {0, 1, 3}


@dataclass
class Graphs:
    """Runs of whole graphs with random embeddings."""

    problem: GraphProblem
    run: Run


def graphs(mode: str, width: int = 3) -> Graphs:
    problem = GraphProblem(molecules(mode, targets=2))
    z = normal(len(problem.ids), width, seed=3).float()
    return Graphs(problem, Run(problem, z, linear(normal(2, width), normal(2)).float()))


def test_centroids_of_labels_by_a_loop() -> None:
    case = graphs("multilabel")
    problem, z, y = case.problem, case.run.z.double(), case.problem.y
    found = predict("class-centroid", case.run, case.run, anchors=problem.train[:8])
    for label in range(2):
        zeros, ones = (torch.stack([z[r] for r in problem.train if y[r, label] == c]).mean(0) for c in (0, 1))
        for place, row in enumerate(problem.test.tolist()):
            assert float(found[place, label]) == pytest.approx(
                float((z[row] - zeros).norm() - (z[row] - ones).norm()), abs=1e-6
            )


def test_label_ridge_is_that_of_scikit_learn() -> None:
    case = graphs("regression")
    problem, z, y = case.problem, case.run.z.double(), case.problem.y.double()
    found = predict("label-ridge", case.run, case.run, anchors=problem.train[:8])
    for target in range(2):
        rows = problem.train[~y[problem.train, target].isnan()]
        points, values = z[rows] - z[rows].mean(0), y[rows, target] - y[rows, target].mean()
        shrinkage = resolve_shrinkage(points, values.unsqueeze(1), "loo", strongest=True)
        penalty = shrinkage * float((points.T @ points).trace()) / z.size(1)
        model = Ridge(alpha=penalty).fit(z[rows].numpy(), y[rows, target].numpy())
        np.testing.assert_allclose(found[:, target].numpy(), model.predict(z[problem.test].numpy()), rtol=1e-8)


# --- heads that are not linear, inner layers --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ridge", "kernel-ridge", "procrustes", "ridge-0.01"])
def test_a_head_that_is_not_linear_is_translated_to(name: str, first: Run, second: Run, problem: Problem) -> None:
    curved = Run(problem, second.z, nn.Sequential(second.head, nn.Tanh()))
    source, target = View(first, ANCHORS), View(curved, ANCHORS)
    chosen, shrinkage = CONVERTED.get(name, (name, None))
    module = translate_then(source.space, target.space, curved.head, chosen, shrinkage=shrinkage)
    found = predict(name, first, curved)
    torch.testing.assert_close(found, module(first.z[problem.test]).detach())
    if name == "procrustes":
        torch.testing.assert_close(found, own(first).tanh())


def test_a_map_to_predictions_converts_every_head(first: Run, problem: Problem) -> None:
    curved = Run(problem, first.z, nn.Sequential(first.head, nn.Tanh()))
    view = View(curved, ANCHORS)
    assert view.published.mean_from == "run-embeddings"
    by_hand = convert(view.space, view.published, "kl")(first.z[problem.test]).detach()
    torch.testing.assert_close(predict("kl", first, curved), by_hand)


@pytest.mark.parametrize("name", ["absolute", "ridge", "ridge-0.01", "procrustes"])
def test_behind_a_layer_the_rest_of_the_network_reads_all_nodes(inner: Experiment, name: str) -> None:
    problem, count = inner.problem, len(inner.runs)
    for i, source in enumerate(inner.runs):
        for j, target in enumerate(inner.runs):
            assert isinstance(target.head, TailHead)
            found, module = inner.stitched[name].outputs[i, j], target.head
            if name == "absolute" and source.z.size(1) != target.z.size(1):
                assert (found == -1).all()
                continue
            if name != "absolute":
                chosen, shrinkage = CONVERTED.get(name, (name, None))
                spaces = [View(run, inner.anchors).space for run in (source, target)]
                module = translate_then(*spaces, target.head, chosen, shrinkage=shrinkage)
            with torch.no_grad():
                outputs = module(source.z, problem.data.edge_index)
            assert np.array_equal(found, outputs[problem.test].argmax(-1).numpy()), (i, j, count)


def test_behind_a_layer_other_coordinates_of_the_states_have_no_effect(inner: Experiment) -> None:
    run, problem = inner.runs[0], inner.problem
    turned = Run(problem, 3 * run.z @ rotation(run.z.size(1)).float() + 1, run.head, at=1)
    expected = problem.read(run.head, run.z, problem.test)
    size = expected.std()
    for name, most in (("procrustes", 1e-3), ("ridge", 0.2)):
        assert (predict(name, turned, run, anchors=inner.anchors) - expected).abs().max() < most * size
    assert (predict("absolute", turned, run) - expected).abs().max() > size


# --- widths, degenerate spaces, where methods apply -------------------------------------------------------------


@pytest.mark.parametrize("name", ON_NODES)
def test_other_widths_leave_only_absolute_undefined(name: str, first: Run, wider: Run, problem: Problem) -> None:
    runs = [with_relative_head(run) if name in END_TO_END else run for run in (first, wider)]
    for source, target in (runs, runs[::-1]):
        outputs = predict(name, source, target)
        assert (outputs is None) == (name == "absolute")
        if outputs is not None:
            assert outputs.shape == (problem.test.numel(), CLASSES) and outputs.isfinite().all()
            assert not outputs.requires_grad
            if name not in (*END_TO_END, "permuted-anchors"):
                assert accuracy(outputs, problem) > (0.5 if "cosine" in name else 0.95)


@pytest.mark.parametrize("name", ON_NODES)
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_constant_space_gives_finite_outputs(name: str, value: float, first: Run) -> None:
    constant = Run(first.problem, torch.full_like(first.z, value), first.head)
    runs = [with_relative_head(run) if name in END_TO_END else run for run in (first, constant)]
    for source, target in (runs, runs[::-1], runs[1:] * 2):
        outputs = predict(name, source, target)
        assert outputs is not None and outputs.isfinite().all()


@pytest.mark.parametrize(
    ("mode", "at", "missing"),
    [
        ("multiclass", None, {"label-ridge"}),
        ("multiclass", 1, {"label-ridge", "relative-cosine", "relative-cosine-probe", "kl"}),
        ("multilabel", None, {"label-ridge", "relative-cosine", "relative-cosine-probe"}),
        ("regression", None, {"class-centroid", "relative-cosine", "relative-cosine-probe", "kl"}),
    ],
)
def test_methods_say_where_they_do_not_apply(mode: str, at: int | None, missing: set[str]) -> None:
    problem = make_problem(blocks() if mode == "multiclass" else molecules(mode))
    reasons = {name: method(name).why_not(problem, at) for name in OURS}
    assert {name for name, reason in reasons.items() if reason} == missing
    assert all(reason.startswith(("it ", "its ", "models ")) for reason in reasons.values() if reason)


def test_there_is_a_control_that_draws_and_baselines() -> None:
    kinds = {name: method(name).kind for name in OURS}
    assert {name for name, kind in kinds.items() if kind == "control"} == {"permuted-anchors"}
    assert {name for name, kind in kinds.items() if kind == "baseline"} == {"class-centroid", "label-ridge"}
    assert [name for name in OURS if method(name).draws] == ["permuted-anchors"]
    assert method("permuted-anchors").draws >= 20
