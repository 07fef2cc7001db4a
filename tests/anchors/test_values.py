from __future__ import annotations

import copy
import os
import pickle
import stat
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch_geometric.data import Data, HeteroData

from relgraph.anchors import AnchorSet, GraphChangedWarning, aligned_rows, shared_ids
from relgraph.errors import DataError, InputError
from relgraph.graph import fingerprint
from relgraph.io import save_record


def graph(num_nodes: int = 6, anchors: tuple[int, ...] = (4, 0, 5)) -> Data:
    rank = torch.full((num_nodes,), -1)
    rank[list(anchors)] = torch.arange(len(anchors))
    edge_index = torch.tensor([[0, 1, 2], [1, 2, 3]])
    node_id = torch.arange(num_nodes) * 10
    return Data(edge_index=edge_index, num_nodes=num_nodes, node_id=node_id, anchor_rank=rank, num_anchors=len(anchors))


def space(seed: int = 0, count: int = 5, width: int = 3, dtype: torch.dtype = torch.float32, id: str = "") -> AnchorSet:
    draw = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(count, width, generator=draw).to(dtype)
    return AnchorSet(torch.arange(count) * 2, embeddings, embeddings.mean(0), "0123", id)


def test_from_embeddings_takes_the_anchors_in_rank_order_and_the_mean_of_all_nodes() -> None:
    data, z = graph(), torch.randn(6, 3, requires_grad=True)
    made = AnchorSet.from_embeddings(z, data)
    assert made.ids.tolist() == [40, 0, 50]
    assert torch.equal(made.embeddings, z.detach()[[4, 0, 5]])
    torch.testing.assert_close(made.center, z.detach().mean(0))
    assert made.fingerprint == fingerprint(data)
    assert not made.embeddings.requires_grad and not made.center.requires_grad
    assert len(made) == 3 and made.num_features == 3


def test_from_embeddings_does_not_share_memory_with_its_source() -> None:
    z = torch.randn(6, 3)
    made = AnchorSet.from_embeddings(z, graph())
    before = made.embeddings.clone()
    z.zero_()
    assert torch.equal(made.embeddings, before)


def test_the_center_of_half_precision_embeddings_is_averaged_in_wide_numbers() -> None:
    z = torch.full((70_000, 1), 3.0, dtype=torch.float16)  # their sum is beyond the largest half-precision number
    data = graph(70_000)
    assert AnchorSet.from_embeddings(z, data).center.item() == 3.0
    z = torch.randn(6, 50, generator=torch.Generator().manual_seed(0)) + 1000
    exact = z.double().mean(0).float()
    assert torch.equal(AnchorSet.from_embeddings(z, graph()).center, exact) and not torch.equal(z.mean(0), exact)


def test_a_given_fingerprint_is_kept() -> None:
    assert AnchorSet.from_embeddings(torch.zeros(6, 2), graph(), fingerprint="given").fingerprint == "given"


def test_a_node_type_of_a_heterogeneous_graph_can_be_published() -> None:
    data = HeteroData()
    data["paper"].x = torch.randn(4, 2)
    data["paper"].anchor_rank = torch.tensor([-1, 0, 1, -1])
    data["paper"].num_anchors = 2
    for source in (data["paper"], data):
        made = AnchorSet.from_embeddings(data["paper"].x, source)
        assert made.ids.tolist() == [1, 2] and made.fingerprint == ""


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_named_with_its_row(bad: float) -> None:
    z = torch.zeros(6, 2)
    z[3, 1] = bad
    with pytest.raises(InputError, match=r"'z' must hold finite numbers \(got (NaN|infinity) in row 3\)"):
        AnchorSet.from_embeddings(z, graph())


def test_rows_that_do_not_match_the_graph_are_refused() -> None:
    with pytest.raises(InputError, match="got 5 rows for 6 nodes"):
        AnchorSet.from_embeddings(torch.zeros(5, 2), graph())


def test_repeated_ids_are_refused() -> None:
    data = graph()
    data.node_id = torch.tensor([0, 1, 2, 3, 7, 7])
    with pytest.raises(InputError, match="'node_id' must not repeat an id .got 7 for several anchors"):
        AnchorSet.from_embeddings(torch.zeros(6, 2), data)
    with pytest.raises(InputError, match="'ids' must not repeat an id .got 7 more than once"):
        AnchorSet(torch.tensor([7, 7]), torch.eye(2), torch.zeros(2))


