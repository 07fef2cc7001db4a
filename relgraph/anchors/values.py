"""Values on anchors: the embeddings that a run publishes of its anchors, and the outputs of a head on them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor

from relgraph.anchors.matching import as_tensor, repeated_id, row_numbers, shared_ids
from relgraph.errors import DataError, InputError, unknown_name
from relgraph.graph import anchor_index, anchored_nodes, integer_ids, node_ids, num_nodes
from relgraph.graph import fingerprint as graph_fingerprint
from relgraph.io import PathLike, digest, load_record, save_record
from relgraph.task import Mode, check_mode

if TYPE_CHECKING:
    from torch_geometric.data import Data
    from torch_geometric.data.storage import NodeStorage

LARGEST = 1e100
"""Larger numbers have squares, or sums of them, that are infinite in float64."""

MeanFrom = Literal["center", "run-embeddings", "anchors"]


@dataclass(frozen=True, eq=False, repr=False)
class AnchorValues:
    """Values ``(K, D)`` of ``K`` anchors and their mean over all rows: the base of AnchorSet and PublishedHead.

    Args:
        ids: Stable ids of the anchors, shape ``(K,)``, integers without repeats; stored as int64.
        values: Values of the anchors, shape ``(K, D)``, finite.
        mean: Mean of the values over all rows, shape ``(D,)``, finite.
        fingerprint: Of the graph (:func:`relgraph.graph.fingerprint`); empty if unknown.
    """

    ids: Tensor
    values: Tensor
    mean: Tensor
    fingerprint: str

    # Of files: what they hold, the names of values and mean, of further tensors ``(K,)``, and of header attributes.
    _kind: ClassVar[str]
    _names: ClassVar[tuple[str, str]]
    _further: ClassVar[tuple[str, ...]] = ()
    _header: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        rows, mean = self._names
        ids = checked_ids(self.ids)
        values, average = check_rows(rows, self.values), as_tensor(mean, self.mean)
        count, width = values.shape
        if count != ids.numel():
            raise InputError(rows, f"must hold one row per id (got {count} rows for {ids.numel()} ids); pass its ids")
        if average.shape != (width,):
            raise InputError(mean, f"must have shape ({width},), as wide as '{rows}' (got {tuple(average.shape)})")
        average = check_rows(mean, average.unsqueeze(0)).squeeze(0)
        object.__setattr__(self, "ids", ids.to(values.device))
        object.__setattr__(self, "values", values.detach())
        object.__setattr__(self, "mean", average.detach().to(values))

    def __len__(self) -> int:
        return self.ids.numel()

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """A copy on another device or in another floating-point type; arguments as of ``Tensor.to``."""
        return self._changed(values=self.values.to(*args, **kwargs))

    def take(self, ids: Tensor) -> Self:
        """A copy with only these anchors, in this order; the mean does not change.

        Args:
            ids: Ids of some of the anchors, shape ``(M,)``.

        Raises:
            InputError: If an id is not among the anchors, or repeated.
        """
        ids = checked_ids(ids).to(self.ids.device)
        asked, rows = shared_ids(ids, self.ids)
        if asked.numel() != ids.numel():
            missing = ids[~torch.isin(ids, self.ids)].tolist()
            raise InputError("ids", f"must be among the anchors (got {shortened(missing)}); see the attribute 'ids'")
        further = {name: getattr(self, name)[rows] for name in self._further}
        return self._changed(ids=self.ids[rows], values=self.values[rows], **further)

    def _changed(self, **changes: Any) -> Self:
        made = copy.copy(self)
        for name, value in changes.items():
            object.__setattr__(made, name, value)
        made.__post_init__()
        return made

    def save(self, path: PathLike) -> None:
        """Write it to one safetensors file, whole or not at all.

        Raises:
            DataError: If the file cannot be written.
        """
        tensors = {name: getattr(self, name) for name in ("ids", *self._names, *self._further)}
        save_record(path, self._kind, tensors, {name: getattr(self, name) for name in self._header})

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read what :meth:`save` wrote, onto the CPU.

        Raises:
            DataError: If the file is missing, damaged, or of another kind or version.
        """
        names = ("ids", *cls._names, *cls._further)
        tensors, header = load_record(path, cls._kind, names)
        given: dict[str, Any] = {name: tensors[name] for name in names}
        try:
            return cls(**given | {name: header[name] for name in cls._header if name in header})
        except InputError as error:
            raise DataError(f"'{path}' holds no usable {cls.__name__}: {error}; save it again") from error


