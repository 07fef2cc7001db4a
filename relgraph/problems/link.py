"""Link prediction: one graph, one row per pair of nodes; the encoder embeds nodes, the head scores pairs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from relgraph.errors import InputError
from relgraph.graph import node_ids, num_nodes
from relgraph.modes import eval_mode, seeded
from relgraph.nn.model import Model, call_with_graph, head_arguments
from relgraph.nn.pair_head import DotDecoder, PairHead
from relgraph.problems.base import Head, Problem
from relgraph.problems.node import NodeProblem, checked_graph
from relgraph.problems.splits import Split
from relgraph.task import Task

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from torch_geometric.data import Data

    from relgraph.training.settings import TrainSettings

VALIDATION, TEST = 0.05, 0.10
"""Shares of the edges that are held out."""


class LinkProblem(NodeProblem):
    """Edges of one graph, told from pairs of nodes without an edge.

    A twentieth of the edges is held out for validation and a tenth for testing, each with as many negative pairs;
    messages pass along the remaining edges only. Training draws new negative pairs in every epoch. The head is a
    :class:`relgraph.nn.PairHead`; anchors are nodes.

    Args:
        data: The graph, with features ``x``, which are trained on in float32, and edges; labels are not read.
        split: ``None`` or ``"random"``.
        seed: Seed of the split and of the negative pairs.
        negatives: Of test pairs: ``"random"`` pairs without an edge, or ``"two-hop"`` pairs, which share a neighbor in
            the training graph and are harder.

    Raises:
        InputError: If features are missing, or the graph has too few edges to hold some out.

    Example:
        >>> import relgraph as rg
        >>> problem = LinkProblem(rg.load_dataset("digits"))
        >>> problem.task.metric.name, problem.num_outputs, len(problem.test) % 2
        ('rocauc', 1, 0)
    """

    default_anchors: ClassVar[int] = 512
    # Strong dropout of the features, because the edges that are learned are also those that messages pass along. Wide
    # spaces with a little decay can be translated better (benchmarks/links/tune.py).
    default_settings: ClassVar[Mapping[str, Any]] = {
        "epochs": 150,
        "patience": None,
        "lr": 0.03,
        "hidden_channels": 128,
        "weight_decay": 3e-5,
        "dropout": 0.2,
        "input_dropout": 0.8,
    }

    def __init__(
        self,
        data: Data,
        split: str | None = None,
        *,
        seed: int = 0,
        negatives: Literal["random", "two-hop"] = "random",
    ) -> None:
        data = checked_graph(data)
        if split not in (None, "random"):
            raise InputError("split", f"must be 'random' or left out for link prediction (got '{split}')")
        if (number := data.num_edges) < 20:
            raise InputError("data", f"must have at least 20 edges for this task (got {number}); choose another")
        self.task = Task.of("edge", "multilabel")
        self.name = str(data.get("dataset_name") or "unnamed")
        self.num_outputs = 1
        self.device = data.x.device
        self.ids = node_ids(data)
        self.candidates = torch.arange(num_nodes(data), device=self.device)
        self.data, positives = _held_out(data, seed)
        generator = torch.Generator().manual_seed(seed)
        known = _keys(data.edge_index, num_nodes(data))
        pairs: list[Tensor] = []
        labels: list[Tensor] = []
        rows: list[Tensor] = []
        for name, edges in positives.items():
            count = edges.size(1)
            if name == "train":  # their negative pairs are drawn in every epoch
                found = [edges]
            elif name == "test" and negatives == "two-hop":
                found = [edges, _two_hop_pairs(self.adjacency, known, count, generator)]
            else:
                found = [edges, random_non_edges(known, num_nodes(data), count, generator)]
            start = sum(part.size(1) for part in pairs)
            rows.append(torch.arange(start, start + sum(part.size(1) for part in found), device=self.device))
            pairs += [part.to(self.device) for part in found]
            labels += [torch.full((part.size(1), 1), float(place == 0)) for place, part in enumerate(found)]
        self.pairs = torch.cat(pairs, dim=1)
        self.y = torch.cat(labels).to(self.device)
        self.train, self.validation, self.test = rows
        sizes = [part.numel() for part in rows]
        self.split = Split("random", sizes[0], sizes[1], sizes[2], seed, "drawn")
        # Of the training graph alone: training must not learn which of the other pairs are held out.
        self._known = _keys(self.data.edge_index, num_nodes(data))
        self.check_rows()

    def batches(self, model: Model, settings: TrainSettings) -> Iterator[tuple[Tensor, Tensor]]:
        """One batch: all training edges and as many other pairs of nodes, drawn from torch's global generator."""
        positive = self.pairs[:, self.train]
        negative = random_non_edges(self._known, num_nodes(self.data), positive.size(1)).to(self.device)
        z = call_with_graph(model.encoder, self.data)
        outputs = model.head(z, torch.cat([positive, negative], dim=1))
        y = torch.zeros(outputs.size(0), 1, device=self.device)
        y[: positive.size(1)] = 1
        yield outputs, y

    def outputs(self, model: Model, rows: Tensor) -> Tensor:
        """Outputs for some pairs, in evaluation mode and without gradients."""
        with eval_mode(model):
            return self.read(model.head, call_with_graph(model.encoder, self.data), rows)

    def pointwise(self, at: int | None = None) -> bool:
        """No head of this problem reads one row at a time."""
        return False

    @torch.no_grad()
    def read(self, head: nn.Module, z: Tensor, rows: Tensor) -> Tensor:
        """Logits of some pairs from the states of all nodes."""
        data = copy.copy(self.data)
        data.edge_label_index = self.pairs[:, rows]
        out: Tensor = head(z, **head_arguments(head, data))
        return out

    @cached_property
    def adjacency(self) -> csr_array:
        """The undirected adjacency ``(N, N)`` of the training graph, without loops."""
        import numpy as np
        from scipy.sparse import csr_array

        source, target = self.data.edge_index.cpu().numpy()
        kept = source != target
        ends = (np.concatenate([source[kept], target[kept]]), np.concatenate([target[kept], source[kept]]))
        count = num_nodes(self.data)
        matrix = csr_array((np.ones(len(ends[0]), dtype=np.float32), ends), shape=(count, count))
        matrix.data[:] = 1
        return matrix

    with_anchors = Problem.with_anchors  # type: ignore[assignment]  # pairs have no relative representation

    def tensors(self, head: Head = "linear") -> dict[str, Tensor]:
        """All tensors of the training graph, and the pairs."""
        return super().tensors(head) | {"pairs": self.pairs}

    def describe(self) -> dict[str, Any]:
        """Name, sizes, source and fingerprint of the training graph as plain values for JSON."""
        return super().describe() | {"num_pairs": self.pairs.size(1)}

    def _with_head(self, module: nn.Module, head: Head) -> Model:
        if head != "linear":
            raise InputError("head", f"must be 'linear' for link prediction (got '{head}')")
        return Model(module, self._decoder(self._width(module)).to(self.device))

    def _decoder(self, width: int) -> nn.Module:
        return PairHead(width)


