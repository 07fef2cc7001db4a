"""The tables of ``benchmarks/molecules/README.md``."""

from __future__ import annotations

import statistics

from formatting import interval, results, short, table


def digits_of(dataset):
    """How many digits a metric is shown with."""
    return 4 if dataset["metric"]["direction"] == "higher" else 3


def arms():
    """Every arm on every data set."""
    blocks = []
    for name, dataset in results("molecules")["datasets"].items():
        rows, digits = [], digits_of(dataset)
        for arm, found in dataset["arms"].items():
            kind = "" if found["kind"] == "method" else f" *({found['kind']})*"
            rows.append(
                [
                    f"`{arm}`{kind}",
                    interval(found["cross_seed"], digits),
                    interval(found["cross_encoder"], digits),
                    short(found["retention_cross_seed"]),
                    short(found["retention_cross_encoder"]),
                    interval(found["fidelity_cross_seed"]),
                    interval(found["fidelity_cross_encoder"]),
                ]
            )
        metric, draws = dataset["metric"], dataset["arms"]["permuted-anchors"]["draws"]
        agreement = dataset["reference"]
        header = ["arm", f"{metric['name']}, across seeds", "across encoders", "retention", "across encoders"]
        blocks.append(
            f"### {name}\n\n{table([*header, 'fidelity', 'across encoders'], rows)}\n\n"
            f"Own: {interval(agreement['own'], digits)}. A constant gets {metric['floor']:.{digits}f}; "
            f"permuted anchors, {draws['count']} draws: mean {draws['mean']:.{digits}f}, standard deviation "
            f"{draws['std']:.{digits}f}, best {draws['best']:.{digits}f}. Two own models agree by "
            f"{short(agreement['agreement_cross_seed'])} across seeds and "
            f"{short(agreement['agreement_cross_encoder'])} across encoders. Collapsed runs: {dataset['collapsed']}."
        )
    return "\n\n".join(blocks)


def own():
    """Own metric of every encoder."""
    rows = []
    for name, dataset in results("molecules")["datasets"].items():
        for encoder, values in dataset["own"].items():
            mean, spread = statistics.mean(values), statistics.stdev(values)
            digits = digits_of(dataset)
            rows.append(
                [name, dataset["metric"]["name"], encoder, f"{mean:.{digits}f} ± {spread:.{digits}f}", len(values)]
            )
    return table(["data set", "metric", "encoder", "own, mean ± std", "seeds"], rows)


def targets():
    """What was wanted and what came out."""
    rows = []
    for name, dataset in results("molecules")["datasets"].items():
        for row in dataset["targets"]:
            met = "yes" if row["met"] else "**no**"
            rows.append([name, row["what"], f"{row['got']:.3f}", f"{row['rule']} {row['wanted']:.3f}", met])
    return table(["data set", "what", "measured", "wanted", "met"], rows)


def tried():
    """The metric by number of anchors and way, all ordered pairs: on validation, which chooses, and on test graphs."""
    found = results("molecules", "choice")
    blocks = []
    for name, dataset in found.items():
        counts = list(dict.fromkeys(row["anchors"] for row in dataset["rows"]))
        cells = {
            (row["way"], row["anchors"]): f"{row['validation']:.3f} / {row['test']:.3f}" for row in dataset["rows"]
        }
        ways = list(dict.fromkeys(row["way"] for row in dataset["rows"]))
        rows = [[way, *(cells.get((way, count), "-") for count in counts)] for way in ways]
        own_values = dataset["own"]
        blocks.append(
            f"{name}, {dataset['metric']}, validation / test (own: {own_values['validation']:.3f} / "
            f"{own_values['test']:.3f}):\n\n{table(['way', *(f'{count} anchors' for count in counts)], rows)}"
        )
    return "\n\n".join(blocks)


def times():
    """Seconds of training and stitching."""
    found = results("molecules")["datasets"]
    rows = [[name, f"{one['train_seconds']:.0f}", f"{one['stitch_seconds']:.0f}"] for name, one in found.items()]
    train, stitch = (sum(one[key] for one in found.values()) for key in ("train_seconds", "stitch_seconds"))
    rows.append(["all", f"{train:.0f}", f"{stitch:.0f}"])
    return table(["data set", "training, s", "stitching, s"], rows)


TABLES = {
    "molecules-arms": arms,
    "molecules-own": own,
    "molecules-targets": targets,
    "molecules-times": times,
    "molecules-tried": tried,
}
