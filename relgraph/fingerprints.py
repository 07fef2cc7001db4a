"""Fingerprints of graphs as strings, and what two of them tell: the same graph, a grown one, or another."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Relation = Literal["same", "grown", "other", "unknown"]
Hashes = NDArray[np.uint64]

KEPT = 256
"""Hashes that a fingerprint keeps of node ids, and of edges."""
LEAST_EDGES = 0.5
"""Share of the old edges below which a graph with all old ids is another one, such as one with its ids shuffled."""
LEVEL = 0.95
_BYTES = 6  # of a hash: two of a million nodes or a billion edges hardly ever share one near the smallest
_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class Sketch:
    """The smallest different hashes of a set, ascending, and how many members the set has."""

    size: int
    hashes: Hashes

    def share_in(self, other: Sketch) -> Share:
        """The share of this set's members that are in the other set.

        The members that can be looked up are those whose hash is below all hashes that the other sketch left out.
        """
        complete = len(other.hashes) < KEPT
        asked = self.hashes if complete else self.hashes[self.hashes <= other.hashes[-1]]
        whole = len(asked) == len(self.hashes) < KEPT
        return Share(int(np.isin(asked, other.hashes).sum()), len(asked), whole)


@dataclass(frozen=True)
class Share:
    """An estimated share: how many of a random sample of a set were found.

    Args:
        found: Members of the sample that were found.
        asked: Size of the sample.
        whole: Whether the sample is the whole set.
    """

    found: int
    asked: int
    whole: bool = False

    @property
    def value(self) -> float:
        """The share; not a number if there is no sample."""
        return self.found / self.asked if self.asked else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the share at 95 % (`Clopper and Pearson, 1934 <https://doi.org/10.1093/biomet/26.4.404>`_).

        It is one-sided, and still of that level, if all or none were found.
        """
        from scipy.stats import beta

        if not self.asked:
            return 0.0, 1.0
        if self.whole:
            return self.value, self.value
        lost = self.asked - self.found
        tail = (1 - LEVEL) / (2 if self.found and lost else 1)
        low = float(beta.ppf(tail, self.found, lost + 1)) if self.found else 0.0
        return low, float(beta.ppf(1 - tail, self.found + 1, lost)) if lost else 1.0

    def __str__(self) -> str:
        low, high = (100 * bound for bound in self.interval)
        if not self.asked:
            return "unknown"
        return f"{100 * self.value:.0f} %" + ("" if self.whole else f" [{low:.0f}, {high:.0f}]")


@dataclass(frozen=True)
class GraphRelation:
    """What the fingerprints of an old and a new graph tell; see :func:`compare_fingerprints`.

    Args:
        kind: ``"same"``, ``"grown"``, ``"other"`` or ``"unknown"``.
        nodes: Share of the old nodes that are in the new graph.
        edges: Share of the old edges that are in the new graph.
        counts: Numbers of nodes of the old and of the new graph; ``None`` if unknown.
    """

    kind: Relation
    nodes: Share = Share(0, 0)
    edges: Share = Share(0, 0)
    counts: tuple[int, int] | None = None

    @property
    def ids_agree(self) -> bool | None:
        """Whether equal ids seem to be the same nodes; ``None`` if unknown.

        An edge is kept if both of its ends are: of a share ``p`` of the nodes, about ``p ** 2`` of the edges. If fewer
        than half as many are there, the ids have most likely changed their meaning; how many are there must be known
        well enough for that (:attr:`Share.interval`).
        """
        if not self.edges.asked or not self.nodes.asked:
            return None
        least = LEAST_EDGES * self.nodes.value**2
        return True if self.edges.value >= least else False if self.edges.interval[1] < least else None


def format_fingerprint(digest: str, nodes: Sketch, edges: Sketch | None) -> str:
    """The string of a fingerprint: digest, numbers of nodes and edges, and the sketches of both, with dots between."""
    parts = [digest, str(nodes.size), "" if edges is None else str(edges.size), _encoded(nodes.hashes)]
    return ".".join([*parts, "" if edges is None else _encoded(edges.hashes)])


def short_fingerprint(fingerprint: str) -> str:
    """The digest alone, for people to read: equal for equal graphs.

    Example:
        >>> short_fingerprint("48c2de550dbccd96.2.0.AAAA.")
        '48c2de550dbccd96'
    """
    return fingerprint.partition(".")[0]


def graph_sizes(fingerprint: str) -> tuple[int, int] | None:
    """Numbers of nodes and edges of the graph; ``None`` if the fingerprint does not tell.

    Example:
        >>> graph_sizes("48c2de550dbccd96.1.1.AAAAAAAB.AAAAAAAB"), graph_sizes("48c2de550dbccd96")
        ((1, 1), None)
    """
    found = _parsed(fingerprint)
    return None if found is None else (found[0].size, 0 if found[1] is None else found[1].size)


