from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import Linear as PyGLinear

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.errors import DataError, InputError
from tests.spaces import F64, head, normal, space


def test_the_mean_of_a_linear_head_is_its_output_at_the_center() -> None:
    z, own = normal(30, 4), head(4, 3)
    there = publish(own, space(z, 10))
    torch.testing.assert_close(there.outputs, own(z[:10]).detach())
    torch.testing.assert_close(there.mean, own(z).mean(0).detach())
    assert (there.mean_from, there.anchor_set, there.mode) == ("center", space(z, 10).id, "multiclass")
    assert not there.outputs.requires_grad


def test_a_linear_layer_of_pyg_is_linear_too_and_a_subclass_with_its_own_forward_is_not() -> None:
    class Curved(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input).relu()

    anchors = space(normal(30, 4).float(), 10)
    assert publish(PyGLinear(4, 3), anchors).mean_from == "center"
    assert publish(Curved(4, 3), anchors).mean_from == "anchors"


def test_the_mean_of_other_heads_is_over_the_given_embeddings_or_the_anchors() -> None:
    z, own = normal(30, 4), nn.Sequential(head(4, 6), nn.ReLU(), head(6, 3))
    rough, exact = publish(own, space(z, 10)), publish(own, space(z, 10), embeddings=z)
    assert (rough.mean_from, exact.mean_from) == ("anchors", "run-embeddings")
    torch.testing.assert_close(exact.mean, own(z).mean(0).detach())
    torch.testing.assert_close(rough.mean, own(z[:10]).mean(0).detach())
    some = space(z, 3)
    shares = torch.tensor([0.04, 0.16, 0.64])
    some = AnchorSet(some.ids, some.embeddings, some.center, weights=shares)
    outputs = own(z[:3]).detach()
    torch.testing.assert_close(publish(own, some).mean, (outputs[0] + 2 * outputs[1] + 4 * outputs[2]) / 7)


def test_a_head_runs_in_evaluation_mode_and_is_left_unchanged() -> None:
    own = nn.Sequential(nn.Dropout(0.5), head(4, 3), nn.BatchNorm1d(3, dtype=F64))
    own[2].eval()  # a frozen part of a head in training
    anchors = space(normal(30, 4), 10)
    first = publish(own, anchors)
    assert torch.equal(first.outputs, publish(own, anchors).outputs)
    assert [part.training for part in own.modules()] == [True, True, True, False]
    assert own[2].num_batches_tracked.item() == 0
    broken = nn.Sequential(head(5, 3))
    with pytest.raises(RuntimeError):
        publish(broken, anchors)
    assert broken.training


def test_heads_that_do_not_fit_are_refused() -> None:
    z = normal(30, 4)
    anchors = space(z, 10)
    with pytest.raises(InputError, match="got a head of 5 features and anchors of 4"):
        publish(head(5, 3), anchors)
    with pytest.raises(InputError, match="must return one row"):
        publish(nn.Flatten(0), anchors)
    with pytest.raises(InputError, match="'mode' must be one of multiclass, multilabel, regression"):
        publish(head(4, 3), anchors, mode="labels")  # type: ignore[arg-type]
    broken = head(4, 3)
    nn.init.constant_(broken.weight, float("nan"))
    with pytest.raises(InputError, match="'outputs' must hold finite numbers"):
        publish(broken, anchors)
    z = z.index_fill(0, torch.tensor([2]), torch.nan)
    with pytest.raises(InputError, match=r"'embeddings' must hold finite numbers .* row 2"):
        publish(nn.Sequential(head(4, 3)), anchors, embeddings=z)


def test_published_heads_are_checked() -> None:
    ids, outputs = torch.arange(2), torch.eye(2)
    with pytest.raises(InputError, match="one row per id"):
        PublishedHead(torch.arange(3), outputs, torch.zeros(2))
    with pytest.raises(InputError, match="'mean' must have shape"):
        PublishedHead(ids, outputs, torch.zeros(3))
    with pytest.raises(InputError, match="more than once"):
        PublishedHead(torch.zeros(2, dtype=torch.int64), outputs, torch.zeros(2))
    with pytest.raises(InputError, match="NaN in row 1"):
        PublishedHead(ids, torch.tensor([[0.0], [torch.nan]]), torch.zeros(1))
    with pytest.raises(InputError, match="'mean_from' must be one of"):
        PublishedHead(ids, outputs, torch.zeros(2), mean_from="head")  # type: ignore[arg-type]


def test_a_published_head_does_not_change_and_some_anchors_can_be_taken() -> None:
    there = publish(head(4, 3), space(normal(30, 4), 10))
    for name in ("mode", "mean_from", "anchor_set", "values", "mean"):
        with pytest.raises(FrozenInstanceError):
            setattr(there, name, None)
    part = there.take(there.ids[[7, 2]])
    assert torch.equal(part.outputs, there.outputs[[7, 2]]) and torch.equal(part.mean, there.mean)
    assert (part.mode, part.mean_from, part.anchor_set) == (there.mode, there.mean_from, there.anchor_set)


def test_a_saved_head_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    own = nn.Sequential(head(4, 3), nn.ReLU())
    there = publish(own, space(normal(30, 4), 10, fingerprint="abc"), mode="multilabel")
    there.save(tmp_path / "head")
    read = PublishedHead.load(tmp_path / "head")
    for name in ("ids", "outputs", "mean"):
        assert torch.equal(getattr(read, name), getattr(there, name))
    assert (read.mean_from, read.fingerprint, read.anchor_set) == ("anchors", "abc", there.anchor_set)
    assert read.mode == "multilabel" == there.to(torch.float32).mode
    with pytest.raises(DataError, match=r"kind relgraph.anchors/3 \(got relgraph.head/2\)"):
        AnchorSet.load(tmp_path / "head")
    (tmp_path / "head").write_bytes((tmp_path / "head").read_bytes()[:-1])
    with pytest.raises(DataError, match="damaged"):
        PublishedHead.load(tmp_path / "head")


def test_arguments_of_another_type_or_width_are_one_sentence() -> None:
    z = normal(20, 5)
    anchors = space(z, 8)
    with pytest.raises(InputError, match="'anchors' must be an AnchorSet .got Tensor.; make one with"):
        publish(head(5, 3), z)  # type: ignore[arg-type]
    curved = nn.Sequential(head(5, 3), nn.ReLU())
    with pytest.raises(InputError, match="'embeddings' must be 5 wide, as the anchors .got 4"):
        publish(curved, anchors, embeddings=z[:, :4])