@dataclass(frozen=True, eq=False, repr=False, init=False)
class AnchorSet(AnchorValues):
    """A published space: the embeddings of ``K`` anchors, the center of the space, and the ids of the anchors.

    Together with a :class:`relgraph.PublishedHead` it is all that passes between two runs for the head of one to be
    used on the embeddings of the other. The center is the mean over *all* rows, because the mean of a few anchors is a
    rough estimate of it.

    Args:
        ids: Stable ids of the anchors, shape ``(K,)``, integers without repeats.
        embeddings: Their embeddings, shape ``(K, F)``, finite.
        center: Mean of the embeddings of all rows, shape ``(F,)``.
        fingerprint: Of the graph (:func:`relgraph.graph.fingerprint`); empty if unknown.
        id: Name of the anchor set; by default a hash of the ids, embeddings, center and weights.
        weights: Share of all rows that each anchor stands for, above 0, shape ``(K,)``; by default all the same.

    Raises:
        InputError: If shapes or types do not fit, an id is repeated, or a number is not finite.

    Example:
        >>> anchors = AnchorSet(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2), fingerprint="00ff", id="mine")
        >>> anchors
        AnchorSet(2 anchors, 2 features, graph 00ff, id mine)
        >>> anchors.take(torch.tensor([3])).embeddings
        tensor([[0., 1.]])
    """

    _kind = "relgraph.anchors/3"
    _names = ("embeddings", "center")
    _further = ("weights",)
    _header = ("fingerprint", "id")
    id: str
    weights: Tensor

    def __init__(
        self,
        ids: Tensor,
        embeddings: Tensor,
        center: Tensor,
        fingerprint: str = "",
        id: str = "",
        weights: Tensor | None = None,
    ) -> None:
        object.__setattr__(self, "id", id)
        object.__setattr__(self, "weights", weights)
        super().__init__(ids, embeddings, center, fingerprint)

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Tensor | None = self.weights
        weights = torch.full((len(self),), 1 / len(self)) if given is None else as_tensor("weights", given).detach()
        # In half precision the share of one of many millions of rows would be 0.
        wide = torch.promote_types(self.values.dtype, torch.float32)
        weights = weights.to(self.values.device, wide)
        allowed = (weights > 0) & weights.isfinite()
        if weights.shape != self.ids.shape or not bool(allowed.all()):
            found = f"got {int(allowed.sum())} of shape {tuple(weights.shape)}"
            raise InputError("weights", f"must hold one finite number above 0 per anchor, {len(self)} ({found})")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "id", self.id or digest(self.ids, self.values, self.mean, weights)[:16])

    @classmethod
    def from_embeddings(
        cls,
        z: Tensor,
        data: Data | NodeStorage,
        *,
        center_over: Tensor | None = None,
        fingerprint: str | None = None,
    ) -> AnchorSet:
        """Publish a space: the rows of the anchors that ``data`` carries, and the mean of all rows.

        Args:
            z: Embeddings of all nodes, shape ``(N, F)``; they are detached.
            data: Graph with anchors and their weights (:class:`relgraph.AddAnchors`), of one node type or of several,
                or the storage of one node type.
            center_over: Rows of ``z`` whose mean is the center, a mask ``(N,)`` or row numbers; by default all. On a
                graph that has grown, the rows of the old nodes keep the center comparable to that of the other run.
            fingerprint: Of the graph, if it is known already or ``data`` is a part of it; by default it is computed
                (empty for a node type of a heterogeneous graph).

        Raises:
            InputError: If ``z`` is not finite or has not one row per node, ``data`` has no anchors or repeated ids, or
                ``center_over`` names no row or a missing one.

        Example:
            >>> from torch_geometric.data import Data
            >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3, num_anchors=1)
            >>> data.anchor_rank = torch.tensor([-1, -1, 0])
            >>> anchors = AnchorSet.from_embeddings(torch.tensor([[0.0], [1.0], [5.0]]), data)
            >>> anchors.ids, anchors.embeddings, anchors.center
            (tensor([2]), tensor([[5.]]), tensor([2.]))
        """
        z, data = check_rows("z", z), anchored_nodes(data)
        if z.size(0) != num_nodes(data):
            raise InputError(
                "z",
                f"must hold one row per node (got {z.size(0)} rows for {num_nodes(data)} nodes); "
                "encode the graph that is passed as 'data'",
            )
        if fingerprint is None:
            fingerprint = graph_fingerprint(data) if hasattr(data, "edge_index") else ""
        rows, ids, weights = anchor_index(data), node_ids(data), data.get("anchor_weight")
        if (repeated := repeated_id(ids[rows])) is not None:
            name = "node_id" if data.get("node_id") is not None else "n_id"
            found = f"got {repeated} for several anchors"
            raise InputError(name, f"must not repeat an id ({found}); give every node of the graph an id of its own")
        if weights is not None:
            if weights.shape != (len(z),):
                found = f"(got shape {tuple(weights.shape)} for {len(z)} nodes); apply relgraph.AddAnchors again"
                raise InputError("anchor_weight", f"must hold one number per node {found}")
            weights = weights[rows]
        return cls._of(z, rows, ids, center_over, fingerprint, weights)

    @classmethod
    def from_rows(
        cls,
        z: Tensor,
        rows: Tensor,
        *,
        ids: Tensor | None = None,
        center_over: Tensor | None = None,
        fingerprint: str = "",
        weights: Tensor | None = None,
    ) -> AnchorSet:
        """Publish a space without a graph: these rows of ``z`` are the anchors.

        Args:
            z: Embeddings of all rows, shape ``(N, F)``; they are detached.
            rows: Row numbers of the anchors, shape ``(K,)``.
            ids: Stable ids of all rows of ``z``, shape ``(N,)``; by default the row numbers.
            center_over: As in :meth:`from_embeddings`.
            fingerprint: Of the graph or the dataset; empty if unknown.
            weights: As of :class:`AnchorSet`.

        Raises:
            InputError: If ``z`` is not finite, a row is missing or repeated, or ``ids`` do not fit.

        Example:
            >>> AnchorSet.from_rows(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([2, 0])).embeddings
            tensor([[5.],
                    [0.]])
        """
        z = check_rows("z", z)
        count = z.size(0)
        ids = torch.arange(count) if ids is None else integer_ids(ids)
        if ids.shape != (count,):
            raise InputError("ids", f"must have shape ({count},), one id per row of 'z' (got {tuple(ids.shape)})")
        return cls._of(z, row_numbers("rows", rows, count), ids, center_over, fingerprint, weights)

    @classmethod
    def _of(
        cls,
        z: Tensor,
        rows: Tensor,
        ids: Tensor,
        center_over: Tensor | None,
        fingerprint: str,
        weights: Tensor | None,
    ) -> AnchorSet:
        z = z.detach()
        wide = torch.float32 if z.device.type == "mps" else torch.float64  # that device has no double precision
        averaged = z if center_over is None else z[row_numbers("center_over", center_over, z.size(0)).to(z.device)]
        center = averaged.mean(dim=0, dtype=wide).to(z.dtype)
        return cls(ids[rows.to(ids.device)], z[rows.to(z.device)], center, fingerprint, weights=weights)

    @property
    def embeddings(self) -> Tensor:
        """Embeddings of the anchors, shape ``(K, F)``."""
        return self.values

    @property
    def center(self) -> Tensor:
        """Mean of the embeddings of all rows, shape ``(F,)``."""
        return self.mean

    @property
    def num_features(self) -> int:
        """Dimensions of the space, ``F``."""
        return self.values.size(1)

    def take(self, ids: Tensor) -> Self:
        """A copy with only these anchors, in this order, and with another id; see :meth:`AnchorValues.take`."""
        return super().take(ids)._changed(id="")

    def __repr__(self) -> str:
        graph = self.fingerprint or "unknown"
        return f"AnchorSet({len(self)} anchors, {self.num_features} features, graph {graph}, id {self.id})"


