"""The base of what is published of anchors: ids, values and their mean, checked, and read and written as one file."""

from __future__ import annotations

import copy
import datetime as dt
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from relgraph.anchors.matching import as_tensor, repeated_id, shared_ids
from relgraph.errors import DataError, InputError
from relgraph.graph import integer_ids, shown_ids
from relgraph.io import PathLike, load_record, save_record

LARGEST = 1e100
"""Larger numbers have squares, or sums of them, that are infinite in float64."""


@dataclass(frozen=True, eq=False, repr=False)
class AnchorValues:
    """Values ``(K, D)`` of ``K`` anchors and their mean over all rows: the base of AnchorSet and PublishedHead.

    Tensors are copied, so that a piece, which is known by a hash of its content, does not change with what it was made
    of; the copy takes ``K D`` numbers, and for a moment stands beside what was given.

    Args:
        ids: Stable ids of the anchors, shape ``(K,)``, integers without repeats; stored as int64.
        values: Values of the anchors, shape ``(K, D)``, finite.
        mean: Mean of the values over all rows, shape ``(D,)``, finite.
        fingerprint: Of the graph (:func:`relgraph.graph.fingerprint`); empty if unknown.
        version: Label of the release, any string; empty if unknown.
        time: When the values were computed, in ISO 8601, or as a ``datetime``, which is stored so; empty if unknown.
    """

    ids: Tensor
    values: Tensor
    mean: Tensor
    fingerprint: str
    version: str
    time: str

    # Of files: what they hold, the names of values and mean, of further tensors ``(K,)``, and of header attributes.
    _kind: ClassVar[str]
    _names: ClassVar[tuple[str, str]]
    _further: ClassVar[tuple[str, ...]] = ()
    _header: ClassVar[tuple[str, ...]]
    _release: ClassVar[tuple[str, ...]] = ("version", "time")

    def __post_init__(self) -> None:
        rows, mean = self._names
        ids = checked_ids(self.ids)
        values, average = check_rows(rows, self.values), as_tensor(mean, self.mean)
        count, width = values.shape
        if count != ids.numel():
            raise InputError(rows, f"must hold one row per id (got {count} rows for {ids.numel()} ids); pass its ids")
        if average.shape != (width,):
            raise InputError(mean, f"must have shape ({width},), as wide as '{rows}' (got {tuple(average.shape)})")
        average = check_rows(mean, average.unsqueeze(0)).squeeze(0)
        object.__setattr__(self, "ids", ids.to(values.device, copy=True))
        object.__setattr__(self, "values", values.detach().clone())
        object.__setattr__(self, "mean", average.detach().to(values, copy=True))
        version: object = self.version
        if not isinstance(version, str):
            got = f"got {type(version).__name__}"
            raise InputError("version", f"must be a string ({got}); give the label of the release, such as '2026-03'")
        object.__setattr__(self, "time", checked_time(self.time))
        for name in ("version", *self._header):
            try:
                str(getattr(self, name)).encode()
            except UnicodeEncodeError as error:
                got = f"(got {getattr(self, name)!r})"
                raise InputError(name, f"must be text that UTF-8 can write {got}; remove lone surrogates") from error

    def __len__(self) -> int:
        return self.ids.numel()

    @property
    def datetime(self) -> dt.datetime | None:
        """The time as a ``datetime`` with a time zone, UTC if none is given; ``None`` if it is unknown."""
        if not self.time:
            return None
        found = dt.datetime.fromisoformat(self.time)
        return found if found.tzinfo else found.replace(tzinfo=dt.UTC)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """A copy on another device or in another floating-point type; arguments as of ``Tensor.to``."""
        return self._changed(values=self.values.to(*args, **kwargs))

    def take(self, ids: Tensor) -> Self:
        """A copy with only these anchors, in this order; the mean does not change.

        Args:
            ids: Ids of some of the anchors, shape ``(M,)``.

        Raises:
            InputError: If an id is not among the anchors, or repeated.
        """
        given, ids = ids, checked_ids(ids).to(self.ids.device)
        asked, rows = shared_ids(ids, self.ids)
        if asked.numel() != ids.numel():
            missing = shown_ids(ids[~torch.isin(ids, self.ids)], given)
            raise InputError("ids", f"must be among the anchors (got {shortened(missing)}); see the attribute 'ids'")
        further = {name: getattr(self, name)[rows] for name in self._further}
        return self._changed(ids=self.ids[rows], values=self.values[rows], **further)

    def _changed(self, **changes: Any) -> Self:
        made = copy.copy(self)
        for name, value in changes.items():
            object.__setattr__(made, name, value)
        made.__post_init__()
        return made

    def save(self, path: PathLike) -> None:
        """Write it to one safetensors file, whole or not at all.

        Raises:
            DataError: If the file cannot be written.
        """
        tensors = {name: getattr(self, name) for name in ("ids", *self._names, *self._further)}
        header = {name: getattr(self, name) for name in (*self._header, *self._release)}
        save_record(path, self._kind, tensors, header)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read what :meth:`save` wrote, onto the CPU.

        Raises:
            DataError: If the file is missing, damaged, or of another kind or version.
        """
        names = ("ids", *cls._names, *cls._further)
        tensors, header = load_record(path, cls._kind, names)
        given: dict[str, Any] = {name: tensors[name] for name in names}
        try:
            # Files of earlier versions of relgraph have neither a version nor a time.
            return cls(**given | {name: header[name] for name in (*cls._header, *cls._release) if name in header})
        except InputError as error:
            raise DataError(f"'{path}' holds no usable {cls.__name__}: {error}; save it again") from error


def checked_ids(ids: Any) -> Tensor:
    """Ids as an int64 tensor ``(K,)``; an error if there are none, or they are repeated or no integers."""
    found = integer_ids(ids).to(torch.int64)
    if found.dim() != 1 or found.numel() == 0:
        raise InputError("ids", f"must list at least one integer (got shape {tuple(found.shape)}); pass ids (K,)")
    if (repeated := repeated_id(found)) is not None:
        raise InputError(
            "ids", f"must not repeat an id (got {shown_ids([repeated], ids)[0]} more than once); give every anchor once"
        )
    return found


def checked_time(time: object) -> str:
    """A time in ISO 8601, as it was given; an error if it is none. A ``datetime`` or ``date`` is written so.

    Example:
        >>> checked_time("2026-03-01T12:00Z"), checked_time(dt.date(2026, 3, 1)), checked_time("")
        ('2026-03-01T12:00Z', '2026-03-01', '')
    """
    if isinstance(time, dt.date):  # of which a datetime is one
        return time.isoformat()
    try:
        if isinstance(time, str) and (time == "" or dt.datetime.fromisoformat(time)):
            return time
    except ValueError:
        pass
    raise InputError("time", f"must be a time in ISO 8601 (got {time!r}); write '2026-03-01' or '2026-03-01T12:00Z'")


def check_rows(argument: str, rows: object) -> Tensor:
    """Rows as a tensor; an error if they are no matrix of floating-point numbers, or for the first row not finite."""
    found = as_tensor(argument, rows)
    if found.dim() != 2 or not found.is_floating_point():
        raise InputError(
            argument, f"must be a matrix of floating-point numbers (got {found.dtype} of shape {tuple(found.shape)})"
        )
    bad = (~found.isfinite().all(dim=1)).nonzero().view(-1)
    if bad.numel():
        value = "NaN" if bool(found[bad[0]].isnan().any()) else "infinity"
        raise InputError(argument, f"must hold finite numbers (got {value} in row {int(bad[0])}); check the training")
    if found.dtype == torch.float64 and found.numel() and float(found.abs().amax()) > LARGEST:
        raise InputError(argument, f"must hold numbers below {LARGEST:g} (got a larger one); rescale them")
    return found


def shortened(ids: list[int] | list[str], most: int = 5) -> str:
    """The first few of some ids, and the number of the others."""
    shown = ", ".join(map(str, ids[:most]))
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most} more"
