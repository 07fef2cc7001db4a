"""Folding: a linear head on relative vectors as a head on absolute embeddings, without the ``(N, K)`` in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from relgraph.errors import InputError
from relgraph.nn.heads import RelativeHead
from relgraph.nn.relative import RelativeLayer, given_anchors
from relgraph.similarity import SIMILARITIES, apply_map, normalizing_map, resolve, safe_norm, whitened_projection

if TYPE_CHECKING:
    from relgraph.anchors import AnchorSet


_PART = 1 << 18  # values of z that a processor core keeps at hand from the norm to the product


class FoldedCosine(nn.Module):
    r"""A linear head on cosine vectors as a map of the embeddings themselves; made by :func:`fold`.

    .. math:: \mathrm{logits} = \frac{z' M}{\|z'\|} + b, \qquad z' = (z - m) \, T

    The norm divides after the product, so without normalization no copy of ``z`` is made: beyond the logits
    themselves, memory is O(N), unless there is a gradient to keep. With center, standardize or whiten, ``z'`` is a
    copy ``(N, F)``, and with whiten one more product of F by F. On a CPU many rows are taken a part at a time, which
    reads ``z`` from memory once and not twice, and copies only the part.

    Args:
        weight: The matrix ``M`` ``(F, C)``.
        bias: The constants ``b`` ``(C,)``.
        shift: The centre ``m`` ``(F,)``, or ``None``.
        scale: The matrix ``T`` ``(F, F)`` or its diagonal ``(F,)``, or ``None``.

    Example:
        >>> head = FoldedCosine(torch.eye(2), torch.zeros(2))
        >>> head(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """

    def __init__(self, weight: Tensor, bias: Tensor, shift: Tensor | None = None, scale: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.shift: Tensor | None
        self.scale: Tensor | None
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
        # In place: of many nodes, a second matrix (N, C) costs more than the division itself.
        return (z @ self.weight).div_(norm).add_(self.bias)

    def _takes_parts(self, z: Tensor) -> bool:
        # A gradient would be gathered part by part, a compiler fuses by itself, and autocast chooses the logits' type.
        if z.device.type != "cpu" or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu") or z.dim() != 2:
            return False
        learns = z.requires_grad or self.weight.requires_grad or self.bias.requires_grad
        return z.numel() > 4 * _PART * torch.get_num_threads() and not (learns and torch.is_grad_enabled())

    def extra_repr(self) -> str:
        """The widths, as of a linear layer."""
        return f"in_features={self.weight.size(0)}, out_features={self.weight.size(1)}"


@torch.no_grad()
def fold(head: nn.Module, layer: RelativeLayer, anchors: AnchorSet | Tensor | None = None) -> nn.Linear | FoldedCosine:
    r"""Merge anchors, relative layer and linear head into one head on absolute embeddings.

    .. math:: (z A') \, W' = z \, (A' W')

    The result equals the layer followed by the head up to rounding, costs what a linear head on ``z`` costs, and the
    relative representation ``(N, K)`` never exists. It is meant for serving: its parameters are frozen, and later
    changes of the anchors or of the head do not reach it.

    Args:
        head: ``torch.nn.Linear`` from K to C, reading relative vectors.
        layer: The layer that makes them, with a similarity that is bilinear (cosine counts: it is up to one factor
            per node).
        anchors: The AnchorSet or the embeddings ``(K, F)`` that the layer is given; of a frozen layer its own are
            taken, so leave them out.

    Returns:
        ``torch.nn.Linear`` from F to C, or a :class:`FoldedCosine` where the similarity divides by norms.

    Raises:
        InputError: If the head is not linear, the similarity is not bilinear, the numbers of anchors differ, not
            exactly one of layer and argument has anchors, or a :func:`relative_head` reads other anchors, another
            order or another similarity.

    Example:
        >>> z = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
        >>> layer, head = RelativeLayer("whitened"), nn.Linear(6, 3)
        >>> folded = fold(head, layer, z[:6])
        >>> folded
        Linear(in_features=4, out_features=3, bias=True)
        >>> torch.allclose(folded(z), head(layer(z, anchors=z[:6])), atol=1e-5)
        True
    """
    if not isinstance(head, nn.Linear):
        raise InputError(
            "head", f"must be a torch.nn.Linear to be folded (got {type(head).__name__}); keep layer and head apart"
        )
    if isinstance(head, RelativeHead):
        head.check(layer, anchors)
    similarity, _ = resolve(layer.similarity, layer.normalization)
    if not similarity.bilinear:
        bilinear = ", ".join(sorted(name for name, entry in SIMILARITIES.items() if entry.bilinear))
        raise InputError(
            "layer",
            f"must have a bilinear similarity to be folded: {bilinear} (got '{similarity.name}'); "
            "keep layer and head apart",
        )
    rows, center = layer.frozen_anchors, layer.frozen_center
    if (rows is None) == (anchors is None):
        got, hint = ("none", "pass them, or freeze the layer") if rows is None else ("both", "leave them out")
        raise InputError("anchors", f"must be given unless the layer is frozen (got {got}); {hint}")
    if rows is None:
        rows, center = given_anchors(None, None, anchors)
    if head.in_features != rows.size(0):
        raise InputError(
            "head",
            f"must read one coordinate per anchor, {rows.size(0)} (got {head.in_features}); "
            "pass the anchors it was made for",
        )
    rows = rows.to(head.weight.device)
    center = None if center is None else center.to(rows.device)
    exact = torch.float32 if rows.device.type == "mps" else torch.float64
    shift, scale, matrix = _parts(rows, center, layer, exact)
    # Folded once and used often: multiplied out in float64, rounded at the end.
    weight = matrix.to(exact) @ head.weight.to(exact).T
    bias = torch.zeros_like(head.weight[:, 0]) if head.bias is None else head.bias.clone()
    if similarity.normed:
        return FoldedCosine(
            weight.to(bias), bias, *(None if part is None else part.to(bias) for part in (shift, scale))
        )
    if scale is not None:
        weight = torch.diag(scale).to(weight) @ weight if scale.dim() == 1 else scale.to(weight) @ weight
    # Not nn.Linear(...): its initial values would be drawn from the global generator.
    folded: nn.Linear = skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, rows.size(1), head.out_features, dtype=bias.dtype, device=bias.device
    )
    folded.weight.copy_(weight.T)
    folded.bias.copy_(bias if shift is None else bias - shift.to(exact) @ weight)
    return folded.requires_grad_(False)


def _parts(
    rows: Tensor, center: Tensor | None, layer: RelativeLayer, exact: torch.dtype
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """The affine map of the layer's normalization, and the matrix ``(F, K)`` that its similarity applies after it."""
    similarity, _ = resolve(layer.similarity, layer.normalization)
    if similarity.whitens:
        shift, matrix = whitened_projection(rows, center=center, shrinkage=layer.shrinkage)
        return shift, None, matrix
    moved, scale = normalizing_map(rows, layer.normalization, center=center, shrinkage=layer.shrinkage)
    # Unit vectors have norm 1, so the similarity of a bilinear function with them is its matrix.
    units = torch.eye(rows.size(1), dtype=exact, device=rows.device)
    return moved, scale, similarity.function(units, apply_map(rows.to(exact), moved, scale))
