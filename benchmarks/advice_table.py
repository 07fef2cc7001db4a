"""The main table of the README: which method to use when, with the number that says so."""

from __future__ import annotations

from conversion_tables import LOO, graphs, row_of
from formatting import NAMES, results, table

RIVAL = "least squares on predictions"


def each(name, value, *kinds, only=("cora", "citeseer", "pubmed")):
    """One number for each graph, in words."""
    return ", ".join(f"{NAMES[key]} {value(one):.3f}" for key, one in graphs(name, *kinds) if key in only)


def few(strategy, count, what, method=LOO):
    """A figure of few anchors."""
    return lambda one: row_of(one["rows"], strategy=strategy, anchors=count, method=method)[what]["mean"]


def less(method, count, strategy="random"):
    """What a source that was told two superclasses keeps."""

    def value(one):
        rows = one["superclasses"]["rows"]
        return row_of(rows, method=method, anchors=count, strategy=strategy)["kept"]["mean"]

    return value


def advice():
    """At most ten rows."""
    rows = [
        [
            "same graph, other seed, 32 anchors or more",
            '`convert(head, space, shrinkage="loo")`: linear, a closed form',
            f"retention, 32 random anchors: {each('few_anchors', few('random', 32, 'retention'))}",
        ],
        [
            "few anchors",
            'the same, anchors by `AddAnchors(k, "kmeans")`',
            f"decisive fidelity, 16 anchors: {each('few_anchors', few('kmeans', 16, 'decisive'))} (random: "
            f"{each('few_anchors', few('random', 16, 'decisive'))}; Procrustes, k-means: "
            f"{each('few_anchors', few('kmeans', 16, 'decisive', 'procrustes'))})",
        ],
        [
            "another architecture or width",
            "the same, as many anchors as the space is wide or more",
            "retention across five encoders: "
            + each("encoders", lambda one: one["encoders"]["arms"][LOO]["across"]["retention"]["mean"], "encoders"),
        ],
        [
            "the source was never told what the head knows",
            '`method="kl"`, 128 anchors or more',
            f"kept, 128 anchors: {each('untold', less('converted-kl', 128), 'superclasses')} (linear: "
            f"{each('untold', less(LOO, 128), 'superclasses')}; Procrustes: "
            f"{each('untold', less('procrustes', 128), 'superclasses')}); 512: "
            f"{each('untold', less('converted-kl', 512), 'superclasses')} (least squares on the head's decisions "
            f"alone: {each('untold', less(RIVAL, 512), 'superclasses')})",
        ],
        [
            "many classes, and nodes with very many neighbours",
            '`method="kl"`, 512 anchors',
            f"points of accuracy lost on ogbn-arxiv, across seeds / encoders: {_lost('converted-kl')} (linear: "
            f"{_lost('converted, leave-one-out')}; Procrustes: {_lost('procrustes')})",
        ],
        [
            "a head that passes messages, or is not linear",
            "`translate_then`, `rg.stitch(a, b, data, at=1)`",
            "stitched accuracy behind layer 1 of two: "
            + each("layers", lambda one: one["2"]["maps"]["ridge-affine"]["gcn"]["accuracy"]["mean"], "2")
            + " (own: "
            + each("layers", lambda one: one["2"]["own"]["gcn"], "2")
            + ")",
        ],
        [
            "a head of another task",
            "linear, leave-one-out",
            "R2 of log-PageRank over own, 128 anchors: " + each("tasks", _pagerank),
        ],
        [
            "nodes that come later",
            "linear; anchors and centre of the training graph",
            "stitched over own on added nodes: " + each("unseen", lambda one: one["summary"][0]["stitched over own"]),
        ],
        [
            "serving a relative head",
            "`fold`",
            _folded(),
        ],
        [
            "only accuracy counts, and labels are at hand",
            "no foreign head at all: nearest class mean",
            "its retention: "
            + each("few_anchors", lambda one: row_of(one["rows"], method="class-centroid")["retention"]["mean"])
            + "; its decisive fidelity: "
            + each("few_anchors", lambda one: row_of(one["rows"], method="class-centroid")["decisive"]["mean"]),
        ],
    ]
    return table(["when", "use", "because"], rows)


def _lost(arm):
    rows = results("ogb")["last"]["random training nodes"]
    lost = {row["across"]: 100 * row["loss"]["mean"] for row in rows if row["arm"] == arm}
    return f"{lost['seeds']:.2f} / {lost['encoders']:.2f}"


def _pagerank(one):
    found = one["log-PageRank"]
    return row_of(found["rows"], anchors=128)["converted"]["mean"] / found["own"]["mean"]


def _folded():
    cases = [case for case in results("inference")["cases"] if (case["device"], case["anchors"]) == ("cpu", 512)]
    faster = [case["ms"]["project"] / case["ms"]["folded"] for case in cases]
    beside = [case["ms"]["folded"] / case["ms"]["absolute"] for case in cases]
    return (
        f"512 anchors, 10,000 to 1,000,000 nodes: {min(faster):.1f} to {max(faster):.1f} times as fast as projecting "
        f"first, {min(beside):.2f} to {max(beside):.2f} times the time of an absolute head on normalised embeddings"
    )
