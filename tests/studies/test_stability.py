import json

import numpy as np
import pandas as pd
import pytest
import torch

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.problems import make_problem
from relgraph.stitching import StitchSettings
from relgraph.studies import (
    SECTIONS,
    Material,
    PredictionRuns,
    accuracy_table,
    prediction_table,
    train_runs,
    write_table,
)
from relgraph.studies.stability import SCHEMA
from relgraph.training import fit_many

QUICK = {"epochs": 3, "split": "random"}


@pytest.fixture(scope="module")
def digits():
    return rg.load_dataset("digits")


@pytest.fixture(scope="module")
def study(digits, tmp_path_factory):
    return rg.stability(digits, ("gcn", "mlp"), 4, sources=2, cache=tmp_path_factory.mktemp("runs"), **QUICK)


def test_runs_are_those_that_training_gives(digits, study):
    problem = make_problem(digits, split="random")
    alone = fit_many(problem, "gcn", [2], settings=rg.TrainSettings(epochs=3))[0]
    np.testing.assert_array_equal(study.runs.classes[2], problem.outputs(alone.model, problem.test).argmax(1).numpy())
    assert study.runs.models == ("gcn",) * 4 + ("mlp",) * 4
    assert study.runs.ids.tolist() == problem.ids[problem.test].tolist()
    assert set(study.runs.properties) == {"degree", "core_number", "homophily", "distance"}
    assert float(study.runs.properties["distance"].min()) >= 1  # no test node is a training node


def test_the_document_is_plain_complete_and_the_same_every_time(digits, study, tmp_path):
    document = json.loads(study.to_json())
    assert (document["schema"], set(document["sections"])) == (SCHEMA, set(SECTIONS))
    assert document["models"]["gcn"] == ["0", "1", "2", "3"]
    assert document["sections"]["accuracy"]["comparisons"][0]["paired"]
    again = rg.stability(digits, ("gcn", "mlp"), 4, sources=2, cache=tmp_path, **QUICK)
    assert again.to_json() == study.to_json()


def test_a_killed_study_goes_on_where_it_was(digits, tmp_path):
    done = []

    def stop(stage, epochs, total):
        done.append(epochs)
        if sum(done) >= 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rg.stability(digits, "gcn", 3, cache=tmp_path / "a", progress=stop, **QUICK)
    kept = sorted((tmp_path / "a").iterdir())
    assert 0 < len(kept) < 3
    times = [path.stat().st_mtime_ns for path in kept]
    seen = []
    found = rg.stability(digits, "gcn", 3, cache=tmp_path / "a", progress=lambda *step: seen.append(step), **QUICK)
    assert [path.stat().st_mtime_ns for path in kept] == times
    seen = [step for step in seen if step[0] == "train"]
    assert sum(step[1] for step in seen) == 9 and {step[2] for step in seen} == {9}
    assert found.to_json() == rg.stability(digits, "gcn", 3, cache=tmp_path / "b", **QUICK).to_json()


def test_predictions_alone_need_no_labels():
    found = rg.stability(runs={"a": [[0, 1, 1], [0, 1, 0]]})
    assert set(found.sections) == {"predictions", "rows"}
    assert found.notes == (
        "Accuracy needs labels: none were given.",
        "Representations need models: only predictions were given.",
    )
    assert "Note: Accuracy needs labels" in str(found)
    assert found.sections["rows"]["models"]["a"]["calibration"] is None
    assert set(found.nodes()) >= {"model", "id", "answer", "entropy"}


def test_the_graph_of_the_rows_gives_properties_and_labels(digits):
    runs = PredictionRuns.of(np.zeros((2, 50), dtype=int), ids=np.arange(100, 150))
    found = rg.stability(digits, runs=runs)
    np.testing.assert_array_equal(found.runs.y, digits.y[100:150])
    assert set(found.sections["rows"]["models"]["model"]["strata"]) >= {"class", "degree", "homophily"}


def test_a_folder_is_read(tmp_path):
    for run in range(2):
        np.save(tmp_path / f"{run}.npy", np.array([0, 1, run]))
    np.save(tmp_path / "labels.npy", np.array([0, 1, 1]))
    found = rg.stability(runs=tmp_path)
    assert found.sections["accuracy"]["models"][tmp_path.name]["mean"] == pytest.approx(5 / 6)


def test_tables_are_in_long_form_and_survive_both_files(study, tmp_path):
    table = study.predictions()
    assert list(table) == ["model", "seed", "id", "prediction", "label", "correct"]
    means = table.groupby(["model", "seed"], observed=True)["correct"].mean()
    accuracies = study.accuracies().set_index(["model", "seed"])["value"]
    assert means.loc[("mlp", "3")] == pytest.approx(accuracies.loc[("mlp", "3")])
    for name in ("table.csv", "table.parquet"):
        write_table(table, tmp_path / name)
    read = pd.read_csv(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(
        read, pd.read_parquet(tmp_path / "table.parquet").astype(read.dtypes.to_dict()), check_dtype=False
    )
    assert len(study.nodes()) == 2 * len(study.runs.ids)
    with pytest.raises(InputError, match=r"must end in \.csv or \.parquet"):
        write_table(table, tmp_path / "table.txt")
    with pytest.raises(DataError, match="must be writable"):
        write_table(table, tmp_path / "none" / "table.csv")


def test_unknown_labels_are_empty_in_tables():
    runs = PredictionRuns.of([[0, 1], [1, 1]], y=[0, -1])
    assert prediction_table(runs)["correct"].isna().tolist() == [False, True, False, True]
    assert accuracy_table(runs)["rows"].tolist() == [1, 1]


WRONG = {
    "one seed": (lambda data: rg.stability(data, "gcn", 1), "'seeds' must name at least two runs"),
    "nothing": (lambda data: rg.stability(), "'data' must be given unless 'runs' are"),
    "labels alone": (lambda data: rg.stability(data, labels=[0]), "'labels' must be left out without 'runs'"),
    "runs and models": (
        lambda data: rg.stability(data, runs=[[0]], models=[]),
        "'models' must be left out with 'runs'",
    ),
    "epochs of models": (
        lambda data: rg.stability(data, models=[], epochs=3),
        "'epochs' must be left out with 'models'",
    ),
    "measure": (lambda data: rg.stability(data, measures=["cka", "rsaa"]), "did you mean 'rsa'"),
    "encoder": (lambda data: rg.stability(data, "gnc"), "did you mean 'gcn'"),
    "ids of a folder": (lambda data: rg.stability(runs=".", ids=[1]), "'ids' must be left out for a folder"),
    "other nodes": (
        lambda data: rg.stability(data, runs=PredictionRuns.of([[0], [1]], ids=[9_999])),
        "ids that both tables have",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_sentence(case, digits):
    call, words = WRONG[case]
    with pytest.raises(InputError) as caught:
        call(digits)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_tasks_without_one_class_for_each_row_are_refused(digits):
    data = digits.clone()
    data.y = torch.stack([digits.y % 2, digits.y // 5], dim=1).float()
    with pytest.raises(InputError, match="one class for each row .got a multilabel task"):
        train_runs(data, StitchSettings(seeds=(0, 1)))


def test_sections_are_pure_functions_of_the_material(study):
    assert isinstance(study.material, Material) and len(study.material.trained) == 8
    for key, section in SECTIONS.items():
        assert section.why_not(study.material) is None
        assert json.dumps(section.compute(study.material), default=str)
        assert section.title in str(study), key
