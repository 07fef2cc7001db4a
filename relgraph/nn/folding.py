"""Linear heads on relative representations: made from a published head, and folded into heads on embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, PublishedHead, shared_ids
from relgraph.errors import InputError, require
from relgraph.maps import fold_translation
from relgraph.maps.modules import frozen_linear
from relgraph.nn.relative import RelativeLayer, given_anchors
from relgraph.registry import SIMILARITIES
from relgraph.similarity import apply_map, normalizing_map, resolve, safe_norm, whitened_projection
from relgraph.similarity.checks import exact

_PART = 1 << 18  # values of z that stay in the cache of a core between the norm and the product


class FoldedCosine(nn.Module):
    r"""A linear head on cosine vectors as a map of the embeddings themselves; made by :func:`fold`.

    .. math:: \mathrm{logits} = \frac{z' M}{\|z'\|} + b, \qquad z' = (z - m) \, T

    The division by the norm follows the product, so without normalization no copy of ``z`` is made, and memory is O(N)
    beyond the logits unless a gradient is needed. On a CPU many rows are processed in parts, so that ``z`` is read from
    memory once.

    Arguments: ``M`` ``(F, C)``, ``b`` ``(C,)``, ``m`` ``(F,)``, and ``T`` ``(F, F)`` or its diagonal ``(F,)``.
    """

    shift: Tensor | None
    scale: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor, shift: Tensor | None = None, scale: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)

    def forward(self, z: Tensor) -> Tensor:
        """Logits ``(N, C)`` of embeddings ``(N, F)``."""
        if not self._takes_parts(z):
            return self._logits(z)
        rows = max(1, _PART * torch.get_num_threads() // z.size(1))
        logits = z.new_empty(z.size(0), self.weight.size(1))
        for part, place in zip(torch.split(z, rows), torch.split(logits, rows), strict=True):
            place.copy_(self._logits(part))
        return logits

    def _logits(self, z: Tensor) -> Tensor:
        z = apply_map(z, self.shift, self.scale)
        norm = safe_norm(z)
        # In place: for many nodes, a second matrix (N, C) costs more time than the division.
        return (z @ self.weight).div_(norm).add_(self.bias)

    def _takes_parts(self, z: Tensor) -> bool:
        # Not with gradients, which would be summed over parts, nor where a compiler or autocast decides.
        if z.device.type != "cpu" or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu") or z.dim() != 2:
            return False
        learns = z.requires_grad or self.weight.requires_grad or self.bias.requires_grad
        return z.numel() > 4 * _PART * torch.get_num_threads() and not (learns and torch.is_grad_enabled())

    def extra_repr(self) -> str:
        """The sizes, as of a linear layer."""
        return f"in_features={self.weight.size(0)}, out_features={self.weight.size(1)}"


@torch.no_grad()
def fold(
    head: nn.Module, layer: RelativeLayer | None = None, anchors: AnchorSet | Tensor | None = None
) -> nn.Linear | FoldedCosine:
    r"""Merge anchors, relative layer and linear head into one head on absolute embeddings; or a translation.

    .. math:: (z A') \, W' = z \, (A' W')

    The result equals the layer followed by the head up to rounding and costs as much as a linear head on ``z``; the
    relative representation ``(N, K)`` is never computed. Its parameters are frozen copies.

    Without a layer, ``head`` is an affine translation, which becomes one linear layer
    (:func:`relgraph.maps.fold_translation`).

    Args:
        head: A ``torch.nn.Linear`` from K to C on relative representations.
        layer: Their layer, with a similarity that is bilinear up to one factor per node, such as cosine; if it divides
            by norms, the result is a :class:`FoldedCosine`.
        anchors: The AnchorSet or the embeddings ``(K, F)`` that the layer is given; left out for a frozen layer.

    Raises:
        InputError: If the head is not linear, the similarity is not bilinear, the anchors of head and layer differ, or
            anchors are given twice or not at all.

    Example:
        >>> z = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
        >>> layer, head = RelativeLayer("whitened"), nn.Linear(6, 3)
        >>> folded = fold(head, layer, z[:6])
        >>> folded
        Linear(in_features=4, out_features=3, bias=True)
        >>> torch.allclose(folded(z), head(layer(z, anchors=z[:6])), atol=1e-5)
        True
    """
    if layer is None:
        return fold_translation(head)
    apart = "keep layer and head apart"
    if not isinstance(head, nn.Linear):
        raise InputError("head", f"must be a torch.nn.Linear to be folded (got {type(head).__name__}); {apart}")
    if isinstance(head, RelativeHead):
        head.check(layer, anchors)
    similarity, _ = resolve(layer.similarity, layer.normalization)
    if not similarity.bilinear:
        bilinear = ", ".join(sorted(name for name in SIMILARITIES if SIMILARITIES.resolve(name).bilinear))
        found = f"{bilinear} (got '{similarity.name}')"
        raise InputError("layer", f"must have a bilinear similarity to be folded: {found}; {apart}")
    rows, center = layer.frozen_anchors, layer.frozen_center
    if (rows is None) == (anchors is None):
        got, hint = ("none", "pass them, or freeze the layer") if rows is None else ("both", "leave them out")
        raise InputError("anchors", f"must be given unless the layer is frozen (got {got}); {hint}")
    if rows is None:
        rows, center = given_anchors(None, None, anchors)
    if head.in_features != rows.size(0):
        found = f"{rows.size(0)} (got {head.in_features})"
        raise InputError("head", f"must read one coordinate per anchor, {found}; pass the anchors it was made for")
    rows = rows.to(head.weight.device)
    center = None if center is None else center.to(rows.device)
    precise = exact(rows.device)
    shift, scale, matrix = _parts(rows, center, layer)
    weight = matrix.to(precise) @ head.weight.to(precise).T
    bias = torch.zeros_like(head.weight[:, 0]) if head.bias is None else head.bias.clone()
    if similarity.normed:
        shift, scale = (None if part is None else part.to(bias) for part in (shift, scale))
        return FoldedCosine(weight.to(bias), bias, shift, scale)
    if scale is not None:
        weight = (torch.diag(scale) if scale.dim() == 1 else scale).to(weight) @ weight
    return frozen_linear(nn.Linear, weight.T, bias if shift is None else (bias - shift.to(precise) @ weight).to(bias))


def _parts(rows: Tensor, center: Tensor | None, layer: RelativeLayer) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """The affine map of the layer's normalization, and the matrix ``(F, K)`` of its similarity after it."""
    similarity, _ = resolve(layer.similarity, layer.normalization)
    if similarity.whitens:
        shift, matrix = whitened_projection(rows, center=center, shrinkage=layer.shrinkage)
        return shift, None, matrix
    moved, scale = normalizing_map(rows, layer.normalization, center=center, shrinkage=layer.shrinkage)
    precise = rows.to(exact(rows.device))
    # Unit vectors have norm 1, so their similarities are the matrix of a bilinear function.
    units = torch.eye(rows.size(1), dtype=precise.dtype, device=rows.device)
    return moved, scale, similarity.function(units, apply_map(precise, moved, scale))


class RelativeHead(nn.Linear):
    """A linear map of whitened relative representations with the ids of their anchors; see :func:`relative_head`."""

    similarity = "whitened"
    anchor_ids: Tensor

    def check(self, layer: RelativeLayer, anchors: AnchorSet | Tensor | None = None) -> None:
        """Refuse a layer with another similarity, and an AnchorSet of other anchors or in another order."""
        if layer.similarity != self.similarity:
            found = f"'{self.similarity}' (got '{layer.similarity}'); make it with RelativeLayer('{self.similarity}')"
            raise InputError("layer", f"must have the similarity that the head reads, {found}")
        ids = getattr(anchors, "ids", None)
        if ids is not None and ids.tolist() != self.anchor_ids.tolist():
            hint = "make the head with relative_head(published, anchors)"
            raise InputError(
                "anchors", f"must be those of the head in the same order (got others, or another order); {hint}"
            )

    def extra_repr(self) -> str:
        """The sizes and the similarity."""
        return f"{super().extra_repr()}, similarity='{self.similarity}'"


def relative_head(head: PublishedHead, anchors: AnchorSet | None = None) -> RelativeHead:
    r"""A published head as a linear map of whitened relative representations, without training.

    .. math:: \mathrm{logits} = r \, (L - \mathbf 1 \, \bar l^\top) + \bar l

    with the outputs of the head on its own anchors :math:`L` and their mean over all nodes :math:`\bar l`. On the
    whitened relative representation ``(N, K)`` of *any* run with the same anchors in the same order it is the ridge
    regression of the outputs with equal weights: what :func:`relgraph.convert` gives by ``"ridge"``, with the shrinkage
    of the layer, for values, and without the weights that make it robust for logits. It is frozen; ``anchor_ids``
    names the anchor of each coordinate.

    Args:
        head: A published head with ``K`` anchors and ``C`` outputs.
        anchors: The anchors of the relative representations, in their order; by default those of ``head``.

    Raises:
        InputError: If ``anchors`` are not those of the head.

    Example:
        >>> from relgraph.anchors import AnchorSet, publish
        >>> z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> space = AnchorSet(ids=torch.arange(20), embeddings=z[:20], center=z.mean(0))
        >>> relative_head(publish(nn.Linear(4, 3), space))
        RelativeHead(in_features=20, out_features=3, bias=True, similarity='whitened')
    """
    require("head", head, PublishedHead, "make one with relgraph.publish")
    logits, ids = head.outputs, head.ids
    if anchors is not None:
        _, rows = shared_ids(anchors.ids, ids)
        if not len(rows) == len(ids) == len(anchors):
            found = f"{len(ids)} (got {len(anchors)}, {len(rows)} of them the head's)"
            raise InputError("anchors", f"must be those of the head, {found}; relgraph.convert needs only some of them")
        logits, ids = logits[rows], ids[rows]
    linear = frozen_linear(RelativeHead, (logits - head.mean).mT, head.mean)
    linear.register_buffer("anchor_ids", ids.clone())
    return linear
