"""Diagnosis: what a choice of anchors can carry, said before anything is stitched through it.

A conversion sees a space through its anchors alone. Whether they are enough can be read off the published pieces: no
label and no other run is needed, though each of them, if given, adds a line.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from relgraph.anchors import AnchorSet, aligned_rows, shared_ids
from relgraph.anchors.anchor_set import check_rows, named
from relgraph.conversion import PublishedHead
from relgraph.conversion.left_out import Correspondence, correspondence, decided, decides, misfits
from relgraph.conversion.pairing import Pairing
from relgraph.errors import InputError
from relgraph.similarity.checks import check_shrinkage
from relgraph.translation import Shrinkage, centered
from relgraph.translation.leave_one_out import resolve_shrinkage

# Agreement on left-out anchors below which a conversion is told to be poor.
_LOW_AGREEMENT = 0.8

# Distances held at a time while looking for the nearest anchor of every node.
_DISTANCES = 4_000_000


@dataclass(frozen=True)
class Diagnosis:
    """What :func:`diagnose` found; printed, it is a table.

    Args:
        space: Name of the space.
        num_anchors: Anchors that count, ``K``: all of them, or those shared with the head.
        num_features: Dimensions of the space, ``F``.
        num_classes: Classes of the labels, else outputs of the head, else ``None``.
        shrinkage: The share of the mean variance added to each direction.
        anchors_per_dimension: ``K / F``.
        effective_rank: Directions in which the anchors spread, from 0 (a constant space) to ``min(K, F)``.
        directions_read: Directions that the conversion reads in spite of the shrinkage, its degrees of freedom.
        condition_number: Largest over smallest eigenvalue of the anchors' covariance with the shrinkage added.
        condition_number_unshrunk: The same without; infinite where the anchors do not span the space.
        mean_distance: Of all nodes to their nearest anchor, over their mean distance to the centre.
        largest_distance: Of a node to its nearest anchor, over the same.
        leave_one_out: Squared error of the linear conversion at anchors left out, over the variance of the logits
            around their mean; 1 is what always answering the mean gets.
        agreement: Share of left-out anchors on which the linear conversion decides as the head does: the class, or
            every label by its sign.
        suspicious_anchors: Ids of anchors whose rows of space and head do not fit what the others say, the worst first
            (:func:`relgraph.conversion.left_out.misfits`).
        class_counts: Anchors of each class that the labels have, ascending by label.
        class_coverage: Share of these classes that have an anchor.
        warnings: Why the choice cannot work, or not as one might expect; empty if nothing was found.
    """

    space: str
    num_anchors: int
    num_features: int
    num_classes: int | None
    shrinkage: float
    anchors_per_dimension: float
    effective_rank: float
    directions_read: float
    condition_number: float
    condition_number_unshrunk: float
    mean_distance: float | None = None
    largest_distance: float | None = None
    leave_one_out: float | None = None
    agreement: float | None = None
    suspicious_anchors: list[int] | None = None
    class_counts: dict[int, int] | None = None
    class_coverage: float | None = None
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which knows no infinity: there, ``None``."""
        values = asdict(self)
        if values["class_counts"] is not None:
            values["class_counts"] = {str(label): count for label, count in values["class_counts"].items()}
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in values.items()
        }

    def __str__(self) -> str:
        rows = [
            ("anchors", f"{self.num_anchors} in {self.num_features} dimensions"),
            ("anchors per dimension", f"{self.anchors_per_dimension:.2f}"),
            ("effective rank", f"{self.effective_rank:.1f}"),
            ("directions read", f"{self.directions_read:.1f} with shrinkage {self.shrinkage:g}"),
            (
                "condition number",
                f"{self.condition_number:.3g} with shrinkage {self.shrinkage:g}, "
                f"{self.condition_number_unshrunk:.3g} without",
            ),
        ]
        if self.mean_distance is not None:
            reach = f"mean {self.mean_distance:.2f}, largest {self.largest_distance:.2f}"
            rows.append(("distance to an anchor", f"{reach} (1 is the mean distance to the centre)"))
        if self.leave_one_out is not None:
            rows.append(("leave-one-out error", f"{self.leave_one_out:.3f} of the logits' variance"))
        if self.agreement is not None:
            rows.append(("left-out agreement", f"{self.agreement:.3f} of what the head decides"))
        if self.suspicious_anchors:
            rows.append(("anchors that do not fit", named(self.suspicious_anchors)))
        if self.class_counts is not None:
            covered = sum(count > 0 for count in self.class_counts.values())
            counts = ", ".join(f"{label}: {count}" for label, count in self.class_counts.items())
            rows.append(("classes with an anchor", f"{covered} of {len(self.class_counts)} (anchors of {counts})"))
        width = max(len(name) for name, _ in rows)
        lines = [f"space {self.space}", *(f"  {name:<{width}}  {value}" for name, value in rows)]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def diagnose(
    space: AnchorSet,
    *,
    published: PublishedHead | None = None,
    all_embeddings: Tensor | None = None,
    y: Tensor | None = None,
    node_ids: Tensor | None = None,
    shrinkage: Shrinkage = 0.01,
) -> Diagnosis:
    r"""Say what a choice of anchors can carry, and warn where it cannot work.

    With anchors ``A``, centre ``m``, ``A_c = A - 1 m'`` and :math:`\mu` the eigenvalues of the covariance
    :math:`A_c' A_c / K`, of which the conversion uses :math:`\mu + g \, \bar\mu`:

    .. math:: \text{effective rank} = \exp\Bigl(-\sum_i p_i \log p_i\Bigr), \quad p = \mu \, / \textstyle\sum_i \mu_i,
        \qquad \text{directions read} = \sum_i \frac{\mu_i}{\mu_i + g \, \bar\mu}

    .. math:: \text{leave-one-out} = \frac{\sum_i \lVert e_i / (1 - h_{ii}) \rVert^2}{\sum_i \lVert L_i - l \rVert^2}

    with ``e`` the residuals of the linear conversion (:func:`relgraph.convert`) at the anchors and ``h`` the diagonal
    of its hat matrix: the errors of conversions made without the anchor that they are tested on, the centre and
    the penalty held fixed, and none of them is computed. The effective rank is that of `Roy and Vetterli (2007)
    <https://www.eurasip.org/Proceedings/Eusipco/Eusipco2007/Papers/a5p-h05.pdf>`_, of variances. A few hubs far out
    make it small and take nothing from a conversion, so that warnings go by the directions read instead.

    Args:
        space: The anchors, as a run publishes them.
        published: A head to be converted; adds the leave-one-out error, the agreement on left-out anchors, a
            list of those that do not fit, and a warning where rows do not correspond. Where its anchors are not those
            of the space, everything is said of the shared ones.
        all_embeddings: Embeddings of all nodes of the same run, shape ``(N, F)``; adds coverage.
        y: Classes of all nodes, shape ``(N,)``, negative where unknown; adds class balance.
        node_ids: Ids of the rows of ``y``, shape ``(N,)``; by default the rows themselves.
        shrinkage: ``g``, as of the conversion; ``"loo"`` takes the one that the anchors choose, which needs the head.

    Returns:
        The figures, and warnings in words.

    Raises:
        InputError: If shapes do not fit, a number is not finite, an anchor has no row in ``y``, ``shrinkage`` is
            negative, or ``"loo"`` without a head, or the head shares too few anchors
            (:func:`relgraph.anchors.aligned_rows`).

    Warns:
        GraphChangedWarning: If space and head were made on different graphs.

    Example:
        >>> space = AnchorSet(torch.arange(3), torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]]), torch.zeros(2))
        >>> found = diagnose(space, y=torch.tensor([0, 1, 1, 0, 2]))
        >>> found.class_counts, round(found.effective_rank, 2)
        ({0: 1, 1: 2, 2: 0}, 1.89)
    """
    if shrinkage == "loo" and published is None:
        raise InputError("shrinkage", "must be a number where 'published' is left out (got 'loo'); give a head as well")
    if shrinkage != "loo":
        check_shrinkage(shrinkage)
    rows, logits, pairing = torch.arange(len(space)), None, None
    if published is not None:
        graphs = (space.fingerprint, published.fingerprint)
        rows, head_rows = aligned_rows(
            space.ids, published.ids, num_features=space.num_features, fingerprints=graphs, stacklevel=2
        )
        rows, head_rows = rows.cpu(), head_rows.cpu()
        pairing = Pairing.of(published, space, head_rows.to(published.logits.device), rows.to(space.embeddings.device))
        logits = pairing.logits - pairing.mean
    anchors = space.embeddings.cpu()[rows]
    offsets = centered(space, rows.to(space.embeddings.device))
    directions, spread = _directions(offsets, anchors)
    variances = torch.zeros(space.num_features, dtype=torch.float64)
    variances[: len(spread)] = spread.square() / len(rows)
    number = resolve_shrinkage(offsets, offsets if logits is None else logits, shrinkage)
    penalty = number * variances.mean()
    error, agreement = None, None
    if logits is not None and pairing is not None:
        errors = _left_out_errors(directions, spread, logits, penalty, space.num_features)
        error = _relative_error(errors, logits)
        if error is not None and errors is not None and decides(pairing):
            said, guessed = (decided(part, pairing.outputs) for part in (pairing.logits, pairing.logits - errors))
            agreement = float((said == guessed).double().mean())
    mean, largest = (None, None) if all_embeddings is None else _coverage(space, anchors, all_embeddings)
    counts = None if y is None else _class_counts(space.ids.cpu()[rows], y, node_ids)
    outputs = None if logits is None else logits.size(1)
    found = Diagnosis(
        space=space.space,
        num_anchors=len(rows),
        num_features=space.num_features,
        num_classes=outputs if counts is None else len(counts),
        shrinkage=number,
        anchors_per_dimension=len(rows) / space.num_features,
        effective_rank=_effective_rank(variances),
        directions_read=float(torch.where(variances > 0, variances / (variances + penalty), 0.0).sum()),
        condition_number=_condition_number(variances + penalty),
        condition_number_unshrunk=_condition_number(variances),
        mean_distance=mean,
        largest_distance=largest,
        leave_one_out=error,
        agreement=agreement,
        suspicious_anchors=None if pairing is None else pairing.ids[misfits(pairing, number)].tolist(),
        class_counts=counts,
        class_coverage=None if counts is None else sum(count > 0 for count in counts.values()) / len(counts),
    )
    repeats = len(rows) - len(torch.unique(anchors, dim=0))
    rows_fit = None if pairing is None else correspondence(pairing)
    return replace(found, warnings=_warnings(found, repeats, logits, rows_fit))


