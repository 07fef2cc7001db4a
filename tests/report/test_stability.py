"""The report on stability holds the numbers of its document, for models, for predictions alone and without labels."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relgraph as rg
from relgraph.report import Estimate, Report, Table, render_html
from relgraph.report.plain_values import plain_section
from relgraph.report.stability import Drawn, stability_report
from relgraph.report.stability_rows import wilson
from relgraph.studies import Stability
from tests.report.made import HOSTILE, Reader
from tests.stitching.small import SMALL, blocks


def predicted(models: int, runs: int, *, labeled: bool = True, name: str = "model") -> Stability:
    """Predictions of runs for 80 rows, with a property."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 80)
    share = rng.beta(0.5, 2, 80)
    drawn = {
        f"{name} {model}": [np.where(rng.random(80) < share, rng.integers(0, 3, 80), y) for _ in range(runs)]
        for model in range(models)
    }
    return rg.stability(runs=rg.studies.PredictionRuns.of(drawn, y=y if labeled else None, properties={"degree": y}))


def trained(cache: Path) -> Stability:
    """Two encoders of five seeds, with models and every section."""
    given: dict[str, Any] = {"settings": SMALL, "cache": cache, "command": "relgraph stability --seeds 5"}
    return rg.stability(blocks(), ("gcn", "sage"), 5, sources=3, remedies=True, **given)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Stability:
    return trained(tmp_path_factory.mktemp("runs"))


def table(report: Report, name: str) -> Table:
    return next(one for one in report.tables if one.name == name)


def named(found: Table) -> list[dict[str, Any]]:
    return [dict(zip((column.name for column in found.columns), row, strict=True)) for row in found.rows]


def test_every_figure_of_the_document_is_in_a_table(study: Stability) -> None:
    report, sections = study.report(), study.to_dict()["sections"]
    for row in named(table(report, "accuracy")):
        one = sections["accuracy"]["models"][row["model"]]
        assert row["mean"] == Estimate(one["mean"], *one["interval"], 5, "runs")
        assert (row["std"], row["lowest"], row["highest"]) == (one["std"], one["lowest"], one["highest"])
    (compared,) = named(table(report, "comparisons"))
    one = sections["accuracy"]["comparisons"][0]
    assert compared["difference"] == Estimate(one["difference"], *one["interval"], 5, "pairs")
    assert (compared["p"], compared["seeds_needed"]) == (one["p"], one["seeds_needed"])
    for row in named(table(report, "agreement")):
        one = sections["predictions"]["models"][row["model"]]
        for name in ("disagreement", "normalized", "on_right", "on_wrong", "symmetric_kl"):
            assert row[name] == Estimate.of(one[name])
        assert row["unanimous"] == Estimate(one["unanimous"], n=len(study.runs.ids), n_is="rows")
    strata = {(row["model"], row["group"]): row for row in named(table(report, "strata"))}
    for model, found in sections["rows"]["models"].items():
        for name, groups in found["strata"].items():
            for group in groups:
                row = strata.pop((model, f"{name.replace('_', ' ')} {group['group']}"))
                assert row["rows"] == group["rows"] and row["disagreement"] == Estimate.of(group["disagreement"])
                assert row["accuracy"] == Estimate.of(group["accuracy"])
    assert strata == {}
    rows = iter(named(table(report, "representations")))
    for block in sections["representations"]["blocks"]:
        for one in block["figures"]:
            row = next(rows)
            assert (row["space"], row["measure"], row["null"]) == (one["space"], one["measure"], one["null"])
            assert (row["value"], row["score"]) == (Estimate.of(one["value"]), Estimate.of(one["score"]))
            assert row["spearman"] == (one["spearman"] and Estimate.of(one["spearman"]))
    assert next(rows, None) is None


def test_every_source_and_remedy_is_in_a_table(study: Stability) -> None:
    report, sections = study.report(), study.to_dict()["sections"]
    rows = iter(named(table(report, "sources")))
    for model, found in sections["sources"]["models"].items():
        for name, one in found["sources"].items():
            row = next(rows)
            assert (row["model"], row["source"]) == (model, sections["sources"]["titles"][name])
            assert row["std"] == Estimate(one["std"], *one["std_interval"], 3, "runs")
            assert row["disagreement"] == Estimate.of(one["disagreement"])
            assert row["disagreement_share"] == one.get("disagreement_share")
        row = next(rows)
        assert (row["variance_share"], row["disagreement_share"]) == tuple(found["sum"].values())
    assert next(rows, None) is None
    rows = iter(named(table(report, "remedies")))
    for model, found in sections["remedies"]["models"].items():
        for name, one in found["remedies"].items():
            row = next(rows)
            assert (row["model"], row["remedy"]) == (model, sections["remedies"]["titles"][name])
            assert (row["encoders"], row["trainings"]) == (one["encoders"], one["trainings"])
            for key in ("accuracy", "gain"):
                low, high = one[key]["interval"] or (None, None)
                assert row[key] == Estimate(one[key]["mean"], low, high, one[key]["n"], one["of"])
            assert row["ratio"] == Estimate.of(one["ratio"])
    assert next(rows, None) is None


