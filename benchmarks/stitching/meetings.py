"""Every way for one run's encoder to meet another run's head, and the figures of a square of meetings.

The arms are those of the package where it has them; they are written out here because anchors are drawn anew for each
source, so that no figure hangs on one draw.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from cases import head_of, space_of
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

import relgraph as rg
from relgraph.stitching import intervals, scores
from relgraph.translation import procrustes

# How many heads each source meets by the arms that take long; by all others it meets every one.
SLOW = {"converted-rbf": 1, "converted-auto": 1, "logistic regression on predictions": 3}
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
FOLDS = 4


def converted(method="linear", shrinkage=None, chosen=None):
    """The head rewritten for the space; ``chosen`` counts what ``auto`` takes."""

    def meet(source, target, rows, look):
        module = rg.convert(head_of(target, rows), space_of(source.z, rows), method, shrinkage=shrinkage)
        if chosen is not None:
            chosen[module.choice.method] += 1
        return module(source.z[look])

    return meet


def absolute(source, target, rows, look):
    """The head on the source's own coordinates."""
    return target.head(source.z[look]) if target.head.in_features == source.z.size(1) else None


def rotated(source, target, rows, look):
    """Procrustes with one scale, then the head."""
    return target.head(procrustes(space_of(source.z, rows), space_of(target.z, rows))(source.z[look]))


def permuted(seed=0):
    """Conversion with the head's logits shuffled over the anchors."""
    generator = torch.Generator().manual_seed(seed)

    def meet(source, target, rows, look):
        head = head_of(target, rows)
        head = replace(head, logits=head.logits[torch.randperm(len(head), generator=generator)])
        return rg.convert(head, space_of(source.z, rows))(source.z[look])

    return meet


def class_centroid(y, train, count):
    """Nearest class mean of the source's own training embeddings: all public labels, no head."""

    def meet(source, target, rows, look):
        one = F.one_hot(y[train], count).to(source.z.dtype)
        means = one.mT @ source.z[train] / one.sum(0).clamp(min=1).unsqueeze(1)
        return -torch.cdist(source.z[look], means, compute_mode="donot_use_mm_for_euclid_dist")

    return meet


def nearest_anchor(source, target, rows, look):
    """The head's arg max on the nearest anchor."""
    said = target.head(target.z[rows]).argmax(1)
    nearest = torch.cdist(source.z[look], source.z[rows]).argmin(1)
    return F.one_hot(said[nearest], target.head.out_features)


def learned_from_predictions(source, target, rows, look):
    """Logistic regression on the head's arg max at the anchors: the rival of conversion.

    It sees what conversion sees, but for the logits' size.
    """
    return _learned(source, target.head(target.z[rows]).argmax(1).numpy(), target.head.out_features, rows, look)


def learned_from_labels(y):
    """Logistic regression on the anchors' true labels: no foreign head at all, but labels."""

    def meet(source, target, rows, look):
        return _learned(source, y[rows].numpy(), target.head.out_features, rows, look)

    return meet


def _learned(source, said, classes, rows, look):
    """Columns are standardised over all nodes, the strength is chosen by four-fold cross-validation on the anchors."""
    out = torch.full((int(look.sum()), classes), float("-inf"), dtype=torch.float64)
    if len(set(said)) == 1:
        out[:, said[0]] = 0
        return out
    scale = source.z.std(dim=0).clamp(min=1e-6)
    points = ((source.z - source.z.mean(dim=0)) / scale).double().numpy()
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        best = max(STRENGTHS, key=lambda strength: _cross_validated(points[rows], said, strength))
        model = LogisticRegression(C=best, max_iter=300).fit(points[rows], said)
        found = model.predict(points[look])
    return F.one_hot(torch.from_numpy(found).long(), classes)


