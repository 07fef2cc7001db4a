"""From a published space and a published head to a module that reads the space with the head."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, overload

from torch import nn

from relgraph.anchors import AnchorSet, aligned_rows
from relgraph.conversion.auto import auto
from relgraph.conversion.kernel import rbf
from relgraph.conversion.kl import kl
from relgraph.conversion.left_out import NoCorrespondenceWarning, correspondence
from relgraph.conversion.linear import linear
from relgraph.conversion.pairing import Pairing
from relgraph.conversion.published_head import PublishedHead
from relgraph.errors import unknown_name
from relgraph.translation import Shrinkage
from relgraph.translation.leave_one_out import check_shrinkage

CONVERSIONS: dict[str, Callable[[Pairing, Shrinkage | None], nn.Module]] = {
    "linear": linear,
    "kl": kl,
    "rbf": rbf,
    "auto": auto,
}


@overload
def convert(
    published: PublishedHead,
    space: AnchorSet,
    method: Literal["linear", "kl"] = "linear",
    *,
    shrinkage: Shrinkage | None = None,
) -> nn.Linear: ...


@overload
def convert(
    published: PublishedHead, space: AnchorSet, method: str, *, shrinkage: Shrinkage | None = None
) -> nn.Module: ...


def convert(
    published: PublishedHead, space: AnchorSet, method: str = "linear", *, shrinkage: Shrinkage | None = None
) -> nn.Module:
    r"""Rewrite a published head for a published space: a module from the space's own coordinates to logits.

    .. math:: \text{logits}(z) = r \, (L - 1 l') + l', \qquad r = (z - m) \, S^{-1} (A - 1 m')' / K, \qquad
        S = A_c' A_c / K + g \operatorname{tr}(A_c' A_c / K) / F \; I

    with ``A_c = A - 1 m'``, anchors ``A`` and centre ``m`` of the space, logits ``L`` and mean ``l`` of the head, and
    shrinkage ``g``. The coordinates ``r`` are the whitened relative representation; it is linear in ``z``, so that the
    whole is one linear layer. Rotating, moving or scaling either space changes no logit. It equals
    :func:`relgraph.translation.ridge_affine` followed by the head, if that is linear.

    That is the method ``"linear"``. The others:

    * ``"kl"``: a linear layer as well, *fitted* to the head's probabilities on the anchors by KL divergence, a convex
      problem (:func:`relgraph.conversion.kl.kl`): softmax of classes, sigmoid of labels
      (:attr:`PublishedHead.outputs`). Better where the map between the spaces is rough and the head has
      many classes.
    * ``"rbf"``: kernel ridge regression with an intercept, the similarity (dot product, cosine, Gaussian) chosen by
      leave-one-out (:class:`relgraph.conversion.KernelConversion`). It can bend, and costs N K.
    * ``"auto"``: the one of the three that reads held-out anchors best
      (:func:`relgraph.conversion.auto.auto`); the module's ``choice`` says which, and why.

    In ``"kl"`` and ``"rbf"`` an anchor counts the less the larger its logits are (of a head of values, which has to be
    published as one, all count the same: :attr:`PublishedHead.outputs`), and the shrinkage of ``"kl"`` is that of the
    weighted linear map it is held to.

    A pure function of one published space and one published head and of nothing else: no label, weight or further
    node is seen, and nothing is drawn at random.

    Args:
        published: The head of the one run.
        space: The space of the other run.
        method: How to convert.
        shrinkage: ``g``, relative to the mean variance of the anchors; or ``"loo"``, the smallest that has about the
            least leave-one-out error (:func:`relgraph.translation.choose_shrinkage`). By default 0.01 for
            ``"linear"``, and ``"loo"`` for the others.

    Returns:
        Frozen module in the type and on the device of the space, a linear layer for ``"linear"`` and ``"kl"``;
        computed in float64.

    Raises:
        InputError: If the method is unknown, the two share too few anchors (:func:`relgraph.anchors.aligned_rows`),
            ``shrinkage`` is negative, or 0 with anchors that do not span the space or for ``"rbf"``, or ``"kl"`` is
            asked of a head of values, or of a single class.

    Warns:
        GraphChangedWarning: If the two were made on different graphs.
        NoCorrespondenceWarning: If 32 anchors and more are shared, and a rough conversion reads those that it was
            made without no better than where the rows are permuted
            (:func:`relgraph.conversion.left_out.correspondence`).

    Example:
        >>> import torch
        >>> a = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
        >>> head = PublishedHead(torch.arange(3), a.sum(1, keepdim=True), torch.zeros(1), "head at the centre")
        >>> convert(head, AnchorSet(torch.arange(3), a, torch.zeros(2)), shrinkage=0.0)(torch.tensor([[3.0, 4.0]]))
        tensor([[7.]])
    """
    module, pairing = converted(published, space, method, shrinkage=shrinkage, stacklevel=3)
    found = correspondence(pairing, bends=method in ("rbf", "auto"))
    if found is not None and not found.better:
        warnings.warn(
            f"{found}; check that ids name the same nodes in both pieces", NoCorrespondenceWarning, stacklevel=2
        )
    return module


def converted(
    published: PublishedHead, space: AnchorSet, method: str, *, shrinkage: Shrinkage | None = None, stacklevel: int = 2
) -> tuple[nn.Module, Pairing]:
    """The module of :func:`convert`, not held against permuted rows, and the rows that it was made of."""
    if method not in CONVERSIONS:
        raise unknown_name("method", method, CONVERSIONS)
    if shrinkage is not None:
        check_shrinkage(shrinkage)
    rows, head_rows = aligned_rows(
        space.ids,
        published.ids,
        num_features=space.num_features,
        fingerprints=(space.fingerprint, published.fingerprint),
        stacklevel=stacklevel,
    )
    pairing = Pairing.of(published, space, head_rows, rows)
    return CONVERSIONS[method](pairing, shrinkage), pairing
