"""The tables of ``ogb/README.md``: stitching on ogbn-arxiv."""

from __future__ import annotations

from formatting import results, table

KMEANS, TRAINING = "k-means medoids of propagated features", "random training nodes"
REFERENCES = ("linear head on the anchors' labels", "linear head on the head's predictions", "class-centroid")
OUTSIDE = ("absolute", "permuted-anchors", *REFERENCES)


def own():
    """Accuracy of the runs themselves, as OGB's leaderboard has it."""
    found = results("ogb")
    rows = [
        [
            kind,
            *(f"{100 * figure[part]['mean']:.2f} ± {100 * figure[part]['std']:.2f}" for part in ("validation", "test")),
        ]
        for kind, figure in found["own"].items()
    ]
    return table(["encoder", "validation", "test"], rows)


def _points(figure):
    return "-" if figure is None else f"{100 * figure['mean']:.2f}"


def stitched(where):
    """Every arm and choice of anchors: losses in points, the worst pair, fidelity."""
    rows = []
    for strategy, found in results("ogb")[where].items():
        arms = dict.fromkeys(row["arm"] for row in found)
        for arm in arms:
            of = {row["across"]: row for row in found if row["arm"] == arm}
            cells = []
            for across in ("seeds", "encoders"):
                row = of[across]
                fidelity = "-" if row["fidelity"] is None else f"{row['fidelity']['mean']:.3f}"
                worst = f"{100 * row['worst']:.2f}" if "worst" in row else "-"
                cells += [_points(row["accuracy"]), _points(row["loss"]), worst, fidelity]
            rows.append([strategy, arm, *cells, f"{of['seeds']['seconds']:.2f}"])
    head = [
        f"{across}: {what}" for across in ("seeds", "encoders") for what in ("accuracy", "loss", "worst", "fidelity")
    ]
    return table(["512 anchors", "arm", *head, "s a pair"], rows)


def numbers():
    """Losses over the number of anchors, across seeds and across encoders."""
    found, rows = results("ogb"), []
    for strategy, counts in found["other_numbers"].items():
        for arm in ("converted, leave-one-out", "converted-kl, not sharpened"):
            cells = []
            for across in ("seeds", "encoders"):
                at = {**counts, "512": found["last"][strategy]}
                for count in ("128", "512", "2048"):
                    row = next(row for row in at[count] if (row["arm"], row["across"]) == (arm, across))
                    cells.append(_points(row["loss"]))
            rows.append([strategy, arm, *cells])
    head = [f"{across}, K={count}" for across in ("seeds", "encoders") for count in (128, 512, 2048)]
    return table(["anchors", "arm", *head], rows)


def choice():
    """Validation accuracy of settings of training, and of constants of conversion."""
    found = results("ogb", "choice")
    rows = [
        [
            row["encoder"],
            row["hidden_channels"],
            row["dropout"],
            row["weight_decay"],
            f"{100 * row['validation']:.2f}",
        ]
        for row in found["grid"]
    ]
    return table(["encoder", "width", "dropout", "weight decay", "validation"], rows)


def constants():
    """Validation accuracy of conversions with other constants."""
    found = results("ogb", "choice")["conversion"]
    rows = [["own models", f"{100 * found['own']:.2f}"]]
    rows += [[row["method"], f"{100 * row['validation']:.2f}"] for row in found["rows"]]
    return table(["conversion", "validation"], rows)


def _best(rows, across):
    """The arm of the least mean loss that is a conversion, and its row."""
    able = [row for row in rows if row["across"] == across and row["arm"] not in OUTSIDE and row["loss"] is not None]
    return min(able, key=lambda row: row["loss"]["mean"])


def targets():
    """What was wanted and what came out."""
    found, rows = results("ogb"), []

    def add(what, got, rule, wanted, digits=2):
        met = got >= wanted if rule == ">=" else got <= wanted
        rows.append([what, f"{got:.{digits}f}", f"{rule} {wanted}", "yes" if met else "**no**"])

    for kind, figure in found["own"].items():
        add(f"{kind}: own accuracy", figure["test"]["mean"], ">=", 0.64, 3)
    free = {name: rows for name, rows in found["last"].items() if name != TRAINING}
    best, where = min(
        ((_best(rows, "seeds"), name) for name, rows in free.items()), key=lambda one: one[0]["loss"]["mean"]
    )
    add(f"last layer, across seeds, {where} ({best['arm']}): loss", 100 * best["loss"]["mean"], "<=", 0.5)
    add("the same: worst pair and draw", 100 * best["worst"], "<=", 2)
    add(
        "the same: fidelity above agreement of two runs",
        best["fidelity"]["mean"] - found["agreement"]["seeds"],
        ">=",
        -0.01,
        3,
    )
    row = _best(found["last"][TRAINING], "seeds")
    add(f"last layer, across seeds, {TRAINING} ({row['arm']}): loss", 100 * row["loss"]["mean"], "<=", 1)
    add("the same: worst pair and draw", 100 * row["worst"], "<=", 2)
    for name, rows_of in found["last"].items():
        row = _best(rows_of, "encoders")
        add(f"last layer, across encoders, {name} ({row['arm']}): loss", 100 * row["loss"]["mean"], "<=", 1.5)
        add("the same: worst pair and draw", 100 * row["worst"], "<=", 2)
    for across in ("seeds", "encoders"):
        row, name = min(
            ((_best(rows_of, across), name) for name, rows_of in found["earlier"].items()),
            key=lambda one: one[0]["loss"]["mean"],
        )
        add(f"one layer earlier, across {across}, {name} ({row['arm']}): loss", 100 * row["loss"]["mean"], "<=", 2)
    add("stitching, minutes", found["seconds"]["stitch"] / 60, "<=", 20, 1)
    add("all, training of every run included, minutes", sum(found["seconds"].values()) / 60, "<=", 60, 1)
    add("memory, GiB", found["peak_gib"], "<=", 8, 1)
    return table(["what", "measured", "wanted", "met"], rows)


TABLES = {
    "ogb-own": own,
    "ogb-last": lambda: stitched("last"),
    "ogb-earlier": lambda: stitched("earlier"),
    "ogb-numbers": numbers,
    "ogb-choice": choice,
    "ogb-constants": constants,
    "ogb-targets": targets,
}