def least_squares_on_predictions(source, target, rows, look):
    """Leave-one-out conversion of the head's arg max at the anchors, one-hot, not of its logits: the other rival."""
    head = head_of(target, rows)
    said = F.one_hot(head.logits.argmax(1), head.logits.size(1)).to(head.logits.dtype)
    head = replace(head, logits=said, mean_logits=said.mean(dim=0))
    return rg.convert(head, space_of(source.z, rows), shrinkage="loo")(source.z[look])


def _cross_validated(points, said, strength):
    folds = np.random.default_rng(0).permutation(len(said)) % FOLDS
    hits = 0
    for fold in range(FOLDS):
        rest = folds != fold
        if len(set(said[rest])) == 1:
            hits += (said[~rest] == said[rest][0]).sum()
            continue
        model = LogisticRegression(C=strength, max_iter=300).fit(points[rest], said[rest])
        hits += (model.predict(points[~rest]) == said[~rest]).sum()
    return hits


@torch.no_grad()
def square(meet, sources, targets, draws, look, reach=None):
    """Predictions of every source with every head, ``(R, R, n)``, the diagonal and forbidden pairs -1.

    Args:
        meet: One of the arms.
        sources: Runs whose spaces are read.
        targets: Runs whose heads read.
        draws: Rows of the anchors for each source.
        look: Mask of the nodes that are predicted.
        reach: Only the next so many runs' heads for each source, of arms that take long.
    """
    predictions = np.full((len(sources), len(targets), int(look.sum())), -1, dtype=np.int16)
    for i, source in enumerate(sources):
        for j, target in enumerate(targets):
            near = i != j and (reach is None or (j - i) % len(targets) <= reach)
            logits = meet(source, target, draws[i], look) if near else None
            if logits is not None:
                predictions[i, j] = logits.argmax(1).numpy()
    return predictions


def said_by(runs, look):
    """What every model itself predicts, ``(R, n)``."""
    return np.stack([run.head(run.z[look]).argmax(1).numpy() for run in runs]).astype(np.int16)


def figures(predictions, own, said, y, kinds, pairs=None, draws=None, look=None):
    """Accuracy, retention (or what is kept, of sources without a head) and fidelity over pairs of different runs.

    Args:
        predictions: ``(R, R, n)``.
        own: What the sources' own models predict, or ``None`` if they have no head for these classes.
        said: What the models predict whose heads are read.
        y: True classes, ``(n,)``.
        kinds: Names of the runs' kinds, over which intervals are stratified.
        pairs: Which pairs count; by default all but a run with itself.
        draws: Rows of the anchors for each source, to give the accuracy on nodes that are no anchors as well.
        look: Mask of the nodes that were predicted.
    """
    pairs = ~np.eye(len(said), dtype=bool) if pairs is None else pairs
    accuracy = scores.accuracy_matrix(predictions, y)
    theirs = (said == y).mean(1)
    if own is None:
        kept = accuracy / theirs[None, :]
    else:
        kept = scores.retention_matrix(accuracy, theirs, scores.accuracy_floor(y), kinds)
    matrices = {
        "accuracy": accuracy,
        "kept" if own is None else "retention": kept,
        "fidelity": scores.fidelity_matrix(predictions, said),
    }
    if own is not None:
        matrices["decisive"] = scores.decisive_fidelity_matrix(predictions, said)
    if draws is not None and draws[0] is not None:
        matrices["kept outside"] = np.full(accuracy.shape, np.nan)
        for i, rows in enumerate(draws):
            anchor = torch.zeros(look.numel(), dtype=torch.bool)
            anchor[rows] = True
            new = ~anchor[look].numpy()
            right = (predictions[i][:, new] == y[new]).mean(1) / (said[:, new] == y[new]).mean(1)
            matrices["kept outside"][i] = np.where(np.isnan(accuracy[i]), np.nan, right)
    return {name: short(intervals.pair_figure(matrix, pairs, kinds)) for name, matrix in matrices.items()}


def short(figure):
    """A figure without what every table repeats."""
    return None if figure is None else {key: figure[key] for key in ("mean", "min", "interval", "n")}


def counter():
    """An empty count of what ``auto`` chose."""
    return Counter()
