from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest

from relgraph import __version__, registry
from relgraph.cli import main
from relgraph.cli.stitch import stitch
from relgraph.stitching import StitchSettings


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


@pytest.mark.parametrize("width", [60, 100])
def test_help_lists_every_registered_name_within_the_width(width: int) -> None:
    command, environment = [sys.executable, "-m", "relgraph", "stitch", "--help"], {**os.environ, "COLUMNS": str(width)}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert width - 20 < max(map(len, shown.splitlines())) <= width
    for name in ("ENCODERS", "METHODS", "STRATEGIES", "ANCHOR_FEATURES", "SPLITS", "DATASETS", "FEATURES", "TASKS"):
        for key, entry in getattr(registry, name).items():
            assert f"{key} {entry.meaning}" in " ".join(shown.split())


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "stitch  Train encoders" in capsys.readouterr().out


def test_defaults_are_those_of_the_library() -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(stitch).parameters.items()}
    settings = StitchSettings()
    assert defaults["encoders"] == ",".join(settings.encoders) and defaults["seeds"] == len(settings.seeds)
    assert (defaults["anchors"], defaults["anchor_strategy"]) == (settings.num_anchors, settings.strategy)
    assert (defaults["anchor_features"], defaults["stitch_at"]) == (settings.anchor_features, settings.at)
    assert (defaults["split"], defaults["split_seed"]) == (settings.split, settings.split_seed)
    assert (defaults["methods"], defaults["epochs"], defaults["task"]) == (None, None, None)


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "relgraph", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"relgraph {__version__}"
