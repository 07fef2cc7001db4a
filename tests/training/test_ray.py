"""Runs as tasks of Ray: the same as in process, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors import safe_open

import relgraph as rg
from relgraph.cli import main
from relgraph.errors import InputError
from relgraph.nn.encoders import GCNEncoder
from relgraph.registry import ENCODERS
from relgraph.stitching import StitchSettings, run_experiment
from relgraph.training import RayExecutor, TrainSettings, fit_many
from tests.handmade import molecules
from tests.training.graphs import clusters

pytestmark = pytest.mark.slow

QUICK = TrainSettings(epochs=3)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayExecutor]:
    """A cluster of this machine; a run is the same to the last bit where it has as many threads."""
    pytest.importorskip("ray")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with RayExecutor() as executor:
        yield executor
    torch.set_num_threads(threads)


def contents(folder: Path) -> dict[str, dict[str, bytes]]:
    """Tensors and history of all files, by name; what differs is the time that training took."""
    found = {}
    for path in folder.iterdir():
        with safe_open(path, framework="pt") as file:
            run = json.loads(file.metadata()["run"])
            del run["seconds"]
            found[path.name] = {key: file.get_tensor(key).numpy().tobytes() for key in file.keys()}  # noqa: SIM118
            found[path.name]["run"] = json.dumps(run).encode()
    return found


def workers() -> list[psutil.Process]:
    """Workers that train a run now."""
    found = psutil.Process().children(recursive=True)
    return [process for process in found if process.name().startswith("ray::") and "-" in process.name()]


def test_a_study_and_its_checkpoints_are_those_of_one_process(cluster: RayExecutor, tmp_path: Path) -> None:
    studies = []
    for executor, folder in (("local", tmp_path / "a"), (cluster, tmp_path / "b")):
        done: list[tuple[int, int]] = []
        options: dict[str, Any] = {"epochs": 20, "cache": folder, "executor": executor, "sources": 2, "remedies": True}
        options["progress"] = lambda stage, epochs, total, done=done: stage == "train" and done.append((epochs, total))
        studies.append(rg.stability(rg.load_dataset("digits"), ("gcn", "gat"), 3, **options).to_json())
        assert {total for _, total in done} == {120} and sum(epochs for epochs, _ in done) == 120
    assert studies[0] == studies[1]
    assert contents(tmp_path / "a") == contents(tmp_path / "b") and len(contents(tmp_path / "a")) > 6


def test_stitched_predictions_are_those_of_one_process(cluster: RayExecutor, tmp_path: Path) -> None:
    asked = StitchSettings(("gcn",), (0, 1), ("absolute", "relative-cosine", "ridge"), num_anchors=16, epochs=5)
    found = [
        run_experiment(rg.load_dataset("digits"), asked, cache=tmp_path / name, executor=executor)
        for name, executor in (("a", "local"), ("b", cluster))
    ]
    assert np.array_equal(found[0].own, found[1].own)
    for name in found[0].methods:
        assert np.array_equal(found[0].stitched[name].outputs, found[1].stitched[name].outputs)


@pytest.mark.parametrize(("backend", "data", "encoder"), [("sparse", clusters, "sage"), ("loop", molecules, "gin")])
def test_every_backend_trains_in_a_worker(cluster: RayExecutor, backend: Any, data: Any, encoder: str) -> None:
    settings = TrainSettings(epochs=2, hidden_channels=8, input_dropout=0.0)
    here, there = (
        fit_many(data(), encoder, [0, 5], settings=settings, backend=backend, executor=executor)
        for executor in ("local", cluster)
    )
    for one, other in zip(here, there, strict=True):
        assert (one.backend, one.seed, one.history) == (other.backend, other.seed, other.history)
        state = other.model.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in one.model.state_dict().items())


def test_a_worker_that_is_killed_loses_only_its_run(cluster: RayExecutor, tmp_path: Path) -> None:
    data, settings, killed = rg.load_dataset("digits"), TrainSettings(epochs=200, patience=None), []

    def kill(epochs: int) -> None:
        if not killed and (found := workers()):  # in the middle: epochs are counted, no run is finished
            assert not list(tmp_path.joinpath("b").iterdir())
            found[0].send_signal(signal.SIGKILL)
            killed.append(found[0].pid)

    fit_many(data, "gcn", range(3), settings=settings, cache=tmp_path / "a")
    done: list[int] = []
    options: dict[str, Any] = {"progress": lambda epochs: (done.append(epochs), kill(epochs))}
    fit_many(data, "gcn", range(3), settings=settings, cache=tmp_path / "b", executor=cluster, **options)
    assert killed and not psutil.pid_exists(killed[0])
    assert sum(done) == 600
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_an_interrupted_study_keeps_what_is_finished(cluster: RayExecutor, tmp_path: Path) -> None:
    def stop(stage: str, epochs: int, total: int) -> None:
        if list(tmp_path.iterdir()):
            raise KeyboardInterrupt

    options: dict[str, Any] = {"epochs": 5, "cache": tmp_path, "executor": cluster}
    with pytest.raises(KeyboardInterrupt):
        rg.stability(rg.load_dataset("digits"), "gcn", 6, progress=stop, **options)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert 0 < len(kept) < 6
    rg.stability(rg.load_dataset("digits"), "gcn", 6, **options)
    assert len(list(tmp_path.iterdir())) == 6 and all(path.stat().st_mtime_ns == kept[path] for path in kept)


def test_an_encoder_of_a_script_is_sent_and_its_error_is_one_sentence(cluster: RayExecutor) -> None:
    class Mine(GCNEncoder):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            if self.training and self.out_channels == 8:
                raise InputError("hidden_channels", f"must not be 8 (got {os.getpid()})")
            return super().forward(*args, **kwargs)

    ENCODERS.register("mine", Mine, "an encoder of the test")
    try:
        here, there = (fit_many(clusters(), "mine", [1], settings=QUICK, executor=one)[0] for one in ("local", cluster))
        assert torch.equal(here.model.head.weight, there.model.head.weight) and type(there.model.encoder) is Mine
        with pytest.raises(InputError, match=r"^'hidden_channels' must not be 8 \(got \d+\)$") as caught:
            fit_many(clusters(), "mine", [0, 1], settings=TrainSettings(epochs=2, hidden_channels=8), executor=cluster)
        assert str(os.getpid()) not in str(caught.value) and caught.value.__suppress_context__
    finally:
        ENCODERS.remove("mine")


def test_more_cpus_than_a_node_has_are_refused(cluster: RayExecutor) -> None:
    with pytest.raises(InputError, match=r"'cpus' must be at most \d+, those of the largest node \(got 5000\)"):
        fit_many(clusters(), "gcn", [0], settings=QUICK, executor=RayExecutor(cpus=5000))


def test_the_command_prints_the_same_document(
    cluster: RayExecutor, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    for place in ("local", "ray"):
        monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path / place))
        command = ["stability", "--seeds", "2", "--epochs", "3", "--device", "cpu", "--json", "-", "--executor", place]
        assert main(command) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] and "executor" not in json.loads(shown[0])["command"]
    assert sys.getsizeof(shown[0]) > 1000
