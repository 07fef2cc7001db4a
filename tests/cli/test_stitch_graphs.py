"""``relgraph stitch`` on whole graphs."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from relgraph.cli import main
from relgraph.stitching.graphs import graph_schema
from tests.handmade import molecules

TINY = ["stitch", "--dataset", "ogbg-molbace", "--seeds", "2", "--epochs", "1", "--anchors", "16"]


@pytest.fixture
def handmade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and handmade graphs in the place of the real ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("relgraph.datasets.load_graphs", lambda name, root=None: molecules())
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_table_a_document_and_a_picture(handmade: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(capsys, *TINY, "--encoders", "gcn,gin", "--arms", "absolute,converted,permuted-anchors")
    assert status == 0, err
    assert "handmade: 60 graphs" in out and "permuted-anchors" in out and "ROC-AUC in percent" in out
    folder = handmade / "runs" / "ogbg-molbace-gcn-gin"
    assert sorted(path.name for path in folder.iterdir()) == ["matrix.png", "stitching.json"]
    document = json.loads((folder / "stitching.json").read_text())
    jsonschema.validate(document, graph_schema())
    assert document["anchors"]["count"] == 16 and document["train"]["epochs"] == 1
    assert "--anchors 16" in document["command"] and "--split" not in document["command"]


def test_json_alone_on_standard_output(handmade: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(capsys, *TINY, "--arms", "absolute", "--json", "-", "--out", "here")
    assert status == 0 and json.loads(out)["schema"] == "relgraph.graph-stitching/1"
    assert "Written: here/stitching.json" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stitch-at", "1"], "'--stitch-at' must be left out for a data set of whole graphs"),
        (["--split", "public"], "'--split' must be left out"),
        (["--split-seed", "1"], "'--split-seed' must be left out"),
        (["--anchor-space", "propagated"], "'--anchor-space' must be left out"),
        (["--device", "cuda"], "'--device' must be cpu"),
        (["--encoders", "gat"], "'--encoders' must be one of gcn, gin, sage (got 'gat')"),
        (["--arms", "relative-cosine"], "'--arms' must be one of"),
        (["--arms", "label-ridge"], "'--arms' must be of absolute, "),
        (["--anchors", "41"], "'--anchors' must be from 1 to 40"),
        (["--anchor-strategy", "degree"], "'--anchor-strategy' must be one of farthest-point, kmeans, random"),
        (["--seeds", "1"], "'--seeds' must name at least two runs"),
        (["--epochs", "0"], "'--epochs' must be at least 1"),
    ],
)
def test_what_does_not_apply_is_one_sentence(
    handmade: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    status, out, err = said(capsys, *TINY, *options)
    assert status == 2 and message in err and out == ""
    assert not (handmade / "runs").exists()


def test_real_molecules(real_data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--dataset", "ogbg-molfreesolv", "--data-root", str(real_data_root), "--out", str(tmp_path / "out")]
    arms = ["--arms", "absolute,converted,permuted-anchors"]
    status, _, err = said(capsys, "stitch", *options, "--seeds", "2", "--epochs", "6", *arms)
    assert status == 0, err
    document = json.loads((tmp_path / "out" / "stitching.json").read_text())
    arms = document["arms"]
    assert document["dataset"]["train"] == 513 and document["anchors"]["count"] == 256
    assert arms["converted"]["cross_seed"]["mean"] < document["metric"]["floor"]
    assert arms["converted"]["fidelity_cross_seed"]["mean"] > arms["absolute"]["fidelity_cross_seed"]["mean"]
