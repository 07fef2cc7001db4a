"""Anchors that a source and a target share, row by row: the input of every map estimator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from relgraph.anchors.matching import aligned_rows
from relgraph.anchors.values import AnchorSet, PublishedHead
from relgraph.errors import InputError
from relgraph.maps.leave_one_out import Shrinkage, resolve_shrinkage
from relgraph.maps.modules import AffineMap, FittedLinear, frozen_linear
from relgraph.maps.weights import bounded_weights, cauchy_weights
from relgraph.similarity import is_rounding
from relgraph.task import Mode, Task


@dataclass(frozen=True, eq=False)
class MatchedAnchors:
    """The ``K`` anchors that a source and a target share, in float64 on the CPU.

    Args:
        ids: Their ids, ``(K,)``.
        offsets: Source embeddings around the source center, ``(K, F)``.
        center: The source center, ``(F,)``.
        values: Outputs of the target head, ``(K, G)``; of a target space, embeddings around its center.
        mean: Mean of the values over all rows, ``(G,)``; of a target space 0.
        origin: What is added to the values of a map, ``(G,)``: the center of a target space, 0 for a head.
        like: A tensor of the type and on the device of the result.
        shares: Shares of all rows that the anchors stand for (:attr:`relgraph.AnchorSet.weights`), ``(K,)``.
        mode: Mode of the head's outputs; ``None`` for a target space.
    """

    ids: Tensor
    offsets: Tensor
    center: Tensor
    values: Tensor
    mean: Tensor
    origin: Tensor
    like: Tensor
    shares: Tensor
    mode: Mode | None = None

    @classmethod
    def match(cls, source: AnchorSet, target: AnchorSet | PublishedHead, *, stacklevel: int = 1) -> MatchedAnchors:
        """Match the anchors of a source and of a target by their ids, see :func:`relgraph.anchors.aligned_rows`.

        A warning refers to the line that calls this, or with another ``stacklevel`` to a caller's.
        """
        rows, target_rows = aligned_rows(
            source.ids,
            target.ids,
            num_features=source.num_features,
            fingerprints=(source.fingerprint, target.fingerprint),
            stacklevel=stacklevel + 1,
        )
        mean = target.mean.cpu().to(torch.float64)
        if isinstance(target, AnchorSet):
            values, mean, origin, mode = centered(target, target_rows), torch.zeros_like(mean), mean, None
        else:
            values, origin = target.outputs[target_rows].cpu().to(torch.float64), torch.zeros_like(mean)
            mode = target.mode
        ids, center = source.ids[rows].cpu(), source.center.cpu().to(torch.float64)
        offsets, shares = centered(source, rows), source.weights[rows].cpu().to(torch.float64)
        return cls(ids, offsets, center, values, mean, origin, source.embeddings, shares, mode)

    def __len__(self) -> int:
        return self.ids.numel()

    def take(self, rows: Tensor) -> MatchedAnchors:
        """Some of the anchors; centers and means do not change, and maps fitted on them stay in float64."""
        part = {name: getattr(self, name)[rows] for name in ("ids", "offsets", "values", "shares")}
        return replace(self, **part, like=self.offsets)

    @property
    def targets(self) -> Tensor:
        """The values around their mean, ``(K, G)``."""
        return self.values - self.mean

    @property
    def contrasts(self) -> Tensor:
        """The targets; of multiclass logits without their mean over the classes, to which a softmax is invariant."""
        targets = self.targets
        return targets - targets.mean(dim=1, keepdim=True) if self.mode == "multiclass" else targets

    @property
    def decides(self) -> bool:
        """Whether predictions are classes or labels: not for embeddings, a regression, or a single class."""
        return self.mode == "multilabel" or (self.mode == "multiclass" and self.values.size(1) > 1)

    def predict(self, outputs: Tensor) -> Tensor:
        """Predictions of outputs of the head's mode, see :meth:`relgraph.task.Task.predict`."""
        return outputs if self.mode is None else Task.of("node", self.mode).predict(outputs)

    @cached_property
    def multiplicities(self) -> Tensor:
        r"""How many anchors each anchor counts as, of mean 1, ``(K,)``: :math:`\propto \sqrt{\text{share}}`.

        Anchors that were chosen to cover the rows are no sample of them. Weights equal to the shares would undo that,
        but a few anchors of large shares would then decide; the root is between the two, as flattened importance
        weights are (`Shimodaira, 2000 <https://doi.org/10.1016/S0378-3758(00)00115-4>`_).
        """
        roots = self.shares.sqrt()
        return roots / roots.mean()

    @cached_property
    def counts(self) -> Tensor:
        """How many anchors each anchor counts as in a map to classes, ``(K,)``.

        :attr:`multiplicities`, less for anchors far beyond the usual norm (:func:`relgraph.maps.bounded_weights`).
        """
        return self.multiplicities * bounded_weights(self.offsets)

    def weights(self) -> Tensor:
        """Weights of the anchors in least squares, ``(K,)``.

        :attr:`counts` times :func:`relgraph.maps.cauchy_weights` of the :attr:`contrasts` of logits; for a target space
        :attr:`multiplicities` times Cauchy weights of both spaces; for a regression :attr:`multiplicities` alone, since
        its values themselves are wanted and not decisions by them.
        """
        if self.mode == "regression":
            return self.multiplicities
        if self.mode is None:
            return self.multiplicities * cauchy_weights(self.offsets, self.values)
        return self.counts * cauchy_weights(self.contrasts)

    @cached_property
    def roots(self) -> Tensor:
        """Roots of the :meth:`weights`, as a column ``(K, 1)``."""
        return self.weights().sqrt().unsqueeze(1)

    def weighted_rows(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets and values (:attr:`targets`, :attr:`contrasts`) whose plain ridge regression is the weighted one.

        Both are multiplied by the :attr:`roots` of the weights.
        """
        return self.roots * self.offsets, self.roots * values

    def shrinkage(self, rows: Tensor, targets: Tensor, given: Shrinkage) -> float:
        """The shrinkage of a ridge regression of weighted rows, ``given`` or selected by leave-one-out.

        The strongest of several that are about as good for the values of a regression, else the smallest
        (:func:`relgraph.maps.choose_shrinkage`).
        """
        return resolve_shrinkage(rows, targets, given, strongest=self.mode == "regression")

    def affine(self, weight: Tensor, bias: Tensor) -> nn.Module:
        """The frozen affine map with these coefficients ``(F, G)`` and this value at the source center ``(G,)``.

        A linear layer for a head's outputs, an :class:`relgraph.maps.AffineMap` for a target space.
        """
        if self.mode is None:
            return AffineMap(weight.to(self.like), self.center.to(self.like), (bias + self.origin).to(self.like)).eval()
        constant = (bias - self.center @ weight).to(self.like)
        if not constant.isfinite().all() or not weight.to(self.like).isfinite().all():
            got = f"outputs of up to {float(self.values.abs().max()):.3g} for embeddings in {self.like.dtype}"
            raise InputError(
                "head", f"must have a map that the source's type holds (got {got}); scale the outputs down"
            )
        return frozen_linear(FittedLinear, weight.mT.to(constant), constant).eval()


def centered(anchors: AnchorSet, rows: Tensor) -> Tensor:
    """Some embeddings of an anchor set around its center, in float64 on the CPU, shape ``(S, F)``.

    They are set to 0 if they differ from the center by no more than rounding (:func:`relgraph.similarity.is_rounding`):
    a constant space has no direction, and noise must not be amplified. On the CPU, because not every device supports
    float64 and the result must not depend on the device.
    """
    embeddings = anchors.embeddings[rows].cpu().to(torch.float64)
    offset = embeddings - anchors.center.cpu().to(torch.float64)
    return torch.zeros_like(offset) if is_rounding(offset, embeddings, anchors.embeddings.dtype) else offset
