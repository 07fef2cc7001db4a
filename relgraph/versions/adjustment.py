"""Adjust answers to a graph that has grown: to class shares among new rows, answers of the neighbors, old answers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relgraph.anchors.matching import as_tensor, row_numbers
from relgraph.anchors.values import check_rows
from relgraph.errors import InputError, real_number
from relgraph.graph import check_edges
from relgraph.maps.divergence import INVERSE_TEMPERATURE
from relgraph.similarity.checks import exact

ITERATIONS = 100
TOLERANCE = 1e-5
PRIOR_STRENGTH = 0.3
"""As :data:`SMOOTHING`. Without it, a few ambiguous classes can take each other's rows, as on CiteSeer."""
SMOOTHING = 0.4
"""Chosen on the validation nodes of ogbn-arxiv's releases of 2012 and 2014 (benchmarks/versions/tune.py)."""


def adjust_priors(
    outputs: Tensor,
    rows: Tensor,
    *,
    prior_strength: float = PRIOR_STRENGTH,
    inverse_temperature: float = INVERSE_TEMPERATURE,
) -> Tensor:
    r"""Adjust logits to the class shares of some rows, which are estimated from the logits themselves.

    A head knows the shares of the classes of its own time. Among the rows that a graph has gained since, they are
    different, and so is the best answer for the same embedding. The shares :math:`\pi_c` of these rows, and their
    probabilities, are estimated in turn, without a label:

    .. math:: q_{ic} \propto p_{ic} \, \pi_c / \pi^0_c, \qquad
        \pi_c = \frac{1}{1 + \alpha} \Bigl(\frac{1}{n} \sum_i q_{ic} + \alpha \pi^0_c\Bigr)

    with :math:`p = \mathrm{softmax}(\beta \cdot \text{logits})` and :math:`\pi^0` its mean over all other rows. This
    is EM by `Saerens, Latinne and Decaestecker (2002) <https://doi.org/10.1162/089976602753284446>`_, with a Dirichlet
    prior of the weight of :math:`\alpha n` rows that holds the shares near those of the other rows.

    Args:
        outputs: Logits of all rows, shape ``(N, C)``.
        rows: The rows with other class shares, such as those that the old version did not have: a mask ``(N,)`` or row
            numbers.
        prior_strength: :math:`\alpha`.
        inverse_temperature: :math:`\beta`; heads trained with dropout and weight decay are under-confident.

    Returns:
        Logits ``(N, C)`` in the type of ``outputs``, changed in ``rows`` only. All are unchanged if there is no other
        row, or only one class.

    Raises:
        InputError: If the outputs are no finite matrix, ``rows`` names none, or the temperature is not positive.

    Example:
        >>> old = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(50, 1)
        >>> new = torch.tensor([[1.0, -1.0], [0.05, -0.05], [0.9, -0.9]]).repeat(50, 1)
        >>> rows = torch.arange(250) >= 100
        >>> found = adjust_priors(torch.cat([old, new]), rows)
        >>> [bool(torch.equal(found[:100], old)), bool((found[rows] - new)[:, 0].min() > 0)]
        [True, True]
    """
    outputs = check_rows("outputs", outputs)
    check_temperature(inverse_temperature)
    if not 0 <= real_number("prior_strength", prior_strength) < math.inf:
        rule = "must not be negative, and finite"
        raise InputError("prior_strength", f"{rule} (got {prior_strength}); 0 trusts the rows alone")
    chosen = row_numbers("rows", rows, len(outputs)).to(outputs.device)
    others = torch.ones(len(outputs), dtype=torch.bool, device=outputs.device).index_fill_(0, chosen, False)
    if not bool(others.any()) or outputs.size(1) < 2:
        return outputs.clone()
    logs = inverse_temperature * outputs.cpu().double()
    before = logs[others.cpu()].softmax(dim=1).mean(dim=0)
    some = logs[chosen.cpu()]
    start = before.clamp(min=1e-12).log()
    shares, ratio = before, torch.zeros_like(before)
    for _ in range(ITERATIONS):
        found = (some + ratio).softmax(dim=1).mean(dim=0)
        found = (found + prior_strength * before) / (1 + prior_strength)
        ratio = found.clamp(min=1e-12).log() - start
        if float((found - shares).abs().sum()) < TOLERANCE:
            break
        shares = found
    return outputs.index_add(0, chosen, (ratio / inverse_temperature).to(outputs).expand(len(chosen), -1))


