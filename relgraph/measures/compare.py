"""Compare two tables by several measures, each beside what unrelated rows would give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors.matching import as_tensor, shared_ids
from relgraph.anchors.values import checked_ids
from relgraph.errors import InputError, unknown_name
from relgraph.measures.base import Measure, Statistic, check_pair
from relgraph.registry import MEASURES

Nulls = Literal["auto", "permutations", "none"]
NULLS = ("auto", "permutations", "none")
PERMUTATIONS = 99


@dataclass(frozen=True)
class Score:
    """One measure of two tables.

    Args:
        measure: Its name in :data:`relgraph.registry.MEASURES`.
        value: Its value.
        direction: Which values mean similar, ``"higher"`` or ``"lower"``.
        null_mean, null_std: Mean and standard deviation of the value if the rows of one table are permuted; ``None``
            where they were not computed.
        score: ``(value - null_mean) / (best - null_mean)``: 1 for equal tables, 0 on average for unrelated rows,
            whatever the measure; 0 where chance is as good as the best.
        p: Probability of a value at least as similar by chance.
        rows: How many rows it was computed on.
        null: How the null was found: ``"closed form"``, ``"99 permutations"``, ``"mean in closed form, 99
            permutations"``, ``"mean in closed form"`` or ``"none"``.
    """

    measure: str
    value: float
    direction: str
    null_mean: float | None
    null_std: float | None
    score: float | None
    p: float | None
    rows: int
    null: str

    def cells(self) -> list[str]:
        """What a line of a table shows."""
        p = "-" if self.p is None else "<0.001" if self.p < 0.001 else f"{self.p:.3f}"
        return [self.measure, *map(decimals, (self.value, self.null_mean, self.score)), p, f"{self.rows:,}"]


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` finds; ``comparison["cka"]`` is the :class:`Score` of a measure.

    Args:
        scores: One for each measure, in the order that was asked for.
        rows: How many rows the tables have in common.
    """

    scores: tuple[Score, ...]
    rows: int

    def __getitem__(self, measure: str) -> Score:
        found = {score.measure: score for score in self.scores}
        if measure not in found:
            raise unknown_name("measure", measure, found)
        return found[measure]

    def to_dict(self) -> dict[str, Any]:
        """Numbers and names only, as for JSON."""
        return {"rows": self.rows, "measures": [asdict(score) for score in self.scores]}

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"

    def __str__(self) -> str:
        return aligned([HEADER, *(score.cells() for score in self.scores)])


HEADER = ["measure", "value", "null", "score", "p", "rows"]


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as text: the first column to the left, the others to the right.

    Example:
        >>> print(aligned([["measure", "value"], ["cka", "0.5"]]))
        measure  value
        cka        0.5
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines)
    return "\n".join("  ".join(row) for row in rows)


def decimals(value: float | None) -> str:
    """A number with three decimals, and no sign before zero."""
    return "-" if value is None else f"{round(value, 3) + 0.0:.3f}"