def test_shapes_and_types_are_checked() -> None:
    ids, rows = torch.arange(2), torch.eye(2)
    with pytest.raises(InputError, match="one row per id"):
        AnchorSet(torch.arange(3), rows, torch.zeros(2))
    with pytest.raises(InputError, match=r"'center' must have shape \(2,\)"):
        AnchorSet(ids, rows, torch.zeros(3))
    with pytest.raises(InputError, match="matrix of floating-point numbers"):
        AnchorSet(ids, rows.long(), torch.zeros(2))
    with pytest.raises(InputError, match="'embeddings' must be a tensor, or an array or list of numbers .got str."):
        AnchorSet(ids, "rows", torch.zeros(2))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'embeddings' must hold numbers below 1e.100 .got a larger one.; rescale"):
        AnchorSet(ids, 1e200 * torch.eye(2, dtype=torch.float64), torch.zeros(2))
    with pytest.raises(InputError, match="at least one integer"):
        AnchorSet(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2), torch.zeros(2))
    with pytest.raises(InputError, match="'center' must hold finite numbers"):
        AnchorSet(ids, rows, torch.tensor([0.0, torch.nan]))


def test_the_id_is_a_hash_of_the_content() -> None:
    one = space()
    assert one.id == space().id != ""
    moved = AnchorSet(one.ids, one.embeddings, one.center + 1)
    renamed = AnchorSet(one.ids + 1, one.embeddings, one.center)
    turned = AnchorSet(one.ids, one.embeddings.flip(0), one.center)
    weighted = AnchorSet(one.ids, one.embeddings, one.center, weights=torch.arange(1.0, 6.0))
    assert len({one.id, moved.id, renamed.id, turned.id, weighted.id}) == 5
    assert one.to(torch.float64).id == one.id  # the same space in other numbers


def test_to_converts_all_tensors() -> None:
    wide = space().to(torch.float64)
    assert wide.embeddings.dtype == wide.center.dtype == torch.float64 and wide.ids.dtype == torch.int64
    assert space().to(device="cpu", dtype=torch.float16).center.dtype == torch.float16


def test_repr_lists_sizes_graph_and_id() -> None:
    made = space()
    assert repr(made) == f"AnchorSet(5 anchors, 3 features, graph 0123, id {made.id})"
    assert "graph unknown" in repr(AnchorSet(made.ids, made.embeddings, made.center))


