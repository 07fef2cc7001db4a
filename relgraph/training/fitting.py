"""From a graph and a seed to a trained model: builds, chooses the path, trains."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from relgraph.conversion import evaluating
from relgraph.errors import InputError, unknown_name
from relgraph.graph import anchor_index, num_nodes
from relgraph.nn.encoders import ENCODERS, make_encoder
from relgraph.nn.model import Model, RelativeModel, call_encoder
from relgraph.nn.relative import RelativeLayer
from relgraph.training.loop import train_loop
from relgraph.training.memory import runs_that_fit
from relgraph.training.protocols import apply_protocol, has_masks, labels, num_classes
from relgraph.training.settings import TrainedRun, TrainSettings
from relgraph.training.stacked import can_stack, train_stacked
from relgraph.training.whole_graph import LARGE, WholeGraph, can_see_whole

if TYPE_CHECKING:
    from torch_geometric.data import Data

Head = Literal["linear", "relative-cosine"]
EncoderLike = str | nn.Module | Callable[[], nn.Module]


def fit(data: Data, encoder: EncoderLike = "gcn", *, seed: int = 0, head: Head = "linear", **settings: Any) -> Model:
    """Train one node classifier on a graph and return it in evaluation mode.

    The epoch of highest validation accuracy is kept. A graph without masks is split at random, the same way at every
    call (20 nodes of each class for training, 30 for validation).

    Args:
        data: The graph, with features ``x`` ``(N, D)`` and labels ``y`` ``(N,)``.
        encoder: Name of an encoder, a module from ``(x, edge_index)`` to ``(N, F)`` (a copy of it is trained,
            re-initialised if it has ``reset_parameters``), or a function that makes one.
        seed: Seed of initialisation and dropout. The global generator is left as it was.
        head: ``"linear"`` on the embeddings, or ``"relative-cosine"``, linear on their cosines with the graph's
            anchors (:class:`relgraph.AddAnchors`), the anchors embedded anew at each step.
        **settings: Fields of :class:`~relgraph.training.TrainSettings`, such as ``epochs`` and ``lr``.

    Raises:
        InputError: If an argument breaks a rule, or labels are missing.
        DataError: If the graph does not fit in memory as one batch.

    Example:
        >>> import relgraph as rg
        >>> data = rg.load_dataset("digits")
        >>> model = rg.fit(data, "gcn", seed=0, epochs=5)
        >>> model.encode(data).shape
        torch.Size([1797, 64])
    """
    known = inspect.signature(TrainSettings).parameters
    for name in settings:
        if name not in known:
            raise unknown_name("settings", name, known)
    return fit_many(data, encoder, [seed], head=head, settings=TrainSettings(**settings))[0].model


def fit_many(
    data: Data,
    encoder: EncoderLike = "gcn",
    seeds: Sequence[int] = range(5),
    *,
    head: Head = "linear",
    settings: TrainSettings | None = None,
    path: Literal["auto", "whole", "loop"] = "auto",
    progress: Callable[[int], None] | None = None,
    finished: Callable[[TrainedRun], None] | None = None,
) -> list[TrainedRun]:
    """Train the same model from several seeds; each comes out as if it had been trained alone.

    Args:
        data: As in :func:`fit`.
        encoder: As in :func:`fit`.
        seeds: One run for each.
        head: As in :func:`fit`.
        settings: Settings of all runs.
        path: ``"auto"`` trains side by side what can be (GCN and GraphSAGE of two layers with a linear or
            relative-cosine head), GCN and GraphSAGE of any depth on a graph of 50,000 nodes and more one after
            the other by :class:`~relgraph.training.whole_graph.WholeGraph`, and everything else in the plain loop.
            ``"whole"`` and ``"loop"`` force that.
        progress: Called with the number of epochs done since the last call, summed over the runs.
        finished: Called with each run as soon as it is trained.

    Returns:
        The runs in the order of ``seeds``; each says by which path it was trained.
    """
    settings = settings or TrainSettings()
    seeds = list(seeds)
    if not seeds:
        raise InputError("seeds", "must name at least one seed (got none)")
    if not has_masks(data):
        data, _ = apply_protocol(data, "random")
    _check(data)
    name = encoder if isinstance(encoder, str) else type(encoder).__name__ if isinstance(encoder, nn.Module) else ""
    models = [build(data, encoder, seed, head, settings) for seed in seeds]
    name = name or type(models[0].encoder).__name__
    able = can_see_whole(models[0].encoder)
    if path == "whole" and not able:
        raise InputError(
            "path",
            f"must be 'auto' or 'loop' for the encoder '{name}' (got 'whole'); GCN and GraphSAGE can be trained so",
        )
    whole = path == "whole" or (path == "auto" and able and num_nodes(data) >= LARGE)
    if path == "auto" and not whole and can_stack(models[0]):
        runs: list[TrainedRun] = []
        size = runs_that_fit(data, settings, stacked=True)
        for start in range(0, len(models), size):
            part = slice(start, start + size)
            trained = train_stacked(models[part], data, seeds[part], settings, name, progress)
            for run in trained if finished is not None else ():
                finished(run)
            runs += trained
        return runs
    runs_that_fit(data, settings, stacked=whole)
    graph = WholeGraph(data) if whole else None
    runs = []
    for model, seed in zip(models, seeds, strict=True):
        with seeded(seed, data.x.device):
            runs.append(train_loop(model, data, seed, settings, name, progress, graph))
        if finished is not None:
            finished(runs[-1])
    return runs


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside, and put them back as they were after."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def build(data: Data, encoder: EncoderLike, seed: int, head: Head, settings: TrainSettings) -> Model:
    """A model as training starts from it, its weights drawn from the seed."""
    if isinstance(encoder, str) and encoder not in ENCODERS:
        raise unknown_name("encoder", encoder, ENCODERS)
    if head not in ("linear", "relative-cosine"):
        raise unknown_name("head", head, ("linear", "relative-cosine"))
    if not isinstance(encoder, str) and settings.num_layers is not None:
        raise InputError(
            "num_layers",
            f"must be left out for an encoder of your own (got {settings.num_layers}); build it as deep as it shall be",
        )
    device = data.x.device
    with seeded(seed, device):
        module: nn.Module
        if isinstance(encoder, str):
            module = make_encoder(
                encoder,
                data.x.size(1),
                num_layers=settings.num_layers,
                hidden_channels=settings.hidden_channels,
                dropout=settings.dropout,
                input_dropout=settings.input_dropout,
            )
        elif isinstance(encoder, nn.Module):
            module = copy.deepcopy(encoder)
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
        else:
            module = encoder()
        module = module.to(device)
        width = _width(module, data)
        classes = num_classes(data)
        if head == "linear":
            return Model(module, nn.Linear(width, classes).to(device))
        layer = RelativeLayer("cosine")
        return RelativeModel(module, layer, nn.Linear(anchor_index(data).numel(), classes).to(device))


def _width(encoder: nn.Module, data: Data) -> int:
    """Width of the representation: what the encoder says, or what a forward pass shows."""
    said = getattr(encoder, "out_channels", None)
    if type(encoder) in ENCODERS.values() and isinstance(said, int):
        return said
    with evaluating(encoder):
        z = call_encoder(encoder, data)
    if z.dim() != 2 or z.size(0) != data.num_nodes:
        raise InputError(
            "encoder", f"must return one embedding per node, ({data.num_nodes}, F) (got shape {tuple(z.shape)})"
        )
    return z.size(1)


def _check(data: Data) -> None:
    if data.x is None or data.edge_index is None:
        raise InputError("data", "must have features 'x' and edges 'edge_index' (one of them is missing)")
    _check_features(data.x)
    y = labels(data)
    for name in ("train_mask", "val_mask"):
        if not bool((data[name] & (y >= 0)).any()):
            raise InputError(name, "must mark at least one labelled node (got none)")


def _check_features(x: Tensor) -> None:
    """Refuse features that are not finite, which would make every weight NaN, and name the first row."""
    if x.layout != torch.strided or not x.is_floating_point():
        return
    done = 0
    for part in torch.split(x, max(1, (1 << 22) // max(1, x[:1].numel()))):
        finite = part.isfinite()
        if not bool(finite.all()):
            row = int((~finite).nonzero()[0, 0])
            what = "NaN" if bool(part[row].isnan().any()) else "infinity"
            raise InputError(
                "data", f"must have finite features 'x' (got {what} in row {done + row}); fill it in or drop the node"
            )
        done += len(part)
