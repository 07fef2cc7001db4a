"""Retrieval: whether a query finds its own row in a table, and whether it finds what the old query would have found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relgraph.anchors.matching import as_tensor
from relgraph.errors import InputError
from relgraph.measures.neighbors import CHUNK, Metric, SearchSpace, check_count, neighbors, pair_distances, screened


@dataclass(frozen=True, eq=False, repr=False)
class Retrieval:
    """What :func:`retrieval` finds; every figure is also there for each query.

    Keys at exactly the same distance as the true one, such as its copies, are ties. Figures are expected values over a
    random order of ties (`McSherry & Najork, 2008 <https://doi.org/10.1007/978-3-540-78646-7_38>`_).

    Args:
        closer: Number of keys that are closer to the query than the true one, ``(Q,)``.
        ties: Number of other keys at exactly the same distance, ``(Q,)``.
        overlaps: Share of the ``k`` nearest keys that the old query finds too, ``(Q,)``; ``None`` without old queries.
        k: Of the overlap.
    """

    closer: Tensor
    ties: Tensor
    overlaps: Tensor | None
    k: int

    @property
    def ranks(self) -> Tensor:
        """Mean rank of the true key, from 1, ``(Q,)``: 1, and the closer keys, and half of the ties."""
        return 1 + self.closer + self.ties / 2

    @property
    def reciprocal_ranks(self) -> Tensor:
        """Expected ``1 / rank`` of the true key, ``(Q,)``."""
        closer, ties = self.closer.double(), self.ties.double()
        harmonic = torch.digamma(closer + ties + 2) - torch.digamma(closer + 1)
        return torch.where(ties == 0, 1 / (closer + 1), harmonic / (ties + 1))

    def hits(self, k: int) -> Tensor:
        """Probability that the true key is among the first ``k``, ``(Q,)``."""
        return ((k - self.closer).double() / (self.ties + 1)).clamp(0, 1)

    def recall(self, k: int = 1) -> float:
        """R@k: share of queries whose true key is among the first ``k``."""
        return float(self.hits(k).mean())

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank, over full ranks."""
        return float(self.reciprocal_ranks.mean())

    @property
    def overlap(self) -> float | None:
        """Mean of ``overlaps``."""
        return None if self.overlaps is None else float(self.overlaps.mean())

    def __repr__(self) -> str:
        figures = f"R@1 {self.recall(1):.3f}, R@10 {self.recall(10):.3f}, MRR {self.mrr:.3f}"
        also = "" if self.overlap is None else f", overlap@{self.k} {self.overlap:.3f}"
        return f"Retrieval({len(self.closer):,} queries, {figures}{also})"


@torch.no_grad()
def retrieval(
    queries: Any,
    keys: Any,
    *,
    truth: Any = None,
    k: int = 10,
    metric: Metric = "cosine",
    old: Any = None,
    chunk: int = CHUNK,
) -> Retrieval:
    r"""Whether queries find their own rows in a table: R@k, mean reciprocal rank, overlap with the old answers.

    .. math:: \text{rank}_i = 1 + \#\{j : d(q_i, x_j) < d(q_i, x_{t_i})\} + \tfrac12 \#\{j \ne t_i : d(q_i, x_j)
        = d(q_i, x_{t_i})\}

    Ranks are counted over all keys. The true key is an answer like any other here. For the overlap it is left out of
    both answers, because every old query finds itself:

    .. math:: \text{overlap}@k = \tfrac1Q \textstyle\sum_i |N_k(q_i) \cap N_k(o_i)| \, / \, k

    with ``N_k`` the nearest keys without ``t_i``, of the lower row first where distances are equal.

    Args:
        queries: Rows ``(Q, F)``, such as translated embeddings of a new model.
        keys: Rows of the table that is searched, ``(N, F)``.
        truth: Row of ``keys`` that is the right answer of every query, ``(Q,)``; by default the row of the same number.
        k: Of the overlap.
        metric: ``"cosine"`` or ``"euclidean"``.
        old: What was asked before, in the space of the keys, ``(Q, F)``: the embeddings of the same items by the model
            of the table. Or what was answered: rows of ``keys``, the nearest first, at least k + 1 a query if the item
            itself is among them. Without it there is no overlap.
        chunk: Distances that are held at once.

    Raises:
        InputError: If shapes do not fit, there is no query, a number is not finite, ``truth`` names a missing row, or
            the table has too few keys for ``k``.

    Example:
        >>> keys = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.5]])
        >>> retrieval(torch.tensor([[1.0, 0.1], [0.9, 0.5]]), keys)
        Retrieval(2 queries, R@1 0.500, R@10 1.000, MRR 0.667)
    """
    space = SearchSpace.of(queries, keys, metric)
    truth = _true_rows(truth, len(space.queries), len(space.keys))
    closer, ties = _counts(space, truth, chunk)
    overlaps = None
    if old is not None:
        check_count(k, len(space.keys) - 1)
        now = neighbors(queries, keys, k, metric=metric, exclude=truth, chunk=chunk).rows
        before = as_tensor("old", old)
        if len(before) != len(now):
            raise InputError("old", f"must hold one row per query, {len(now)} (got {len(before)}); pass all")
        if before.is_floating_point():
            before = neighbors(before, keys, k, metric=metric, exclude=truth, chunk=chunk).rows
        overlaps = overlap_at(now, before, truth, k)
    return Retrieval(closer, ties, overlaps, k)


