"""Diagnosis of a choice of anchors: figures and warnings from the published pieces, before anything is converted."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from relgraph.anchors.matching import as_tensor, shared_ids
from relgraph.anchors.values import AnchorSet, PublishedHead, check_rows, shortened
from relgraph.errors import InputError, require
from relgraph.graph import integer_ids
from relgraph.maps.correspondence import Correspondence, correspondence, misfits
from relgraph.maps.expected import expected_fidelity
from relgraph.maps.leave_one_out import Shrinkage, Smoother, resolve_shrinkage
from relgraph.maps.matched import MatchedAnchors, centered
from relgraph.maps.methods import estimator_for
from relgraph.similarity import rounding_steps

_LOW_FIDELITY = 0.8  # a lower expected fidelity is a warning
_NO_BETTER = 0.95  # relative squared error of left-out anchors; with much shrinkage that of unrelated rows is about 1
_CHUNK = 4_000_000  # distances held at once in the search for the nearest anchors


@dataclass(frozen=True)
class Diagnosis:
    """The result of :func:`diagnose`; printed, it is a table.

    Args:
        anchor_set: Id of the anchor set.
        num_anchors: Number of anchors ``K``: all of them, or those shared with the head.
        num_features: Dimensions of the space, ``F``.
        num_classes: Classes of the labels, else outputs of the head, else ``None``.
        shrinkage: The share of the mean variance that is added to the variance in each direction.
        anchors_per_dimension: ``K / F``.
        effective_rank: Directions in which the anchors spread, from 0 (a constant space) to ``min(K, F)``.
        degrees_of_freedom: Effective degrees of freedom of the ridge regression with this shrinkage.
        condition_number: Largest over smallest eigenvalue of the anchors' covariance with the shrinkage added.
        condition_number_unshrunk: The same without; infinite if the anchors do not span the space.
        mean_distance: Mean distance of all rows to their nearest anchor, over their mean distance to the center.
        largest_distance: Largest distance of a row to its nearest anchor, over the same.
        leave_one_out: Squared leave-one-out error of the ridge regression, over that of the head's mean.
        expected_fidelity: Fidelity of a converted head, by cross-validation (:func:`relgraph.maps.expected_fidelity`).
        fidelity_interval: The ends of its interval of 95 %.
        suspicious_anchors: Ids of :func:`relgraph.maps.correspondence.misfits`, the worst first.
        class_counts: Number of anchors of each class, ascending by label.
        class_coverage: Share of the classes that have an anchor.
        warnings: Reasons why the choice may fail; empty if none was found.
    """

    anchor_set: str
    num_anchors: int
    num_features: int
    num_classes: int | None
    shrinkage: float
    anchors_per_dimension: float
    effective_rank: float
    degrees_of_freedom: float
    condition_number: float
    condition_number_unshrunk: float
    mean_distance: float | None = None
    largest_distance: float | None = None
    leave_one_out: float | None = None
    expected_fidelity: float | None = None
    fidelity_interval: list[float] | None = None
    suspicious_anchors: list[int] | None = None
    class_counts: dict[int, int] | None = None
    class_coverage: float | None = None
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; infinity, which JSON does not have, becomes ``None``."""
        values = asdict(self)
        if values["class_counts"] is not None:
            values["class_counts"] = {str(label): count for label, count in values["class_counts"].items()}
        return {key: None if value == math.inf else value for key, value in values.items()}

    def __str__(self) -> str:
        with_shrinkage = f"with shrinkage {self.shrinkage:g}"
        conditions = f"{self.condition_number:.3g} {with_shrinkage}, {self.condition_number_unshrunk:.3g} without"
        rows = [
            ("anchors", f"{self.num_anchors} in {self.num_features} dimensions"),
            ("anchors per dimension", f"{self.anchors_per_dimension:.2f}"),
            ("effective rank", f"{self.effective_rank:.1f}"),
            ("degrees of freedom", f"{self.degrees_of_freedom:.1f} {with_shrinkage}"),
            ("condition number", conditions),
        ]
        if self.mean_distance is not None:
            distances = f"mean {self.mean_distance:.2f}, largest {self.largest_distance:.2f}"
            rows.append(("distance to an anchor", f"{distances} (1 is the mean distance to the center)"))
        if self.leave_one_out is not None:
            rows.append(("leave-one-out error", f"{self.leave_one_out:.3f} of the outputs' variance"))
        if self.expected_fidelity is not None and self.fidelity_interval is not None:
            low, high = self.fidelity_interval
            rows.append(("expected fidelity", f"{self.expected_fidelity:.3f} ({low:.3f} to {high:.3f})"))
        if self.suspicious_anchors:
            rows.append(("suspicious anchors", shortened(self.suspicious_anchors)))
        if self.class_counts is not None:
            covered = sum(count > 0 for count in self.class_counts.values())
            counts = ", ".join(f"{label}: {count}" for label, count in self.class_counts.items())
            rows.append(("classes with an anchor", f"{covered} of {len(self.class_counts)} (anchors of {counts})"))
        width = max(len(name) for name, _ in rows)
        lines = [f"anchor set {self.anchor_set}", *(f"  {name:<{width}}  {value}" for name, value in rows)]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def diagnose(
    anchors: AnchorSet,
    *,
    head: PublishedHead | None = None,
    embeddings: Tensor | None = None,
    y: Tensor | None = None,
    node_ids: Tensor | None = None,
    shrinkage: Shrinkage | None = None,
    method: str | None = None,
) -> Diagnosis:
    r"""Diagnose a choice of anchors, and warn if maps fitted on them are likely to fail.

    With anchors ``A``, center ``m``, ``A_c = A - 1 m'`` and :math:`\mu` the eigenvalues of the covariance
    :math:`A_c' A_c / K`, to which ridge regression adds :math:`g \, \bar\mu`:

    .. math:: \text{effective rank} = \exp\Bigl(-\sum_i p_i \log p_i\Bigr), \quad p = \mu \, / \textstyle\sum_i \mu_i,
        \qquad \text{degrees of freedom} = \sum_i \frac{\mu_i}{\mu_i + g \, \bar\mu}

    .. math:: \text{leave-one-out} = \frac{\sum_i \lVert e_i / (1 - h_{ii}) \rVert^2}{\sum_i \lVert L_i - l \rVert^2}

    with ``e`` the residuals of the ridge regression at the anchors and ``h`` the diagonal of its hat matrix
    (:class:`relgraph.maps.leave_one_out.Smoother`). With a head, all of this is of rows ``A_c`` and ``L - l``
    multiplied by the roots of their weights in the regression (:meth:`relgraph.maps.MatchedAnchors.weights`).

    The effective rank is that of `Roy and Vetterli (2007)
    <https://www.eurasip.org/Proceedings/Eusipco/Eusipco2007/Papers/a5p-h05.pdf>`_, of variances. Without
    weights, a few anchors of very large norm make it small without harm to a map, so that warnings depend on the
    degrees of freedom instead.

    Args:
        anchors: The anchors, as a run publishes them.
        head: A head to be converted; adds figures of left-out anchors, suspicious anchors, and a warning if rows do
            not correspond. If its ids differ, all figures are those of the shared anchors.
        embeddings: Embeddings of all rows of the same run, shape ``(N, F)``; adds distances to the nearest anchor.
        y: Classes of all rows, shape ``(N,)``, negative where unknown; adds class counts.
        node_ids: Ids of the rows of ``y``, shape ``(N,)``; by default the row numbers.
        shrinkage: ``g``, a number or ``"loo"``; by default ``"loo"`` with a head, and 0.01 without.
        method: The map whose fidelity is estimated, as of :func:`relgraph.convert`.

    Raises:
        InputError: If shapes do not fit, a number is not finite, an anchor has no row in ``y``, ``shrinkage`` is
            negative, or ``"loo"`` without a head, or the head shares too few anchors.

    Warns:
        GraphChangedWarning: If anchors and head were made on different graphs.

    Example:
        >>> anchors = AnchorSet(torch.arange(3), torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]]), torch.zeros(2))
        >>> found = diagnose(anchors, y=torch.tensor([0, 1, 1, 0, 2]))
        >>> found.class_counts, round(found.effective_rank, 2)
        ({0: 1, 1: 2, 2: 0}, 1.89)
    """
    require("anchors", anchors, AnchorSet, "the head is the argument 'head'")
    if head is not None:
        require("head", head, PublishedHead, "make one with relgraph.publish")
    matched = None if head is None else MatchedAnchors.match(anchors, head, stacklevel=2)
    anchor_set = anchors.id
    if matched is None:
        if shrinkage == "loo":
            raise InputError("shrinkage", "must be a number without a head (got 'loo'); pass 'head' as well")
        offsets = centered(anchors, torch.arange(len(anchors)))
        number = resolve_shrinkage(offsets, offsets, 0.01 if shrinkage is None else shrinkage)
    else:
        anchors, (offsets, targets) = anchors.take(matched.ids), matched.weighted_rows(matched.targets)
        number = matched.shrinkage(offsets, targets, "loo" if shrinkage is None else shrinkage)
    count, num_features = offsets.shape
    smoother = Smoother.of_rows(offsets)
    # Rounding changes no singular value by more than this: 4 steps of what was computed, and the spectral norm of
    # errors of half a step or less in numbers that were stored in half precision.
    computed, stored = rounding_steps(anchors.embeddings.dtype)
    spread = (count**0.5 + num_features**0.5) / (12 * count * num_features) ** 0.5
    rounding = (4 * computed + stored * spread) * anchors.embeddings.cpu().to(torch.float64).norm()
    smoother = replace(smoother, values=torch.where(smoother.values.sqrt() > rounding, smoother.values, 0.0))
    variances = torch.zeros(num_features, dtype=torch.float64)
    variances[: len(smoother.values)] = smoother.values / count
    share = variances[variances > 0] / variances.sum()
    penalty = number * float(variances.mean()) * count
    error = None if matched is None else _left_out(smoother, penalty, matched)
    expected = None
    if head is not None and matched is not None and error is not None and error < math.inf:
        expected = expected_fidelity(matched, estimator_for(head, method), "loo" if shrinkage is None else shrinkage)
    mean, largest = (None, None) if embeddings is None else _distances(anchors, embeddings)
    counts = None if y is None else _class_counts(anchors.ids.cpu(), y, node_ids)
    found = Diagnosis(
        anchor_set=anchor_set,
        num_anchors=count,
        num_features=num_features,
        num_classes=len(counts) if counts is not None else None if matched is None else matched.values.size(1),
        shrinkage=number,
        anchors_per_dimension=count / num_features,
        effective_rank=float((-share * share.log()).sum().exp()) if len(share) else 0.0,
        degrees_of_freedom=smoother.degrees_of_freedom(penalty),
        condition_number=_condition_number(variances + penalty / count),
        condition_number_unshrunk=_condition_number(variances),
        mean_distance=mean,
        largest_distance=largest,
        leave_one_out=error,
        expected_fidelity=None if expected is None else expected.value,
        fidelity_interval=None if expected is None else [expected.low, expected.high],
        suspicious_anchors=None if matched is None else suspicious_anchors(matched, number),
        class_counts=counts,
        class_coverage=None if counts is None else sum(count > 0 for count in counts.values()) / len(counts),
    )
    repeats = count - len(torch.unique(anchors.embeddings, dim=0))
    return replace(found, warnings=_warnings(found, repeats, None if matched is None else correspondence(matched)))


