import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import relgraph as rg
from relgraph.measures import linear_cka, matched_cosine
from relgraph.measures.agreement import MATCHED_COSINE
from relgraph.problems import make_problem
from relgraph.similarity import relative
from relgraph.stitching import StitchSettings
from relgraph.studies import Material, representations, train_runs
from relgraph.studies.representations import Embedded, pair_values, representations_section, sampled_pairs, sampled_rows
from tests.stitching.small import SMALL, blocks

SPACES = ("absolute", "aligned", "relative-cosine", "relative-whitened")


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    settings = StitchSettings(("gcn", "sage"), tuple(range(5)), train=SMALL)
    return train_runs(blocks(), settings, cache=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def found(material):
    return representations_section(material)


def figure(section, first, second, space, measure):
    (block,) = [one for one in section["blocks"] if (one["first"], one["second"]) == (first, second)]
    return next(one for one in block["figures"] if (one["space"], one["measure"]) == (space, measure))


def test_values_are_those_of_the_measures_on_every_pair(material, found):
    problem, (rows, anchors) = material.problem, sampled_rows(material.problem)
    z = [problem.embed(model) for model in material.models]
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    expected = np.mean([linear_cka(z[i][rows], z[j][rows]) for i, j in pairs])
    assert figure(found, "gcn", "gcn", "absolute", "cka")["value"]["mean"] == pytest.approx(expected, abs=1e-6)
    views = [relative(one[rows], one[anchors], "whitened") for one in z]
    expected = np.mean([matched_cosine(views[i], views[j]) for i, j in pairs])
    shown = figure(found, "gcn", "gcn", "relative-whitened", "matched-cosine")
    assert shown["value"]["mean"] == pytest.approx(expected, abs=1e-5)
    assert (shown["value"]["n"], shown["value"]["n_is"]) == (10, "pairs") and shown["value"]["interval"]
    across = [(block["first"], block["second"], block["pairs"], block["of"]) for block in found["blocks"]]
    assert across == [("gcn", "gcn", 10, 10), ("gcn", "sage", 25, 25), ("sage", "sage", 10, 10)]


def test_rows_and_anchors_are_apart_and_drawn_without_labels(material):
    rows, anchors = sampled_rows(material.problem)
    assert not set(rows.tolist()) & set(anchors.tolist())
    assert set(rows.tolist()) <= set(material.problem.test.tolist())
    again = make_problem(blocks())
    again.y = (again.y + 1) % 3
    assert [part.tolist() for part in sampled_rows(again)] == [rows.tolist(), anchors.tolist()]


def test_a_rotated_copy_is_found_by_what_does_not_depend_on_coordinates():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, 6, generator=generator)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    rows, anchors = torch.arange(100), torch.arange(100, 200)
    runs = [Embedded.of(one, rows, anchors) for one in (z, 3 * z @ turn)]
    values = pair_values(runs, np.array([[False, True], [False, False]]), [])
    cosines = {space: matrices["value"][0, 1] for (space, measure), matrices in values.items()}
    assert set(cosines) == set(SPACES) and {measure for _, measure in values} == {MATCHED_COSINE}
    assert cosines["absolute"] < 0.6
    for space in SPACES[1:]:
        assert cosines[space] == pytest.approx(1, abs=1e-5)
        assert values[space, MATCHED_COSINE]["score"][0, 1] == pytest.approx(1, abs=1e-5)


def test_unrelated_spaces_score_zero(material):
    rows = torch.arange(150)
    runs = [
        Embedded.of(torch.randn(300, 5, generator=torch.Generator().manual_seed(seed)), rows, rows + 150)
        for seed in range(8)
    ]
    measures = [rg.registry.MEASURES.resolve(name) for name in representations.MEASURES]
    values = pair_values(runs, np.triu(np.ones((8, 8), dtype=bool), 1), measures)
    for (space, measure), matrices in values.items():
        assert abs(np.nanmean(matrices["score"])) < 0.05, (space, measure.name)


