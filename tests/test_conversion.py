from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch_geometric.nn import Linear as PyGLinear

from relgraph.anchors import AnchorSet
from relgraph.conversion import GraphChangedWarning, PublishedHead, convert, publish
from relgraph.errors import DataError, InputError
from relgraph.translation import ridge_affine

F64 = torch.float64

# Most pairs of runs here have nothing in common.
pytestmark = pytest.mark.filterwarnings("ignore::relgraph.conversion.NoCorrespondenceWarning")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def rotation(width: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(width, width, seed=seed))[0]


def linear(width: int, outputs: int, seed: int = 0) -> nn.Linear:
    head = nn.Linear(width, outputs, dtype=F64)
    with torch.no_grad():
        head.weight.copy_(normal(outputs, width, seed=seed))
        head.bias.copy_(normal(outputs, seed=seed + 1))
    return head


def published(z: Tensor, count: int, *, fingerprint: str = "") -> AnchorSet:
    return AnchorSet(torch.arange(count), z[:count], z.mean(0), fingerprint)


# The formula.


@pytest.mark.parametrize("shrinkage", [1e-3, 0.01, 0.5])
@pytest.mark.parametrize("count", [4, 6, 40])
def test_conversion_equals_the_head_on_whitened_relative_coordinates(shrinkage: float, count: int) -> None:
    z, target, head = normal(80, 6), normal(80, 5, seed=1), linear(5, 3)
    space, there = published(z, count), publish(head, published(target, count))
    centered = space.embeddings - space.center
    covariance = centered.mT @ centered / count
    covariance = covariance + shrinkage * covariance.trace() / 6 * torch.eye(6, dtype=F64)
    r = (z - space.center) @ torch.linalg.inv(covariance) @ centered.mT / count
    expected = r @ (there.logits - there.mean_logits) + there.mean_logits
    torch.testing.assert_close(convert(there, space, shrinkage=shrinkage)(z), expected)


@given(
    seed=st.integers(0, 999),
    count=st.integers(2, 30),
    width=st.integers(1, 8),
    target_width=st.integers(1, 8),
    shrinkage=st.sampled_from([1e-4, 0.01, 0.3]),
)
@settings(max_examples=30, deadline=None)
def test_conversion_equals_ridge_affine_followed_by_a_linear_head(
    seed: int, count: int, width: int, target_width: int, shrinkage: float
) -> None:
    z, target = normal(40, width, seed=seed), normal(40, target_width, seed=seed + 1)
    head, source, goal = linear(target_width, 3, seed), published(z, count), published(target, count)
    both = head(ridge_affine(source, goal, shrinkage=shrinkage)(z))
    torch.testing.assert_close(convert(publish(head, goal), source, shrinkage=shrinkage)(z), both.detach())


def test_any_affine_relation_is_undone_without_shrinkage() -> None:
    z = normal(60, 5)
    target, head = z @ normal(5, 7, seed=1) + 3, linear(7, 4)
    there, space = publish(head, published(target, 20)), published(z, 20)
    expected = head(target).detach()
    torch.testing.assert_close(convert(there, space, shrinkage=0.0)(z), expected)
    torch.testing.assert_close(convert(there, space, shrinkage=1e-9)(z), expected, rtol=1e-5, atol=1e-5)
    assert (convert(there, space, shrinkage=0.5)(z) - expected).abs().max() > 0.1  # and shrinkage does shrink


