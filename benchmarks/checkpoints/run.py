"""Checkpoints of plain PyG: states loaded from disk, taken apart, and stitched at the last and at an earlier layer.

    python -m benchmarks.checkpoints.run --data-root DIR

``models.py`` trains every model on Cora with PyG alone. The states are saved (``.pt`` and ``.safetensors`` in turn),
loaded into new modules by ``relgraph.Model.from_checkpoint``, and all ordered pairs of seeds are stitched through 512
random anchors, and those of models that lose by it through 2,048 and after training on every label outside the
validation and test nodes (``labels`` is ``all``, 1,208 in place of 140). Accuracy is on the test nodes; retention is
stitched accuracy over that of the head's own model before it was taken apart. ``probe`` is the accuracy of a logistic
regression with the same labels on the embeddings where the model was cut. Models without a head (GAE, VGAE, Deep Graph
Infomax) get such a regression on the embeddings of their own training nodes.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable, Iterable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch_geometric.data import Data

import relgraph as rg
from benchmarks.checkpoints.models import NAMES, UNSUPERVISED, features_of, make, trained
from benchmarks.study import Row, Study
from relgraph.errors import InputError

# The layer of a cut "last" and of one "earlier"; by default before the last layer, and behind the first.
LOSING = ("gin-none", "pna", "edgecnn", "vgae", "infomax")
HARDEST = ("gin-none", "pna-none", "edgecnn-none", "vgae", "infomax")
LAYERS: dict[str, tuple[int | None, int]] = {"gae": (2, 1), "infomax": (2, 1), "initial-residual": (None, 2)}


def save(model: torch.nn.Module, folder: Path, seed: int) -> Path:
    """The state of a model in one of two formats."""
    path = folder / f"{seed}.{'safetensors' if seed % 2 else 'pt'}"
    (save_file if seed % 2 else torch.save)(model.state_dict(), path)
    return path


def fitted(z: Tensor, data: Data) -> Any:
    """Logistic regression on the training nodes."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(z[data.train_mask].numpy(), data.y[data.train_mask].numpy())


def probe(z: Tensor, data: Data) -> float:
    """Accuracy of logistic regression on embeddings, with the labels of the training nodes."""
    return float(fitted(z, data).score(z[data.test_mask].numpy(), data.y[data.test_mask].numpy()))


def score(name: str, outputs: Tensor, data: Data) -> Callable[[Tensor], float]:
    """Accuracy on the test nodes of outputs of one model, which are classes or embeddings."""
    if name not in UNSUPERVISED:
        return lambda out: float((out.argmax(1) == data.y)[data.test_mask].float().mean())
    head = fitted(outputs, data)
    return lambda out: float(head.score(out[data.test_mask].numpy(), data.y[data.test_mask].numpy()))


@torch.no_grad()
def original(name: str, model: Any, data: Data) -> Tensor:
    """Outputs of a module that has not been taken apart."""
    module = model.encoder if name in UNSUPERVISED else model
    out = module(data.x) if name == "mlp" else module(data.x, data.edge_index)
    return out[0] if isinstance(out, tuple) else out


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures of one model at two layers, or the sentence why it cannot be taken apart."""
    name = cell["model"]
    data = features_of(name, rg.load_dataset("cora", options.data_root))
    if cell["labels"] == "all":
        data.train_mask = ~(data.val_mask | data.test_mask)
    with tempfile.TemporaryDirectory() as folder:
        paths = [save(trained(name, data, seed, options.epochs), Path(folder), seed) for seed in range(options.seeds)]
        for cut, at in zip(("last", "earlier"), LAYERS.get(name, (None, 1)), strict=True):
            row: Row = {"cut": cut}
            try:
                yield row | stitched(name, rg.AddAnchors(cell["anchors"])(data), paths, at)
            except InputError as error:
                yield row | {"result": str(error)}


def stitched(name: str, data: Data, paths: list[Path], at: int | None) -> Row:
    """Accuracy and retention over all ordered pairs of seeds."""
    models, scores, own, probes = [], [], [], []
    for path in paths:
        module = make(name, data).eval()
        models.append(rg.Model.from_checkpoint(module, path, at))
        expected = original(name, module, data)
        out = models[-1].predict(data)
        assert torch.equal(out[0] if isinstance(out, tuple) else out, expected)
        scores.append(score(name, expected, data))
        own.append(scores[-1](expected))
        probes.append(probe(models[-1].embed(data), data))
    mode = "regression" if name in UNSUPERVISED else "multiclass"
    found, kept = [], []
    for i, j in permutations(range(len(models)), 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            out = rg.stitch(models[i], models[j], data, mode=mode).predict(data)
        found.append(scores[j](out[0] if isinstance(out, tuple) else out))
        kept.append(found[-1] / own[j])
    figures = {
        "own": np.mean(own),
        "accuracy": np.mean(found),
        "probe": np.mean(probes),
        "retention": np.mean(kept),
        "retention_worst": min(kept),
    }
    return {"result": "works", "pairs": len(found)} | {key: float(value) for key, value in figures.items()}


def exists(cell: Row) -> bool:
    """512 anchors and public labels; more anchors for models that lose by stitching, more labels for the hardest."""
    if cell["labels"] == "all":
        return cell["model"] in HARDEST
    return cell["anchors"] == 512 or cell["model"].startswith(LOSING)


STUDY = Study(
    __file__,
    measure,
    {"model": NAMES, "labels": ("public", "all"), "anchors": (512, 2048)},
    settings={"seeds": 3, "epochs": 100},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
