"""A head in front of which another run's space is translated into the one it reads."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor, nn

from relgraph.anchors import AnchorSet, GraphChangedWarning, aligned_rows
from relgraph.errors import InputError, unknown_name
from relgraph.translation.registry import TRANSLATIONS


class TranslatedHead(nn.Module):
    """A translation, then a head; what else the head needs, such as the edges of the graph at hand, is passed on.

    Args:
        translation: From the source space to the space that the head reads.
        head: Any module whose first argument are representations ``(N, G)``.

    Example:
        >>> TranslatedHead(nn.Linear(2, 3), nn.Linear(3, 4))
        TranslatedHead(
          (translation): Linear(in_features=2, out_features=3, bias=True)
          (head): Linear(in_features=3, out_features=4, bias=True)
        )
    """

    def __init__(self, translation: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.translation = translation
        self.head = head

    def forward(self, z: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Outputs of the head for representations of the source space, ``(N, F)``."""
        home = next(self.head.parameters(), z)  # a head in another type, or elsewhere, reads there
        out: Tensor = self.head(self.translation(z).to(home), *args, **kwargs)
        return out


def translate_then(
    head: nn.Module, source_space: AnchorSet, target_space: AnchorSet, method: str = "ridge-affine", **options: Any
) -> TranslatedHead:
    """Let a head that is not linear read another run's space: translate the space, then call the head.

    For heads whose values on the anchors do not say enough: a multi-layer perceptron, or the remaining layers of a
    network, message passing included, after a stitch in the middle. What passes between the runs is the head itself
    and the two spaces, each seen at the place where the head reads. Nothing is trained.

    Args:
        head: From representations ``(N, G)``, and anything more, to outputs. It is shared, not copied, and stays in
            the mode and the type it has.
        source_space: The space whose nodes are to be read.
        target_space: The head's own input space.
        method: One of :data:`relgraph.translation.TRANSLATIONS`.
        options: Passed on to the fit, such as ``shrinkage="loo"`` for ``"ridge-affine"``.

    Returns:
        Module called with ``(z, ...)``: ``z`` of the source space, the rest as the head takes it.

    Raises:
        InputError: If the method is unknown, the head does not read the target space's width, or the spaces share too
            few anchors (:func:`relgraph.anchors.aligned_rows`).

    Warns:
        GraphChangedWarning: If the two spaces were made on different graphs.

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
        >>> a, b = (AnchorSet(torch.arange(3), rows, torch.zeros(2)) for rows in (z, z.flip(1)))
        >>> translate_then(nn.ReLU(), a, b, "procrustes")(torch.tensor([[-3.0, 4.0]]))
        tensor([[4., 0.]])
    """
    if method not in TRANSLATIONS:
        raise unknown_name("method", method, TRANSLATIONS)
    width = _input_width(head)
    if width is not None and width != target_space.num_features:
        raise InputError(
            "target_space",
            f"must be the space that the head reads, {width} wide (got {target_space.num_features}); "
            "publish the anchors at the head's input",
        )
    # Asked here once, so that a warning names the caller's line and not this file.
    aligned_rows(
        source_space.ids,
        target_space.ids,
        num_features=source_space.num_features,
        fingerprints=(source_space.fingerprint, target_space.fingerprint),
        stacklevel=2,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphChangedWarning)
        translation = TRANSLATIONS[method].fit(source_space, target_space, **options)
    return TranslatedHead(translation, head)


def _input_width(head: nn.Module) -> int | None:
    """How wide a representation the head's first layer reads, where it says so."""
    first = next(iter(head), None) if isinstance(head, nn.Sequential) else head
    for name in ("in_features", "in_channels"):
        width = getattr(first, name, None)
        if isinstance(width, int) and width > 0:  # PyG writes -1 for a width that is not known yet
            return width
    return None
