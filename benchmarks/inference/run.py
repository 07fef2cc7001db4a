"""What does serving a relative head cost? The folded head against an absolute one and against projecting first.

    python benchmarks/inference/run.py [--device cuda]

Every contender maps the same embeddings ``(N, F)`` to the same logits ``(N, C)``, which is checked; cosine similarity,
float32, one thread. Writes ``results.json`` beside this file; cases of another device that stand there are kept.
"""

from __future__ import annotations

import argparse
import json
import operator
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import relgraph as rg

try:
    from latentis.transform.projection import cosine_proj, relative_projection
except (ImportError, RuntimeError):  # not installed, or installed beside packages that it cannot load
    relative_projection = None

HERE = Path(__file__).parent
CLASSES = 40
TURNS = {10_000: 21, 100_000: 11, 1_000_000: 5}
LASTS = 0.1  # seconds of calls in one turn, at least one
GIB = 2**30
SPEEDUP = {(64, 512): 12, (256, 512): 8}
COMPARE = {"<=": operator.le, ">=": operator.ge}


def contenders(z, num_anchors):
    """Name to a call that gives the logits; what could be prepared once is prepared here."""
    generator = torch.Generator().manual_seed(1)
    anchors = torch.randn(num_anchors, z.size(1), generator=generator).to(z)
    head = nn.Linear(num_anchors, CLASSES).to(z).requires_grad_(False)
    layer = rg.RelativeLayer("cosine")
    folded = rg.fold(head, layer, anchors)
    # An absolute head with the folded weights, so that its logits are the same and can be compared.
    absolute = nn.Linear(z.size(1), CLASSES).to(z).requires_grad_(False)
    absolute.weight.copy_(folded.weight.T)
    absolute.bias.copy_(folded.bias)
    units, unit_anchors = F.normalize(z), F.normalize(anchors)
    calls = {
        "absolute": lambda: absolute(F.normalize(z)),
        "absolute_units": lambda: absolute(units),
        "folded": lambda: folded(z),
        "project": lambda: head(F.normalize(z) @ unit_anchors.T),
        "layer": lambda: head(layer(z, anchors=anchors)),
    }
    if relative_projection is not None:
        calls["latentis"] = lambda: head(relative_projection(z, anchors=anchors, projection_fn=cosine_proj))
    return calls


def contest(num_nodes, width, num_anchors, device, limit):
    """Medians of all contenders on one problem, taken in turns that start with another one each time."""
    z = torch.randn(num_nodes, width, generator=torch.Generator().manual_seed(0)).to(device)
    calls = contenders(z, num_anchors)
    # Embeddings, the copy of unit length that is kept, the one that is made, relative vectors, and logits.
    need = 4 * num_nodes * (3 * width + num_anchors + CLASSES)
    skipped = [name for name in ("project", "layer", "latentis") if name in calls and need > limit]
    calls = {name: call for name, call in calls.items() if name not in skipped}
    reference = calls["folded"]()
    gap = max(float((call() - reference).abs().max() / reference.abs().max()) for call in calls.values())
    if not gap < 1e-4:
        raise SystemExit(f"contenders differ by {gap:.1e} of the largest logit")
    seconds, wall = {name: [] for name in calls}, {name: [] for name in calls}
    names = list(calls)
    for turn in range(TURNS[num_nodes]):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            spent, passed = timed(calls[name], device)
            seconds[name].append(spent)
            wall[name].append(passed)
    peak = {name: peak_memory(call, device) for name, call in calls.items()}
    milliseconds = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
    return {
        "nodes": num_nodes, "width": width, "anchors": num_anchors, "classes": CLASSES, "device": device.type,
        "ms": milliseconds,
        "wall_ms": {name: 1000 * statistics.median(values) for name, values in wall.items()},
        "peak_bytes": peak, "largest_difference": gap, "skipped": skipped,
    }  # fmt: skip


def timed(call, device):
    """Seconds of a call, one of several: of this process's own work on a CPU, which others may share; and by the clock.

    The first call of a turn is not counted: it meets the caches as the contender before left them.
    """
    clock = time.perf_counter()
    call()
    synchronize(device)
    count = max(1, round(LASTS / (time.perf_counter() - clock)))
    clock, own = time.perf_counter(), time.process_time()
    for _ in range(count):
        call()
    synchronize(device)
    passed = (time.perf_counter() - clock) / count
    return (time.process_time() - own) / count if device.type == "cpu" else passed, passed


def synchronize(device):
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(call, device):
    """Most bytes that a call holds at once beyond its input, the logits among them, as the allocator counts them."""
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


def targets(cases):
    """What was wanted of one thread of a processor, what came out, and whether it is enough."""
    rows = []
    for case in [case for case in cases if case["device"] == "cpu"]:
        what = f"{case['device']}, N={case['nodes']:,}, F={case['width']}, K={case['anchors']}"
        ms = case["ms"]
        rows.append((f"{what}: folded time over absolute", ms["folded"] / ms["absolute"], "<=", 1.10))
        if (case["width"], case["anchors"]) in SPEEDUP and "project" in ms:
            wanted = SPEEDUP[case["width"], case["anchors"]]
            rows.append((f"{what}: project-then-head time over folded", ms["project"] / ms["folded"], ">=", wanted))
        own = 4 * case["nodes"] * (case["classes"] + 3)
        rows.append((f"{what}: folded memory over N (C + 3) floats", case["peak_bytes"]["folded"] / own, "<=", 1.05))
    return [
        {"what": what, "got": got, "rule": rule, "wanted": wanted, "met": bool(COMPARE[rule](got, wanted))}
        for what, got, rule, wanted in rows
    ]


def main():
    """Run the contest and write ``results.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--nodes", nargs="+", type=int, default=list(TURNS), choices=TURNS)
    parser.add_argument("--memory", type=float, default=8, help="GiB; contenders that need more are left out")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = torch.device(args.device)
    before = json.loads(args.out.read_text()) if args.out.exists() else {"cases": [], "made_with": {}}
    cases = [case for case in before["cases"] if case["device"] != device.type or case["nodes"] not in args.nodes]
    with torch.inference_mode():
        for num_nodes in args.nodes:
            for width in (64, 256):
                for num_anchors in (128, 512):
                    cases.append(contest(num_nodes, width, num_anchors, device, args.memory * GIB))
                    print(json.dumps(cases[-1]), flush=True)
    cases.sort(key=lambda case: (case["device"], case["nodes"], case["width"], case["anchors"]))
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "relgraph": rg.__version__,
    }
    if device.type == "cuda":
        versions["gpu"] = torch.cuda.get_device_name(device)
    if relative_projection is not None:
        versions["latentis"] = version("latentis")
    document = {
        "command": "python benchmarks/inference/run.py",
        "threads": 1, "memory_gib": args.memory,
        "targets": targets(cases), "cases": cases, "made_with": before["made_with"] | {device.type: versions},
    }  # fmt: skip
    for row in document["targets"]:
        print(f"{'met   ' if row['met'] else 'MISSED'} {row['what']}: {row['got']:.3f} {row['rule']} {row['wanted']}")
    args.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
