from __future__ import annotations

import math

import pytest
import torch

from relgraph.errors import InputError
from relgraph.similarity import normalizing_map, relative, resolve
from tests.registered import EVERY_PAIR, NORMALIZATIONS, WHITENING, looped
from tests.spaces import normal


def test_names_are_checked():
    x = torch.ones(2, 2)
    with pytest.raises(InputError, match=r"'similarity' must be one of .*did you mean 'cosine'"):
        relative(x, x, "cosin")
    with pytest.raises(InputError, match=r"'normalization' must be one of .*did you mean 'whiten'"):
        relative(x, x, "cosine", "whitn")
    with pytest.raises(InputError, match="'normalization' must be one of"):
        normalizing_map(x, "middle")
    for normalization in set(NORMALIZATIONS) - {"none"}:
        with pytest.raises(InputError, match="whitening twice"):
            resolve("whitened", normalization)
        with pytest.raises(InputError, match="whitening twice"):
            relative(x, x, "whitened", normalization)


@EVERY_PAIR
def test_shapes_types_and_shrinkage_are_checked(similarity, normalization):
    x = normal(4, 3).float()
    wrong = {
        "'anchors' must have as many columns as the embeddings, 3": (x, x[:, :2]),
        "'anchors' must be a matrix": (x, x[0]),
        "'embeddings' must be a matrix": (x[0], x),
        "'anchors' must have the embeddings' type torch.float32": (x, x.double()),
        "'embeddings' must hold floating point numbers": (x.long(), x),
        "'anchors' must hold at least one row": (x, x[:0]),
        "'anchors' must be on the embeddings' device cpu": (x, x.to("meta")),
    }
    for message, pair in wrong.items():
        with pytest.raises(InputError, match=message):
            relative(*pair, similarity, normalization)
    with pytest.raises(InputError, match=r"'center' must have shape \(3,\)"):
        relative(x, x, similarity, normalization, center=x[0, :2])


@pytest.mark.parametrize("shrinkage", [-0.1, math.nan, math.inf])
@looped("similarity, normalization", WHITENING)
def test_shrinkage_is_checked(similarity, normalization, shrinkage):
    with pytest.raises(InputError, match="'shrinkage' must be a finite number of at least 0 .got"):
        relative(normal(4, 3), normal(4, 3), similarity, normalization, shrinkage=shrinkage)
