"""Estimators of scikit-learn as heads: outputs, published pieces, converted heads, errors."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from relgraph.anchors import EstimatorHead, publish
from relgraph.errors import InputError
from relgraph.maps import convert
from tests.spaces import normal, rotation, space

Z = normal(90, 4)
CLASSES = np.array(["ash", "birch", "cedar"])
MANY = CLASSES[(Z[:, :3] + 0.1 * normal(90, 3, seed=1)).argmax(1).numpy()]
TWO = np.where((Z[:, 0] + Z[:, 1]).numpy() > 0, 7, -3)
CLASSIFIERS = {
    "logistic": LogisticRegression(),
    "ridge": RidgeClassifier(),
    "lda": LinearDiscriminantAnalysis(),
    "linear-svc": LinearSVC(),
    "svc": SVC(),
    "forest": RandomForestClassifier(10, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=5, random_state=0),
    "neighbors": KNeighborsClassifier(3),
    "bayes": GaussianNB(),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "calibrated": CalibratedClassifierCV(LinearSVC(), cv=2),
}
LINEAR = ("logistic", "ridge", "lda", "linear-svc")


@pytest.mark.parametrize("y", [MANY, TWO], ids=["three", "two"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_largest_output_indexes_the_classes(name: str, y: Any) -> None:
    clf = CLASSIFIERS[name].fit(Z.numpy(), y)
    head = EstimatorHead(clf)
    outputs = head(Z)
    assert outputs.shape == (90, len(set(y))) and outputs.dtype == Z.dtype and bool(outputs.isfinite().all())
    assert np.array_equal(clf.classes_[outputs.argmax(1)], clf.predict(Z.numpy()))
    assert head.affine == (name in LINEAR)
    piece = publish(clf, space(Z, 40), embeddings=Z)
    assert (piece.mode, piece.mean_from) == ("multiclass", "center" if name in LINEAR else "run-embeddings")
    torch.testing.assert_close(piece.outputs, outputs[:40])
    torch.testing.assert_close(piece.mean, outputs.mean(0))


def test_outputs_are_logits() -> None:
    for y in (MANY, TWO):
        for clf in (LogisticRegression(), GaussianNB(), KNeighborsClassifier(5)):
            found = EstimatorHead(clf.fit(Z.numpy(), y))(Z).softmax(1).numpy()
            np.testing.assert_allclose(found, clf.predict_proba(Z.numpy()), atol=1e-5)


@pytest.mark.parametrize("name", ["logistic", "linear-svc", "pipeline"])
def test_a_converted_classifier_indexes_the_classes(name: str) -> None:
    other = Z @ rotation(4) * 3 + 1  # another run's space
    for y in (MANY, TWO):
        clf = CLASSIFIERS[name].fit(Z.numpy(), y)
        logits = convert(space(other, 60), publish(clf, space(Z, 60), embeddings=Z))(other)
        assert (clf.classes_[logits.argmax(1).numpy()] == clf.predict(Z.numpy())).mean() > 0.95


def test_regressors_give_their_predictions() -> None:
    y = (Z @ normal(4, 2, seed=3)).numpy()
    for regressor, target, center in (
        (Ridge(), y, True),
        (Ridge(), y[:, 0], True),
        (KNeighborsRegressor(3), y[:, 0], False),
        (PoissonRegressor(), np.exp(y[:, 0] / 4), False),
    ):
        fitted = regressor.fit(Z.numpy(), target)
        piece = publish(fitted, space(Z, 40), embeddings=Z)
        assert (piece.mode, piece.mean_from) == ("regression", "center" if center else "run-embeddings")
        np.testing.assert_allclose(piece.outputs.numpy(), fitted.predict(Z[:40].numpy()).reshape(40, -1))
    other = Z @ rotation(4)
    fitted = Ridge().fit(Z.numpy(), y)
    converted = convert(space(other, 60), publish(fitted, space(Z, 60)))(other)
    torch.testing.assert_close(converted, torch.from_numpy(fitted.predict(Z.numpy())), atol=1e-2, rtol=0)


def test_several_labels_are_logits_of_each() -> None:
    y = (Z[:, :3] > 0).int().numpy()
    for base in (LogisticRegression(), GaussianNB()):
        clf = OneVsRestClassifier(base).fit(Z.numpy(), y)
        piece = publish(clf, space(Z, 40), embeddings=Z)
        assert piece.mode == "multilabel"
        np.testing.assert_array_equal((piece.outputs > 0).int().numpy(), clf.predict(Z[:40].numpy()))


def test_types_of_embeddings_are_kept() -> None:
    head = EstimatorHead(LogisticRegression().fit(Z.float().numpy(), MANY))
    assert head(Z.float()).dtype == torch.float32 and not head(Z.float().requires_grad_()).requires_grad


def test_what_is_no_fitted_estimator_is_refused() -> None:
    anchors = space(Z, 40)
    with pytest.raises(InputError, match=r"'head' must be fitted \(got a LogisticRegression that is not\)"):
        publish(LogisticRegression(), anchors)
    for other in (KMeans(2), StandardScaler(), "logistic", len):
        with pytest.raises(InputError, match="'head' must be a torch module, or a classifier or regressor"):
            publish(other, anchors)
    pair = SVC(decision_function_shape="ovo").fit(normal(90, 4).numpy(), np.arange(90) % 4)
    with pytest.raises(InputError, match=r"must give one score per class, 4 \(got a SVC\); fit it with decision"):
        publish(pair, anchors)
    narrow = LogisticRegression().fit(Z[:, :3].numpy(), MANY)
    with pytest.raises(InputError, match="got a head of 3 features and anchors of 4"):
        publish(narrow, anchors)
    several = MLPClassifier((4,), max_iter=5, random_state=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        several.fit(Z.numpy(), MANY)
    assert publish(several, anchors).mean_from == "anchors"


def test_scikit_learn_is_imported_where_it_is_used() -> None:
    code = "import sys, relgraph.anchors.estimators; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_estimator_is_published_on_anchors_in_half_precision(dtype: torch.dtype) -> None:
    fitted, anchors = LogisticRegression().fit(Z.numpy(), MANY), space(Z, 40).to(dtype)
    there, exact = publish(fitted, anchors), publish(fitted, space(Z, 40))
    assert there.outputs.dtype == dtype
    torch.testing.assert_close(there.outputs.double(), exact.outputs, rtol=0.05, atol=0.05)


LABELS = (Z[:, :3] > 0).int().numpy()


@pytest.mark.parametrize(
    "made",
    [
        ClassifierChain(LogisticRegression()),
        ClassifierChain(GaussianNB()),
        MultiOutputClassifier(LogisticRegression()),
        KNeighborsClassifier(3),
        RandomForestClassifier(10, random_state=0),
        make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)),
        MLPClassifier((4,), max_iter=300, random_state=0, solver="lbfgs"),
    ],
    ids=["chain", "chain-bayes", "outputs", "neighbors", "forest", "pipeline", "mlp"],
)
def test_every_estimator_of_labels_gives_a_logit_of_each(made: Any) -> None:
    fitted = made.fit(Z.numpy(), LABELS)
    piece = publish(fitted, space(Z, 40), embeddings=Z)
    assert piece.mode == "multilabel" and piece.outputs.shape == (40, 3)
    predicted, sure = fitted.predict(Z[:40].numpy()), piece.outputs.abs().numpy() > 1e-6  # ties of a forest
    np.testing.assert_array_equal((piece.outputs > 0).int().numpy()[sure], predicted[sure])


def test_a_label_that_no_row_has_is_never_predicted() -> None:
    y = LABELS.copy()
    y[:, 1] = 0
    outputs = EstimatorHead(KNeighborsClassifier(3).fit(Z.numpy(), y))(Z)
    assert outputs.shape == (90, 3) and bool((outputs[:, 1] < -10).all())


@pytest.mark.parametrize(
    ("made", "way_out"),
    [
        (VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())]), "fit it with voting='soft'"),
        (SVC(decision_function_shape="ovo"), "fit it with decision_function_shape='ovr'"),
        (MultiOutputClassifier(VotingClassifier([("a", GaussianNB())])), "use estimators with predict_proba"),
    ],
    ids=["voting", "svc", "outputs"],
)
def test_the_way_out_fits_the_estimator(made: Any, way_out: str) -> None:
    y = LABELS if isinstance(made, MultiOutputClassifier) else np.arange(90) % 4
    with pytest.raises(InputError, match=f"must give one score per class.*; {way_out}"):
        publish(made.fit(Z.numpy(), y), space(Z, 40))


def test_several_targets_of_other_classes_are_refused() -> None:
    fitted = KNeighborsClassifier(3).fit(Z.numpy(), np.stack([np.arange(90) % 4, np.arange(90) % 3], axis=1))
    with pytest.raises(InputError, match="must predict one class for each row, or labels of 0 and 1 .got a KNeighbors"):
        publish(fitted, space(Z, 40))
