"""Every arm on runs whose answer is known: the second space is the first one turned, moved and scaled."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet
from relgraph.conversion import convert
from relgraph.measures import cohen_kappa
from relgraph.stitching.arms import ARMS, Arm, Nodes, PermutedAnchors, Run
from relgraph.stitching.experiment import meet_all

COUNT, WIDTH, CLASSES, ANCHORS = 240, 6, 4, 24


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(width: int, seed: int) -> Tensor:
    return torch.linalg.qr(draw(width, width, seed=seed)).Q


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    head = nn.Linear(weight.size(1), weight.size(0), dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head


def run_of(z: Tensor, head: nn.Module, nodes: Nodes) -> Run:
    return Run(z, head, AnchorSet(nodes.anchors, z[nodes.anchors], z.mean(0)))


@pytest.fixture(scope="module")
def nodes() -> Nodes:
    rows = torch.arange(COUNT)
    y = torch.randint(0, CLASSES, (COUNT,), generator=torch.Generator().manual_seed(0))
    return Nodes(y, rows[:60], rows[60:120], rows[120:], rows[100 : 100 + ANCHORS], CLASSES)


@pytest.fixture(scope="module")
def first(nodes: Nodes) -> Run:
    """Noise around class means, read by their linear discriminant: nearly always right."""
    means = 3 * draw(CLASSES, WIDTH, seed=1)
    z = means[nodes.y] + draw(COUNT, WIDTH, seed=2)
    return run_of(z, linear(means, -means.square().sum(1) / 2), nodes)


@pytest.fixture(scope="module")
def second(first: Run, nodes: Nodes) -> Run:
    """The same run in other coordinates, its head changed to match: the same logits on every node."""
    turn, move, scale = rotation(WIDTH, 3), 10 * draw(WIDTH, seed=4), 2.5
    weight = first.head.weight.detach() @ turn / scale
    other = run_of(scale * first.z @ turn + move, linear(weight, first.head.bias.detach() - weight @ move), nodes)
    torch.testing.assert_close(other.head(other.z), first.head(first.z))
    return other


@pytest.fixture(scope="module")
def wider(first: Run, nodes: Nodes) -> Run:
    """The first space turned inside one of three more dimensions, which the head does not look at."""
    turn = rotation(WIDTH + 3, 5)
    z = torch.cat([first.z, 0.1 * draw(COUNT, 3, seed=6)], dim=1) @ turn
    weight = torch.cat([first.head.weight.detach(), torch.zeros(CLASSES, 3, dtype=torch.float64)], dim=1) @ turn
    return run_of(z, linear(weight, first.head.bias.detach()), nodes)


def meet(arm: Arm | str, source: Run, target: Run, nodes: Nodes) -> Tensor | None:
    arm = ARMS[arm] if isinstance(arm, str) else arm
    return arm.meet(arm.publish(source, nodes), arm.publish(target, nodes))


def accuracy(logits: Tensor | None, nodes: Nodes) -> float:
    assert logits is not None
    return float((logits.argmax(-1) == nodes.y[nodes.test]).double().mean())


def own(run: Run, nodes: Nodes) -> Tensor:
    return run.head(run.z[nodes.test]).detach()


# --- what is known of a space in other coordinates --------------------------------------------------------------


def test_absolute_is_right_at_home_and_lost_abroad(first: Run, second: Run, nodes: Nodes) -> None:
    at_home = meet("absolute", second, second, nodes)
    torch.testing.assert_close(at_home, own(second, nodes))
    assert accuracy(at_home, nodes) > 0.95
    assert accuracy(meet("absolute", first, second, nodes), nodes) < 0.5
    assert accuracy(meet("absolute", second, first, nodes), nodes) < 0.5


def test_converted_does_not_notice_other_coordinates(first: Run, second: Run, nodes: Nodes) -> None:
    at_home = meet("converted", first, first, nodes)
    assert at_home is not None
    for source, target in ((first, second), (second, first), (second, second)):
        torch.testing.assert_close(meet("converted", source, target, nodes), at_home, rtol=1e-9, atol=1e-9)
    assert torch.equal(at_home.argmax(-1), own(first, nodes).argmax(-1))


@pytest.mark.parametrize("name", ["converted-rbf", "converted-kl", "converted-auto"])
def test_other_conversions_do_not_notice_other_coordinates_either(
    name: str, first: Run, second: Run, nodes: Nodes
) -> None:
    at_home = meet(name, first, first, nodes)
    for source, target in ((first, second), (second, first), (second, second)):
        torch.testing.assert_close(meet(name, source, target, nodes), at_home, rtol=1e-4, atol=1e-4)
    assert (at_home.argmax(-1) == own(first, nodes).argmax(-1)).double().mean() > 0.98
    published = ARMS[name].publish(first, nodes)
    assert {field.name for field in fields(published)} == {"z", "space", "head"}


def test_each_conversion_is_the_librarys_of_that_name(first: Run, second: Run, nodes: Nodes) -> None:
    turned = run_of(second.z + draw(COUNT, WIDTH, seed=11), second.head, nodes)  # related, but not exactly
    logits = {}
    for name, method in (
        ("converted", "linear"),
        ("converted-rbf", "rbf"),
        ("converted-kl", "kl"),
        ("converted-auto", "auto"),
    ):
        source, target = ARMS[name].publish(turned, nodes), ARMS[name].publish(first, nodes)
        logits[name] = ARMS[name].meet(source, target)
        assert torch.equal(logits[name], convert(target.head, turned.space, method)(turned.z[nodes.test]).detach())
    assert not any(torch.allclose(logits["converted"], logits[name]) for name in list(logits)[1:])


def test_procrustes_is_exact(first: Run, second: Run, nodes: Nodes) -> None:
    for source, target in ((first, second), (second, first)):
        torch.testing.assert_close(meet("procrustes", source, target, nodes), own(source, nodes), rtol=1e-9, atol=1e-8)


def test_permuted_anchors_are_near_chance_over_many_draws(first: Run, second: Run, nodes: Nodes) -> None:
    arm, truth = PermutedAnchors(seed=1), nodes.y[nodes.test]
    source, target = arm.publish(first, nodes), arm.publish(second, nodes)
    kappas = torch.tensor([cohen_kappa(arm.meet(source, target), truth) for _ in range(200)])
    assert abs(float(kappas.mean())) < 4 * float(kappas.std()) / 200**0.5
    assert float(kappas.std()) > 0.05  # single draws swing
    assert cohen_kappa(meet("converted", first, second, nodes), truth) > 0.95


@pytest.mark.parametrize("name", ["relative-cosine", "relative-cosine-posthoc"])
def test_relative_vectors_do_not_notice_rotation_and_scale_but_moving(name: str, first: Run, nodes: Nodes) -> None:
    head = linear(draw(CLASSES, ANCHORS, seed=7), draw(CLASSES, seed=8))
    turned = run_of(3 * first.z @ rotation(WIDTH, 9), head, nodes)
    moved = run_of(first.z + 5, head, nodes)
    vectors = [ARMS[name].publish(run_of(first.z, head, nodes), nodes).z]
    vectors += [ARMS[name].publish(run, nodes).z for run in (turned, moved)]
    torch.testing.assert_close(vectors[0], vectors[1], rtol=1e-10, atol=1e-12)
    assert (vectors[0] - vectors[2]).abs().max() > 0.1


def test_relative_cosine_hands_the_cosines_to_the_foreign_head(first: Run, nodes: Nodes) -> None:
    heads = [linear(draw(CLASSES, ANCHORS, seed=seed), draw(CLASSES, seed=seed)) for seed in (7, 8)]
    source, target = run_of(first.z, heads[0], nodes), run_of(first.z @ rotation(WIDTH, 9), heads[1], nodes)
    cosines = torch.stack(
        [torch.stack([z @ a / (z.norm() * a.norm()) for a in first.z[nodes.anchors]]) for z in first.z[nodes.test]]
    )
    torch.testing.assert_close(meet("relative-cosine", source, target, nodes), heads[1](cosines).detach())


def test_posthoc_trains_a_head_for_each_space_that_reads_the_other(first: Run, second: Run, nodes: Nodes) -> None:
    turned = run_of(first.z @ rotation(WIDTH, 9), first.head, nodes)
    for source, target in ((first, first), (first, turned), (turned, first)):
        assert accuracy(meet("relative-cosine-posthoc", source, target, nodes), nodes) > 0.95


# --- the baseline -----------------------------------------------------------------------------------------------


def test_class_centroid_is_the_nearest_mean_of_the_sources_own_nodes(first: Run, second: Run, nodes: Nodes) -> None:
    logits = meet("class-centroid", first, second, nodes)
    slow = torch.zeros(nodes.test.numel(), CLASSES, dtype=torch.float64)
    for label in range(CLASSES):
        members = [row for row in nodes.train.tolist() if int(nodes.y[row]) == label]
        mean = sum(first.z[row] for row in members) / len(members)
        for place, row in enumerate(nodes.test.tolist()):
            slow[place, label] = -(first.z[row] - mean).norm()
    torch.testing.assert_close(logits, slow)
    assert torch.equal(meet("class-centroid", first, first, nodes), logits)


def test_a_class_without_training_nodes_is_never_predicted(first: Run, nodes: Nodes) -> None:
    seen = nodes.train[nodes.y[nodes.train] != 2]
    part = Nodes(nodes.y, seen, nodes.validation, nodes.test, nodes.anchors, CLASSES)
    for name in ("class-centroid", "relative-cosine-posthoc"):
        logits = meet(name, first, first, part)
        assert logits is not None and not logits.isnan().any()
        assert set(logits.argmax(-1).tolist()) == {0, 1, 3}


# --- widths, degenerate spaces ----------------------------------------------------------------------------------


def with_relative_head(run: Run, nodes: Nodes) -> Run:
    return run_of(run.z, linear(draw(CLASSES, ANCHORS, seed=7), draw(CLASSES, seed=8)), nodes)


@pytest.mark.parametrize("name", ARMS)
def test_other_widths_stop_the_absolute_arm_only(name: str, first: Run, wider: Run, nodes: Nodes) -> None:
    runs = [with_relative_head(run, nodes) if ARMS[name].end_to_end else run for run in (first, wider)]
    for source, target in (runs, runs[::-1]):
        logits = meet(name, source, target, nodes)
        assert (logits is None) == (name == "absolute")
        if logits is not None:
            assert logits.shape == (nodes.test.numel(), CLASSES) and logits.isfinite().all()
            assert not logits.requires_grad


@pytest.mark.parametrize(
    "name", ["converted", "converted-rbf", "converted-kl", "converted-auto", "procrustes", "class-centroid"]
)
def test_a_wider_space_is_read_as_well(name: str, first: Run, wider: Run, nodes: Nodes) -> None:
    assert accuracy(meet(name, first, wider, nodes), nodes) > 0.95
    assert accuracy(meet(name, wider, first, nodes), nodes) > 0.95


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_collapsed_space_gives_finite_numbers(name: str, value: float, first: Run, nodes: Nodes) -> None:
    collapsed = run_of(torch.full_like(first.z, value), first.head, nodes)
    runs = [with_relative_head(run, nodes) if ARMS[name].end_to_end else run for run in (first, collapsed)]
    for source, target in (runs, runs[::-1], runs[1:] * 2):
        logits = meet(name, source, target, nodes)
        assert logits is not None and logits.isfinite().all()


# --- all meetings -----------------------------------------------------------------------------------------------


def test_a_runs_row_and_column_do_not_depend_on_who_else_is_there(
    first: Run, second: Run, wider: Run, nodes: Nodes
) -> None:
    for name in ("absolute", "converted", "procrustes", "class-centroid"):
        result = meet_all(ARMS[name], [first, wider, second], nodes)
        assert result.predictions.shape == (3, 3, nodes.test.numel()) and result.draws is None
        for i, source in enumerate((first, wider, second)):
            for j, target in enumerate((first, wider, second)):
                logits = meet(name, source, target, nodes)
                expected = np.full(nodes.test.numel(), -1) if logits is None else logits.argmax(-1).numpy()
                assert np.array_equal(result.predictions[i, j], expected)


def test_the_control_draws_at_least_twenty_pairs_and_the_same_ones_again(first: Run, second: Run, nodes: Nodes) -> None:
    one, two = (meet_all(ARMS["permuted-anchors"], [first, second], nodes) for _ in range(2))
    assert one.draws is not None and one.draws.shape == (20, nodes.test.numel())
    assert np.array_equal(one.draws, two.draws) and np.array_equal(one.predictions, two.predictions)
    assert np.array_equal(one.draws[0], one.predictions[0, 1]) and np.array_equal(one.draws[1], one.predictions[1, 0])
    assert not np.array_equal(one.draws[0], one.draws[2])  # a new shuffle at every meeting
    many = meet_all(ARMS["permuted-anchors"], [first, second] * 3, nodes)
    assert many.draws is not None and len(many.draws) == 30


def test_the_seed_of_the_control_decides(first: Run, second: Run, nodes: Nodes) -> None:
    one, two = (meet_all(PermutedAnchors(seed), [first, second], nodes) for seed in (1, 2))
    assert not np.array_equal(one.draws, two.draws)


def test_seconds_of_training_are_added_to_those_of_meeting(first: Run, second: Run, nodes: Nodes) -> None:
    training = [100.0, 200.0]
    seconds = meet_all(ARMS["converted"], [first, second], nodes, training).seconds
    assert [100 < seconds[0] < 150, 200 < seconds[1] < 250] == [True, True]
    assert training == [100.0, 200.0]
    assert all(0 < second < 50 for second in meet_all(ARMS["converted"], [first, second], nodes).seconds)


def test_kinds_say_which_arms_must_fail_and_which_must_be_beaten() -> None:
    kinds = {name: arm.kind for name, arm in ARMS.items()}
    assert kinds.pop("permuted-anchors") == "control" and kinds.pop("class-centroid") == "baseline"
    assert set(kinds.values()) == {"method"}
    assert [name for name, arm in ARMS.items() if arm.end_to_end] == ["relative-cosine"]
    untrained = {name for name, arm in ARMS.items() if arm.trains == "nothing"}
    assert untrained == {"absolute", "converted", "converted-rbf", "procrustes", "permuted-anchors"}
    assert "fitted" in ARMS["converted-kl"].trains and "or a convex fit" in ARMS["converted-auto"].trains


def test_converted_hands_out_nothing_but_what_is_published(first: Run, nodes: Nodes) -> None:
    """Beside the test embeddings to be read: K rows and one mean of the space, and of the head."""
    published = ARMS["converted"].publish(first, nodes)
    assert {field.name for field in fields(published)} == {"z", "space", "head"}
    assert published.space.embeddings.shape == (ANCHORS, WIDTH)
    assert published.head.logits.shape == (ANCHORS, CLASSES)


def test_a_head_that_is_not_linear_is_published_with_its_mean_over_all_nodes(first: Run, nodes: Nodes) -> None:
    bent = nn.Sequential(first.head, nn.ReLU())
    published = ARMS["converted"].publish(run_of(first.z, bent, nodes), nodes).head
    assert published.mean_from == "embeddings given"
    torch.testing.assert_close(published.mean_logits, bent(first.z).mean(0).detach())
