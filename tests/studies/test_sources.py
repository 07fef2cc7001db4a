import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import relgraph as rg
from relgraph.errors import InputError
from relgraph.problems import make_problem
from relgraph.studies.further import further_seeds, resplit, train_further
from relgraph.studies.sources import TITLES, Varied, source_figures, std_interval, variance_share
from relgraph.studies.summary import sources_lines
from relgraph.studies.training import train_runs
from relgraph.training import fit_many
from tests.studies import slow

SETTINGS = rg.TrainSettings(epochs=4, hidden_channels=8)


@pytest.fixture(scope="module")
def digits():
    return rg.load_dataset("digits")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def public(digits):
    """The graph with a split of its own."""
    return make_problem(digits, split="random").data


@pytest.fixture(scope="module")
def study(public, cache):
    return rg.stability(public, "gcn", 3, settings=SETTINGS, sources=3, cache=cache)


def varied(classes, y, test=None):
    classes = np.asarray(classes)
    return Varied(classes, np.asarray(y), np.ones(classes.shape, dtype=bool) if test is None else np.asarray(test))


def test_rows_that_both_test_are_compared_and_each_run_has_its_own_accuracy():
    rng = np.random.default_rng(0)
    classes, y, test = rng.integers(0, 3, (4, 30)), rng.integers(0, 3, 30), rng.random((4, 30)) < 0.6
    found, right = varied(classes, y, test).disagreements(), varied(classes, y, test).accuracies()
    for i in range(4):
        own = [row for row in range(30) if test[i, row]]
        assert right[i] == pytest.approx(np.mean([classes[i, row] == y[row] for row in own]))
        for j in range(4):
            both = [row for row in own if test[j, row]]
            assert found[i, j] == pytest.approx(np.mean([classes[i, row] != classes[j, row] for row in both]))
    apart = varied([[0, 1], [0, 1]], [0, 1], [[True, False], [False, True]])
    assert np.isnan(apart.disagreements()[0, 1])
    whole = varied(classes, y).disagreements()
    assert whole[np.triu_indices(4, 1)].mean() == pytest.approx(slow.disagreement(classes))


def test_intervals_cover_what_they_should_in_a_simulation():
    rng, count = np.random.default_rng(1), 8
    one, other = rng.normal(0, 1.0, (4000, count)), rng.normal(0, 2.0, (4000, count))
    bounds = [std_interval(std, count) for std in one.std(axis=1, ddof=1)]
    assert np.mean([low <= 1.0 <= high for low, high in bounds]) == pytest.approx(0.95, abs=0.015)
    stds = zip(one.std(axis=1, ddof=1), other.std(axis=1, ddof=1), strict=True)
    shares = [variance_share(a, count, b, count)["interval"] for a, b in stds]
    assert np.mean([low <= 0.25 <= high for low, high in shares]) == pytest.approx(0.95, abs=0.015)


def test_independent_sources_of_the_accuracy_add_up():
    rng, y = np.random.default_rng(2), np.zeros(4000, dtype=int)

    def runs(*shares):
        right = 0.5 + sum(share * rng.standard_normal(400) for share in shares)
        return varied((np.arange(4000) / 4000 >= right[:, None]).astype(int), y)

    found = source_figures(
        {"initialization": runs(0.03), "training": runs(0.04), "together": runs(0.03, 0.04), "anchors": runs(0.1)}
    )
    assert found["sum"]["variance_share"] == pytest.approx(1, abs=0.15)
    share = found["sources"]["initialization"]["variance_share"]
    assert share["mean"] == pytest.approx(0.36, abs=0.1) and share["interval"][0] < 0.36 < share["interval"][1]
    assert "variance_share" not in found["sources"]["anchors"]


def test_sources_without_variation_have_no_shares():
    same = varied([[0, 1], [0, 1]], [0, 0])
    found = source_figures({"initialization": same, "training": same, "together": same})
    assert found["sources"]["together"]["std"] == found["sources"]["together"]["disagreement"]["mean"] == 0.0
    assert found["sum"] == {"variance_share": None, "disagreement_share": None}
    lines = sources_lines({"titles": TITLES, "fixed": {"split": 3}, "models": {"gcn": found}})
    assert lines[1].split() == ["initialization", "0.00", "[0.00,", "0.00]", "-", "0.0", "%", "-"]
    assert len(lines) == 5 and lines[-1].split() == ["sum", "of", "2", "sources", "-", "-"]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6, unique=True), st.integers(2, 9))
def test_further_seeds_are_new_and_begin_with_the_given_ones(seeds, count):
    found = further_seeds(seeds, count)
    assert len(found) == len(set(found)) == count
    assert found[: len(seeds)] == seeds[:count]


