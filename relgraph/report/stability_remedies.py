"""Sections of the report on stability that need further models: where variation comes from, and remedies."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from relgraph.report import stability_plots as plots
from relgraph.report.document import Cell, Column, Estimate, Figure, Section, Table
from relgraph.report.stitching_text import percent_text

Values = Mapping[str, Any]
PERCENT: dict[str, Any] = {"unit": "%", "digits": 1}


def sources_sections(title: str, values: Values, note: str) -> list[Section]:
    """What each source of randomness changes alone, and all of them together.

    Args:
        title: Of the section.
        values: Of the section ``sources`` of the document.
        note: What the brackets are.
    """
    columns = [
        Column("source", "varied", "what differs between the runs; the rest is that of the first run"),
        Column("model", "model"),
        Column("accuracy", "accuracy", "mean over runs", **PERCENT),
        Column("std", "std of accuracy", "over runs", unit="%", digits=2),
        Column("variance_share", "share of variance", "variance of the accuracy over that of all together", digits=2),
        Column("disagreement", "d", "share of rows for which two runs predict different classes", **PERCENT),
        Column("disagreement_share", "share of d", "disagreement over that of all together", digits=2),
    ]
    rows: list[list[Cell]] = []
    for model, found in values["models"].items():
        for name, one in found["sources"].items():
            bounds, runs = one["std_interval"], {"n": one["runs"], "n_is": "runs"}
            std = Estimate.of({"value": one["std"], "interval": bounds, **runs})
            variance = one.get("variance_share")
            share = variance and Estimate.of({**variance, **runs})
            apart = one["disagreement"] and Estimate.of(one["disagreement"])
            rows.append(
                [values["titles"][name], model, one["accuracy"], std, share, apart, one.get("disagreement_share")]
            )
        total = found["sum"]
        rows.append(
            ["sum of single sources", model, None, None, total["variance_share"], None, total["disagreement_share"]]
        )
    text = ["Shares add up to 1 where sources act apart; to more where one alone changes nearly as much as all."]
    split = values["fixed"].get("split")
    if isinstance(split, str):
        text.append(f"The split '{split}' comes with the data and is the same in all runs.")
    about = f"{note} Deviations have intervals by the chi-squared distribution, shares of the variance by the F-test."
    return [Section(title, text=text, tables=[Table("sources", "Sources of variation", columns, rows, about)])]


def remedies_sections(title: str, values: Values, note: str) -> list[Section]:
    """What each remedy changes and costs, beside plain retraining.

    Args:
        title: Of the section.
        values: Of the section ``remedies`` of the document.
        note: What the brackets are.
    """
    columns = [
        Column("remedy", "remedy"),
        Column("model", "model"),
        Column("accuracy", "accuracy", "mean over runs, or over teams", **PERCENT),
        Column("gain", "gain", "accuracy less that of plain models of the same runs", unit="%", digits=1),
        Column("disagreement", "d", "share of rows for which two models differ that share no training", **PERCENT),
        Column("ratio", "of plain", "disagreement over that of plain models", digits=2),
        Column("encoders", "encoders", "that one prediction needs"),
        Column("trainings", "trainings", "that a new version costs"),
    ]
    rows: list[list[Cell]] = []
    text: list[str] = []
    figures: list[Figure] = []
    titles = values["titles"]
    for model, found in values["models"].items():
        for name, one in found["remedies"].items():
            counted = {"accuracy": one["of"], "gain": one["of"], "disagreement": "pairs", "ratio": "pairs"}
            cells = (one[key] and Estimate.of({**one[key], "n_is": n_is}) for key, n_is in counted.items())
            rows.append([titles[name], model, *cells, one["encoders"], one["trainings"]])
        if found["teams"]:
            size = found["team_size"]
            text.append(f"{model}: consensus, ensemble and distilled are of {found['teams']} teams of {size} runs.")
        reasons: dict[str, list[str]] = {}
        for name, reason in found["left_out"].items():
            reasons.setdefault(reason, []).append(titles[name])
        text += [f"{model}: left out, {', '.join(names)}: {reason}." for reason, names in reasons.items()]
        if len(figures) < plots.MOST_MODELS:
            figures.append(_figure(model, found["remedies"], titles))
    tables = [Table("remedies", "Remedies beside plain retraining", columns, rows, note)]
    return [Section(title, text=text, tables=tables, figures=figures)]


def _figure(model: str, remedies: Values, titles: Mapping[str, str]) -> Figure:
    known = {
        titles[name]: (one["disagreement"], one["accuracy"])
        for name, one in remedies.items()
        if one["disagreement"] and one["accuracy"]
    }
    words = "; ".join(
        f"{name}: {percent_text(apart['mean'])} and {percent_text(right['mean'])}"
        for name, (apart, right) in known.items()
    )
    alt = f"Disagreement and accuracy in percent of every remedy for {model}. {words}."
    caption = f"{model}: the better, the further to the upper left. Lines are intervals."
    return Figure(partial(plots.remedies_figure, known), alt, caption)
