from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from relgraph.cli import main
from relgraph.cli.device import find_device
from relgraph.errors import DataError
from tests.cli.small import FILES, QUICK, TINY, failing, names, wrong_inputs

USAGE = {
    "--features words": "'--features' must be one of fastrp, raw, spectral",
    "--dataset digit": "did you mean 'digits'",
    "--task nodes": "did you mean 'node'",
    "--task graph": "'--task'",
    "--encoders gnc": "did you mean 'gcn'",
    "--encoders ,": "at least one of gat, gcn, gcn2, gin, mlp, sage, transformer",
    "--encoders gcn,gcn": "must not repeat",
    "--methods converted": "'--methods' must be one of",
    "--anchor-strategy page-rank": "did you mean 'pagerank'",
    "--anchor-features inputs": "did you mean 'input'",
    "--anchor-features run": "'--anchor-features' must be left out with the strategy 'random'",
    "--split publik": "did you mean 'public'",
    "--split public": "'--split' must be",
    "--device cpu0": "did you mean 'cpu'",
    "--encoder gcn": "--encoders",
    "--seeds 0": "at least two runs",
    "--seeds 1": "(got 1)",
    "--seeds two": "integer",
    "--anchors 5000": "'--anchors' must be at most 1797",
    "--stitch-at 3": "'--stitch-at' must be from 1 to 2",
    "--stitch-at 0": "(got 0)",
    "--stitch-at one": "integer",
    "--stitch-at 1 --methods absolute,kl": "'kl'",
    "--anchors 0": "'--anchors' must be at least 1 (got 0)",
    "--epochs 0": "'--epochs' must be at least 1 (got 0)",
    "--seeds -3": "0",
    "--dataset unlabeled.pt": "'y'",
}
FAILURE = {
    "--dataset damaged.pt": "damaged.pt",
    "--dataset missing.pt": "exist",
    "--dataset cora --data-root broken": "ind.cora",
    "--out in-the-way": "in-the-way",
    "--out in-the-way/sub": "in-the-way",
    "--json in-the-way/a.json": "in-the-way",
    f"--json {'a' * 256}": "File name too long",
    "--device cuda:99": "this machine has",
}


@wrong_inputs(USAGE, FAILURE)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    options: str, words: str, status: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "in-the-way").write_text("")
    (here / "damaged.pt").write_bytes(b"PK\x03\x04 not a file of torch.save")
    graph = Data(x=torch.rand(60, 4), edge_index=torch.tensor([[0, 1], [1, 0]]))
    torch.save(graph, here / "unlabeled.pt")
    raw = here / "broken" / "Cora" / "raw"
    raw.mkdir(parents=True)
    for part in ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index"):
        (raw / f"ind.cora.{part}").write_bytes(b"\x80\x02 damaged")
    before = sorted(here.rglob("*"))
    assert main([*TINY, *options.split()]) == status
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith(("relgraph: loading", "relgraph: training"))]
    assert out == "" and len(lines) == 1
    assert lines[0].startswith("relgraph: ") and words in lines[0]
    assert sorted(here.rglob("*")) == before


def test_an_unknown_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stich"]) == 2
    assert "Did you mean 'stitch'" in capsys.readouterr().err


@pytest.mark.parametrize("debug", [False, True])
def test_only_debug_shows_a_traceback(debug: bool, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--dataset", "missing.pt", *(["--debug"] if debug else [])]) == 1
    assert ("Traceback" in capsys.readouterr().err) == debug


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "relgraph: interrupted\n"),
        (DataError("no room"), 1, "relgraph: no room\n"),
        (RuntimeError("odd\nthing"), 1, "relgraph: unexpected RuntimeError (odd thing); --debug shows where\n"),
    ],
)
def test_a_run_that_stops_midway_leaves_nothing(
    error: BaseException,
    status: int,
    words: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relgraph.stitching.run_experiment", failing(error))
    assert main(TINY) == status
    out, err = capsys.readouterr()
    assert out == "" and err.replace("\n\n", "\n") == "relgraph: loading\n" + words  # the parser ends the line of a ^C
    assert list(here.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param("SIGTERM", 143, marks=pytest.mark.slow),
        pytest.param("SIGHUP", 129, marks=pytest.mark.slow),
        ("SIGINT", 130),
    ],
)
def test_a_signal_ends_the_command_in_order(name: str, status: int, here: Path) -> None:
    command = [sys.executable, "-m", "relgraph", *TINY, "--epochs", "100000", "--out", "results"]
    number = getattr(signal, name)

    def heed() -> None:  # a background job or one under nohup inherits that the signal is ignored
        signal.signal(number, signal.SIG_DFL)

    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if "train" in line:
                    break
            assert names(here / "results")  # the work folder is there
            process.send_signal(number)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, out, "Traceback" in err) == (status, "", False)
    assert names(here) == []


@pytest.mark.parametrize("stage", ["draw_matrix", "draw_spaces", "copy", "models", "page"])
def test_a_result_that_cannot_be_written_costs_no_other(
    stage: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, missing = ["--json", "copy.json"], "copy.json"
    if stage == "copy":
        options = ["--json", "/dev/full"]
    elif stage == "models":
        missing = "models"
        monkeypatch.setattr("relgraph.stitching.artifacts.save_models", failing(DataError("no room")))
    elif stage == "page":
        missing = "report.html"
        monkeypatch.setattr("relgraph.report.save_html", failing(DataError("no room")))
    else:
        missing = {"draw_matrix": "matrix.png", "draw_spaces": "spaces.png"}[stage]
        monkeypatch.setattr(f"relgraph.stitching.plots.{stage}", failing(DataError("no room")))
    assert main([*QUICK, *options, "--out", "out"]) == 1
    out, err = capsys.readouterr()
    assert "absolute" in out and "Written: " in out
    reason = "'/dev/full': No space left on device" if stage == "copy" else "no room"
    assert reason in err.splitlines()[-1] and "written: " in err.splitlines()[-1]
    assert set(names(here / "out")) == {*FILES} - {missing}
    assert (here / "copy.json").exists() == (stage != "copy")
    assert Path("/dev/full").is_char_device()


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(DataError, match="this machine has cpu"):
        find_device("cuda:99")


def test_a_usage_error_names_the_help_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, command in ((["stitch", "--seeds"], "relgraph stitch"), (["--wrong"], "relgraph")):
        assert main(arguments) == 2
        assert capsys.readouterr().err.endswith(f"; see {command} --help\n")