def test_without_dropout_only_the_initialization_counts(public, cache):
    settings = replace(SETTINGS, dropout=0.0, input_dropout=0.0)
    found = rg.stability(public, "gcn", 3, settings=settings, sources=3, cache=cache)
    parts = found.sections["sources"]["models"]["gcn"]["sources"]
    assert parts["training"]["disagreement"]["mean"] == parts["training"]["std"] == 0.0
    assert parts["initialization"]["disagreement"]["mean"] == parts["together"]["disagreement"]["mean"] > 0
    assert found.sections["sources"]["models"]["gcn"]["sum"]["disagreement_share"] == pytest.approx(1)


def test_each_source_is_varied_alone(public, study):
    problem = make_problem(public)

    def classes(seed, training_seed):
        (run,) = fit_many(problem, "gcn", [seed], training_seeds=[training_seed], settings=SETTINGS)
        return problem.outputs(run.model, problem.test).argmax(1).numpy()

    of = study.material.varied["gcn"]
    assert set(of) == {"initialization", "training", "together", "anchors"}
    np.testing.assert_array_equal(of["initialization"].classes[2], classes(2, 0))
    np.testing.assert_array_equal(of["training"].classes[2], classes(0, 2))
    np.testing.assert_array_equal(of["together"].classes, study.runs.classes)
    for name in ("initialization", "training"):
        np.testing.assert_array_equal(of[name].classes[0], study.runs.classes[0])  # the run that all share
        assert of[name].disagreements()[0, 1] > 0


def test_splits_that_are_drawn_are_varied(digits, cache):
    problem = make_problem(digits, split="random", seed=5)
    found = rg.stability(digits, "gcn", 2, split="random", split_seed=5, settings=SETTINGS, sources=2, cache=cache)
    of, section = found.material.varied["gcn"], found.sections["sources"]
    assert section["fixed"] == {"initialization": 0, "training": 0, "split": 5}
    assert set(section["models"]["gcn"]["sources"]) == {"initialization", "training", "split", "together", "anchors"}
    again = resplit(problem, 1)
    assert not np.array_equal(again.test, problem.test) and np.array_equal(resplit(problem, 0).test, problem.test)
    (run,) = fit_many(again, "gcn", [0], settings=SETTINGS)
    tests = of["split"].test[1]
    np.testing.assert_array_equal(of["split"].y[tests], again.y[again.test])
    np.testing.assert_array_equal(of["split"].classes[1][tests], again.outputs(run.model, again.test).argmax(1))
    assert of["split"].test.any(axis=0).all()
    assert "comes with the data" not in str(found)


def test_a_public_split_is_fixed_and_the_summary_says_so(study):
    assert study.sections["sources"]["fixed"]["split"] == "public"
    assert "The split 'public' comes with the data and is the same in all runs." in str(study)
    assert "sum of 2 sources" in str(study)
    json.dumps(study.to_dict(), allow_nan=False)


def test_nothing_is_trained_twice_and_the_document_is_the_same_again(public, cache, study):
    times = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    again = rg.stability(public, "gcn", 3, settings=SETTINGS, sources=True, cache=cache)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == times
    assert again.to_json() == study.to_json()


def test_a_killed_study_ends_with_the_same_document(public, tmp_path, study):
    def stop(stage, done, total):
        if stage == "sources" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rg.stability(public, "gcn", 3, settings=SETTINGS, sources=3, cache=tmp_path, progress=stop)
    steps = []
    again = rg.stability(
        public, "gcn", 3, settings=SETTINGS, sources=3, cache=tmp_path, progress=lambda *step: steps.append(step)
    )
    assert again.to_json() == study.to_json()
    told = [(done, total) for stage, done, total in steps if stage == "sources"]
    assert sum(done for done, _ in told) == 3 * 3 * SETTINGS.epochs == told[-1][1]


def test_one_run_and_runs_that_are_read_are_refused(public, digits):
    with pytest.raises(InputError, match="'sources' must be at least 2, the runs of each source, or 0 .got 1"):
        rg.stability(public, sources=1)
    for argument in ("sources", "remedies"):
        with pytest.raises(InputError, match=f"'{argument}' must be left out with 'runs'"):
            rg.stability(runs=[[0], [1]], **{argument: True})


def test_without_being_asked_for_nothing_is_trained_and_nothing_said(public, cache):
    found = rg.stability(public, "gcn", 3, settings=SETTINGS, cache=cache)
    assert "sources" not in found.sections and found.notes == ()
    material = train_runs(
        public, rg.stitching.StitchSettings(encoders=("gcn",), seeds=(0, 1), train=SETTINGS), cache=cache
    )
    assert train_further(material, cache=cache) is material
