"""The tables of ``inference/README.md``, and those of near anchors in ``stitching/README.md``."""

from __future__ import annotations

from formatting import NAMES, interval, results, table

MIB = 2**20


def cell(case, name, figures, digits):
    """One number of a contender, or why there is none."""
    if name in case["skipped"]:
        return "does not fit"
    return f"{figures[name]:.{digits}f}" if name in figures else "not installed"


def inference():
    """Milliseconds of every contender, and how much faster the folded head is."""
    names = {
        "absolute": "absolute",
        "absolute_units": "absolute, unit rows given",
        "project": "project, head",
        "layer": "`RelativeLayer`, head",
        "latentis": "latentis, head",
        "folded": "folded",
    }
    rows = []
    for case in results("inference")["cases"]:
        ms = case["ms"]
        row = [case["device"], f"{case['nodes']:,}", case["width"], case["anchors"]]
        row += [cell(case, name, ms, 1 if ms["absolute"] >= 10 else 2) for name in names]
        row.append(f"{ms['folded'] / ms['absolute']:.2f}")
        row.append(f"{ms['project'] / ms['folded']:.1f}x" if "project" in ms else "-")
        rows.append(row)
    header = ["device", "N", "F", "K", *names.values(), "folded / absolute", "project / folded"]
    return table(header, rows)


def summary():
    """The largest number of nodes and of anchors."""
    cases = [case for case in results("inference")["cases"] if case["anchors"] == 512 and case["nodes"] == 1_000_000]
    rows = []
    for case in cases:
        ms = case["ms"]
        row = [case["device"], f"{case['nodes']:,}", case["width"], case["anchors"]]
        row += [cell(case, name, ms, 0 if case["device"] == "cpu" else 2) for name in ("absolute", "project", "folded")]
        rows.append([*row, f"{ms['project'] / ms['folded']:.1f}x" if "project" in ms else "-"])
    return table(["device", "N", "F", "K", "absolute", "project, head", "folded", "project / folded"], rows)


def memory():
    """Peak memory of every contender beyond the embeddings, logits included."""
    names = ("absolute", "absolute_units", "project", "layer", "latentis", "folded")
    rows = []
    for case in results("inference")["cases"]:
        used = {name: value / MIB for name, value in case["peak_bytes"].items()}
        logits = 4 * case["nodes"] * case["classes"]
        row = [case["device"], f"{case['nodes']:,}", case["width"], case["anchors"], f"{logits / MIB:.1f}"]
        row += [cell(case, name, used, 1) for name in names]
        rows.append([*row, f"{case['peak_bytes']['folded'] / logits:.2f}"])
    header = ["device", "N", "F", "K", "logits alone", "absolute", "absolute, unit rows given", "project, head"]
    return table([*header, "`RelativeLayer`, head", "latentis, head", "folded", "folded / logits"], rows)


def targets():
    """What was wanted of the folded head and what came out."""
    rows = []
    for row in results("inference")["targets"]:
        met = "yes" if row["met"] else "**no**"
        rows.append([row["what"], f"{row['got']:.2f}", f"{row['rule']} {row['wanted']}", met])
    return table(["what", "measured", "wanted", "met"], rows)


def relative_conv():
    """Time and memory of RelativeConv by edges, beside the dense layer."""
    found, rows = results("inference", "relative_conv"), []
    for device, setting in [(name, one) for name, settings in found["devices"].items() for one in settings]:
        dense = setting["rows"][0]
        for row in setting["rows"]:
            edges = 0 if row["per_node"] is None else found["nodes"] * row["per_node"]
            floats = edges + found["nodes"] * (setting["anchors"] + setting["width"])
            rows.append(
                [
                    device,
                    f"{setting['similarity']}, F={setting['width']}, K={setting['anchors']}",
                    "dense layer" if row["per_node"] is None else row["per_node"],
                    f"{row['ms']:.1f}" if device == "cpu" else f"{row['ms']:.2f}",
                    f"{row['ms'] / dense['ms']:.2f}",
                    f"{row['peak_bytes'] / MIB:.1f}",
                    f"{row['peak_bytes'] / (4 * floats):.1f}",
                ]
            )
    header = ["device", "what", "anchors per node", "ms", "over dense", "memory, MiB", "floats per (E + N K + N F)"]
    return table(header, rows)


def near_anchors():
    """Own and cross-seed accuracy and retention by the anchors that are kept."""
    labels = {"all": "all", "nearest": "{} nearest", "hops": "within {} hops"}
    rows = []
    for name, graph in results("stitching", "near_anchors")["graphs"].items():
        for row in graph["rows"]:
            rows.append(
                [
                    NAMES[name],
                    labels[row["kind"]].format(row["count"]).replace("1 hops", "1 hop"),
                    f"{row['anchors_per_node']:.1f}",
                    f"{row['test_nodes_without']:.2f}",
                    f"{row['shared']:.2f}",
                    f"{row['validation_own']['mean']:.3f} / {row['validation_cross_seed']['mean']:.3f}",
                    interval(row["own"]),
                    f"{row['own_where_joined']['mean']:.3f}",
                    interval(row["cross_seed"]),
                    f"{interval(row['retention'])} ({row['retention']['min']:.3f})",
                    "-" if row["kind"] == "all" else signed(row["own_gain"]),
                    "-" if row["kind"] == "all" else signed(row["retention_gain"]),
                ]
            )
    header = ["graph", "anchors", "per node", "test nodes without", "shared", "validation: own / cross-seed"]
    header += ["own", "own, joined nodes", "cross-seed", "retention (worst)", "own, gain", "retention, gain"]
    return table(header, rows)


def near_anchors_strength():
    """All anchors and the 32 nearest by the strength of regularisation."""
    rows = []
    for name, graph in results("stitching", "near_anchors")["graphs"].items():
        for row in graph["by_strength"]:
            rows.append(
                [
                    NAMES[name],
                    "all" if row["kind"] == "all" else f"{row['count']} nearest",
                    f"{row['strength']:g}",
                    f"{row['validation_own']['mean']:.3f} / {row['validation_cross_seed']['mean']:.3f}",
                    interval(row["own"]),
                    f"{interval(row['cross_seed'])} ({row['cross_seed']['min']:.3f})",
                ]
            )
    return table(["graph", "anchors", "C", "validation: own / cross-seed", "own", "cross-seed (worst)"], rows)


def signed(figure):
    """A difference and its interval."""
    low, high = figure["interval"]
    return f"{figure['mean']:+.3f} [{low:+.3f}, {high:+.3f}]"


TABLES = {
    "inference": inference,
    "inference-memory": memory,
    "inference-summary": summary,
    "inference-targets": targets,
    "near-anchors": near_anchors,
    "near-anchors-strength": near_anchors_strength,
    "relative-conv": relative_conv,
}
