"""The report of ``relgraph stability``, built from its document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relgraph.report import stability_plots as plots
from relgraph.report.document import Cell, Column, Estimate, Figure, Report, Section, Table
from relgraph.report.plain_values import plain_section
from relgraph.report.stability_remedies import remedies_sections, sources_sections
from relgraph.report.stability_rows import rows_sections
from relgraph.report.stitching_text import percent_text

Document = Mapping[str, Any]
PERCENT: dict[str, Any] = {"unit": "%", "digits": 1}

MOST_SENTENCES = 3
"""Models up to which each has a sentence in the summary."""

PAIRS = {
    "disagreement": ("d", "share of rows for which two runs predict different classes"),
    "normalized": ("d_norm", "the same between its least and greatest value for the accuracies of the two runs"),
    "on_right": ("d_true", "on rows that the first run gets right"),
    "on_wrong": ("d_false", "on rows that the first run gets wrong"),
}


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is drawn and is not in the document; the report of a document alone is without these figures.

    Args:
        accuracies: Accuracy of every run, by model; empty without labels.
        disagreement: Of every two runs ``(R, R)``; ``None`` to leave it out.
        models, seeds: Of every run, ``(R,)``.
    """

    accuracies: Mapping[str, Sequence[float]] = field(default_factory=dict)
    disagreement: NDArray[np.float64] | None = None
    models: Sequence[str] = ()
    seeds: Sequence[str] = ()


def stability_report(
    document: Document, drawn: Drawn | None = None, *, titles: Mapping[str, str] | None = None
) -> Report:
    """The report of a study of stability.

    Args:
        document: As of :meth:`relgraph.studies.Stability.to_dict`, or from ``stability.json``. A section that has no
            builder here is shown as plain values.
        drawn: What is drawn and is not in the document.
        titles: Titles of the sections by their names.
    """
    drawn, titles = drawn or Drawn(), titles or {}
    sections = [Section("Data", text=[f"Note: {note}" for note in document["notes"]], facts=_facts(document))]
    for key, values in document["sections"].items():
        title = titles.get(key, key.replace("_", " ").capitalize())
        build = BUILDERS.get(key)
        sections += [plain_section(key, title, values)] if build is None else build(title, document, drawn)
    return Report(
        title=f"{document['data']['name']}: stability over seeds",
        summary=_summary(document),
        sections=sections,
        command=document["command"],
        versions=document["versions"],
    )


def _facts(document: Document) -> list[tuple[str, str]]:
    data, split, train = document["data"], document["split"], document["train"]
    counted = ("graph", "node", "edge", "feature", "output")
    sizes = [f"{data[f'num_{what}s']:,} {what}s" for what in counted if data.get(f"num_{what}s") is not None]
    about = [*sizes, *([data["source"]] if data.get("source") else [])]
    found = [("data", f"{data['name']}{': ' if about else ''}{', '.join(about)}")]
    found.append(
        ("rows", f"{document['rows']:,}, {document['labeled_rows']:,} labeled, {document['num_classes']} classes")
    )
    if split is not None:
        seed = "" if split["seed"] is None else f" (seed {split['seed']})"
        parts = f"{split['train']:,} training, {split['validation']:,} validation, {split['test']:,} test rows"
        found.append(("split", f"{split['name']}{seed}: {parts}"))
    found.append(("runs", ", ".join(f"{model}: {len(seeds):,}" for model, seeds in document["models"].items())))
    if train is not None:
        named = (f"{name.replace('_', ' ')} {value}" for name, value in train.items() if value is not None)
        found.append(("training", ", ".join(named)))
    return found


def _summary(document: Document) -> list[str]:
    """Accuracy and disagreement of every model and how they compare, or the extremes of many models."""
    sections, models = document["sections"], document["models"]
    accuracy, predictions = sections.get("accuracy"), sections.get("predictions")
    if len(models) > MOST_SENTENCES:
        return _extremes(accuracy, predictions)
    found = []
    for model, seeds in models.items():
        parts = []
        if accuracy is not None:
            one = accuracy["models"][model]
            parts.append(f"accuracy {_sentence(one)} %, std {100 * one['std']:.1f} points")
        if predictions is not None:
            one = predictions["models"][model]
            pairs, rows = _sentence(one["disagreement"]), f"{predictions['rows']:,} rows"
            parts.append(f"two runs disagree on {pairs} % of {rows}, all agree on {percent_text(one['unanimous'])} %")
        if parts:
            found.append(f"{model}, {len(seeds)} runs: {'; '.join(parts)}.")
    for one in [] if accuracy is None else accuracy["comparisons"]:
        low, high = (100 * bound for bound in one["interval"])
        seeds, power = one["seeds_needed"], accuracy["power"]
        needed = "" if seeds is None else f"; {seeds:,} seeds of each tell them apart with probability {power:g}"
        shown = f"{100 * one['difference']:+.2f} points [{low:+.2f}, {high:+.2f}]"
        found.append(f"{one['first']} - {one['second']}: {shown}{needed}.")
    return found


