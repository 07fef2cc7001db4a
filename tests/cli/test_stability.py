import contextlib
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing.process import BaseProcess
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


KILLS = 20
FILES = ("stability.json", "runs.csv", "nodes.csv", "report.html")


def run_study(folder: str) -> None:
    """The command in a process of its own, with checkpoints and results in one folder."""
    os.environ["RELGRAPH_CACHE"] = folder
    command = ["stability", "--encoders", "gcn", "--epochs", "30", "--seeds", "8", "--device", "cpu", "--out", folder]
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        sys.exit(main(command))


@pytest.mark.slow
def test_a_study_that_is_killed_again_and_again_ends_with_the_same_document(here: Path) -> None:
    """Killed at random moments, resumed, and begun anew when it is finished, until it was killed 20 times."""
    context = multiprocessing.get_context("forkserver")  # which imports torch once, not for every process
    context.set_forkserver_preload(["relgraph.cli", "relgraph.datasets", "relgraph.studies", "torch_geometric"])

    def started(name: str) -> BaseProcess:
        process = context.Process(target=run_study, args=(str(here / name),))
        process.start()
        return process

    def runs(name: str) -> int:
        return len(list((here / name / "runs").glob("*.safetensors")))

    def documents(name: str) -> list[bytes]:
        return [(here / name / file).read_bytes() for file in FILES]

    for name in ("first", "whole"):  # the first one waits for the imports
        start, undisturbed = time.perf_counter(), started(name)
        undisturbed.join()
        assert undisturbed.exitcode == 0
    longest, wanted = time.perf_counter() - start, documents("whole")
    drawn, folder = random.Random(0), 0
    kept: list[int] = []  # checkpoints at every kill
    while len(kept) < KILLS:
        process, before = started(f"killed{folder}"), runs(f"killed{folder}")
        if len(kept) % 2:
            process.join(drawn.uniform(0, longest))
        else:  # in the middle of training, which is short beside the rest
            while process.is_alive() and runs(f"killed{folder}") == before < 8:
                time.sleep(0.01)
            process.join(drawn.uniform(0, 0.3))
        process.kill()
        process.join()
        if process.exitcode == 0:
            assert documents(f"killed{folder}") == wanted
            folder += 1
        else:
            assert process.exitcode == -signal.SIGKILL
            kept.append(runs(f"killed{folder}"))
    last = started(f"killed{folder}")
    last.join()
    assert documents(f"killed{folder}") == wanted == documents("first")
    assert any(0 < count < 8 for count in kept)  # some were killed in the middle of training