def compare_fingerprints(old: str, new: str) -> GraphRelation:
    r"""Whether a graph is the same as an older one, has grown from it, or is another.

    * ``"same"``: nodes, edges and weights are equal.
    * ``"grown"``: no old node is missing, and most of the old edges are there. Nodes and edges may be new.
    * ``"other"``: an old node is missing, or most old edges are, by all of their interval (:attr:`Share.interval`). The
      second tells graphs whose ids are row numbers apart: the ids of a small graph are then among those of any larger
      one.
    * ``"unknown"``: a fingerprint is empty or of relgraph 0.2.0, which kept the digest alone, and they differ; or the
      new graph is so large that its fingerprint tells nothing of the old nodes or edges, or too little: fewer than half
      of the edges that can be looked up are there, and that may be chance.

    A fingerprint keeps the 256 smallest hashes of the node ids, and of the edges (bottom-k sketches,
    `Cohen and Kaplan, 2007 <https://doi.org/10.1145/1281100.1281133>`_). Of the old ones, about ``m = 256 n / n'`` can
    be looked up in a graph that has grown from ``n`` to ``n'`` nodes; they are a uniform sample of the old nodes. A
    missing one is certain. If a share ``p`` of the old nodes is missing, that goes unnoticed with the probability

    .. math:: (1 - p)^m,

    for 5 % and a graph twice as large about 0.1 %. Of graphs of fewer than 256 nodes and edges all is known.

    Args:
        old: Fingerprint of the old graph (:func:`relgraph.graph.fingerprint`).
        new: Fingerprint of the new one.

    Example:
        >>> import torch
        >>> from relgraph.graph import fingerprint
        >>> from torch_geometric.data import Data
        >>> old = fingerprint(Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3))
        >>> new = fingerprint(Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4))
        >>> compare_fingerprints(old, new).kind, compare_fingerprints(new, old).kind
        ('grown', 'other')
        >>> str(compare_fingerprints(new, old).nodes)
        '75 %'
    """
    if not old or not new:
        return GraphRelation("unknown")
    before, after = _parsed(old), _parsed(new)
    counts = None if before is None or after is None else (before[0].size, after[0].size)
    if short_fingerprint(old) == short_fingerprint(new):
        return GraphRelation("same", Share(1, 1, whole=True), Share(1, 1, whole=True), counts)
    if before is None or after is None:
        return GraphRelation("unknown")
    nodes = before[0].share_in(after[0])
    empty = Sketch(0, np.empty(0, np.uint64))
    edges = (before[1] or empty).share_in(after[1] or empty)
    if nodes.found < nodes.asked or edges.interval[1] < LEAST_EDGES:
        return GraphRelation("other", nodes, edges, counts)
    told = nodes.asked and (edges.value >= LEAST_EDGES or not before[1] or not before[1].size)
    return GraphRelation("grown" if told else "unknown", nodes, edges, counts)


def sketch_nodes(ids: NDArray[np.int64]) -> Sketch:
    """The sketch of node ids, which are all different."""
    return Sketch(len(ids), _smallest(_mixed(block) for block in _blocks(ids)))


def sketch_edges(source: NDArray[np.int64], target: NDArray[np.int64]) -> Sketch:
    """The sketch of directed edges between ids; parallel edges count once in it."""
    ends = zip(_blocks(source), _blocks(target), strict=True)
    hashes = (_mixed(_mixed(one) + two.view(np.uint64)) for one, two in ends)
    return Sketch(len(source), _smallest(hashes))


def _blocks(values: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
    return (np.ascontiguousarray(values[start : start + _BLOCK]) for start in range(0, len(values), _BLOCK))


def _mixed(values: NDArray[np.int64] | Hashes) -> Hashes:
    """Hashes of 64 bits: the output function of SplitMix64 (`Steele et al., 2014
    <https://doi.org/10.1145/2714064.2660195>`_), a bijection.
    """
    mixed = values.view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _smallest(blocks: Iterable[Hashes]) -> Hashes:
    """The smallest different hashes of all blocks, without their lowest bits."""
    found = np.empty(0, np.uint64)
    for block in blocks:
        hashes = block >> np.uint64(64 - 8 * _BYTES)
        if len(found) == KEPT:
            hashes = hashes[hashes < found[-1]]
        elif len(hashes) > 8 * KEPT:  # most of a first block are too large; a few of them are sorted
            few = np.partition(hashes, 4 * KEPT)[: 4 * KEPT]
            hashes = few if len(np.unique(few)) >= KEPT else hashes
        found = np.unique(np.concatenate([found, hashes]))[:KEPT]
    return found


def _encoded(hashes: Hashes) -> str:
    packed = hashes.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - _BYTES :]
    return base64.urlsafe_b64encode(packed.tobytes()).decode()


def _decoded(text: str) -> Hashes:
    packed = np.frombuffer(base64.b64decode(text, altchars=b"-_", validate=True), np.uint8).reshape(-1, _BYTES)
    wide = np.zeros((len(packed), 8), np.uint8)
    wide[:, 8 - _BYTES :] = packed
    return wide.view(">u8").astype(np.uint64).reshape(-1)


def _parsed(fingerprint: str) -> tuple[Sketch, Sketch | None] | None:
    """The sketches of nodes and edges; ``None`` for a digest alone, or what is no fingerprint."""
    try:
        _, num_nodes, num_edges, nodes, edges = fingerprint.split(".")
        return (
            Sketch(int(num_nodes), _decoded(nodes)),
            Sketch(int(num_edges), _decoded(edges)) if num_edges else None,
        )
    except (ValueError, binascii.Error):
        return None
