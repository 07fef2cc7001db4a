"""The report of ``relgraph stitch``, built from its document; an example of a builder for other commands.

A builder is a function from a document (values of JSON) to a :class:`relgraph.report.Report`: it chooses columns,
writes sentences and passes functions that draw, and knows nothing of HTML.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from relgraph.report.document import Cell, Column, Estimate, Figure, Report, Section, Table
from relgraph.report.stitching_text import (
    DECISIVE,
    RETENTION,
    agreement,
    has_intervals,
    heading,
    is_share,
    percent_text,
    remarks,
    value_text,
)
from relgraph.stitching import plots

if TYPE_CHECKING:
    from relgraph.stitching import Experiment

KINDS = ("method", "baseline", "control")


def stitching_report(document: dict[str, Any], experiment: Experiment | None = None) -> Report:
    """The report of a stitching experiment.

    Args:
        document: Its document, as of :func:`relgraph.stitching.build_report` or from ``stitching.json``.
        experiment: The experiment itself, whose spaces are drawn; a document alone does not hold them.
    """
    sections = [
        Section("Data", facts=_facts(document)),
        Section("Methods", text=_meanings(document), tables=list(_method_tables(document)), figures=_ranking(document)),
        Section("Runs", tables=[_runs(document)]),
        Section("Seeds", text=["How models of one encoder differ from seed to seed."], tables=[_seeds(document)]),
        Section("Every encoder with every head", figures=_matrices(document)),
    ]
    if experiment is not None and plots.can_draw_spaces(experiment):
        sections.append(Section("Two spaces", text=[SPACES], figures=_spaces(experiment)))
    return Report(
        title=f"{document['dataset']['name']}: encoders with heads of other runs",
        summary=_summary(document),
        sections=sections,
        warnings=document["warnings"],
        command=document["command"],
        versions=document["versions"],
    )


SPACES = (
    "Test rows of two runs. The source is drawn on its own principal axes; the target, and the source after the ridge "
    "map on the anchors, on the principal axes of the target and on one scale."
)


def _summary(document: dict[str, Any]) -> list[str]:
    """What the default map keeps, and the exchange without a map; then remarks."""
    found = []
    for name in reversed(plots.shown_methods(document)):
        method = document["methods"][name]
        for pairs, words in (("cross_seed", "another seed"), ("cross_encoder", "another encoder")):
            if method[pairs] is None:
                continue
            parts = [f"{document['metric']['name']} {_sentence(method[pairs], partial(value_text, document))}"]
            for what in ("retention", "fidelity"):
                if (figure := method[f"{what}_{pairs}"]) is not None:
                    parts.append(f"{what} {_sentence(figure, percent_text)} %")
            count = method[pairs]["n"]
            found.append(f"{name}, head of {words}: {', '.join(parts)} ({count:,} pairs).")
    return [*found, *remarks(document)]


def _sentence(figure: dict[str, Any], show: Any) -> str:
    bounds = figure["interval"]
    return f"{show(figure['mean'])}{f' [{show(bounds[0])}, {show(bounds[1])}]' if bounds else ''}"


def _facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    data, split, runs = heading(document)
    train = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in document["train"].items() if value is not None
    )
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in document["seconds"].items())
    task = document["task"]
    return [
        ("data", data),
        ("task", f"{task['level']}, {task['mode']}"),
        ("split", split),
        ("runs", runs),
        ("training", train),
        ("time", seconds),
    ]


def _meanings(document: dict[str, Any]) -> list[str]:
    metric = document["metric"]
    unit = " in percent" if is_share(document) else ""
    constant = value_text(document, metric["constant"])
    return [
        f"Every encoder is evaluated with every other run's head by {metric['name']}{unit}: {metric['direction']} is "
        f"better, a constant prediction gets {constant}, and chance is {value_text(document, metric['chance'])}."
    ]


def _intervals(document: dict[str, Any]) -> str:
    level = f"{100 * document['intervals']['level']:.0f} %"
    if not has_intervals(document):
        return f"No intervals: a {level} interval takes five seeds or more."
    return f"In brackets: {level} intervals, {document['intervals']['method']}."


def _method_tables(document: dict[str, Any]) -> Iterator[Table]:
    """All methods; then their encoders, if there are several, and the draws of controls."""
    methods = sorted(document["methods"].items(), key=lambda item: KINDS.index(item[1]["kind"]))
    metric, note = _metric(document), _intervals(document)
    share: dict[str, Any] = {"unit": "%", "digits": 1}
    figures = [
        Column("own", "own head", "the metric of encoders with their own heads", **metric),
        Column("cross_seed", "other seed", "the metric with heads of other seeds of the same encoder", **metric),
        Column("worst", "worst pair", "the worst of these pairs", **metric),
        Column("cross_encoder", "other encoder", "the metric with heads of other encoders", **metric),
        Column("retention_cross_seed", "retention", RETENTION, **share),
        Column("retention_cross_encoder", "retention, other encoder", "the same with heads of other encoders", **share),
        Column("fidelity_cross_seed", "fidelity", agreement(document), **share),
        Column("fidelity_cross_encoder", "fidelity, other encoder", "the same with heads of other encoders", **share),
        Column("decisive_cross_seed", "decisive", DECISIVE, **share),
        Column("decisive_cross_encoder", "decisive, other encoder", "the same with heads of other encoders", **share),
    ]
    rows = [[_method_cell(method, column.name) for column in figures] for _, method in methods]
    kept = [place for place in range(len(figures)) if any(row[place] is not None for row in rows)]
    columns = [
        Column("method", "method"),
        Column("kind", "kind", "a control must fail; a baseline has to be beaten"),
        *(figures[place] for place in kept),
        Column("collapsed", "collapsed", "runs no better than a constant prediction, of all runs"),
        Column("seconds", "time", "for all pairs", "s", 2),
        Column("trains", "trains", "what is trained or fitted by more than a closed form"),
    ]
    named = [
        [
            name,
            method["kind"],
            *(row[place] for place in kept),
            method["collapsed"],
            method["seconds"],
            method["trains"],
        ]
        for (name, method), row in zip(methods, rows, strict=True)
    ]
    yield Table("methods", "All methods", columns, named, note)
    if len(document["encoders"]) > 1:
        columns = [Column("method", "method"), Column("encoder", "encoder"), figures[0], figures[1]]
        of_encoders = [
            [name, encoder, _estimate(one["own"]), _estimate(one["cross_seed"])]
            for name, method in methods
            for encoder, one in method["per_encoder"].items()
        ]
        yield Table("encoders", "By encoder", columns, of_encoders, note)
    draws = [(name, method["draws"]) for name, method in methods if method["draws"] is not None]
    if draws:
        columns = [
            Column("method", "control"),
            Column("mean", "mean", "over draws, all pairs together", **metric),
            Column("std", "std", "over draws", **metric),
            Column("best", "best draw", **metric),
        ]
        drawn = [
            [name, Estimate(one["mean"], n=one["count"], n_is="draws"), one["std"], one["best"]] for name, one in draws
        ]
        yield Table("draws", "Draws of the controls", columns, drawn)


def _runs(document: dict[str, Any]) -> Table:
    metric, test = _metric(document), document["split"]["test"]
    columns = [
        Column("encoder", "encoder"),
        Column("seed", "seed"),
        Column("own", "own head", "the metric on test rows", **metric),
        Column("validation", "validation", "the metric on validation rows, by which the epoch was chosen", **metric),
        Column("best_epoch", "epoch", "the one that was kept"),
        Column("collapsed", "collapsed", "no better than a constant prediction"),
        Column("train_seconds", "time", "of training", "s", 1),
        Column("backend", "backend", "how it was trained; runs with equal inputs agree between them"),
    ]
    rows: list[list[Cell]] = []
    for run in document["runs"]:
        own = None if run["own"] is None else Estimate(run["own"], n=test, n_is="rows")
        rest = (run[column.name] for column in columns[3:])
        rows.append([run["encoder"], run["seed"], own, *rest])
    return Table("runs", "Every run with its own head", columns, rows)


def _seeds(document: dict[str, Any]) -> Table:
    robust, share = document["robustness"], is_share(document)
    count, encoders = len(document["seeds"]), len(document["encoders"])
    pairs = encoders * count * (count - 1) // 2
    std = robust["value_std"]
    rows: list[tuple[str, Cell]] = [
        (
            f"std of {document['metric']['name']}",
            None if std is None else Estimate(std, n=encoders * count, n_is="runs"),
        )
    ]
    rows += [(name, _estimate(robust[name])) for name in ("agreement", "disagreement")]
    similarities = {
        "absolute_similarity": "mean cosine of matched embeddings",
        "relative_similarity": "mean cosine of matched relative representations",
        "relative_similarity_shuffled": "the same with the rows of one shuffled",
        "linear_cka": "linear CKA",
    }
    rows += [(words, Estimate(robust[name], n=pairs, n_is="pairs")) for name, words in similarities.items()]
    columns = [Column("quantity", "quantity"), Column("value", "value", "shares are fractions" if share else "")]
    return Table("seeds", "Two seeds of one encoder", columns, rows, _intervals(document))


def _ranking(document: dict[str, Any]) -> list[Figure]:
    """Retention and fidelity of all methods at a glance."""
    values = [
        (name, method["retention_cross_seed"], method["fidelity_cross_seed"])
        for name, method in document["methods"].items()
        if method["retention_cross_seed"] or method["fidelity_cross_seed"]
    ]
    if not values:
        return []
    words = "; ".join(
        f"{name}: {', '.join(_shown(what, one) for what, one in (('retention', kept), ('fidelity', same)) if one)}"
        for name, kept, same in values
    )
    return [
        Figure(
            partial(plots.ranking_figure, document),
            f"Retention and fidelity in percent of every method with heads of other seeds. {words}.",
            f"Heads of other seeds of the same encoder. {_intervals(document).replace('In brackets', 'Lines')}",
        )
    ]


def _shown(what: str, figure: dict[str, Any]) -> str:
    return f"{what} {_sentence(figure, percent_text)}"


def _matrices(document: dict[str, Any]) -> list[Figure]:
    found = []
    for name in plots.shown_methods(document):
        method = document["methods"][name]
        known = [value for row in method["matrix"] for value in row if value is not None]
        spread = (
            f"values from {value_text(document, min(known))} to {value_text(document, max(known))}" if known else ""
        )
        mean = (
            f"; mean over other seeds {value_text(document, method['cross_seed']['mean'])}"
            if method["cross_seed"]
            else ""
        )
        alt = (
            f"Heat map of {document['metric']['name']} by {name}: {len(method['matrix'])} encoders in rows, as many "
            f"heads in columns; {spread}{mean}."
        )
        undefined = any(value is None for row in method["matrix"] for value in row)
        hatched = " Hatched: the head reads a space of another width." if undefined else ""
        caption = f"{name}. Numbers are means over pairs of different runs.{hatched}"
        found.append(Figure(partial(plots.matrix_figure, document, name), alt, caption))
    return found


def _spaces(experiment: Experiment) -> list[Figure]:
    drawn = plots.space_figures(experiment)
    return [
        Figure(partial(drawn.__getitem__, title), f"Scatter plot of test rows on two principal axes, {title}.")
        for title in drawn
    ]


def _metric(document: dict[str, Any]) -> dict[str, Any]:
    return {"unit": "%", "digits": 1} if is_share(document) else {"digits": 3}


def _method_cell(method: dict[str, Any], name: str) -> Cell:
    if name == "worst":
        return None if method["cross_seed"] is None else method["cross_seed"]["worst"]
    return _estimate(method[name])


def _estimate(figure: dict[str, Any] | None) -> Estimate | None:
    """The estimate of a figure of the document."""
    return None if figure is None else Estimate.of(figure)
