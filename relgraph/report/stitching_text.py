"""Sentences about the document of ``relgraph stitch``, for the terminal and for pages."""

from __future__ import annotations

from typing import Any

RETENTION = "(stitched - chance) / (own - chance) of the head's own model"
DECISIVE = "fidelity on rows where the two own models differ"


def is_share(report: dict[str, Any]) -> bool:
    """Whether values of the metric are shares, which are shown in percent."""
    return bool(report["metric"]["direction"] == "higher")


def has_intervals(report: dict[str, Any]) -> bool:
    """Whether there are enough runs of every encoder for intervals."""
    return any(method["cross_seed"] and method["cross_seed"]["interval"] for method in report["methods"].values())


def value_text(report: dict[str, Any], value: float) -> str:
    """A value of the metric, in percent if it is a share."""
    return percent_text(value) if is_share(report) else f"{value:.3f}"


def percent_text(value: float) -> str:
    """A share in percent, without the sign.

    Example:
        >>> percent_text(0.98765)
        '98.8'
    """
    return f"{100 * value:.1f}"


def agreement(report: dict[str, Any]) -> str:
    """What fidelity is for the task of the document."""
    return {
        "multiclass": "share of test rows with the prediction of the head's own model",
        "multilabel": "Cohen's kappa with the labels of the head's own model, mean over labels",
        "regression": "rank correlation with the values of the head's own model",
        "edge": "rank correlation with the scores of the head's own model",
    }["edge" if report["task"]["level"] == "edge" else report["task"]["mode"]]


def heading(report: dict[str, Any]) -> list[str]:
    """Three lines: the data, the split, the runs and their anchors."""
    data, split, anchors = report["dataset"], report["split"], report["anchors"]
    counted = ("graph", "node", "edge", "feature", "output")
    counts = {what: data[f"num_{what}s"] for what in counted if data.get(f"num_{what}s") is not None}
    sizes = [f"{count:,} {what}{'' if count == 1 else 's'}" for what, count in counts.items()]
    made = f"; features: {data['features']}" if data.get("features") else ""
    seed = "" if split["seed"] is None else f" (seed {split['seed']})"
    rows = f"{split['train']:,} training, {split['validation']:,} validation, {split['test']:,} test rows"
    optimistic = "; validation rows are the test rows: optimistic" if split["note"] == "optimistic" else ""
    features = f" in {anchors['features']} features" if anchors["features"] else ""
    labels = {"none": "no labels used", "labels": "labels used", "run-embeddings": "trained embeddings used"}
    place = "" if report["stitch_at"] is None else f", stitched behind layer {report['stitch_at']}"
    return [
        f"{data['name']}: {', '.join(sizes)} ({data['source']}{made})",
        f"{split['name']} split{seed}: {rows}{optimistic}",
        f"{', '.join(report['encoders'])} with {len(report['seeds'])} seeds{place}; {anchors['count']} "
        f"{anchors['strategy']} anchors{features}, {labels[anchors['labels_used']]}",
    ]


def remarks(report: dict[str, Any]) -> list[str]:
    """What else was found, one sentence each."""
    lines = []
    runs = report["runs"]
    collapsed = sum(bool(run["collapsed"]) for run in runs)
    if collapsed:
        lines.append(f"Collapsed: {collapsed} of {len(runs)} runs are no better than a constant prediction.")
    for name, method in report["methods"].items():
        if draws := method.get("draws"):
            mean, std, best = (value_text(report, draws[key]) for key in ("mean", "std", "best"))
            lines.append(f"{name}: mean {mean} over {draws['count']} draws (std {std}, best {best}).")
    robust = report.get("robustness") or {}
    if robust.get("disagreement"):
        lines.append(
            f"Seeds: {report['metric']['name']} varies by {100 * robust['value_std']:.2f} points (std); two runs "
            f"disagree on {100 * robust['disagreement']['mean']:.1f} % of the test rows."
        )
    if robust.get("relative_similarity") is not None:
        lines.append(
            f"Spaces of two seeds: mean cosine of matched embeddings {robust['absolute_similarity']:.3f}, of relative "
            f"representations {robust['relative_similarity']:.3f} ({robust['relative_similarity_shuffled']:.3f} with "
            f"shuffled rows); linear CKA {robust['linear_cka']:.3f}."
        )
    return lines