class DotLinkProblem(LinkProblem):
    """Link prediction by inner products: there is no head to exchange, so that methods are only compared.

    Arguments are those of :class:`LinkProblem`.
    """

    def _decoder(self, width: int) -> nn.Module:
        return DotDecoder()


def random_non_edges(known: Tensor, count: int, wanted: int, generator: torch.Generator | None = None) -> Tensor:
    """Different pairs of different nodes without an edge, ``(2, wanted)``, uniformly at random.

    Args:
        known: Sorted keys ``u * N + v`` of all edges, in both directions.
        count: Number of nodes ``N``.
        wanted: Number of pairs.
        generator: Source of randomness, on the CPU; by default torch's own.

    Raises:
        InputError: If the graph is so dense that there are not that many pairs.

    Example:
        >>> random_non_edges(torch.tensor([1, 3]), 3, 2, torch.Generator().manual_seed(0)).sort(dim=1).values
        tensor([[0, 1],
                [2, 2]])
    """
    loops = int((known // count == known % count).sum())
    free = count * (count - 1) // 2 - (known.numel() - loops) // 2
    if wanted > free:
        raise InputError("data", f"must have more pairs without an edge than edges (got {free} for {wanted} edges)")
    found = known.new_empty(0)
    while found.numel() < wanted:
        ends = torch.randint(count, (2, 2 * (wanted - found.numel()) + 16), generator=generator)
        low, high = ends.amin(dim=0), ends.amax(dim=0)
        keys = (low * count + high)[low != high]
        keys = keys[~_among(keys, known)]
        merged = torch.cat([found, keys])
        # The first of every repeated pair stays, so that the order of the draws decides.
        first = torch.full((merged.numel(),), False)
        _, inverse = torch.unique(merged, return_inverse=True)
        place = torch.full((int(inverse.max()) + 1 if merged.numel() else 0,), merged.numel())
        place.scatter_reduce_(0, inverse, torch.arange(merged.numel()), "amin")
        first[place] = True
        found = merged[first][:wanted]
    return torch.stack([found // count, found % count])


def _held_out(data: Data, seed: int) -> tuple[Data, dict[str, Tensor]]:
    """The graph of the training edges, and the edges of every part, each undirected edge once."""
    from torch_geometric.data import Data as Graph
    from torch_geometric.transforms import RandomLinkSplit

    if data.get("edge_weight") is not None:
        raise InputError("data", "must have no edge weights for link prediction (got some); delete 'edge_weight'")
    undirected = data.is_undirected()
    plain = Graph(edge_index=data.edge_index.cpu(), num_nodes=num_nodes(data))
    split = RandomLinkSplit(VALIDATION, TEST, is_undirected=undirected, neg_sampling_ratio=0.0)
    with seeded(seed):
        train, validation, test = split(plain)
    training = copy.copy(data)
    training.edge_index = train.edge_index.to(data.x.device)
    parts = {"train": train, "validation": validation, "test": test}
    positives = {name: part.edge_label_index for name, part in parts.items()}
    if (
        not undirected
    ):  # an edge back would give its held-out counterpart away, and so would the same pair held out twice
        count, training_edges = num_nodes(data), train.edge_index
        seen = _keys(positives["test"], count)
        for name in ("validation", "train"):
            fresh = ~_among(positives[name][0] * count + positives[name][1], seen)
            if name == "train":
                training_edges = training_edges[:, ~_among(training_edges[0] * count + training_edges[1], seen)]
            positives[name] = positives[name][:, fresh]
            seen = torch.unique(torch.cat([seen, _keys(positives[name], count)]))
        training.edge_index = training_edges.to(data.x.device)
    return training, positives


def _two_hop_pairs(adjacency: csr_array, known: Tensor, wanted: int, generator: torch.Generator) -> Tensor:
    """Pairs without an edge that share a neighbor in the training graph, ``(2, wanted)`` or fewer."""
    import numpy as np
    from scipy.sparse import triu

    count = adjacency.shape[0]
    reached = triu(adjacency @ adjacency, k=1).tocoo()
    keys = torch.from_numpy(reached.row.astype(np.int64) * count + reached.col)
    keys = keys[~_among(keys, known)].sort().values
    keys = keys[torch.randperm(keys.numel(), generator=generator)[:wanted]]
    return torch.stack([keys // count, keys % count])


def _keys(edge_index: Tensor, count: int) -> Tensor:
    """Sorted keys of all edges in both directions."""
    source, target = edge_index.cpu()
    keys: Tensor = torch.unique(torch.cat([source * count + target, target * count + source]))
    return keys


def _among(keys: Tensor, known: Tensor) -> Tensor:
    """Which keys are among the sorted known ones."""
    if known.numel() == 0:
        return torch.zeros(keys.numel(), dtype=torch.bool)
    found: Tensor = known[torch.searchsorted(known, keys).clamp(max=known.numel() - 1)] == keys
    return found
