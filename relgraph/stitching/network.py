"""One network out of two: the encoder of one model, or its first layers, and what another one has behind them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, get_args

from relgraph.anchors import AnchorSet
from relgraph.conversion import CONVERSIONS, Outputs, convert, publish
from relgraph.errors import InputError, unknown_name
from relgraph.nn.cut import CutModel, check_layer, cut
from relgraph.nn.model import Model, RelativeModel
from relgraph.translation import TRANSLATIONS, Shrinkage, translate_then

if TYPE_CHECKING:
    from torch_geometric.data import Data


def stitch(
    source: Model,
    target: Model,
    data: Data,
    at: int | None = None,
    *,
    method: str | None = None,
    shrinkage: Shrinkage | None = None,
    outputs: Outputs = "classes",
) -> Model:
    """The source's encoder read by the target's head, as one module; nothing is trained.

    Both models embed the anchors that the graph carries; the head is converted to the source's space from those alone
    (:func:`relgraph.convert`). The source's encoder is copied: whatever is done to the result, the
    source stays as it is.

    Behind an inner layer the source's first layers are read by the rest of the target's network, message passing
    included (:func:`relgraph.nn.cut.cut`), with a translation between the two spaces there
    (:func:`relgraph.translation.translate_then`). The rest of the target is copied, and frozen in evaluation mode.

    Args:
        source: Its encoder is used, or its first layers.
        target: Its head is used, or all that it has behind the layer.
        data: A graph with anchors (:class:`relgraph.AddAnchors`) that both can embed.
        at: Layer of both encoders, from 1; ``None`` for the last, where the head is all that is left.
        method: How the head is converted, see :func:`relgraph.convert` (``"linear"``); with ``at`` how the space is
            translated, one of :data:`relgraph.translation.TRANSLATIONS` (``"ridge-affine"``; of ``"kernel-ridge"`` the
            robust form).
        shrinkage: Of the method; by default as :func:`relgraph.convert` has it, and ``"loo"`` with ``at``.
        outputs: What the outputs of the target's head are, see :class:`relgraph.PublishedHead`: ``"labels"`` where each
            is true or not (a sigmoid each). With ``at`` nothing depends on it.

    Returns:
        A :class:`relgraph.Model`, in the source's mode, whose head is frozen, and a linear map of the source's width
        unless the method bends; with ``at`` a :class:`relgraph.nn.cut.CutModel`, whose head is called with the edges
        as well.

    Raises:
        InputError: If the graph carries no anchors, the target's head reads relative vectors, a model has no such
            layer, the method is unknown or takes no shrinkage, or ``outputs`` is unknown.

    Example:
        >>> import relgraph as rg
        >>> data = rg.AddAnchors(32)(rg.load_dataset("digits"))
        >>> a, b = rg.fit(data, "gcn", seed=0, epochs=5), rg.fit(data, "sage", seed=1, epochs=5)
        >>> rg.stitch(a, b, data)(data).shape
        torch.Size([1797, 10])
        >>> rg.stitch(a, b, data, at=1)(data).shape
        torch.Size([1797, 10])
    """
    if isinstance(target, RelativeModel):
        raise InputError(
            "target",
            "must have a head that reads embeddings (got one that reads relative vectors); "
            "give that head the source's relative vectors instead",
        )
    if isinstance(target, CutModel):
        raise InputError("target", "must be a whole model (got one that was cut); stitch the one that it was cut from")
    if outputs not in get_args(Outputs):
        raise unknown_name("outputs", outputs, get_args(Outputs))
    if at is not None:
        return _stitch_at(source, target, data, at, "ridge-affine" if method is None else method, shrinkage)
    method = "linear" if method is None else method
    if method not in CONVERSIONS:
        raise unknown_name("method", method, CONVERSIONS)
    z, foreign = source.encode(data), target.encode(data)
    head = publish(target.head, AnchorSet.from_embeddings(foreign, data), embeddings=foreign, outputs=outputs)
    space = AnchorSet.from_embeddings(z, data)
    stitched = Model(copy.deepcopy(source.encoder), convert(head, space, method, shrinkage=shrinkage))
    stitched.training = source.training  # the encoder's own mode stays as it is
    return stitched


def _stitch_at(source: Model, target: Model, data: Data, layer: int, method: str, shrinkage: Shrinkage | None) -> Model:
    if method not in TRANSLATIONS:
        raise unknown_name("method", method, TRANSLATIONS)
    if shrinkage is not None and not TRANSLATIONS[method].shrinks:
        able = " and ".join(name for name, entry in TRANSLATIONS.items() if entry.shrinks)
        raise InputError(
            "shrinkage", f"must be left out for '{method}' (got {shrinkage}), which has none; {able} have one"
        )
    options: dict[str, Any] = {}
    if TRANSLATIONS[method].shrinks:
        options["shrinkage"] = "loo" if shrinkage is None else shrinkage
    if method == "kernel-ridge":
        options["robust"] = True  # as the command has it
    for model in (source, target):
        check_layer(model, layer, "at")
    (front, rest), (other_front, back) = cut(source, layer), cut(target, layer)
    h, foreign = CutModel(front, rest).encode(data), CutModel(other_front, back).encode(data)
    here, there = AnchorSet.from_embeddings(h, data), AnchorSet.from_embeddings(foreign, data)
    back = copy.deepcopy(back).requires_grad_(False)  # whatever the target does next, this one stays
    stitched = CutModel(copy.deepcopy(front), translate_then(back, here, there, method, **options).eval())
    stitched.training = source.training
    return stitched
