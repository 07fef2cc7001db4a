"""The record of a measure, and what it finds for two tables: a value, and how it spreads if rows are unrelated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from relgraph.anchors.values import check_rows
from relgraph.errors import InputError
from relgraph.similarity import is_rounding

Kind = Literal["representations", "outputs"]
Draw = Callable[[torch.Generator], float]


@dataclass(frozen=True)
class Null:
    """Moments of a value over permutations of the rows of one table; ``std`` is ``None`` where only the mean is known.

    The skewness is that of the approximating Pearson type III distribution, 0 for the normal one.
    """

    mean: float
    std: float | None = None
    skew: float = 0.0

    def p(self, value: float, *, higher: bool) -> float:
        """Probability of a value at least as similar, by the Pearson type III distribution with these moments.

        Example:
            >>> round(Null(0.0, 1.0).p(1.96, higher=True), 3)
            0.025
        """
        from scipy.stats import pearson3

        if not self.std:  # all permutations give the same value
            return 1.0
        sign = 1 if higher else -1
        found = float(pearson3.sf(sign * (value - self.mean) / self.std, sign * self.skew))
        return min(1.0, max(0.0, found))


@dataclass(frozen=True, eq=False)
class Statistic:
    """What a measure finds for two tables.

    Args:
        value: The value.
        rows: How many rows it was computed on; fewer than the tables have where a measure draws a sample.
        draw: The value after a random permutation of the rows of the second table.
        null: Moments of ``draw`` in closed form; ``None`` where there are none.
    """

    value: float
    rows: int
    draw: Draw
    null: Null | None = None


@dataclass(frozen=True)
class Measure:
    """A comparison of two tables with the same items in the same rows, ``(N, F)`` and ``(N, G)``.

    Args:
        name: The name in :data:`relgraph.registry.MEASURES`.
        function: From two checked tables and a generator (for samples of rows) to a :class:`Statistic`.
        kind: Whether the tables are ``"representations"`` or ``"outputs"``, logits or probabilities of classes.
        direction: Which values mean similar: ``"higher"`` or ``"lower"``.
        low, high: The range of values.
        symmetric: Whether exchanging the tables leaves the value the same.
        invariances: Names in :data:`relgraph.similarity.CHANGES` of the changes of either table that leave the value
            the same.
        source: The paper that it is from.
        cost: Operations, with N rows of F and G numbers; S, Q and K are fixed numbers of rows.

    Example:
        >>> from relgraph.registry import MEASURES
        >>> cka = MEASURES.resolve("cka")
        >>> cka.direction, cka.best, sorted(cka.invariances)
        ('higher', 1.0, ['rotation', 'scaling', 'translation'])
    """

    name: str
    function: Callable[[Tensor, Tensor, torch.Generator], Statistic]
    kind: Kind
    direction: Literal["higher", "lower"]
    low: float
    high: float
    symmetric: bool
    invariances: frozenset[str]
    source: str
    cost: str

    @property
    def best(self) -> float:
        """The value of two equal tables."""
        return self.high if self.direction == "higher" else self.low


def undetermined(value: float, rows: int) -> Statistic:
    """The statistic of tables that say nothing: its null is the value itself, so that nothing is above chance."""
    return Statistic(value, rows, lambda generator: value, Null(value, 0.0))


def check_pair(
    x: object, y: object, names: tuple[str, str] = ("x", "y"), *, outputs: bool = False
) -> tuple[Tensor, Tensor]:
    """Two tables as finite matrices with equally many rows, at least one; outputs also with equally many columns.

    Raises:
        InputError: If they are not; ``names`` are those of the arguments.
    """
    a, b = (check_rows(name, rows).detach() for name, rows in zip(names, (x, y), strict=True))
    one, other = names
    if a.size(0) != b.size(0) or a.size(0) == 0:
        got = f"got {a.size(0)} and {b.size(0)}"
        raise InputError(one, f"and '{other}' must have equally many rows, at least one ({got}); match them by ids")
    widths = f"got {a.size(1)} and {b.size(1)}"
    if 0 in (a.size(1), b.size(1)):
        raise InputError(one, f"and '{other}' must have columns ({widths}); pass embeddings")
    if outputs and (a.size(1) != b.size(1) or a.size(1) < 2):
        rule = "must have one column for each class, two or more"
        raise InputError(one, f"and '{other}' {rule} ({widths}); pass logits or probabilities")
    return a, b.to(a.device)


def some_rows(count: int, most: int, generator: torch.Generator) -> Tensor:
    """All row numbers, or as many drawn without replacement, in order."""
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=generator)[:most].sort().values


def wide(rows: Tensor) -> Tensor:
    """Rows in float64, on the CPU where the device has no float64."""
    return (rows.cpu() if rows.device.type == "mps" else rows).to(torch.float64)


def same_rows(rows: Tensor, dtype: torch.dtype) -> bool:
    """Whether all rows ``(N, F)`` are one vector, up to the rounding of numbers that were given as ``dtype``."""
    offset = rows - rows.mean(dim=0)
    return is_rounding(offset, rows, dtype, factor=8)


def clamp(value: float, low: float, high: float) -> float:
    """A value without the rounding errors that take it out of its range."""
    return min(high, max(low, value)) if math.isfinite(value) else low
