"""The embedded graph: images of handwritten digits, joined to their nearest neighbors. Needs no download."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch_geometric.data import Data

NEIGHBORS = 10
# Of digits 0 to 9: odd, prime, at least 5, drawn with a closed loop.
PROPERTIES = ([1, 3, 5, 7, 9], [2, 3, 5, 7], [5, 6, 7, 8, 9], [0, 6, 8, 9])


def load(name: str = "digits", root: str | os.PathLike[str] | None = None, features: str | None = None) -> Data:
    """scikit-learn's 1,797 images of digits as a symmetric graph of nearest neighbors.

    Every image is joined to the 10 others at the smallest Euclidean distance of pixels, in both directions. ``x``
    ``(1797, 64)`` is in ``[0, 1]``, ``y`` in 0..9; ``"digits-properties"`` has four labels ``(1797, 4)`` instead: odd,
    prime, at least 5, drawn with a closed loop. There is no split. ``root`` and ``features`` are not used.

    Example:
        >>> load().is_undirected()
        True
    """
    from sklearn.datasets import load_digits
    from sklearn.neighbors import kneighbors_graph
    from torch_geometric.data import Data

    digits = load_digits()
    # Distances of the stored integers 0..16 are exact, so that the graph is the same on every machine.
    chosen = kneighbors_graph(digits.data, NEIGHBORS, mode="connectivity", include_self=False)
    edges = chosen.maximum(chosen.T).tocsr()
    edges.sort_indices()
    row, col = (torch.from_numpy(ends).to(torch.int64) for ends in edges.tocoo().coords)
    data = Data(
        x=torch.from_numpy(digits.data / 16.0).to(torch.float32),
        edge_index=torch.stack([row, col]),
        y=torch.from_numpy(digits.target).to(torch.int64),
    )
    if name == "digits-properties":
        data.y = torch.stack([torch.isin(data.y, torch.tensor(digits)) for digits in PROPERTIES], dim=1).float()
    data.dataset_name, data.features = name, "pixels"
    data.source = f"scikit-learn's digits, {NEIGHBORS} nearest neighbors"
    return data