def _extremes(accuracy: Document | None, predictions: Document | None) -> list[str]:
    figures = {}
    if accuracy is not None:
        figures["Mean accuracy"] = accuracy["models"]
    if predictions is not None:
        figures["Disagreement of two runs"] = {
            model: one["disagreement"] for model, one in predictions["models"].items()
        }
    found = []
    for what, models in figures.items():
        ordered = sorted(models, key=lambda model: float(models[model]["mean"]))
        ends = [f"{_sentence(models[model])} % ({model})" for model in (ordered[0], ordered[-1])]
        found.append(f"{what} of {len(models)} models: from {ends[0]} to {ends[1]}.")
    return found


def _accuracy(title: str, document: Document, drawn: Drawn) -> list[Section]:
    values = document["sections"]["accuracy"]
    columns = [
        Column("model", "model"),
        Column("mean", "mean", "mean accuracy over runs", **PERCENT),
        Column("std", "std", "standard deviation over runs", **PERCENT),
        Column("lowest", "lowest", "of the runs", **PERCENT),
        Column("highest", "highest", "of the runs", **PERCENT),
        Column("bootstrap", "bootstrap", "the mean with the interval that resamples runs", **PERCENT),
    ]
    rows: list[list[Cell]] = [
        [
            model,
            Estimate.of(one, n_is="runs"),
            one["std"],
            one["lowest"],
            one["highest"],
            one["bootstrap"] and Estimate.of({**one, "interval": one["bootstrap"]}, n_is="runs"),
        ]
        for model, one in values["models"].items()
    ]
    level = f"{100 * (1 - values['level']):.0f} %"
    note = f"In brackets: {level} intervals of the mean by Student's t; {values['rows']:,} labeled rows."
    tables = [Table("accuracy", "Accuracy of every model", columns, rows, note)]
    if values["comparisons"]:
        tables.append(_comparisons(values, level))
    figures = []
    if drawn.accuracies:
        shown = "; ".join(
            f"{model}: {len(found)} runs from {percent_text(min(found))} to {percent_text(max(found))}, mean "
            f"{_sentence(values['models'][model])}"
            for model, found in drawn.accuracies.items()
        )
        draw = partial(plots.accuracy_figure, drawn.accuracies, values["models"])
        caption = (
            f"A dot is a run; diamonds are means with their {level} intervals. The height of a dot has no meaning."
        )
        figures.append(Figure(draw, f"Accuracy in percent of every run of every model. {shown}.", caption))
    return [Section(title, tables=tables, figures=figures)]


def _comparisons(values: Document, level: str) -> Table:
    columns = [
        Column("pair", "models"),
        Column("difference", "difference", "mean accuracy of the first less that of the second", unit="%", digits=2),
        Column("paired", "by seed", "whether runs of the same seed are compared"),
        Column("p", "p", "of the t-test of no difference"),
        Column("run_wins", "a run wins", "probability that a run of the first beats one of the second", digits=2),
        Column("mean_wins", "the mean wins", "share of resamples in which the mean of the first is higher", digits=2),
        Column(
            "seeds_needed", "seeds needed", f"of each model to find the difference with probability {values['power']:g}"
        ),
    ]
    rows: list[list[Cell]] = []
    for one in values["comparisons"]:
        n, n_is = (one["n"][0], "pairs") if one["paired"] else (sum(one["n"]), "runs")
        wins = {"value": one["run_wins"], "interval": one["run_wins_interval"], "n": n, "n_is": n_is}
        rows.append(
            [
                f"{one['first']} - {one['second']}",
                Estimate.of({"value": one["difference"], "interval": one["interval"], "n": n, "n_is": n_is}),
                one["paired"],
                one["p"],
                Estimate.of(wins),
                one["mean_wins"],
                one["seeds_needed"],
            ]
        )
    return Table(
        "comparisons", "Every two models", columns, rows, f"In brackets: {level} intervals; differences by Student's t."
    )


