"""Heads that read relative representations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils import skip_init

if TYPE_CHECKING:
    from relgraph.conversion import PublishedHead


def relative_head(published: PublishedHead) -> nn.Linear:
    r"""The relative twin of a published head: a linear map of whitened relative vectors to logits.

    .. math:: \mathrm{logits} = r \, (L - \mathbf 1 \, \bar l^\top) + \bar l

    with the head's logits on its own anchors :math:`L` and their mean over all nodes :math:`\bar l`. Fed with the
    whitened relative vectors of *any* run over the same anchors in the same order, it is that run's conversion
    (:func:`relgraph.convert`); nothing is trained.

    Args:
        published: A published head with ``K`` anchors and ``C`` classes.

    Returns:
        A frozen linear map from ``(N, K)`` to ``(N, C)``.

    Example:
        >>> from relgraph.conversion import PublishedHead, publish
        >>> from relgraph.anchors import AnchorSet
        >>> z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> space = AnchorSet(ids=torch.arange(20), embeddings=z[:20], center=z.mean(0), fingerprint="", space="")
        >>> relative_head(publish(nn.Linear(4, 3), space))
        Linear(in_features=20, out_features=3, bias=True)
    """
    count, classes = published.logits.shape
    # Not nn.Linear(...): its initial values would be drawn from the global generator.
    head: nn.Linear = skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, count, classes, device=published.logits.device, dtype=published.logits.dtype
    )
    with torch.no_grad():
        head.weight.copy_((published.logits - published.mean_logits).mT)
        head.bias.copy_(published.mean_logits)
    return head.requires_grad_(False)
