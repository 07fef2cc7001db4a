"""Arrays, lists and text ids give what tensors and integer ids give."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import Data

import relgraph as rg
from relgraph.anchors import AnchorSet, publish
from relgraph.errors import InputError
from relgraph.measures import disagreement, linear_cka, matched_cosine
from tests.spaces import head, normal

Z = normal(40, 6)
NAMES = [f"paper-{row}" for row in range(40)]


def same(one: AnchorSet, other: AnchorSet) -> None:
    assert one.id == other.id and torch.equal(one.ids, other.ids) and torch.equal(one.values, other.values)


def test_arrays_and_lists_give_the_anchor_set_of_tensors() -> None:
    rows = torch.arange(3, 33)
    expected = AnchorSet.from_rows(Z, rows)
    same(AnchorSet.from_rows(Z.numpy(), rows.numpy()), expected)
    locked = Z.numpy().copy()
    locked.setflags(write=False)
    same(AnchorSet.from_rows(locked, rows.tolist()), expected)
    same(AnchorSet(rows.numpy(), Z[rows].numpy(), Z.mean(0).numpy(), weights=np.full(30, 1 / 30, np.float32)), expected)
    data = rg.AddAnchors(9)(Data(x=Z, edge_index=torch.zeros(2, 0, dtype=torch.int64)))
    same(AnchorSet.from_embeddings(Z.numpy(), data), AnchorSet.from_embeddings(Z, data))
    curved = torch.nn.Sequential(head(6, 3), torch.nn.ReLU())
    outputs = [publish(curved, expected, embeddings=z).mean for z in (Z, Z.numpy())]
    assert torch.equal(*outputs)


def test_text_ids_match_across_runs() -> None:
    one = AnchorSet.from_rows(Z, torch.arange(30), ids=NAMES)
    other = AnchorSet.from_rows((2 * Z).flip(0), torch.arange(39, 9, -1), ids=np.array(NAMES[::-1]))
    assert torch.equal(one.ids.sort().values, other.ids.sort().values)
    torch.testing.assert_close(rg.translate(one, other, shrinkage=0.0)(Z), 2 * Z)
    assert one.take([NAMES[4], NAMES[2]]).embeddings.tolist() == Z[[4, 2]].tolist()
    given = [uuid.UUID(int=row) for row in range(40)]
    same(AnchorSet.from_rows(Z, range(5), ids=given), AnchorSet.from_rows(Z, range(5), ids=[str(one) for one in given]))
    data = Data(x=Z, edge_index=torch.zeros(2, 0, dtype=torch.int64), node_id=NAMES)
    assert rg.anchor_index(rg.AddAnchors.from_ids(["paper-7", "paper-3"])(data)).tolist() == [7, 3]
    with pytest.raises(InputError, match="must not repeat an id"):
        AnchorSet.from_rows(Z, [0, 1], ids=["same"] * 40)


def test_measures_diagnosis_and_selection_take_arrays() -> None:
    other = normal(40, 6, seed=3)
    for measure in (linear_cka, matched_cosine, disagreement):
        assert measure(Z.numpy(), other.numpy()) == measure(Z, other)
    space = AnchorSet.from_rows(Z, range(20))
    y = np.arange(40) % 3
    found = rg.diagnose(space, embeddings=Z.numpy(), y=y.tolist(), node_ids=np.arange(40))
    assert found.to_dict() == rg.diagnose(space, embeddings=Z, y=torch.from_numpy(y)).to_dict()
    for points in (Z.numpy(), Z.tolist()):
        chosen = rg.select_anchors(points, 4, "farthest-point", among=np.arange(30), generator=torch.Generator())
        assert (
            chosen.tolist()
            == rg.select_anchors(
                Z if isinstance(points, np.ndarray) else Z.float(),
                4,
                "farthest-point",
                among=torch.arange(30),
                generator=torch.Generator(),
            ).tolist()
        )


def test_nodes_to_choose_among_by_the_name_of_a_mask() -> None:
    data = Data(x=Z, edge_index=torch.zeros(2, 0, dtype=torch.int64), train_mask=torch.arange(40) < 8)
    transform = rg.AddAnchors(5, among="train_mask")
    assert torch.equal(rg.anchor_index(transform(data)), rg.anchor_index(rg.AddAnchors(5, among=data.train_mask)(data)))
    assert repr(transform) == "AddAnchors(5, 'random', seed=0, among='train_mask')"
    with pytest.raises(InputError, match="'among' must be one of train_mask .got 'train'.; did you mean 'train_mask'"):
        rg.AddAnchors(5, among="train")(data)
    by_array = rg.AddAnchors(5, "kmeans", features=Z.numpy())(data)
    assert torch.equal(rg.anchor_index(by_array), rg.anchor_index(rg.AddAnchors(5, "kmeans", features=Z)(data)))


FORMS = {
    "frame": lambda x: pd.DataFrame(x),
    "frame in half": lambda x: pd.DataFrame(x.astype(np.float32)),
    "reversed": lambda x: x[::-1].copy()[::-1],
    "columns first": np.asfortranarray,
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "long double": lambda x: x.astype(np.longdouble),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_numbers_is_taken(form: str) -> None:
    given = FORMS[form](Z.numpy())
    plain = torch.from_numpy(np.array(given, dtype=np.float32 if form == "frame in half" else np.float64))
    rows = torch.arange(30)
    found, expected = (AnchorSet.from_rows(one, rows) for one in (given, plain))
    assert torch.equal(found.values, expected.values)
    torch.testing.assert_close(found.center, expected.center)  # sums in another order of memory round otherwise
    same(AnchorSet(rows, given[:30], np.asarray(given)[0]), AnchorSet(rows, plain[:30], plain[0]))
    chosen = [rg.select_anchors(one, 5, "kmeans", generator=torch.Generator()) for one in (given, plain)]
    assert torch.equal(*chosen)
    assert linear_cka(given, plain) == pytest.approx(1)
    assert rg.retrieval(given, plain, truth=torch.arange(40)).mrr == 1
    before = np.array(given)
    assert np.array_equal(np.array(given), before)


def test_ids_of_the_other_byte_order_are_the_same_ids() -> None:
    ids = np.arange(40) + 2**40
    same(AnchorSet.from_rows(Z, range(9), ids=ids.astype(">i8")), AnchorSet.from_rows(Z, range(9), ids=ids))


def test_text_is_no_number() -> None:
    with pytest.raises(InputError, match="'z' must be a tensor, or an array or list of numbers .got DataFrame"):
        AnchorSet.from_rows(pd.DataFrame({"a": ["x", "y"]}), [0])