def test_take_keeps_the_order_and_names_missing_ids() -> None:
    made = space()
    part = made.take(torch.tensor([6, 0]))
    assert part.ids.tolist() == [6, 0]
    assert torch.equal(part.embeddings, made.embeddings[[3, 0]]) and torch.equal(part.center, made.center)
    assert part.id == AnchorSet(part.ids, part.embeddings, part.center, weights=part.weights).id != made.id
    with pytest.raises(InputError, match=r"\(got 1, 99\)"):
        made.take(torch.tensor([1, 0, 99]))
    with pytest.raises(InputError, match="more than once"):
        made.take(torch.tensor([0, 0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_saved_space_is_read_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    made, path = space(dtype=dtype, id="mine"), tmp_path / "space.safetensors"
    made.save(path)
    read = AnchorSet.load(path)
    for name in ("ids", "embeddings", "center", "weights"):
        assert torch.equal(getattr(read, name), getattr(made, name))
    assert (read.fingerprint, read.id) == (made.fingerprint, "mine")
    assert os.listdir(tmp_path) == ["space.safetensors"]


def test_a_saved_file_is_readable_by_other_users(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        space().save(tmp_path / "space")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "space").stat().st_mode) == 0o644


def test_saving_again_replaces_the_file_but_not_loaded_tensors(tmp_path: Path) -> None:
    path = tmp_path / "space"
    space(0).save(path)
    first = AnchorSet.load(path)
    space(1).save(path)
    assert torch.equal(first.embeddings, space(0).embeddings)
    assert torch.equal(AnchorSet.load(path).embeddings, space(1).embeddings)


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be writable"):
        space().save(tmp_path / "no such folder" / "space")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="must be writable"):
        space().save(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(tmp_path / "folder") == []


def test_foreign_damaged_and_missing_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(DataError, match="does not exist"):
        AnchorSet.load(path)
    path.write_text("no tensors here")
    with pytest.raises(DataError, match="damaged or no safetensors file"):
        AnchorSet.load(path)
    save_file({"ids": torch.zeros(1)}, path)
    with pytest.raises(DataError, match=r"must be of the kind relgraph.anchors/3 \(got a safetensors file of unknown"):
        AnchorSet.load(path)
    for older in ("relgraph.anchors/2", "relgraph.head/2"):
        save_record(path, older, {n: torch.zeros(1) for n in ("ids", "embeddings", "center")}, {})
        with pytest.raises(DataError, match=rf"must be of the kind relgraph.anchors/3 \(got {older}\); load it with"):
            AnchorSet.load(path)
    save_record(path, "relgraph.anchors/3", {"ids": torch.zeros(1)}, {})
    with pytest.raises(DataError, match="damaged: its content"):
        AnchorSet.load(path)
    wrong = {name: torch.zeros(1) for name in ("ids", "embeddings", "center", "weights")}
    save_record(path, "relgraph.anchors/3", wrong, {})
    with pytest.raises(DataError, match="holds no usable AnchorSet"):
        AnchorSet.load(path)
    with pytest.raises(DataError):
        AnchorSet.load(tmp_path)


def test_changed_and_truncated_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "space"
    space().save(path)
    whole = path.read_bytes()
    for damaged in (whole[:-4], whole[:40], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged"):
            AnchorSet.load(path)


@given(st.lists(st.integers(-20, 20), unique=True), st.lists(st.integers(-20, 20), unique=True))
def test_shared_ids_equals_a_slow_loop(a: list[int], b: list[int]) -> None:
    pairs = [(i, b.index(value)) for i, value in enumerate(a) if value in b]
    rows_a, rows_b = shared_ids(torch.tensor(a, dtype=torch.int64), torch.tensor(b, dtype=torch.int64))
    assert list(zip(rows_a.tolist(), rows_b.tolist(), strict=True)) == pairs


@given(count=st.integers(1, 12), shared=st.integers(0, 12), width=st.integers(1, 12))
@settings(deadline=None)
def test_different_ids_need_one_more_in_common_than_the_space_has_dimensions(
    count: int, shared: int, width: int
) -> None:
    shared = min(shared, count - 1)
    ids, others = torch.arange(count), torch.arange(count - shared, 2 * count - shared)
    if shared >= width + 1:
        rows, other_rows = aligned_rows(ids, others, num_features=width)
        assert torch.equal(ids[rows], others[other_rows]) and rows.numel() == shared
    else:
        with pytest.raises(InputError, match=f"need {width + 1} ids in common.*got {shared} of {count}"):
            aligned_rows(ids, others, num_features=width)


def test_equal_ids_in_another_order_always_fit() -> None:
    rows, other_rows = aligned_rows(torch.tensor([3, 1]), torch.tensor([1, 3]), num_features=100)
    assert rows.tolist() == [0, 1] and other_rows.tolist() == [1, 0]


def test_another_graph_is_a_warning_unless_one_is_unknown() -> None:
    ids = torch.arange(2)
    with pytest.warns(GraphChangedWarning, match="aa and bb"):
        aligned_rows(ids, ids, num_features=1, fingerprints=("bb", "aa"))
    aligned_rows(ids, ids, num_features=1, fingerprints=("bb", ""))  # warnings are errors here
    aligned_rows(ids, ids, num_features=1, fingerprints=("bb", "bb"))


def test_the_center_is_taken_over_the_rows_asked_for() -> None:
    z, old = torch.randn(6, 3), torch.tensor([True, True, False, True, False, True])
    for rows in (old, old.nonzero().view(-1), old.nonzero().view(-1).int()):
        made = AnchorSet.from_embeddings(z, graph(), center_over=rows)
        torch.testing.assert_close(made.center, z[old].mean(0))
        assert torch.equal(made.embeddings, z[[4, 0, 5]])


def test_rows_of_the_center_that_are_not_there_are_refused() -> None:
    z = torch.randn(6, 3)
    for wrong in (torch.ones(5, dtype=torch.bool), torch.ones(6), torch.ones(6, 1, dtype=torch.int64)):
        with pytest.raises(InputError, match="'center_over' must be a mask of 6 rows or a list of row numbers"):
            AnchorSet.from_embeddings(z, graph(), center_over=wrong)
    for wrong in (torch.zeros(6, dtype=torch.bool), torch.tensor([6]), torch.tensor([0, -1])):
        with pytest.raises(InputError, match="'center_over' must name rows from 0 to 5, at least one"):
            AnchorSet.from_embeddings(z, graph(), center_over=wrong)


def test_rows_without_a_graph_give_the_same_as_a_graph_with_anchors() -> None:
    z, data = torch.randn(6, 3), graph()
    made = AnchorSet.from_rows(z, torch.tensor([4, 0, 5]), ids=data.node_id, fingerprint=fingerprint(data))
    expected = AnchorSet.from_embeddings(z, data)
    assert made.id == expected.id and made.fingerprint == expected.fingerprint
    assert AnchorSet.from_rows(z, torch.tensor([4, 0])).ids.tolist() == [4, 0]
    old = torch.tensor([0, 1, 2])
    torch.testing.assert_close(AnchorSet.from_rows(z, old, center_over=old).center, z[:3].mean(0))


def test_rows_and_ids_that_do_not_fit_are_refused() -> None:
    z = torch.randn(6, 3)
    for rows, ids, message in (
        (torch.tensor([6]), None, "'rows' must name rows from 0 to 5"),
        (torch.tensor([2, 2]), None, "'rows' must not repeat a row .got 2 more than once"),
        (torch.tensor([2]), torch.arange(5), "'ids' must have shape .6,., one id per row of 'z'"),
        (torch.tensor([2]), torch.rand(6), "'ids' must hold integers"),
    ):
        with pytest.raises(InputError, match=message):
            AnchorSet.from_rows(z, rows, ids=ids)
    with pytest.raises(InputError, match="'z' must hold finite numbers .got NaN in row 1"):
        AnchorSet.from_rows(z.index_fill(0, torch.tensor([1]), torch.nan), torch.tensor([0]))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.uint16, torch.int32, torch.uint32, torch.uint64])
def test_ids_may_be_integers_of_any_width(dtype: torch.dtype) -> None:
    made = AnchorSet(torch.tensor([7, 3], dtype=dtype), torch.eye(2), torch.zeros(2))
    assert made.ids.dtype == torch.int64 and made.ids.tolist() == [7, 3]
    assert made.take(torch.tensor([3], dtype=dtype)).ids.tolist() == [3]


def test_ids_that_are_no_integers_or_too_large_are_refused() -> None:
    for ids, message in (
        (torch.tensor([True, False]), "must hold integers, strings or UUIDs .got torch.bool"),
        (torch.tensor([2**63, 1], dtype=torch.uint64), "must be below 2.*63"),
    ):
        with pytest.raises(InputError, match=f"'ids' {message}"):
            AnchorSet(ids, torch.eye(2), torch.zeros(2))


def test_anchor_sets_do_not_change_and_can_be_copied() -> None:
    made = space()
    for name in ("ids", "values", "mean", "id", "fingerprint", "weights"):
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, None)
    for copied in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert torch.equal(copied.embeddings, made.embeddings) and copied.id == made.id


