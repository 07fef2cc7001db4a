"""The snippets of the documentation run and do what the text says, and the pages of the interface are built."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tasks.md"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUN = script("run")
SNIPPETS = RUN.snippets(PAGE)
# What must hold of the names that a snippet defines.
HOLDS = {
    "Stitch two checkpoints of your own model": lambda n: n["logits"].shape == (1797, 10),
    "Translate a table": lambda n: n["report"].verdict == "good" and not (Path.cwd() / "old.npy").exists(),
    "Keep an index": lambda n: n["found"].recall(1) > 0.8 and n["found"].overlap > 0.6,
    "Add the layer to your own model": lambda n: n["out"].shape == (1797, 10),
    "Mini-batches": lambda n: len(n["space"]) == 16,
    "A head of scikit-learn": lambda n: n["same"] > 0.9,
    "Go on after the graph has grown": lambda n: all(
        (n[name] == n["whole"].y).float().mean() > 0.8 for name in ("answers", "served")
    ),
    "Ask how much of a result is the seed": lambda n: (
        {"accuracy", "representations", "remedies"} <= {*n["found"].sections}
    ),
}


def test_every_snippet_is_short_and_tested() -> None:
    assert list(SNIPPETS) == list(HOLDS)
    for title, code in SNIPPETS.items():
        lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]
        assert len(lines) <= 15, title


SLOW = "Ask how much of a result is the seed"


@pytest.mark.parametrize("title", [pytest.param(one, marks=[pytest.mark.slow] * (one == SLOW)) for one in HOLDS])
def test_the_snippet_does_what_the_text_says(title: str) -> None:
    if title == "Translate a table":
        pytest.importorskip("pyarrow")
    assert HOLDS[title](RUN.run(SNIPPETS[title], title))


@pytest.mark.slow
def test_the_pages_of_the_interface_are_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("pdoc")
    command = [sys.executable, str(ROOT / "docs" / "build.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "RelativeLayer" in (tmp_path / "relgraph" / "nn" / "relative.html").read_text(encoding="utf-8")
