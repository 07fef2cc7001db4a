"""Runs that are kept: read again where nothing changed, trained again where anything did, never half-written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import relgraph as rg
from relgraph.errors import DataError
from relgraph.training import TrainSettings, apply_protocol, kept
from relgraph.training.kept import fit_kept
from relgraph.training.settings import TrainedRun

SETTINGS = TrainSettings(epochs=3)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds that were really trained, in order."""
    seeds: list[int] = []
    fit_many = kept.fit_many

    def counted(data: object, encoder: str, which: list[int], **options: object) -> list[TrainedRun]:
        seeds.extend(which)
        return fit_many(data, encoder, which, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(kept, "fit_many", counted)
    return seeds


def data() -> object:
    return apply_protocol(rg.AddAnchors(8)(rg.load_dataset("digits")))[0]


@pytest.mark.parametrize("head", ["linear", "relative-cosine"])
def test_what_is_read_is_what_was_trained(tmp_path: Path, trained: list[int], head: str) -> None:
    graph = data()
    told: list[int] = []
    first = fit_kept(graph, "gcn", [0, 1], tmp_path, head=head, settings=SETTINGS)
    again = fit_kept(graph, "gcn", [0, 1, 2], tmp_path, head=head, settings=SETTINGS, progress=told.append)
    assert trained == [0, 1, 2]
    assert sum(told) == 3 * SETTINGS.epochs
    for one, two in zip(first, again, strict=False):
        assert torch.equal(one.model.predict(graph), two.model.predict(graph))
        assert (one.seed, one.path, one.best_epoch, one.validation) == (
            two.seed,
            two.path,
            two.best_epoch,
            two.validation,
        )
        assert one.history == two.history
        assert type(one.model) is type(two.model)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".safetensors"] * 3


def test_whatever_determines_a_run_makes_another(tmp_path: Path, trained: list[int]) -> None:
    graph = data()
    fit_kept(graph, "gcn", [0], tmp_path, settings=SETTINGS)
    fit_kept(graph, "sage", [0], tmp_path, settings=SETTINGS)
    fit_kept(graph, "gcn", [0], tmp_path, settings=TrainSettings(epochs=4))
    fit_kept(graph, "gcn", [0], tmp_path, head="relative-cosine", settings=SETTINGS)
    for name in ("x", "y", "train_mask", "edge_index"):
        changed = data()
        value = changed[name].clone()
        value.view(-1)[0] = ~value.view(-1)[0] if value.dtype == torch.bool else value.view(-1)[0] + 1
        changed[name] = value
        fit_kept(changed, "gcn", [0], tmp_path, settings=SETTINGS)
    assert len(trained) == 8
    moved = data()
    moved.anchor_rank = moved.anchor_rank.flip(0)
    fit_kept(moved, "gcn", [0], tmp_path, settings=SETTINGS)  # a linear head knows of no anchors
    assert len(trained) == 8
    fit_kept(moved, "gcn", [0], tmp_path, head="relative-cosine", settings=SETTINGS)
    assert len(trained) == 9


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign"])
def test_a_damaged_file_is_trained_anew(tmp_path: Path, trained: list[int], damage: str) -> None:
    graph = data()
    wanted = fit_kept(graph, "gcn", [0], tmp_path, settings=SETTINGS)[0]
    path = next(tmp_path.iterdir())
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "foreign": b"no tensors at all"}[damage])
    again = fit_kept(graph, "gcn", [0], tmp_path, settings=SETTINGS)[0]
    assert trained == [0, 0]
    assert torch.equal(again.model.predict(graph), wanted.model.predict(graph))
    assert fit_kept(graph, "gcn", [0], tmp_path, settings=SETTINGS)[0].seconds == again.seconds
    assert trained == [0, 0]


def test_a_killed_study_goes_on(tmp_path: Path, trained: list[int]) -> None:
    graph = data()

    def killed(done: int) -> None:
        if trained[-1] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_kept(graph, "gcn", [0, 1], tmp_path, settings=SETTINGS, progress=killed)
    assert len(list(tmp_path.iterdir())) == 1
    fit_kept(graph, "gcn", [0, 1], tmp_path, settings=SETTINGS)
    assert trained == [0, 1, 1]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"the folder of trained runs '.*' cannot be written .*; name another"):
        fit_kept(data(), "gcn", [0], tmp_path / "file", settings=SETTINGS)
