from __future__ import annotations

import inspect
import json
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from rich.console import Console
from torch_geometric.data import Data

import relgraph as rg
from relgraph import __version__, registry
from relgraph.cli import main
from relgraph.cli.device import find_device
from relgraph.cli.show import show
from relgraph.cli.stitch import stitch
from relgraph.errors import DataError
from relgraph.registry import METHODS
from relgraph.stitching import StitchSettings, report_schema
from relgraph.training import TrainSettings

TINY = ["stitch", "--epochs", "3", "--seeds", "2", "--anchors", "16", "--device", "cpu"]
QUICK = [*TINY, "--methods", "absolute,ridge"]
FILES = ["heads", "matrix.png", "models", "predictions.npz", "spaces", "spaces.png", "stitching.json"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A process of its own with --json -, all methods and two encoders."""
    folder = tmp_path_factory.mktemp("stitch")
    command = [sys.executable, "-m", "relgraph", *TINY, "--encoders", "gcn,sage", "--json", "-"]
    return folder, subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "stitching.json").read_text())
    return found


def test_json_on_standard_output_is_the_document_alone(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
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
    finished: tuple[Path, subprocess.CompletedProcess[str]], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads(finished[1].stdout)
    assert main([*report["command"].split()[1:], "--json", "-"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["command"] == report["command"]
    for found in (*again["methods"].values(), *report["methods"].values()):
        found.pop("seconds")
    assert again["methods"] == report["methods"]


def test_written_models_spaces_heads_and_predictions_can_be_used(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
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
    assert names(here / "out") == ["matrix.png", "predictions.npz", "spaces.png", "stitching.json"]
    assert "out/models" not in capsys.readouterr().out


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
    assert "Written: out/stitching.json, copy.json" in shown
    assert names(here / "out") == sorted([*FILES, "notes.txt"])
    assert document(here / "out") == json.loads((here / "copy.json").read_text())


def test_a_home_folder_in_a_path_is_expanded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert main([*QUICK, "--out", "~/out", "--json", "~/copy.json", "--no-models"]) == 0
    assert names(here) == ["copy.json", "out"]


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys; from relgraph.cli import main; status = main({args!r}); "
        "heavy = {{'torch', 'torch_geometric', 'numpy', 'scipy', 'sklearn', 'matplotlib'}} & set(sys.modules); "
        "sys.exit(status or str(heavy) if heavy or status else 0)"
    )
    for args, wanted in ((["--help"], "stitch"), (["--version"], __version__), (["stitch", "--help"], "procrustes")):
        done = subprocess.run(
            [sys.executable, "-c", code.format(args=args)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert wanted in done.stdout


def test_help_lists_every_registered_name(capsys: pytest.CaptureFixture[str]) -> None:
    METHODS.register("mine", object, "a method of my own")
    METHODS.remove("mine")
    assert main(["stitch", "--help"]) == 0
    shown = capsys.readouterr().out
    names = "ENCODERS METHODS STRATEGIES ANCHOR_FEATURES SPLITS DATASETS FEATURES TASKS SETTINGS"
    for name in names.split():
        for entry, meaning in getattr(registry, name).meanings().items():
            assert f"{entry} " in shown and meaning in shown
    assert main([]) == 0
    assert "stitch" in capsys.readouterr().out


def test_defaults_are_those_of_the_library() -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(stitch).parameters.items()}
    settings = StitchSettings()
    assert defaults["encoders"] == ",".join(settings.encoders) and defaults["seeds"] == len(settings.seeds)
    assert (defaults["anchors"], defaults["anchor_strategy"]) == (settings.num_anchors, settings.strategy)
    assert (defaults["anchor_features"], defaults["stitch_at"]) == (settings.anchor_features, settings.at)
    assert (defaults["split"], defaults["split_seed"]) == (settings.split, settings.split_seed)
    assert (defaults["methods"], defaults["epochs"], defaults["task"]) == (None, None, None)
    assert defaults["settings"] == settings.train


def test_features_made_from_the_graph_are_named(here: Path) -> None:
    assert main([*QUICK, "--features", "fastrp", "--out", "out", "--no-models"]) == 0
    report = document(here / "out")
    assert "fastrp" in report["dataset"]["features"] and "--features fastrp" in report["command"]


def test_published_settings_are_taken_and_named(here: Path) -> None:
    assert main([*QUICK, "--settings", "kipf-welling", "--out", "out", "--no-models"]) == 0
    report = document(here / "out")
    assert report["train"] == TrainSettings.named("kipf-welling", epochs=3).to_dict()
    assert "--settings kipf-welling" in report["command"]


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
    "--settings kipf": "'--settings' must be one of kipf-welling",
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


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [(options, words, 2) for options, words in USAGE.items()]
    + [(options, words, 1) for options, words in FAILURE.items()],
    ids=[*USAGE, *FAILURE],
)
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


def _raise(error: BaseException) -> Callable[..., Any]:
    def fail(*args: object, **kwargs: object) -> Any:
        raise error

    return fail


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
    monkeypatch.setattr("relgraph.stitching.run_experiment", _raise(error))
    assert main(TINY) == status
    out, err = capsys.readouterr()
    assert out == "" and err.replace("\n\n", "\n") == "relgraph: loading\n" + words  # the parser ends the line of a ^C
    assert list(here.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
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


def test_a_warning_is_shown_once_in_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main([*QUICK, "--anchors", "4"]) == 0
    out, err = capsys.readouterr()
    assert out.count("Warning: 4 anchors are fewer") == 1 and "Warning" not in err


@pytest.mark.parametrize("stage", ["draw_matrix", "draw_spaces", "copy", "models"])
def test_a_result_that_cannot_be_written_costs_no_other(
    stage: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, missing = ["--json", "copy.json"], "copy.json"
    if stage == "copy":
        options = ["--json", "/dev/full"]
    elif stage == "models":
        missing = "models"
        monkeypatch.setattr("relgraph.stitching.artifacts.save_models", _raise(DataError("no room")))
    else:
        missing = {"draw_matrix": "matrix.png", "draw_spaces": "spaces.png"}[stage]
        monkeypatch.setattr(f"relgraph.stitching.plots.{stage}", _raise(DataError("no room")))
    assert main([*QUICK, *options, "--out", "out"]) == 1
    out, err = capsys.readouterr()
    assert "absolute" in out and "Written: " in out
    reason = "'/dev/full': No space left on device" if stage == "copy" else "no room"
    assert reason in err.splitlines()[-1] and "written: " in err.splitlines()[-1]
    assert set(names(here / "out")) == {*FILES} - {missing}
    assert (here / "copy.json").exists() == (stage != "copy")
    assert Path("/dev/full").is_char_device()


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


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(DataError, match="this machine has cpu"):
        find_device("cuda:99")


@pytest.mark.parametrize("width", [160, 100, 80, 60])
def test_tables_fit_the_width_and_hide_nothing(
    width: int, finished: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    report = json.loads(finished[1].stdout)
    for method in report["methods"].values():
        for figure in method.values():
            if isinstance(figure, dict) and "interval" in figure:
                figure["interval"] = [0.9987, 1.0123]
    report["runs"][0]["collapsed"] = True
    console = Console(width=width, record=True, quiet=False, file=sys.stderr, highlight=False)
    show(report, console)
    text = console.export_text()
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    for name in report["methods"]:
        assert name in text
    assert ("[99.9, 101.2]" in text) == (width >= 160)
    assert "Collapsed: 1 of 4 runs" in " ".join(text.split())


def test_errors_are_shown_in_a_table_without_percent(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    report = json.loads(finished[1].stdout)
    report["metric"] |= {"name": "RMSE", "direction": "lower"}
    report["task"] = {"level": "graph", "mode": "regression"}
    console = Console(width=100, record=True, file=sys.stderr, highlight=False)
    show(report, console)
    text = console.export_text()
    assert "RMSE, lower is better" in text and "rank correlation" in text
    assert f"{report['methods']['ridge']['own']['mean']:.3f}" in text


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "relgraph", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"relgraph {__version__}"
