"""Many small graphs with one or more labels each: what a data set of molecules loads as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

if TYPE_CHECKING:
    from torch_geometric.data import Data

Task = Literal["binary", "regression"]


@dataclass(frozen=True, eq=False)
class GraphDataset:
    """A data set whose examples are whole graphs, with its split and its metric.

    An example is known by its position: an :class:`~relgraph.anchors.AnchorSet` of graphs holds positions as ids.

    Args:
        name: Its name, such as ``"ogbg-molbace"``.
        graphs: PyG ``Data`` with ``x`` ``(n, 9)`` and ``edge_attr`` ``(m, 3)``, integers that OGB's encoders embed, and
            ``edge_index`` ``(2, m)``.
        y: Labels ``(G, T)``, float32; NaN where a label is missing.
        train: Positions for training, ``(n,)`` int64.
        validation: Positions for choosing.
        test: Positions for testing.
        task: ``"binary"`` (T labels of 0 or 1) or ``"regression"``.
        metric: OGB's name of the metric: ``"rocauc"``, ``"ap"`` or ``"rmse"``.
        source: Where it was found, in words.
    """

    name: str
    graphs: Sequence[Data]
    y: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    task: Task
    metric: str
    source: str

    def __len__(self) -> int:
        """Number of graphs."""
        return len(self.graphs)

    @property
    def num_tasks(self) -> int:
        """Number of labels of a graph."""
        return self.y.size(1)
