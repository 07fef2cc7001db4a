"""When two published pieces fit: they speak of the same nodes, whatever the order of their rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from relgraph.errors import InputError


class GraphChangedWarning(UserWarning):
    """Two pieces match by node ids but were made on different graphs, such as today's and yesterday's."""


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
        nothing = torch.zeros(0, dtype=torch.int64)
        return nothing.to(a_ids.device), nothing.to(b_ids.device)
    place = torch.searchsorted(b, a).clamp(max=b.numel() - 1)
    found = b[place] == a
    return found.nonzero().view(-1).to(a_ids.device), order[place[found]].to(b_ids.device)


def repeated_id(ids: Tensor) -> int | None:
    """An id that stands more than once in ``ids``, or ``None``.

    Example:
        >>> repeated_id(torch.tensor([4, 7, 4]))
        4
    """
    ordered = ids.sort().values
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return int(repeated[0]) if repeated.numel() else None


def aligned_rows(
    ids: Tensor, other_ids: Tensor, *, num_features: int, fingerprints: Sequence[str] = (), stacklevel: int = 1
) -> tuple[Tensor, Tensor]:
    """Rows of two published pieces to pair, under the one rule for what fits.

    Equal sets of ids always fit. Of different ones the intersection is used, as long as it has more members than the
    source space has dimensions: a map fitted on fewer leaves directions open that nobody has looked at. A different
    graph with matching ids is a warning and not an error: tomorrow's graph is what published pieces are for.

    Args:
        ids: Of the source space, shape ``(K,)``.
        other_ids: Of the other piece, shape ``(M,)``.
        num_features: Dimensions ``F`` of the source space.
        fingerprints: Of the graphs that both were made on; an empty one is unknown and says nothing.
        stacklevel: Whose line a warning names: 1 for the line that calls this, 2 for its caller's, and so on.

    Returns:
        Rows of the one and of the other, paired, in the order of ``ids``.

    Raises:
        InputError: If the ids differ and fewer than ``F + 1`` are shared.

    Warns:
        GraphChangedWarning: If two known fingerprints differ.
    """
    rows, other_rows = shared_ids(ids, other_ids)
    if not (rows.numel() == ids.numel() == other_ids.numel()) and rows.numel() < num_features + 1:
        raise InputError(
            "",
            f"two published pieces with different anchors need {num_features + 1} ids in common, one more than the "
            f"source space has dimensions (got {rows.numel()} of {ids.numel()} and {other_ids.numel()}); choose the "
            "same anchors for both with relgraph.AddAnchors.from_ids",
        )
    if len(known := {fingerprint for fingerprint in fingerprints if fingerprint}) > 1:
        warnings.warn(
            f"the pieces were made on different graphs ({' and '.join(sorted(known))}); their anchors match by id",
            GraphChangedWarning,
            stacklevel=stacklevel + 1,
        )
    return rows, other_rows
