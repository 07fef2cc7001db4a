from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from rich.console import Console
from torch_geometric.data import Data

from relgraph import __version__
from relgraph.cli import app, main
from relgraph.cli.device import find_device
from relgraph.cli.show import show
from relgraph.cli.stitch import FEW, stitch, training_settings
from relgraph.errors import DataError
from relgraph.names import ARMS, DATASETS, ENCODERS, FEATURES, SPACES, SPLITS, STRATEGIES
from relgraph.stitching import StitchSettings, schema
from relgraph.training import TrainSettings

TINY = ["stitch", "--epochs", "3", "--seeds", "2", "--anchors", "16", "--device", "cpu"]
FILES = ["matrix.png", "spaces.png", "stitching.json"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """What a process of its own does with --json -, all arms and two encoders."""
    folder = tmp_path_factory.mktemp("stitch")
    command = [sys.executable, "-m", "relgraph", *TINY, "--encoders", "gcn,sage", "--json", "-"]
    return folder, subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_json_alone_on_standard_output_validates(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, process = finished
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    jsonschema.validate(document, schema())
    out = folder / "runs" / "digits-gcn-sage"
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert json.loads((out / "stitching.json").read_text()) == document
    assert list(document["arms"]) == list(ARMS)
    assert document["stitch_at"] is None and "--stitch-at" not in document["command"]
    assert document["anchors"]["space"] is None and "--anchor-space" not in document["command"]
    assert "permuted-anchors" in process.stderr and "\x1b" not in process.stderr


def test_recorded_command_regenerates_the_document(
    finished: tuple[Path, subprocess.CompletedProcess[str]], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(finished[1].stdout)
    assert main([*document["command"].split()[1:], "--json", "-"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["command"] == document["command"]
    assert again["arms"] == document["arms"]


def test_stitched_behind_a_layer(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--encoders", "gcn,gat", "--stitch-at", "1"]) == 0
    shown = capsys.readouterr().out
    assert "3 epochs, stitched behind layer 1; 16 random anchors" in shown
    document = json.loads((here / "runs" / "digits-gcn-gat" / "stitching.json").read_text())
    jsonschema.validate(document, schema())
    arms = ["absolute", "converted", "converted-rbf", "procrustes", "class-centroid", "permuted-anchors"]
    assert (document["stitch_at"], list(document["arms"])) == (1, arms)
    assert "--stitch-at 1" in document["command"]
    assert main([*document["command"].split()[1:], "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["arms"] == document["arms"]


def test_anchors_of_the_first_runs_space(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--anchor-strategy", "kmeans", "--anchor-space", "run", "--arms", "absolute,converted"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "16 kmeans anchors in the embeddings of gcn 0, labels used through a trained run" in shown
    document = json.loads((here / "runs" / "digits-gcn" / "stitching.json").read_text())
    jsonschema.validate(document, schema())
    assert document["anchors"]["space"] == "run" and "--anchor-space run" in document["command"]
    assert main([*document["command"].split()[1:], "--json", "-"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["anchors"], again["arms"]) == (document["anchors"], document["arms"])


def test_files_and_table_of_one_encoder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = here / "out" / "stitching.json"
    old.parent.mkdir()
    old.write_text("old")
    options = ["--out", "out", "--json", "copy.json", "--arms", "permuted-anchors,absolute,converted,class-centroid"]
    assert main([*TINY, *options]) == 0
    shown, aside = capsys.readouterr()
    assert aside == ""
    lines = shown.splitlines()
    names = [line.split()[0] for line in lines if line.startswith(tuple(ARMS)) and "kappa" not in line]
    assert names == ["absolute", "converted", "class-centroid", "permuted-anchors"]
    table = lines[lines.index("") : lines.index("", lines.index("") + 1)]
    assert max(map(len, table)) <= 100
    assert "(baseline)" in shown and "(control)" in shown and "gcn side by side" in shown
    assert "Written: out/stitching.json, out/matrix.png, out/spaces.png, copy.json" in shown
    assert sorted(path.name for path in old.parent.iterdir()) == FILES
    assert json.loads(old.read_text()) == json.loads((here / "copy.json").read_text())


def test_a_large_graph_has_more_anchors_and_keeps_its_runs(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("whole_graph", "fitting"):
        monkeypatch.setattr(f"relgraph.training.{place}.LARGE", 1000)
    monkeypatch.setenv("RELGRAPH_CACHE", str(here / "cache"))
    command = ["stitch", "--epochs", "2", "--seeds", "2", "--device", "cpu", "--arms", "absolute,converted", "--json"]
    assert main([*command, "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["anchors"]["count"] == 256
    assert {arm["path"] for run in document["runs"] for arm in run["arms"].values()} == {"whole"}
    kept = sorted((here / "cache" / "runs").iterdir())
    assert len(kept) == 2
    assert main([*command, "out.json", "--anchors", "20"]) == 0
    assert "Trained gcn one after the other" in " ".join(capsys.readouterr().out.split())
    assert json.loads((here / "out.json").read_text())["anchors"]["count"] == 20
    assert sorted((here / "cache" / "runs").iterdir()) == kept  # neither depends on the anchors
    assert main([*command, "few.json", "--anchor-strategy", "class-stratified"]) == 0
    assert json.loads((here / "few.json").read_text())["anchors"]["count"] == 32  # labels may be few


def test_help_and_version_are_quick_and_import_nothing_heavy() -> None:
    code = (
        "import sys; from relgraph.cli import main; status = main({args!r}); "
        "heavy = {{'torch', 'torch_geometric', 'numpy', 'scipy', 'sklearn', 'matplotlib'}} & set(sys.modules); "
        "sys.exit(status or str(heavy) if heavy or status else 0)"
    )
    for args, wanted in ((["--help"], "stitch"), (["--version"], __version__), (["stitch", "--help"], "procrustes")):
        took = []
        for _ in range(3):  # the best of three, as the machine may be busy
            start = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code.format(args=args)], capture_output=True, text=True)
            took.append(time.perf_counter() - start)
            assert done.returncode == 0, done.stderr
            assert wanted in done.stdout
        assert min(took) < 0.5


def test_help_lists_every_name_and_defaults_are_the_librarys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stitch", "--help"]) == 0
    shown = capsys.readouterr().out
    for names in (ENCODERS, ARMS, STRATEGIES, SPACES, SPLITS, DATASETS, FEATURES):
        assert all(f"{name} " in shown and meaning in shown for name, meaning in names.items())
    defaults = {name: parameter.default for name, parameter in inspect.signature(stitch).parameters.items()}
    settings = StitchSettings()
    assert defaults["encoders"] == ",".join(settings.encoders)
    assert range(defaults["seeds"]) == range(len(settings.seeds))
    assert (FEW, defaults["anchor_strategy"]) == (settings.num_anchors, settings.strategy)
    assert defaults["anchor_space"] == settings.space
    assert (defaults["split"], defaults["split_seed"]) == (settings.split, settings.split_seed)
    assert defaults["epochs"] is None and training_settings("digits", ("gcn",), None) == settings.train
    assert settings.arms == tuple(ARMS) and defaults["stitch_at"] == settings.stitch_at
    assert main([]) == 0
    assert "stitch" in capsys.readouterr().out


def test_sets_of_ogb_are_trained_as_was_chosen_for_one() -> None:
    assert training_settings("ogbn-arxiv", ("gcn", "sage"), None) == TrainSettings.large()
    assert training_settings("ogbn-arxiv", ("gcn", "gat"), 7) == TrainSettings.large("gat", epochs=7)
    assert training_settings("cora", ("gcn",), 7) == TrainSettings(epochs=7)


def test_features_made_of_the_graph_are_named_everywhere(here: Path) -> None:
    assert main([*TINY, "--features", "fastrp", "--out", "out"]) == 0
    document = json.loads((here / "out" / "stitching.json").read_text())
    assert document["dataset"]["features"] == "fastrp (structural, not the published ones)"
    assert "--features fastrp" in document["command"]


USAGE = {
    "--features words": "'--features' must be one of fastrp, file, raw, spectral",
    "--dataset digit": "did you mean 'digits'",
    "--encoders gnc": "did you mean 'gcn'",
    "--encoders ,": "at least one of gat, gcn, gcn2, gin, mlp, sage, transformer",
    "--encoders gcn,gcn": "must not repeat",
    "--arms convert": "did you mean 'converted'",
    "--anchor-strategy page-rank": "did you mean 'pagerank'",
    "--anchor-space inputs": "did you mean 'input'",
    "--anchor-space run": "'--anchor-space' must be left out for the strategy 'random', which measures no",
    "--split publik": "did you mean 'public'",
    "--split public": "brings no masks of its own",
    "--device cpu0": "did you mean 'cpu'",
    "--encoder gcn": "--encoders",
    "--seeds 0": "at least two runs",
    "--seeds 1": "nothing to be stitched to (got 1)",
    "--seeds two": "integer",
    "--anchors 5000": "1797",
    "--stitch-at 3": "'--stitch-at' must be from 1 to 2, the layers of 'gcn' (got 3)",
    "--stitch-at 0": "(got 0)",
    "--stitch-at one": "integer",
    "--stitch-at 1 --arms absolute,converted-kl": "(got 'converted-kl')",
    "--anchors 0": "'--anchors' must be at least 1 (got 0)",
    "--epochs 0": "at least 1 (got 0)",
    "--seeds -3": "0",
    "--dataset unlabelled.pt": "'y'",
}
FAILURE = {
    "--dataset damaged.pt": "damaged.pt",
    "--dataset missing.pt": "exists",
    "--dataset cora --data-root nowhere": "nowhere",
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
    torch.save(graph, here / "unlabelled.pt")
    raw = here / "broken" / "Cora" / "raw"
    raw.mkdir(parents=True)
    for part in ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index"):
        (raw / f"ind.cora.{part}").write_bytes(b"\x80\x02 damaged")
    before = sorted(here.rglob("*"))
    assert main([*TINY, *options.split()]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("relgraph: ") and err.count("\n") == 1 and words in err
    assert sorted(here.rglob("*")) == before


def test_unknown_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
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
        (KeyboardInterrupt(), 130, ""),
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
    assert capsys.readouterr() == ("", words)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("stage", ["draw_matrix", "draw_spaces", "copy", "document"])
def test_a_result_that_cannot_be_written_costs_no_other(
    stage: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, missing = ["--json", "copy.json"], "copy.json"
    if stage == "copy":
        options = ["--json", "/dev/full"]
    elif stage == "document":
        missing = "stitching.json"
        monkeypatch.setattr("relgraph.stitching.write_document", _raise(DataError("no room")))
    else:
        missing = {"draw_matrix": "matrix.png", "draw_spaces": "spaces.png"}[stage]
        monkeypatch.setattr(f"relgraph.stitching.pictures.{stage}", _raise(DataError("no room")))
    assert main([*TINY, *options, "--arms", "absolute", "--out", "out"]) == 1
    out, err = capsys.readouterr()
    assert "absolute" in out and "Written: " in out
    reason = "'/dev/full': No space left on device" if stage == "copy" else "no room"
    assert err.startswith("relgraph: ") and err.count("\n") == 1 and reason in err and "written: " in err
    expected = {*FILES, "copy.json"} - {missing}
    assert {path.name for path in here.rglob("*") if path.is_file()} == expected
    assert Path("/dev/full").is_char_device()


def test_a_pipe_that_closes_costs_no_file(here: Path) -> None:
    command = [sys.executable, "-m", "relgraph", *TINY, "--arms", "absolute", "--out", "out", "--json", "-"]
    with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("relgraph: standard output must take the whole document"), err
    assert sorted(path.name for path in (here / "out").iterdir()) == FILES


def test_a_terminal_sees_progress_on_standard_error(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    assert main([*TINY, "--arms", "absolute"]) == 0
    out, err = capsys.readouterr()
    assert "training" in err and "6/6" in err and "left" in err
    assert "training (epochs)" not in out and "absolute" in out


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(DataError, match="this machine has cpu"):
        find_device("cuda:99")


@pytest.mark.parametrize("width", [160, 100, 80])
def test_tables_fit_the_width_and_hide_nothing(
    width: int, finished: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    document = json.loads(finished[1].stdout)
    for arm in document["arms"].values():
        for figure in arm.values():
            if isinstance(figure, dict) and "interval" in figure:
                figure["interval"] = [0.9987, 1.0123]
    document["runs"][0]["arms"]["relative-cosine"]["collapsed"] = True
    console = Console(width=width, record=True, quiet=False, file=sys.stderr, highlight=False)
    show(document, console)
    text = console.export_text()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert "[99.9, 101.2]" in text
    assert "of 4 runs of relative-cosine are no better than chance" in " ".join(text.split())


def test_main_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "relgraph", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"relgraph {__version__}"
    assert app.main is main
