"""Checkpoints: read again where nothing changed, trained again where anything did, never half-written."""

from __future__ import annotations

import importlib
import linecache
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from relgraph.errors import DataError, InputError
from relgraph.nn.encoders import GCNEncoder
from relgraph.problems import make_problem
from relgraph.registry import ENCODERS
from relgraph.training import TrainSettings, checkpoints, fit, fit_many
from relgraph.training.checkpoints import code_digest
from relgraph.training.fitting import NotKeptWarning
from relgraph.training.job import RunSpec, SeedPair
from tests.handmade import molecules
from tests.training.graphs import clusters

SETTINGS = TrainSettings(epochs=3)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds that were trained, in order."""
    seeds: list[int] = []
    original = RunSpec.train

    def counted(spec: RunSpec, which: list[SeedPair], progress: Any = None) -> Any:
        seeds.extend(pair.seed for pair in which)
        return original(spec, which, progress)

    monkeypatch.setattr(RunSpec, "train", counted)
    return seeds


def problem(**change: Any) -> Any:
    data = clusters(weighted=True)
    for name, value in change.items():
        data[name] = value
    return make_problem(data).with_anchors(torch.arange(8))


@pytest.mark.parametrize("head", ["linear", "relative-cosine"])
@pytest.mark.parametrize("encoder", ["gcn", "gat"])
def test_a_run_that_is_read_is_the_one_that_was_trained(
    tmp_path: Path, trained: list[int], encoder: str, head: Any
) -> None:
    graph, done = problem(), []
    first = fit_many(graph, encoder, [0, 1], head=head, settings=SETTINGS, cache=tmp_path)
    again = fit_many(graph, encoder, [0, 1, 2], head=head, settings=SETTINGS, cache=tmp_path, progress=done.append)
    assert trained == [0, 1, 2] and sum(done) == 3 * SETTINGS.epochs
    for one, two in zip(first, again, strict=False):
        assert torch.equal(one.model.predict(graph.data), two.model.predict(graph.data))
        assert not two.model.training and type(one.model) is type(two.model)
        for name in ("encoder", "seed", "backend", "best_epoch", "validation", "history", "seconds"):
            assert getattr(one, name) == getattr(two, name)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".safetensors"] * 3


def test_whole_graphs_are_kept_too(tmp_path: Path, trained: list[int]) -> None:
    settings = TrainSettings.molecules(epochs=2, hidden_channels=8, num_layers=1)
    one, two = (fit_many(molecules(), "gin", [0], settings=settings, cache=tmp_path)[0] for _ in range(2))
    state = two.model.state_dict()
    assert trained == [0]
    assert all(torch.equal(value, state[name]) for name, value in one.model.state_dict().items())


def test_a_change_of_anything_that_training_reads_trains_again(tmp_path: Path, trained: list[int]) -> None:
    base = clusters(weighted=True)

    def run(graph: Any, encoder: str = "gcn", settings: TrainSettings = SETTINGS, **options: Any) -> int:
        before = len(trained)
        fit_many(graph, encoder, [0], settings=settings, cache=tmp_path, **options)
        return len(trained) - before

    assert (run(problem()), run(problem())) == (1, 0)
    assert run(problem(), "sage") == 1
    assert run(problem(), head="relative-cosine") == 1
    assert run(problem(), backend="loop") == 1
    for changed in (
        {"epochs": 4}, {"lr": 0.02}, {"weight_decay": 0.0}, {"head_weight_decay": 0.1}, {"hidden_channels": 32},
        {"dropout": 0.4}, {"input_dropout": 0.4}, {"patience": 2}, {"batch_size": 9}, {"log_test": True},
        {"num_layers": 3},
    ):  # fmt: skip
        assert run(problem(), settings=TrainSettings(**{"epochs": 3} | changed)) == 1, changed
    for name in ("x", "edge_index", "edge_weight"):
        value = base[name].clone()
        value.view(-1)[0] += 1
        assert run(problem(**{name: value})) == 1, name
    for name in ("train_mask", "val_mask", "test_mask"):
        mask = base[name].clone()
        mask[mask.nonzero()[0]] = False
        assert run(problem(**{name: mask})) == 1, name
    assert run(problem(y=(base.y + 1) % 3)) == 1
    moved = problem().with_anchors(torch.arange(8, 16))
    assert run(moved) == 0  # a linear head reads no anchors
    assert run(moved, head="relative-cosine") == 1
    moved.data.anchor_weight = torch.rand(moved.data.num_nodes)
    assert (run(moved), run(moved, head="relative-cosine")) == (0, 0)  # no training reads their weights


CODE = """
from relgraph.nn.encoders import GCNEncoder

class Base(GCNEncoder):
    def forward(self, x, edge_index=None, edge_weight=None):
        return FACTOR * super().forward(x, edge_index, edge_weight)

class Mine(Base):
    pass
