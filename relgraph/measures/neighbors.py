"""Exact nearest rows of a table, with ties broken by the row number: by faiss if it is installed, else by torch.

Squared distances come in two forms. :func:`screened` computes many of them by one matrix product, with a rounding error
of at most :data:`ROUNDING` of their scale. Where that does not decide, :func:`pair_distances` computes single ones from
the differences of the coordinates, so that equal rows are at exactly equal distances, whatever the block size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor

from relgraph.anchors.values import check_rows
from relgraph.errors import InputError, unknown_name, whole_number

Metric = Literal["cosine", "euclidean"]
METRICS = ("cosine", "euclidean")
BACKENDS = ("auto", "faiss", "torch")
CHUNK = 1 << 22
"""Distances that are held at once."""
ROUNDING = 1e-12  # of float64, relative to the sum of both squared norms
SINGLE_ROUNDING = 1e-5  # of float32, in which faiss computes
SPARE = 32  # candidates beyond those asked for


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Nearest keys of every query, the nearest first: row numbers, and cosines or distances, ``(Q, k)`` each."""

    rows: Tensor
    values: Tensor


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """Queries and keys in float64, as Euclidean distances compare them.

    Cosines are compared as distances of unit vectors, since ``|u - v|^2 = 2 - 2 cos``. A row of norm 0, which has no
    direction, becomes a unit vector at a right angle to all others, so that its cosine is 0.
    """

    queries: Tensor
    keys: Tensor
    metric: Metric

    @classmethod
    def of(cls, queries: Any, keys: Any, metric: str) -> SearchSpace:
        """Check and prepare both tables."""
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
        found = {name: check_rows(name, rows).detach() for name, rows in (("queries", queries), ("keys", keys))}
        q, x = (rows.to(torch.float64) for rows in found.values())
        if q.size(1) != x.size(1):
            hint = "translate the queries into the space of the keys first"
            raise InputError("queries", f"must be as wide as 'keys', {x.size(1)} (got {q.size(1)}); {hint}")
        if metric == "cosine":
            q, x = _unit_rows(q, x)
        return cls(q, x.to(q.device), "cosine" if metric == "cosine" else "euclidean")

    def parts(self, chunk: int) -> Iterator[Tensor]:
        """Row numbers of queries whose distances to all keys are held at once."""
        return iter(torch.split(torch.arange(len(self.queries)), max(1, chunk // max(1, len(self.keys)))))


def _unit_rows(*tables: Tensor) -> tuple[Tensor, ...]:
    norms = [rows.square().sum(dim=1).sqrt() for rows in tables]
    units = [rows / norm.where(norm > 0, 1).unsqueeze(1) for rows, norm in zip(tables, norms, strict=True)]
    if all(bool((norm > 0).all()) for norm in norms):
        return tuple(units)
    axes = torch.eye(len(tables)).to(units[0])  # one more coordinate for each table
    parts = zip(units, norms, axes, strict=True)
    return tuple(torch.cat([rows, (norm == 0).unsqueeze(1) * axis], dim=1) for rows, norm, axis in parts)


def pair_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances ``(P,)`` of paired rows ``(P, F)``, from the differences of their coordinates."""
    return (x - y).square().sum(dim=-1)


def screened(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances ``(Q, N)`` by one matrix product, and a bound of their rounding errors ``(Q, 1)``."""
    middle = keys.mean(dim=0)  # keeps digits far from the origin
    queries, keys = queries - middle, keys - middle
    own, other = queries.square().sum(dim=1, keepdim=True), keys.square().sum(dim=1)
    distances = torch.addmm(own + other, queries, keys.mT, alpha=-2)
    return distances, ROUNDING * (own + other.max())


def neighbors(
    queries: Any,
    keys: Any,
    k: int = 10,
    *,
    metric: Metric = "cosine",
    exclude: Tensor | None = None,
    backend: str = "auto",
    chunk: int = CHUNK,
) -> Neighbors:
    """The ``k`` nearest keys of every query, exactly; of keys at the same distance, the one of the lower row is first.

    The result does not depend on the backend: the candidates of a backend are compared anew in float64, and where its
    rounding errors could have hidden one, the query is compared with all keys.

    Args:
        queries: Rows ``(Q, F)``, finite floating-point numbers.
        keys: Rows of the index, ``(N, F)``.
        k: How many, at most N.
        metric: ``"cosine"`` (0 for a row of norm 0) or ``"euclidean"``.
        exclude: For every query one row of ``keys`` that is left out, such as the item itself, ``(Q,)``.
        backend: ``"faiss"`` (extra ``faiss``), ``"torch"``, or ``"auto"``: faiss where it is installed.
        chunk: Distances that are held at once.

    Raises:
        InputError: If there are fewer keys than asked for, the widths differ, a number is not finite, or a name is
            unknown.

    Example:
        >>> keys = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]])
        >>> neighbors(torch.tensor([[2.0, 0.0]]), keys, 2).rows
        tensor([[0, 2]])
    """
    space, chunk = SearchSpace.of(queries, keys, metric), check_chunk(chunk)
    k = check_count(k, len(space.keys) - (exclude is not None))
    wanted = k + (exclude is not None)
    if _backend(backend) == "faiss":
        rows, distances, unsure = _by_faiss(space, wanted)
        if len(unsure):
            rows[unsure], distances[unsure] = _by_torch(space, unsure, wanted, chunk)
    else:
        rows, distances = _by_torch(space, torch.arange(len(space.queries)), wanted, chunk)
    if exclude is not None:
        rows, distances = _without(rows, distances, torch.as_tensor(exclude).to(rows))
    return Neighbors(rows, 1 - distances / 2 if metric == "cosine" else distances.sqrt())


def check_count(k: int, available: int) -> int:
    """``k`` as an ``int``; no number, or more keys than there are, is refused."""
    if not 1 <= (k := whole_number("k", k)) <= available:
        raise InputError("k", f"must be from 1 to the number of keys to choose from, {available} (got {k}); lower it")
    return k


def check_chunk(chunk: int) -> int:
    """``chunk`` as an ``int`` of at least 1."""
    if (chunk := whole_number("chunk", chunk)) < 1:
        raise InputError("chunk", f"must be at least 1 (got {chunk}); leave it out for {CHUNK:,}")
    return chunk


def _backend(name: str) -> str:
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    present = find_spec("faiss") is not None
    if name == "faiss" and not present:
        raise InputError("backend", "must be 'torch' where faiss is missing (got 'faiss'); pip install relgraph[faiss]")
    return "faiss" if present and name != "torch" else "torch"


def _by_faiss(space: SearchSpace, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest rows and squared distances by faiss, and the queries for which its precision does not decide."""
    import faiss

    middle = space.keys.mean(dim=0)
    q, x = (table - middle for table in (space.queries, space.keys))
    index = faiss.IndexFlatL2(x.size(1))
    index.add(x.float().cpu().numpy())
    count = min(k + SPARE, len(x))
    found, rows = (torch.from_numpy(part) for part in index.search(q.float().cpu().numpy(), count))
    error = SINGLE_ROUNDING * (q.square().sum(dim=1) + x.square().sum(dim=1).max()).cpu()
    near, distances = torch.empty_like(rows[:, :k]), torch.empty(len(q), k, dtype=torch.float64)
    for part in torch.split(torch.arange(len(q)), max(1, CHUNK // (count * x.size(1)))):
        near[part], distances[part] = _ordered(space, part, rows[part], k)
    return near, distances, (~_decided(found.double(), k, error, len(x))).nonzero().view(-1)


def _by_torch(space: SearchSpace, which: Tensor, k: int, chunk: int) -> tuple[Tensor, Tensor]:
    """Nearest rows and squared distances of some queries, by matrix products in float64."""
    count, every = min(k + SPARE, len(space.keys)), torch.arange(len(space.keys))
    rows = torch.empty(len(which), k, dtype=torch.int64)
    distances = torch.empty(len(which), k, dtype=torch.float64)
    for part in torch.split(torch.arange(len(which)), max(1, chunk // max(1, len(space.keys)))):
        all_distances, error = screened(space.queries[which[part]], space.keys)
        found, near = all_distances.topk(count, largest=False)
        rows[part], distances[part] = _ordered(space, which[part], near.cpu(), k)
        for one in part[~_decided(found, k, error.squeeze(1), len(every)).cpu()]:
            rows[one : one + 1], distances[one : one + 1] = _ordered(space, which[one : one + 1], every.unsqueeze(0), k)
    return rows, distances


def _decided(found: Tensor, k: int, error: Tensor, total: int) -> Tensor:
    """Whether the first k are among the sorted candidates in spite of rounding errors, for every query."""
    if found.size(1) == total:
        return torch.ones(len(found), dtype=torch.bool)
    return found[:, -1] > found[:, k - 1] + 2 * error


def _ordered(space: SearchSpace, which: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The first k of the candidates ``(Q, M)`` by distance, then by row number."""
    candidates = candidates.sort(dim=1).values
    distances = pair_distances(space.queries[which].unsqueeze(1), space.keys[candidates]).cpu()
    order = distances.sort(dim=1, stable=True).indices[:, :k]
    return candidates.gather(1, order), distances.gather(1, order)


def _without(rows: Tensor, distances: Tensor, exclude: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest without one row for each query, which may not be among them."""
    kept = rows != exclude.unsqueeze(1)
    kept[:, -1] &= ~kept[:, :-1].all(dim=1)
    shape = (len(rows), rows.size(1) - 1)
    return rows[kept].view(shape), distances[kept].view(shape)
