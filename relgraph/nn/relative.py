"""The relative layer: from absolute embeddings to similarities with the anchors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from relgraph.errors import InputError
from relgraph.similarity import check_shrinkage, relative, resolve
from relgraph.similarity.checks import check_pair, wide

if TYPE_CHECKING:
    from relgraph.anchors import AnchorSet

_BUFFERS = ("ema_anchors", "ema_center", "frozen_anchors", "frozen_center")


class RelativeLayer(nn.Module):
    r"""Re-express each node by its similarity to the anchors, so that coordinates mean the same in every run.

    .. math:: r_{ik} = s(\nu(z_i), \nu(a_k))

    with a similarity :math:`s` and a normalization of the space :math:`\nu`, taken from the anchors. Cosine without
    normalization is the relative representation of Moschella et al. 2023 ("Relative representations enable zero-shot
    latent space communication", arXiv 2209.15430). ``"whitened"`` is the dot product after whitening, over K (see
    :func:`relgraph.similarity.whitened_similarity`): what head conversion reads. What each choice ignores is told by
    :func:`relgraph.similarity.invariances`. The layer has no parameters. Zero rows, duplicate rows, a constant space
    and an empty batch give finite numbers; sums and solves run in float32 or wider.

    Two words are used otherwise elsewhere: the anchor *sets* of P-GNN (You et al. 2019) are random sets of nodes that
    measure shortest-path distances, and *relative position encodings* of graph transformers describe pairs of nodes
    on the graph. Neither compares embeddings.

    **Anchors the layer remembers.** With ``ema``, training replaces the anchors by a moving average of their
    embeddings, one vote per forward call, and evaluation uses the average as it is. :meth:`freeze` stores anchors and
    centre for good: for nodes that arrive later, in batches that hold no anchor. Both live in buffers, so that they
    are saved, loaded and moved with the model; no gradient reaches them, and anchors that are passed besides are not
    looked at.

    Args:
        similarity: A name of :data:`relgraph.similarity.SIMILARITIES`, such as ``"cosine"`` or ``"whitened"``.
        normalization: ``"none"``, ``"center"``, ``"standardize"`` or ``"whiten"``; must be ``"none"`` for
            ``"whitened"``.
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

        Inside a module of one's own, trained like any other:

        >>> class Net(nn.Module):
        ...     def __init__(self, num_features, num_anchors, num_classes):
        ...         super().__init__()
        ...         self.encoder = nn.Linear(num_features, 16)  # or any PyG encoder
        ...         self.relative = RelativeLayer("cosine")
        ...         self.head = nn.Linear(num_anchors, num_classes)
        ...
        ...     def forward(self, x, anchor_index):
        ...         return self.head(self.relative(self.encoder(x), anchor_index))
        >>> Net(8, 5, 3)(torch.rand(20, 8), torch.arange(5)).shape
        torch.Size([20, 3])
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
        resolve(similarity, normalization)
        check_shrinkage(shrinkage)
        if ema is not None and not 0 <= ema < 1:
            raise InputError("ema", f"must be at least 0 and below 1 (got {ema}); 0.9 averages over about ten steps")
        self.similarity = similarity
        self.normalization = normalization
        self.shrinkage = shrinkage
        self.detach_anchors = detach_anchors
        self.ema = ema
        for name in _BUFFERS:
            self.register_buffer(name, None)

    @property
    def frozen(self) -> bool:
        """Whether the layer compares with anchors of its own, whatever it is given."""
        return self.frozen_anchors is not None

    def reset_parameters(self) -> None:
        """Forget averaged and frozen anchors, which belong to the parameters that are reset; nothing else to do."""
        for name in _BUFFERS:
            setattr(self, name, None)

    @torch.no_grad()
    def freeze(self, anchors: AnchorSet | Tensor | None = None) -> RelativeLayer:
        """Store anchors and centre, and from now on compare with these only.

        Args:
            anchors: An AnchorSet, whose centre is then used, or embeddings ``(K, F)``, centred on their mean. ``None``
                takes the moving average that training left.

        Returns:
            The layer itself.

        Raises:
            InputError: If there is neither an argument nor an average, or the anchors are no matrix of numbers.

        Example:
            >>> layer = RelativeLayer().freeze(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
            >>> layer(torch.tensor([[3.0, 3.0]]))
            tensor([[0.7071, 0.7071]])
            >>> layer
            RelativeLayer(similarity='cosine', normalization='none', frozen=2 anchors)
        """
        if anchors is None:
            if self.ema_anchors is None:
                raise InputError(
                    "anchors", "must be given where no average was trained (got None); pass an AnchorSet or embeddings"
                )
            rows, center = self.ema_anchors, self.ema_center
        else:
            rows, center = given_anchors(None, None, anchors)
        check_pair(rows, rows, center)
        if center is None:
            exact = torch.float32 if rows.device.type == "mps" else torch.float64
            center = rows.mean(0, dtype=exact)
        self.frozen_anchors, self.frozen_center = rows.detach().clone(), center.detach().to(wide(rows.dtype), copy=True)
        return self

    def unfreeze(self) -> RelativeLayer:
        """Forget the frozen anchors and compare with those given again; returns the layer itself."""
        self.frozen_anchors = self.frozen_center = None
        return self

    def forward(
        self,
        z: Tensor | Mapping[str, Tensor],
        anchor_index: Tensor | Mapping[str, Tensor] | None = None,
        anchors: AnchorSet | Tensor | Mapping[str, AnchorSet | Tensor] | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """Relative representation ``(N, K)`` of embeddings ``(N, F)``, in their precision.

        Args:
            z: Embeddings ``(N, F)``, or a dictionary of them, one for each node type.
            anchor_index: Rows of the anchors in ``z``, ``(K,)``, in rank order.
            anchors: In place of ``anchor_index``: an AnchorSet, whose centre is then used, or embeddings ``(K, F)``.
                Without a centre of its own the space is centred on the anchors' mean. Of several node types, either
                is a dictionary too; a type for which it has no entry is left out of the result.

        Raises:
            InputError: If not exactly one of the two is given (a frozen layer needs neither), or shapes, types or
                devices do not fit.
        """
        if isinstance(z, Mapping):
            return self._of_each_type(z, anchor_index, anchors)
        rows, center = self._anchors(z, anchor_index, anchors)
        return relative(z, rows, self.similarity, self.normalization, center=center, shrinkage=self.shrinkage)

    def _of_each_type(self, z: Mapping[str, Tensor], anchor_index: Any, anchors: Any) -> dict[str, Tensor]:
        if self.ema is not None or self.frozen:
            raise InputError(
                "z",
                "must be one tensor for a layer that remembers anchors (got a dictionary); "
                "give each node type a layer of its own",
            )
        _check_one(anchor_index, anchors)
        given = anchors if anchor_index is None else anchor_index
        name = "anchors" if anchor_index is None else "anchor_index"
        if not isinstance(given, Mapping):
            raise InputError(
                name,
                f"must be a dictionary where 'z' is one (got {type(given).__name__}); pass {{node type: its anchors}}",
            )
        if unknown := sorted(set(given) - set(z)):
            raise InputError(
                name, f"must name node types of 'z', {', '.join(sorted(z))} (got {unknown[0]!r}); leave it out"
            )
        return {kind: self.forward(z[kind], **{name: given[kind]}) for kind in z if kind in given}  # type: ignore[misc]

    def _anchors(self, z: Tensor, anchor_index: Any, anchors: Any) -> tuple[Tensor, Tensor | None]:
        rows, center = self.frozen_anchors, self.frozen_center
        if rows is None and self.ema is not None:
            if self.training:
                self._average(*given_anchors(z, anchor_index, anchors))
            rows, center = self.ema_anchors, self.ema_center
        if rows is not None:
            return rows.to(z), None if center is None else center.to(z.device)
        rows, center = given_anchors(z, anchor_index, anchors)
        if self.detach_anchors:
            rows, center = rows.detach(), None if center is None else center.detach()
        return rows, center

    @torch.no_grad()
    def _average(self, rows: Tensor, center: Tensor | None) -> None:
        # A new tensor each time: the old one may be wanted for a gradient that is still to come.
        assert self.ema is not None
        rows = rows.detach().to(wide(rows.dtype))
        center = None if center is None else center.detach().to(rows)
        if self.ema_anchors is None:
            self.ema_anchors, self.ema_center = rows.clone(), center
            return
        if rows.shape != self.ema_anchors.shape:
            raise InputError(
                "anchors",
                f"must keep the shape of their average, {tuple(self.ema_anchors.shape)} "
                f"(got {tuple(rows.shape)}); call reset_parameters() to start another",
            )
        self.ema_anchors = torch.lerp(rows, self.ema_anchors.to(rows), self.ema)
        if center is not None and self.ema_center is not None:
            center = torch.lerp(center, self.ema_center.to(center), self.ema)
        self.ema_center = center

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # Remembered anchors have no shape before they are there, so the saved ones decide it.
        for name in _BUFFERS:
            saved, own = state_dict.get(prefix + name), getattr(self, name)
            if saved is not None and (own is None or own.shape != saved.shape):
                setattr(self, name, torch.empty_like(saved if own is None else saved.to(own)))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def extra_repr(self) -> str:
        """The options, as the constructor takes them, and whether the layer is frozen."""
        options = f"similarity={self.similarity!r}, normalization={self.normalization!r}"
        if resolve(self.similarity)[0].whitens or self.normalization == "whiten":
            options += f", shrinkage={self.shrinkage}"
        if self.detach_anchors:
            options += ", detach_anchors=True"
        if self.ema is not None:
            options += f", ema={self.ema}"
        return options + (f", frozen={len(self.frozen_anchors)} anchors" if self.frozen_anchors is not None else "")


def given_anchors(
    z: Tensor | None, anchor_index: Tensor | None, anchors: AnchorSet | Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Embeddings ``(K, F)`` and centre ``(F,)``, or ``None``, of anchors that are given in one of the two ways.

    Args:
        z: Embeddings ``(N, F)``, which ``anchor_index`` points into.
        anchor_index: Rows of the anchors, ``(K,)``.
        anchors: An AnchorSet or embeddings ``(K, F)``.

    Raises:
        InputError: If not exactly one of the two is given, or ``anchor_index`` is no vector of row numbers.

    Example:
        >>> given_anchors(torch.eye(2), torch.tensor([1]), None)
        (tensor([[0., 1.]]), None)
    """
    _check_one(anchor_index, anchors)
    if anchors is not None:
        return (anchors, None) if isinstance(anchors, Tensor) else (anchors.embeddings, anchors.center)
    assert anchor_index is not None and z is not None
    if anchor_index.dim() != 1 or anchor_index.dtype not in (torch.int64, torch.int32):
        raise InputError(
            "anchor_index",
            f"must be a vector of row numbers (got {anchor_index.dtype} of shape "
            f"{tuple(anchor_index.shape)}); pass embeddings as 'anchors', and of a mask its .nonzero().view(-1)",
        )
    return z[anchor_index], None


def _check_one(anchor_index: object, anchors: object) -> None:
    if (anchor_index is None) == (anchors is None):
        got = "neither" if anchors is None else "both"
        raise InputError(
            "",
            f"exactly one of 'anchor_index' and 'anchors' must be given (got {got}); "
            "pass rows of z as 'anchor_index', or an AnchorSet or embeddings as 'anchors'",
        )
