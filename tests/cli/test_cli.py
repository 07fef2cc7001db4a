from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

import relgraph as rg
from relgraph.cli import main
from relgraph.stitching import report_schema
from tests.cli.small import FILES, QUICK, TINY, Finished, document, names


def test_json_on_standard_output_is_the_document_alone(
    finished: Finished,
) -> None:
    folder, process = finished
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout)
    jsonschema.validate(report, report_schema())
    out = folder / "runs" / "digits-gcn-sage"
    assert names(out) == FILES and document(out) == report
    assert "permuted-anchors" in process.stderr and "\x1b" not in process.stderr
    assert "relgraph: training (" in process.stderr and "relgraph: stitching (" in process.stderr


def test_the_recorded_command_regenerates_the_document(
    finished: Finished, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads(finished[1].stdout)
    assert main([*report["command"].split()[1:], "--json", "-"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["command"] == report["command"]
    for found in (*again["methods"].values(), *report["methods"].values()):
        found.pop("seconds")
    assert again["methods"] == report["methods"]


def test_written_models_spaces_heads_and_predictions_can_be_used(
    finished: Finished,
) -> None:
    out, report = finished[0] / "runs" / "digits-gcn-sage", json.loads(finished[1].stdout)
    assert {"gcn-0.safetensors", "sage-1.safetensors"} <= set(names(out / "models"))
    assert names(out / "spaces") == names(out / "heads") == [
        f"{name}-{seed}.safetensors" for name in ("gcn", "sage") for seed in (0, 1)
    ]  # fmt: skip
    space = rg.AnchorSet.load(out / "spaces" / "gcn-0.safetensors")
    head = rg.PublishedHead.load(out / "heads" / "sage-1.safetensors")
    assert rg.convert(space, head)(torch.zeros(2, 64)).shape == (2, 10)
    with np.load(out / "predictions.npz", allow_pickle=False) as saved:
        accuracy = (saved["own"] == saved["targets"]).mean(1)
        stitched = (saved["stitched/ridge"] == saved["targets"]).mean(-1)
    assert np.allclose(accuracy, [run["own"] for run in report["runs"]])
    assert np.allclose(stitched, np.array(report["methods"]["ridge"]["matrix"], dtype=float))


def test_models_can_be_left_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--no-models", "--out", "out"]) == 0
    assert names(here / "out") == sorted({*FILES} - {"heads", "models", "spaces"})
    assert "out/models" not in capsys.readouterr().out


def test_link_prediction_names_only_what_it_wrote(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--task", "link", "--out", "out"]) == 0
    printed = capsys.readouterr().out
    assert names(here / "out") == sorted({*FILES} - {"heads", "spaces.png"})
    assert "out/heads" not in printed and "1 output " in printed
    assert "rank correlation with the scores" in printed and "disagree" not in printed


def test_stitching_behind_a_layer(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--encoders", "gcn,gat", "--stitch-at", "1"]) == 0
    assert "stitched behind layer 1" in capsys.readouterr().out
    report = document(here / "runs" / "digits-gcn-gat")
    jsonschema.validate(report, report_schema())
    assert report["stitch_at"] == 1 and "--stitch-at 1" in report["command"]
    assert "kl" not in report["methods"] and {"ridge", "absolute", "permuted-anchors"} <= set(report["methods"])


def test_anchors_in_the_embeddings_of_the_first_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--anchor-strategy", "kmeans", "--anchor-features", "run"]
    assert main([*QUICK, *options]) == 0
    assert "16 kmeans anchors in run features, trained embeddings used" in capsys.readouterr().out
    report = document(here / "runs" / "digits-gcn")
    assert report["anchors"]["features"] == "run" and "--anchor-features run" in report["command"]
    assert report["anchors"]["labels_used"] == "run-embeddings"


def test_an_output_folder_keeps_other_files_and_a_copy_is_equal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "out").mkdir()
    (here / "out" / "stitching.json").write_text("old")
    (here / "out" / "notes.txt").write_text("mine")
    assert main([*QUICK, "--out", "out", "--json", "copy.json"]) == 0
    shown, _ = capsys.readouterr()
    assert "Written: copy.json, out/stitching.json" in shown
    assert names(here / "out") == sorted([*FILES, "notes.txt"])
    assert document(here / "out") == json.loads((here / "copy.json").read_text())


def test_a_home_folder_in_a_path_is_expanded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert main([*QUICK, "--out", "~/out", "--json", "~/copy.json", "--no-models"]) == 0
    assert names(here) == ["copy.json", "out"]


def test_features_made_from_the_graph_are_named(here: Path) -> None:
    assert main([*QUICK, "--features", "fastrp", "--out", "out", "--no-models"]) == 0
    report = document(here / "out")
    assert "fastrp" in report["dataset"]["features"] and "--features fastrp" in report["command"]


def test_a_warning_is_shown_once_in_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main([*QUICK, "--anchors", "4"]) == 0
    out, err = capsys.readouterr()
    assert out.count("Warning: 4 anchors are fewer") == 1 and "Warning" not in err


def test_a_pipe_that_closes_costs_no_file(here: Path) -> None:
    command = [sys.executable, "-m", "relgraph", *QUICK, "--out", "out", "--json", "-"]
    with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("relgraph: standard output must take the whole document"), err
    assert names(here / "out") == FILES


def test_a_terminal_shows_progress_on_standard_error(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    assert main(QUICK) == 0
    out, err = capsys.readouterr()
    assert "training (epochs)" in err and "6/6" in err and "left" in err
    assert "training (epochs)" not in out and "absolute" in out
