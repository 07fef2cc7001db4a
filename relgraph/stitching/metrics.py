"""From recorded outputs to the matrices that a report summarizes; pure functions on arrays.

Rows are the runs of the encoders and columns the runs of the heads. Records are those of
:meth:`relgraph.task.Task.record`: classes ``(S, T, n)``, -1 where a pair is undefined, or outputs ``(S, T, n, C)``, NaN
where it is undefined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from relgraph.stitching.bootstrap import Bools, Floats
from relgraph.task import Array, Task


def defined(record: Array) -> bool:
    """Whether a pair has outputs."""
    return bool((record >= 0).any()) if record.dtype.kind == "i" else not bool(np.isnan(record).any())


def metric_matrix(task: Task, records: Array, y: Tensor | Array) -> Floats:
    """The metric of every pair, ``(S, T)``, with targets ``y`` of the same rows, ``(n,)`` or ``(n, C)``."""
    return _each(records, lambda i, j: task.value(y, records[i, j]))


def fidelity_matrix(task: Task, records: Array, own: Array) -> Floats:
    """Agreement of every pair with the model of its head, whose own records are ``own``, ``(T, n, ...)``."""
    return _each(records, lambda i, j: task.agreement(records[i, j], own[j]))


def decisive_matrix(task: Task, records: Array, own: Array) -> Floats:
    """Fidelity on the rows where the models i and j differ, on which the source's own predictions score nothing.

    Sources and targets are the same runs. NaN where two do not differ (always on the diagonal), and where nothing is
    decided.
    """

    def decisive(i: int, j: int) -> float:
        differ = task.differ(own[i], own[j])
        if differ is None or not differ.any():
            return float("nan")
        return task.agreement(records[i, j][differ], own[j][differ])

    return _each(records, decisive)


def agreement_matrix(task: Task, own: Array) -> Floats:
    """Agreement of every two models, ``(R, R)``."""
    return fidelity_matrix(task, np.broadcast_to(own[:, None], (len(own), *own.shape)), own)


def disagreement_matrix(task: Task, own: Array) -> Floats:
    """Share of rows on which two models decide differently, ``(R, R)``; NaN where nothing is decided."""
    out = np.full((len(own), len(own)), np.nan)
    for i, j in np.ndindex(*out.shape):
        differ = task.differ(own[i], own[j])
        if differ is not None:
            out[i, j] = differ.mean(dtype=np.float64)
    return out


def cross_seed(encoders: Sequence[str]) -> Bools:
    """Pairs of two different runs of the same encoder, ``(R, R)``."""
    names = np.asarray(encoders)
    return np.asarray((names[:, None] == names[None, :]) & ~np.eye(len(names), dtype=bool))


def cross_encoder(encoders: Sequence[str]) -> Bools:
    """Pairs of runs of two different encoders, ``(R, R)``."""
    names = np.asarray(encoders)
    return np.asarray(names[:, None] != names[None, :])


def _each(records: Array, value: Callable[[int, int], float]) -> Floats:
    out = np.full(records.shape[:2], np.nan)
    for i, j in np.ndindex(*out.shape):
        if defined(records[i, j]):
            out[i, j] = value(i, j)
    return out
