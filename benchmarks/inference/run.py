"""Cost of a folded relative head, of an absolute head, and of projecting on the anchors first.

    python -m benchmarks.inference.run [--device cuda]

Every contender maps the same embeddings ``(N, F)`` to the same logits ``(N, C)``, which is checked; cosine similarity,
float32, one thread. Times of a CPU are times of the process, which other processes may share.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import relgraph as rg
from benchmarks.study import Row, Study

try:
    from latentis.transform.projection import cosine_proj, relative_projection
except (ImportError, RuntimeError):  # not installed, or installed beside packages that it cannot load
    relative_projection = None

CLASSES = 40
TURNS = {10_000: 21, 100_000: 11, 1_000_000: 5}
TURN_SECONDS = 0.1
Calls = dict[str, Callable[[], Tensor]]


def contenders(z: Tensor, num_anchors: int) -> Calls:
    """Calls that give the logits; everything that can be prepared once is prepared here."""
    anchors = torch.randn(num_anchors, z.size(1), generator=torch.Generator().manual_seed(1)).to(z)
    head = nn.Linear(num_anchors, CLASSES).to(z).requires_grad_(False)
    layer = rg.RelativeLayer("cosine")
    folded = rg.fold(head, layer, anchors)
    # An absolute head with the folded weights gives the same logits, which can be compared.
    absolute = nn.Linear(z.size(1), CLASSES).to(z).requires_grad_(False)
    absolute.weight.copy_(folded.weight.T)
    absolute.bias.copy_(folded.bias)
    units, unit_anchors = F.normalize(z), F.normalize(anchors)
    calls: Calls = {
        "absolute": lambda: absolute(F.normalize(z)),
        "absolute-units": lambda: absolute(units),
        "folded": lambda: folded(z),
        "project": lambda: head(F.normalize(z) @ unit_anchors.T),
        "layer": lambda: head(layer(z, anchors=anchors)),
    }
    if relative_projection is not None:
        calls["latentis"] = lambda: head(relative_projection(z, anchors=anchors, projection_fn=cosine_proj))
    return calls


@torch.inference_mode()
def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Medians over turns that start with another contender each time, and peak memory."""
    torch.manual_seed(0)
    num_nodes, width, num_anchors = cell["nodes"], cell["width"], cell["anchors"]
    z = torch.randn(num_nodes, width, generator=torch.Generator().manual_seed(0)).to(cell["device"])
    calls = contenders(z, num_anchors)
    # Embeddings, the copy of unit length that is kept, the one that is made, relative vectors, and logits.
    if 4 * num_nodes * (3 * width + num_anchors + CLASSES) > options.memory * 2**30:
        calls = {name: call for name, call in calls.items() if name not in ("project", "layer", "latentis")}
    reference = calls["folded"]()
    difference = max(float((call() - reference).abs().max() / reference.abs().max()) for call in calls.values())
    if not difference < 1e-4:
        raise SystemExit(f"contenders differ by {difference:.1e} of the largest logit")
    names = list(calls)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for turn in range(options.turns or TURNS[num_nodes]):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(timed(calls[name], z.device))
    for name, call in calls.items():
        own, wall = (1000 * statistics.median(values) for values in zip(*times[name], strict=True))
        peak = peak_memory(call, z.device)
        yield {"contender": name, "ms": own, "wall_ms": wall, "peak_bytes": peak, "largest_difference": difference}


def timed(call: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds per call after one warm-up call: of the process on a CPU, by the clock on a GPU; and by the clock."""
    clock = time.perf_counter()
    call()
    synchronize(device)
    count = max(1, round(TURN_SECONDS / (time.perf_counter() - clock)))
    clock, own = time.perf_counter(), time.process_time()
    for _ in range(count):
        call()
    synchronize(device)
    passed = (time.perf_counter() - clock) / count
    return (time.process_time() - own) / count if device.type == "cpu" else passed, passed


def synchronize(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(call: Callable[[], object], device: torch.device) -> int:
    """Most bytes that a call holds at once beyond its input, by the allocator's count."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


STUDY = Study(
    __file__,
    measure,
    {"device": ("cpu", "cuda"), "nodes": tuple(TURNS), "width": (64, 256), "anchors": (128, 512)},
    settings={"memory": 8.0, "turns": 0},
    needs_data=False,
    default={"device": ("cpu",)},
)

if __name__ == "__main__":
    STUDY.main()
