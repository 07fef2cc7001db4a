"""What ``relgraph upgrade`` asks of a conversion before it is written, and what page and document say of that."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import relgraph as rg
from relgraph.cli import main
from tests.cli.upgrades import ROWS, WIDTH, make_files
from tests.report.made import Reader


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return make_files(tmp_path)


def test_nothing_is_written_below_the_least_fidelity(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(9))
    rg.AnchorSet.from_rows(rows, torch.arange(150)).save(files / "other.safetensors")
    given = [str(files / "head.safetensors"), str(files / "other.safetensors"), "--out", str(files / "new.safetensors")]
    assert main(["upgrade", *given]) == 1
    assert "the verdict must be 'convert' to write" in capsys.readouterr().err
    assert main(["upgrade", *given, "--min-fidelity", "0.9"]) == 1
    assert "the expected fidelity must be at least 0.9" in capsys.readouterr().err
    assert not (files / "new.safetensors").exists()
    assert main(["upgrade", *given, "--anyway"]) == 0
    assert (files / "new.safetensors").exists()


def test_the_exit_status_is_0_only_for_a_conversion_that_is_good_enough(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, good, out = (str(files / f"{name}.safetensors") for name in ("head", "space", "new"))
    rows = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(9))
    rg.AnchorSet.from_rows(rows, torch.arange(150)).save(files / "other.safetensors")
    bad = [head, str(files / "other.safetensors")]
    assert main(["upgrade", head, good, "--min-fidelity", "0.5"]) == 0
    assert main(["upgrade", head, good, "--min-fidelity", "1"]) == 1
    assert main(["upgrade", *bad]) == 0  # a verdict is an answer, not a failure, where nothing was asked of it
    capsys.readouterr()
    assert main(["upgrade", *bad, "--min-fidelity", "0.1"]) == 1
    assert "the verdict must be 'convert' with --min-fidelity (got 'retrain')" in capsys.readouterr().err
    assert main(["upgrade", *bad, "--min-fidelity", "0.1", "--out", out, "--anyway"]) == 1
    assert Path(out).exists()


def test_page_and_document_tell_the_gate_and_whether_it_was_passed(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, page = files / "found.json", files / "page.html"
    given = [*(str(files / f"{name}.safetensors") for name in ("head", "space")), "--json", str(place)]
    assert main(["upgrade", *given]) == 0
    assert "gate" not in json.loads(place.read_text())
    capsys.readouterr()
    for least, status in (("0.5", 0), ("1", 1)):
        assert main(["upgrade", *given, "--report", str(page), "--min-fidelity", least]) == status
        out, err = capsys.readouterr()
        document = json.loads(place.read_text())
        gate, text = document["gate"], Reader(page.read_text(encoding="utf-8")).inside["li"]
        assert document["verdict"] == "convert" and gate["passed"] == (status == 0)
        assert (gate["least"], gate["value"]) == (
            float(least),
            document["expected"]["anchors"]["convert"]["fidelity"]["value"],
        )
        words = "passed: the expected fidelity is" if status == 0 else f"not passed: {gate['failure']}"
        assert any(line.startswith(f"Gate: {words}") for line in text)
        assert any(line.startswith("gate") and words in line for line in out.splitlines())
        assert (gate["failure"] or "relgraph: loading") in err
        assert main(["show", str(place)]) == 0
        assert words in capsys.readouterr().out


def test_the_gate_of_tables_names_its_figure_and_what_the_verdict_says(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)
    np.save(files / "unrelated.npy", rows)
    assert main(["upgrade", str(files / "old.npy"), str(files / "unrelated.npy"), "--min-fidelity", "0.5"]) == 1
    error = capsys.readouterr().err
    assert "the mean cosine of held-out rows must be at least 0.5 (got " in error
    assert "; the rows do not correspond: left-out anchors" in error and "fidelity" not in error


def test_the_command_of_the_page_is_whole_and_every_output_is_listed(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, out, place = (str(files / name) for name in ("page.html", "new.safetensors", "found.json"))
    words = ["upgrade", *(str(files / f"{name}.safetensors") for name in ("head", "space"))]
    words += ["--rows", str(files / "rows.npy"), "--method", "ridge", "--out", out, "--min-fidelity", "0.5", "--anyway"]
    assert main([*words, "--report", page, "--json", place]) == 0
    written = [line for line in capsys.readouterr().out.splitlines() if line.startswith("written: ")]
    assert written == [f"written: {path}" for path in (place, page, out)]
    assert Reader(Path(page).read_text(encoding="utf-8")).inside["code"] == [f"relgraph {' '.join(words)}"]
