"""A published space: where a run put its anchors, and nothing else of the run."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from relgraph.anchors.alignment import repeated_id, shared_ids
from relgraph.anchors.published_file import content_digest, read_published, write_published
from relgraph.errors import DataError, InputError
from relgraph.graph import anchor_index, node_ids, num_nodes
from relgraph.graph import fingerprint as graph_fingerprint

if TYPE_CHECKING:
    from torch_geometric.data import Data
    from torch_geometric.data.storage import NodeStorage

FORMAT = "relgraph.anchors/1"


@dataclass(frozen=True, eq=False, repr=False)
class AnchorSet:
    """A published space: the embeddings of ``K`` anchors, the centre of the space, and which nodes they are.

    Together with a :class:`relgraph.PublishedHead` it is all that has to pass between two runs for one to be read by
    the head of the other. The centre is the mean of *all* nodes, because the mean of a few anchors is a poor guess of
    it.

    Args:
        ids: Stable ids of the anchor nodes, shape ``(K,)``, without repeats.
        embeddings: Their absolute representations, shape ``(K, F)``, finite.
        center: Mean of all nodes of the graph, shape ``(F,)``.
        fingerprint: Of the graph (:func:`relgraph.graph.fingerprint`); empty if unknown.
        space: Name of the space; by default a hash of the ids, embeddings and centre.

    Raises:
        InputError: If shapes or types do not fit, an id is repeated, or a number is not finite.

    Example:
        >>> space = AnchorSet(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2), fingerprint="00ff", space="mine")
        >>> space
        AnchorSet(2 anchors, 2 features, graph 00ff, space mine)
        >>> space.take(torch.tensor([3])).embeddings
        tensor([[0., 1.]])
    """

    ids: Tensor
    embeddings: Tensor
    center: Tensor
    fingerprint: str = ""
    space: str = ""

    def __post_init__(self) -> None:
        check_ids(self.ids)
        check_rows("embeddings", self.embeddings)
        if self.embeddings.size(0) != self.ids.numel():
            raise InputError(
                "embeddings",
                f"must hold one row per id (got {self.embeddings.size(0)} rows for {self.ids.numel()} ids)",
            )
        if self.center.shape != self.embeddings.shape[1:]:
            raise InputError(
                "center",
                f"must have shape ({self.embeddings.size(1)},), as wide as the embeddings "
                f"(got {tuple(self.center.shape)})",
            )
        check_rows("center", self.center.unsqueeze(0))
        object.__setattr__(self, "ids", self.ids.detach().to(self.embeddings.device, torch.int64))
        object.__setattr__(self, "embeddings", self.embeddings.detach())
        object.__setattr__(self, "center", self.center.detach().to(self.embeddings))
        if not self.space:
            object.__setattr__(self, "space", content_digest([self.ids, self.embeddings, self.center])[:16])

    @classmethod
    def from_embeddings(
        cls,
        z: Tensor,
        data: Data | NodeStorage,
        *,
        fingerprint: str | None = None,
        center_over: Tensor | None = None,
    ) -> AnchorSet:
        """Publish a space: pick the rows of the anchors that ``data`` carries, and average all rows.

        Args:
            z: Absolute representations of all nodes, shape ``(N, F)``; gradients stop here.
            data: Graph with anchors (:class:`relgraph.AddAnchors`), or the storage of one node type.
            fingerprint: Of the graph, if it is known already or ``data`` is a part of it; by default it is computed
                (and left empty for a node type of a heterogeneous graph).
            center_over: Rows of ``z`` that the center is the mean of, as a mask ``(N,)`` or as row numbers; by default
                all. On a graph that has grown, the rows of the old nodes keep the center comparable to that of the
                other run.

        Raises:
            InputError: If ``z`` does not have a row per node, holds a number that is not finite, ``data`` has no
                anchors or repeated ids, or ``center_over`` names no row or one that is not there.

        Example:
            >>> from torch_geometric.data import Data
            >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3, num_anchors=1)
            >>> data.anchor_rank = torch.tensor([-1, -1, 0])
            >>> space = AnchorSet.from_embeddings(torch.tensor([[0.0], [1.0], [5.0]]), data)
            >>> space.ids, space.embeddings, space.center
            (tensor([2]), tensor([[5.]]), tensor([2.]))
        """
        check_rows("z", z)
        if z.size(0) != num_nodes(data):
            raise InputError(
                "z",
                f"must hold one row per node (got {z.size(0)} rows for {num_nodes(data)} nodes); "
                "encode the graph that is passed as 'data'",
            )
        rows = anchor_index(data)
        if fingerprint is None:
            fingerprint = graph_fingerprint(data) if hasattr(data, "edge_index") else ""
        wide = torch.float32 if z.device.type == "mps" else torch.float64  # that device has no double precision
        averaged = z.detach() if center_over is None else z.detach()[_chosen_rows(center_over, z)]
        center = averaged.mean(dim=0, dtype=wide).to(z.dtype)
        return cls(node_ids(data)[rows.to(node_ids(data).device)], z.detach()[rows.to(z.device)], center, fingerprint)

    @property
    def num_features(self) -> int:
        """Dimensions of the space, ``F``."""
        return self.embeddings.size(1)

    def __len__(self) -> int:
        return self.ids.numel()

    def __repr__(self) -> str:
        graph = self.fingerprint or "unknown"
        return f"AnchorSet({len(self)} anchors, {self.num_features} features, graph {graph}, space {self.space})"

    def to(self, *args: Any, **kwargs: Any) -> AnchorSet:
        """The same space on another device or in another floating-point type; arguments as of ``Tensor.to``."""
        embeddings = self.embeddings.to(*args, **kwargs)
        return replace(self, embeddings=embeddings, center=self.center.to(embeddings))

    def take(self, ids: Tensor) -> AnchorSet:
        """The published space with only these anchors, in this order.

        Args:
            ids: Some of its node ids, shape ``(M,)``.

        Raises:
            InputError: If an id is not among the anchors, or repeated.
        """
        check_ids(ids)
        asked, rows = shared_ids(ids, self.ids)
        if asked.numel() != ids.numel():
            missing = ids[~torch.isin(ids, self.ids.to(ids.device))].tolist()
            raise InputError("ids", f"must be among the anchors (got {named(missing)}); see the attribute 'ids'")
        return AnchorSet(self.ids[rows], self.embeddings[rows], self.center, self.fingerprint)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the space to one safetensors file, whole or not at all.

        Raises:
            DataError: If the file cannot be written.
        """
        tensors = {"ids": self.ids, "embeddings": self.embeddings, "center": self.center}
        write_published(path, FORMAT, tensors, {"fingerprint": self.fingerprint, "space": self.space})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AnchorSet:
        """Read a space that :meth:`save` wrote, onto the CPU.

        Raises:
            DataError: If the file is missing, damaged, or holds something else.
        """
        tensors, header = read_published(path, FORMAT, ("ids", "embeddings", "center"))
        try:
            return cls(
                **{name: tensors[name] for name in ("ids", "embeddings", "center")},
                fingerprint=header.get("fingerprint", ""),
                space=header.get("space", ""),
            )
        except InputError as error:
            raise DataError(f"'{path}' holds no usable space: {error}") from error


