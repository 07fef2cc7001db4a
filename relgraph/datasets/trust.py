"""The classes that make up a PyG ``Data``, known to ``torch.load(weights_only=True)`` while somebody needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def pyg_classes() -> Iterator[None]:
    """Let ``torch.load`` read a ``Data`` inside this block only.

    Nobody else's ``torch.load`` trusts more because relgraph was imported. On leaving, torch forgets all it was given,
    so what PyG or the user had registered before is not given again.
    """
    from torch_geometric.data import Data
    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    before = torch.serialization.get_safe_globals()
    needed = [kind for kind in (Data, DataEdgeAttr, DataTensorAttr, GlobalStorage) if kind not in before]
    with torch.serialization.safe_globals(needed):
        yield
