from __future__ import annotations

import json
import sys

import pytest
from rich.console import Console

from relgraph.cli.stitch_output import print_report
from tests.cli.small import Finished


@pytest.mark.parametrize("width", [160, 100, 80, 60])
def test_tables_fit_the_width_and_hide_nothing(width: int, finished: Finished) -> None:
    report = json.loads(finished[1].stdout)
    for method in report["methods"].values():
        for figure in method.values():
            if isinstance(figure, dict) and "interval" in figure:
                figure["interval"] = [0.9987, 1.0123]
    report["runs"][0]["collapsed"] = True
    console = Console(width=width, record=True, quiet=False, file=sys.stderr, highlight=False)
    print_report(report, console)
    text = console.export_text()
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    for name in report["methods"]:
        assert name in text
    assert ("[99.9, 101.2]" in text) == (width >= 160)
    assert f"over runs are in {'brackets' if width >= 160 else 'stitching.json'}." in " ".join(text.split())
    assert "Collapsed: 1 of 4 runs" in " ".join(text.split())


def test_errors_are_shown_in_a_table_without_percent(
    finished: Finished,
) -> None:
    report = json.loads(finished[1].stdout)
    report["metric"] |= {"name": "RMSE", "direction": "lower"}
    report["task"] = {"level": "graph", "mode": "regression"}
    console = Console(width=100, record=True, file=sys.stderr, highlight=False)
    print_report(report, console)
    text = console.export_text()
    assert "RMSE, lower is better" in text and "rank correlation" in text
    assert f"{report['methods']['ridge']['own']['mean']:.3f}" in text
