"""Version and time of published values, and files of earlier versions of relgraph."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

import relgraph as rg
from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.errors import InputError
from relgraph.io import load_record
from tests.spaces import graph, head, normal

FILES = Path(__file__).parent / "files"
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def labeled(version: str = "2026-03", time: str | dt.date = "2026-03-01T12:00Z") -> AnchorSet:
    z = normal(20, 3)
    return AnchorSet.from_rows(z, torch.arange(8), version=version, time=time)


def test_a_space_carries_its_version_and_time_to_heads_parts_copies_and_files(tmp_path: Path) -> None:
    made = labeled()
    there = publish(head(3, 2), made)
    for piece in (made, there, made.take(torch.tensor([3, 1])), made.to(torch.float32), there.to(torch.float32)):
        assert (piece.version, piece.time, piece.datetime) == ("2026-03", "2026-03-01T12:00Z", NOON)
        piece.save(tmp_path / "piece")
        read = type(piece).load(tmp_path / "piece")
        assert (read.version, read.time) == (piece.version, piece.time)
        assert repr(read).endswith(", version 2026-03)")


def test_the_label_and_the_time_do_not_change_the_id() -> None:
    assert labeled().id == labeled("", "").id
    assert "version" not in repr(labeled("", "")) and labeled("", "").datetime is None


def test_every_way_to_make_a_space_takes_them() -> None:
    data: Data = graph(30, anchors=6)
    about = {"version": "v7", "time": NOON}
    z = normal(30, 4)
    made = AnchorSet.from_embeddings(z, data, **about)
    others = [
        AnchorSet(made.ids, made.embeddings, made.center, **about),
        AnchorSet.from_rows(z, torch.arange(6), **about),
        PublishedHead(made.ids, made.embeddings, made.center, **about),
    ]
    for piece in (made, *others):
        assert (piece.version, piece.time, piece.datetime) == ("v7", "2026-03-01T12:00:00+00:00", NOON)


def test_a_piece_does_not_change_with_what_it_was_made_of() -> None:
    ids, rows, center, weights = torch.arange(4), normal(4, 3), normal(3, seed=1), torch.full((4,), 0.25)
    weights = weights.double()
    made = [
        AnchorSet(ids, rows, center, weights=weights),
        AnchorSet(ids, rows.numpy(), center.numpy()),
        PublishedHead(ids, rows, center),
    ]
    copies = [one.to(rows.dtype) for one in made] + [one.take(ids) for one in made]
    for one in (ids, rows, center, weights):
        one.zero_()
    for one in (*made, *copies):
        assert one.ids.tolist() == [0, 1, 2, 3]
        assert torch.equal(one.values, normal(4, 3)) and torch.equal(one.mean, normal(3, seed=1))
    assert bool((made[0].weights == 0.25).all())
    for one in made:
        one.values.zero_()
    assert all(torch.equal(one.values, normal(4, 3)) for one in copies)


def test_parts_of_one_tensor_make_a_piece_that_can_be_saved(tmp_path: Path) -> None:
    z = normal(4, 3)
    for made in (AnchorSet(torch.arange(3), z[:3], z[0]), PublishedHead(torch.arange(3), z[:3], z[0])):
        made.save(tmp_path / "piece")
        assert torch.equal(type(made).load(tmp_path / "piece").mean, z[0])


@given(st.datetimes(timezones=st.none() | st.timezones()), st.booleans())
def test_a_datetime_comes_back(time: dt.datetime, as_text: bool) -> None:
    time = time.replace(fold=0)
    read = labeled("", time.isoformat() if as_text else time).datetime
    assert read is not None and read.tzinfo is not None
    assert read.isoformat() == (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).isoformat()


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01", "2026", 5, None, 1.5])
def test_what_is_no_time_is_refused(time: object) -> None:
    words = "'time' must be a time in ISO 8601 .got .*.; write '2026-03-01' or"
    for make in (labeled, lambda version, time: PublishedHead(torch.tensor([1]), normal(1, 2), normal(2), time=time)):
        with pytest.raises(InputError, match=words):
            make("", time)


def test_a_version_that_is_no_string_is_refused() -> None:
    with pytest.raises(InputError, match="'version' must be a string .got int.; give the label of the release"):
        labeled(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["version", "id", "fingerprint"])
def test_text_that_no_file_can_hold_is_refused_at_once(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' must be text that UTF-8 can write .got '.*ud800'"):
        AnchorSet(torch.tensor([1]), normal(1, 2), normal(2), **{name: "\ud800"})
    with pytest.raises(InputError, match="'version' must be text that UTF-8 can write"):
        PublishedHead(torch.tensor([1]), normal(1, 2), normal(2), version="v\udfff")


def test_files_of_an_earlier_version_are_read() -> None:
    """The files were written by relgraph 0.2.0, which knew neither version nor time, of the values drawn here."""
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    space = AnchorSet.load(FILES / "anchors-0.2.0.safetensors")
    assert "version" not in load_record(FILES / "anchors-0.2.0.safetensors", "relgraph.anchors/3")[1]
    assert space.ids.tolist() == [40, 0, 50] and torch.equal(space.embeddings, z[[4, 0, 5]])
    torch.testing.assert_close(space.center, z.mean(0))
    torch.testing.assert_close(space.weights, torch.tensor([0.2, 0.3, 0.5]))
    there = PublishedHead.load(FILES / "head-0.2.0.safetensors")
    torch.testing.assert_close(there.outputs, z[[4, 0, 5]] @ torch.arange(6.0).view(2, 3).T)
    for piece in (space, there):
        assert (piece.version, piece.time, piece.fingerprint) == ("", "", "48c2de550dbccd96")
    assert there.anchor_set == space.id == "4ecd399ec7e4b64b"
    assert rg.convert(space, there, method="ridge")(z).isfinite().all()


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        (["a", "b", "c"], "b3"),
        ([UUID(int=1), UUID(int=2), UUID(int=3)], UUID(int=9)),
        (np.array(["a", "b", "c"]), "b3"),
        (np.array([7, 8, 9], dtype="u2"), 4),
    ],
    ids=["strings", "uuids", "array", "integers"],
)
def test_ids_are_shown_as_they_were_given(names: Any, absent: Any) -> None:
    z, kept = torch.eye(3), type(names)
    first, repeated = names[0], kept([names[0], names[0]]) if kept is list else np.array([names[0], names[0]])
    anchors = AnchorSet(names, z, z[0])
    for call in (lambda: AnchorSet(repeated, z[:2], z[0]), lambda: rg.AddAnchors.from_ids(repeated)):
        with pytest.raises(InputError, match=f"must not repeat an id .got {first} more than once"):
            call()
    with pytest.raises(InputError, match=f"must not repeat an id .got {first} more than once"):
        AnchorSet.from_rows(z[:2], [0, 1], ids=repeated)
    with pytest.raises(InputError, match=f"must be among the anchors .got {absent}.;"):
        anchors.take([first, absent])
    data = Data(x=z, node_id=names)
    with pytest.raises(InputError, match=f"missing: {absent}"):
        rg.AddAnchors.from_ids([first, absent])(data)
    data.node_id, data.anchor_rank, data.num_anchors = (
        list(names[:1]) * 2 + list(names[2:]),
        torch.tensor([0, 1, -1]),
        2,
    )
    with pytest.raises(InputError, match=f"'node_id' must not repeat an id .got {first} for several anchors"):
        AnchorSet.from_embeddings(z, data)
