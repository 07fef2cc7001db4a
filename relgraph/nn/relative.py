"""The relative layer: from absolute embeddings to similarities with the anchors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from relgraph.errors import InputError
from relgraph.similarity import check_shrinkage, relative, resolve

if TYPE_CHECKING:
    from relgraph.anchors import AnchorSet


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

    Args:
        similarity: ``"cosine"``, ``"euclidean"`` or ``"whitened"`` (:data:`relgraph.similarity.SIMILARITIES`).
        normalization: ``"none"``, ``"center"``, ``"standardize"`` or ``"whiten"``; must be ``"none"`` for
            ``"whitened"``.
        shrinkage: The share of the anchors' mean variance that whitening adds to each direction.
        detach_anchors: Whether gradients stop at the anchors and all that is computed from them.

    Raises:
        InputError: If a name is unknown or the space would be whitened twice.

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

    def __init__(
        self,
        similarity: str = "cosine",
        normalization: str = "none",
        *,
        shrinkage: float = 0.01,
        detach_anchors: bool = False,
    ) -> None:
        super().__init__()
        resolve(similarity, normalization)
        check_shrinkage(shrinkage)
        self.similarity = similarity
        self.normalization = normalization
        self.shrinkage = shrinkage
        self.detach_anchors = detach_anchors

    def reset_parameters(self) -> None:
        """Nothing to reset; PyG's containers call it on every layer."""

    def forward(
        self, z: Tensor, anchor_index: Tensor | None = None, anchors: AnchorSet | Tensor | None = None
    ) -> Tensor:
        """Relative representation ``(N, K)`` of embeddings ``(N, F)``, in their precision.

        Args:
            z: Embeddings ``(N, F)``.
            anchor_index: Rows of the anchors in ``z``, ``(K,)``, in rank order.
            anchors: In place of ``anchor_index``: an AnchorSet, whose centre is then used, or embeddings ``(K, F)``.
                Without a centre of its own the space is centred on the anchors' mean.

        Raises:
            InputError: If not exactly one of the two is given, or shapes, types or devices do not fit.
        """
        rows, center = self._anchors(z, anchor_index, anchors)
        if self.detach_anchors:
            rows, center = rows.detach(), None if center is None else center.detach()
        return relative(z, rows, self.similarity, self.normalization, center=center, shrinkage=self.shrinkage)

    @staticmethod
    def _anchors(
        z: Tensor, anchor_index: Tensor | None, anchors: AnchorSet | Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if (anchor_index is None) == (anchors is None):
            got = "neither" if anchors is None else "both"
            raise InputError(
                f"exactly one of 'anchor_index' and 'anchors' must be given (got {got}); "
                "pass rows of z as 'anchor_index', or an AnchorSet or embeddings as 'anchors'"
            )
        if anchors is not None:
            return (anchors, None) if isinstance(anchors, Tensor) else (anchors.embeddings, anchors.center)
        assert anchor_index is not None
        if anchor_index.dim() != 1 or anchor_index.dtype not in (torch.int64, torch.int32):
            raise InputError(
                f"'anchor_index' must be a vector of row numbers (got {anchor_index.dtype} of shape "
                f"{tuple(anchor_index.shape)}); pass embeddings as 'anchors', and of a mask its .nonzero().view(-1)"
            )
        return z[anchor_index], None

    def extra_repr(self) -> str:
        """The options, as the constructor takes them."""
        options = f"similarity={self.similarity!r}, normalization={self.normalization!r}"
        if resolve(self.similarity)[0].whitens or self.normalization == "whiten":
            options += f", shrinkage={self.shrinkage}"
        return options + (", detach_anchors=True" if self.detach_anchors else "")