@dataclass(frozen=True, eq=False, repr=False, init=False)
class PublishedHead(AnchorValues):
    """A published head: its outputs on the anchors of its own space, and their mean over all rows.

    Args:
        ids: Stable ids of the anchors, shape ``(K,)``, integers without repeats.
        outputs: The head's outputs on its own run's embeddings of the anchors, shape ``(K, C)``, finite.
        mean: Mean of the head's outputs over all rows, shape ``(C,)``.
        mode: What the outputs are: ``"multiclass"`` (logits of a softmax), ``"multilabel"`` (a logit of a sigmoid for
            each label), or ``"regression"`` (the values themselves).
        mean_from: How the mean was computed: ``"center"`` (the outputs at the center, exact for a linear head),
            ``"run-embeddings"`` (over all embeddings), or ``"anchors"`` (over the anchors, the roughest).
        fingerprint: Of the graph; empty if unknown.
        anchor_set: Id of the :class:`relgraph.AnchorSet` that it was published from; empty if unknown.

    Raises:
        InputError: If shapes or types do not fit, a literal is unknown, an id is repeated, or a number is not finite.

    Example:
        >>> PublishedHead(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2))
        PublishedHead(2 anchors, 2 outputs, multiclass, mean from center, graph unknown, anchor set unknown)
    """

    _kind = "relgraph.head/2"
    _names = ("outputs", "mean")
    _header = ("mode", "mean_from", "fingerprint", "anchor_set")
    mode: Mode
    mean_from: MeanFrom
    anchor_set: str

    def __init__(
        self,
        ids: Tensor,
        outputs: Tensor,
        mean: Tensor,
        mode: Mode = "multiclass",
        mean_from: MeanFrom = "center",
        fingerprint: str = "",
        anchor_set: str = "",
    ) -> None:
        if mean_from not in get_args(MeanFrom):
            raise unknown_name("mean_from", mean_from, get_args(MeanFrom))
        object.__setattr__(self, "mode", check_mode(mode))
        object.__setattr__(self, "mean_from", mean_from)
        object.__setattr__(self, "anchor_set", anchor_set)
        super().__init__(ids, outputs, mean, fingerprint)

    @property
    def outputs(self) -> Tensor:
        """Outputs on the anchors, shape ``(K, C)``."""
        return self.values

    def __repr__(self) -> str:
        return (
            f"PublishedHead({len(self)} anchors, {self.values.size(1)} outputs, {self.mode}, mean from "
            f"{self.mean_from}, graph {self.fingerprint or 'unknown'}, anchor set {self.anchor_set or 'unknown'})"
        )