def test_alignment_is_left_out_where_it_changes_nothing_and_cosines_where_widths_differ():
    parts = torch.arange(60).view(2, -1)
    spaces = [torch.randn(60, width, generator=torch.Generator().manual_seed(width)) for width in (4, 7)]
    runs = [Embedded.of(z, *parts) for z in spaces]
    measures = [rg.registry.MEASURES.resolve(name) for name in ("cka", "mutual-knn")]
    values = pair_values(runs, np.array([[False, True], [False, False]]), measures)
    shown = {(space, measure.name) for space, measure in values}
    assert ("aligned", "cka") not in shown and ("aligned", "mutual-knn") in shown
    assert ("absolute", "matched-cosine") not in shown and ("aligned", "matched-cosine") in shown
    assert all(np.isfinite(matrices["value"][0, 1]) for matrices in values.values())


class Stored(nn.Module):
    """An encoder that returns the same embeddings of all nodes, whatever the graph is."""

    def __init__(self, z):
        super().__init__()
        self.register_buffer("z", z)

    def forward(self, x, edge_index):
        return self.z


def test_less_similar_spaces_have_a_positive_correlation_with_disagreement(material):
    """Runs are one space with noise of different sizes, read by one head, so that both follow the noise."""
    problem = material.problem
    generator = torch.Generator().manual_seed(0)
    z, head = torch.randn(len(problem.ids), 6, generator=generator), nn.Linear(6, 3)
    with torch.no_grad():
        head.weight.copy_(torch.randn(3, 6, generator=generator))
    models = [(Stored(z + 0.15 * place * torch.randn(z.shape, generator=generator)), head) for place in range(8)]
    found = rg.stability(problem, models=models).sections["representations"]
    for measure in ("cka", "procrustes"):  # a similarity and a distance: the sign is that of dissimilarity
        spearman = figure(found, "model", "model", "absolute", measure)["spearman"]
        assert spearman["value"] > 0.8 and 0 < spearman["interval"][0] < spearman["value"] <= spearman["interval"][1]


def test_pairs_are_a_fixed_sample_and_said(material, monkeypatch):
    pairs = np.triu(np.ones((9, 9), dtype=bool), 1)
    drawn = sampled_pairs(pairs, 20)
    assert drawn.sum() == 20 and not (drawn & ~pairs).any()
    np.testing.assert_array_equal(drawn, sampled_pairs(pairs, 20))
    np.testing.assert_array_equal(sampled_pairs(pairs, 36), pairs)
    monkeypatch.setattr(representations, "PAIRS", 18)
    monkeypatch.setattr(representations, "FEWEST_PAIRS", 4)
    few = representations_section(replace(material, measures=("cka",)))
    assert [(block["pairs"], block["of"]) for block in few["blocks"]] == [(6, 10), (6, 25), (6, 10)]
    assert figure(few, "sage", "sage", "absolute", "cka")["value"]["n"] == 6


def test_measures_are_chosen_by_name(material):
    found = representations_section(replace(material, measures=("second-order-cosine", "linear-regression")))
    names = {one["measure"] for block in found["blocks"] for one in block["figures"]}
    assert names == {"matched-cosine", "second-order-cosine", "linear-regression"}
    assert all(np.isfinite(one["null"]) for block in found["blocks"] for one in block["figures"])


def test_collapsed_runs_give_finite_figures(material):
    models = []
    for model in material.models[:3]:
        flat = rg.Model(copy.deepcopy(model.encoder), model.head).eval()
        with torch.no_grad():
            for parameter in flat.encoder.parameters():
                parameter.zero_()
        models.append(flat)
    found = rg.stability(material.problem, models=models)
    for one in found.sections["representations"]["blocks"][0]["figures"]:
        assert np.isfinite([one["value"]["mean"], one["null"], one["score"]["mean"]]).all() and one["spearman"] is None
    assert "Representations" in str(found)


def test_there_must_be_models_and_rows_for_anchors(material):
    assert representations.why_not(material) is None
    assert "only predictions" in representations.why_not(Material(material.runs))
    whole = Material(material.runs, material.problem, whole="run 0 of 'a' cannot be taken apart (why)")
    assert (
        representations.why_not(whole) == "Representations are not compared: run 0 of 'a' cannot be taken apart (why)."
    )


def test_the_summary_names_the_closest_measure(material):
    text = str(rg.studies.study(material))
    assert "gcn / sage" in text and "cosine of matched rows: absolute" in text
    assert "disagreement follows" in text
