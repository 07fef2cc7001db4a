"""PyG transforms: a graph goes in, the same graph with anchors comes out."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.storage import NodeStorage
from torch_geometric.transforms import BaseTransform

from relgraph.anchors import choose_weighted, labels_used, lasting_nodes, shared_ids
from relgraph.anchors.matching import as_tensor, repeated_id
from relgraph.anchors.select import AnchorFeatures, LabelsUsed
from relgraph.anchors.values import checked_ids, shortened
from relgraph.errors import InputError, RelgraphWarning, real_number, unknown_name, whole_number
from relgraph.graph import node_ids, num_nodes, shown_ids

Missing = Literal["error", "drop"]


class MissingAnchorsWarning(RelgraphWarning):
    """Some of the given anchors are not in the graph; the others were made its anchors."""


class AddAnchors(BaseTransform):  # type: ignore[misc]
    """Give a graph its anchors, as attributes that survive subgraphs, shuffling and mini-batches.

    Writes ``anchor_rank`` (``(N,)``, int64: 0..K-1 for anchors, -1 elsewhere), ``num_anchors``, ``node_id`` where there
    is none, and, where the strategy measures distances, ``anchor_weight`` (``(N,)``, the share of all nodes that an
    anchor stands for, 0 elsewhere). :func:`relgraph.anchor_index` reads the anchors back, in rank order. The graph
    passed in is not changed, and the same graph gets the same anchors at every call. A networkx graph is converted by
    PyG's ``from_networkx`` first, with its node attributes; it needs features ``x`` only where the strategy reads them.

    Args:
        num_anchors, strategy, seed: How many, a name in :data:`relgraph.registry.STRATEGIES`, and its seed.
        node_type: Node type of the anchors, for a heterogeneous graph. Strategies that read edges do not apply to it,
            and those that measure distances use that type's own features.
        features: Where strategies that measure distances do so (:func:`relgraph.select_anchors`): ``"propagated"``,
            ``"input"``, or one run's embeddings of this graph, shape ``(N, F)``.
        among: Nodes that may become anchors: a mask ``(N,)``, rows, or the name of an attribute of the graph that holds
            one of these, such as ``"train_mask"``; by default all.

    The attribute ``labels_used`` is ``"none"``, ``"run-embeddings"``, ``"labels"``, or ``None`` for given ids.

    Raises:
        InputError: If a setting, or a graph, does not allow the choice.

    Example:
        >>> from relgraph.graph import anchor_index
        >>> data = Data(x=torch.zeros(5, 2), edge_index=torch.tensor([[0, 1, 2], [4, 4, 4]]))
        >>> AddAnchors(2, "degree")(data)
        Data(x=[5, 2], edge_index=[2, 3], node_id=[5], anchor_rank=[5], num_anchors=2)
        >>> anchor_index(AddAnchors(2, "degree")(data))
        tensor([4, 0])
        >>> AddAnchors(2, "kmeans", features="input")
        AddAnchors(2, 'kmeans', seed=0, features='input')
    """

    def __init__(
        self,
        num_anchors: int,
        strategy: str = "random",
        *,
        seed: int = 0,
        node_type: str | None = None,
        features: AnchorFeatures = "propagated",
        among: Tensor | str | None = None,
    ) -> None:
        features = features if isinstance(features, str) else as_tensor("features", features)
        self.labels_used: LabelsUsed | None = labels_used(strategy, features)
        num_anchors = whole_number("num_anchors", num_anchors)
        if num_anchors < 1:
            raise InputError("num_anchors", f"must be at least 1 (got {num_anchors})")
        self.num_anchors, self.strategy, self.seed = num_anchors, strategy, whole_number("seed", seed)
        self.node_type, self.features, self.among = node_type, features, among
        self.ids: Tensor | None = None
        self.given_ids: Any = None  # as they were given, for messages
        self.weights: Tensor | None = None
        self.missing: Missing = "error"

    @classmethod
    def from_ids(
        cls,
        ids: Tensor,
        node_type: str | None = None,
        *,
        weights: Tensor | None = None,
        missing: Missing = "error",
    ) -> AddAnchors:
        """The transform that makes the nodes with these stable ids ``(K,)`` the anchors, in this order.

        Two teams, or two runs, agree on anchors so. Nodes may disappear from a graph, and anchors with them. The rest
        of the anchors still matches those that were published before, by ids
        (:func:`relgraph.anchors.aligned_rows`): a conversion from them is as good as one from as many anchors chosen
        anew, as long as nodes disappear at random, and at least one more of them than the space has dimensions is
        needed.

        Args:
            ids: Stable ids, a repeated one is an error.
            node_type: As of :class:`AddAnchors`.
            weights: Shares of all nodes that the anchors stand for, ``(K,)``, as of
                :attr:`relgraph.AnchorSet.weights`; they are kept as they are if anchors are missing.
            missing: What is done with ids that are not in a graph: ``"error"``, or ``"drop"`` to leave them out with a
                warning that counts them. The ranks of the others then have no gap, and ``num_anchors`` is their number.

        Raises:
            InputError: If an id is repeated, or ``weights`` do not fit; when called, if an id is missing, or all are,
                or the graph repeats one.

        Warns:
            MissingAnchorsWarning: When called with ``missing="drop"``, if ids are missing.

        Example:
            >>> AddAnchors.from_ids(torch.tensor([2, 0]))(Data(x=torch.zeros(4, 1))).anchor_rank
            tensor([ 1, -1,  0, -1])
        """
        if missing not in get_args(Missing):
            raise unknown_name("missing", missing, get_args(Missing))
        found = checked_ids(ids)
        transform = cls(found.numel(), node_type=node_type)
        transform.labels_used = None
        transform.ids = found.detach().cpu().to(torch.int64).clone()
        transform.given_ids = transform.ids if isinstance(ids, Tensor) else ids
        if weights is not None:
            shares = as_tensor("weights", weights).detach().cpu().float().clone()
            if shares.shape != found.shape or not bool((shares > 0).all() and shares.isfinite().all()):
                got = f"(got shape {tuple(shares.shape)}, least {float(shares.min()) if shares.numel() else None})"
                raise InputError("weights", f"must hold one finite number above 0 per id, {found.numel()} {got}")
            transform.weights = shares
        transform.missing = missing
        return transform

    @classmethod
    def from_versions(
        cls,
        graphs: Sequence[Data] | Data,
        num_anchors: int,
        strategy: str = "random",
        *,
        seed: int = 0,
        share: float = 0.25,
        features: AnchorFeatures = "propagated",
        time: str = "node_year",
    ) -> AddAnchors:
        """Anchors that will last: the transform of nodes that all versions have and whose neighbors hardly change.

        The strategy chooses, on the newest version, among a share of the nodes that all versions have: the first ones
        of :func:`relgraph.anchors.lasting_nodes`, which have neighbors in every version and the least changed
        neighborhoods. An encoder of a later version embeds these nodes much as before, and a map fitted on them is
        not asked to undo the change of the graph. Of a single graph, the oldest nodes with the most neighbors are
        chosen from; this is a guess, and no better than all nodes where it was measured
        (``benchmarks/versions/lasting.py``).

        Args:
            graphs: Versions of a graph with stable ids, the oldest first; or a single graph.
            num_anchors, strategy, seed, features: As of :class:`AddAnchors`; features that are a run's embeddings are
                those of the newest version.
            share: Share of the common nodes that the strategy chooses from, above 0 and up to 1; more if they are
                fewer than ``num_anchors``. The default was chosen on the validation nodes of Cora
                (``benchmarks/versions/lasting.py``).
            time: Node attribute of the newest graph that is smaller for older nodes; it breaks ties.

        Returns:
            The transform by ids (:meth:`from_ids`), for every version; with weights, the shares of the newest graph's
            nodes, if the strategy gives some.

        Raises:
            InputError: If there are fewer common nodes than anchors, a graph has no edges or repeats an id, a setting
                does not allow the choice, or the strategy cannot choose among some of the nodes.

        Example:
            >>> old = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
            >>> new = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
            >>> AddAnchors.from_versions([old, new], 2).ids.sort().values
            tensor([0, 1])
        """
        versions = [_converted(graph) for graph in (graphs if isinstance(graphs, Sequence) else [graphs])]
        num_anchors = whole_number("num_anchors", num_anchors)
        if not 0 < real_number("share", share) <= 1:
            raise InputError("share", f"must be above 0 and at most 1 (got {share}); 1 chooses among all common nodes")
        lasting = lasting_nodes(versions, time=time)
        if num_anchors > len(lasting):
            found = f"(got {num_anchors}); take fewer, or fewer versions"
            raise InputError("num_anchors", f"must be at most {len(lasting)}, the nodes that all versions have {found}")
        newest = versions[-1]
        lasting = lasting[: max(num_anchors, round(share * len(lasting)))]
        among = torch.isin(node_ids(newest).cpu(), lasting)
        chosen = cls(num_anchors, strategy, seed=seed, features=features, among=among)
        rows, weights = chosen._choose(newest)
        transform = cls.from_ids(node_ids(newest)[rows], weights=weights)
        transform.labels_used = chosen.labels_used
        return transform

    def __call__(self, data: Any) -> Data | HeteroData:
        """A copy of the graph with its anchors."""
        found: Data | HeteroData = super().__call__(_converted(data))
        return found

    def forward(self, data: Data | HeteroData) -> Data | HeteroData:
        """Write the anchors to ``data``, which PyG has copied by then."""
        nodes = self._nodes(data)
        write_anchors(nodes, *self._choose(nodes))
        return data

    def _nodes(self, data: Data | HeteroData) -> Data | NodeStorage:
        if isinstance(data, HeteroData):
            if self.node_type is None:
                types = ", ".join(sorted(data.node_types))
                raise InputError("node_type", f"must be the type of the anchor nodes, one of {types} (got none)")
            if self.node_type not in data.node_types:
                raise unknown_name("node_type", self.node_type, data.node_types)
            return data[self.node_type]
        if self.node_type is not None:
            raise InputError("node_type", f"must be left out for a graph of one node type (got '{self.node_type}')")
        return data

    def _choose(self, nodes: Data | NodeStorage) -> tuple[Tensor, Tensor | None]:
        if self.ids is None:
            # A generator of its own at every call: the same graph, the same anchors.
            generator, among = torch.Generator().manual_seed(self.seed), self.among
            if isinstance(among, str):
                if among not in nodes:
                    names = [name for name in nodes.to_dict() if name.endswith("_mask")]
                    raise unknown_name("among", among, names or ["a mask of the graph"])
                among = nodes[among]
            return choose_weighted(
                nodes, self.num_anchors, self.strategy, features=self.features, among=among, generator=generator
            )
        present = node_ids(nodes)
        hits = present[torch.isin(present, self.ids.to(present.device))]
        if (repeated := repeated_id(hits)) is not None:
            name = "node_id" if nodes.get("node_id") is not None else "n_id"
            found = f"got {repeated} for several nodes"
            raise InputError(name, f"must not repeat the id of an anchor ({found}); give every node an id of its own")
        asked, rows = shared_ids(self.ids, present)
        if lost := self.ids.numel() - asked.numel():
            missing = shortened(shown_ids(self.ids[~torch.isin(self.ids, present.cpu())], self.given_ids))
            if self.missing == "error" or not len(asked):
                rule = "all be nodes of the graph" if self.missing == "error" else "name a node of the graph"
                hint = "take anchors that both graphs have, or set data.node_id"
                hint += "; missing='drop' leaves them out" if len(asked) else ""
                raise InputError("ids", f"must {rule} (missing: {missing}); {hint}")
            warnings.warn(
                f"{lost} of {self.ids.numel()} anchors are not in the graph and were left out (missing: {missing})",
                MissingAnchorsWarning,
                stacklevel=5,  # of the call of the transform
            )
        return rows, None if self.weights is None else self.weights[asked].to(rows.device)

    def __repr__(self) -> str:
        where = "" if self.node_type is None else f", node_type={self.node_type!r}"
        if self.ids is not None:
            return f"AddAnchors.from_ids({self.num_anchors} ids{where})"
        name = self.features if isinstance(self.features, str) else "run-embeddings"
        features = "" if name == "propagated" else f", features={name!r}"
        some = f", among={self.among!r}" if isinstance(self.among, str) else ", among=..."
        some = "" if self.among is None else some
        return f"AddAnchors({self.num_anchors}, {self.strategy!r}, seed={self.seed}{where}{features}{some})"


def _converted(data: Any) -> Any:
    """A graph of networkx as a graph of PyG; anything else as it is."""
    networkx = sys.modules.get("networkx")  # not imported yet: then no graph of it can be given
    if networkx is None or not isinstance(data, networkx.Graph):
        return data
    from relgraph.datasets.from_file import from_networkx

    return from_networkx(data, bare=True)


def write_anchors(nodes: Data | NodeStorage, rows: Tensor, weights: Tensor | None = None) -> None:
    """Make these rows, ``(K,)`` in rank order, the anchors of a graph, or of one of its node types."""
    rank = torch.full((num_nodes(nodes),), -1, dtype=torch.int64, device=rows.device)
    rank[rows] = torch.arange(rows.numel(), device=rows.device)
    nodes.node_id, nodes.anchor_rank, nodes.num_anchors = node_ids(nodes), rank, rows.numel()
    if weights is not None:
        nodes.anchor_weight = torch.zeros(rank.shape, device=rows.device)
        nodes.anchor_weight[rows] = weights
    elif "anchor_weight" in nodes:
        del nodes.anchor_weight  # of the anchors before
