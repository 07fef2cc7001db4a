"""Files beside the report: everything can be read back, without pickle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from relgraph.anchors import AnchorSet, PublishedHead
from relgraph.errors import DataError
from relgraph.io import load_record
from relgraph.maps import convert
from relgraph.stitching import Experiment, artifacts
from relgraph.training import TrainSettings


def test_a_saved_model_can_be_built_again(experiment: Experiment, tmp_path: Path) -> None:
    problem = experiment.problem
    artifacts.save_models(experiment, tmp_path / "models")
    names = {f"{run.encoder}-{run.seed}" for run in experiment.runs}
    expected = names | {f"{name}-{kind}" for kind in experiment.others for name in names}
    assert {path.stem for path in (tmp_path / "models").iterdir()} == expected
    for run in (*experiment.runs, *(one for runs in experiment.others.values() for one in runs)):
        linear = run in experiment.runs
        suffix = "" if linear else "-relative-cosine"
        state, header = load_record(
            tmp_path / "models" / f"{run.encoder}-{run.seed}{suffix}.safetensors", "relgraph.model/1"
        )
        about = json.loads(header["about"])
        assert about["dataset"] == problem.describe() and about["split"] == problem.split.to_dict()
        anchored = problem if linear else problem.with_anchors(experiment.anchors)
        model = anchored.build(about["encoder"], about["seed"], TrainSettings(**about["settings"]), about["head"])
        model.load_state_dict(state)
        assert torch.equal(problem.embed(model), problem.embed(run.trained.model))


@pytest.mark.filterwarnings("ignore::relgraph.maps.FewAnchorsWarning")
def test_saved_spaces_and_heads_convert_as_in_the_experiment(nodes: Experiment, tmp_path: Path) -> None:
    artifacts.save_spaces(nodes, tmp_path)
    artifacts.save_heads(nodes, tmp_path / "heads")
    problem = nodes.problem
    space = AnchorSet.load(tmp_path / "gcn-0.safetensors")
    head = PublishedHead.load(tmp_path / "heads" / "sage-1.safetensors")
    predicted = convert(space, head)(nodes.runs[0].z[problem.test]).argmax(-1).numpy()
    assert np.array_equal(predicted, nodes.stitched["kl"].outputs[0, 3])


def test_behind_a_layer_there_are_spaces_and_no_heads(inner: Experiment, tmp_path: Path) -> None:
    artifacts.save_spaces(inner, tmp_path / "spaces")
    artifacts.save_heads(inner, tmp_path / "heads")
    loaded = AnchorSet.load(tmp_path / "spaces" / "sage-1.safetensors")
    assert torch.equal(loaded.embeddings, inner.runs[3].z[inner.anchors]) and not (tmp_path / "heads").exists()


def test_predictions_are_arrays_without_pickle(experiment: Experiment, tmp_path: Path) -> None:
    problem, path = experiment.problem, tmp_path / "predictions.npz"
    artifacts.save_predictions(experiment, path)
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    assert np.array_equal(arrays["rows"], problem.test) and np.array_equal(arrays["ids"], problem.ids[problem.test])
    np.testing.assert_array_equal(arrays["targets"], problem.y[problem.test].numpy())
    assert arrays["encoders"].tolist() == experiment.encoders
    assert arrays["seeds"].tolist() == [run.seed for run in experiment.runs]
    np.testing.assert_array_equal(arrays["own"], experiment.own)
    assert {name for name in arrays if "/" in name} == {f"stitched/{name}" for name in experiment.methods}
    for name, crossing in experiment.stitched.items():
        np.testing.assert_array_equal(arrays[f"stitched/{name}"], crossing.outputs)


def test_a_place_that_cannot_be_written_is_one_sentence(nodes: Experiment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for save in (artifacts.save_models, artifacts.save_spaces, artifacts.save_heads):
        with pytest.raises(DataError, match="the folder for output must be writable"):
            save(nodes, tmp_path / "file" / "folder")
    with pytest.raises(DataError, match="the file for output must be writable"):
        artifacts.save_predictions(nodes, tmp_path / "missing" / "predictions.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
