"""Which answers agree most with those of the neighbors: a judge between versions that needs no label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from relgraph.anchors.matching import as_tensor, row_numbers
from relgraph.anchors.values import check_rows
from relgraph.errors import InputError, require
from relgraph.graph import check_edges
from relgraph.maps.divergence import INVERSE_TEMPERATURE
from relgraph.similarity.checks import exact
from relgraph.versions.adjustment import check_temperature
from relgraph.versions.answers import Answers
from relgraph.versions.rows import AnsweredRows

LEAST_AGREEMENT = 0.2
"""Neighbors whose answers agree less than that, beyond chance, judge nothing: they have no class in common.

A round number; no measured graph is near it.
"""


@dataclass(frozen=True)
class Agreement:
    """How far the converted and the old answers to some rows agree with those of the neighbors.

    Args:
        values: Of :func:`neighbor_agreement`, for ``"convert"`` and ``"keep"``.
        group: The rows that it is of: ``"old"`` or ``"new"``.
        noise: Standard error of the difference.
        relative: Of each group, the agreement of the converted answers over that of the old ones, and its standard
            error. Empty of stored answers: on a graph with more edges, new ones are smoother and agree more, right or
            wrong.
    """

    values: Mapping[str, float]
    group: str
    noise: float
    relative: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, rows: AnsweredRows, answers: Answers, edge_index: Tensor) -> Agreement | None:
        """On the new rows; on the old ones if none are new, or if stored answers say nothing of these.

        ``None`` without old answers, or if no such row has a neighbor.
        """
        if "keep" not in answers.outputs:
            return None
        ways = {way: answers.outputs[way] for way in ("convert", "keep")}
        judged = [group for group in rows.groups if not (answers.stored and group == "new")]
        terms = {group: row_agreements(ways, edge_index, rows.groups[group]) for group in judged}
        terms = {group: one for group, one in terms.items() if len(one["convert"])}
        group = "old" if answers.stored or not len(rows.new) else "new"
        if group not in terms:
            return None
        values = {way: float(one.mean()) for way, one in terms[group].items()}
        noise = _standard_error(terms[group]["convert"] - terms[group]["keep"])
        relative = {} if answers.stored else {group: _ratio(**one) for group, one in terms.items()}
        return cls(values, group, noise, relative)

    @property
    def judges(self) -> bool:
        """Whether neighbors have enough in common to judge."""
        return max(self.values.values()) >= LEAST_AGREEMENT


def _ratio(convert: Tensor, keep: Tensor) -> tuple[float, float]:
    """The ratio of the means of two paired samples, and its standard error; no number if nothing is beyond chance."""
    below = float(keep.mean())
    if not below > 0:
        return float("nan"), float("nan")
    ratio = float(convert.mean()) / below
    return ratio, _standard_error(convert - ratio * keep) / below


def _standard_error(values: Tensor) -> float:
    return float(values.std(correction=0) / len(values) ** 0.5)


def neighbor_agreement(
    answers: Mapping[str, Tensor],
    edge_index: Tensor,
    rows: Tensor | None = None,
    *,
    inverse_temperature: float = INVERSE_TEMPERATURE,
) -> dict[str, float]:
    r"""How often the answers of each way are those that the neighbors are believed to have, beyond chance.

    .. math:: a_w = \frac{1}{n} \sum_i \frac{1}{\deg i} \sum_{j \to i} q_j[\hat c_i^w], \qquad
        q_j = \frac{1}{|W|} \sum_{w \in W} \mathrm{softmax}(\beta L_j^w), \qquad
        \kappa_w = \frac{a_w - \sum_c \bar q_c^2}{1 - \sum_c \bar q_c^2}

    with the answer :math:`\hat c_i^w` of the way ``w`` to row ``i``. Where neighbors tend to have the same class, of
    two ways to answer the same rows the one that agrees more is in most cases the more accurate one
    (``benchmarks/versions``). All ways are compared with the same neighbors, whose probabilities are the mean over the
    ways. Values of one call can be compared with each other, those of different calls cannot. Answers that were
    smoothed agree with their neighbors by construction: pass those before smoothing.

    Args:
        answers: For each way its logits on all rows, shape ``(N, C)``.
        edge_index: Edges from neighbors to rows, shape ``(2, E)``; loops do not count.
        rows: The rows that count, such as those that an old version did not have: a mask ``(N,)`` or row numbers; by
            default all.
        inverse_temperature: The factor :math:`\beta`.

    Returns:
        :math:`\kappa_w` for each way: 1 if all neighbors are surely of the answered class, 0 as by chance; not a number
        if no row has a neighbor.

    Raises:
        InputError: If there are no ways, shapes do not fit, or the temperature is not positive.

    Example:
        >>> edges = torch.tensor([[0, 1, 2, 1, 2, 0], [1, 2, 0, 0, 1, 2]])
        >>> one = torch.tensor([[4.0, 0.0], [3.0, 0.0], [2.0, 0.0]])
        >>> other = torch.tensor([[4.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
        >>> found = neighbor_agreement({"one": one, "other": other}, edges)
        >>> found["one"] > found["other"]
        True
    """
    found = row_agreements(answers, edge_index, rows, inverse_temperature=inverse_temperature)
    return {name: float(values.mean()) for name, values in found.items()}


def row_agreements(
    answers: Mapping[str, Tensor],
    edge_index: Tensor,
    rows: Tensor | None = None,
    *,
    inverse_temperature: float = INVERSE_TEMPERATURE,
) -> dict[str, Tensor]:
    """The terms of :func:`neighbor_agreement`, one for each of the rows with a neighbor, ``(n,)`` for each way."""
    require("answers", answers, Mapping, "pass a dictionary of logits by the name of the way")
    if not answers:
        raise InputError("answers", "must hold the logits of one way at least (got none); pass a dictionary")
    check_temperature(inverse_temperature)
    given = {name: check_rows("answers", one) for name, one in answers.items()}
    device = next(iter(given.values())).device
    logits = {name: one.to(device, exact(device)) for name, one in given.items()}
    shape = next(iter(logits.values())).shape
    for name, one in logits.items():
        if one.shape != shape:
            found = f"(got {tuple(one.shape)} for '{name}'); answer the same rows"
            raise InputError("answers", f"must all have the shape {tuple(shape)} of the first {found}")
    count = shape[0]
    edge_index = as_tensor("edge_index", edge_index)
    check_edges(edge_index, count)
    believed = torch.stack([(inverse_temperature * one).softmax(dim=1) for one in logits.values()]).mean(dim=0)
    source, target = edge_index[:, edge_index[0] != edge_index[1]].to(believed.device)
    degree = torch.bincount(target, minlength=count)
    around = torch.zeros_like(believed).index_add_(0, target, believed[source])
    chosen = torch.arange(count) if rows is None else row_numbers("rows", rows, count)
    chosen = chosen.to(degree.device)
    chosen = chosen[degree[chosen] > 0]
    around = around[chosen] / degree[chosen].unsqueeze(1)
    chance = float(believed.mean(dim=0).square().sum())
    agreed = {
        name: around.gather(1, one[chosen].argmax(dim=1, keepdim=True)).squeeze(1) for name, one in logits.items()
    }
    return {name: (values - chance) / max(1 - chance, 1e-12) for name, values in agreed.items()}
