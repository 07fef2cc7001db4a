"""An estimate of whether a graph fits in memory as one batch, made before training starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relgraph.errors import DataError

if TYPE_CHECKING:
    from relgraph.problems import Problem
    from relgraph.training.settings import TrainSettings

GIB = 2**30


def runs_that_fit(problem: Problem, settings: TrainSettings, *, sparse: bool) -> int:
    """How many runs can be trained jointly in the free memory.

    A conservative estimate: features and their dropout, six hidden matrices for each layer, and for each edge and layer
    one message, or six weights of eight attention heads where propagations are sparse products. Whole graphs are
    trained in mini-batches, which always fit.

    Raises:
        DataError: If not even one fits.
    """
    need, free = training_bytes(problem, settings, sparse=sparse), free_memory(problem.device)
    if need > free:
        raise DataError(
            f"'data' must fit in memory as one batch: {problem.data.x.size(0):,} nodes need about {need / GIB:.1f} GiB "
            f"for training (free: {free / GIB:.1f} GiB); use a smaller 'hidden_channels', an induced subgraph or a "
            "larger machine"
        )
    return max(1, int(0.5 * free / need)) if need else 1


def training_bytes(problem: Problem, settings: TrainSettings, *, sparse: bool) -> int:
    """Bytes that training on a whole graph needs, by the estimate of :func:`runs_that_fit`; 0 for whole graphs."""
    if problem.task.level == "graph":
        return 0
    x, edges = problem.data.x, int(problem.data.edge_index.size(1))
    (nodes, width), hidden, layers = x.shape, 2 * settings.hidden_channels, settings.num_layers or 2
    features = 3 * (int((x != 0).sum()) if sparse else nodes * width)
    activations, parameters = 6 * layers * nodes * hidden, 5 * width * hidden
    messages = layers * edges * (48 if sparse else hidden)
    return int(4 * (features + activations + parameters + messages))


def free_memory(device: torch.device) -> int:
    """Free bytes on a device; unlimited on devices of other types."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu":
        import psutil

        return int(psutil.virtual_memory().available)
    return 2**62
