"""The public functions: ``convert`` maps to a head's outputs, ``translate`` and ``translate_then`` to a space."""

from __future__ import annotations

from torch import nn

from relgraph.anchors.values import AnchorSet, PublishedHead
from relgraph.errors import InputError, require
from relgraph.maps.correspondence import warn_if_unrelated
from relgraph.maps.estimator import Estimator
from relgraph.maps.leave_one_out import Shrinkage
from relgraph.maps.matched import MatchedAnchors
from relgraph.maps.modules import TranslatedHead
from relgraph.maps.scarcity import warn_if_scarce
from relgraph.registry import MAPS


def convert(
    source: AnchorSet, head: PublishedHead, method: str | None = None, *, shrinkage: Shrinkage | None = None
) -> nn.Module:
    r"""Convert a published head to another run's space: a module from the source's embeddings to the head's outputs.

    .. math:: \text{outputs}(z) = (z - m) \, T + b

    with the center ``m`` of the source: one linear layer. Rotating, shifting or scaling either space changes no output.
    By default ``T`` and ``b`` are fitted to the probabilities of the head at the anchors if its outputs are classes or
    labels (``"kl"``, :func:`relgraph.maps.divergence.kl`), and by least squares if they are values (``"ridge"``,
    :func:`relgraph.maps.ridge.ridge`). The others:

    * ``"kernel-ridge"``: kernel ridge regression, the kernel (dot product, cosine, Gaussian) selected by leave-one-out
      (:func:`relgraph.maps.kernel.kernel_ridge`). It can be curved, and costs ``N K``.

    The result depends on the two published pieces only: on no label, weight or further node, and on no random draw.

    Args:
        source: The space of the one run.
        head: The head of the other run.
        method: One of :data:`relgraph.registry.MAPS` that maps to outputs; ``None`` for :func:`default_map`.
        shrinkage: ``g``, relative to the mean variance of the anchors; by default ``"loo"``, the smallest whose
            leave-one-out error is about the least, for a regression the largest
            (:func:`relgraph.maps.choose_shrinkage`).

    Returns:
        Frozen module in the type and on the device of the source, an ``nn.Linear`` for ``"ridge"`` and ``"kl"``;
        fitted in float64. Its outputs are in the type of the rows it is called with.

    Raises:
        InputError: If the method is unknown or does not fit the head, the two share too few anchors, or ``shrinkage``
            is negative, or 0 with a kernel or with anchors that do not span the space.

    Warns:
        GraphChangedWarning: If the two were made on different graphs.
        FewAnchorsWarning: If the anchors can hardly determine a map (:func:`relgraph.maps.scarcity.scarcity`): fewer
            than outputs, one or two, all at the center, or with the same outputs or predictions.
        NoCorrespondenceWarning: If at least 32 anchors are shared, and a rough map predicts left-out anchors no better
            than with permuted rows (:func:`relgraph.maps.correspondence.correspondence`).

    Example:
        >>> import torch
        >>> a = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
        >>> head = PublishedHead(torch.arange(3), a.sum(1, keepdim=True), torch.zeros(1))
        >>> convert(AnchorSet(torch.arange(3), a, torch.zeros(2)), head, shrinkage=0.0)(torch.tensor([[3.0, 4.0]]))
        tensor([[7.]])
    """
    require("source", source, AnchorSet, "the order is convert(source, head)")
    require("head", head, PublishedHead, "make one with relgraph.publish, or translate between two AnchorSets")
    module, matched = fit_map(source, head, method, shrinkage=shrinkage, stacklevel=2)
    warn_if_scarce(matched, stacklevel=2)
    warn_if_unrelated(matched, curved=not isinstance(module, nn.Linear), stacklevel=2)
    return module


def translate(
    source: AnchorSet, target: AnchorSet, method: str = "ridge", *, shrinkage: Shrinkage | None = None
) -> nn.Module:
    """Translate one space into another: a module from the source's embeddings to the target's.

    Args:
        source: The space to map from, width ``F``.
        target: The space to map to, width ``G``.
        method: One of :data:`relgraph.registry.MAPS` that maps to embeddings: ``"ridge"``, ``"kernel-ridge"``,
            ``"procrustes"`` or ``"orthogonal"``.
        shrinkage: Relative to the mean variance of the anchors; by default ``"loo"``, selected by the leave-one-out
            error on the anchors. The last two methods have none.

    Returns:
        Module that maps ``(N, F)`` to ``(N, G)`` in the type of its input, on the device of the source; fitted in
        float64.

    Raises:
        InputError: As :func:`convert`, or if ``shrinkage`` does not apply to the method.
        torch.linalg.LinAlgError: If a decomposition fails.

    Warns:
        GraphChangedWarning, FewAnchorsWarning: As :func:`convert`.

    Example:
        >>> import torch
        >>> a = AnchorSet(torch.arange(3), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), torch.zeros(2))
        >>> b = AnchorSet(torch.arange(3), 2 * a.embeddings.flip(1), torch.zeros(2))
        >>> translate(a, b, "procrustes")(torch.tensor([[3.0, 4.0]]))
        tensor([[8., 6.]])
    """
    require("source", source, AnchorSet, "the order is translate(source, target)")
    require("target", target, AnchorSet, "use relgraph.convert for a published head")
    module, matched = fit_map(source, target, method, shrinkage=shrinkage, stacklevel=2)
    warn_if_scarce(matched, stacklevel=2)
    return module


