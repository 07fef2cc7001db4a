import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import GCN, GraphSAGE

import relgraph as rg
from relgraph.errors import InputError
from relgraph.problems import make_problem
from relgraph.studies import model_runs
from tests.stitching.small import blocks

CLASSES, WIDTH, INPUTS = 3, 8, 12


@pytest.fixture(scope="module")
def data():
    """A graph with masks."""
    return make_problem(blocks()).data


def gcn(seed):
    torch.manual_seed(seed)
    return GCN(INPUTS, WIDTH, num_layers=2, out_channels=CLASSES)


class Branching(nn.Module):
    """A module that cannot be traced, because it branches on values."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.linear = nn.Linear(INPUTS, CLASSES)

    def forward(self, x, edge_index):
        return self.linear(x) if float(x.sum()) > 0 else self.linear(-x)


def trained(kind):
    with torch.random.fork_rng():
        if kind == "modules":
            return [gcn(seed).train() for seed in range(3)]
        if kind == "pairs":
            return [(GraphSAGE(INPUTS, WIDTH, num_layers=2), nn.Linear(WIDTH, CLASSES)) for _ in range(3)]
        return [rg.split(gcn(seed).eval()) for seed in range(3)]


@pytest.mark.parametrize("kind", ["modules", "pairs", "models"])
def test_predictions_are_those_of_the_models_and_models_stay_as_they_are(kind, data):
    models = trained(kind)
    parts = [part for one in models for part in (one if isinstance(one, tuple) else (one,))]
    states, modes = [copy.deepcopy(part.state_dict()) for part in parts], [part.training for part in parts]
    found = rg.stability(data, models=models)
    for row, one in enumerate(models):
        encoder, head = one if isinstance(one, tuple) else (one, nn.Identity())
        encoder, head = copy.deepcopy(encoder).eval(), copy.deepcopy(head).eval()
        with torch.no_grad():
            expected = head(encoder(data.x, data.edge_index))[data.test_mask]
        np.testing.assert_array_equal(found.runs.classes[row], expected.argmax(1).numpy())
        np.testing.assert_allclose(found.runs.logits[row], expected.numpy(), atol=1e-5)
    assert found.runs.ids.tolist() == data.test_mask.nonzero().view(-1).tolist()
    assert ("remedies" in found.sections) == (kind == "pairs") == (len(found.notes) == 0)
    assert set(found.sections) - {"remedies"} == {"accuracy", "predictions", "rows", "representations"}
    assert [part.training for part in parts] == modes
    for part, state in zip(parts, states, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in part.state_dict().items())


def test_several_architectures_are_compared(data):
    models = {"gcn": trained("modules"), "sage": nn.ModuleList(GraphSAGE(INPUTS, WIDTH, 2, CLASSES) for _ in range(2))}
    found = rg.stability(data, models=models)
    assert found.runs.models == ("gcn",) * 3 + ("sage",) * 2
    assert [(one["first"], one["second"]) for one in found.sections["representations"]["blocks"]] == [
        ("gcn", "gcn"), ("gcn", "sage"), ("sage", "sage"),
    ]  # fmt: skip
    assert len(found.sections["accuracy"]["comparisons"]) == 1
    assert found.to_dict()["train"] is None and found.to_dict()["split"]["name"] == "public"


def test_the_same_models_give_the_same_study_as_training_them(tmp_path):
    data = blocks()
    one = rg.stability(data, "gcn", 3, epochs=4, cache=tmp_path)
    given = rg.stability(data, models=[run.model for run in one.material.trained], split="random")
    for key in ("accuracy", "predictions", "representations", "remedies"):
        own, other = (str(found.to_dict()["sections"][key]) for found in (one, given))
        assert own == other.replace("'model'", "'gcn'")


def test_modules_that_cannot_be_taken_apart_are_used_whole(data):
    models = [Branching(seed) for seed in range(3)]
    found = rg.stability(data, models=models)
    assert "representations" not in found.sections
    assert any(
        note.startswith("Representations are not compared: run 0 of 'model' cannot be taken apart")
        for note in found.notes
    )
    expected = models[1](data.x, data.edge_index)[data.test_mask].argmax(1)
    np.testing.assert_array_equal(found.runs.classes[1], expected.numpy())


WRONG = {
    "one module": (lambda data: gcn(0), "'models' must be a list of models, or one for each name (got a single GCN"),
    "one module of a name": (lambda data: {"a": gcn(0)}, "(got a single GCN of 'a')"),
    "one run": (lambda data: {"a": [gcn(0)]}, "must hold at least two runs of every name (got 1 of 'a')"),
    "nothing": (lambda data: {}, "must hold models: torch modules, pairs (encoder, head) or relgraph.Model (got none)"),
    "text": (lambda data: "gcn", "(got str)"),
    "names": (lambda data: ["gcn", "sage"], "(got str as run 0 of 'model')"),
    "other features": (lambda data: [GCN(5, 8, 2, 3), GCN(5, 8, 2, 3)], "must be callable with 'data' (got from run 0"),
    "few outputs": (lambda data: [GCN(INPUTS, 8, 2, 2)] * 2, "C at least 3 (got shape"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_models_are_one_sentence(case, data):
    make, words = WRONG[case]
    with pytest.raises(InputError) as caught:
        rg.stability(data, models=make(data))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_split_must_be_known_and_the_task_of_classes(data):
    with pytest.raises(InputError, match="'data' must be given with 'models'"):
        rg.stability(models=[gcn(0), gcn(1)])
    with pytest.raises(InputError, match="'data' must have train_mask, val_mask and test_mask"):
        model_runs([gcn(0), gcn(1)], blocks())
    assert model_runs([gcn(0), gcn(1)], blocks(), split="random").problem.split.name == "random"
    several = data.clone()
    several.y = torch.stack([data.y % 2, data.y // 2], dim=1).float()
    with pytest.raises(InputError, match="one class for each row"):
        model_runs([gcn(0), gcn(1)], several)
