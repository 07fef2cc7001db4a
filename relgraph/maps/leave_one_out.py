"""Leave-one-out errors of linear smoothers in closed form, and the shrinkage that they select."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from relgraph.similarity import check_shrinkage

Shrinkage = float | Literal["loo"]

SHRINKAGES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True, eq=False)
class Smoother:
    r"""A (kernel) ridge regression on ``K`` rows as a linear smoother, for any penalty and any targets.

    .. math:: H = V \operatorname{diag}\Bigl(\frac{\mu}{\mu + \lambda}\Bigr) V', \qquad
        e_i = \frac{(b - H b)_i}{1 - H_{ii}}

    The error ``e_i`` equals that of the regression fitted without row ``i`` at the same :math:`\lambda` (Allen, 1974);
    one decomposition serves all of them.

    Args:
        vectors: Orthonormal eigenvectors ``V`` of the rows' products or similarities, ``(K, R)``.
        values: Their eigenvalues :math:`\mu`, at least 0, ``(R,)``.

    Example:
        >>> smoother = Smoother.of_rows(torch.tensor([[1.0], [1.0]]))
        >>> next(smoother.errors(torch.tensor([[2.0], [4.0]]), [1.0])).abs().round(decimals=4)
        tensor([[0.],
                [3.]])
    """

    vectors: Tensor
    values: Tensor

    @classmethod
    def of_rows(cls, a: Tensor) -> Smoother:
        """The smoother of the ridge regression on centered rows ``(K, F)``, without intercept."""
        left, values, _ = torch.linalg.svd(a, full_matrices=False)
        return cls(left, values.square())

    @classmethod
    def of_kernel(cls, similarities: Tensor) -> Smoother:
        """The smoother of the kernel ridge regression with these similarities between the rows, ``(K, K)``."""
        values, vectors = torch.linalg.eigh(similarities)
        return cls(vectors, values.clamp(min=0))  # values below 0 are rounding errors

    @cached_property
    def _leverage(self) -> Tensor:
        return self.vectors.square()

    def _kept(self, penalties: Sequence[float]) -> Tensor:
        """The share of each direction that stays in the residuals, ``(P, R)`` for ``P`` penalties."""
        each = self.values.new_tensor(penalties).unsqueeze(1)
        return torch.where(self.values > 0, each / (self.values + each), 1.0)

    def _free(self, kept: Tensor) -> Tensor:
        return (1 - self._leverage.sum(dim=1)).clamp(min=0) + kept @ self._leverage.mT

    def free(self, penalty: float) -> Tensor:
        """``1 - H_ii`` of every row, ``(K,)``."""
        return self._free(self._kept([penalty]))[0]

    def errors(self, targets: Tensor, penalties: Sequence[float], intercept: Tensor | None = None) -> Iterator[Tensor]:
        """Leave-one-out errors ``(K, G)`` of targets ``(K, G)``, one matrix per penalty.

        With an ``intercept``, a constant is fitted as well; its column ``(K, 1)`` holds ones, or the roots of weights.
        """
        inner = self.vectors.mT @ targets
        outside = targets - self.vectors @ inner  # the part that no map of these rows reaches
        if intercept is not None:
            own = self.vectors.mT @ intercept
            own_outside = intercept - self.vectors @ own
        every = self._kept(penalties)
        for kept, free in zip(every, self._free(every), strict=True):
            residual = outside + self.vectors @ (kept.unsqueeze(1) * inner)
            if intercept is not None:
                ones = own_outside + self.vectors @ (kept.unsqueeze(1) * own)
                total = (intercept * ones).sum()
                residual = residual - ones * ((ones.mT @ targets) / total)
                free = free - ones.square().squeeze(1) / total
            yield residual / free.unsqueeze(1)

    def squared_errors(self, targets: Tensor, penalties: Sequence[float], intercept: Tensor | None = None) -> Tensor:
        """Squared leave-one-out error of each row, ``(S, K)`` for ``S`` penalties; arguments as of :meth:`errors`."""
        return torch.stack([rows.square().sum(dim=1) for rows in self.errors(targets, penalties, intercept)])

    def degrees_of_freedom(self, penalty: float) -> float:
        """Effective degrees of freedom of the regression, the trace of ``H``."""
        return float(torch.where(self.values > 0, self.values / (self.values + penalty), 0.0).sum())


def half_standard_error_rule(errors: Tensor, *, last: bool = False) -> int:
    """The first (or last) of several settings whose mean error is within half a standard error of the least mean error.

    The errors have one row per setting, in the order of preference, and one column per anchor, ``(S, K)``.

    Example:
        >>> half_standard_error_rule(torch.tensor([[9.0, 9.0], [1.5, 3.0], [1.0, 3.0]]))
        1
    """
    means = errors.mean(dim=1)
    best = int(means.argmin())
    margin = errors[best].std(correction=0) / (2 * errors.size(1) ** 0.5)
    rounding = 1e-9 * means[best]  # one anchor has the same error at every setting
    return int((means <= means[best] + margin + rounding).nonzero()[-1 if last else 0])


def choose_shrinkage(a: Tensor, b: Tensor, *, strongest: bool = False) -> float:
    """The shrinkage for the ridge regression of ``b`` ``(K, G)`` on ``a`` ``(K, F)``, selected by leave-one-out.

    One of :data:`SHRINKAGES` whose leave-one-out error is within half a standard error of the least: the smallest, or
    the ``strongest``. The smallest leaves logits as they are apart, which decides between classes. Values are better
    predicted by the strongest: a source fits anchors that it was trained on more closely than other rows, so that their
    leave-one-out errors are too small (chosen on the validation graphs of OGB's molecules).

    Example:
        >>> a = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
        >>> choose_shrinkage(a, a.sum(dim=1, keepdim=True))  # no noise
        1e-05
    """
    if not bool(a.any()):
        return SHRINKAGES[-1]
    smoother = Smoother.of_rows(a)
    total = float(smoother.values.sum())
    errors = smoother.squared_errors(b, [shrinkage * total / a.size(1) for shrinkage in SHRINKAGES])
    return SHRINKAGES[half_standard_error_rule(errors, last=strongest)]


def resolve_shrinkage(a: Tensor, b: Tensor, shrinkage: Shrinkage, *, strongest: bool = False) -> float:
    """A shrinkage as a number: itself, or :func:`choose_shrinkage` for ``"loo"``.

    Raises:
        InputError: If it is another word, negative or not finite.
    """
    check_shrinkage(shrinkage, "loo")
    return choose_shrinkage(a, b, strongest=strongest) if shrinkage == "loo" else float(shrinkage)