def translate_then(
    source: AnchorSet,
    target: AnchorSet,
    head: nn.Module,
    method: str = "ridge",
    *,
    shrinkage: Shrinkage | None = None,
) -> TranslatedHead:
    """Use a head on another run's space: translate the space, then call the head; nothing is trained.

    For heads that are not determined by their outputs on the anchors: a multi-layer perceptron, or the remaining layers
    of a network behind an inner layer, message passing included.

    Args:
        source: The space of the rows ``(N, F)`` that the result is called with, before the head's further arguments.
        target: The head's own input space.
        head: From embeddings ``(N, G)``, and any further arguments, to outputs. It is shared, not copied, and keeps its
            mode and type.
        method, shrinkage: As of :func:`translate`.

    Raises:
        InputError: As :func:`translate`, or if the head's input does not have the width of the target space.

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
        >>> a, b = (AnchorSet(torch.arange(3), rows, torch.zeros(2)) for rows in (z, z.flip(1)))
        >>> translate_then(a, b, nn.ReLU(), "procrustes")(torch.tensor([[-3.0, 4.0]]))
        tensor([[4., 0.]])
    """
    require("source", source, AnchorSet, "the order is translate_then(source, target, head)")
    require("target", target, AnchorSet, "publish the anchors at the head's input")
    require("head", head, nn.Module, "use relgraph.convert for a published head")
    width = _input_width(head)
    if width is not None and width != target.num_features:
        way_out = f"(got {target.num_features}); publish the anchors at the head's input"
        raise InputError("target", f"must be the input space of the head, {width} wide {way_out}")
    translation, matched = fit_map(source, target, method, shrinkage=shrinkage, stacklevel=2)
    warn_if_scarce(matched, stacklevel=2)
    return TranslatedHead(translation, head)


def fit_map(
    source: AnchorSet,
    target: AnchorSet | PublishedHead,
    method: str | None = None,
    *,
    shrinkage: Shrinkage | None = None,
    stacklevel: int = 1,
) -> tuple[nn.Module, MatchedAnchors]:
    """The module of :func:`convert` or :func:`translate` and the anchors it was fitted on.

    Without warnings of the fit: this is the function for controls, in which rows do not correspond.
    """
    estimator = estimator_for(target, method)
    if shrinkage is not None and not estimator.shrinks:
        raise InputError("shrinkage", f"must be left out for '{estimator.name}', which has none (got {shrinkage!r})")
    matched = MatchedAnchors.match(source, target, stacklevel=stacklevel + 1)
    return estimator.fit(matched, "loo" if shrinkage is None else shrinkage), matched


def estimator_for(target: AnchorSet | PublishedHead, method: str | None = None) -> Estimator:
    """The estimator of this name, by default of :func:`default_map`; an InputError if it does not fit the target."""
    method = method or default_map(target)
    estimator, kind = _estimator(method), "embeddings" if isinstance(target, AnchorSet) else "outputs"
    if estimator.targets not in ("any", kind):
        able = [name for name in MAPS if _estimator(name).targets in ("any", kind)]
        got = f"(got '{method}', for {estimator.targets} only)"
        raise InputError("method", f"must be one of {', '.join(able)} for a target of {kind} {got}")
    return estimator


def default_map(target: AnchorSet | PublishedHead) -> str:
    """The name of the map to a target: ``"kl"`` to a head of several classes or of labels, ``"ridge"`` to values.

    Example:
        >>> import torch
        >>> [default_map(PublishedHead(torch.arange(3), torch.rand(3, width), torch.rand(width))) for width in (2, 1)]
        ['kl', 'ridge']
    """
    if isinstance(target, AnchorSet) or target.mode == "regression":
        return "ridge"
    return "kl" if target.mode == "multilabel" or target.values.size(1) > 1 else "ridge"


def _estimator(method: str) -> Estimator:
    found: Estimator = MAPS.resolve(method)
    return found


def _input_width(head: nn.Module) -> int | None:
    """Width of the input of the head's first layer, where it is known."""
    first = next(iter(head), None) if isinstance(head, nn.Sequential) else head
    for name in ("in_features", "in_channels"):
        width = getattr(first, name, None)
        if isinstance(width, int) and width > 0:  # PyG writes -1 for a width that is not known yet
            return width
    return None
