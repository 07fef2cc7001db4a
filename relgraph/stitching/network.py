"""One network out of two: the encoder of one model and the converted head of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relgraph.anchors import AnchorSet
from relgraph.conversion import convert, publish
from relgraph.errors import InputError
from relgraph.nn.model import Model, RelativeModel

if TYPE_CHECKING:
    from torch_geometric.data import Data


def stitch(source: Model, target: Model, data: Data) -> Model:
    """The source's encoder read by the target's head, as one module; nothing is trained.

    Both models embed the anchors that the graph carries; the head is converted to the source's space from those alone
    (:func:`relgraph.convert`). The source's encoder is shared, not copied.

    Args:
        source: Its encoder is used.
        target: Its head is used.
        data: A graph with anchors (:class:`relgraph.AddAnchors`) that both can embed.

    Returns:
        A :class:`relgraph.Model`, in the source's mode, whose head is a frozen linear map of the source's width.

    Raises:
        InputError: If the graph carries no anchors, or the target's head reads relative vectors.

    Example:
        >>> import relgraph as rg
        >>> data = rg.AddAnchors(32)(rg.load_dataset("digits"))
        >>> a, b = rg.fit(data, "gcn", seed=0, epochs=5), rg.fit(data, "sage", seed=1, epochs=5)
        >>> rg.stitch(a, b, data)(data).shape
        torch.Size([1797, 10])
    """
    if isinstance(target, RelativeModel):
        raise InputError(
            "'target' must have a head that reads embeddings (got one that reads relative vectors); "
            "give that head the source's relative vectors instead"
        )
    z, foreign = source.encode(data), target.encode(data)
    head = publish(target.head, AnchorSet.from_embeddings(foreign, data), embeddings=foreign)
    stitched = Model(source.encoder, convert(head, AnchorSet.from_embeddings(z, data)))
    stitched.training = source.training  # the encoder's own mode stays as it is
    return stitched
