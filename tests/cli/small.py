"""Command lines that are quick to run, and what they write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

Finished = tuple[Path, CompletedProcess[str]]

TINY = ["stitch", "--epochs", "3", "--seeds", "2", "--anchors", "16", "--device", "cpu"]
QUICK = [*TINY, "--methods", "absolute,ridge"]
FILES = ["heads", "matrix.png", "models", "predictions.npz", "spaces", "spaces.png", "stitching.json"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "stitching.json").read_text())
    return found


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*args: object, **kwargs: object) -> Any:
        raise error

    return fail