@given(seed=st.integers(0, 999), count=st.integers(2, 20), factor=st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_turning_moving_or_scaling_either_space_changes_no_logit(seed: int, count: int, factor: float) -> None:
    z, target, head = normal(30, 4, seed=seed), normal(30, 5, seed=seed + 1), linear(5, 3, seed)
    logits = convert(publish(head, published(target, count)), published(z, count))(z)

    turned = factor * z @ rotation(4, seed) + normal(4, seed=seed + 2)
    torch.testing.assert_close(
        convert(publish(head, published(target, count)), published(turned, count))(turned), logits, rtol=1e-6, atol=1e-8
    )
    # The same head for a target space in other coordinates.
    turn, shift = factor * rotation(5, seed), normal(5, seed=seed + 3)
    same = nn.Linear(5, 3, dtype=F64)
    with torch.no_grad():
        same.weight.copy_(head.weight @ torch.linalg.inv(turn).mT)
        same.bias.copy_(head.bias - same.weight @ shift)
    there = publish(same, published(target @ turn + shift, count))
    torch.testing.assert_close(convert(there, published(z, count))(z), logits, rtol=1e-6, atol=1e-8)


def test_a_general_linear_map_does_change_logits() -> None:
    z, there = normal(30, 4), publish(linear(5, 3), published(normal(30, 5, seed=1), 20))
    bent = z @ torch.diag(torch.tensor([1.0, 3.0, 0.2, 1.0], dtype=F64))
    assert (convert(there, published(bent, 20))(bent) - convert(there, published(z, 20))(z)).abs().max() > 1e-3


# Edges.


def test_as_many_anchors_as_dimensions_are_no_trap() -> None:
    width = 24
    z, head = normal(400, width), linear(width, 3)
    target = z @ rotation(width) + 0.3 * normal(400, width, seed=9)  # related up to noise, as two runs are
    truth = head(target).detach()

    def error(shrinkage: float, count: int) -> float:
        logits = convert(publish(head, published(target, count)), published(z, count), shrinkage=shrinkage)(z)
        return float((logits - truth).square().mean() / (truth - truth.mean(0)).square().mean())

    assert error(0.0, width) > 2  # the trap: interpolating the noise is worse than a constant
    assert error(0.01, width) < 0.6
    assert error(0.01, width // 2) < 1  # and fewer anchors than dimensions still help


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_a_constant_space_gives_the_mean_logits(value: float, dtype: torch.dtype) -> None:
    constant = torch.full((30, 4), value, dtype=dtype)
    there = publish(linear(5, 3), published(normal(30, 5), 10))
    logits = convert(there, published(constant, 10))(constant)
    torch.testing.assert_close(logits, there.mean_logits.to(dtype).expand(30, 3))


def test_zero_rows_and_repeated_rows_are_fine() -> None:
    z = normal(30, 4)
    z[:5], z[5:9] = 0, z[9]
    there = publish(linear(5, 3), published(normal(30, 5), 12))
    layer = convert(there, published(z, 12))
    assert layer(z).isfinite().all() and layer(z[:0]).shape == (0, 3)


def test_the_result_is_a_frozen_linear_layer_in_the_type_of_the_space() -> None:
    there = publish(linear(5, 3), published(normal(30, 5), 20))
    layer = convert(there, published(normal(30, 4), 20).to(torch.float32))
    assert type(layer) is nn.Linear and not layer.training
    assert layer.weight.shape == (3, 4) and layer.weight.dtype == layer.bias.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in layer.parameters())


def test_conversion_is_a_pure_function_of_the_two_pieces() -> None:
    space, there = published(normal(30, 4), 20), publish(linear(5, 3), published(normal(30, 5), 20))
    state = torch.get_rng_state()
    one = convert(there, space)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(5)
    assert torch.equal(one.weight, convert(there, space).weight)


def test_float64_inside_keeps_single_precision_far_from_the_origin() -> None:
    z = normal(60, 5)
    there = publish(linear(7, 4), published(normal(60, 7, seed=1), 20))
    far = published((z + 100).float(), 20)
    expected = convert(there, published(z, 20))
    got = convert(there, far)
    torch.testing.assert_close(got.weight.double(), expected.weight, rtol=1e-3, atol=1e-4)


def test_wrong_arguments_are_named() -> None:
    space, there = published(normal(9, 2), 5), publish(linear(3, 2), published(normal(9, 3), 5))
    with pytest.raises(
        InputError, match=r"'method' must be one of auto, kl, linear, rbf \(got 'liner'\); did you mean 'linear'"
    ):
        convert(there, space, "liner")
    with pytest.raises(InputError, match="'shrinkage'"):
        convert(there, space, shrinkage=-1.0)


# Which anchors.


def test_anchors_are_paired_by_id_whatever_their_order() -> None:
    space, target, head = published(normal(30, 4), 20), published(normal(30, 5, seed=1), 20), linear(5, 3)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    expected = convert(publish(head, target), space)
    turned = convert(publish(head, target.take(target.ids[order])), space)
    torch.testing.assert_close(turned.weight, expected.weight)
    torch.testing.assert_close(turned.bias, expected.bias)


def test_of_different_anchors_those_in_common_are_used() -> None:
    space, target, head = published(normal(30, 4), 20), published(normal(30, 5, seed=1), 20), linear(5, 3)
    part, other = space.take(torch.arange(0, 12)), target.take(torch.arange(7, 20))
    common = torch.arange(7, 12)
    expected = convert(publish(head, target.take(common)), space.take(common))
    torch.testing.assert_close(convert(publish(head, other), part).weight, expected.weight)
    with pytest.raises(InputError, match=r"need 5 ids in common.*got 4 of 11 and 13"):
        convert(publish(head, other), part.take(torch.arange(0, 11)))


def test_another_graph_is_a_warning_at_the_callers_line() -> None:
    space, target = published(normal(9, 2), 5, fingerprint="a"), published(normal(9, 3), 5, fingerprint="b")
    with pytest.warns(GraphChangedWarning, match="a and b") as caught:
        convert(publish(linear(3, 2), target), space)
    assert caught[0].filename == __file__
    assert issubclass(GraphChangedWarning, UserWarning)


# Publishing a head.


def test_a_linear_head_publishes_itself_at_the_center() -> None:
    z, head = normal(30, 4), linear(4, 3)
    there = publish(head, published(z, 10))
    torch.testing.assert_close(there.logits, head(z[:10]).detach())
    torch.testing.assert_close(there.mean_logits, head(z).mean(0).detach())
    assert there.mean_from == "head at the centre" and there.space == published(z, 10).space
    assert not there.logits.requires_grad


def test_a_linear_layer_of_pyg_is_linear_too_and_a_subclass_with_its_own_forward_is_not() -> None:
    class Bent(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input).relu()

    space = published(normal(30, 4).float(), 10)
    assert publish(PyGLinear(4, 3), space).mean_from == "head at the centre"
    assert publish(Bent(4, 3), space).mean_from == "anchors' mean"


def test_other_heads_use_the_embeddings_given_else_the_anchors() -> None:
    z, head = normal(30, 4), nn.Sequential(linear(4, 6), nn.ReLU(), linear(6, 3))
    rough, exact = publish(head, published(z, 10)), publish(head, published(z, 10), embeddings=z)
    assert (rough.mean_from, exact.mean_from) == ("anchors' mean", "embeddings given")
    torch.testing.assert_close(exact.mean_logits, head(z).mean(0).detach())
    torch.testing.assert_close(rough.mean_logits, head(z[:10]).mean(0).detach())
    assert "mean from anchors' mean" in repr(rough) and "mean from the embeddings given" in repr(exact)


def test_a_head_runs_in_eval_mode_and_is_left_as_it_was() -> None:
    head = nn.Sequential(nn.Dropout(0.5), linear(4, 3), nn.BatchNorm1d(3, dtype=F64))
    head[2].eval()  # a frozen part of a head in training
    space = published(normal(30, 4), 10)
    first = publish(head, space)
    assert torch.equal(first.logits, publish(head, space).logits)
    assert [part.training for part in head.modules()] == [True, True, True, False]
    assert head[2].num_batches_tracked.item() == 0


def test_the_mode_comes_back_after_an_error_too() -> None:
    head = nn.Sequential(linear(5, 3))
    with pytest.raises(RuntimeError):
        publish(head, published(normal(30, 4), 10))
    assert head.training


def test_heads_that_do_not_fit_are_refused() -> None:
    space = published(normal(30, 4), 10)
    with pytest.raises(InputError, match="got a head of 5 features and anchors of 4"):
        publish(linear(5, 3), space)
    with pytest.raises(InputError, match="one row of logits per node"):
        publish(nn.Flatten(0), space)
    broken = linear(4, 3)
    nn.init.constant_(broken.weight, float("nan"))
    with pytest.raises(InputError, match="'logits' must hold finite numbers"):
        publish(broken, space)
    with pytest.raises(InputError, match=r"'embeddings' must hold finite numbers .* row 2"):
        z = normal(30, 4)
        z[2] = float("nan")
        publish(nn.Sequential(linear(4, 3)), space, embeddings=z)


def test_pieces_are_checked() -> None:
    ids, logits = torch.arange(2), torch.eye(2)
    with pytest.raises(InputError, match="one row per id"):
        PublishedHead(torch.arange(3), logits, torch.zeros(2), "")
    with pytest.raises(InputError, match="'mean_logits' one row"):
        PublishedHead(ids, logits, torch.zeros(3), "")
    with pytest.raises(InputError, match="more than once"):
        PublishedHead(torch.zeros(2, dtype=torch.int64), logits, torch.zeros(2), "")
    with pytest.raises(InputError, match="NaN in row 1"):
        PublishedHead(ids, torch.tensor([[0.0], [torch.nan]]), torch.zeros(1), "")
    assert len(PublishedHead(ids, logits, torch.zeros(2), "").to(F64)) == 2


# Files.


def test_a_saved_head_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    there = publish(linear(4, 3), published(normal(30, 4), 10, fingerprint="abc"))
    there.save(tmp_path / "head")
    read = PublishedHead.load(tmp_path / "head")
    for name in ("ids", "logits", "mean_logits"):
        assert torch.equal(getattr(read, name), getattr(there, name))
    assert (read.mean_from, read.fingerprint, read.space) == (there.mean_from, "abc", there.space)
    with pytest.raises(DataError, match=r"kind relgraph.anchors/1 \(got relgraph.head/1\)"):
        AnchorSet.load(tmp_path / "head")
    (tmp_path / "head").write_bytes((tmp_path / "head").read_bytes()[:-1])
    with pytest.raises(DataError, match="damaged"):
        PublishedHead.load(tmp_path / "head")


WORK = """
import sys, torch
from relgraph.anchors import AnchorSet
from relgraph.conversion import publish
seed, width, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.manual_seed(seed)
z = torch.randn(50, width)
space = AnchorSet(torch.arange(20), z[:20], z.mean(0), "graph")
if seed == 0:
    space.save(path)
else:
    publish(torch.nn.Linear(width, 3), space).save(path)
"""


def test_processes_that_share_nothing_but_two_files_stitch(tmp_path: Path) -> None:
    files = [tmp_path / "space", tmp_path / "head"]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    jobs = [
        subprocess.Popen([sys.executable, "-c", WORK, str(i), str(6 + i), str(files[i])], env=environment)
        for i in range(2)
    ]
    assert [job.wait(timeout=120) for job in jobs] == [0, 0]
    layer = convert(PublishedHead.load(files[1]), AnchorSet.load(files[0]))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = torch.randn(50, 6)
        torch.manual_seed(1)
        target, head = torch.randn(50, 7), nn.Linear(7, 3)
    here = convert(publish(head, published(target, 20, fingerprint="graph")), published(z, 20, fingerprint="graph"))
    assert torch.equal(layer(z), here(z))
