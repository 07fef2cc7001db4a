"""Write the tables of the README files from the ``results.json`` files; with ``--check``, say whether they agree.

    python benchmarks/tables.py [--check]

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. A test runs the check, so that no number in a
README is one that nobody measured.
"""

from __future__ import annotations

import re
import sys

import conversion_tables
import inference_tables
import molecule_tables
import ogb_tables
from advice_table import advice
from conversion_targets import targets
from formatting import NAMES, ROOT, interval, results, short, table


def stitching_summary():
    """One row for each arm, the three graphs beside each other: retention, worst pair and fidelity across seeds."""
    found = results("stitching")["datasets"]
    header = ["arm", "trains"]
    for name in found:
        header += [f"{NAMES[name]}: retention (worst)", "fidelity (decisive)"]
    rows = []
    for arm, first in next(iter(found.values()))["arms"].items():
        kind = "" if first["kind"] == "method" else f" *({first['kind']})*"
        row = [f"`{arm}`{kind}", first["trains"]]
        for dataset in found.values():
            figures = dataset["arms"][arm]
            row.append(f"{short(figures['retention_cross_seed'])} ({short(figures['retention_cross_seed'], 'min')})")
            row.append(f"{short(figures['fidelity_cross_seed'])} ({short(figures['decisive_fidelity_cross_seed'])})")
        rows.append(row)
    return table(header, rows)


def stitching_full():
    """Every figure of every arm, one table for each graph."""
    blocks = []
    for name, dataset in results("stitching")["datasets"].items():
        robust = dataset["robustness"]
        header = [
            "arm",
            "own",
            "collapsed",
            "cross-seed",
            "worst pair",
            "retention",
            "worst",
            "cross-encoder retention",
            "worst",
            "fidelity",
            "decisive fidelity",
        ]
        rows = []
        for arm, figures in dataset["arms"].items():
            kind = "" if figures["kind"] == "method" else f" *({figures['kind']})*"
            rows.append(
                [
                    f"`{arm}`{kind}",
                    interval(figures["own"]),
                    "-" if figures["own"] is None else figures["collapsed"],
                    interval(figures["cross_seed"]),
                    short(figures["cross_seed"], "min"),
                    interval(figures["retention_cross_seed"]),
                    short(figures["retention_cross_seed"], "min"),
                    interval(figures["retention_cross_encoder"]),
                    short(figures["retention_cross_encoder"], "min"),
                    interval(figures["fidelity_cross_seed"]),
                    interval(figures["decisive_fidelity_cross_seed"]),
                ]
            )
        kappa = dataset["arms"]["permuted-anchors"]["kappa"]
        blocks.append(
            f"### {NAMES[name]}\n\n{table(header, rows)}\n\n"
            f"Two own models agree on {1 - robust['disagreement']['mean']:.3f} of the test nodes "
            f"(accuracy's standard deviation over seeds: {robust['accuracy_std']:.4f}; "
            f"linear CKA of two seeds' spaces {robust['linear_cka']:.3f}; "
            f"mean cosine of matched embeddings {robust['absolute_similarity']:.3f}, "
            f"of matched relative vectors {robust['relative_similarity']:.3f}). "
            f"Permuted anchors: Cohen's kappa {kappa['mean']:.3f} on average over {kappa['draws']} draws "
            f"(standard deviation {kappa['std']:.3f}, largest {kappa['max_abs']:.3f})."
        )
    return "\n\n".join(blocks)


def stitching_encoders():
    """Own and stitched accuracy of every encoder."""
    rows = []
    for name, dataset in results("stitching")["datasets"].items():
        arms = dataset["arms"]
        for encoder in arms["absolute"]["per_encoder"]:
            row = [NAMES[name], encoder]
            for arm in ("absolute", "converted", "relative-cosine"):
                figures = arms[arm]["per_encoder"][encoder]
                row += [interval(figures["own"]), interval(figures["cross_seed"])]
            rows.append(row)
    header = ["graph", "encoder", "absolute own", "absolute stitched", "converted own", "converted stitched"]
    return table([*header, "relative-cosine own", "relative-cosine stitched"], rows)


def stitching_targets():
    """What was wanted and what came out."""
    rows = []
    for name, dataset in results("stitching")["datasets"].items():
        for row in dataset["targets"]:
            met = "yes" if row["met"] else "**no**"
            rows.append([NAMES[name], row["what"], f"{row['got']:.4f}", f"{row['rule']} {row['wanted']:.4f}", met])
    return table(["graph", "what", "measured", "wanted", "met"], rows)


def stitching_control():
    """Cohen's kappa of the control, by both readings."""
    found = results("stitching", "control")
    rows = [
        [
            NAMES[row["dataset"]],
            f"{row['mean']:.3f}",
            f"{row['mean_abs']:.3f}",
            f"{row['std']:.3f}",
            f"{row['max_abs']:.3f}",
            row["draws"],
            "yes" if row["mean_abs"] <= found["wanted"] else "**no**",
        ]
        for row in found["rows"]
    ]
    return table(
        ["graph", "mean kappa", "mean of its size", "std", "largest size", "draws", "mean of its size <= 0.05"], rows
    )


