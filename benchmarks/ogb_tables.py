"""The tables of ``ogb/README.md``: stitching on ogbn-arxiv."""

from __future__ import annotations

from formatting import results, table

TRAINING = "random training nodes"
# Judged on validation nodes: choose.py. (rbf is as good at the last layer, but meets fewer pairs: it takes long.)
LAST, EARLIER = "converted-kl", "translated by a kernel, then ReLU"


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
        for arm in ("converted, leave-one-out", "converted-kl"):
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
    """Validation accuracy of settings of training."""
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
    found = results("ogb", "choice")["constants"]
    rows = [["own models", f"{100 * found['own']:.2f}", f"{100 * found['own']:.2f}"]]
    rows += [
        [row["method"], *(f"{100 * row[across]:.2f}" for across in ("seeds", "encoders"))] for row in found["rows"]
    ]
    return table(["conversion", "across seeds", "across encoders"], rows)


def earlier():
    """Validation accuracy of the arms one layer earlier."""
    found = results("ogb", "choice")["earlier"]
    rows = [["own models", f"{100 * found['own']:.2f}", f"{100 * found['own']:.2f}"]]
    rows += [[row["arm"], *(f"{100 * row[across]:.2f}" for across in ("seeds", "encoders"))] for row in found["rows"]]
    return table(["arm", "across seeds", "across encoders"], rows)


def stitched_settings():
    """What conversions lose on validation nodes between runs of other settings of training, in points."""
    rows = []
    for row in results("ogb", "choice")["stitched"]:
        lost = [f"{100 * (row['own'] - row[across]):.2f}" for across in ("seeds", "encoders")]
        rows.append([row["dropout"], row["weight_decay"], row["method"], f"{100 * row['own']:.2f}", *lost])
    return table(["dropout", "weight decay", "conversion", "own", "lost across seeds", "lost across encoders"], rows)


def _row(rows, arm, across):
    return next(row for row in rows if (row["arm"], row["across"]) == (arm, across))


def targets():
    """What was wanted of the arms that are judged, and what came out."""
    found, rows = results("ogb"), []

    def add(what, got, rule, wanted, digits=2):
        met = got >= wanted if rule == ">=" else got <= wanted
        rows.append([what, f"{got:.{digits}f}", f"{rule} {round(wanted, 3)}", "yes" if met else "**no**"])

    for kind, figure in found["own"].items():
        add(f"{kind}: own accuracy", figure["test"]["mean"], ">=", 0.64, 3)
    row = _row(found["last"][TRAINING], "absolute", "seeds")
    add("absolute, across seeds: accuracy, against the largest class", row["accuracy"]["mean"], "<=", found["floor"], 3)
    for name, found_rows in found["last"].items():
        row = _row(found_rows, LAST, "seeds")
        add(f"across seeds, {name}: loss", 100 * row["loss"]["mean"], "<=", 1 if name == TRAINING else 0.5)
        add("the same: worst pair and draw", 100 * row["worst"], "<=", 2)
        above = row["fidelity"]["mean"] - found["agreement"]["seeds"]
        add("the same: fidelity above agreement of two runs", above, ">=", -0.01, 3)
        row = _row(found_rows, LAST, "encoders")
        add(f"across encoders, {name}: loss", 100 * row["loss"]["mean"], "<=", 1.5)
        add("the same: worst pair and draw", 100 * row["worst"], "<=", 2)
    for name, found_rows in found["earlier"].items():
        for across in ("seeds", "encoders"):
            row = _row(found_rows, EARLIER, across)
            add(f"one layer earlier, across {across}, {name}: loss", 100 * row["loss"]["mean"], "<=", 2)
    add("stitching, minutes", found["seconds"]["stitch"] / 60, "<=", 20, 1)
    add("all, training of every run included, minutes", sum(found["seconds"].values()) / 60, "<=", 60, 1)
    add("memory, GiB", found["peak_gib"], "<=", 8, 1)
    return table(["what", "measured", "wanted", "met"], rows)


def summary():
    """One line for each data set of OGB: own, stitched, and what a head makes of foreign embeddings as they are."""
    found, lines = results("ogb"), []
    last = found["last"][TRAINING]
    own_accuracy = sum(figure["test"]["mean"] for figure in found["own"].values()) / len(found["own"])

    def percent(arm, across):
        return _points(_row(last, arm, across)["accuracy"])

    lines.append(
        [
            "ogbn-arxiv, structural features",
            "accuracy, %",
            f"{100 * own_accuracy:.1f}",
            f"{percent(LAST, 'seeds')} / {percent(LAST, 'encoders')}",
            percent("absolute", "seeds"),
            percent("permuted-anchors", "seeds"),
        ]
    )
    for name, dataset in results("molecules")["datasets"].items():
        arms, metric = dataset["arms"], dataset["metric"]
        judged, digits = arms["converted-strong"], 3 if metric["direction"] == "higher" else 2
        both = " / ".join(f"{judged[across]['mean']:.{digits}f}" for across in ("cross_seed", "cross_encoder"))
        others = [f"{arms[arm]['cross_seed']['mean']:.{digits}f}" for arm in ("absolute", "permuted-anchors")]
        own_value = dataset["reference"]["own"]["mean"]
        lines.append([name, metric["name"], f"{own_value:.{digits}f}", both, *others])
    head = ["data set", "metric", "own", "converted, across seeds / encoders", "absolute", "permuted anchors"]
    return table(head, lines)


TABLES = {
    "ogb-own": own,
    "ogb-last": lambda: stitched("last"),
    "ogb-earlier": lambda: stitched("earlier"),
    "ogb-numbers": numbers,
    "ogb-choice": choice,
    "ogb-constants": constants,
    "ogb-choice-earlier": earlier,
    "ogb-stitched": stitched_settings,
    "ogb-summary": summary,
    "ogb-targets": targets,
}