def compare(
    a: Any,
    b: Any,
    measures: Sequence[str] | None = None,
    *,
    outputs: bool = False,
    ids: tuple[Any, Any] | None = None,
    null: Nulls = "auto",
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Comparison:
    """Compare two tables of the same rows by several measures, each calibrated by what unrelated rows would give.

    The value of a measure depends on the numbers of rows and dimensions, and many values of unrelated rows are far from
    the worst. So every value stands beside its mean over permutations of the rows of ``b``: in closed form for most
    measures, else of seeded permutations. What ``score`` and ``p`` are made of is in :class:`Score`.

    The probability is exact for permutations. In closed form it is that of a Pearson type III distribution with the
    same mean and standard deviation, whose skewness is approximate. Measures of anchors permute the rows that are no
    anchors.

    Args:
        a, b: Embeddings ``(N, F)`` and ``(N, G)``, or with ``outputs`` logits or probabilities ``(N, C)`` each.
        measures: Names in :data:`relgraph.registry.MEASURES`; by default all of embeddings, or with ``outputs`` all of
            outputs. With ``outputs`` both kinds can be named.
        outputs: Whether the tables are outputs of models.
        ids: Ids of the rows of both, integers without repeats ``(N,)`` and ``(M,)``; rows with the same id are then
            compared. Without them, rows are compared with the rows of the same number.
        null: ``"auto"`` (closed form where there is one), ``"permutations"`` for all measures, or ``"none"``.
        permutations: How many; with 0, only what is known in closed form is.
        seed: Of samples of rows, and of permutations.

    Raises:
        InputError: If a name is unknown or of the other kind, shapes do not fit, no id is in both, or a number is not
            finite.

    Example:
        >>> a = torch.randn(100, 5, generator=torch.Generator().manual_seed(0))
        >>> b = a.flip(1) + torch.randn(100, 5, generator=torch.Generator().manual_seed(1))
        >>> found = compare(a, b, ["cka", "mutual-knn"])
        >>> print(found)
        measure     value   null  score       p  rows
        cka         0.531  0.049  0.507  <0.001   100
        mutual-knn  0.299  0.101  0.220   0.010   100
        >>> found["cka"].null
        'closed form'
    """
    if null not in NULLS:
        raise unknown_name("null", null, NULLS)
    if permutations < (null == "permutations"):
        raise InputError("permutations", f"must be at least {int(null == 'permutations')} (got {permutations})")
    chosen = resolve_measures(measures, outputs=outputs)
    x, y = as_tensor("a", a), as_tensor("b", b)
    if ids is not None:
        x, y = _matched(x, y, ids)
    x, y = check_pair(x, y, ("a", "b"), outputs=outputs)
    return Comparison(tuple(_score(one, x, y, null, permutations, seed) for one in chosen), len(x))


def resolve_measures(names: Sequence[str] | None, *, outputs: bool) -> list[Measure]:
    """The measures of these names, or all of a kind, loaded.

    Raises:
        InputError: If a name is unknown, repeated, or needs outputs.
    """
    kind = "outputs" if outputs else "representations"
    if names is None:
        names = [name for name, entry in MEASURES.items() if entry.traits.get("kind", "representations") == kind]
    elif isinstance(names, str):
        names = [names]
    found: list[Measure] = [MEASURES.resolve(name) for name in names]
    if not found or len(set(names)) < len(found):
        raise InputError("measures", f"must name at least one, each once (got {', '.join(names) or 'none'})")
    wrong = [one.name for one in found if one.kind == "outputs" and not outputs]
    if wrong:
        rule = "must compare embeddings unless the tables are outputs"
        raise InputError("measures", f"{rule} (got '{wrong[0]}'); set outputs (--outputs) if they are")
    return found


def _matched(x: Tensor, y: Tensor, ids: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
    one, other = (checked_ids(part) for part in ids)
    for name, rows, known in (("a", x, one), ("b", y, other)):
        if len(rows) != len(known):
            raise InputError("ids", f"must hold one id for each row of '{name}', {len(rows)} (got {len(known)})")
    rows, other_rows = shared_ids(one, other)
    if not len(rows):
        raise InputError("ids", f"must have ids in common (got none, such as {int(one[0])} and {int(other[0])})")
    return x[rows], y[other_rows]


def _score(measure: Measure, x: Tensor, y: Tensor, null: Nulls, permutations: int, seed: int) -> Score:
    statistic = measure.function(x, y, torch.Generator().manual_seed(seed))
    known = None if null == "permutations" else statistic.null
    if null == "none":
        return _of(measure, statistic, None, None, None, "none")
    if known is not None and known.std is not None:
        p = known.p(statistic.value, higher=measure.direction == "higher")
        return _of(measure, statistic, known.mean, known.std, p, "closed form")
    mean, how = (None, "") if known is None else (known.mean, "mean in closed form")
    if not permutations:
        return _of(measure, statistic, mean, None, None, how or "none")
    drawn = _drawn(statistic, permutations, seed)
    better = drawn >= statistic.value if measure.direction == "higher" else drawn <= statistic.value
    p, std = (1 + int(better.sum())) / (1 + permutations), float(drawn.std(ddof=1)) if permutations > 1 else None
    how = f"{how}{', ' if how else ''}{permutations} permutations"
    return _of(measure, statistic, float(drawn.mean()) if mean is None else mean, std, p, how)


def _drawn(statistic: Statistic, permutations: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    generator = torch.Generator().manual_seed(seed)
    return np.array([statistic.draw(generator) for _ in range(permutations)])


def _of(
    measure: Measure, statistic: Statistic, mean: float | None, std: float | None, p: float | None, how: str
) -> Score:
    score = None if mean is None else calibrated(measure, statistic.value, mean)
    return Score(measure.name, statistic.value, measure.direction, mean, std, score, p, statistic.rows, how)


def calibrated(measure: Measure, value: float, null_mean: float) -> float:
    """``(value - null_mean) / (best - null_mean)``; 0 where chance is as good as the best.

    Example:
        >>> calibrated(MEASURES.resolve("cka"), 0.75, 0.5)
        0.5
    """
    room = measure.best - null_mean
    return (value - null_mean) / room if abs(room) > 1e-9 else 0.0
