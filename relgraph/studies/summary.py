"""The summary of a study as text, made from the document alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relgraph.studies.sections import SECTIONS
from relgraph.studies.sources import PARTS

Document = Mapping[str, Any]
WIDTH = 14
SCORES = {
    "entropy": "entropy",
    "margin": "margin",
    "degree": "degree",
    "core_number": "core number",
    "homophily": "homophily",
    "distance": "distance",
}


def summary(document: Document) -> str:
    """What a study found, one block for each section.

    Args:
        document: Of :meth:`relgraph.studies.Stability.to_dict`.
    """
    blocks = [_heading(document)]
    for key, values in document["sections"].items():
        lines = LINES[key](values) if key in LINES else []
        if lines:
            blocks.append([SECTIONS[key].title, *(f"  {line}" for line in lines)])
    if document["notes"]:
        blocks.append([f"Note: {note}" for note in document["notes"]])
    return "\n\n".join("\n".join(block) for block in blocks)


def _heading(document: Document) -> list[str]:
    split = document["split"]
    where = "" if split is None else f", {split['name']} split"
    rows = f"{document['rows']:,} rows, {document['labeled_rows']:,} labeled, {document['num_classes']} classes"
    models = [f"{model}: {len(seeds)} runs" for model, seeds in document["models"].items()]
    return [f"{document['data']['name']}: {rows}{where}", ", ".join(models)]


def accuracy_lines(values: Document) -> list[str]:
    """Accuracy of every model, and every two compared."""
    lines = []
    for model, found in values["models"].items():
        low, high = (100 * min(max(bound, 0.0), 1.0) for bound in found["interval"])
        shown = f"{100 * found['mean']:.1f} % (std {100 * found['std']:.1f}), mean [{low:.1f}, {high:.1f}]"
        lines.append(_line(model, shown))
    for found in values["comparisons"]:
        low, high = (100 * bound for bound in found["interval"])
        name = f"{found['first']} - {found['second']}"
        seeds = found["seeds_needed"]
        parts = [
            f"{100 * found['difference']:+.2f} points [{low:+.2f}, {high:+.2f}]{' by seed' if found['paired'] else ''}",
            f"a run of {found['first']} beats one of {found['second']} with probability {found['run_wins']:.2f}",
        ]
        if found["mean_wins"] is not None:
            parts.append(f"its mean is higher in {100 * found['mean_wins']:.0f} % of resamples")
        parts.append("no difference to find" if seeds is None else f"{seeds:,} seeds tell them apart")
        lines.append(_line(name, "; ".join(parts)))
    return lines


def predictions_lines(values: Document) -> list[str]:
    """Disagreement within every model, and between every two."""
    names = {"disagreement": "d", "normalized": "d_norm", "on_right": "d_true", "on_wrong": "d_false"}
    lines = []
    for model, found in values["models"].items():
        parts = [f"{short} {_percent(found[name]['mean'])}{_bounds(found[name], name == 'disagreement')}"
                 for name, short in names.items() if found.get(name)]  # fmt: skip
        if found.get("symmetric_kl"):
            parts.append(f"symmetric KL {found['symmetric_kl']['mean']:.3f}")
        lines.append(_line(model, ", ".join([*parts, f"all agree {_percent(found['unanimous'])}"])))
    for found in values["between"]:
        figure = found["disagreement"]
        lines.append(
            _line(f"{found['first']} / {found['second']}", f"d {_percent(figure['mean'])}{_bounds(figure, True)}")
        )
    return lines


def rows_lines(values: Document) -> list[str]:
    """Whether agreement tells what is right, and whether a few runs tell where others differ."""
    lines = []
    for model, found in values["models"].items():
        if known := found["calibration"]:
            parts: list[str] = []
            for key, meaning in (("unanimous", "on which all agree"), ("other", "other")):
                count, accuracy = known[key]["rows"], known[key]["accuracy"]
                if accuracy is None:
                    continue
                rows = "row" if count == 1 else "rows"
                right = f"{'right ' if not parts else ''}{_percent(accuracy)} of {count:,}"
                parts.append(f"{right} {rows} {meaning}" if key == "unanimous" else f"{right} {meaning} {rows}")
            lines.append(_line(model, ", ".join(parts)))
        if flips := found["flips"]:
            scores = {name: figure for name, figure in flips["each"].items() if figure}
            shown = ", ".join(f"{SCORES.get(name, name)} {figure['mean']:.2f}" for name, figure in scores.items())
            if shown:
                runs = f"{flips['fit']} runs tell where the other {flips['rest']} flip, AUC"
                lines.append(_line(model, f"{runs}: {shown}"))
    return lines


def sources_lines(values: Document) -> list[str]:
    """Deviation and disagreement by source, their shares of those of all together, and whether they add up."""
    lines, split = [], values["fixed"]["split"]
    for model, found in values["models"].items():
        runs = found["sources"]["together"]["runs"]
        rows = [(f"{model}, {runs} runs each", "std of accuracy", "share of variance", "d", "share of d")]
        for name, one in found["sources"].items():
            variance, share = one.get("variance_share"), one.get("disagreement_share")
            std = f"{100 * one['std']:.2f} {_range(one['std_interval'], 100, 2)}"
            rows.append(
                (
                    values["titles"][name],
                    std,
                    _figure(variance, 1, 2),
                    _percent_figure(one["disagreement"]),
                    _share(share),
                )
            )
        total = found["sum"]
        parts = sum(name in found["sources"] for name in PARTS)
        rows.append(
            (f"sum of {parts} sources", "", _share(total["variance_share"]), "", _share(total["disagreement_share"]))
        )
        lines += _columns(rows)
    if isinstance(split, str):
        lines.append(f"The split '{split}' comes with the data and is the same in all runs.")
    return lines


def remedies_lines(values: Document) -> list[str]:
    """Accuracy, disagreement and cost of every remedy, and why others are left out."""
    lines: list[str] = []
    for model, found in values["models"].items():
        teams = f", {found['teams']} teams of {found['team_size']}" if found["teams"] else ""
        rows = [(f"{model}, {found['runs']} runs{teams}", "accuracy", "d", "of plain", "encoders", "trainings")]
        for name, one in found["remedies"].items():
            figures = (
                _percent_figure(one["accuracy"]),
                _percent_figure(one["disagreement"]),
                _figure(one["ratio"], 1, 2),
            )
            rows.append((values["titles"][name], *figures, str(one["encoders"]), str(one["trainings"])))
        lines += _columns(rows)
        reasons: dict[str, list[str]] = {}
        for name, reason in found["left_out"].items():
            reasons.setdefault(reason, []).append(values["titles"][name])
        lines += [f"Left out, {', '.join(names)}: {reason}." for reason, names in reasons.items()]
    return lines


def representations_lines(values: Document) -> list[str]:
    """Mean cosines of matched rows in every kind of space, and what tells best how far predictions disagree."""
    lines = []
    for block in values["blocks"]:
        first, second = block["first"], block["second"]
        name = first if first == second else f"{first} / {second}"
        cosines = [one for one in block["figures"] if one["measure"] == "matched-cosine"]
        shown = ", ".join(f"{one['space']} {one['value']['mean']:.2f} (chance {one['null']:.2f})" for one in cosines)
        lines.append(_line(name, f"cosine of matched rows: {shown}"))
        known = [one for one in block["figures"] if one["spearman"]]
        if known:
            best = max(known, key=lambda one: float(one["spearman"]["value"]))
            found = best["spearman"]
            bounds = " [{:.2f}, {:.2f}]".format(*found["interval"]) if found["interval"] else ""
            text = f"disagreement follows {best['measure']} ({best['space']}) most closely"
            lines.append(_line("", f"{text}, Spearman {found['value']:.2f}{bounds} over {found['n']:,} pairs"))
    return lines


LINES: Mapping[str, Callable[[Document], list[str]]] = {
    "accuracy": accuracy_lines,
    "predictions": predictions_lines,
    "rows": rows_lines,
    "sources": sources_lines,
    "representations": representations_lines,
    "remedies": remedies_lines,
}
"""The lines of every section that has some."""


def _line(name: str, text: str) -> str:
    return f"{name:<{WIDTH - 1}} {text}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _bounds(figure: Mapping[str, Any], wanted: bool) -> str:
    if not wanted or not figure["interval"]:
        return ""
    low, high = (100 * bound for bound in figure["interval"])
    return f" [{low:.1f}, {high:.1f}]"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _figure(figure: Mapping[str, Any] | None, scale: float, digits: int, unit: str = "") -> str:
    """A mean with its interval, where there is one."""
    if figure is None or figure["mean"] is None:
        return "-"
    shown = f"{scale * figure['mean']:.{digits}f}{unit}"
    return f"{shown} {_range(figure['interval'], scale, digits)}" if figure["interval"] else shown


def _percent_figure(figure: Mapping[str, Any] | None) -> str:
    return _figure(figure, 100, 1, " %")


def _range(interval: Sequence[float], scale: float, digits: int) -> str:
    return f"[{scale * interval[0]:.{digits}f}, {scale * interval[1]:.{digits}f}]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
