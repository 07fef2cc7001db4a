"""Slow, obvious references: loops over pairs of runs and over rows."""

from __future__ import annotations

import itertools
import math

import numpy as np


def disagreement(classes):
    pairs = itertools.combinations(range(len(classes)), 2)
    return float(np.mean([np.mean([a != b for a, b in zip(classes[i], classes[j], strict=True)]) for i, j in pairs]))


def conditional(classes, y, right):
    values = []
    for i, j in itertools.permutations(range(len(classes)), 2):
        rows = [row for row in range(len(y)) if (classes[i][row] == y[row]) == right]
        if rows:
            values.append(np.mean([classes[i][row] != classes[j][row] for row in rows]))
    return float(np.mean(values)) if values else math.nan


def normalized(classes, y):
    values = []
    for i, j in itertools.combinations(range(len(classes)), 2):
        d = np.mean(classes[i] != classes[j])
        a, b = np.mean(classes[i] == y), np.mean(classes[j] == y)
        least, most = abs(a - b), min(1, 2 - a - b)
        if most - least > 1e-12:
            values.append((d - least) / (most - least))
    return float(np.mean(values)) if values else math.nan


def symmetric_kl(logits):
    values = []
    for i, j in itertools.combinations(range(len(logits)), 2):
        total = 0.0
        for row in range(logits.shape[1]):
            p, q = (np.exp(logits[k, row]) / np.exp(logits[k, row]).sum() for k in (i, j))
            total += sum(a * math.log(a / b) + b * math.log(b / a) for a, b in zip(p, q, strict=True))
        values.append(total / logits.shape[1])
    return float(np.mean(values))


def unanimous(classes):
    return float(np.mean([len(set(column)) == 1 for column in classes.T.tolist()]))


def entropy(classes):
    found = []
    for column in classes.T.tolist():
        shares = [column.count(one) / len(column) for one in set(column)]
        found.append(-sum(share * math.log(share) for share in shares))
    return np.array(found)


def auc(positive, score):
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, p in zip(score, positive, strict=True)
        if p
        for b, q in zip(score, positive, strict=True)
        if not q
    ]
    return float(np.mean(wins)) if wins else None