def overlap_at(now: Tensor, before: Tensor, truth: Tensor, k: int) -> Tensor:
    """Share of the first ``k`` answers without the item itself that two lists have in common, ``(Q,)``.

    Args:
        now, before: Answers ``(Q, M)``, the nearest first, without repeats.
        truth: The item itself, ``(Q,)``.
        k: How many answers, at most M; at most M - 1 where the item is among them.
    """
    lists = []
    for name, rows in (("now", now), ("old", before)):
        kept = rows != truth.unsqueeze(1).to(rows)
        if rows.dim() != 2 or bool((kept.sum(dim=1) < k).any()):
            got = f"got {tuple(rows.shape)}"
            raise InputError(name, f"must hold {k} answers per query besides the item itself ({got}); ask for {k + 1}")
        # A stable sort moves the item behind the others and keeps their order.
        lists.append(rows.gather(1, (~kept).sort(dim=1, stable=True).indices)[:, :k])
    same = lists[0].unsqueeze(2) == lists[1].unsqueeze(1).to(lists[0])
    return same.any(dim=2).double().mean(dim=1)


def _true_rows(truth: Any, count: int, size: int) -> Tensor:
    found = torch.arange(count) if truth is None else as_tensor("truth", truth).cpu()
    if not count:
        raise InputError("queries", "must hold at least one row (got none); pass some")
    whole = found.dim() == 1 and not found.is_floating_point() and found.dtype != torch.bool
    if not whole or found.shape != (count,) or not bool(((found >= 0) & (found < size)).all()):
        got = f"{found.dtype} of shape {tuple(found.shape)}" if truth is not None else "none"
        raise InputError("truth", f"must hold one row of 'keys' from 0 to {size - 1} per query, {count} (got {got})")
    return found.long()


def _counts(space: SearchSpace, truth: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """For every query the keys closer than the true one, and the others at the same distance."""
    closer, ties = torch.zeros(2, len(truth), dtype=torch.int64)
    for part in space.parts(chunk):
        queries = space.queries[part]
        own = pair_distances(queries, space.keys[truth[part]])
        difference, error = screened(queries, space.keys)
        difference -= own.unsqueeze(1)
        closer[part] = (difference < -error).sum(dim=1).cpu()
        rows, near = (difference.abs() <= error).nonzero(as_tuple=True)
        step = max(1, chunk // space.keys.size(1))
        for some, other in zip(torch.split(rows, step), torch.split(near, step), strict=True):
            exact = pair_distances(queries[some], space.keys[other]) - own[some]
            closer[part] += torch.bincount(some[exact < 0], minlength=len(part)).cpu()
            ties[part] += torch.bincount(some[exact == 0], minlength=len(part)).cpu()
    return closer, ties - 1  # the true key itself