def suspicious_anchors(matched: MatchedAnchors, shrinkage: Shrinkage = "loo") -> list[int]:
    """Ids of :func:`relgraph.maps.correspondence.misfits`, the worst first."""
    number = matched.shrinkage(*matched.weighted_rows(matched.targets), shrinkage)
    found: list[int] = matched.ids[misfits(matched, number)].tolist()
    return found


def _condition_number(variances: Tensor) -> float:
    least, most = torch.aminmax(variances)
    return float(most / least) if least > 0 else math.inf


def _left_out(smoother: Smoother, penalty: float, matched: MatchedAnchors) -> float | None:
    """Relative squared error at left-out anchors, infinite if a regression is not determined."""
    goal = matched.roots * matched.targets
    variance = goal.square().sum()
    if variance == 0:
        return None
    spans = int((smoother.values > 0).sum()) in (0, matched.offsets.size(1))
    if (penalty == 0 and not spans) or bool((smoother.free(penalty) <= 64 * torch.finfo(torch.float64).eps).any()):
        return math.inf
    return float(next(smoother.errors(goal, [penalty])).square().sum() / variance)


def _distances(anchors: AnchorSet, embeddings: Tensor) -> tuple[float | None, float | None]:
    """Mean and largest distance of rows to the nearest anchor, over the mean distance to the center."""
    embeddings = check_rows("embeddings", embeddings)
    nearest, size = distances_to_anchors(anchors, embeddings)
    computed, stored = rounding_steps(embeddings.dtype)
    if size <= (4 * computed + stored) * float(anchors.center.norm()):
        return None, None  # all rows coincide, up to rounding
    return float(nearest.mean()) / size, float(nearest.max()) / size