def _predictions(title: str, document: Document, drawn: Drawn) -> list[Section]:
    values = document["sections"]["predictions"]
    shares = [Column(name, short, meaning, **PERCENT) for name, (short, meaning) in PAIRS.items()]
    rows: list[list[Cell]] = [
        [model, *(_estimate(one.get(name)) for name in PAIRS), _estimate(one.get("symmetric_kl")),
         Estimate(one["unanimous"], n=values["rows"], n_is="rows")]
        for model, one in values["models"].items()
    ]  # fmt: skip
    columns = [
        Column("model", "model"),
        *shares,
        Column("symmetric_kl", "symmetric KL", "divergence of the probabilities of two runs, in nats"),
        Column("unanimous", "all agree", "share of rows with the same answer of all runs", **PERCENT),
    ]
    kept = [place for place in range(len(columns)) if any(row[place] is not None for row in rows)]
    within = [[row[place] for place in kept] for row in rows]
    note = interval_note(document)
    tables = [Table("agreement", "Two runs of one model", [columns[place] for place in kept], within, note)]
    if values["between"]:
        between = [[f"{one['first']} / {one['second']}", _estimate(one["disagreement"])] for one in values["between"]]
        tables.append(Table("between", "Runs of two models", [Column("pair", "models"), shares[0]], between, note))
    figures = []
    if drawn.disagreement is not None:
        matrix = drawn.disagreement
        outer = matrix[~np.eye(len(matrix), dtype=bool)]
        low, high = percent_text(float(outer.min())), percent_text(float(outer.max()))
        alt = f"Heat map of the disagreement of every two of {len(matrix)} runs: from {low} to {high} %."
        draw = partial(plots.disagreement_figure, matrix, drawn.models, drawn.seeds)
        figures.append(Figure(draw, alt, "Share of rows for which two runs predict different classes."))
    return [Section(title, tables=tables, figures=figures)]


def _representations(title: str, document: Document, drawn: Drawn) -> list[Section]:
    values = document["sections"]["representations"]
    columns = [
        Column("models", "models"),
        Column("space", "space", "what is compared, see above"),
        Column("measure", "measure"),
        Column("direction", "similar", "whether higher or lower values are more similar"),
        Column("value", "value", "mean over pairs of runs"),
        Column("null", "chance", "mean if the rows of one run are permuted"),
        Column("score", "score", "1 for equal spaces, 0 on average for unrelated rows"),
        Column("spearman", "Spearman", "rank correlation of dissimilarity with disagreement", digits=2),
    ]
    rows: list[list[Cell]] = []
    figures: list[Figure] = []
    for block in values["blocks"]:
        first, second = block["first"], block["second"]
        name = first if first == second else f"{first} / {second}"
        rows += [
            [name, one["space"], one["measure"], one["direction"],
             *(_estimate(one["value"]), one["null"], _estimate(one["score"]), _estimate(one["spearman"]))]
            for one in block["figures"]
        ]  # fmt: skip
        known = [(f"{one['measure']}, {one['space']}", one["spearman"]) for one in block["figures"] if one["spearman"]]
        if known and len(figures) < plots.MOST_MODELS:
            known.sort(key=lambda one: -float(one[1]["value"]))
            words = "; ".join(f"{what} {one['value']:.2f}" for what, one in known)
            alt = f"Spearman correlation of dissimilarity with disagreement over pairs of {name}. {words}."
            caption = f"{name}, {block['pairs']:,} of {block['of']:,} pairs: the higher, the better a measure tells "
            caption += "which runs disagree. Lines are intervals."
            figures.append(Figure(partial(plots.spearman_figure, known), alt, caption))
    sampled = f"{values['rows']:,} of {values['of_rows']:,} test rows with {values['anchors']:,} anchors"
    spaces = "; ".join(f"{space}: {meaning}" for space, meaning in values["spaces"].items())
    text = [f"Compared on {sampled} among other rows, drawn at random without labels. Spaces: {spaces}."]
    table = Table("representations", "Spaces of two runs", columns, rows, interval_note(document))
    return [Section(title, text=text, tables=[table], figures=figures)]


def _rows(title: str, document: Document, drawn: Drawn) -> list[Section]:
    runs = {model: len(seeds) for model, seeds in document["models"].items()}
    return rows_sections(title, document["sections"]["rows"], runs, interval_note(document))


def _sources(title: str, document: Document, drawn: Drawn) -> list[Section]:
    return sources_sections(title, document["sections"]["sources"], interval_note(document))


def _remedies(title: str, document: Document, drawn: Drawn) -> list[Section]:
    return remedies_sections(title, document["sections"]["remedies"], interval_note(document))


BUILDERS: Mapping[str, Callable[[str, Document, Drawn], list[Section]]] = {
    "accuracy": _accuracy,
    "predictions": _predictions,
    "rows": _rows,
    "sources": _sources,
    "representations": _representations,
    "remedies": _remedies,
}
"""What builds each section of the document."""


def interval_note(document: Document) -> str:
    """What the brackets are."""
    level = f"{100 * document['intervals']['level']:.0f} %"
    if all(len(seeds) < 5 for seeds in document["models"].values()):
        return f"No intervals: a {level} interval takes five runs or more."
    return f"In brackets: {level} intervals, {document['intervals']['method']}; none under five runs."


def _sentence(figure: Document) -> str:
    bounds = figure["interval"]
    shown = percent_text(figure["mean"])
    return f"{shown} [{percent_text(bounds[0])}, {percent_text(bounds[1])}]" if bounds else shown


def _estimate(figure: Document | None) -> Estimate | None:
    return None if figure is None else Estimate.of(figure)
