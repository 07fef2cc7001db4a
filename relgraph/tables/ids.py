"""Ids of rows: integers, strings and UUIDs in one comparable form, and the rows of two tables with the same id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relgraph.errors import DataError, InputError, reason

Ids = NDArray[Any]
_TEXT = 20  # digits of the largest 64-bit integer
_DECIMAL = re.compile(rf"0|-?[1-9][0-9]{{0,{_TEXT - 1}}}")


def comparable_ids(values: Ids, argument: str, hint: str = "name another column as 'key'") -> Ids:
    """Ids as int64, as uint64 where some are larger, or as bytes ``S`` of strings (UTF-8) and of UUIDs (16 bytes).

    Raises:
        InputError: If they are no list of integers, strings or UUIDs.

    Example:
        >>> comparable_ids(np.array(["a", "bc"]), "source")
        array([b'a', b'bc'], dtype='|S2')
        >>> comparable_ids(np.array([3, 4], dtype=np.uint8), "source").dtype
        dtype('int64')
    """
    if values.ndim != 1 or values.dtype.kind not in "iuUSV" or (values.dtype.kind == "V" and values.dtype.names):
        rule = "must have ids that are integers, strings or UUIDs"
        raise InputError(argument, f"{rule} (got {values.dtype} of shape {values.shape}); {hint}")
    if values.dtype.kind == "i":
        return values.astype(np.int64)
    if values.dtype.kind == "u":
        large = values.dtype.itemsize == 8 and bool((values > np.iinfo(np.int64).max).any())
        return values.astype(np.uint64 if large else np.int64)
    if values.dtype.kind == "U":
        return np.char.encode(values, "utf-8")
    return values.view(f"S{values.dtype.itemsize}") if values.dtype.kind == "V" else values


def read_ids(path: Path, like: Ids | None = None) -> Ids:
    """Ids in a file of their own: an ``.npy`` file, or a text of one id a line (:func:`text_ids`).

    Args:
        path: The file.
        like: Ids that they are compared with; as of :func:`in_kind_of`.

    Raises:
        DataError: If the file is missing or damaged.
    """
    try:
        if path.suffix == ".npy":
            found = np.asarray(np.load(path, allow_pickle=False))
        else:
            found = text_ids(path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n"))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"'{path}' must be an .npy file of ids, or a text of one id a line ({reason(error)})"
        ) from error
    return found if like is None else in_kind_of(found, like)


def text_ids(texts: Sequence[str]) -> Ids:
    """Ids that were written as text: integers if all are decimal numbers without a leading zero, else as they are.

    Example:
        >>> text_ids(["7", "-12"]), text_ids(["007", "12"]), text_ids(["New York", "3"])
        (array([  7, -12]), array(['007', '12'], dtype='<U3'), array(['New York', '3'], dtype='<U8'))
    """
    if texts and all(_DECIMAL.fullmatch(text.strip()) for text in texts):
        numbers = list(map(int, texts))
        for kind in (np.int64, np.uint64):
            if np.iinfo(kind).min <= min(numbers) and max(numbers) <= np.iinfo(kind).max:
                return np.array(numbers, dtype=kind)
    return np.array(texts, dtype=str)


def in_kind_of(ids: Ids, like: Ids) -> Ids:
    """Ids of a text file that look like integers as text again, if those that they are compared with are text.

    Example:
        >>> in_kind_of(np.array([7, 12]), np.array(["7", "b"])), in_kind_of(np.array([7, 12]), np.array([7]))
        (array(['7', '12'], dtype='<U21'), array([ 7, 12]))
    """
    return ids.astype(str) if ids.dtype.kind in "iu" and like.dtype.kind not in "iu" else ids


def text_in_kind_of(ids: Ids, like: Ids) -> Ids:
    """Ids that were written as text as integers or as text, as those are that they are compared with, if they can be.

    Example:
        >>> text_in_kind_of(np.array(["7", "12"]), np.array([7])), text_in_kind_of(np.array(["007"]), np.array([7]))
        (array([ 7, 12]), array(['007'], dtype='<U3'))
    """
    if like.dtype.kind in "iu" and ids.dtype.kind == "U":
        return text_ids(ids.tolist())
    return in_kind_of(ids, like)


def matching_rows(source: Ids, target: Ids) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of two tables with the same id, in the order of the source's rows.

    Args:
        source, target: Ids of :func:`comparable_ids`, without repeats.

    Raises:
        InputError: If an id is repeated, the ids are of different kinds, or none is in both tables.

    Example:
        >>> matching_rows(np.array([5, 3, 9]), np.array([9, 4, 5]))
        (array([0, 2]), array([2, 0]))
    """
    kinds = {name: "text" if ids.dtype.kind == "S" else "integers" for name, ids in _named(source, target)}
    if len(set(kinds.values())) > 1:
        found = f"{kinds['source']} in the source and {kinds['target']} in the target"
        raise InputError("key", f"must name ids of one kind in both tables (got {found}); convert one of them")
    for name, ids in _named(source, target):
        check_unique(ids, name)
    if np.array_equal(source, target):  # as tables without ids have them: no need to sort
        return np.arange(len(source)), np.arange(len(source))
    if source.dtype != target.dtype and "u" in source.dtype.kind + target.dtype.kind:
        source, target = (ids.astype(f"S{_TEXT}") for ids in (source, target))  # no type holds both signs and 2**63
    order = np.argsort(target, kind="stable")
    ordered = target[order]
    place = np.minimum(np.searchsorted(ordered, source), max(0, len(target) - 1))
    found_rows = np.flatnonzero(ordered[place] == source) if len(target) else np.zeros(0, np.int64)
    if not len(found_rows):
        some = " and ".join(shown(ids[0]) if len(ids) else "no row" for ids in (source, target))
        raise InputError(
            "key", f"must name ids that both tables have (got none in common, such as {some}); check the ids"
        )
    return found_rows, order[place[found_rows]]


def whole_bytes(ids: Ids) -> Ids:
    """Bytes ``S`` that are no text, such as UUIDs, as ``V``: numpy drops zeros at the end of the former.

    Example:
        >>> kinds = [whole_bytes(np.array(ids)).dtype for ids in ([bytes([255, 0]), b"ab"], [b"a", b"bc"])]
        >>> [str(kind) for kind in kinds]
        ['|V2', '|S2']
    """
    if ids.dtype.kind != "S" or ids.ndim != 1:
        return ids
    try:
        np.char.decode(ids, "utf-8")
    except UnicodeDecodeError:
        return np.ascontiguousarray(ids).view(f"V{ids.dtype.itemsize}")
    return ids


def check_unique(ids: Ids, argument: str) -> None:
    """Refuse an id that occurs more than once, by name."""
    if bool((ids[1:] > ids[:-1]).all()):
        return
    ordered = np.sort(ids)
    repeated = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(repeated):
        got = f"got {shown(ordered[repeated[0]])} more than once"
        raise InputError(argument, f"must not repeat an id ({got}); keep one row for each, or name another 'key'")


def shown(one: Any) -> str:
    """An id as messages show it."""
    if not isinstance(one, bytes):
        return str(one)
    try:
        text = one.decode("utf-8")
    except UnicodeDecodeError:
        return one.hex()
    return repr(text) if text.isprintable() else one.hex()


def _named(source: Ids, target: Ids) -> tuple[tuple[str, Ids], tuple[str, Ids]]:
    return ("source", source), ("target", target)
