from __future__ import annotations

import copy
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from relgraph.errors import DataError
from relgraph.stitching import Experiment, pictures
from relgraph.stitching.pictures import draw_matrix, draw_spaces


def _size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, to be looked at."""
    seen: list[Figure] = []
    save = pictures._save
    monkeypatch.setattr(pictures, "_save", lambda figure, path: (seen.append(figure), save(figure, path))[1])
    return seen


def test_matrix_shows_absolute_beside_converted_on_one_scale(
    tiny_document: dict[str, Any], tmp_path: Path, figures: list[Figure]
) -> None:
    assert draw_matrix(tiny_document, tmp_path / "m.png") == tmp_path / "m.png"
    width, height = _size(tmp_path / "m.png")
    assert width > height > 300
    left, right = figures[0].axes[:2]
    assert (left.get_title(), right.get_title()) == ("absolute", "converted")
    assert left.images[0].get_clim() == right.images[0].get_clim() == (0, 100)
    for axis, name in ((left, "absolute"), (right, "converted")):
        shown = np.ma.filled(axis.images[0].get_array(), np.nan)
        np.testing.assert_allclose(shown, 100 * np.array(tiny_document["arms"][name]["matrix"], dtype=float))
    labels = [label.get_text() for label in left.get_yticklabels()]
    assert labels == ["gcn 0", "gcn 1", "sage 0", "sage 1"]


def test_undefined_cells_are_hatched_and_hold_no_number(
    tiny_document: dict[str, Any], tmp_path: Path, figures: list[Figure]
) -> None:
    draw_matrix(tiny_document, tmp_path / "m.png")
    left, right = figures[0].axes[:2]
    assert left.patch.get_hatch()
    assert np.ma.getmaskarray(left.images[0].get_array()).sum() == 8
    assert (len(left.texts), len(right.texts)) == (8, 16)
    assert "hatched" in figures[0].get_supxlabel()


def test_many_runs_get_fewer_labels_and_no_numbers(
    tiny_document: dict[str, Any], tmp_path: Path, figures: list[Figure]
) -> None:
    document = copy.deepcopy(tiny_document)
    document["runs"] = [{"encoder": "gcn", "seed": seed} for seed in range(60)]
    for name in ("absolute", "converted"):
        document["arms"][name]["matrix"] = np.full((60, 60), 0.5).tolist()
    draw_matrix(document, tmp_path / "m.png")
    axis = figures[0].axes[0]
    assert len(axis.get_xticks()) == 20 and not axis.texts
    assert max(_size(tmp_path / "m.png")) < 2500


@pytest.mark.parametrize(
    ("arms", "titles"),
    [
        (["absolute"], ["absolute"]),
        (["permuted-anchors"], ["permuted-anchors"]),
        (["permuted-anchors", "procrustes", "relative-cosine"], ["procrustes"]),
        (["absolute", "class-centroid", "procrustes"], ["absolute", "procrustes"]),
    ],
)
def test_matrix_takes_the_best_arm_that_is_there(
    arms: list[str], titles: list[str], tiny_document: dict[str, Any], tmp_path: Path, figures: list[Figure]
) -> None:
    document = {**tiny_document, "arms": {name: tiny_document["arms"][name] for name in arms}}
    draw_matrix(document, tmp_path / "m.png")
    assert [axis.get_title() for axis in figures[0].axes[: len(titles)]] == titles
    assert len(figures[0].axes) == len(titles) + 1


def test_spaces_share_projection_and_limits_within_a_row(
    tiny_experiment: Experiment, tmp_path: Path, figures: list[Figure]
) -> None:
    draw_spaces(tiny_experiment, tmp_path / "s.png")
    width, height = _size(tmp_path / "s.png")
    assert min(width, height) > 1000
    top_left, top_right, low_left, low_right = figures[0].axes
    assert (top_left.get_title(), top_right.get_title()) == ("gcn, seed 0", "gcn, seed 1")
    for left, right in ((top_left, top_right), (low_left, low_right)):
        assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
        for axis in (left, right):
            assert len(axis.collections[0].get_offsets()) == tiny_experiment.nodes.test.numel()


def test_projection_is_the_first_spaces_own() -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(50, 5, generator=generator, dtype=torch.float64) * torch.tensor([5.0, 3.0, 1, 1, 1])
    _, _, axes = torch.linalg.svd(one - one.mean(0), full_matrices=False)
    flat, moved = pictures._project(one, one + 2)
    expected = (one - one.mean(0)) @ axes[:2].mT
    np.testing.assert_allclose(np.abs(flat), expected.abs().numpy(), atol=1e-9)
    np.testing.assert_allclose(np.abs(moved - flat)[0], np.abs((2 * axes[:2].sum(1)).numpy()), atol=1e-9)
    assert pictures._project(torch.zeros(3, 1), torch.ones(3, 1))[0].shape == (3, 2)


def test_large_sets_are_sampled_and_the_title_says_so(
    tiny_experiment: Experiment, tmp_path: Path, figures: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MOST_NODES", 100)
    draw_spaces(tiny_experiment, tmp_path / "s.png")
    draw_spaces(tiny_experiment, tmp_path / "t.png")
    assert "100 of 1,297 test nodes" in figures[0].get_suptitle()
    assert len(figures[0].axes[0].collections[0].get_offsets()) == 100
    assert (tmp_path / "s.png").read_bytes() == (tmp_path / "t.png").read_bytes()
    assert np.isfinite(imread(tmp_path / "s.png")).all()


def test_many_classes_are_told_apart_by_marker() -> None:
    looks = [pictures._look(label, 70) for label in range(70)]
    assert len(set(looks)) == 70
    assert len({colour for colour, _ in [pictures._look(label, 7) for label in range(7)]}) == 7


def test_a_picture_that_cannot_be_written_leaves_nothing(tiny_document: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file for output must be one that can be written"):
        draw_matrix(tiny_document, tmp_path / "gone" / "m.png")
    assert list(tmp_path.iterdir()) == []
