"""Retrieval: whether a query finds its own row in a table, and whether it finds what the old query would have found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relgraph.anchors.matching import as_tensor
from relgraph.anchors.values import check_rows
from relgraph.errors import InputError, whole_number
from relgraph.measures.neighbors import (
    CHUNK,
    Metric,
    SearchSpace,
    check_chunk,
    check_count,
    neighbors,
    pair_distances,
    screened,
)


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
            itself is among them; -1 is no answer, as of faiss, and lowers the overlap. Without it there is no overlap.
        chunk: Distances that are held at once.

    Raises:
        InputError: If shapes do not fit, there is no query, a number is not finite, ``truth`` or ``old`` names a
            missing row, the table has too few keys for ``k``, or ``k`` or ``chunk`` is no whole number above 0.

    Example:
        >>> keys = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.5]])
        >>> retrieval(torch.tensor([[1.0, 0.1], [0.9, 0.5]]), keys)
        Retrieval(2 queries, R@1 0.500, R@10 1.000, MRR 0.667)
    """
    space, chunk = SearchSpace.of(queries, keys, metric), check_chunk(chunk)
    truth, k = _true_rows(truth, len(space.queries), len(space.keys)), whole_number("k", k)
    closer, ties = _counts(space, truth, chunk)
    overlaps = None
    if old is not None:
        k = check_count(k, len(space.keys) - 1)
        now = neighbors(queries, keys, k, metric=metric, exclude=truth, chunk=chunk).rows
        before = _old(old, len(now), len(space.keys), as_tensor("keys", keys).size(1))
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
    if not count:
        raise InputError("queries", "must hold at least one row (got none); pass some")
    found = torch.arange(count) if truth is None else as_tensor("truth", truth).cpu()
    rule = f"must hold one row of 'keys' from 0 to {size - 1} per query, {count}"
    if not _whole(found) or found.shape != (count,):
        got = f"{found.dtype} of shape {tuple(found.shape)}"
        raise InputError("truth", f"{rule} (got {got}); pass row numbers as integers")
    rows = found.long()
    wrong = rows[(rows < 0) | (rows >= size)]
    if len(wrong):
        got = "none" if truth is None else f"{int(wrong[0])}"
        raise InputError("truth", f"{rule} (got {got}); name the right row of each query")
    return rows


def _old(old: Any, count: int, size: int, width: int) -> Tensor:
    """Old queries as they are, or old answers as row numbers, -1 for none."""
    found = as_tensor("old", old)
    if found.dim() != 2 or len(found) != count:
        got = f"{len(found)}" if found.dim() == 2 else f"shape {tuple(found.shape)}"
        raise InputError("old", f"must hold one row per query, {count} (got {got}); pass all")
    if found.is_floating_point():
        if found.size(1) != width:
            hint = "pass the embeddings by the model of the table"
            raise InputError("old", f"must be as wide as 'keys', {width} (got {found.size(1)}); {hint}")
        return check_rows("old", found)
    if not _whole(found):
        raise InputError("old", f"must hold floating-point numbers, or row numbers (got {found.dtype}); convert them")
    rows = found.long()
    wrong = rows[(rows < -1) | (rows >= size)]
    if len(wrong):
        rule = f"must hold rows of 'keys' from 0 to {size - 1}, or -1 for no answer"
        raise InputError("old", f"{rule} (got {int(wrong[0])}); search the same table")
    return rows


def _whole(rows: Tensor) -> bool:
    return not (rows.is_floating_point() or rows.is_complex() or rows.dtype == torch.bool)


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
