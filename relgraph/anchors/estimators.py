"""Classifiers and regressors of scikit-learn as heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relgraph.arrays import as_array
from relgraph.errors import InputError
from relgraph.task import Mode

LEAST_PROBABILITY = 1e-6
"""Smallest probability whose logarithm is taken: a forest gives 0 for most classes."""


class EstimatorHead(nn.Module):
    r"""A fitted scikit-learn estimator as a head: from embeddings ``(N, F)`` to outputs ``(N, C)``.

    Outputs of a classifier are logits in the order of ``classes_``, so that ``estimator.classes_[outputs.argmax(1)]``
    are its predictions: those of ``decision_function``, else the logarithms of ``predict_proba``. The decision ``d`` of
    two classes becomes two columns ``(-d/2, d/2)``, of which the softmax is :math:`\sigma(d)`. Outputs of a regressor
    are its predictions, one column per target.

    Args:
        estimator: A fitted classifier or regressor, or a pipeline that ends in one. It is not copied.

    Raises:
        InputError: If it is neither, is not fitted, or gives no score for each class.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> z = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
        >>> head = EstimatorHead(LogisticRegression().fit(z, ["a", "b", "b"]))
        >>> head.mode, head.estimator.classes_[head(torch.from_numpy(z)).argmax(1)].tolist()
        ('multiclass', ['a', 'b', 'b'])
    """

    def __init__(self, estimator: Any) -> None:
        super().__init__()
        from sklearn.base import BaseEstimator, is_classifier, is_regressor
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        kind = type(estimator).__name__
        known = isinstance(estimator, BaseEstimator)
        classifies = known and is_classifier(estimator)
        if not classifies and not (known and is_regressor(estimator)):
            rule = f"must be a torch module, or a classifier or regressor of scikit-learn (got {kind})"
            raise InputError("head", f"{rule}; wrap other functions in a module")
        try:
            check_is_fitted(estimator)
        except NotFittedError as error:
            raise InputError("head", f"must be fitted (got a {kind} that is not); call its fit first") from error
        self.mode: Mode = "regression"
        self.estimator = estimator
        self.classes: int | None = None
        if classifies:
            labels = _labels(estimator)
            self.mode = "multiclass" if labels is None else "multilabel"
            self.classes = len(estimator.classes_) if labels is None else labels
        self.in_features: int | None = getattr(estimator, "n_features_in_", None)
        self.affine = self._is_affine()

    def forward(self, z: Tensor) -> Tensor:
        """Outputs ``(N, C)`` in the type and on the device of the embeddings; no gradient passes."""
        outputs = self._outputs(as_array(z))
        return torch.from_numpy(np.ascontiguousarray(outputs)).to(z)

    def _is_affine(self) -> bool:
        """Whether outputs are those of ``coef_`` and ``intercept_``; generalized linear models have these as well."""
        weight, bias = (getattr(self.estimator, name, None) for name in ("coef_", "intercept_"))
        if not isinstance(weight, np.ndarray) or bias is None:
            return False
        weight = np.atleast_2d(weight)
        points = np.concatenate([np.eye(weight.shape[1]), -3 * np.eye(weight.shape[1])])
        method = "predict" if self.classes is None else "decision_function"
        found = np.asarray(getattr(self.estimator, method)(points)).reshape(len(points), -1)
        return found.shape[1] == len(weight) and np.allclose(found, points @ weight.T + bias)

    def _outputs(self, z: NDArray[Any]) -> NDArray[Any]:
        if self.classes is None:
            predicted: NDArray[Any] = np.asarray(self.estimator.predict(z), dtype=np.float64)
            return predicted.reshape(len(z), -1)
        decide: Callable[[Any], Any] | None = getattr(self.estimator, "decision_function", None)
        if decide is not None:
            scores = np.asarray(decide(z), dtype=np.float64)
            if scores.ndim == 1:
                return np.stack([-scores / 2, scores / 2], axis=1)
            if scores.shape[1] == self.classes:
                return scores
        likelihood: Callable[[Any], Any] | None = getattr(self.estimator, "predict_proba", None)
        found = None if likelihood is None else likelihood(z)
        if isinstance(found, list) and self.mode == "multilabel":
            found = self._of_each_label(found)
        if not isinstance(found, np.ndarray) or found.shape != (len(z), self.classes):
            kind = type(self.estimator).__name__
            raise InputError("head", f"must give one score per class, {self.classes} (got a {kind}); {self._way_out()}")
        if self.mode == "multilabel":
            kept = np.clip(found, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
            return np.asarray(np.log(kept) - np.log1p(-kept))
        return np.asarray(np.log(np.maximum(found, LEAST_PROBABILITY)))

    def _of_each_label(self, found: list[NDArray[Any]]) -> NDArray[Any]:
        """Probabilities ``(N, C)`` that a label is there, from one matrix by label, ``(N, 2)``."""
        there = []
        for classes, probabilities in zip(self.estimator.classes_, found, strict=True):
            place = np.flatnonzero(np.asarray(classes) == 1)  # a label that no row had, or all, has one column
            there.append(probabilities[:, place[0]] if len(place) else np.zeros(len(probabilities)))
        return np.stack(there, axis=1)

    def _way_out(self) -> str:
        """What to do about an estimator without scores."""
        if hasattr(self.estimator, "decision_function_shape"):
            return "fit it with decision_function_shape='ovr'"
        if getattr(self.estimator, "voting", None) == "hard":
            return "fit it with voting='soft'"
        if self.mode == "multilabel":
            return "use estimators with predict_proba, or one for each label in sklearn.multiclass.OneVsRestClassifier"
        return "wrap it in sklearn.calibration.CalibratedClassifierCV"


def _labels(classifier: Any) -> int | None:
    """Number of the labels, 0 and 1, that a classifier predicts, or ``None`` if it predicts one class for each row.

    Raises:
        InputError: If it predicts several targets of other classes.
    """
    width = getattr(classifier, "n_features_in_", None)
    if width is None:
        return len(classifier.classes_) if getattr(classifier, "multilabel_", False) else None
    predicted = np.asarray(classifier.predict(np.zeros((1, width))))
    if predicted.ndim == 1:
        return None
    classes = getattr(classifier, "classes_", ())
    several = [set(np.asarray(one).tolist()) for one in classes] if isinstance(classes, list) else []
    if any(not one <= {0, 1} for one in several):
        got = f"got a {type(classifier).__name__} of {len(several)} targets"
        raise InputError("head", f"must predict one class for each row, or labels of 0 and 1 ({got}); fit one for each")
    return int(predicted.shape[1])
