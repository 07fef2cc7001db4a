"""A dataset of many small graphs with one or more targets each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from relgraph.task import Task

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True, eq=False)
class GraphDataset:
    """A dataset whose rows are whole graphs, known by their positions, with its split and its task.

    Args:
        name: Its name, such as ``"ogbg-molbace"``.
        graphs: PyG ``Data`` with ``x`` ``(n, 9)`` and ``edge_attr`` ``(m, 3)``, integers that OGB's encoders embed, and
            ``edge_index`` ``(2, m)``.
        y: Targets ``(G, T)``, float32; NaN where one is missing.
        train, validation, test: Positions for training, model selection and testing, ``(n,)`` int64.
        task: Level ``"graph"``, with mode and metric.
        source: Where it was found, in words.
    """

    name: str
    graphs: Sequence[Data]
    y: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    task: Task
    source: str

    def __len__(self) -> int:
        """Number of graphs."""
        return len(self.graphs)
