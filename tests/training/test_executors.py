"""Executors: what runs in process, and what is refused before Ray is started."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from relgraph.errors import DataError, InputError
from relgraph.problems import make_problem
from relgraph.registry import EXECUTORS
from relgraph.training import LocalExecutor, RayExecutor, TrainSettings, executors, fit_grid, fit_many, open_executor
from relgraph.training.job import RunRecord, RunSpec, SeedPair
from tests.training.graphs import clusters

SETTINGS = TrainSettings(epochs=3)


def test_names_and_objects_are_executors() -> None:
    assert type(open_executor("local")) is LocalExecutor
    mine = LocalExecutor()
    assert open_executor(mine) is mine
    with pytest.raises(InputError, match=r"'executor' must be one of local, ray \(got 'rai'\); did you mean 'ray'"):
        fit_many(clusters(), executor="rai")


def test_a_grid_is_every_encoder_from_every_seed(tmp_path: Path) -> None:
    done: list[int] = []
    runs = fit_grid(clusters(), ["gcn", "mlp"], [4, 2], settings=SETTINGS, cache=tmp_path, progress=done.append)
    assert [(run.encoder, run.seed) for run in runs] == [("gcn", 4), ("gcn", 2), ("mlp", 4), ("mlp", 2)]
    alone = fit_many(clusters(), "mlp", [2], settings=SETTINGS)[0]
    assert torch.equal(alone.model.head.weight, runs[3].model.head.weight)
    assert sum(done) == 12 and len(list(tmp_path.iterdir())) == 4


def test_seeds_share_a_job_only_where_nothing_is_kept_or_lost(tmp_path: Path) -> None:
    class Seen(LocalExecutor):
        def train(self, jobs: Any, progress: Any) -> Any:
            sizes.append([len(job.seeds) for job in jobs])
            return super().train(jobs, progress)

    class Elsewhere(Seen):
        distributed = True

    sizes: list[list[int]] = []
    for executor, cache in ((Seen(), None), (Seen(), tmp_path), (Elsewhere(), None), (Elsewhere(), tmp_path)):
        fit_many(clusters(), "gcn", [0, 1, 2], settings=SETTINGS, executor=executor, cache=cache)
    assert sizes == [[3], [1, 1, 1], [1, 1, 1], []]


def test_jobs_may_finish_in_any_order() -> None:
    class Backwards(LocalExecutor):
        distributed = True

        def train(self, jobs: Any, progress: Any) -> Any:
            yield from reversed(list(super().train(jobs, progress)))

    backwards = fit_grid(clusters(), ["gcn", "mlp"], [0, 1], settings=SETTINGS, executor=Backwards())
    for one, other in zip(backwards, fit_grid(clusters(), ["gcn", "mlp"], [0, 1], settings=SETTINGS), strict=True):
        assert (one.encoder, one.seed) == (other.encoder, other.seed)
        torch.testing.assert_close(one.model.state_dict(), other.model.state_dict(), rtol=0, atol=1e-5)


def test_a_record_is_the_whole_run() -> None:
    problem = make_problem(clusters())
    (run,) = fit_many(problem, "gat", [3], settings=SETTINGS)
    again = RunSpec(problem, "gat", "gat", "linear", SETTINGS, "ensemble").restore(SeedPair(3), RunRecord.of(run))
    assert torch.equal(problem.outputs(again.model, problem.test), problem.outputs(run.model, problem.test))
    for name in ("encoder", "seed", "backend", "best_epoch", "validation", "history", "seconds"):
        assert getattr(again, name) == getattr(run, name)


@pytest.mark.parametrize("address", ["", "cluster", "ray://head:10001", "head:", "head:port", "a b:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"'address' must be auto, local or HOST:PORT of a head node \(got '"):
        RayExecutor(address)


def test_a_run_needs_a_cpu() -> None:
    with pytest.raises(InputError, match=r"'cpus' must be at least 1 \(got 0\)"):
        RayExecutor(cpus=0)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert EXECUTORS.resolve("ray") is RayExecutor
    with pytest.raises(DataError, match=r"'ray' must be installed.*pip install 'relgraph\[ray\]'"):
        fit_many(clusters(), executor="ray")


def test_a_head_node_that_does_not_answer_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nothing else can answer there
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DataError, match=rf"must be reachable \(got '{address}': "), RayExecutor(address):
            pytest.fail("entered")
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(DataError, match=rf"must be reachable \(got '{address}': "), RayExecutor("auto"):
            pytest.fail("entered")


def test_handlers_of_signals_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with executors._signals_kept():
        signal.signal(signal.SIGTERM, lambda *_: None)
    assert signal.getsignal(signal.SIGTERM) is before


def test_progress_of_a_run_that_starts_again_does_not_go_back() -> None:
    counts: list[dict[int, int]] = [{0: 5}, {0: 2, 1: 4}, {0: 7, 1: 4}]
    ray = SimpleNamespace(
        wait=lambda refs, timeout: (refs, []), get=lambda ref: ref, exceptions=SimpleNamespace(RayError=OSError)
    )
    counter = SimpleNamespace(read=SimpleNamespace(remote=lambda: counts.pop(0)))
    told: list[int] = []
    shown = executors._Shown(ray, counter, told.append)
    for _ in range(3):
        shown.update()
    shown.show(0, 10)
    assert told == [5, 4, 5]


def test_a_gpu_is_shared_by_as_many_runs_as_fit() -> None:
    assert [executors.gpu_share(fitting) for fitting in (1, 2, 3, 4, 50)] == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 4]
