"""The report of a stitching experiment holds the numbers of its document, each with its count and interval."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from relgraph.report import Estimate, Report, Table, render_html
from relgraph.report.stitching import stitching_report
from relgraph.stitching import Experiment, build_report
from tests.report.made import HOSTILE, Reader
from tests.stitching.small import run

Document = dict[str, Any]
KINDS = ("nodes", "five", "regression")


@pytest.fixture(scope="module")
def experiments() -> dict[str, Experiment]:
    return {kind: run(kind, ("absolute", "ridge", "permuted-anchors")) for kind in KINDS}


@pytest.fixture(params=KINDS)
def experiment(request: pytest.FixtureRequest, experiments: dict[str, Experiment]) -> Experiment:
    return experiments[request.param]


@pytest.fixture(scope="module")
def five(experiments: dict[str, Experiment]) -> Document:
    return build_report(experiments["five"], command="relgraph stitch --seeds 5")


def table(report: Report, name: str) -> Table:
    return next(one for one in report.tables if one.name == name)


def cells(report: Report, name: str) -> Iterator[tuple[Any, str, Any]]:
    """First value of the row, name of the column, and value, of a table."""
    found = table(report, name)
    for row in found.rows:
        for column, cell in zip(found.columns, row, strict=True):
            yield row[0], column.name, cell


def test_every_figure_of_every_method_is_in_the_table(experiment: Experiment) -> None:
    document = build_report(experiment)
    report = stitching_report(document)
    shown = {(name, column): cell for name, column, cell in cells(report, "methods")}
    for name, method in document["methods"].items():
        for key, figure in method.items():
            if not (isinstance(figure, dict) and "n_is" in figure):
                continue
            low, high = figure["interval"] or (None, None)
            assert shown[name, key] == Estimate(figure["mean"], low, high, figure["n"], figure["n_is"])
        worst = method["cross_seed"] and method["cross_seed"]["worst"]
        assert shown[name, "worst"] == worst and shown[name, "seconds"] == method["seconds"]
    assert [row[1] for row in table(report, "methods").rows] == ["method", "method", "control"]
    for name, column, cell in cells(report, "runs"):
        assert column != "own" or cell.n == document["split"]["test"], name


def test_errors_are_not_in_percent(experiments: dict[str, Experiment]) -> None:
    for kind, unit in (("regression", ""), ("five", "%")):
        report = stitching_report(build_report(experiments[kind]))
        units = {column.name: column.unit for column in table(report, "methods").columns}
        assert (units["own"], units["retention_cross_seed"]) == (unit, "%")


def test_intervals_are_explained_where_there_are_any(five: Document, experiments: dict[str, Experiment]) -> None:
    assert table(stitching_report(five), "methods").note.startswith("In brackets: 95 % intervals, percentile bootstrap")
    few = stitching_report(build_report(experiments["nodes"]))
    assert table(few, "methods").note == "No intervals: a 95 % interval takes five seeds or more."
    kept = five["methods"]["ridge"]["retention_cross_seed"]
    low, high = (f"{100 * bound:.1f}" for bound in kept["interval"])
    ridge = next(sentence for sentence in stitching_report(five).summary if sentence.startswith("ridge, head"))
    assert f"retention {100 * kept['mean']:.1f} [{low}, {high}] %" in ridge and "(20 pairs)" in ridge


@pytest.mark.parametrize("kind", ["nodes", pytest.param("regression", marks=pytest.mark.slow)])
def test_the_page_has_every_picture_and_the_command(kind: str, experiments: dict[str, Experiment]) -> None:
    experiment = experiments[kind]
    document = build_report(experiment, command="relgraph stitch --dataset cora")
    page = Reader(render_html(stitching_report(document, experiment)))
    labels = [figure["aria-label"] for figure in page.all("svg") if figure.get("role") == "img"]
    assert len(labels) == 1 + 2 + 3
    assert labels[0].startswith("Retention and fidelity") and labels[1].startswith("Heat map of")
    ridge = f"ridge: retention {100 * document['methods']['ridge']['retention_cross_seed']['mean']:.1f}"
    assert ridge in labels[0]
    assert page.inside["code"] == ["relgraph stitch --dataset cora"]
    text = "".join(page.text)
    assert f"torch {document['versions']['torch']}" in text and "test rows" in text
    assert stitching_report(document).to_dict()["sections"] == [
        section
        for section in stitching_report(document, experiment).to_dict()["sections"]
        if section["title"] != "Two spaces"
    ]


def test_warnings_and_names_of_users_are_texts(five: Document) -> None:
    document = copy.deepcopy(five)
    document["dataset"] |= {"name": HOSTILE, "source": HOSTILE}
    document |= {"warnings": [HOSTILE], "command": f"relgraph stitch --dataset '{HOSTILE}'"}
    for place, one in enumerate(document["runs"]):
        one["collapsed"] = place == 0
    page = Reader(render_html(stitching_report(document)))
    assert len(page.all("script")) == 1 and page.all("img") == []
    text = "".join(page.text)
    assert f"Warning: {HOSTILE}" in text and "Collapsed: 1 of 5 runs" in text


def test_undefined_values_are_empty(five: Document) -> None:
    document = copy.deepcopy(five)
    for method in document["methods"].values():
        for key, figure in method.items():
            if isinstance(figure, dict) and "n_is" in figure:
                method[key] = None
        method["matrix"] = [[None] * 5] * 5
    document["robustness"] |= {"value_std": None, "agreement": None, "disagreement": None}
    report = stitching_report(document)
    assert "own" not in [column.name for column in table(report, "methods").columns]
    assert [row[1] for row in table(report, "seeds").rows][:3] == [None] * 3
    assert report.sections[1].figures == []
