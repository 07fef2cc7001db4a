"""One network from two: the encoder of one model with the head of another, or with the rest of its network."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from torch_geometric.data import Data

from relgraph.anchors import AnchorSet, publish
from relgraph.errors import InputError, unknown_name
from relgraph.maps import Shrinkage, TranslatedHead, fit_map
from relgraph.maps.correspondence import warn_if_unrelated
from relgraph.maps.scarcity import warn_if_scarce
from relgraph.nn.model import Model, RelativeModel, cut_model, head_arguments
from relgraph.registry import MAPS
from relgraph.task import Mode, check_mode


def stitch(
    source: Model,
    target: Model,
    data: Data,
    at: int | str | None = None,
    *,
    method: str | None = None,
    shrinkage: Shrinkage | None = None,
    mode: Mode | None = None,
) -> Model:
    """The source's encoder with the target's head, as one module; nothing is trained.

    A linear head is converted to the source's space (:func:`relgraph.convert`). In front of any other head, and of the
    rest of a network behind an inner layer, the source's space is translated into the target's
    (:func:`relgraph.translate_then`). The result shares no parameter with the two models, and its head is frozen.

    Args:
        source, target: The models whose encoder and whose head are used.
        data: A graph with anchors (:class:`relgraph.AddAnchors`) that both can embed.
        at: Layer of both encoders, from 1, or the name of a submodule of both (:func:`relgraph.split`); ``None`` for
            the last, where only the head is left.
        method: A name in :data:`relgraph.registry.MAPS`; those for ``"embeddings"`` translate, those for ``"outputs"``
            convert.
        shrinkage: Of the fit; ``None`` for leave-one-out, if the method has one.
        mode: What the target's outputs are: ``"multiclass"``, ``"multilabel"`` (a sigmoid each) or ``"regression"``;
            by default ``"multilabel"`` if ``data.y`` has a column of zeros and ones for each output, else
            ``"multiclass"``.

    Raises:
        InputError: If the graph carries no anchors, the target's head reads relative representations, a model has no
            such layer, a name is unknown, or the method has no shrinkage or does not apply.

    Warns:
        FewAnchorsWarning, NoCorrespondenceWarning: As :func:`relgraph.convert`.

    Example:
        >>> import relgraph as rg
        >>> data = rg.AddAnchors(32)(rg.load_dataset("digits"))
        >>> a, b = rg.fit(data, "gcn", seed=0, epochs=5), rg.fit(data, "sage", seed=1, epochs=5)
        >>> rg.stitch(a, b, data)(data).shape
        torch.Size([1797, 10])
        >>> rg.stitch(a, b, data, at=1)(data).shape
        torch.Size([1797, 10])
    """
    if mode is not None:
        check_mode(mode)
    targets = "any" if method is None else MAPS.resolve(method, "method").targets
    for argument, model in (("source", source), ("target", target)):
        if not isinstance(model, Model):
            raise InputError(
                argument, f"must be a relgraph.Model (got {type(model).__name__}); use relgraph.Model(encoder, head)"
            )
    if isinstance(target, RelativeModel):
        hint = "use that head on the source's relative representations instead"
        raise InputError("target", f"must have a head on embeddings (got one on relative representations); {hint}")
    (encoder, _), (theirs, head) = cut_model(source, at, "source"), cut_model(target, at, "target")
    parts = ((encoder, source.node_type), (theirs, target.node_type))
    z, foreign = (Model(part, nn.Identity(), kind).embed(data) for part, kind in parts)
    space, other = (
        AnchorSet.from_embeddings(rows, nodes_of(data, kind))
        for rows, (_, kind) in zip((z, foreign), parts, strict=True)
    )
    served: nn.Module | None = None
    if not head_arguments(head, data) and targets != "embeddings":
        published = publish(head, other, embeddings=foreign, mode=mode)
        if mode is None and _has_labels(nodes_of(data, target.node_type), published.outputs.size(1)):
            published = publish(head, other, embeddings=foreign, mode="multilabel")
        if targets == "outputs" or published.mean_from == "center":
            served, matched = fit_map(space, published, method, shrinkage=shrinkage)
            warn_if_unrelated(matched, curved=not isinstance(served, nn.Linear), stacklevel=2)
    if served is None:
        head = copy.deepcopy(head).requires_grad_(False)  # later changes of the target have no effect
        translation, matched = fit_map(space, other, method, shrinkage=shrinkage)
        served = TranslatedHead(translation, head).eval()
    warn_if_scarce(matched, stacklevel=2)
    model = Model(copy.deepcopy(encoder), served, source.node_type)
    model.training = source.training  # the encoder's own mode stays as it is
    return model


def _has_labels(nodes: Any, count: int) -> bool:
    """Whether the targets of the nodes are several labels each, 0 or 1, one for each output."""
    y = nodes.get("y") if hasattr(nodes, "get") else None
    if not isinstance(y, Tensor) or y.dim() != 2 or y.size(1) != count or count < 2:
        return False
    return bool(((y == 0) | (y == 1) | (y != y)).all())


def nodes_of(data: Any, node_type: str | None) -> Any:
    """The nodes of the embeddings: the graph, or one type of its nodes."""
    if node_type is None or not hasattr(data, "node_types"):
        return data
    if node_type not in data.node_types:
        raise unknown_name("node_type", node_type, data.node_types)
    return data[node_type]
