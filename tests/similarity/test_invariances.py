from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relgraph.similarity import CHANGES, invariances, relative
from tests.registered import EVERY_PAIR
from tests.spaces import changed, normal


def before_and_after(similarity, normalization, change, *, shrinkage, spanning, centered, seed):
    """Relative representations before and after a change of nodes, anchors and center."""
    count, width = (14, 4) if spanning else (4, 6)
    rows = normal(9 + count + 1, width, seed=seed) + normal(width, seed=seed + 1)
    rows[-1] = rows[:-1].mean(0)
    other = changed(rows, change, seed + 2)
    if change == "node-scaling":
        other[-1] = rows[-1]
    return [
        relative(r[:9], r[9:-1], similarity, normalization, center=r[-1] if centered else None, shrinkage=shrinkage)
        for r in (rows, other)
    ]


def every_change(similarity, normalization, *, seed, centered):
    """Each change, whether the representation is declared invariant to it, and the representations."""
    for shrinkage, spanning in ((0.01, True), (0.01, False), (0, True)):
        declared = invariances(similarity, normalization, shrinkage=shrinkage, spanning=spanning)
        options = {"shrinkage": shrinkage, "spanning": spanning, "seed": seed, "centered": centered}
        for change in CHANGES:
            yield change, change in declared, *before_and_after(similarity, normalization, change, **options)


@EVERY_PAIR
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), centered=st.booleans())
def test_declared_invariances_hold(similarity, normalization, seed, centered):
    for change, declared, before, after in every_change(similarity, normalization, seed=seed, centered=centered):
        if declared:
            torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-8, msg=lambda m, c=change: f"{c}: {m}")


@EVERY_PAIR
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), centered=st.booleans())
def test_undeclared_changes_move_the_value(similarity, normalization, seed, centered):
    for change, declared, before, after in every_change(similarity, normalization, seed=seed, centered=centered):
        if not declared:
            assert (after - before).norm() > 1e-4 * before.norm(), change


def test_invariances_of_the_known_cases():
    def declared(*pair, shrinkage=0.01, spanning=True):
        return set(invariances(*pair, shrinkage=shrinkage, spanning=spanning))

    assert declared("cosine", "none") == {"rotation", "scaling", "node-scaling"}
    assert declared("cosine", "center") == {"rotation", "scaling", "translation"}
    assert declared("euclidean", "none") == {"rotation", "translation"}
    assert declared("euclidean", "standardize") == {"translation", "scaling", "coordinate-scaling"}
    assert declared("whitened", "none") == {"rotation", "translation", "scaling"}
    assert declared("whitened", "none", shrinkage=0, spanning=False) == {"rotation", "translation", "scaling"}
    assert declared("whitened", "none", shrinkage=0) == CHANGES - {"node-scaling"}
    assert declared("angular", "none") == declared("cosine", "none")
    assert declared("dot", "none") == {"rotation"}
    assert declared("dot", "whiten", shrinkage=0) == CHANGES - {"node-scaling"}
    assert declared("l1", "none") == declared("linf", "center") == {"translation"}
    assert declared("l1", "whiten", shrinkage=0) == {"translation", "scaling"}  # whitened up to a rotation
    assert declared("rbf", "none") == {"rotation", "translation", "scaling"}
