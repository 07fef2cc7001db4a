"""The relative layer: from absolute embeddings to similarities with the anchors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet
from relgraph.anchors.matching import as_tensor
from relgraph.errors import InputError
from relgraph.similarity import check_shrinkage, relative, resolve
from relgraph.similarity.checks import check_pair, exact, wide

_NARROW = (torch.int16, torch.uint16, torch.uint32, torch.uint64)  # of arrays
_BUFFERS = ("ema_anchors", "ema_center", "frozen_anchors", "frozen_center")


class RelativeLayer(nn.Module):
    r"""Represent each node by its similarities to the anchors, so that coordinates mean the same in every run.

    .. math:: r_{ik} = s(\nu(z_i), \nu(a_k))

    with a similarity :math:`s` and a normalization of the space :math:`\nu` by its anchors. Cosine without
    normalization is the relative representation of Moschella et al. 2023 ("Relative representations enable zero-shot
    latent space communication", arXiv 2209.15430); :func:`relgraph.relative_head` reads ``"whitened"``.
    :func:`relgraph.similarity.invariances` lists the invariances of each choice. The layer has no parameters. Zero
    rows, duplicate rows, a constant space and an empty batch give finite numbers.

    With ``ema``, training replaces the anchors by a moving average of their embeddings, updated at every forward call,
    and evaluation uses the average unchanged; so does training where a call is given no anchors, once there is an
    average. Under ``DistributedDataParallel`` each step starts from the average of the first process, if the module is
    called once in training mode before it is wrapped; else each process keeps its own. :meth:`freeze` stores anchors
    and center, for nodes that arrive later in batches without anchors. Both are buffers without gradient, saved with
    the model.

    Args:
        similarity: A name of :data:`relgraph.registry.SIMILARITIES`, such as ``"cosine"`` or ``"whitened"``.
        normalization: A name of :data:`relgraph.registry.NORMALIZATIONS`; ``"none"`` for ``"whitened"``.
        shrinkage: The share of the anchors' mean variance that whitening adds to each direction.
        detach_anchors: Whether gradients stop at the anchors and all that is computed from them.
        ema: Share of the old average that each training step keeps, in [0, 1); ``None`` for no average.

    Raises:
        InputError: If a name is unknown, the space would be whitened twice, or ``ema`` is out of range.

    Example:
        >>> layer = RelativeLayer()
        >>> z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
        >>> layer(z, torch.tensor([0, 1]))
        tensor([[1.0000, 0.0000],
                [0.0000, 1.0000],
                [0.7071, 0.7071]])
        >>> layer.freeze(z[:2])(torch.tensor([[1.0, -1.0]]))
        tensor([[ 0.7071, -0.7071]])
    """

    ema_anchors: Tensor | None
    ema_center: Tensor | None
    frozen_anchors: Tensor | None
    frozen_center: Tensor | None

    def __init__(
        self,
        similarity: str = "cosine",
        normalization: str = "none",
        *,
        shrinkage: float = 0.01,
        detach_anchors: bool = False,
        ema: float | None = None,
    ) -> None:
        super().__init__()
        self._resolved = resolve(similarity, normalization)
        check_shrinkage(shrinkage)
        if ema is not None and not 0 <= ema < 1:
            raise InputError("ema", f"must be at least 0 and below 1 (got {ema}); 0.9 averages over about ten steps")
        self.similarity, self.normalization, self.shrinkage = similarity, normalization, shrinkage
        self.detach_anchors, self.ema = detach_anchors, ema
        for name in _BUFFERS:
            self.register_buffer(name, None)

    @property
    def averaged(self) -> bool:
        """Whether the layer has a moving average of its anchors, and needs no others."""
        return self.ema is not None and self.ema_anchors is not None

    @property
    def frozen(self) -> bool:
        """Whether the layer has stored anchors and ignores others."""
        return self.frozen_anchors is not None

    def reset_parameters(self) -> None:
        """Remove averaged and frozen anchors."""
        for name in _BUFFERS:
            setattr(self, name, None)

    @torch.no_grad()
    def freeze(self, anchors: AnchorSet | Tensor | None = None) -> RelativeLayer:
        """Store anchors and center, ignore all others from now on, and return the layer itself.

        By default the anchors are the moving average of training; without one, no argument is an InputError.
        """
        rows, center = (self.ema_anchors, self.ema_center) if anchors is None else given_anchors(None, None, anchors)
        if rows is None:
            raise InputError("anchors", "must be given where no average was trained (got None); pass an AnchorSet")
        check_pair(rows, rows, center)
        if center is None:
            center = rows.mean(0, dtype=exact(rows.device))
        self.frozen_anchors, self.frozen_center = rows.detach().clone(), center.detach().to(wide(rows.dtype), copy=True)
        return self

    def forward(
        self, z: Tensor | Any, anchor_index: Tensor | Any = None, anchors: AnchorSet | Tensor | Any = None
    ) -> Tensor:
        """Relative representation ``(N, K)`` of embeddings ``(N, F)``, in their precision.

        Args:
            z: Embeddings ``(N, F)``, a tensor or an array.
            anchor_index: Rows of the anchors in ``z``, ``(K,)``, in rank order.
            anchors: In their place, an AnchorSet with its center, or embeddings ``(K, F)``, centered on their mean.

        Raises:
            InputError: If not exactly one of the two is given (a frozen layer, or one with an average, needs neither),
                or shapes, types or devices do not fit.
        """
        if not isinstance(z, Tensor):
            z = as_tensor("z", z)
        rows, center = self.frozen_anchors, self.frozen_center
        if rows is None and self.ema is not None:
            given = anchor_index is not None or anchors is not None
            if self.training and (given or self.ema_anchors is None):
                self._average(*given_anchors(z, anchor_index, anchors))
            rows, center = self.ema_anchors, self.ema_center
        if rows is None:
            rows, center = given_anchors(z, anchor_index, anchors, detach=self.detach_anchors)
        else:
            rows, center = rows.to(z), None if center is None else center.to(z.device)
        return relative(z, rows, *self._resolved, center=center, shrinkage=self.shrinkage)

    @torch.no_grad()
    def _average(self, rows: Tensor, center: Tensor | None) -> None:
        # A new tensor each time: the old one may be needed by a later backward pass.
        assert self.ema is not None
        rows = rows.detach().to(wide(rows.dtype))
        center = None if center is None else center.detach().to(rows)
        if self.ema_anchors is None:
            self.ema_anchors, self.ema_center = rows.clone(), center
            return
        if rows.shape != self.ema_anchors.shape:
            found = f"{tuple(self.ema_anchors.shape)} (got {tuple(rows.shape)})"
            raise InputError("anchors", f"must keep the shape of their average, {found}; call reset_parameters() first")
        self.ema_anchors = torch.lerp(rows, self.ema_anchors.to(rows), self.ema)
        if center is not None and self.ema_center is not None:
            center = torch.lerp(center, self.ema_center.to(center), self.ema)
        self.ema_center = center

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # Stored anchors have no shape in a new layer, so that of the saved ones is taken.
        for name in _BUFFERS:
            saved, own = state_dict.get(prefix + name), getattr(self, name)
            if saved is not None and (own is None or own.shape != saved.shape):
                setattr(self, name, torch.empty_like(saved if own is None else saved.to(own)))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def extra_repr(self) -> str:
        """The options of the constructor, and whether the layer is frozen."""
        options = shown_options(self) + ("" if self.ema is None else f", ema={self.ema}")
        return options + ("" if self.frozen_anchors is None else f", frozen={len(self.frozen_anchors)} anchors")


def shown_options(module: Any, more: str = "") -> str:
    """The options that the layer and its message-passing form share, for their representations as text."""
    options = f"similarity={module.similarity!r}, normalization={module.normalization!r}{more}"
    if module._resolved[0].whitens or module.normalization == "whiten":
        options += f", shrinkage={module.shrinkage}"
    return options + (", detach_anchors=True" if module.detach_anchors else "")


def given_anchors(
    z: Tensor | None, anchor_index: Tensor | Any, anchors: AnchorSet | Tensor | Any, *, detach: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Embeddings ``(K, F)`` and center ``(F,)``, or ``None``, of anchors given as rows of ``z`` or as ``anchors``."""
    if (anchor_index is None) == (anchors is None):
        got = "neither" if anchors is None else "both"
        hint = "pass rows of z as 'anchor_index', or an AnchorSet or embeddings as 'anchors'"
        raise InputError("", f"exactly one of 'anchor_index' and 'anchors' must be given (got {got}); {hint}")
    center: Tensor | None = None
    if isinstance(anchors, Tensor):
        rows = anchors
    elif hasattr(anchors, "embeddings"):
        rows, center = anchors.embeddings, anchors.center
    elif anchors is not None:
        rows = as_tensor("anchors", anchors)
    else:
        assert anchor_index is not None and z is not None
        if not isinstance(anchor_index, Tensor):
            anchor_index = as_tensor("anchor_index", anchor_index).to(z.device)
            anchor_index = anchor_index.long() if anchor_index.dtype in _NARROW else anchor_index
        if anchor_index.dim() != 1 or anchor_index.dtype not in (torch.int64, torch.int32):
            found = f"{anchor_index.dtype} of shape {tuple(anchor_index.shape)}"
            hint = "pass embeddings as 'anchors', and a mask as mask.nonzero().view(-1)"
            raise InputError("anchor_index", f"must be a vector of row numbers (got {found}); {hint}")
        try:
            rows = z[anchor_index]
        except IndexError as error:
            found = f"got {int(anchor_index.min())} to {int(anchor_index.max())}"
            rule = f"must name rows of the {len(z)} embeddings ({found})"
            raise InputError("anchor_index", f"{rule}; pass the anchors of this graph") from error
    if detach:
        rows, center = rows.detach(), None if center is None else center.detach()
    return rows, center
