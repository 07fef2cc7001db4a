"""Predictions of several runs on the same rows: what every study of seed robustness reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relgraph.errors import InputError
from relgraph.tables.ids import check_unique, comparable_ids, matching_rows

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FEWEST = 2
"""Runs of a model that can be compared with each other."""


@dataclass(frozen=True, eq=False)
class PredictionRuns:
    """Classes that ``R`` runs of one or more models predict for the same ``n`` rows.

    Args:
        classes: Predicted classes ``(R, n)``, from 0.
        models: Name of the model of every run, ``(R,)``; runs of a model follow each other.
        seeds: Name of every run within its model, ``(R,)``, such as its seed.
        ids: Ids of the rows ``(n,)``, integers or strings, without repeats.
        y: True classes ``(n,)``, -1 where unknown; ``None`` without labels.
        logits: Outputs ``(R, n, C)``; ``None`` if only classes are known.
        properties: What else is known of the rows, by name, ``(n,)`` each, NaN where undefined.
        name: What the rows are called.
        notes: What was left out when the runs were read, one sentence each.

    Raises:
        InputError: If shapes differ, a model has one run, a class is negative, an output is not finite, or an id is
            repeated.

    Example:
        >>> runs = PredictionRuns.of({"a": [[0, 1, 1], [0, 1, 0]]}, y=[0, 1, 1])
        >>> runs.classes.shape, runs.models, runs.num_classes
        ((2, 3), ('a', 'a'), 2)
    """

    classes: Ints
    models: tuple[str, ...]
    seeds: tuple[str, ...]
    ids: Array
    y: Ints | None = None
    logits: Array | None = None
    properties: Mapping[str, Floats] = field(default_factory=dict)
    name: str = "unnamed"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count, rows = self.classes.shape
        if rows == 0:
            raise InputError("runs", "must have at least one row (got none)")
        for model in dict.fromkeys(self.models):
            if self.models.count(model) < FEWEST:
                raise InputError("runs", f"must hold at least two runs of every model (got one of '{model}'); add one")
        if len(self.models) != count or len(self.seeds) != count:
            raise InputError("models", f"must name the model of every run (got {len(self.models)} for {count} runs)")
        if len(set(zip(self.models, self.seeds, strict=True))) < count:
            raise InputError("seeds", "must be different for the runs of a model (got a seed twice); rename one")
        if int(self.classes.min()) < 0:
            raise InputError("runs", f"must hold classes from 0 on (got {int(self.classes.min())})")
        for argument, given in (("ids", self.ids), ("labels", self.y), *self.properties.items()):
            if given is not None and given.shape != (rows,):
                raise InputError(argument, f"must hold one value for each of {rows} rows (got shape {given.shape})")
        check_unique(comparable_ids(self.ids, "ids"), "ids")

    @classmethod
    def of(
        cls,
        runs: Any,
        *,
        y: Any = None,
        ids: Any = None,
        seeds: Mapping[str, Sequence[Any]] | None = None,
        properties: Mapping[str, Any] | None = None,
        name: str = "unnamed",
        notes: Sequence[str] = (),
    ) -> PredictionRuns:
        """Runs that are in memory.

        Args:
            runs: For each model, by its name, predictions of its runs: classes ``(n,)`` or outputs ``(n, C)`` of each;
                or these of one model. Outputs of which all rows are nonnegative and sum to 1 are probabilities; their
                logarithms are kept.
            y: True classes ``(n,)``, -1 where unknown.
            ids: Ids of the rows; ``None`` for their numbers.
            seeds: For each model, the names of its runs; ``None`` for their numbers.
            properties, name, notes: As of the class.

        Raises:
            InputError: As of the class.
        """
        given = runs if isinstance(runs, Mapping) else {"model": runs}
        groups = {str(key): list(value) for key, value in given.items()}
        if not any(groups.values()):
            raise InputError("runs", "must hold at least two runs (got none)")
        models = tuple(model for model, group in groups.items() for _ in group)
        named = {model: [*range(len(group))] if seeds is None else [*seeds[model]] for model, group in groups.items()}
        read = [prediction(one, f"run {number} of '{model}'")
                for model, group in groups.items() for number, one in enumerate(group)]  # fmt: skip
        sizes = sorted({len(classes) for classes, _ in read})
        if len(sizes) > 1:
            got = " and ".join(map(str, sizes))
            raise InputError("runs", f"must be predictions for the same rows (got {got} rows); drop the others")
        logits, more = _stacked([outputs for _, outputs in read])
        return cls(
            np.stack([classes for classes, _ in read]),
            models,
            tuple(str(seed) for model in groups for seed in named[model]),
            np.arange(sizes[0]) if ids is None else _array(ids),
            None if y is None else labels_of(y),
            logits,
            {key: np.asarray(_array(value), dtype=np.float64) for key, value in (properties or {}).items()},
            name,
            (*notes, *more),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models, each once."""
        return tuple(dict.fromkeys(self.models))

    @cached_property
    def num_classes(self) -> int:
        """Number of classes: the width of the outputs, or one more than the largest class that is seen."""
        seen = [int(self.classes.max()), -1 if self.y is None else int(self.y.max())]
        return max(max(seen) + 1, 0 if self.logits is None else self.logits.shape[2])

    @property
    def labeled(self) -> bool:
        """Whether the class of some row is known."""
        return self.y is not None and bool((self.y >= 0).any())

    def rows_of(self, model: str) -> Ints:
        """Places of the runs of a model."""
        return np.flatnonzero(np.asarray(self.models) == model)

    def with_rows(self, ids: Any, *, y: Any = None, properties: Mapping[str, Any] | None = None) -> PredictionRuns:
        """The same runs with labels and properties of the rows, matched by ids; those that are there are kept.

        Raises:
            InputError: If no id, or not every one, is among ``ids``.
        """
        own = comparable_ids(self.ids, "ids")
        here, there = matching_rows(own, comparable_ids(_array(ids), "ids"))
        if len(here) < len(own):
            found = f"(got {len(own) - len(here)} other ids of {len(own)})"
            raise InputError("ids", f"of the runs must all be ids of the data {found}; give the data of these rows")
        place = there[np.argsort(here)]
        labels = None if y is None else labels_of(y)[place]
        added = {key: np.asarray(_array(value), dtype=np.float64)[place] for key, value in (properties or {}).items()}
        known = self.y if self.y is not None else labels
        return PredictionRuns(
            self.classes, self.models, self.seeds, self.ids, known, self.logits, added | dict(self.properties),
            self.name, self.notes,
        )  # fmt: skip