"""


def test_a_change_of_the_encoders_code_trains_again(
    tmp_path: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for factor, count in (("1", 1), ("1", 1), ("2", 2)):
        (tmp_path / "my_encoder.py").write_text(CODE.replace("FACTOR", factor))
        linecache.clearcache()
        importlib.invalidate_caches()
        sys.modules.pop("my_encoder", None)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "dont_write_bytecode", True)
            ENCODERS.register("mine", "my_encoder:Mine", "an encoder of the test")
            try:
                fit_many(problem(), "mine", [0], settings=SETTINGS, cache=tmp_path / "runs")
            finally:
                ENCODERS.remove("mine")
        assert len(trained) == count


def test_classes_without_source_code_are_told_apart() -> None:
    found = {}
    for name, body in (("one", "x + 1"), ("two", "x - 1"), ("same", "x + 1")):
        scope: dict[str, Any] = {"nn": nn, "__name__": "interpreter"}
        exec(f"class Base(nn.Linear):\n def act(self, x):\n  return {body}\nclass Mine(Base):\n pass", scope)
        found[name] = code_digest(scope["Mine"](3, 2))
        assert code_digest(scope["Mine"](3, 4)) != found[name]
    assert found["one"] == found["same"] != found["two"]


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "flipped"])
def test_a_damaged_file_is_replaced(tmp_path: Path, trained: list[int], damage: str) -> None:
    graph = problem()
    wanted = fit_many(graph, "gcn", [0], settings=SETTINGS, cache=tmp_path)[0]
    path = next(tmp_path.iterdir())
    whole = path.read_bytes()
    flipped = whole[:-3] + bytes([whole[-3] ^ 16]) + whole[-2:]
    damaged = {"cut": whole[: len(whole) // 2], "empty": b"", "foreign": b"no tensors at all", "flipped": flipped}
    path.write_bytes(damaged[damage])
    again = fit_many(graph, "gcn", [0], settings=SETTINGS, cache=tmp_path)[0]
    assert trained == [0, 0]
    assert torch.equal(again.model.predict(graph.data), wanted.model.predict(graph.data))
    assert fit_many(graph, "gcn", [0], settings=SETTINGS, cache=tmp_path)[0].seconds == again.seconds
    assert trained == [0, 0]


def test_a_job_that_was_killed_resumes(tmp_path: Path, trained: list[int]) -> None:
    def killed(done: int) -> None:
        if trained[-1] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_many(problem(), "gcn", [0, 1], settings=SETTINGS, cache=tmp_path, progress=killed)
    assert len(list(tmp_path.iterdir())) == 1
    fit_many(problem(), "gcn", [0, 1], settings=SETTINGS, cache=tmp_path)
    assert trained == [0, 1, 1]


def test_a_seed_of_training_is_part_of_the_name_where_it_is_another(tmp_path: Path, trained: list[int]) -> None:
    def run(*training_seeds: int) -> list[Any]:
        return fit_many(problem(), "gcn", [0, 0], training_seeds=training_seeds, settings=SETTINGS, cache=tmp_path)

    fit_many(problem(), "gcn", [0], settings=SETTINGS, cache=tmp_path)
    one, two = run(0, 5)
    assert trained == [0, 0]  # that of the same seed is there
    assert (one.training_seed, two.training_seed) == (None, 5)
    read = run(5, 0)
    assert trained == [0, 0] and read[0].training_seed == 5
    assert torch.equal(read[0].model.head.weight, two.model.head.weight)


def test_a_block_is_trained_together_and_is_another_run_than_each_alone(tmp_path: Path, trained: list[int]) -> None:
    def run(block: int) -> Any:
        return fit_many(problem(), "gcn", [0, 1, 2], settings=SETTINGS, cache=tmp_path, block=block)

    wanted = fit_many(problem(), "gcn", [0, 1], settings=SETTINGS)
    for _ in range(2):
        found = run(2)
        assert trained == [0, 1, 0, 1, 2] and [one.seed for one in found] == [0, 1, 2]
        for one, other in zip(found, wanted, strict=False):
            assert torch.equal(one.model.head.weight, other.model.head.weight)
    run(1)
    assert trained == [0, 1, 0, 1, 2, 0, 1]  # the last block is one run
    next(tmp_path.glob("gcn-1-*")).unlink()
    next(tmp_path.glob("gcn-1-*")).unlink()
    run(2)
    assert trained == [0, 1, 0, 1, 2, 0, 1, 0, 1]


def test_soft_targets_and_a_frozen_head_are_trained_again(tmp_path: Path, trained: list[int]) -> None:
    for share in (0.9, 0.9, 0.8):
        targets = torch.full((240, 3), (1 - share) / 2).scatter(1, problem().y[:, None], share)
        fit_many(problem().with_soft_targets(targets), "gcn", [0], settings=SETTINGS, cache=tmp_path)
    assert trained == [0, 0]
    for _ in range(2):
        (run,) = fit_many(problem(), "gcn", [0], head="frozen", settings=SETTINGS, cache=tmp_path)
    assert trained == [0, 0, 0] and not run.model.head.weight.requires_grad


def test_the_version_is_part_of_the_name(tmp_path: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    fit_many(problem(), "gcn", [0], settings=SETTINGS, cache=tmp_path)
    monkeypatch.setattr(checkpoints, "VERSION", checkpoints.VERSION + 1)
    fit_many(problem(), "gcn", [0], settings=SETTINGS, cache=tmp_path)
    assert trained == [0, 0]


def test_folders_and_encoders_that_cannot_be_kept_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the folder for output must be writable"):
        fit_many(problem(), "gcn", [0], settings=SETTINGS, cache=tmp_path / "file")
    with pytest.raises(InputError, match="'cache' must be left out for an encoder that is not given by its name"):
        fit_many(problem(), GCNEncoder(12, 8), [0], settings=SETTINGS, cache=tmp_path)
    assert fit(problem().data, GCNEncoder(12, 8), epochs=1).head.out_features == 3


def test_a_cache_that_cannot_be_written_costs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise DataError("no room")

    monkeypatch.setattr(checkpoints, "save_record", full)
    with pytest.warns(NotKeptWarning, match="seed 0 was not kept"):
        (run,) = fit_many(problem(), "gcn", [0], settings=SETTINGS, cache=tmp_path)
    assert run.seed == 0
