"""Heads that read relative representations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from relgraph.errors import InputError

if TYPE_CHECKING:
    from relgraph.anchors import AnchorSet
    from relgraph.conversion import PublishedHead
    from relgraph.nn.relative import RelativeLayer


class RelativeHead(nn.Linear):
    """A linear map of whitened relative vectors that knows which anchors they refer to; of :func:`relative_head`."""

    similarity = "whitened"
    anchor_ids: Tensor

    def check(self, layer: RelativeLayer, anchors: AnchorSet | Tensor | None = None) -> None:
        """Refuse a layer of another similarity, and an AnchorSet of other anchors or in another order.

        Raises:
            InputError: If they do not fit.
        """
        if layer.similarity != self.similarity:
            raise InputError(
                "layer",
                f"must have the similarity that the head reads, '{self.similarity}' "
                f"(got '{layer.similarity}'); make it with RelativeLayer('{self.similarity}')",
            )
        ids = getattr(anchors, "ids", None)
        if ids is not None and ids.tolist() != self.anchor_ids.tolist():
            raise InputError(
                "anchors",
                "must be those of the head in the same order (got others, or another order); make the head "
                "with relative_head(published, anchors)",
            )

    def extra_repr(self) -> str:
        """The widths, and what the head reads."""
        return f"{super().extra_repr()}, similarity='{self.similarity}'"


def relative_head(published: PublishedHead, anchors: AnchorSet | None = None) -> RelativeHead:
    r"""The relative twin of a published head: a linear map of whitened relative vectors to logits.

    .. math:: \mathrm{logits} = r \, (L - \mathbf 1 \, \bar l^\top) + \bar l

    with the head's logits on its own anchors :math:`L` and their mean over all nodes :math:`\bar l`. Fed with the
    whitened relative vectors of *any* run over the same anchors in the same order, it is that run's conversion
    (:func:`relgraph.convert`); nothing is trained.

    Args:
        published: A published head with ``K`` anchors and ``C`` classes.
        anchors: The anchors that the relative vectors are made of, whose order the head then takes; by default the
            order of ``published``.

    Returns:
        A frozen linear map from ``(N, K)`` to ``(N, C)``; its ``anchor_ids`` say which anchor each coordinate is of,
        and its ``check(layer, anchors)`` refuses what would be read wrongly.

    Raises:
        InputError: If ``anchors`` are not those of the head.

    Example:
        >>> from relgraph.conversion import PublishedHead, publish
        >>> from relgraph.anchors import AnchorSet
        >>> z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> space = AnchorSet(ids=torch.arange(20), embeddings=z[:20], center=z.mean(0), fingerprint="", space="")
        >>> relative_head(publish(nn.Linear(4, 3), space))
        RelativeHead(in_features=20, out_features=3, bias=True, similarity='whitened')
    """
    logits, ids = published.logits, published.ids
    if anchors is not None:
        from relgraph.anchors import shared_ids

        _, rows = shared_ids(anchors.ids, ids)
        if not len(rows) == len(ids) == len(anchors):
            raise InputError(
                "anchors",
                f"must be those of the head, {len(ids)} (got {len(anchors)}, {len(rows)} of them the head's)"
                "; convert the head with relgraph.convert, which needs only some of them",
            )
        logits, ids = logits[rows], ids[rows]
    count, classes = logits.shape
    # Not nn.Linear(...): its initial values would be drawn from the global generator.
    head: RelativeHead = skip_init(  # type: ignore[no-untyped-call]
        RelativeHead, count, classes, device=published.logits.device, dtype=published.logits.dtype
    )
    with torch.no_grad():
        head.weight.copy_((logits - published.mean_logits).mT)
        head.bias.copy_(published.mean_logits)
    head.register_buffer("anchor_ids", ids.clone())
    return head.requires_grad_(False)
