from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from relgraph.tables.report import Figure, judge
from relgraph.tables.translate import translate_table
from tests.tables.small import save, two_tables

SURE: dict[str, Any] = {"corresponds": True, "scarce": "", "anchors": 500, "width": 64, "misfits": 0}


def figures(cosine: float = 0.97, recall: float = 0.9) -> dict[str, Figure]:
    return {"R@1": Figure(recall, 0, 1), "cosine": Figure(cosine, 0, 1)}


@pytest.mark.parametrize(
    ("found", "change", "verdict", "words"),
    [
        (figures(), {}, "good", "0.97"),
        (figures(), {"corresponds": False}, "useless", "do not correspond"),
        (figures(0.2), {}, "useless", "0.20"),
        (figures(0.8), {}, "doubtful", "below 0.9"),
        (figures(recall=0.3), {}, "doubtful", "30%"),
        (figures(), {"misfits": 30}, "doubtful", "30 of 500 anchors do not fit"),
        (figures(), {"anchors": 64}, "doubtful", "no more than the 64 dimensions"),
        (figures(), {"scarce": "all anchors are alike"}, "doubtful", "all anchors are alike"),
        ({}, {"anchors": 80}, "doubtful", "too few to measure"),
        (figures(), {"corresponds": None}, "good", "0.97"),
    ],
)
def test_every_verdict_has_its_reason(found: Any, change: Any, verdict: str, words: str) -> None:
    given, reason = judge(found, **(SURE | change))
    assert given == verdict and words in reason


def test_an_interval_is_the_mean_and_two_standard_errors() -> None:
    values, error = torch.tensor([0.0, 1.0] * 50), 1.96 * (0.25 * 100 / 99 / 100) ** 0.5
    figure = Figure.of(values)
    assert (figure.mean, figure.low, figure.high) == pytest.approx((0.5, 0.5 - error, 0.5 + error))
    assert str(figure) == "0.500 [0.402, 0.598]"


def test_a_report_is_values_of_json_and_lines(tmp_path: Any) -> None:
    x, y = two_tables()
    report = translate_table(save(tmp_path / "a.npy", None, x), save(tmp_path / "b.npy", None, y))
    again = json.loads(json.dumps(report.to_dict()))
    assert again["figures"]["R@1"]["mean"] == report.figures["R@1"].mean
    names = [name for name, _ in report.lines()]
    assert names[:4] == ["rows", "into", "map", "measured on"] and names[-1] == "verdict"
    assert {"R@1", "MRR", "cosine", "overlap@10", "suspicious", "serving"} <= set(names) and str(report).count("\n") > 8


def test_too_few_rows_to_measure_are_doubtful(tmp_path: Any) -> None:
    x, y = two_tables(rows=40)
    report = translate_table(save(tmp_path / "a.npy", None, x), save(tmp_path / "b.npy", None, y))
    assert report.figures == {} and report.verdict == "doubtful" and "trust" in report.notes[0]
