"""The rows that a conversion is made of: where the anchors lie in the one space, and what the head says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from relgraph.anchors import AnchorSet
from relgraph.conversion.published_head import Outputs, PublishedHead
from relgraph.translation import centered
from relgraph.translation.weights import moderate_weights


@dataclass(frozen=True, eq=False)
class Pairing:
    """Anchors that a space and a head share, in float64 on the CPU, which every method of conversion starts from.

    Args:
        ids: Their node ids, ``(K,)``.
        anchors: Where they lie, around the centre of the space, ``(K, F)``.
        logits: What the head says of them, ``(K, C)``.
        center: The centre of the space, ``(F,)``.
        mean: The head's mean logits, ``(C,)``.
        like: A tensor of the type and on the device that the result is to have.
        outputs: What the logits are, see :class:`PublishedHead`.
    """

    ids: Tensor
    anchors: Tensor
    logits: Tensor
    center: Tensor
    mean: Tensor
    like: Tensor
    outputs: Outputs = "classes"

    @classmethod
    def of(cls, published: PublishedHead, space: AnchorSet, head_rows: Tensor, rows: Tensor) -> Pairing:
        """Pair the rows of a head with those of a space."""
        return cls(
            space.ids[rows].cpu(),
            centered(space, rows),
            published.logits[head_rows].cpu().to(torch.float64),
            space.center.cpu().to(torch.float64),
            published.mean_logits.cpu().to(torch.float64),
            space.embeddings,
            published.outputs,
        )

    def take(self, rows: Tensor) -> Pairing:
        """Some of the anchors; centre and mean stay those of all nodes, and the result stays in float64."""
        part = replace(self, ids=self.ids[rows], anchors=self.anchors[rows], logits=self.logits[rows])
        return replace(part, like=self.anchors)

    @property
    def offset(self) -> Tensor:
        """The logits around their mean, ``(K, C)``; of classes without what all have in common: no softmax sees it."""
        offset = self.logits - self.mean
        return offset - offset.mean(dim=1, keepdim=True) if self.outputs == "classes" else offset

    def weights(self) -> Tensor:
        """How much each anchor counts in least squares on logits, ``(K,)``: little where they are enormous.

        :func:`relgraph.translation.weights.moderate_weights` of :attr:`offset`; 1 for a head of values, which are
        themselves what is wanted, and not what is decided by them.
        """
        return torch.ones_like(self.logits[:, 0]) if self.outputs == "values" else moderate_weights(self.offset)

    def linear(self, weight: Tensor, bias: Tensor) -> nn.Linear:
        """The frozen layer on the space's own coordinates, of weights ``(F, C)`` and logits at the centre ``(C,)``."""
        # Not nn.Linear(...): its initial values would be drawn from the global generator.
        layer: nn.Linear = skip_init(nn.Linear, weight.size(0), weight.size(1))  # type: ignore[no-untyped-call]
        layer = layer.to(self.like.dtype).to(self.like.device)
        with torch.no_grad():
            layer.weight.copy_(weight.mT)
            layer.bias.copy_(bias - self.center @ weight)
        return layer.requires_grad_(False).eval()
