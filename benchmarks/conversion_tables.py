"""The tables of ``stitching/CONVERSIONS.md``: few anchors, many encoders, inner layers, sources that were told less."""

from __future__ import annotations

from formatting import NAMES, interval, results, short, table

LOO = "converted, leave-one-out"


def rows_of(found, **wanted):
    """The rows that have these values."""
    return [row for row in found if all(row.get(key) == value for key, value in wanted.items())]


def row_of(found, **wanted):
    """The one row that has these values, or ``None``."""
    rows = rows_of(found, **wanted)
    return rows[0] if rows else None


def graphs(name, *kinds):
    """What one script found, graph by graph, where it has got that far."""
    found = results("stitching", name)["graphs"]
    for key in NAMES:
        if key in found and all(kind in found[key] for kind in kinds):
            yield key, found[key]


def both(row, first, second):
    """Two figures of a row in one cell."""
    return "-" if row is None or row[first] is None else f"{short(row[first])} / {short(row[second])}"


def choice():
    """Mean fidelity on validation nodes by method and constant."""
    found = results("stitching", "choice")["graphs"]
    names = list(found["cora"]["mean"])
    header = ["graph", *names]
    rows = [[NAMES[key], *(f"{one['mean'][name]:.4f}" for name in names)] for key, one in found.items()]
    return table(header, rows)


def anchor_space():
    """Mean fidelity on validation nodes by the features that k-means looks at."""
    rows = []
    for key, found in results("stitching", "anchor_space")["graphs"].items():
        for row in found:
            cells = [f"{value:.3f}" for value in row["fidelity"].values()]
            rows.append([NAMES[key], row["features"], *cells, f"{row['mean']:.3f}"])
    counts = results("stitching", "anchor_space")["graphs"]["cora"][0]["fidelity"]
    return table(["graph", "features", *(f"K={count}" for count in counts), "mean"], rows)


def few_anchors_by_strategy():
    """Retention and fidelity of linear conversion, one row for each strategy."""
    blocks = []
    for key, one in graphs("few_anchors"):
        counts = sorted({row["anchors"] for row in one["rows"]} - {0})
        rows = []
        for strategy in dict.fromkeys(row["strategy"] for row in one["rows"] if row["anchors"]):
            cells = [
                both(row_of(one["rows"], strategy=strategy, anchors=count, method=LOO), "retention", "fidelity")
                for count in counts
            ]
            rows.append([strategy + (" *(labels)*" if strategy == "class-stratified" else ""), *cells])
        centroid = row_of(one["rows"], method="class-centroid")
        blocks.append(
            f"**{NAMES[key]}** (own {one['own']:.3f}; two own models agree on {one['agreement']:.3f}; class-centroid "
            f"{both(centroid, 'retention', 'fidelity')})\n\n{table(['anchors', *counts], rows)}"
        )
    return "\n\n".join(blocks)


def few_anchors_by_method():
    """Every method on random and on k-means anchors: retention, worst pair, fidelity, decisive fidelity."""
    rows = []
    for key, one in graphs("few_anchors"):
        for method in ("absolute", "class-centroid"):
            row = row_of(one["rows"], method=method)
            rows.append([NAMES[key], "-", "-", method, *_retained(row)])
        for count in (16, 32, 128):
            for row in sorted(rows_of(one["rows"], anchors=count), key=lambda row: row["strategy"] != "random"):
                if row["strategy"] in ("random", "kmeans"):
                    rows.append([NAMES[key], count, row["strategy"], row["method"], *_retained(row)])
    header = ["graph", "anchors", "chosen by", "method", "pairs", "retention", "worst pair", "fidelity"]
    return table([*header, "decisive fidelity"], rows)


def _retained(row):
    return [
        row["retention"]["n"],
        interval(row["retention"]),
        short(row["retention"], "min"),
        interval(row["fidelity"]),
        interval(row["decisive"]),
    ]


