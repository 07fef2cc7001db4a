import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relgraph.cli import main
from tests.cli.small import wrong_inputs

QUICK = ["stability", "--epochs", "2", "--seeds", "2", "--device", "cpu"]


@pytest.fixture
def runs(here: Path) -> Path:
    """Two models of five runs each, with labels, in the folder ``runs``."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 30)
    for model, noise in (("a", 0.1), ("b", 0.3)):
        (here / "runs" / model).mkdir(parents=True)
        for run in range(5):
            np.save(here / "runs" / model / f"{run}.npy", np.where(rng.random(30) < noise, 1 - y, y))
    np.save(here / "labels.npy", y)
    return here / "runs"


def test_runs_are_trained_and_files_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--encoders", "gcn,sage", "--out", "out", "--predictions", "all.csv"]) == 0
    shown = capsys.readouterr()
    assert "relgraph: training (8 epochs)" in shown.err
    assert "digits: 1,297 rows" in shown.out and "gcn - sage" in shown.out
    assert "Written: all.csv, out/report.html, out/stability.json, out/nodes.csv, out/runs.csv" in shown.out
    document = json.loads((here / "out" / "stability.json").read_text())
    assert document["command"] == (
        "relgraph stability --dataset digits --encoders gcn,sage --seeds 2 --split-seed 0 --epochs 2 --device cpu"
    )
    assert len(pd.read_csv("out/runs.csv")) == 4
    assert len(pd.read_csv("out/nodes.csv")) == 2 * 1297
    assert len(pd.read_csv("all.csv")) == 4 * 1297


def test_sources_and_remedies_are_trained_when_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["stability", "--epochs", "2", "--seeds", "4", "--device", "cpu", "--sources", "2", "--remedies"]
    assert main([*asked, "--json", "copy.json"]) == 0
    shown = capsys.readouterr()
    assert "relgraph: training for sources (16 epochs)" in shown.err
    assert "relgraph: training for remedies (12 epochs)" in shown.err
    assert "Where variation comes from" in shown.out and "dropout and order" in shown.out
    assert "frozen head" in shown.out and "Left out" not in shown.out
    document = json.loads(Path("copy.json").read_text())
    assert document["command"].endswith("--epochs 2 --sources 2 --device cpu --remedies")
    assert set(document["sections"]) >= {"sources", "remedies"}
    assert main(QUICK) == 0
    shown = capsys.readouterr().out
    assert "Where variation comes from" not in shown and "kept head" in shown
    assert "Left out, consensus, ensemble, distilled: two teams need at least four runs (got 2)." in shown


def test_a_folder_of_runs_and_labels(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stability", "--runs", "runs", "--labels", "labels.npy", "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["sections"]["accuracy"]["comparisons"][0]["paired"]
    assert document["num_classes"] == 2
    again = ["stability", "--runs", "runs", "--labels", "labels.npy", "--unpaired", "--json", "copy.json"]
    assert main(again) == 0
    assert "beats one of b with probability" in capsys.readouterr().out
    assert not json.loads(Path("copy.json").read_text())["sections"]["accuracy"]["comparisons"][0]["paired"]


def test_without_labels_all_the_rest_is_there(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stability", "--runs", "runs", "--out", "out"]) == 0
    assert "Note: Accuracy needs labels" in capsys.readouterr().out
    assert sorted(path.name for path in Path("out").iterdir()) == ["nodes.csv", "report.html", "stability.json"]


def test_damaged_files_are_left_out_when_asked(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "a" / "3.npy").write_bytes(b"no array")
    assert main(["stability", "--runs", "runs"]) == 1
    assert "3.npy' is damaged" in capsys.readouterr().err
    assert main(["stability", "--runs", "runs", "--skip-damaged"]) == 0
    shown = capsys.readouterr().out
    assert "a: 4 runs, b: 5 runs" in shown and "was left out" in shown


@wrong_inputs(
    {
        "--seeds 1": "'--seeds' must name at least two runs",
        "--sources 1": "'--sources' must be at least 2, the runs of each source, or 0 (got 1)",
        "--runs runs --sources 5": "'--sources' must be left out with '--runs' (got 5); runs are read",
        "--runs runs --remedies": "'--remedies' must be left out with '--runs'",
        "--encoders gnc": "did you mean 'gcn'",
        "--labels labels.npy": "'--labels' must be left out without '--runs'",
        "--skip-damaged": "'--skip-damaged' must be left out without '--runs'",
        "--runs runs --seeds 3": "'--seeds' must be left out with '--runs'",
        "--measures ckaa": "did you mean 'cka'",
        "--runs runs --measures cka": "'--measures' must be left out with '--runs'",
        "--dataset cra": "did you mean 'cora'",
        "--predictions all.txt": "'--predictions' must end in .csv or .parquet",
        "--runs runs/a --labels short.npy": "'--labels' must hold a class for each of 30 rows",
        "--runs one": "'--runs' must hold at least two runs of every model",
    },
    {
        "--runs none": "must be a folder",
        "--runs runs --labels none.csv": "does not exist",
    },
)
def test_wrong_input_is_one_sentence(
    runs: Path, options: str, words: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("short.npy", np.zeros(3, dtype=int))
    Path("one").mkdir()
    np.save("one/0.npy", np.zeros(3, dtype=int))
    assert main(["stability", *options.split()]) == status
    *_, last = capsys.readouterr().err.splitlines()
    assert words in last and last.startswith("relgraph: ")


@pytest.mark.slow
def test_a_study_that_is_killed_again_and_again_ends_with_the_same_document(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELGRAPH_CACHE", str(here / "cache"))
    command = [sys.executable, "-m", "relgraph", "stability", "--epochs", "30", "--seeds", "12", "--device", "cpu"]
    cache, drawn, killed = here / "cache" / "runs", random.Random(0), 0

    def kept() -> int:
        return sum(path.suffix == ".safetensors" for path in cache.iterdir()) if cache.is_dir() else 0

    for _ in range(4):
        before = kept()
        process = subprocess.Popen([*command, "--out", "out"], stderr=subprocess.DEVNULL)
        while kept() == before and process.poll() is None:  # at least one more run is finished
            time.sleep(0.02)
        time.sleep(drawn.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed and kept()
    subprocess.run([*command, "--out", "out"], check=True, capture_output=True)
    monkeypatch.setenv("RELGRAPH_CACHE", str(here / "other"))
    subprocess.run([*command, "--out", "again"], check=True, capture_output=True)
    for name in ("stability.json", "runs.csv", "nodes.csv", "report.html"):
        assert (here / "out" / name).read_bytes() == (here / "again" / name).read_bytes()