def prediction(given: Any, where: str) -> tuple[Ints, Array | None]:
    """Classes ``(n,)`` of one run, and its outputs ``(n, C)`` if these were given.

    Raises:
        InputError: If it is neither, or a number is not finite.

    Example:
        >>> prediction(np.array([[0.2, 0.9], [3.0, 1.0]]), "a run")[0]
        array([1, 0])
    """
    found = _array(given)
    rule = "must be integer classes (n,) or logits (n, C) of at least two columns"
    if found.ndim not in (1, 2) or found.dtype.kind not in "iubf" or (found.ndim == 2 and found.shape[1] < 2):
        raise InputError("runs", f"{rule} (got {found.dtype} of shape {found.shape} in {where})")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise InputError("runs", f"must be finite (got NaN or an infinite number in {where}); check the training")
    if found.ndim == 1:
        if found.dtype.kind == "f" and bool((found != np.floor(found)).any()):
            raise InputError("runs", f"{rule} (got fractions of shape {found.shape} in {where})")
        return found.astype(np.int64), None
    if found.dtype.kind != "f":
        raise InputError("runs", f"{rule} (got {found.dtype} of shape {found.shape} in {where}); save logits as floats")
    outputs = found if found.dtype.itemsize >= 4 else found.astype(np.float32)
    if bool((outputs >= 0).all()) and bool((np.abs(outputs.sum(axis=1, dtype=np.float64) - 1) < 1e-4).all()):
        outputs = np.log(np.maximum(outputs, np.finfo(outputs.dtype).tiny))
    return found.argmax(axis=1), outputs


def labels_of(given: Any) -> Ints:
    """Classes ``(n,)``, -1 where unknown (also NaN); an :class:`InputError` if they are none."""
    found = _array(given)
    if found.dtype.kind == "f":
        found = np.where(np.isnan(found), -1, found)
    if found.ndim != 1 or found.dtype.kind not in "iubf" or (found.dtype.kind == "f" and bool((found % 1).any())):
        raise InputError("labels", f"must hold integer classes (n,) (got {found.dtype} of shape {found.shape})")
    return np.maximum(found.astype(np.int64), -1)


def _array(given: Any) -> Array:
    return np.asarray(given.detach().cpu().numpy() if hasattr(given, "detach") else given)


def _stacked(outputs: Sequence[Array | None]) -> tuple[Array | None, tuple[str, ...]]:
    """Outputs of all runs ``(R, n, C)``, or none if some run has none, with a note."""
    found = [one for one in outputs if one is not None]
    if not found:
        return None, ()
    if len(found) < len(outputs):
        return None, (f"{len(outputs) - len(found)} of {len(outputs)} runs hold classes only: logits are not used.",)
    widths = sorted({one.shape[1] for one in found})
    if len(widths) > 1:
        got = " and ".join(map(str, widths))
        raise InputError("runs", f"must have logits for the same classes (got {got} columns); give classes instead")
    return np.stack(found), ()