def encoders(study="encoders"):
    """Across encoders (or widths): every arm's retention, worst pair and fidelity."""
    rows = []
    for key, one in graphs("encoders", study):
        for arm, found in one[study]["arms"].items():
            across = found["across"]
            if across["retention"] is None:
                rows.append([NAMES[key], arm, "-", "-", "-", "-", "-"])
                continue
            cells = {pair: cell["mean"] for pair, cell in found["cells"].items() if _differ(pair)}
            least = min(cells, key=cells.get)
            rows.append(
                [
                    NAMES[key],
                    arm,
                    interval(across["retention"]),
                    f"{cells[least]:.3f} ({least})",
                    short(across["retention"], "min"),
                    interval(across["fidelity"]),
                    interval(across["decisive"]),
                ]
            )
    header = ["graph", "arm", "retention", "least mean of a pair of kinds", "worst single pair", "fidelity", "decisive"]
    return table(header, rows)


def _differ(pair):
    source, target = pair.split(" > ")
    return source != target


def widths():
    """The same for widths."""
    return encoders("widths")


def encoder_cells():
    """Mean retention of leave-one-out conversion for every ordered pair of encoders."""
    blocks = []
    for key, one in graphs("encoders", "encoders"):
        own, cells = one["encoders"]["own"], one["encoders"]["arms"][LOO]["cells"]
        rows = [
            [f"{source} (own {own[source]:.3f})", *(f"{cells[f'{source} > {target}']['mean']:.3f}" for target in own)]
            for source in own
        ]
        blocks.append(f"**{NAMES[key]}**\n\n" + table(["source, head of", *own], rows))
    return "\n\n".join(blocks)


def layers():
    """Behind layer 1: accuracy and fidelity within a kind, retention across kinds."""
    rows = []
    for case, words in (("2", "two layers"), ("3", "three layers")):
        for key, one in graphs("layers", case):
            own = one[case]["own"]
            for name, found in one[case]["maps"].items():
                rows.append(
                    [
                        NAMES[key],
                        words,
                        name,
                        f"{short(found['gcn']['accuracy'])} of {own['gcn']:.3f}",
                        short(found["gcn"]["fidelity"]),
                        f"{short(found['sage']['accuracy'])} of {own['sage']:.3f}",
                        short(found["sage"]["fidelity"]),
                        interval(found["across"]["retention"]),
                        short(found["across"]["fidelity"]),
                    ]
                )
    header = [
        "graph", "networks", "translation", "gcn to gcn: accuracy", "fidelity", "sage to sage: accuracy", "fidelity",
        "across: retention", "fidelity",
    ]  # fmt: skip
    return table(header, rows)


def layers_untold():
    """Behind layer 1, sources trained on two superclasses."""
    found = list(graphs("layers", "superclasses"))
    names = list(found[0][1]["superclasses"]["maps"])
    rows = [
        [name, *(f"{interval(one['superclasses']['maps'][name]['within']['accuracy'])}" for _, one in found)]
        for name in names
    ]
    header = ["translation", *(f"{NAMES[key]} (own {one['superclasses']['own']['gcn']:.3f})" for key, one in found)]
    return table(header, rows)


def untold(kind="superclasses"):
    """What sources that were told less keep of the accuracy of the head's own model."""
    blocks = []
    for key, one in graphs("untold", kind):
        found = one[kind]["rows"]
        counts = sorted({row["anchors"] for row in found} - {0})
        rows = []
        for method in ("absolute", "class-centroid", "linear probe"):
            rows.append([f"{method} *(no anchors)*", "-", *[short(row_of(found, method=method)["kept"])] * len(counts)])
        for strategy in dict.fromkeys(row["strategy"] for row in found if row["anchors"]):
            for method in dict.fromkeys(row["method"] for row in found if row["anchors"]):
                cells = [
                    short((row_of(found, strategy=strategy, anchors=count, method=method) or {"kept": None})["kept"])
                    for count in counts
                ]
                rows.append([method, strategy, *cells])
        blocks.append(
            f"**{NAMES[key]}** (the head's own model: {one[kind]['own']:.3f})\n\n"
            + table(["method", "anchors chosen by", *(f"K={count}" for count in counts)], rows)
        )
    return "\n\n".join(blocks)