def test_calibration_counts_rows(study: Stability) -> None:
    rows = named(table(study.report(), "calibration"))
    for row, one in zip(rows, study.sections["rows"]["models"].values(), strict=True):
        for name in ("unanimous", "other"):
            part = one["calibration"][name]
            low, high = wilson(part["accuracy"], part["rows"])
            assert row[name] == Estimate(part["accuracy"], low, high, part["rows"], "rows")
            assert low < part["accuracy"] < high or part["accuracy"] in (0, 1)


def test_the_page_has_every_picture_the_command_and_the_versions(study: Stability) -> None:
    report = study.report()
    page = Reader(render_html(report))
    labels = [one["aria-label"] for one in page.all("svg") if one.get("role") == "img"]
    beginnings = [
        "Accuracy in percent of every run",
        "Heat map of the disagreement of every two of 10 runs",
        *(f"Disagreement of two runs in percent by {name}" for name in ("class", "degree", "core number", "homophily")),
        "Disagreement of two runs in percent by distance",
        "How often the most frequent answer is right",
        *(["Spearman correlation of dissimilarity"] * 3),
        *(["Disagreement and accuracy in percent of every remedy"] * 2),
    ]
    assert len(labels) == len(beginnings)
    assert all(label.startswith(words) for label, words in zip(labels, beginnings, strict=True))
    assert page.inside["code"] == ["relgraph stability --seeds 5"]
    text = "".join(page.text)
    assert f"torch {study.to_dict()['versions']['torch']}" in text
    accuracy = study.sections["accuracy"]["models"]["gcn"]
    low, high = (f"{100 * bound:.1f}" for bound in accuracy["interval"])
    assert f"gcn, 5 runs: accuracy {100 * accuracy['mean']:.1f} [{low}, {high}] %, std" in text


def test_a_document_alone_gives_the_same_tables(study: Stability) -> None:
    alone = stability_report(study.to_dict())
    assert [one.to_dict() for one in alone.tables] == [one.to_dict() for one in study.report().tables]
    assert len([one for section in alone.sections for one in section.figures]) == 11


@pytest.mark.parametrize("runs", [2, 5])
def test_unlabeled_predictions_have_a_page(runs: int) -> None:
    report = predicted(1, runs, labeled=False).report()
    page = Reader(render_html(report))
    text = "".join(page.text)
    assert "Note: Accuracy needs labels: none were given." in text and "of 80 rows" in text
    flips = {"flips"} if runs > 3 else set()
    assert {one.name for one in report.tables} == {"agreement", "strata", "least-stable"} | flips
    assert "accuracy" not in [column.name for column in table(report, "strata").columns]
    assert ("No intervals" in text) == (runs < 5)


def test_many_models_share_figures_and_the_summary_names_the_extremes() -> None:
    study = predicted(11, 5)
    report = study.report()
    assert len(report.summary) == 2 and report.summary[0].startswith("Mean accuracy of 11 models: from ")
    means = {model: one["mean"] for model, one in study.sections["accuracy"]["models"].items()}
    assert f"({min(means, key=means.__getitem__)})" in report.summary[0]
    assert len(table(report, "accuracy").rows) == 11 and len(table(report, "comparisons").rows) == 55
    captions = [figure.caption for section in report.sections for figure in section.figures]
    assert any("The first 8 of 11 models." in caption for caption in captions)
    Reader(render_html(report))


def test_names_of_users_are_texts() -> None:
    study = predicted(2, 4, name=f"_{HOSTILE} $x^2$")
    page = Reader(render_html(study.report()))
    assert len(page.all("script")) == 1 and page.all("img") == []
    assert HOSTILE in "".join(page.text)


def test_a_section_without_a_builder_is_shown_as_it_is(study: Stability) -> None:
    document = copy.deepcopy(study.to_dict())
    figure = {"mean": 0.25, "interval": [0.2, 0.3], "n": 7, "n_is": "runs"}
    document["sections"]["origins"] = {
        "note": "fixed",
        "arms": {"init": {"d": figure, "share": 0.5}, "order": {"d": None, "share": 0.75}},
    }
    report = stability_report(document, Drawn(), titles={"origins": "Sources of disagreement"})
    last = report.sections[-1]
    assert (last.title, last.facts) == ("Sources of disagreement", [("note", "fixed")])
    assert named(last.tables[0]) == [
        {"arms": "init", "d": Estimate.of(figure), "share": 0.5},
        {"arms": "order", "d": None, "share": 0.75},
    ]


def test_plain_values_of_any_shape_are_kept() -> None:
    figure = {"value": 1.5, "interval": None, "n": 3}
    values = {
        "rows": 4,
        "names": ["a", "b"],
        "overall": {"d": figure, "std": 0.5},
        "models": {"gcn": {"runs": 3, "parts": [{"part": "x", "d": figure}, {"part": "y", "d": figure}]}},
        "empty": {},
        "none": [],
    }
    found = plain_section("extra", "Extra", values)
    assert dict(found.facts)["rows"] == "4" and dict(found.facts)["names"] == "a, b"
    assert dict(found.facts)["overall std"] == "0.500" and dict(found.facts)["overall d"].startswith("1.500")
    tables = {one.name: named(one) for one in found.tables}
    assert tables["extra-models"] == [{"models": "gcn", "runs": 3}]
    assert tables["extra-models-parts"] == [
        {"models": "gcn", "part": "x", "d": Estimate.of(figure)},
        {"models": "gcn", "part": "y", "d": Estimate.of(figure)},
    ]
