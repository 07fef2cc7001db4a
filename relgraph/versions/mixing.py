"""The mean of two heads for a new version: the converted one, and the old one behind a rotation."""

from __future__ import annotations

import torch
from torch import nn

from relgraph.anchors.matching import shared_ids
from relgraph.anchors.values import AnchorSet, PublishedHead
from relgraph.errors import InputError, require
from relgraph.maps import convert, fold_translation, translate
from relgraph.maps.modules import FittedLinear, frozen_linear

LEAST_EXPLAINED = 0.5
"""Share of the variance of the published outputs that the old head explains, if it is the one that was published."""


@torch.no_grad()
def mixed_head(
    space: AnchorSet, head: PublishedHead, old_space: AnchorSet, old_head: nn.Linear, method: str | None = None
) -> nn.Linear:
    r"""The mean of the logits of a converted head and of the old head behind a rotation, as one linear layer.

    .. math:: f(z) = \tfrac{1}{2} \bigl(c(z) + h(R(z))\bigr)

    with the converted head ``c`` (:func:`relgraph.convert`), the old head ``h``, and the rotation, scale and shift
    ``R`` of least squares from the new to the old space on the common anchors (``"procrustes"``). The two fail on
    different rows: a converted head may answer rows far from all anchors wrongly, a rotation follows the space less
    closely. On ogbn-arxiv, where the graph grows to seven times its size, the mean keeps what the converted head alone
    loses (``benchmarks/versions``). It needs the old embeddings of the anchors and the old head itself, not only its
    outputs.

    Args:
        space: Anchors of the new version.
        head: The outputs of the old version's head at anchors.
        old_space: Anchors of the old version.
        old_head: The old version's head.
        method: The map of the conversion, as of :func:`relgraph.convert`; one that gives a linear layer.

    Returns:
        Frozen layer in the type and on the device of the new space.

    Raises:
        InputError: If the old head is no linear layer from the old space to the published outputs, or gives others at
            the old anchors (outputs as of a later graph are near enough), the method gives a curved map, or the pieces
            share too few anchors.

    Example:
        >>> before = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
        >>> after, anchors = before.flip(1) + 1, torch.arange(100)
        >>> old_head = frozen_linear(nn.Linear, torch.eye(3, 4), torch.zeros(3))
        >>> old_space = AnchorSet.from_rows(before, anchors)
        >>> head = PublishedHead(anchors, old_head(before[anchors]), old_head(before).mean(dim=0))
        >>> found = mixed_head(AnchorSet.from_rows(after, anchors), head, old_space, old_head)
        >>> float((found(after).argmax(1) == old_head(before).argmax(1)).float().mean()) > 0.97
        True
    """
    order = "the order is mixed_head(space, head, old_space, old_head)"
    for name, value, kind in (
        ("space", space, AnchorSet),
        ("head", head, PublishedHead),
        ("old_space", old_space, AnchorSet),
    ):
        require(name, value, kind, order)
    expected = f"must be a linear layer from {old_space.num_features} to {head.outputs.size(1)} values"
    if not isinstance(old_head, nn.Linear):
        raise InputError("old_head", f"{expected} (got a {type(old_head).__name__}); take the converted head alone")
    if tuple(old_head.weight.shape) != (head.outputs.size(1), old_space.num_features):
        found = f"{old_head.in_features} to {old_head.out_features}"
        raise InputError("old_head", f"{expected} (got {found}); pass the head that was published")
    _check_published(old_space, old_head, head)
    converted = convert(space, head, method)
    if not isinstance(converted, nn.Linear):
        raise InputError("method", f"must give a linear layer (got '{method}'); take 'kl' or 'ridge'")
    rotated = fold_translation(nn.Sequential(translate(space, old_space, "procrustes"), old_head))
    weight, bias = (
        (getattr(converted, name) + getattr(rotated, name).to(converted.bias)) / 2 for name in ("weight", "bias")
    )
    return frozen_linear(FittedLinear, weight, bias).eval()


def _check_published(old_space: AnchorSet, old_head: nn.Linear, head: PublishedHead) -> None:
    """Refuse an old space and head that do not give the published outputs."""
    here, there = shared_ids(old_space.ids, head.ids)
    if len(here) < 2:
        return  # too few anchors, which the maps refuse
    found = old_head(old_space.embeddings[here].to(old_head.weight)).cpu().double()
    published = head.outputs[there].cpu().double()
    spread = (published - published.mean(dim=0)).square().sum()
    explained = 1 - float((found - published).square().sum() / spread.clamp(min=1e-300))
    if not explained >= LEAST_EXPLAINED:
        rule = "must give the published outputs at the anchors of 'old_space'"
        way_out = "pass the space and the head that were published"
        raise InputError("old_head", f"{rule} (got others, of which they explain {explained:.2f}); {way_out}")
