"""Whether a graph fits in memory as one batch, found out before the machine does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relgraph.errors import DataError
from relgraph.graph import num_nodes

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from relgraph.training.settings import TrainSettings

GIB = 2**30


def runs_that_fit(data: Data, settings: TrainSettings, *, stacked: bool) -> int:
    """How many runs can be trained side by side in the memory that is free.

    An estimate on the safe side: features and their dropout, half a dozen hidden matrices for each layer and, in the
    plain loop, one message for each edge and layer.

    Raises:
        DataError: If not even one fits.
    """
    nodes, width, hidden = num_nodes(data), int(data.x.size(1)), 2 * settings.hidden_channels
    values = int((data.x != 0).sum()) if stacked else nodes * width
    features = 4 * values * 3
    layers = settings.num_layers or 2
    activations = 4 * 6 * layers * nodes * hidden
    parameters = 4 * 5 * width * hidden
    messages = 0 if stacked else 4 * layers * int(data.edge_index.size(1)) * hidden
    need = features + activations + parameters + messages
    free = free_memory(data.x.device)
    if need > free:
        raise DataError(
            f"'data' must fit in memory as one batch: {nodes:,} nodes need about {need / GIB:.1f} GiB for training "
            f"(free: {free / GIB:.1f} GiB); use a smaller 'hidden_channels', an induced subgraph or a larger machine"
        )
    return max(1, int(0.5 * free / need))


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had on a device; without limit where the device does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu":
        import psutil

        return int(psutil.virtual_memory().available)
    return 2**62
