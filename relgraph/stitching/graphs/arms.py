"""The arms of graph-level stitching: those of nodes that train nothing end to end, and two baselines with labels."""

from __future__ import annotations

import torch
from torch import Tensor

from relgraph.datasets.graph_dataset import Task
from relgraph.stitching.arms import Absolute, Arm, Converted, ConvertedBy, Nodes, PermutedAnchors, Procrustes, Run
from relgraph.translation import ridge
from relgraph.translation.leave_one_out import resolve_shrinkage

# The smallest of those tried that comes within 1 % of the best on the validation graphs of ogbg-molesol:
# benchmarks/molecules/choose.py. Test molecules have other scaffolds than anchors, and directions that the anchors
# hardly vary along are what differs.
STRONG = 0.3


class LabelCentroid(Arm):
    """Nearer to the mean of the positive or of the negative training graphs: labels, and no foreign head at all."""

    kind = "baseline"
    trains = "class means of the source's own training graphs"

    def publish(self, run: Run, nodes: Nodes) -> Tensor:
        """Of every label, how much nearer each test graph lies to the positive mean, ``(n, T)``."""
        z, y = run.z[nodes.train].double(), nodes.y[nodes.train].double()
        test = run.z[nodes.test].double()

        def distances(marked: Tensor) -> Tensor:
            means = (marked.T @ z) / marked.sum(0).clamp(min=1).unsqueeze(1)
            return torch.cdist(test, means, compute_mode="donot_use_mm_for_euclid_dist")

        return distances((y == 0).double()) - distances((y == 1).double())

    def meet(self, source: Tensor, target: Tensor) -> Tensor | None:
        """The source's own scores, whoever the target is."""
        return source


class LabelRidge(Arm):
    """Least squares on the source's own training embeddings and targets: labels, and no foreign head at all."""

    kind = "baseline"
    trains = "least squares on the source's own training targets"

    def publish(self, run: Run, nodes: Nodes) -> Tensor:
        """Predicted targets of the test graphs, ``(n, T)``."""
        z, y = run.z.double(), nodes.y.double()
        columns = []
        for task in range(y.size(1)):
            rows = nodes.train[~y[nodes.train, task].isnan()]
            center, mean = z[rows].mean(0), y[rows, task].mean()
            points, offset = z[rows] - center, (y[rows, task] - mean).unsqueeze(1)
            weight = ridge(points, offset, resolve_shrinkage(points, offset, "loo"))
            columns.append((z[nodes.test] - center) @ weight + mean)
        return torch.cat(columns, dim=1)

    def meet(self, source: Tensor, target: Tensor) -> Tensor | None:
        """The source's own predictions, whoever the target is."""
        return source


GRAPH_ARMS: dict[str, Arm] = {
    "absolute": Absolute(),
    "converted": Converted(),
    "converted-loo": ConvertedBy("linear", shrinkage="loo"),
    "converted-strong": ConvertedBy("linear", shrinkage=STRONG),
    "converted-rbf": ConvertedBy("rbf"),
    "converted-kl": ConvertedBy("kl", "a convex fit on the anchors' logits (fitted)"),
    "converted-auto": ConvertedBy("auto", "nothing, or a convex fit on the anchors' logits (fitted)"),
    "procrustes": Procrustes(),
    "class-centroid": LabelCentroid(),
    "label-ridge": LabelRidge(),
    "permuted-anchors": PermutedAnchors(),
}

_OF_ONE_TASK: dict[str, Task] = {
    "converted-kl": "binary",
    "converted-auto": "binary",
    "class-centroid": "binary",
    "label-ridge": "regression",
}


def arms_for(task: Task) -> dict[str, Arm]:
    """The arms that apply to a task.

    Example:
        >>> "converted-kl" in arms_for("binary"), "converted-kl" in arms_for("regression")
        (True, False)
    """
    return {name: arm for name, arm in GRAPH_ARMS.items() if _OF_ONE_TASK.get(name, task) == task}
