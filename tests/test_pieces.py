"""Pieces of every kind: what is read is what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.graph import integer_ids
from relgraph.pieces import open_piece, relate
from relgraph.tables import open_table
from tests.spaces import head, normal, ring, space
from tests.tables.small import save, two_tables

FILES = Path(__file__).parent / "anchors" / "files"


def test_files_of_an_earlier_version_are_shown_with_what_they_know() -> None:
    anchors, there = (open_piece(FILES / f"{name}-0.2.0.safetensors") for name in ("anchors", "head"))
    assert (anchors.kind, there.kind) == ("anchor set", "published head")
    for piece in (anchors, there):
        about = piece.about
        assert (about["graph"], about["graph_sizes"]) == ("48c2de550dbccd96", None)
        assert about["version"] is about["time"] is None
    assert anchors.about["weights"] == {"least": pytest.approx(0.2), "largest": pytest.approx(0.5)}
    found = relate(anchors, there)
    assert found["graph"]["kind"] == "same" and found["ids"] == {"common": 3, "first": 3, "second": 3}


def test_a_bundle_is_shown_with_its_space_and_head(tmp_path: Path) -> None:
    data = rg.AddAnchors(8)(Data(x=normal(20, 5).float(), edge_index=ring(20)))
    torch.manual_seed(0)
    model = rg.Model(rg.nn.GCNEncoder(5, 6), torch.nn.Linear(6, 3)).eval()
    anchors = rg.AnchorSet.from_embeddings(model.embed(data), data, version="v3")
    rg.save_bundle(tmp_path, model, anchors)
    for path in (tmp_path, tmp_path / "manifest.json"):
        piece = open_piece(path)
        assert piece.kind == "bundle" and piece.about["anchor_set"]["id"] == piece.about["head"]["anchor_set"]
        assert piece.about["parameters"] == sum(p.numel() for p in model.state_dict().values())
        assert piece.about["anchor_set"]["version"] == piece.about["head"]["version"] == "v3"
    assert torch.equal(piece.read_ids(), anchors.ids)
    weights = open_piece(tmp_path / "model.safetensors")
    assert (weights.kind, weights.about["parameters"]) == ("model", piece.about["parameters"])


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".npy"])
@pytest.mark.parametrize("columns", [False, True])
def test_a_translated_table_is_shown_without_its_trust_as_vectors(tmp_path: Path, suffix: str, columns: bool) -> None:
    x, y = two_tables()
    kind = ".npy" if suffix == ".npy" else ".parquet"
    source, target = (
        save(tmp_path / f"{n}{kind}", range(400), t, columns=columns) for n, t in (("new", x), ("old", y))
    )
    rg.translate_table(source, target, tmp_path / f"out{suffix}")
    made, plain = open_piece(tmp_path / f"out{suffix}"), open_piece(target)
    assert (made.kind, made.about["rows"], made.about["features"]) == ("table", 400, 4)
    assert made.about["trust"] and not plain.about["trust"] and plain.about["features"] == 4
    assert made.about["ids"] == "integers" and made.read_ids().tolist() == list(range(400))
    # The same table can be translated again.
    assert open_table(tmp_path / f"out{suffix}").width == 4


def test_ids_of_text_match_those_of_anchors(tmp_path: Path) -> None:
    names = [f"paper-{i}" for i in range(30)]
    z = normal(30, 4)
    table = open_piece(save(tmp_path / "t.parquet", names, z.float().numpy()))
    rg.AnchorSet.from_rows(z, torch.arange(5), ids=integer_ids(names)).save(tmp_path / "a.safetensors")
    anchors = open_piece(tmp_path / "a.safetensors")
    assert table.about["ids"] == "text"
    assert relate(table, anchors) == {"ids": {"common": 5, "first": 30, "second": 5}}


def test_without_times_the_smaller_graph_is_the_older(tmp_path: Path) -> None:
    prints = [rg.graph.fingerprint(Data(edge_index=ring(n), num_nodes=n)) for n in (30, 20)]
    pieces = []
    for number, fingerprint in enumerate(prints):
        rg.publish(head(3, 2), space(normal(20, 3), 8, fingerprint=fingerprint)).save(
            tmp_path / f"{number}.safetensors"
        )
        pieces.append(open_piece(tmp_path / f"{number}.safetensors"))
    found = relate(*pieces)
    assert (found["graph"]["kind"], found["graph"]["num_nodes"], found["newer"]) == ("grown", (20, 30), None)
    assert found["graph"]["old"] == str(pieces[1].path)


def test_what_is_no_table_of_vectors_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6))
    with pytest.raises(InputError, match="'path' must be a matrix of floating-point numbers"):
        open_piece(tmp_path / "a.npy")
    (tmp_path / "words.txt").write_text("no vectors here\n")
    with pytest.raises((InputError, DataError)):
        open_piece(tmp_path / "words.txt")