def distances_to_anchors(anchors: AnchorSet, embeddings: Tensor) -> tuple[Tensor, float]:
    """Distances of rows ``(N, F)`` to the nearest anchor, ``(N,)``, and their mean distance to the center."""
    z = check_rows("embeddings", embeddings)
    if z.size(1) != anchors.num_features or not len(z):
        raise InputError(
            "embeddings",
            f"must have shape (N, {anchors.num_features}), like the anchors (got {tuple(z.shape)}); use the same run",
        )
    center = anchors.center.cpu().to(torch.float64)
    offsets = anchors.embeddings.cpu().to(torch.float64) - center
    nearest, size = [], 0.0
    for part in torch.split(z.detach().cpu(), max(1, _CHUNK // len(offsets))):
        rows = part.to(torch.float64) - center
        nearest.append(torch.cdist(rows, offsets).amin(dim=1))
        size += float(rows.norm(dim=1).sum())
    return torch.cat(nearest), size / len(z)


def _class_counts(ids: Tensor, y: Tensor, node_ids: Tensor | None) -> dict[int, int]:
    """The number of anchors of each class, for all classes of ``y``."""
    labels = as_tensor("y", y).detach().cpu()
    labels = labels.squeeze(1) if labels.dim() == 2 and labels.size(1) == 1 else labels
    if labels.dim() != 1 or labels.is_floating_point() or not bool((labels >= 0).any()):
        raise InputError(
            "y",
            "must hold one class per row, at least one not negative "
            f"(got {labels.dtype} of shape {tuple(labels.shape)})",
        )
    known = torch.arange(len(labels)) if node_ids is None else integer_ids(node_ids, "node_ids").cpu()
    if len(known) != len(labels):
        raise InputError("node_ids", f"must hold one id per row of 'y', {len(labels)} (got {len(known)})")
    found, rows = shared_ids(ids, known)
    if len(found) < len(ids):
        missing = ids[~torch.isin(ids, known)].tolist()
        raise InputError(
            "y",
            f"must have a row for every anchor (none for {shortened(missing)}); pass labels of all rows, "
            "with 'node_ids' if ids are not row numbers",
        )
    of_anchors = labels[rows]
    return {label: int((of_anchors == label).sum()) for label in torch.unique(labels[labels >= 0]).tolist()}


def _warnings(found: Diagnosis, repeats: int, rows_fit: Correspondence | None) -> list[str]:
    """Reasons why the choice may fail."""
    anchors, features, classes = found.num_anchors, found.num_features, found.num_classes or 0
    targets = "outputs of the head" if found.class_counts is None else "classes"
    error, expected, suspicious = found.leave_one_out, found.expected_fidelity, found.suspicious_anchors or []
    matching = rows_fit is None or rows_fit.better
    # Rounded, because shrinkage reduces every direction a little, those with much variance included.
    few_degrees = found.effective_rank > 0 and round(found.degrees_of_freedom) < classes - 1
    reasons = [
        (found.effective_rank == 0, "constant space: every anchor is at the center, so that all outputs are the same"),
        (anchors < classes, f"fewer anchors ({anchors}) than {targets} ({classes}): some of them have no anchor"),
        (
            few_degrees,
            f"a map has {found.degrees_of_freedom:.1f} effective degrees of freedom, and {classes} {targets} need "
            f"{classes - 1}: use more or other anchors or less shrinkage; the run may have collapsed",
        ),
        (
            anchors < features,
            f"fewer anchors ({anchors}) than dimensions ({features}): in at least {features - anchors} directions the "
            "map is determined by shrinkage alone, and ignores the embeddings",
        ),
        (repeats > 0, f"{repeats} of the anchors repeat the embedding of another one and add no information"),
        (found.suspicious_anchors is not None and error is None, "the head is constant: there is nothing to convert"),
        (not matching, f"rows do not correspond: {rows_fit}; check that ids name the same nodes in anchors and head"),
        (
            matching and error is not None and error >= _NO_BETTER,
            "left-out anchors are predicted hardly better than by the head's mean: use more anchors or shrinkage",
        ),
        (
            matching and expected is not None and expected < _LOW_FIDELITY,
            f"the expected fidelity of a converted head is only {expected or 0:.3f}: more anchors, other shrinkage or "
            "another method may be better",
        ),
        (
            bool(suspicious),
            f"{len(suspicious)} of the anchors {'does' if len(suspicious) == 1 else 'do'} not fit the others "
            f"({shortened(suspicious)}): check that their ids name the same nodes in anchors and head",
        ),
    ]
    return [reason for holds, reason in reasons if holds]