def stitching_shrinkage():
    """GraphSAGE on CiteSeer by shrinkage, anchor draw and number of anchors."""
    found = results("stitching", "shrinkage")
    rows = [
        [
            row["anchors"],
            row["strategy"],
            row["anchor_seed"],
            row["shrinkage"],
            f"{row['mean']:.4f}",
            f"{row['worst']:.4f}",
            f"{row['pairs_below']} of {row['pairs']}",
        ]
        for row in found["rows"]
    ]
    return table(["anchors", "strategy", "draw", "shrinkage", "retention", "worst pair", "pairs below 0.97"], rows)


def training_summary():
    """Milliseconds for each seed and epoch, public split."""
    found = results("training")
    rows = []
    for case in found["cases"]:
        if case["split"] == "public":
            rows.append(
                [
                    NAMES[case["dataset"]],
                    "yes" if case["input_dropout"] else "no",
                    f"{case['plain_ms']:.1f}",
                    f"{case['ours_ms']:.2f}",
                    f"{case['ratio']:.0f}x",
                    f"{case['plain_accuracy']['mean']:.3f}",
                    f"{case['ours_accuracy']['mean']:.3f}",
                ]
            )
    header = [
        "graph",
        "input dropout",
        "PyG loop, ms",
        "relgraph, ms",
        "ratio",
        "accuracy, PyG loop",
        "accuracy, relgraph",
    ]
    ratio = found["geometric_mean_ratio_public"]
    return table(header, rows) + (
        f"\n\nGeometric mean: {ratio['with_input_dropout']:.0f}x with input dropout, "
        f"{ratio['without_input_dropout']:.0f}x without."
    )


def training_choice():
    """The best of the grid beside the published settings."""
    found = results("training", "choice")
    names = ("lr", "weight_decay", "head_weight_decay", "dropout", "input_dropout")
    rows = []
    for label, place in (("first", 1), ("published", found["cora"]["rank_of_published"])):
        one, other = found["cora"][label], found["citeseer"][label]
        rows.append(
            [
                label,
                f"{place} of {len(found['tried'])}",
                *(one[name] for name in names),
                f"{one['mean']:.4f} (error {one['error']:.4f})",
                f"{other['mean']:.4f} (error {other['error']:.4f})",
            ]
        )
    header = ["settings", "rank on Cora", *names, "validation, Cora", "validation, CiteSeer (fresh seeds)"]
    return table(header, rows)


def training_full():
    """Everything measured of the training time."""
    rows = []
    for case in results("training")["cases"]:
        memory = case.get("memory_mb")
        rows.append(
            [
                NAMES[case["dataset"]],
                case["split"],
                case["input_dropout"],
                f"{case['plain_ms']:.1f}",
                f"{case['plain_sparse_ms']:.1f}",
                f"{case['ours_alone_ms']:.2f}",
                f"{case['ours_ms']:.2f}",
                f"{case['ratio']:.1f}x",
                interval(case["plain_accuracy"], 4),
                interval(case["ours_accuracy"], 4),
                f"{memory['plain']:.0f}" if memory else "-",
                f"{memory['ours']:.0f}" if memory else "-",
            ]
        )
    header = [
        "graph",
        "split",
        "input dropout",
        "PyG loop, ms",
        "PyG loop, sparse features, ms",
        "relgraph, one seed, ms",
        "relgraph, ten seeds, ms",
        "ratio",
        "accuracy, PyG loop",
        "accuracy, relgraph",
        "memory, PyG loop, MB",
        "memory, relgraph, MB",
    ]
    return table(header, rows)


TABLES = {
    "stitching": stitching_summary,
    "stitching-control": stitching_control,
    "stitching-encoders": stitching_encoders,
    "stitching-full": stitching_full,
    "stitching-shrinkage": stitching_shrinkage,
    "stitching-targets": stitching_targets,
    "training": training_summary,
    "training-choice": training_choice,
    "training-full": training_full,
    "advice": advice,
    "conversion-targets": targets,
    **conversion_tables.TABLES,
    **inference_tables.TABLES,
    **ogb_tables.TABLES,
    **molecule_tables.TABLES,
}


def filled(text):
    """The text with every table as the results say; one without results says so."""

    def table_of(found):
        try:
            body = TABLES[found[1]]()
        except FileNotFoundError:
            body = "*Not measured yet.*"
        return f"<!-- table: {found[1]} -->\n\n{body}\n\n<!-- end -->"

    return re.sub(r"<!-- table: ([a-z-]+) -->\n.*?<!-- end -->", table_of, text, flags=re.DOTALL)


def main(check):
    """Fill in the tables, or compare; returns the exit status."""
    status = 0
    for path in (ROOT / "README.md", *sorted((ROOT / "benchmarks").glob("*/*.md"))):
        text = path.read_text(encoding="utf-8")
        new = filled(text)
        if check and new != text:
            print(f"{path.relative_to(ROOT)} differs from results.json; run python benchmarks/tables.py")
            status = 1
        elif not check:
            path.write_text(new, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
