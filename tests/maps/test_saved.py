"""Converted heads in files: what is read is what was written, and what it was made of."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.io import save_record
from relgraph.maps.saved import LINEAR, head_id
from relgraph.pieces import open_piece, relate
from tests.spaces import normal


@pytest.fixture
def pieces() -> tuple[rg.AnchorSet, rg.AnchorSet, rg.PublishedHead]:
    """The space of an old version, that of a new one, and the head of the old one."""
    ids, before = torch.arange(40), normal(40, 5)
    old = rg.AnchorSet.from_rows(before, ids, version="May", time="2026-05-01")
    new = rg.AnchorSet.from_rows(before @ normal(5, 4, seed=1), ids, version="June", time="2026-06-01")
    torch.manual_seed(0)
    return old, new, rg.publish(torch.nn.Linear(5, 3).double(), old)


def test_a_head_answers_as_it_did_before_it_was_written(
    tmp_path: Path, pieces: tuple[rg.AnchorSet, rg.AnchorSet, rg.PublishedHead]
) -> None:
    _, new, published = pieces
    converted = rg.convert(new, published)
    rg.save_head(tmp_path / "head.safetensors", converted, space=new, head=published)
    read = rg.load_head(tmp_path / "head.safetensors")
    assert torch.equal(read(new.embeddings), converted(new.embeddings))
    assert not any(one.requires_grad for one in read.parameters())
    assert read(new.embeddings.float()).dtype == torch.float32


def test_a_head_tells_what_it_was_made_of(
    tmp_path: Path, pieces: tuple[rg.AnchorSet, rg.AnchorSet, rg.PublishedHead]
) -> None:
    old, new, published = pieces
    place, made = tmp_path / "head.safetensors", {}
    rg.save_head(place, rg.convert(new, published), space=new, head=published)
    for name, piece in (("old", old), ("new", new), ("published", published), ("other", new.take(new.ids[:30]))):
        if name == "other":
            piece = rg.AnchorSet(piece.ids, piece.embeddings, piece.center)
        piece.save(tmp_path / f"{name}.safetensors")
        made[name] = open_piece(tmp_path / f"{name}.safetensors")
    found = open_piece(place)
    assert found.about == {
        "features": 4,
        "outputs": 3,
        "converted_from": {
            "id": head_id(published),
            "version": "May",
            "time": "2026-05-01",
            "mode": "multiclass",
            "anchor_set": old.id,
        },
        "converted_for": {"id": new.id, "version": "June", "time": "2026-06-01"},
    }
    for name, conversion in (
        ("old", {"space": "old"}), ("new", {"space": "same"}), ("other", {"space": "other"}),
        ("published", {"head": "same"}),
    ):  # fmt: skip
        assert relate(found, made[name]) == relate(made[name], found) == {"conversion": conversion}
    assert relate(found, found) == {}


def test_a_bundle_is_compared_by_its_space_and_its_head(tmp_path: Path) -> None:
    data = rg.AddAnchors(40)(rg.load_dataset("digits"))
    models = [rg.fit(data, "gcn", seed=seed, epochs=2) for seed in (0, 1)]
    spaces = [rg.AnchorSet.from_embeddings(model.embed(data), data) for model in models]
    for name, model, space in zip(("old", "new"), models, spaces, strict=True):
        rg.save_bundle(tmp_path / name, model, space)
    head = rg.load_bundle(tmp_path / "old").head
    assert head is not None
    rg.save_head(tmp_path / "head.safetensors", torch.nn.Linear(64, 10), space=spaces[1], head=head)
    found = open_piece(tmp_path / "head.safetensors")
    old, new = (relate(found, open_piece(tmp_path / name))["conversion"] for name in ("old", "new"))
    assert (old, new) == ({"space": "old", "head": "same"}, {"space": "same", "head": "other"})


def test_files_of_before_are_read_and_say_nothing(
    tmp_path: Path, pieces: tuple[rg.AnchorSet, rg.AnchorSet, rg.PublishedHead]
) -> None:
    save_record(tmp_path / "head.safetensors", LINEAR, {"weight": torch.eye(3, 4), "bias": torch.zeros(3)}, {})
    assert rg.load_head(tmp_path / "head.safetensors").weight.shape == (3, 4)
    pieces[1].save(tmp_path / "space.safetensors")
    found, space = (open_piece(tmp_path / f"{name}.safetensors") for name in ("head", "space"))
    assert found.about == {"features": 4, "outputs": 3} and relate(found, space)["conversion"] == {"space": "unknown"}


def test_what_is_no_converted_head_is_refused(
    tmp_path: Path, pieces: tuple[rg.AnchorSet, rg.AnchorSet, rg.PublishedHead]
) -> None:
    old, new, published = pieces
    published.save(tmp_path / "published.safetensors")
    with pytest.raises(DataError, match=r"must be a converted head \(got a published head\); convert it first"):
        rg.load_head(tmp_path / "published.safetensors")
    old.save(tmp_path / "space.safetensors")
    with pytest.raises(DataError, match=r"must be of the kind relgraph.linear/1 \(got relgraph.anchors/3\)"):
        rg.load_head(tmp_path / "space.safetensors")
    with pytest.raises(InputError, match="'layer' must be a linear layer"):
        rg.save_head(tmp_path / "head.safetensors", rg.convert(new, published, "kernel-ridge"))
    layer = torch.nn.Linear(2, 2)
    with pytest.raises(InputError, match="'space' must be an AnchorSet"):
        rg.save_head(tmp_path / "head.safetensors", layer, space=published)  # type: ignore[arg-type]
    save_record(
        tmp_path / "damaged.safetensors",
        LINEAR,
        {"weight": torch.eye(2), "bias": torch.zeros(2)},
        {"converted_for": "[1]"},
    )
    with pytest.raises(DataError, match="is damaged: its header is not what was saved"):
        open_piece(tmp_path / "damaged.safetensors")