def untold_outside():
    """What is kept on all test nodes and on those that are no anchors, many random anchors."""
    rows = []
    for key, one in graphs("untold", "superclasses"):
        for row in rows_of(one["superclasses"]["rows"], strategy="random", anchors=512):
            if "kept outside" in row:
                rows.append([NAMES[key], row["method"], short(row["kept"]), short(row["kept outside"])])
    return table(["graph", "method, 512 random anchors", "kept, all test nodes", "kept, no anchors among them"], rows)


def untold_half():
    """The same for half of the classes."""
    return untold("half")


def tasks():
    """R2 of regression heads: own, and stitched over the number of anchors."""
    rows = []
    for key, one in graphs("tasks"):
        for task, found in one.items():
            by_count = {row["anchors"]: row for row in found["rows"]}
            rows.append(
                [
                    NAMES[key],
                    task,
                    short(found["own"]),
                    *(short(row["converted"]) for row in by_count.values()),
                    f"{by_count[128]['converted']['mean'] / found['own']['mean']:.3f}",
                    short(by_count[128]["procrustes"]),
                    short(by_count[128]["nearest anchor"]),
                    short(by_count[128]["permuted-anchors"]),
                    short(found["class means"]),
                ]
            )
    counts = [row["anchors"] for row in rows_of(next(graphs("tasks"))[1]["log-degree"]["rows"])]
    header = ["graph", "task", "own", *(f"K={count}" for count in counts), "K=128 of own", "procrustes, K=128"]
    return table([*header, "nearest anchor, K=128", "permuted, K=128", "class means"], rows)


def unseen():
    """Retention on nodes that were added later, beside that on test nodes that were there."""
    rows = []
    for key, one in graphs("unseen"):
        for row in one["summary"]:
            rows.append(
                [
                    NAMES[key],
                    row["nodes"],
                    row["arm"],
                    row["across"],
                    f"{row['own']:.3f}",
                    f"{row['stitched over own']:.3f}",
                    f"{row['retention']:.3f} ({row['range'][0]:.3f} to {row['range'][1]:.3f})",
                    f"{row['worst']:.3f}",
                    f"{row['fidelity']:.3f}",
                ]
            )
    header = ["graph", "nodes", "arm", "across", "own", "stitched / own of the head", "retention (range over cuts)"]
    return table([*header, "worst pair", "fidelity"], rows)


def photo():
    """Random splits of Photo."""
    rows = []
    for row in results("stitching", "photo")["summary"]:
        if " > " not in row["across"]:
            rows.append(
                [
                    row["anchors"],
                    row["arm"],
                    row["across"],
                    interval(row["retention"]),
                    f"{row['worst']:.3f}",
                    interval(row["fidelity"]),
                    interval(row["decisive"]),
                ]
            )
    return table(["anchors", "arm", "across", "retention", "worst pair", "fidelity", "decisive fidelity"], rows)


def photo_cells():
    """Mean and least retention of every ordered pair of kinds on random splits of Photo."""
    rows, kinds = [], results("stitching", "photo")["encoders"]
    for arm, count in (("converted, leave-one-out", 128), ("converted-kl", 512)):
        found = {
            row["across"]: f"{row['retention']['mean']:.3f} ({row['worst']:.3f})"
            for row in results("stitching", "photo")["summary"]
            if (row["arm"], row["anchors"]) == (arm, count)
        }
        rows += [[f"{arm}, {count}", a, *(found[f"{a} > {b}"] for b in kinds)] for a in kinds]
    return table(["by", "source / head", *kinds], rows)


TABLES = {
    "anchor-space": anchor_space,
    "conversion-choice": choice,
    "few-anchors-strategies": few_anchors_by_strategy,
    "few-anchors-methods": few_anchors_by_method,
    "encoders": encoders,
    "encoder-cells": encoder_cells,
    "widths": widths,
    "layers": layers,
    "layers-untold": layers_untold,
    "untold": untold,
    "untold-half": untold_half,
    "untold-outside": untold_outside,
    "tasks": tasks,
    "unseen": unseen,
    "photo": photo,
    "photo-cells": photo_cells,
}