def smooth(
    outputs: Tensor,
    edge_index: Tensor,
    known: Tensor | None = None,
    rows: Tensor | None = None,
    *,
    share: float = SMOOTHING,
    inverse_temperature: float = INVERSE_TEMPERATURE,
) -> Tensor:
    r"""Average probabilities with those of the neighbors, where the old head's answers are known with these.

    .. math:: \tilde p_i = (1 - s) \, p_i + \frac{s}{\deg i} \sum_{j \to i} a_j, \qquad
        a_j = \begin{cases} \text{the old answer} & \text{if } j \text{ is known} \\ p_j & \text{else} \end{cases}

    One step of the label propagation of `Huang et al. (2021) <https://arxiv.org/abs/2010.13993>`_, with a head's
    answers in place of labels. It helps where neighbors have the same class.

    Args:
        outputs: Logits of all rows, shape ``(N, C)``.
        edge_index: Edges from neighbors to rows, shape ``(2, E)``; loops do not count.
        known: Logits of the old head on some rows, shape ``(M, C)`` with ``M <= N``; by default none are known.
        rows: These rows, a mask ``(N,)`` or row numbers ``(M,)``; by default the first.
        share: ``s``, from 0 to 1.
        inverse_temperature: Of the probabilities, as of :func:`adjust_priors`.

    Returns:
        Logits, whose softmax at the same temperature is the average; those of a row without neighbors do not change.

    Raises:
        InputError: If shapes do not fit, ``share`` is not between 0 and 1, or the temperature is not positive.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 0.1]])
        >>> smooth(logits, torch.tensor([[0, 1], [2, 2]])).argmax(dim=1)
        tensor([0, 0, 0])
    """
    outputs = check_rows("outputs", outputs)
    edge_index = as_tensor("edge_index", edge_index)
    check_edges(edge_index, len(outputs))
    own = _probabilities(outputs, share, inverse_temperature)
    answers = own
    if known is not None:
        answers = _answers(outputs, own, known, rows, inverse_temperature)
    elif rows is not None:
        raise InputError("rows", "must be left out without 'known' (got it alone); pass the old answers")
    source, target = edge_index[:, edge_index[0] != edge_index[1]].to(outputs.device)
    degree = torch.bincount(target, minlength=len(outputs))
    around = torch.zeros_like(own).index_add_(0, target, answers[source]) / degree.clamp(min=1).unsqueeze(1)
    mixed = torch.where((degree > 0).unsqueeze(1), (1 - share) * own + share * around, own)
    return _logits(mixed, outputs, inverse_temperature)


def blend(
    outputs: Tensor,
    known: Tensor,
    *,
    share: float = 0.5,
    inverse_temperature: float = INVERSE_TEMPERATURE,
) -> Tensor:
    r"""Average probabilities with those of the old answer to the same row, so that fewer answers change.

    .. math:: \tilde p_i = (1 - s) \, p_i + s \, a_i

    with the old answers ``a`` on the first rows; the others do not change. Most answers that a new version changes are
    those that were close to a tie: the mean changes an answer only where the new version is surer of the other one than
    the old version was of its own. Milani Fard et al. (Launch and iterate: reducing prediction churn,
    NeurIPS 2016) call the share of changed answers *churn*; ``benchmarks/versions`` measures it.

    Args:
        outputs: Logits of all rows, shape ``(N, C)``.
        known: Logits of the old version on the first rows, shape ``(M, C)`` with ``M <= N``.
        share: ``s``, from 0 to 1.
        inverse_temperature: Of the probabilities, as of :func:`adjust_priors`.

    Returns:
        Logits, whose softmax at the same temperature is the average.

    Raises:
        InputError: If shapes do not fit, ``share`` is not between 0 and 1, or the temperature is not positive.

    Example:
        >>> outputs = torch.tensor([[0.0, 0.1], [0.0, 2.0], [0.0, 0.1]])
        >>> blend(outputs, torch.tensor([[0.3, 0.0], [0.3, 0.0]])).argmax(dim=1)
        tensor([0, 1, 1])
    """
    outputs = check_rows("outputs", outputs)
    own = _probabilities(outputs, share, inverse_temperature)
    answers = _answers(outputs, own, known, None, inverse_temperature)
    return _logits((1 - share) * own + share * answers, outputs, inverse_temperature)


def check_temperature(inverse_temperature: float) -> None:
    """Refuse an inverse temperature that is not positive, or not finite."""
    if not 0 < real_number("inverse_temperature", inverse_temperature) < math.inf:
        found = f"(got {inverse_temperature}); the default is {INVERSE_TEMPERATURE:g}"
        raise InputError("inverse_temperature", f"must be above 0 and finite {found}")


def _probabilities(outputs: Tensor, share: float, inverse_temperature: float) -> Tensor:
    """Probabilities of the rows' own answers, of which ``share`` will be replaced, as exact as the device can."""
    if not 0 <= real_number("share", share) <= 1:
        raise InputError("share", f"must be between 0 and 1 (got {share}); 0 leaves the outputs as they are")
    check_temperature(inverse_temperature)
    return (inverse_temperature * outputs.to(exact(outputs.device))).softmax(dim=1)


def _answers(outputs: Tensor, own: Tensor, known: Tensor, rows: Tensor | None, inverse_temperature: float) -> Tensor:
    """Probabilities of the old answers on some rows, by default the first, and the rows' own ones on the others."""
    known = check_rows("known", known)
    if known.size(1) != outputs.size(1) or len(known) > len(outputs):
        which = "those of the first rows" if rows is None else "those of 'rows'"
        most = f"at most {len(outputs)} rows of {outputs.size(1)} outputs"
        raise InputError("known", f"must have {most}, {which} (got {tuple(known.shape)})")
    places = torch.arange(len(known)) if rows is None else row_numbers("rows", rows, len(outputs), fewest=0)
    if len(places) != len(known):
        raise InputError("rows", f"must name {len(known)} rows, one for each of 'known' (got {len(places)}); name each")
    return own.index_copy(0, places.to(own.device), (inverse_temperature * known.to(own)).softmax(dim=1))


def _logits(probabilities: Tensor, outputs: Tensor, inverse_temperature: float) -> Tensor:
    """Logits of these probabilities at the temperature, in the type of the outputs."""
    return (probabilities.clamp(min=1e-300).log() / inverse_temperature).to(outputs)
