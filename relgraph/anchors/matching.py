"""Matching of ids: rows that two lists of ids share, and the rule for which anchor values fit together."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from relgraph.arrays import plain
from relgraph.errors import InputError, RelgraphWarning
from relgraph.fingerprints import compare_fingerprints, graph_sizes, short_fingerprint


class GraphChangedWarning(RelgraphWarning):
    """Two published objects match by ids but were made on different graphs."""


class GraphGrownWarning(GraphChangedWarning):
    """The one graph has grown from the other, such as today's from yesterday's, which is the usual case."""


def shared_ids(a_ids: Tensor, b_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of two lists of ids that hold the same id, in the order of the first list.

    Args:
        a_ids: Ids without repeats, shape ``(K,)``.
        b_ids: Ids without repeats, shape ``(M,)``.

    Returns:
        ``(rows_a, rows_b)``, both of shape ``(S,)``, with ``a_ids[rows_a]`` equal to ``b_ids[rows_b]``.

    Example:
        >>> rows_a, rows_b = shared_ids(torch.tensor([5, 3, 9]), torch.tensor([9, 4, 5, 1]))
        >>> rows_a, rows_b
        (tensor([0, 2]), tensor([2, 0]))
    """
    a, (b, order) = a_ids.cpu(), b_ids.cpu().sort()
    if b.numel() == 0:
        return torch.zeros_like(a_ids[:0], dtype=torch.int64), torch.zeros_like(b_ids, dtype=torch.int64)
    place = torch.searchsorted(b, a).clamp(max=b.numel() - 1)
    found = b[place] == a
    return found.nonzero().view(-1).to(a_ids.device), order[place[found]].to(b_ids.device)


def repeated_id(ids: Tensor) -> int | None:
    """An id that occurs more than once in ``ids``, or ``None``."""
    ordered = ids.sort().values
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return int(repeated[0]) if repeated.numel() else None


def as_tensor(argument: str, value: object) -> Tensor:
    """A tensor, array, data frame, or nested list of numbers as a tensor; anything else is an :class:`InputError`."""
    if isinstance(value, Tensor):
        return value
    try:
        return torch.as_tensor(plain(np.asarray(value)) if hasattr(value, "__array__") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        found = f"(got {type(value).__name__})"
        raise InputError(argument, f"must be a tensor, or an array or list of numbers {found}") from error


def row_numbers(argument: str, rows: object, count: int, *, fewest: int = 1) -> Tensor:
    """Row numbers from a mask ``(count,)`` or from row numbers, none of them twice.

    A mask of integers, 0 and 1, would pass as the rows 0 and 1, if rows could repeat.

    Raises:
        InputError: If it is neither, or names fewer than ``fewest`` rows, a missing one, or one more than once.

    Example:
        >>> row_numbers("among", torch.tensor([True, False, True]), 3)
        tensor([0, 2])
    """
    rows = as_tensor(argument, rows)
    rows = rows.long() if rows.shape == (0,) else rows  # an empty list has no integers
    mask = rows.dtype == torch.bool
    if rows.dim() != 1 or (mask and rows.numel() != count) or rows.is_floating_point() or rows.is_complex():
        raise InputError(
            argument,
            f"must be a mask of {count} rows or a list of row numbers (got {rows.dtype} of shape "
            f"{tuple(rows.shape)}); pass data.train_mask, for example",
        )
    numbers = rows.nonzero().view(-1) if mask else rows.long()
    if numbers.numel() < fewest or not bool(((numbers >= 0) & (numbers < count)).all()):
        got = f"rows {int(numbers.min())} to {int(numbers.max())}" if numbers.numel() else "none"
        raise InputError(
            argument, f"must name rows from 0 to {count - 1}, at least one (got {got}); pass rows of the same graph"
        )
    if not mask and (repeated := repeated_id(numbers)) is not None:
        found = f"(got {repeated} more than once)"
        raise InputError(argument, f"must not repeat a row {found}; pass a boolean mask or every row once")
    return numbers


def aligned_rows(
    ids: Tensor, other_ids: Tensor, *, num_features: int, fingerprints: Sequence[str] = (), stacklevel: int = 1
) -> tuple[Tensor, Tensor]:
    """Rows of two published objects to pair.

    Equal sets of ids always fit. Of different ones the intersection is used if it has more members than the source
    space has dimensions, since a map fitted on fewer is not determined in some directions: anchors that have
    disappeared from one of the graphs are left out so. A different graph with matching ids is a warning and not an
    error, because published objects are made to be used on a later graph.

    Args:
        ids: Of the source space, shape ``(K,)``.
        other_ids: Of the other object, shape ``(M,)``.
        num_features: Dimensions ``F`` of the source space.
        fingerprints: Of the graphs that both were made on; an empty one is unknown and not compared.
        stacklevel: Frame that a warning names: 1 for the caller of this function, 2 for its caller's, and so on.

    Returns:
        Rows of the one and of the other, paired, in the order of ``ids``.

    Raises:
        InputError: If the ids differ and fewer than ``F + 1`` are shared.

    Warns:
        GraphChangedWarning: If two known fingerprints differ.
        GraphGrownWarning: If they do because the one graph has grown from the other.
    """
    rows, other_rows = shared_ids(ids, other_ids)
    if not (rows.numel() == ids.numel() == other_ids.numel()) and rows.numel() < num_features + 1:
        raise InputError(
            "",
            f"two published objects with different anchors need {num_features + 1} ids in common, one more than the "
            f"source space has dimensions (got {rows.numel()} of {ids.numel()} and {other_ids.numel()}); choose the "
            "same anchors for both with relgraph.AddAnchors.from_ids",
        )
    if (warning := graph_warning(fingerprints)) is not None:
        warnings.warn(warning, stacklevel=stacklevel + 1)
    return rows, other_rows


def graph_warning(fingerprints: Sequence[str]) -> GraphChangedWarning | None:
    """The warning for published objects of different graphs, which says how they differ; ``None`` for the same graph.

    The older graph is taken to be the one with fewer nodes. An empty fingerprint is unknown and not compared.

    Example:
        >>> graph_warning(["00aa", "00aa", ""])
        >>> graph_warning(["00bb", "00aa"])
        GraphChangedWarning('the anchors match by id, but were published on different graphs (00aa and 00bb)')
    """
    known = sorted({fingerprint for fingerprint in fingerprints if fingerprint}, key=_size)
    for old, new in itertools.pairwise(known):
        found = compare_fingerprints(old, new)
        names = f"{short_fingerprint(old)} and {short_fingerprint(new)}"
        if found.kind == "grown" and found.counts is not None:
            before, after = found.counts
            return GraphGrownWarning(
                f"the anchors match by id, and the graph has changed between the two: from {before:,} to {after:,} "
                f"nodes, with {found.edges} of the old edges ({names})"
            )
        if found.kind == "other":
            doubt = "" if found.ids_agree else "; make sure that equal ids are the same nodes"
            return GraphChangedWarning(
                f"the anchors match by id, but were published on different graphs ({names}): {found.nodes} of the "
                f"nodes and {found.edges} of the edges of the smaller one are in the other{doubt}"
            )
        if found.kind == "unknown":
            return GraphChangedWarning(f"the anchors match by id, but were published on different graphs ({names})")
    return None


def _size(fingerprint: str) -> tuple[int, str]:
    return (graph_sizes(fingerprint) or (0, 0))[0], fingerprint
