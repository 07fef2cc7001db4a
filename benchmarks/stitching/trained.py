"""Trained runs, kept on disk: every benchmark here reads the same ones, and none is trained twice.

    python benchmarks/stitching/trained.py --data-root DIR [--datasets cora ...] [--encoders gcn ...]

trains ahead what the other scripts would train when they need it. A run is one file in ``--cache``: the parameters, the
embeddings of all nodes, and the accuracy on validation nodes of the epoch that was kept.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from cases import graph
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import relgraph as rg
from relgraph.nn.encoders import make_encoder
from relgraph.training import TrainSettings, fit_many

CACHE = Path("runs") / "trained"


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model, its embeddings of all nodes of its graph ``(N, F)``, and how good it was on validation."""

    encoder: str
    seed: int
    z: Tensor
    model: rg.Model
    validation: float
    seconds: float

    @property
    def head(self) -> nn.Linear:
        """The model's head."""
        return self.model.head


def trained(data, name, encoder, seeds, cache=CACHE, *, hidden=64, layers=2, device="cpu"):
    """The runs of an encoder on a graph, from disk where they are there.

    Args:
        data: The graph, its masks and its labels.
        name: What the graph, its masks and its labels are called; a run is known by it.
        encoder: Name of the encoder.
        seeds: One run for each.
        cache: Folder of the runs.
        hidden: Hidden channels.
        layers: Layers, of encoders that can have more than two.
        device: Where what is missing is trained; the files do not depend on it, the numbers in them do.
    """
    cache.mkdir(parents=True, exist_ok=True)
    deep = {} if layers == 2 else {"num_layers": layers}
    shape = f"{encoder}-{hidden}" + (f"-{layers}" if deep else "")
    files = {seed: cache / f"{name}-{shape}-{seed}.safetensors" for seed in seeds}
    missing = [seed for seed in seeds if not files[seed].exists()]
    together = encoder in ("gcn", "sage") and not deep  # trained side by side; others one by one, each kept at once
    for group in [missing] if together and missing else [[seed] for seed in missing]:
        with torch.enable_grad():  # whatever the caller measures without
            runs = fit_many(
                data.clone().to(device), encoder, group, settings=TrainSettings(hidden_channels=hidden, **deep)
            )
        for run in runs:
            save(run, data, files[run.seed])
    return [load(files[seed], data, encoder, seed, {"hidden_channels": hidden, **deep}) for seed in seeds]


def save(run, data, path):
    """Write a run whole, then give it its name."""
    device = str(next(run.model.parameters()).device)
    run.model.cpu()
    tensors = {f"model.{name}": value.contiguous() for name, value in run.model.state_dict().items()}
    tensors["z"] = run.model.encode(data).contiguous()
    tensors["figures"] = torch.tensor([run.validation, run.seconds], dtype=torch.float64)
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata={"trained_on": device})
    part.replace(path)


def load(path, data, encoder, seed, options):
    """Read a run."""
    tensors = load_file(path)
    state = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    outputs, width = state["head.weight"].shape
    model = rg.Model(make_encoder(encoder, data.num_features, **options), nn.Linear(width, outputs))
    model.load_state_dict(state)
    return Trained(encoder, seed, tensors["z"], model.eval().requires_grad_(False), *tensors["figures"].tolist())


def main():
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--datasets", nargs="+", default=["cora", "citeseer", "pubmed"])
    parser.add_argument("--encoders", nargs="+", default=["gcn", "sage", "gcn2", "gin", "gat"])
    parser.add_argument("--hidden", nargs="+", type=int, default=[64])
    parser.add_argument("--layers", nargs="+", type=int, default=[2])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.datasets:  # photo-split3 is Photo with its fourth random split
        plain, _, split = name.partition("-split")
        data = graph(plain, args.data_root, int(split or 0))
        for encoder in args.encoders:
            for shape in [(hidden, layers) for hidden in args.hidden for layers in args.layers]:
                start = time.perf_counter()
                runs = trained(
                    data, name, encoder, range(args.seeds), args.cache,
                    hidden=shape[0], layers=shape[1], device=args.device,
                )  # fmt: skip
                mean = sum(run.validation for run in runs) / len(runs)
                spent = time.perf_counter() - start
                print(f"{name} {encoder} {shape}: validation {mean:.3f}, {spent:.0f} s", flush=True)


if __name__ == "__main__":
    main()