def check_ids(ids: Tensor) -> None:
    """Refuse node ids that are not a list of different integers, or none at all."""
    if ids.dim() != 1 or ids.numel() == 0 or ids.dtype not in (torch.int64, torch.int32, torch.int16, torch.uint8):
        raise InputError("ids", f"must list at least one integer (got {ids.dtype} of shape {tuple(ids.shape)})")
    if (repeated := repeated_id(ids)) is not None:
        raise InputError("ids", f"must not repeat a node (got {repeated} more than once); give every anchor once")


def check_rows(argument: str, rows: Tensor) -> None:
    """Refuse what is not a matrix of finite floating-point numbers, and name the first row that is not finite."""
    if rows.dim() != 2 or not rows.is_floating_point():
        raise InputError(
            argument, f"must be a matrix of floating-point numbers (got {rows.dtype} of shape {tuple(rows.shape)})"
        )
    bad = (~rows.isfinite().all(dim=1)).nonzero().view(-1)
    if bad.numel():
        row = rows[bad[0]]
        what = "NaN" if bool(row.isnan().any()) else "infinity"
        raise InputError(argument, f"must hold finite numbers (got {what} in row {int(bad[0])}); check the training")


def _chosen_rows(chosen: Tensor, z: Tensor) -> Tensor:
    """The argument ``center_over`` as row numbers of ``z``, on its device."""
    count = z.size(0)
    mask = chosen.dtype == torch.bool
    if chosen.dim() != 1 or (mask and chosen.numel() != count) or chosen.is_floating_point():
        raise InputError(
            "center_over",
            f"must be a mask of {count} nodes or a list of row numbers (got {chosen.dtype} of shape "
            f"{tuple(chosen.shape)}); pass data.train_mask or the rows of the old nodes, for example",
        )
    rows = (chosen.nonzero().view(-1) if mask else chosen.long()).to(z.device)
    if not rows.numel() or not bool(((rows >= 0) & (rows < count)).all()):
        got = "none" if not rows.numel() else f"rows {int(rows.min())} to {int(rows.max())}"
        raise InputError("center_over", f"must name rows from 0 to {count - 1}, at least one (got {got}); leave it out")
    return rows


def named(ids: list[int], most: int = 5) -> str:
    """The first few of some ids, and how many there are if not all are shown."""
    shown = ", ".join(map(str, ids[:most]))
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most} more"