# Weights.


def weighted(dtype: torch.dtype = torch.float32) -> AnchorSet:
    one = space(dtype=dtype)
    return AnchorSet(one.ids, one.embeddings, one.center, weights=torch.tensor([0.5, 0.2, 0.1, 0.05, 0.15]))


def test_anchors_without_weights_stand_for_equal_shares() -> None:
    assert torch.equal(space().weights, torch.full((5,), 0.2))
    torch.testing.assert_close(AnchorSet.from_embeddings(torch.randn(6, 3), graph()).weights, torch.full((3,), 1 / 3))
    assert AnchorSet.from_rows(torch.randn(6, 3), torch.tensor([4, 0])).weights.tolist() == [0.5, 0.5]


def test_weights_are_read_in_rank_order_from_the_graph_and_given_for_rows() -> None:
    data, z = graph(), torch.randn(6, 3)
    data.anchor_weight = torch.tensor([0.25, 0.0, 0.0, 0.0, 0.125, 0.625])
    made = AnchorSet.from_embeddings(z, data)
    assert made.weights.tolist() == [0.125, 0.25, 0.625]
    rows = torch.tensor([4, 0, 5])
    same = AnchorSet.from_rows(z, rows, ids=data.node_id, fingerprint=fingerprint(data), weights=made.weights)
    assert same.id == made.id != AnchorSet.from_embeddings(z, graph()).id


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_are_kept_by_files_parts_types_and_copies(tmp_path: Path, dtype: torch.dtype) -> None:
    made = weighted(dtype)
    made.save(tmp_path / "space")
    for kept in (AnchorSet.load(tmp_path / "space"), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert torch.equal(kept.weights, made.weights) and kept.weights.dtype == made.weights.dtype
    assert torch.equal(made.take(torch.tensor([6, 0])).weights, made.weights[[3, 0]])
    assert torch.equal(made.take(made.ids.flip(0)).weights, made.weights.flip(0))
    for other in (torch.float16, torch.float32, torch.float64):
        torch.testing.assert_close(made.to(other).weights, weighted(other).weights)


def test_the_share_of_one_of_very_many_rows_survives_half_precision() -> None:
    one = space()
    made = AnchorSet(one.ids, one.embeddings, one.center, weights=torch.tensor([1.0, 1.0, 1.0, 1.0, 1e-9]))
    assert made.to(torch.float16).weights[4] == made.weights[4] > 0


def test_wrong_weights_are_one_sentence() -> None:
    one = space()
    for weights, found in (
        (torch.tensor([0.5, -0.1, 0.2, 0.2, 0.2]), r"\(got 4 of shape \(5,\)\)"),
        (torch.tensor([0.5, 0.0, 0.1, 0.2, 0.2]), r"\(got 4 of shape \(5,\)\)"),
        (torch.tensor([0.5, torch.nan, 0.1, 0.2, 0.2]), r"\(got 4 of shape \(5,\)\)"),
        (torch.tensor([torch.inf, torch.nan, 0.1, 0.2, 0.2]), r"\(got 3 of shape \(5,\)\)"),
        (torch.ones(4), r"\(got 4 of shape \(4,\)\)"),
        (torch.ones(5, 1), r"\(got 5 of shape \(5, 1\)\)"),
        (torch.tensor(1.0), r"\(got 1 of shape \(\)\)"),
    ):
        with pytest.raises(InputError, match=f"'weights' must hold one finite number above 0 per anchor, 5 {found}"):
            AnchorSet(one.ids, one.embeddings, one.center, weights=weights)
    with pytest.raises(InputError, match="'weights' must hold one finite number above 0 per anchor, 2 .got 3 of"):
        AnchorSet.from_rows(torch.randn(6, 3), torch.tensor([4, 0]), weights=torch.ones(3))
    data = graph()
    for weights in (torch.ones(5), torch.ones(7), torch.ones(6, 1)):
        data.anchor_weight = weights
        with pytest.raises(InputError, match=r"'anchor_weight' must hold one number per node \(got shape .* 6 nodes\)"):
            AnchorSet.from_embeddings(torch.randn(6, 3), data)
    data.anchor_weight = torch.zeros(6)
    with pytest.raises(InputError, match="'weights' must hold one finite number above 0 per anchor, 3 .got 0"):
        AnchorSet.from_embeddings(torch.randn(6, 3), data)


def test_a_file_with_wrong_weights_is_refused(tmp_path: Path) -> None:
    one = weighted()
    tensors = {"ids": one.ids, "embeddings": one.embeddings, "center": one.center, "weights": -one.weights}
    save_record(tmp_path / "space", "relgraph.anchors/3", tensors, {"fingerprint": "", "id": ""})
    with pytest.raises(DataError, match="holds no usable AnchorSet: 'weights' must hold one finite number above 0"):
        AnchorSet.load(tmp_path / "space")
