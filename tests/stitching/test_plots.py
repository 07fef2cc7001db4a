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
from relgraph.maps import translate
from relgraph.stitching import Experiment, build_report, canvas, plots
from relgraph.stitching.plots import draw_matrix, draw_spaces


def size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, for inspection."""
    seen: list[Figure] = []
    save = plots._save
    monkeypatch.setattr(plots, "_save", lambda figure, path: (seen.append(figure), save(figure, path))[1])
    return seen


@pytest.fixture(scope="module")
def report(nodes: Experiment) -> dict[str, Any]:
    return build_report(nodes)


def panels(figure: Figure) -> list[Any]:
    return [axis for axis in figure.axes if axis.images or (axis.collections and axis.get_title())]


def test_every_panel_of_the_matrix_has_the_color_scale_of_its_values(
    report: dict[str, Any], tmp_path: Path, figures: list[Figure]
) -> None:
    assert draw_matrix(report, tmp_path / "m.png") == tmp_path / "m.png"
    width, height = size(tmp_path / "m.png")
    assert width > height > 300
    shown = panels(figures[0])
    assert [axis.get_title() for axis in shown] == ["absolute", "kl"]
    for axis in shown:
        values = 100 * np.array(report["methods"][axis.get_title()]["matrix"], dtype=float)
        np.testing.assert_allclose(np.ma.filled(axis.images[0].get_array(), np.nan), values)
        assert axis.images[0].get_clim() == pytest.approx((np.nanmin(values), np.nanmax(values)))
        assert [label.get_text() for label in axis.get_yticklabels()] == ["gcn 0", "gcn 1", "sage 0", "sage 1"]


def test_every_block_has_the_mean_of_its_pairs_of_different_runs(
    report: dict[str, Any], tmp_path: Path, figures: list[Figure]
) -> None:
    draw_matrix(report, tmp_path / "m.png")
    for axis in panels(figures[0]):
        values = 100 * np.array(report["methods"][axis.get_title()]["matrix"], dtype=float)
        np.fill_diagonal(values, np.nan)
        blocks = [values[i : i + 2, j : j + 2] for i in (0, 2) for j in (0, 2)]
        expected = [f"{np.nanmean(block):.1f}" for block in blocks if np.isfinite(block).any()]
        assert [text.get_text() for text in axis.texts] == expected
        assert all(place % 1 == 0.5 for text in axis.texts for place in text.get_position())  # on no single cell
    left = panels(figures[0])[0]
    assert len(left.texts) == 2 and left.patch.get_hatch() and "hatched" in figures[0].get_supxlabel()


def test_matrices_of_every_task(experiment: Experiment, tmp_path: Path, figures: list[Figure]) -> None:
    draw_matrix(build_report(experiment), tmp_path / "m.png")
    error = experiment.problem.task.mode == "regression"
    assert [axis.images[0].get_cmap().name for axis in panels(figures[0])] == ["cividis_r" if error else "cividis"] * 2
    layer = experiment.settings.at
    assert ("behind layer 1" in figures[0].get_suptitle()) == (layer == 1)
    label = figures[0].axes[-1].get_ylabel()
    assert label == ("RMSE" if error else f"{experiment.problem.task.metric.title} (%)")


def test_many_runs_have_fewer_labels(report: dict[str, Any], tmp_path: Path, figures: list[Figure]) -> None:
    many = copy.deepcopy(report)
    many["runs"] = [{"encoder": "gcn", "seed": seed} for seed in range(60)]
    for name in ("absolute", "kl"):
        many["methods"][name]["matrix"] = np.full((60, 60), 0.5).tolist()
    draw_matrix(many, tmp_path / "m.png")
    axis = figures[0].axes[0]
    assert len(axis.get_xticks()) == 20 and [text.get_text() for text in axis.texts] == ["50.0"]
    assert max(size(tmp_path / "m.png")) < 2700


@pytest.mark.parametrize(
    ("methods", "titles"),
    [
        (["absolute"], ["absolute"]),
        (["permuted-anchors"], ["permuted-anchors"]),
        (["permuted-anchors", "procrustes", "relative-cosine"], ["procrustes"]),
        (["absolute", "class-centroid", "procrustes"], ["absolute", "procrustes"]),
        (["absolute", "procrustes", "ridge"], ["absolute", "ridge"]),
    ],
)
def test_the_matrix_shows_absolute_beside_ridge_or_the_first_method(
    methods: list[str], titles: list[str], report: dict[str, Any], tmp_path: Path, figures: list[Figure]
) -> None:
    draw_matrix({**report, "methods": {name: report["methods"][name] for name in methods}}, tmp_path / "m.png")
    assert [axis.get_title() for axis in panels(figures[0])] == titles


def test_spaces_show_source_target_and_translated_source(
    nodes: Experiment, tmp_path: Path, figures: list[Figure]
) -> None:
    draw_spaces(nodes, tmp_path / "s.png")
    width, height = size(tmp_path / "s.png")
    assert width > 1500 and height > 600
    one, other, moved = panels(figures[0])
    assert [axis.get_title() for axis in (one, other)] == ["source: gcn, seed 0", "target: gcn, seed 1"]
    assert (other.get_xlim(), other.get_ylim()) == (moved.get_xlim(), moved.get_ylim())
    test, space = nodes.problem.test, nodes.spaces
    source, target = (run.z.double() for run in nodes.runs[:2])
    points = {}
    for axis, z, frame in (
        (one, source, source),
        (other, target, target),
        (moved, translate(space[0], space[1])(source.float()).double(), target),
    ):
        _, _, axes = torch.linalg.svd(frame[test] - frame[test].mean(0), full_matrices=False)
        expected = ((z[test] - frame[test].mean(0)) @ axes[:2].T).abs().numpy()
        found = np.abs(np.concatenate([part.get_offsets() for part in axis.collections]))
        np.testing.assert_allclose(np.sort(found, axis=0), np.sort(expected, axis=0), atol=1e-4)
        points[axis] = found
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["0", "1", "2"]


def test_spaces_of_every_task(experiment: Experiment, tmp_path: Path, figures: list[Figure]) -> None:
    assert plots.can_draw_spaces(experiment)
    draw_spaces(experiment, tmp_path / "s.png")
    count = experiment.problem.test.numel()
    drawn = 2 if experiment.problem.task.mode == "regression" else 1  # in gray below, where targets may be unknown
    for axis in panels(figures[0]):
        assert sum(len(part.get_offsets()) for part in axis.collections) == drawn * count
    legend = [text.get_text() for one in figures[0].legends for text in one.get_texts()]
    assert (
        legend
        == {"multiclass": ["0", "1", "2"], "multilabel": ["no", "yes", "unknown"], "regression": []}[
            experiment.problem.task.mode
        ]
    )


def test_panels_of_a_page_show_what_the_pictures_show(
    report: dict[str, Any], nodes: Experiment, tmp_path: Path, figures: list[Figure]
) -> None:
    draw_matrix(report, tmp_path / "m.png")
    draw_spaces(nodes, tmp_path / "s.png")
    matrices, spaces = map(panels, figures)
    assert plots.shown_methods(report) == [axis.get_title() for axis in matrices]
    for axis in matrices:
        (alone,) = panels(plots.matrix_figure(report, axis.get_title()))
        np.testing.assert_array_equal(alone.images[0].get_array(), axis.images[0].get_array())
        assert [text.get_text() for text in alone.texts] == [text.get_text() for text in axis.texts]
        assert all(text.get_color() != "black" for text in alone.texts)  # on white boxes, whatever the page is
    drawn = plots.space_figures(nodes)
    assert list(drawn) == [axis.get_title() for axis in spaces]
    for axis in spaces:
        (alone,) = panels(drawn[axis.get_title()])
        points = [np.concatenate([part.get_offsets() for part in one.collections]) for one in (alone, axis)]
        np.testing.assert_array_equal(*points)
        assert alone.get_xlim() == axis.get_xlim() and alone.get_ylim() == axis.get_ylim()
    legends = [[text.get_text() for one in figure.legends for text in one.get_texts()] for figure in drawn.values()]
    assert legends == [[], [], ["0", "1", "2"]]


def test_the_ranking_has_a_point_for_every_mean_and_a_line_for_every_interval(
    experiments: dict[str, Experiment],
) -> None:
    for kind in ("nodes", "five"):
        report = build_report(experiments[kind])
        axis = plots.ranking_figure(report).axes[0]
        names = [label.get_text() for label in axis.get_yticklabels()]
        assert sorted(names) == sorted(report["methods"])
        for key, line, spread in zip(("retention", "fidelity"), axis.lines, axis.collections, strict=True):
            known = [report["methods"][name][f"{key}_cross_seed"] for name in names]
            known = [one for one in known if one]
            np.testing.assert_allclose(line.get_xdata(), [100 * one["mean"] for one in known])
            ends = [one["interval"] or [one["mean"]] * 2 for one in known]
            np.testing.assert_allclose([segment[:, 0] for segment in spread.get_segments()], 100 * np.array(ends))
            rows = [names.index(name) for name in names if report["methods"][name][f"{key}_cross_seed"]]
            assert np.round(line.get_ydata()).tolist() == rows


def test_classes_have_their_names(nodes: Experiment, tmp_path: Path, figures: list[Figure]) -> None:
    named = copy.copy(nodes)
    named.problem = copy.copy(nodes.problem)
    named.problem.data = copy.copy(nodes.problem.data)
    named.problem.data.class_names = ["left", "middle", "right"]
    draw_spaces(named, tmp_path / "s.png")
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["left", "middle", "right"]


def test_large_sets_are_sampled_and_the_title_names_the_number(
    nodes: Experiment, tmp_path: Path, figures: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "MOST_ROWS", 10)
    draw_spaces(nodes, tmp_path / "s.png")
    draw_spaces(nodes, tmp_path / "t.png")
    assert f"10 of {nodes.problem.test.numel()} test rows" in figures[0].get_suptitle()
    assert (tmp_path / "s.png").read_bytes() == (tmp_path / "t.png").read_bytes()
    assert np.isfinite(imread(tmp_path / "s.png")).all()


def test_a_space_of_one_dimension_has_a_second_axis() -> None:
    z = torch.tensor([[1.0], [3.0]])
    assert np.allclose(plots._project(z, *plots._principal_axes(z)), [[-1.0, 0.0], [1.0, 0.0]])


def test_classes_differ_in_color_or_marker() -> None:
    assert len({canvas.point_style(label) for label in range(100)}) == 100
    assert len({canvas.point_style(label)[0] for label in range(10)}) == 10


def test_a_plot_that_cannot_be_written_leaves_nothing(
    report: dict[str, Any], nodes: Experiment, tmp_path: Path
) -> None:
    for draw, given in ((draw_matrix, report), (draw_spaces, nodes)):
        with pytest.raises(DataError, match="the file for output must be writable"):
            draw(given, tmp_path / "missing" / "m.png")
    assert list(tmp_path.iterdir()) == []
