from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import relgraph as rg
from relgraph.cli import main
from relgraph.report import Estimate, render_html
from relgraph.report.upgrade import upgrade_report
from tests.report.made import HOSTILE, Reader


@pytest.fixture(scope="module")
def found() -> rg.versions.Upgrade:
    """Three classes, 400 old rows and 200 new ones."""
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(600, 4, generator=generator)
    after = before @ torch.randn(4, 4, generator=generator)
    outputs, anchors = 3 * before @ torch.randn(4, 3, generator=generator), torch.arange(150)
    head = rg.PublishedHead(anchors, outputs[anchors], outputs.mean(dim=0))
    return rg.upgrade(rg.AnchorSet.from_rows(after, anchors), head, after, old=torch.arange(400), kept=outputs)


def test_every_expectation_is_in_the_table(found: rg.versions.Upgrade) -> None:
    report = upgrade_report(found.to_dict(), command="relgraph upgrade OLD NEW")
    (table,) = report.tables
    rows = {(row[0], row[1]): row for row in table.rows}
    assert set(rows) == {(group, way) for group, ways in found.expected.items() for way in ways}
    for group, ways in found.expected.items():
        for way, one in ways.items():
            for column, cell in zip(table.columns[3:], rows[group, way][3:], strict=True):
                value = getattr(one, column.name)
                assert cell == (None if value is None else Estimate(value.value, value.low, value.high))
    assert {row[0]: row[2] for row in table.rows} == {"anchors": 150, "old": 400, "new": 200}
    assert report.summary[0].startswith(f"Verdict: {found.verdict}.") and found.reason in report.summary[1]


def test_the_page_of_an_upgrade(found: rg.versions.Upgrade) -> None:
    document = {**found.to_dict(), "notes": [HOSTILE]}
    page = Reader(render_html(upgrade_report(document, command=f"relgraph upgrade {HOSTILE}", warnings=[HOSTILE])))
    text = "".join(page.text)
    assert f"Note: {HOSTILE}." in text and f"Warning: {HOSTILE}" in text and len(page.all("script")) == 1
    fidelity = found.expected["old"]["convert"].fidelity
    assert fidelity is not None and f"{100 * fidelity.value:.1f} [{100 * fidelity.low:.1f}, " in text


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "old.npy", old.numpy())
    np.save(tmp_path / "new.npy", (old @ torch.randn(5, 5, generator=torch.Generator().manual_seed(1))).numpy())
    names = [str(tmp_path / name) for name in ("old.npy", "new.npy")]
    given = [*names, "--report", str(tmp_path / "page.html"), "--json", str(tmp_path / "found.json")]
    assert main(["upgrade", *given]) == 0
    assert "page.html" in capsys.readouterr().out
    page = Reader((tmp_path / "page.html").read_text(encoding="utf-8"))
    document = json.loads((tmp_path / "found.json").read_text())
    assert page.inside["li"][0].startswith(f"Verdict: {document['verdict']}.")
    assert page.inside["code"] == [f"relgraph upgrade {' '.join(names)}"]
    cosine = document["table"]["figures"]["cosine"]
    text = "".join(page.text)
    assert f"{cosine['mean']:.3f} [{cosine['low']:.3f}, {cosine['high']:.3f}]" in text
    assert f"Measured on {document['table']['held_out']}," in text
    assert main(["upgrade", *names, "--report", str(tmp_path / "missing" / "page.html")]) == 2
    assert "'--report' must be a file in a folder that exists" in capsys.readouterr().err
