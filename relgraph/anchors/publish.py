"""Publishing a head: its outputs on the anchors of its own space."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from torch import Tensor, nn

from relgraph.anchors.values import AnchorSet, MeanFrom, PublishedHead, check_rows
from relgraph.errors import InputError, require
from relgraph.modes import eval_mode
from relgraph.task import Mode

_PARTS = ("edge_index", "adj_t", "x", "data", "graph")


def publish(
    head: nn.Module | Any, anchors: AnchorSet, *, embeddings: Tensor | None = None, mode: Mode | None = None
) -> PublishedHead:
    """Publish a head: its outputs on the anchors of its own space, and their mean.

    Fingerprint, version and time are those of the anchors.

    Args:
        head: Module from embeddings ``(N, F)`` to outputs ``(N, C)``. It runs in evaluation mode without gradients, on
            its own device, and is left unchanged. A fitted classifier or regressor of scikit-learn is used through
            :class:`relgraph.anchors.EstimatorHead`.
        anchors: The anchor set of the run that the head was trained in.
        embeddings: That run's embeddings of all rows, shape ``(N, F)``. They give the mean outputs of a head that is
            not linear; a linear head needs none, since its mean is its output at the center. Without them the mean
            over the anchors is used, each counted as the root of its weight, and :attr:`PublishedHead.mean_from` is
            ``"anchors"``.
        mode: What the head's outputs are, see :class:`PublishedHead`; by default those of the estimator, and
            ``"multiclass"`` for a module.

    Raises:
        InputError: If widths do not fit, ``mode`` is unknown, the head reads the graph, its output is not a finite
            matrix, or an estimator is not fitted.

    Example:
        >>> import torch
        >>> anchors = AnchorSet(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2), id="mine")
        >>> publish(torch.nn.Linear(2, 3), anchors)
        PublishedHead(2 anchors, 3 outputs, multiclass, mean from center, graph unknown, anchor set mine)
    """
    require("anchors", anchors, AnchorSet, "make one with relgraph.AnchorSet.from_embeddings")
    if not isinstance(head, nn.Module):
        from relgraph.anchors.estimators import EstimatorHead  # scikit-learn is imported where it is used

        head = EstimatorHead(head)
        mode = mode or head.mode
    if parts := graph_parts(head):
        found = f"got a {type(head).__name__} that needs '{parts[0]}' of the graph"
        way_out = "pass its model to relgraph.stitch, which translates the embeddings in front of it"
        raise InputError("head", f"must read embeddings only ({found}); {way_out}")
    if isinstance(width := getattr(head, "in_features", None), int) and width != anchors.num_features:
        raise InputError(
            "head",
            f"must take embeddings as wide as those of 'anchors' (got a head of {width} features and anchors of "
            f"{anchors.num_features}); publish it on its own run's anchors",
        )
    home = next(head.parameters(), anchors.embeddings)
    with eval_mode(head):
        outputs = head(anchors.embeddings.to(home))
        if not isinstance(outputs, Tensor) or outputs.dim() != 2:
            got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise InputError("head", f"must return one row per anchor (got {got} for {len(anchors)} anchors)")
        mean_from: MeanFrom
        if _is_linear(head):
            mean, mean_from = head(anchors.center.to(home).unsqueeze(0)).squeeze(0), "center"
        elif embeddings is not None:
            rows = check_rows("embeddings", embeddings)
            if rows.size(1) != anchors.num_features:
                rule = f"must be {anchors.num_features} wide, as the anchors (got {rows.size(1)})"
                raise InputError("embeddings", f"{rule}; pass those of the same run")
            mean, mean_from = head(rows.to(home)).mean(dim=0), "run-embeddings"
        else:
            # The roots of the shares, as in the estimators: between the plain mean and that of the rows stood for.
            roots = anchors.weights.to(outputs).sqrt()
            mean, mean_from = (roots / roots.sum()) @ outputs, "anchors"
    mode = "multiclass" if mode is None else mode
    return PublishedHead(
        anchors.ids,
        outputs,
        mean,
        mode,
        mean_from,
        anchors.fingerprint,
        anchors.id,
        version=anchors.version,
        time=anchors.time,
    )


def graph_parts(head: nn.Module) -> list[str]:
    """Parts of the graph that a head reads beside the embeddings, as one that passes messages does.

    Example:
        >>> from torch_geometric.nn import MLP, GCNConv
        >>> graph_parts(GCNConv(4, 3)), graph_parts(nn.Linear(4, 3)), graph_parts(MLP([4, 8, 3]))
        (['edge_index'], [], [])
    """
    named = list(inspect.signature(head.forward).parameters.values())[1:]
    named = [one for one in named if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    needed = [one.name for one in named if one.default is one.empty]
    names = getattr(head, "graph_arguments", None)
    names = [one.name for one in named] if names is None else names
    return [*needed, *(name for name in names if name in _PARTS and name not in needed)]


def _is_linear(head: nn.Module) -> bool:
    if getattr(head, "affine", False) is True:
        return True
    linear: list[type[nn.Module]] = [nn.Linear]
    if "torch_geometric" in sys.modules:
        from torch_geometric.nn.dense.linear import Linear

        linear.append(Linear)
    # Not by isinstance alone: a subclass may define another forward.
    return any(isinstance(head, kind) and type(head).forward is kind.forward for kind in linear)
