"""What an old head is worth after the graph has grown: every way to go on, on nodes that it knew and on new ones.

    python -m benchmarks.versions.run --data-root DIR

A consumer has a head of the encoder of an old release. The encoder is trained anew on a later release. Accuracy on test
nodes of the old release and on test nodes that were added, and the share of the old test nodes whose answer differs
from that of the old model on the old graph (``changed``) and on the later one (``changed_now``), for each arm:

* ``retrained-all``: new encoder and new head, trained on the labels of the later release.
* ``retrained``: new encoder, a new linear head trained on the old release's labels (the consumer's own).
  ``retrained-adjusted``: the same, adjusted to the class shares of the new nodes.
* ``kl``, ``ridge``, ``kernel-ridge``, ``procrustes``: the old head converted (or the space translated) from random old
  anchors, with its outputs as of the old release; no label. ``permuted-anchors``: ``kl`` with permuted outputs.
* ``kl-adjusted``: ``kl``, adjusted to the class shares of the new nodes. ``kl-aided``: the same, smoothed with the old
  answers of the neighbors.
* ``kl-now``: ``kl`` with the outputs of the old model on the later graph, where features mean the same. ``kl-now-all``:
  the same from all nodes of the old release.
* ``kl-now-blended``, ``kl-now-all-blended``, ``retrained-blended``: the mean of the probabilities of that arm and of
  those of the old model on the later graph.
* ``kl-lasting``: ``kl`` from anchors whose neighborhood changed least. ``kl-lasting-aided``: the same, adjusted and
  smoothed (with the outputs of ``kl-now`` it was no better on validation nodes of 2014 and 2016).
* ``mixed-lasting``, ``mixed-lasting-aided``, ``mixed-all-lasting-aided``: the mean of the logits of ``kl-lasting`` and
  of the old head behind a rotation (``procrustes``), for which the old table is needed as well.
* ``kl-all``, ``ridge-all``, ``procrustes-all``: from all nodes of the old release. ``kl-all-lasting``: from the quarter
  of them that changes least; ``-aided`` as above.
* ``distilled``: logistic regression on the old head's decisions on all old training nodes.
* ``kept``: the old encoder and head on the later graph; ``kept-translated``: the same on features that are translated
  to the old ones.
* ``stale``: the old vectors and head; a new node has the mean vector of its neighbors.
* ``stale-answers``: the old answers; a new node has the mean probabilities of its neighbors.
* ``absolute``: the old head on the new encoder's embeddings.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

import relgraph as rg
from benchmarks.study import Row, Study
from benchmarks.versions.graphs import WAYS, YEARS, Release, old_test, releases, trained
from relgraph.anchors import AnchorSet, PublishedHead, lasting_nodes, shared_ids
from relgraph.maps import fit_map
from relgraph.stitching import Run
from relgraph.training import fit_linear_head
from relgraph.versions import adjust_priors, blend, mixed_head, smooth

LATER = 5  # the first seed of the later runs on small graphs
METHODS = ("kl", "ridge", "procrustes")
SMALL, LARGE = (32, 128, 512), (512, 2048)


@dataclass(frozen=True, eq=False)
class Upgrade:
    """An old run and a new one, and what passes between them.

    Args:
        old, new: The releases.
        before, after: The runs.
    """

    old: Release
    new: Release
    before: Run
    after: Run

    @cached_property
    def then(self) -> Tensor:
        """The old head's outputs on the old release, ``(n, C)``."""
        return torch.as_tensor(self.before.head(self.before.z))

    @cached_property
    def walk(self) -> csr_array:
        """The mean over the neighbors in the later graph, ``(N, N)``."""
        source, target = self.new.problem.data.edge_index.numpy()
        share = 1 / np.bincount(target, minlength=self.new.num_nodes).clip(1)
        return csr_array((share[target], (target, source)), shape=(self.new.num_nodes,) * 2)

    def around(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of the values of known neighbors ``(N, D)``, and which nodes have some ``(N,)``."""
        share = torch.from_numpy(self.walk @ known.double().numpy())
        mean = torch.from_numpy(self.walk @ (values * known.unsqueeze(1)).double().numpy())
        return (mean / share.clamp(min=1e-12).unsqueeze(1)).float(), share > 0

    def from_neighbors(self, values: Tensor) -> Tensor:
        """Values ``(n, D)`` of the old nodes, and the mean of those of the known neighbors for others, ``(N, D)``.

        A node without known neighbors gets that of neighbors that were given one, or the mean of all.
        """
        found = values.mean(dim=0).repeat(self.new.num_nodes, 1)
        found[: len(values)] = values
        known = torch.arange(self.new.num_nodes) < len(values)
        for _ in range(3):
            mean, some = self.around(found, known)
            found[some & ~known] = mean[some & ~known]
            known = known | some
        return found

    @cached_property
    def kept(self) -> Tensor:
        """Outputs of the old model on the later graph, ``(N, C)``."""
        model = self.before.trained.model  # type: ignore[union-attr]
        return torch.as_tensor(model.predict(self.new.problem.data))

    @cached_property
    def kept_translated(self) -> Tensor:
        """The same on the later features, translated to the old ones by the nodes of the old release."""
        x, y = self.new.problem.data.x, self.old.problem.data.x
        rows = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))[:8192]
        one, other = AnchorSet.from_rows(x[: len(y)], rows), AnchorSet.from_rows(y, rows)
        data = self.new.problem.data.clone()
        data.x = rg.translate(one, other)(x)
        return torch.as_tensor(self.before.trained.model.predict(data))  # type: ignore[union-attr]

    def space(self, rows: Tensor) -> AnchorSet:
        """What the new run publishes of old rows: its space, centered over the old nodes."""
        return AnchorSet.from_rows(self.after.z, rows, center_over=torch.arange(self.old.num_nodes))

    def head(self, rows: Tensor) -> PublishedHead:
        """What the old run published of its rows: its head's outputs then."""
        return rg.publish(self.before.head, AnchorSet.from_rows(self.before.z, rows))

    def pieces(self, rows: Tensor, outputs: Tensor | None = None) -> tuple[AnchorSet, PublishedHead]:
        """The new space and the old head of old rows, with these outputs ``(N, C)`` in place of its own."""
        if outputs is None:
            return self.space(rows), self.head(rows)
        return self.space(rows), PublishedHead(rows, outputs[rows], outputs[: self.old.num_nodes].mean(dim=0))

    def converted(self, method: str, rows: Tensor, outputs: Tensor | None = None) -> Tensor:
        """Outputs of the converted head on all nodes of the later release, ``(N, C)``."""
        space, head = self.pieces(rows, outputs)
        if method in ("procrustes", "orthogonal"):
            translation = fit_map(space, AnchorSet.from_rows(self.before.z, rows), method)[0]
            return torch.as_tensor(self.before.head(translation(self.after.z)))
        return torch.as_tensor(fit_map(space, head, method)[0](self.after.z))

    def mixed(self, rows: Tensor) -> Tensor:
        """Outputs of the mean of the head converted by ``kl`` and of the old head behind a rotation."""
        before = AnchorSet.from_rows(self.before.z, rows)
        return torch.as_tensor(mixed_head(*self.pieces(rows), before, self.before.head)(self.after.z))

    def random(self, count: int, draw: int) -> Tensor:
        """Random nodes of the old release."""
        generator = torch.Generator().manual_seed(draw)
        return torch.randperm(self.old.num_nodes, generator=generator)[:count]

    def lasting(self, count: int, draw: int) -> Tensor:
        """Random old nodes among those that change least from release to release."""
        graphs = [self.old.problem.data, self.new.problem.data]
        ids = rg.AddAnchors.from_versions(graphs, count, seed=draw).ids
        return shared_ids(ids, self.old.problem.ids)[1]

    def steady(self) -> Tensor:
        """All old nodes of the quarter that changes least."""
        ids = lasting_nodes([self.old.problem.data, self.new.problem.data])
        return shared_ids(ids[: len(ids) // 4], self.old.problem.ids)[1]

    def refitted(self) -> Tensor:
        """Outputs of a linear head trained on the new embeddings with the old release's labels."""
        return _refitted(self.old, self.after)

    def distilled(self) -> Tensor:
        """Outputs of a linear head trained on the old head's decisions on the old training nodes."""
        problem, y = self.old.problem, self.then.argmax(dim=1)
        z = self.after.z[: self.old.num_nodes]
        head = fit_linear_head(z, y, problem.train, problem.validation, problem.num_outputs)
        return torch.as_tensor(head(self.after.z))

    def aided(self, outputs: Tensor, known: Tensor) -> Tensor:
        """Outputs adjusted to the class shares of new nodes, and smoothed with known answers of old neighbors."""
        return smooth(self.adjusted(outputs), self.new.problem.data.edge_index, known)

    def adjusted(self, outputs: Tensor) -> Tensor:
        """Outputs adjusted to the class shares of new nodes."""
        return adjust_priors(outputs, torch.arange(self.old.num_nodes, self.new.num_nodes))


@lru_cache(maxsize=16)
def _refitted(old: Release, after: Run) -> Tensor:
    problem, z = old.problem, after.z[: old.num_nodes]
    head = fit_linear_head(z, problem.y, problem.train, problem.validation, problem.num_outputs)
    return torch.as_tensor(head(after.z))


def upgrades(options: argparse.Namespace, cell: Row) -> list[Upgrade]:
    """The old and new runs of a cell; of ogbn-arxiv one pair, of small graphs one for each seed."""
    found = releases(cell["graph"], options.data_root, cell["cut"])
    old, new = found[cell["old"]], found[cell["new"]]
    if cell["graph"] in WAYS:
        seeds = [(old.number, new.number)]
    else:
        seeds = [(seed, LATER + seed) for seed in range(options.seeds)]
    before = trained(old, cell["encoder"], tuple(one for one, _ in seeds), options.epochs)
    after = trained(new, cell["encoder"], tuple(other for _, other in seeds), options.epochs)
    return [Upgrade(old, new, one, other) for one, other in zip(before, after, strict=True)]


def arms(upgrade: Upgrade, counts: Iterable[int], draws: int, graph: str) -> Iterator[tuple[str, int, int, Tensor]]:
    """Name, number of anchors, draw and outputs ``(N, C)`` of every arm."""
    comparable = graph != "arxiv-anew"  # features mean the same in both releases
    yield "retrained-all", 0, 0, torch.as_tensor(upgrade.after.head(upgrade.after.z))
    refitted = upgrade.refitted()
    yield "retrained", 0, 0, refitted
    yield "retrained-adjusted", 0, 0, upgrade.adjusted(refitted)
    yield "absolute", 0, 0, torch.as_tensor(upgrade.before.head(upgrade.after.z))
    yield "kept", 0, 0, upgrade.kept
    if not comparable:
        yield "kept-translated", 0, 0, upgrade.kept_translated
    yield "stale", 0, 0, torch.as_tensor(upgrade.before.head(upgrade.from_neighbors(upgrade.before.z)))
    yield "stale-answers", 0, 0, upgrade.from_neighbors(upgrade.then.softmax(dim=1))
    yield "distilled", 0, 0, upgrade.distilled()
    everyone = torch.arange(upgrade.old.num_nodes)
    for method in METHODS:
        outputs = upgrade.converted(method, everyone)
        yield f"{method}-all", 0, 0, outputs
        if method == "kl":
            yield "kl-all-aided", 0, 0, upgrade.aided(outputs, upgrade.then)
    if comparable:
        outputs = upgrade.converted("kl", everyone, upgrade.kept)
        yield "kl-now-all", 0, 0, outputs
        yield "kl-now-all-blended", 0, 0, blend(outputs, upgrade.kept)
        yield "retrained-blended", 0, 0, blend(refitted, upgrade.kept)
    steady = upgrade.steady()
    outputs = upgrade.converted("kl", steady)
    yield "kl-all-lasting", 0, 0, outputs
    yield "kl-all-lasting-aided", 0, 0, upgrade.aided(outputs, upgrade.then)
    yield "mixed-all-lasting-aided", 0, 0, upgrade.aided(upgrade.mixed(steady), upgrade.then)
    for count in counts:
        for draw in range(draws):
            rows = upgrade.random(count, draw)
            for method in METHODS:
                outputs = upgrade.converted(method, rows)
                yield method, count, draw, outputs
                if method == "kl":
                    yield "kl-adjusted", count, draw, upgrade.adjusted(outputs)
                    yield "kl-aided", count, draw, upgrade.aided(outputs, upgrade.then)
            if count <= 512 and draw == 0:
                yield "kernel-ridge", count, draw, upgrade.converted("kernel-ridge", rows)
            if draw < 2:
                lasting = upgrade.lasting(count, draw)
                outputs = upgrade.converted("kl", lasting)
                yield "kl-lasting", count, draw, outputs
                yield "kl-lasting-aided", count, draw, upgrade.aided(outputs, upgrade.then)
                mixed = upgrade.mixed(lasting)
                yield "mixed-lasting", count, draw, mixed
                yield "mixed-lasting-aided", count, draw, upgrade.aided(mixed, upgrade.then)
                if comparable:
                    outputs = upgrade.converted("kl", rows, upgrade.kept)
                    yield "kl-now", count, draw, outputs
                    yield "kl-now-blended", count, draw, blend(outputs, upgrade.kept)
                order = rows[torch.randperm(count, generator=torch.Generator().manual_seed(draw))]
                shuffled = upgrade.then.clone()
                shuffled[rows] = upgrade.then[order]
                yield "permuted-anchors", count, draw, upgrade.converted("kl", rows, shuffled)


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """One row for every arm and number of anchors: means over draws and runs."""
    large = cell["graph"] in WAYS
    found: dict[tuple[str, int], list[list[float]]] = {}
    names = ("old_accuracy", "new_accuracy", "accuracy", "changed", "changed_now", "old_model")
    for upgrade in upgrades(options, cell):
        known, added = old_test(upgrade.old, upgrade.new)
        both, y = torch.cat([known, added]), upgrade.new.problem.y
        then, now = upgrade.then.argmax(dim=1), upgrade.kept.argmax(dim=1)
        counts = [count for count in (LARGE if large else SMALL) if count <= upgrade.old.num_nodes]
        for arm, count, _, outputs in arms(upgrade, counts, options.draws, cell["graph"]):
            answers = outputs.argmax(dim=1)
            right = answers == y
            values = [float(right[rows].float().mean()) for rows in (known, added, both)]
            values += [float((answers[known] != other[known]).float().mean()) for other in (then, now)]
            values.append(float((then[known] == y[known]).float().mean()))
            found.setdefault((arm, count), []).append(values)
    for (arm, count), values in found.items():
        mean = np.mean(values, axis=0)
        step = f"{upgrade.old.name} > {upgrade.new.name}"
        row: Row = {"step": step, "arm": arm, "anchors": count, "n": len(values)}
        row |= dict(zip(names, map(float, mean), strict=True))
        if len(values) > 1:
            spread = np.std(values, axis=0, ddof=1)
            row |= {"old_std": float(spread[0]), "new_std": float(spread[1])}
        yield row


def exists(cell: Row) -> bool:
    """Consecutive and two-step releases of ogbn-arxiv, and all steps from the first; other graphs have two releases."""
    step = cell["new"] - cell["old"]
    if cell["graph"] in WAYS:
        return cell["cut"] == 0 and (step in (1, 2) or (cell["old"] == 0 and step > 0))
    return (cell["old"], cell["new"]) == (0, 1)


STUDY = Study(
    __file__,
    measure,
    {
        "graph": ("cora", "citeseer", "pubmed", "photo", *WAYS),
        "cut": (0, 1, 2),
        "encoder": ("gcn", "sage"),
        "old": tuple(range(len(YEARS) - 1)),
        "new": tuple(range(1, len(YEARS))),
    },
    settings={"seeds": 5, "draws": 5, "epochs": 0},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
