"""Command lines that are quick to run, and what they write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Finished = tuple[Path, CompletedProcess[str]]

TINY = ["stitch", "--epochs", "3", "--seeds", "2", "--anchors", "16", "--device", "cpu"]
QUICK = [*TINY, "--methods", "absolute,ridge"]
FILES = [
    "heads", "matrix.png", "models", "predictions.npz", "report.html", "spaces", "spaces.png", "stitching.json",
    "tables",
]  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "stitching.json").read_text())
    return found


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*args: object, **kwargs: object) -> Any:
        raise error

    return fail


def wrong_inputs(usage: dict[str, str], failure: dict[str, str]) -> pytest.MarkDecorator:
    """One test for each wrong input: options, words of the sentence, and the exit status 2 for usage, 1 for failure."""
    cases = [(options, words, 2) for options, words in usage.items()]
    cases += [(options, words, 1) for options, words in failure.items()]
    return pytest.mark.parametrize(("options", "words", "status"), cases, ids=[*usage, *failure])
