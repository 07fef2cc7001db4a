"""The consensus of several models: one encoder with one head that predicts what their ensemble predicts."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from relgraph.anchors import AnchorSet, PublishedHead, mean_head
from relgraph.anchors.matching import row_numbers
from relgraph.errors import InputError
from relgraph.graph import fingerprint, node_ids
from relgraph.maps import MatchedAnchors, Shrinkage, fit_map
from relgraph.maps.correspondence import warn_if_unrelated
from relgraph.maps.scarcity import warn_if_scarce
from relgraph.nn.model import Model
from relgraph.stitching.stitched import nodes_of
from relgraph.task import Mode, check_mode

MOST_ROWS = 4096
"""Rows that a head is fitted on by default: as many as a translation of tables takes."""


@dataclass(frozen=True, eq=False)
class ConsensusHead:
    """A head that was fitted to the mean of several heads, and the encoder that it belongs to.

    Args:
        encoder: Number of the space, from 0.
        head: From embeddings of that space to outputs.
        divergence: Mean divergence of its outputs from the mean head's on the anchors, see :func:`divergence`.
        matched: The anchors it was fitted on.
    """

    encoder: int
    head: nn.Module
    divergence: float
    matched: MatchedAnchors


def consensus(
    models: Sequence[Model],
    data: Data,
    *,
    encoder: int | None = None,
    rows: Tensor | int | None = None,
    method: str | None = None,
    shrinkage: Shrinkage | None = None,
    mode: Mode = "multiclass",
) -> Model:
    """One of several models with a head that predicts what all of them together predict; nothing is trained.

    An ensemble changes fewer of its predictions than a single model when everything is trained anew, but inference
    costs as many encoders as it has members. Here the mean of the models' outputs (:func:`relgraph.anchors.mean_head`)
    is converted to the space of one of them (:func:`relgraph.convert`), so that inference costs one encoder and one
    linear layer; ``benchmarks/stability`` has what this is worth. The models may have different encoders, widths and
    heads. No labels are used, and the result shares no parameter with the models.

    Args:
        models: The models, trained for the same outputs from different seeds, or with different encoders.
        data: A graph that all of them can embed.
        encoder: Number of the model whose encoder is used, from 0; ``None`` for the one whose converted head is closest
            to the mean on ``rows`` (:func:`divergence`), for which a head is fitted to every encoder.
        rows: Rows that the head is fitted on: a mask ``(N,)``, row numbers, or their number, drawn at random with seed
            0. By default all, at most 4,096 drawn so. For the anchors of the graph: ``relgraph.anchor_index(data)``.
        method, shrinkage: Of the fit, as of :func:`relgraph.convert`.
        mode: What the outputs are: ``"multiclass"``, ``"multilabel"`` (a sigmoid each) or ``"regression"``.

    Returns:
        A model in evaluation mode.

    Raises:
        InputError: If there is no model, outputs or rows of the models do not fit, ``encoder`` or ``rows`` name
            none, or ``method`` and ``shrinkage`` do not apply.

    Warns:
        FewAnchorsWarning, NoCorrespondenceWarning: As :func:`relgraph.convert`.

    Example:
        >>> import relgraph as rg
        >>> data = rg.load_dataset("digits")
        >>> models = [rg.fit(data, name, seed=0, epochs=5) for name in ("gcn", "sage")]
        >>> rg.consensus(models, data)(data).shape
        torch.Size([1797, 10])
    """
    check_mode(mode)
    models = _checked(models)
    if encoder is not None and (isinstance(encoder, bool) or encoder not in range(len(models))):
        raise InputError("encoder", f"must be from 0 to {len(models) - 1}, the number of a model (got {encoder!r})")
    outputs = _outputs(models, data)
    count, nodes = len(outputs[0]), nodes_of(data, models[0].node_type)
    chosen, ids = _rows(rows, count), node_ids(nodes)
    graph = fingerprint(nodes) if hasattr(nodes, "edge_index") else ""
    mean = mean_head(
        PublishedHead(ids[chosen], one[chosen.to(one.device)], one.mean(dim=0), mode, "run-embeddings", graph)
        for one in outputs
    )
    candidates = models if encoder is None else [models[encoder]]
    spaces = [AnchorSet.from_rows(model.embed(data), chosen, ids=ids, fingerprint=graph) for model in candidates]
    found = fit_consensus(spaces, mean, method, shrinkage=shrinkage)
    warn_if_scarce(found.matched, stacklevel=2)
    warn_if_unrelated(found.matched, curved=not isinstance(found.head, nn.Linear), stacklevel=2)
    served = candidates[found.encoder]
    return Model(copy.deepcopy(served.encoder), found.head, served.node_type).eval()


def fit_consensus(
    spaces: Sequence[AnchorSet],
    head: PublishedHead,
    method: str | None = None,
    *,
    shrinkage: Shrinkage | None = None,
) -> ConsensusHead:
    """Convert a head to each of several spaces, and take the space in which it stays closest to itself.

    Args:
        spaces: Spaces of the encoders to choose from.
        head: The head, such as a mean of several (:meth:`relgraph.PublishedHead.mean`).
        method, shrinkage: As of :func:`relgraph.convert`.

    Returns:
        The converted head of the least :func:`divergence` on the anchors, of the first such space.

    Raises:
        InputError: As :func:`relgraph.convert`, or if there is no space.

    Example:
        >>> ids, z = torch.arange(4), torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [1.0, 4.0]])
        >>> head = PublishedHead(ids, z[:, :1], z[:, :1].mean(0), "regression")
        >>> spaces = [AnchorSet(ids, rows, rows.mean(0)) for rows in (z * torch.tensor([0.0, 1.0]), z)]
        >>> fit_consensus(spaces, head).encoder
        1
    """
    if not spaces:
        raise InputError("spaces", "must hold at least one AnchorSet (got none)")
    best: ConsensusHead | None = None
    for number, space in enumerate(spaces):
        module, matched = fit_map(space, head, method, shrinkage=shrinkage, stacklevel=2)
        outputs = module(space.take(matched.ids.to(space.ids.device)).embeddings)
        found = divergence(outputs, matched.values, head.mode)
        if best is None or found < best.divergence:
            best = ConsensusHead(number, module, found, matched)
    assert best is not None
    return best


def divergence(outputs: Tensor, target: Tensor, mode: Mode) -> float:
    r"""How far outputs ``(K, C)`` are from others, mean over the rows.

    .. math:: \frac{1}{K} \sum_k \mathrm{KL}(\mathrm{softmax}(t_k) \Vert \mathrm{softmax}(o_k))

    of classes; of labels the sum over labels of the same of two Bernoulli distributions; of values the squared error.

    Example:
        >>> divergence(torch.tensor([[0.0, 9.0]]), torch.tensor([[1.0, 10.0]]), "multiclass")
        0.0
        >>> divergence(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]), "regression")
        4.0
    """
    o, t = (rows.detach().cpu().double() for rows in (outputs, target))
    if mode == "regression":
        return float((o - t).square().sum(dim=1).mean())
    if mode == "multilabel":  # a label is a class beside one of logit 0
        o, t = (torch.stack([rows, torch.zeros_like(rows)], dim=-1) for rows in (o, t))
    logs, wanted = o.log_softmax(dim=-1), t.log_softmax(dim=-1)
    return float(F.kl_div(logs, wanted, reduction="none", log_target=True).sum() / len(o))


def _checked(models: Sequence[Model]) -> list[Model]:
    several = list(models) if isinstance(models, Iterable) else []
    given: list[object] = [*several] or [models]
    strangers = [f"a {type(one).__name__}" for one in given if not isinstance(one, Model)]
    if strangers or not several:
        got = f"(got {strangers[0] if strangers else 'a single Model'}); pass a list of relgraph.Model"
        raise InputError("models", f"must hold at least one relgraph.Model and nothing else {got}")
    if len(kinds := {one.node_type for one in several}) > 1:
        got = f"(got {' and '.join(sorted(map(str, kinds)))}); average models of one node type"
        raise InputError("models", f"must embed nodes of the same type {got}")
    return several


def _outputs(models: list[Model], data: Data) -> list[Tensor]:
    """Outputs ``(N, C)`` of every model; an error if their shapes differ."""
    outputs = [model.predict(data) for model in models]
    if len(shapes := {tuple(one.shape) for one in outputs}) > 1:
        got = f"(got shapes {' and '.join(map(str, sorted(shapes)))}); average models of one task"
        raise InputError("models", f"must have the same outputs for the same rows {got}")
    return outputs


def default_rows(count: int, most: int = MOST_ROWS) -> Tensor:
    """All row numbers below ``count``, or ``most`` of them drawn at random with seed 0, in order."""
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most].sort().values


def _rows(rows: Tensor | int | None, count: int) -> Tensor:
    """Numbers of the rows that a head is fitted on."""
    if rows is None or isinstance(rows, int):
        if rows is not None and not 1 <= rows <= count:
            raise InputError("rows", f"must be from 1 to {count}, the number of rows (got {rows}); lower it")
        return default_rows(count, rows or MOST_ROWS)
    return row_numbers("rows", rows, count).cpu()