def _directions(offsets: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors and values of the centred anchors; values that rounding alone could make are 0."""
    left, values, _ = torch.linalg.svd(offsets, full_matrices=False)
    # Rounding the stored numbers moves no singular value by more than this.
    rounding = 4 * torch.finfo(anchors.dtype).eps * anchors.to(torch.float64).norm()
    return left, torch.where(values > rounding, values, 0.0)


def _effective_rank(variances: Tensor) -> float:
    share = variances[variances > 0] / variances.sum()
    return float((-share * share.log()).sum().exp()) if len(share) else 0.0


def _condition_number(variances: Tensor) -> float:
    least, most = torch.aminmax(variances)
    return float(most / least) if least > 0 else math.inf


def _left_out_errors(
    directions: Tensor, spread: Tensor, logits: Tensor, penalty: Tensor, num_features: int
) -> Tensor | None:
    """Errors ``(K, C)`` at anchors left out; ``None`` where they are infinite.

    They are where nothing is added to the covariance and the anchors, or those left, do not span the space: the
    conversion does not exist then.
    """
    if penalty == 0 and 0 < int((spread > 0).sum()) < num_features:
        return None
    squares = spread.square()
    # The penalty of the conversion is added to sums over the anchors, not to their means.
    kept = torch.where(squares > 0, squares / (squares + len(logits) * penalty), 0.0)
    residuals = logits - directions @ (kept[:, None] * (directions.mT @ logits))
    free = 1 - (directions.square() * kept).sum(dim=1)
    if bool((free <= 64 * torch.finfo(free.dtype).eps).any()):
        return None
    return residuals / free[:, None]


def _relative_error(errors: Tensor | None, logits: Tensor) -> float | None:
    """Squared error over that of the mean; ``None`` of logits that are all the mean."""
    variance = logits.square().sum()
    if variance == 0:
        return None
    return math.inf if errors is None else float(errors.square().sum() / variance)


def _coverage(space: AnchorSet, anchors: Tensor, z: Tensor) -> tuple[float | None, float | None]:
    """Mean and largest distance to the nearest anchor, over the mean distance to the centre."""
    check_rows("all_embeddings", z)
    if z.size(1) != space.num_features or not len(z):
        raise InputError(
            "all_embeddings",
            f"must have shape (N, {space.num_features}), as wide as the space "
            f"(got {tuple(z.shape)}); pass those of the run that published it",
        )
    center = space.center.cpu().to(torch.float64)
    anchors = anchors.to(torch.float64) - center
    nearest, size = [], 0.0
    for part in torch.split(z.detach().cpu(), max(1, _DISTANCES // len(anchors))):
        offsets = part.to(torch.float64) - center
        nearest.append(torch.cdist(offsets, anchors).amin(dim=1))
        size += float(offsets.norm(dim=1).sum())
    distance, size = torch.cat(nearest), size / len(z)
    if size <= 4 * torch.finfo(z.dtype).eps * float(center.norm()):
        return None, None  # all nodes in one place, up to rounding
    return float(distance.mean()) / size, float(distance.max()) / size


def _class_counts(ids: Tensor, y: Tensor, node_ids: Tensor | None) -> dict[int, int]:
    """How many anchors each class has, over all classes of ``y``."""
    labels = y.detach().cpu()
    labels = labels.squeeze(1) if labels.dim() == 2 and labels.size(1) == 1 else labels
    if labels.dim() != 1 or labels.is_floating_point() or not bool((labels >= 0).any()):
        raise InputError(
            "y",
            f"must hold one class per node, as integers of which one at least is not negative "
            f"(got {y.dtype} of shape {tuple(y.shape)})",
        )
    known = torch.arange(len(labels)) if node_ids is None else node_ids.cpu()
    if len(known) != len(labels):
        raise InputError("node_ids", f"must hold one id per row of 'y', {len(labels)} (got {len(known)})")
    found, rows = shared_ids(ids, known)
    if len(found) < len(ids):
        missing = ids[~torch.isin(ids, known)].tolist()
        raise InputError(
            "y",
            f"must have a row for every anchor (none for {named(missing)}); pass labels of all nodes, "
            "with 'node_ids' where ids are not rows",
        )
    of_anchors = labels[rows]
    return {label: int((of_anchors == label).sum()) for label in torch.unique(labels[labels >= 0]).tolist()}


def _warnings(found: Diagnosis, repeats: int, logits: Tensor | None, rows_fit: Correspondence | None) -> list[str]:
    """Why a choice cannot work, in words."""
    anchors, features, classes = found.num_anchors, found.num_features, found.num_classes or 0
    what = "outputs of the head" if found.class_counts is None else "classes"
    out = []
    if found.effective_rank == 0:
        out.append("constant space: every anchor is at the centre, so that no node can be told from another")
    if anchors < classes:
        out.append(f"fewer anchors ({anchors}) than {what} ({classes}): some of them no anchor can stand for")
    # Rounded, since shrinkage takes a little of every direction, those that are read well included.
    if found.effective_rank > 0 and round(found.directions_read) < classes - 1:
        out.append(
            f"a conversion reads {found.directions_read:.1f} directions, and {classes} {what} need {classes - 1}: take "
            "more anchors, anchors that differ more, less shrinkage, or a run that has not collapsed"
        )
    if anchors < features:
        out.append(
            f"fewer anchors ({anchors}) than dimensions ({features}): in the {features - anchors} or more that they "
            "leave open, shrinkage decides, and a converted head reads nothing"
        )
    if repeats:
        out.append(f"{repeats} of the anchors repeat the embedding of another one and add nothing to it")
    if logits is not None and found.leave_one_out is None:
        out.append("the head says the same of every anchor: there is nothing to convert")
    if rows_fit is not None and not rows_fit.better:
        out.append(f"rows do not correspond: {rows_fit}; check that ids name the same nodes in space and head")
    elif found.leave_one_out is not None and found.leave_one_out >= 1:
        out.append("left-out anchors are predicted no better than by the head's mean: more anchors or shrinkage needed")
    if found.agreement is not None and found.agreement < _LOW_AGREEMENT and (rows_fit is None or rows_fit.better):
        out.append(
            f"a converted head decides as the head does on {found.agreement:.1%} of the left-out anchors only: more "
            "anchors, other shrinkage or another method may do better"
        )
    if found.suspicious_anchors:
        count = len(found.suspicious_anchors)
        out.append(
            f"{count} of the anchors {'does' if count == 1 else 'do'} not fit what the others say "
            f"({named(found.suspicious_anchors)}): check that their ids name the same nodes in space and head"
        )
    return out