def checked_ids(ids: Any) -> Tensor:
    """Ids as an int64 tensor ``(K,)``; an error if there are none, or they are repeated or no integers."""
    found = integer_ids(ids).to(torch.int64)
    if found.dim() != 1 or found.numel() == 0:
        raise InputError("ids", f"must list at least one integer (got shape {tuple(found.shape)}); pass ids (K,)")
    if (repeated := repeated_id(found)) is not None:
        raise InputError("ids", f"must not repeat an id (got {repeated} more than once); give every anchor once")
    return found


def check_rows(argument: str, rows: object) -> Tensor:
    """Rows as a tensor; an error if they are no matrix of floating-point numbers, or for the first row not finite."""
    found = as_tensor(argument, rows)
    if found.dim() != 2 or not found.is_floating_point():
        raise InputError(
            argument, f"must be a matrix of floating-point numbers (got {found.dtype} of shape {tuple(found.shape)})"
        )
    bad = (~found.isfinite().all(dim=1)).nonzero().view(-1)
    if bad.numel():
        value = "NaN" if bool(found[bad[0]].isnan().any()) else "infinity"
        raise InputError(argument, f"must hold finite numbers (got {value} in row {int(bad[0])}); check the training")
    if found.dtype == torch.float64 and found.numel() and float(found.abs().amax()) > LARGEST:
        raise InputError(argument, f"must hold numbers below {LARGEST:g} (got a larger one); rescale them")
    return found


def shortened(ids: list[int], most: int = 5) -> str:
    """The first few of some ids, and the number of the others."""
    shown = ", ".join(map(str, ids[:most]))
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most} more"
