from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import Data

import relgraph as rg
from relgraph.cli import main
from relgraph.pieces import UPGRADE
from tests.cli.small import Finished, wrong_inputs
from tests.spaces import head, normal, ring
from tests.tables.small import save


@pytest.fixture
def pieces(here: Path) -> Path:
    """An old space and its head, a space of the grown graph and of another one, and a table."""
    z = normal(300, 3).float()
    for name, count, shift, about in (
        ("old", 200, 0, {"version": "v1", "time": "2026-01-01"}),
        ("new", 300, 0, {"version": "v2", "time": "2026-03-01"}),
        ("far", 200, 100, {}),
    ):
        data = Data(edge_index=ring(count), num_nodes=count, node_id=torch.arange(count) + shift)
        data = rg.AddAnchors.from_ids(torch.arange(100, 160))(data)
        space = rg.AnchorSet.from_embeddings(z[:count], data, **about)
        space.save(here / f"{name}.safetensors")
        rg.publish(head(3, 2).float(), space).save(here / f"{name}-head.safetensors")
    np.save(here / "table.npy", z.numpy())
    return here


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["show", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_a_space_and_its_head_are_shown(pieces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {line[:14].strip(): line[14:] for line in shown(capsys, "old.safetensors").splitlines()}
    space = rg.AnchorSet.load("old.safetensors")
    assert (lines["kind"], lines["anchors"], lines["features"], lines["id"]) == ("anchor set", "60", "3", space.id)
    assert (lines["version"], lines["time"]) == ("v1", "2026-01-01")
    assert (lines["graph"], lines["graph sizes"]) == (space.fingerprint[:16], "nodes 200, edges 400")
    text = shown(capsys, "old-head.safetensors")
    assert f"anchor set    {space.id}\n" in text and "mode          multiclass\n" in text


@pytest.mark.parametrize("words", [("old", "new"), ("new", "old"), ("old-head", "new")])
def test_a_grown_graph_is_told(words: tuple[str, str], pieces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, *(f"{name}.safetensors" for name in words))
    assert "ids           60 in common, of 60 and 60\n" in text
    assert f"newer         the {'first' if words[0] == 'new' else 'second'}\n" in text
    assert "graphs        grown, from 200 to 300 nodes\nold nodes     100 % [9" in text


def test_another_graph_and_the_same_are_told(pieces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "graphs        other, from 200 to 200 nodes\nold nodes     50 %" in shown(
        capsys, "old.safetensors", "far.safetensors"
    )
    text = shown(capsys, "far.safetensors", "far-head.safetensors")
    assert text.endswith("versions      unknown and unknown\ngraphs        same\n")


def test_json_is_written_alone_or_to_a_file(pieces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(shown(capsys, "old.safetensors", "table.npy", "--json", "-"))
    space, table = found["pieces"]
    assert (space["kind"], space["graph_sizes"]) == ("anchor set", {"nodes": 200, "edges": 400})
    assert (table["kind"], table["rows"], table["trust"]) == ("table", 300, False)
    assert found["relation"] == {"ids": {"common": 60, "first": 60, "second": 300}}
    text = shown(capsys, "old.safetensors", "new.safetensors", "--json", "out.json")
    assert "graphs        grown" in text
    graph = json.loads(Path("out.json").read_text())["relation"]["graph"]
    assert (graph["kind"], graph["old"], graph["old_nodes_kept"]["share"]) == ("grown", "old.safetensors", 1.0)


def test_a_run_of_stitch_is_shown_as_stitch_shows_it(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished[0] / "runs" / "digits-gcn-sage"
    text = shown(capsys, str(run))
    assert text == shown(capsys, str(run / "stitching.json"))
    printed = finished[1].stderr
    start = printed.index("digits: 1,797 nodes")
    body = printed[start : printed.index("Written:")].strip()
    assert body in text
    assert "encoder       sage" in shown(capsys, str(run / "models" / "sage-0.safetensors"))
    assert json.loads(shown(capsys, str(run), "--json", "-"))["pieces"][0]["document"] == json.loads(finished[1].stdout)


def test_ids_that_repeat_count_once_and_are_told(pieces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.zeros((5, 2), dtype=np.float32)
    save(pieces / "repeated.npy", [0, 0, 1, 2, 3], rows)
    save(pieces / "whole.npy", [0, 1, 2, 3, 4], rows)
    text = shown(capsys, "repeated.npy", "whole.npy")
    assert text.endswith("ids           4 in common, of 5 and 5; ids repeat: the first has 4 different ones\n")
    found = json.loads(shown(capsys, "whole.npy", "repeated.npy", "--json", "-"))["relation"]
    assert found == {"ids": {"common": 4, "first": 5, "second": 5, "distinct": [5, 4]}}
    assert "repeat" not in shown(capsys, "whole.npy", "whole.npy")


def test_a_converted_head_tells_its_pieces_and_whether_a_space_is_its_own(
    pieces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upgrade", "old-head.safetensors", "new.safetensors", "--out", "made.safetensors", "--anyway"]) == 0
    capsys.readouterr()
    old, new = (rg.AnchorSet.load(f"{name}.safetensors") for name in ("old", "new"))
    text = shown(capsys, "made.safetensors")
    assert "kind          converted head\nfeatures      3\noutputs       2\nconverted from:\n" in text
    assert f"  version     v1\n  time        2026-01-01\n  mode        multiclass\n  anchor set  {old.id}\n" in text
    assert f"converted for:\n  id          {new.id}\n  version     v2\n  time        2026-03-01\n" in text
    for other, words in (
        ("new", "space         the head was converted for this space\n"),
        ("old", "space         the head was converted from this space, for another one\n"),
        ("far", "space         the head was converted for another space\n"),
        ("old-head", "head          the converted head was made of this published head\n"),
        ("new-head", "head          the converted head was made of another published head\n"),
    ):
        assert shown(capsys, "made.safetensors", f"{other}.safetensors").endswith(f"\n\n{words}")
        assert shown(capsys, f"{other}.safetensors", "made.safetensors").endswith(f"\n\n{words}")


def test_documents_of_upgrade_and_drift_are_shown(pieces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade", "old-head.safetensors", "new.safetensors", "--json", "head.json"]) == 0
    printed = capsys.readouterr().out.replace("written: head.json\n", "")
    text = shown(capsys, "head.json")
    assert text.startswith("file          head.json\nkind              upgrade document\n") and printed in text
    generator = np.random.default_rng(0)
    runs = {name: generator.normal(size=(200, 3)).astype(np.float32) for name in "abc"}
    for name, rows in runs.items():
        np.save(f"{name}.npy", rows)
    assert main(["upgrade", "a.npy", "b.npy", "--json", "tables.json"]) == 0
    (verdict,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("verdict"))
    lines = shown(capsys, "tables.json").splitlines()
    assert [" ".join(verdict.split())] == [" ".join(line.split()) for line in lines if line.startswith("verdict")]
    assert any(line.startswith("cosine ") for line in lines)
    assert main(["drift", "a.npy", "b.npy", "--null", "c.npy", "--json", "drift.json"]) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()[:-1]]
    assert [line.split() for line in shown(capsys, "drift.json").splitlines()[2:]] == printed
    found = json.loads(shown(capsys, "drift.json", "head.json", "--json", "-"))
    assert [one["kind"] for one in found["pieces"]] == ["drift document", "upgrade document"]


USAGE = {
    "": "Missing argument",
    "table.npy --json no/out.json x y": "unexpected extra argument",
    "short.npy": "'FILE' must have one id per row, 3 (got (2,) in 'short.npy')",
    "table.npy short.npy": "'OTHER' must have one id per row, 3 (got (2,) in 'short.npy')",
    "table.npy large.npy": "'OTHER' must be below 2**63",
    "two.parquet": "'--key' must be given unless one column of 'two.parquet' can hold ids (got a, b)",
    "two.parquet --key c": "'--key' must be a column of 'two.parquet', one of a, b, v (got 'c')",
    "table.npy --json table.npy": "'--json' must not replace a file that is read (got 'table.npy'); choose another",
}
FAILURE = {
    "none.npy": "'none.npy' does not exist; give the path of an anchor set",
    "damaged.safetensors": "'damaged.safetensors' is damaged or no safetensors file",
    "changed.safetensors": "'changed.safetensors' is damaged: its content is not what was saved",
    "future.safetensors": "'future.safetensors' must be of the kind relgraph.anchors/3 (got relgraph.anchors/9)",
    "damaged.npy": "'damaged.npy' is damaged",
    "broken.json": "'broken.json' is damaged or no document",
    "list.json": "'list.json' must be a document of one of the schemas relgraph.stitching/2, relgraph.upgrade/1, "
    "relgraph.drift/1 (got one without a schema); write it with --json of relgraph stitch, upgrade or drift",
    "other.json": "(got 'relgraph.stability/1'); write it",
    "cut.json": "'cut.json' is damaged: it has no 'reason'; write it again",
    "part-of-upgrade.json": "'part-of-upgrade.json' is damaged: a part of the document is not as it was written",
    "part.json": "'part.json' is damaged: it has no 'task'",
    "hollow.json": "'hollow.json' is damaged: a part of the document is not as it was written",
    "photo.png": "'photo.png' must be an anchor set, a head, a model, a bundle, a table or a document of relgraph",
    "empty": "(got a folder without 'manifest.json' or 'stitching.json')",
    "bundle": "'bundle/manifest.json' is damaged",
    "table.npy old.safetensors --json no/out.json": "'--json' must be a file in a folder that exists",
    "old.safetensors none.npy": "'none.npy' does not exist",
}


@wrong_inputs(USAGE, FAILURE)
def test_wrong_input_is_one_sentence(
    options: str, words: str, status: int, pieces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from relgraph.io import save_record
    from relgraph.stitching.report import SCHEMA, report_schema

    (pieces / "damaged.safetensors").write_bytes(b"damaged")
    whole = (pieces / "old.safetensors").read_bytes()
    (pieces / "changed.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    save_record(pieces / "future.safetensors", "relgraph.anchors/9", {"ids": torch.zeros(1)}, {})
    (pieces / "damaged.npy").write_bytes(b"damaged")
    (pieces / "broken.json").write_text("{")
    (pieces / "list.json").write_text("[1]")
    (pieces / "other.json").write_text(json.dumps({"schema": "relgraph.stability/1"}))
    (pieces / "cut.json").write_text(json.dumps({"schema": UPGRADE, "verdict": "keep"}))
    (pieces / "part-of-upgrade.json").write_text(json.dumps({"schema": UPGRADE, "verdict": "keep", "reason": "x"}))
    (pieces / "part.json").write_text(json.dumps({"schema": SCHEMA}))
    hollow = {name: {} for name in report_schema()["required"]} | {"schema": SCHEMA}
    (pieces / "hollow.json").write_text(json.dumps(hollow))
    (pieces / "photo.png").write_bytes(b"\x89PNG")
    save(pieces / "short.npy", [1, 2], np.zeros((3, 2), dtype=np.float32))
    save(pieces / "large.npy", np.array([1, 2**63, 3], dtype=np.uint64), np.zeros((3, 2), dtype=np.float32))
    pd.DataFrame({"a": [1], "b": [2], "v": [0.5]}).to_parquet(pieces / "two.parquet")
    (pieces / "empty").mkdir()
    (pieces / "bundle").mkdir()
    (pieces / "bundle" / "manifest.json").write_text("{")
    assert main(["show", *options.split()]) == status
    err = capsys.readouterr().err
    assert words in err and err.startswith("relgraph: ") and err.count("\n") == 1
