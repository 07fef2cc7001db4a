from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import pytest
import torch

import relgraph as rg
from relgraph import __version__, registry
from relgraph.cli import main
from relgraph.cli.stitch import _command, stitch
from relgraph.cli.upgrade import TARGETS
from relgraph.errors import DataError
from relgraph.problems import make_problem
from relgraph.problems.graph import GraphProblem
from relgraph.problems.link import LinkProblem
from relgraph.problems.node import NodeProblem
from relgraph.stitching import StitchSettings
from relgraph.training import TrainSettings
from relgraph.training.settings import LARGE, MANY_ANCHORS


def numbers(text: str) -> list[str]:
    return [number for number in re.findall(r"[\d,]+", text) if "," not in number]


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys; from relgraph.cli import main; status = main({args!r}); "
        "heavy = {{'torch', 'torch_geometric', 'numpy', 'scipy', 'sklearn', 'matplotlib'}} & set(sys.modules); "
        "sys.exit(status or str(heavy) if heavy or status else 0)"
    )
    asked = (
        (["--help"], "stitch"),
        (["--version"], __version__),
        (["stitch", "--help"], "procrustes"),
        (["translate", "--help"], "procrustes"),
        (["show", "--help"], "anchor set"),
        (["upgrade", "--help"], "kl"),
        (["drift", "--help"], "--null"),
        (["compare", "--help"], "svcca"),
        (["stability", "--help"], "seeds"),
    )
    for args, wanted in asked:
        done = subprocess.run(
            [sys.executable, "-c", code.format(args=args)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert wanted in done.stdout


@pytest.mark.parametrize("width", [60, 100])
def test_help_lists_every_registered_name_within_the_width(width: int) -> None:
    command, environment = [sys.executable, "-m", "relgraph", "stitch", "--help"], {**os.environ, "COLUMNS": str(width)}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert width - 20 < max(map(len, shown.splitlines())) <= width
    kinds = "ENCODERS METHODS STRATEGIES ANCHOR_FEATURES SPLITS DATASETS FEATURES TASKS SETTINGS EXECUTORS"
    for name in kinds.split():
        for key, entry in getattr(registry, name).items():
            assert f"{key} {entry.meaning}" in " ".join(shown.split())


def test_help_of_upgrade_says_what_each_map_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade", "--help"]) == 0
    text = capsys.readouterr().out
    starts = {kind: text.index(f"{title}:") for kind, title in TARGETS.items()}
    for name, entry in registry.MAPS.items():
        place = text.index(f"\n    {name} ")
        assert max((start, kind) for kind, start in starts.items() if start < place)[1] == entry.load().targets


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "stitch Train encoders" in shown and "translate Translate a table" in shown
    assert "show Show what a file says" in shown


def test_defaults_are_those_of_the_library() -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(stitch).parameters.items()}
    settings = StitchSettings()
    assert defaults["encoders"] == ",".join(settings.encoders) and defaults["seeds"] == len(settings.seeds)
    assert (defaults["anchors"], defaults["anchor_strategy"]) == (settings.num_anchors, settings.strategy)
    assert (defaults["anchor_features"], defaults["stitch_at"]) == (settings.anchor_features, settings.at)
    assert (defaults["split"], defaults["split_seed"]) == (settings.split, settings.split_seed)
    assert (defaults["methods"], defaults["epochs"], defaults["task"]) == (None, None, None)
    shown = {name: get_args(hint)[1].show_default for name, hint in get_type_hints(stitch, include_extras=True).items()
             if name in ("anchors", "epochs")}  # fmt: skip
    kinds = (NodeProblem, GraphProblem, LinkProblem)
    assert {str(kind.default_anchors) for kind in kinds} | {str(MANY_ANCHORS)} == set(numbers(shown["anchors"]))
    assert f"{LARGE:,} nodes" in shown["anchors"]
    epochs = {kind.default_settings.get("epochs", TrainSettings().epochs) for kind in kinds}
    epochs.add(TrainSettings.large().epochs)
    assert {str(number) for number in epochs} == set(numbers(shown["epochs"]))


OPTIONS = (
    "--encoders sage,gcn --seeds 3 --anchors 9 --anchor-strategy kmeans --anchor-features input --stitch-at 1"
    " --split paper --split-seed 5 --epochs 7 --methods ridge,absolute --features fastrp --device cpu"
    " --settings kipf-welling"
)


def test_every_option_reaches_the_experiment_and_is_recorded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, StitchSettings]] = []

    def stop(data: Any, settings: StitchSettings, **others: object) -> None:
        seen.append((data, settings))
        raise DataError("stopped")

    monkeypatch.setattr("relgraph.stitching.run_experiment", stop)
    assert main(["stitch", *OPTIONS.split()]) == 1
    given, settings = seen[0]
    asked = StitchSettings(("sage", "gcn"), (0, 1, 2), ("ridge", "absolute"), 9, "kmeans", "input", epochs=7, at=1)
    assert settings == replace(asked, split="paper", split_seed=5, train="kipf-welling")
    data = rg.load_dataset("digits", features="fastrp")
    same, other = (make_problem(data, split="paper", seed=seed).digest() for seed in (5, 0))
    problem = settings.problem(given)
    assert problem.digest() == same != other
    finished = SimpleNamespace(settings=settings, problem=problem, anchors=torch.arange(9), methods=settings.methods)
    command = _command(finished, "cpu", dataset="digits", features="fastrp", settings="kipf-welling")  # type: ignore[arg-type]
    assert set(OPTIONS.split()) <= set(command.split())
    assert main(["stitch", "--task", "link"]) == 1 and seen[1][1].task == "link"
    others = {"dataset", "task", "data_root", "out", "models", "json_path", "debug", "executor", "address", "cpus"}
    options = {word.removeprefix("--").replace("-", "_") for word in OPTIONS.split() if word.startswith("--")}
    assert options | others == set(inspect.signature(stitch).parameters)


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "relgraph", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"relgraph {__version__}"
