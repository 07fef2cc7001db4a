"""Node problems: rows, models cut at layers, anchors, and the graphs that are refused."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Data, HeteroData

import relgraph as rg
from relgraph.errors import InputError
from relgraph.modes import eval_mode
from relgraph.nn.encoders import GCNEncoder
from relgraph.nn.model import Model, RelativeModel
from relgraph.problems import make_problem
from relgraph.problems.node import NodeProblem
from relgraph.registry import ENCODERS
from relgraph.training import TrainSettings
from tests.handmade import molecules
from tests.training.graphs import clusters

SETTINGS = TrainSettings(hidden_channels=8)


def graph(nodes: int = 60, *, weighted: bool = False) -> Data:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(nodes, (2, 4 * nodes), generator=generator)
    data = Data(x=torch.randn(nodes, 7, generator=generator), edge_index=edges, y=torch.arange(nodes) % 3)
    if weighted:
        data.edge_weight = torch.rand(edges.size(1), generator=generator) + 0.1
    return data


@pytest.fixture(scope="module")
def problem() -> NodeProblem:
    found = make_problem(graph(), seed=3)
    assert isinstance(found, NodeProblem)
    return found


def test_rows_are_the_labeled_nodes_of_the_masks(problem: NodeProblem) -> None:
    data = problem.data.clone()
    data.y[problem.train[:2]] = -1
    again = NodeProblem(data)
    assert torch.equal(again.train, problem.train[2:])
    assert torch.equal(again.test, problem.test) and again.split.train == problem.train.numel() - 2
    assert (problem.num_outputs, problem.task.level, problem.task.metric.name) == (3, "node", "accuracy")
    assert torch.equal(problem.candidates, torch.arange(60)) and problem.center_rows is None
    assert make_problem(problem) is problem


def test_the_seed_of_the_split_is_used() -> None:
    one, two, same = (make_problem(graph(), split="random", seed=seed) for seed in (0, 1, 0))
    assert torch.equal(one.train, same.train) and not torch.equal(one.train, two.train)


def test_a_seed_determines_the_model_and_leaves_the_global_generator(problem: NodeProblem) -> None:
    before = torch.get_rng_state()
    one, same, other = (problem.build("gcn", seed, SETTINGS) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    states = [torch.cat([value.view(-1) for value in model.state_dict().values()]) for model in (one, same, other)]
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ENCODERS)
def test_features_of_another_floating_point_type_are_trained_on_in_float32(name: str, dtype: torch.dtype) -> None:
    given = graph(weighted=True)
    given.x = given.x.to(dtype)
    given.edge_weight = given.edge_weight.to(torch.float64 if dtype == torch.float64 else torch.float16)
    plain = given.clone()
    plain.x, plain.edge_weight = given.x.float(), given.edge_weight.float()
    one, other = (rg.fit(data, name, epochs=2, hidden_channels=8) for data in (given, plain))
    assert given.x.dtype == dtype  # the graph itself is not changed
    assert torch.equal(one.embed(given), other.embed(plain)) and torch.equal(one.predict(given), other.predict(plain))
    assert one.embed(given).dtype == torch.float32


def test_float32_features_are_those_of_the_graph(problem: NodeProblem) -> None:
    data = graph()
    assert NodeProblem(data).data.x is data.x


@pytest.mark.parametrize("weighted", [False, True])
def test_a_model_cut_at_any_layer_gives_its_own_outputs(weighted: bool) -> None:
    problem = make_problem(graph(weighted=weighted))
    model = problem.build("gcn", 0, TrainSettings(hidden_channels=8, num_layers=3))
    model.train()  # inference must not depend on it
    wanted = problem.outputs(model, problem.test)
    assert torch.equal(wanted, model.predict(problem.data)[problem.test])
    for at in (None, 1, 2, 3):
        _, head = problem.cut(model, at)
        with eval_mode(head):
            found = problem.read(head, problem.embed(model, at), problem.test)
        torch.testing.assert_close(found, wanted)
        assert problem.pointwise(at) == (at is None)
    assert torch.equal(problem.embed(model), problem.embed(model, 3))
    assert problem.embed(model, 1).shape == (60, 8)
    assert all(module.training for module in model.modules())


def test_layers_that_are_not_there_are_refused(problem: NodeProblem) -> None:
    model = problem.build("gcn", 0, SETTINGS)
    for at in (0, 3, True, 1.0):
        with pytest.raises(InputError, match="'at' must be from 1 to 2, the layers of GCNEncoder"):
            problem.embed(model, at)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'at' must be from 1 to 1, the layers"):
        problem.cut(Model(nn.Linear(7, 8), nn.Linear(8, 3)), 2)
    anchored = problem.with_anchors(torch.tensor([3, 5]))
    with pytest.raises(InputError, match="'model' must have a head on embeddings"):
        problem.embed(anchored.build("gcn", 0, SETTINGS, "relative-cosine"), 1)


def test_one_batch_holds_the_training_nodes_and_gradients(problem: NodeProblem) -> None:
    model = problem.build("gcn", 0, SETTINGS).eval()
    ((outputs, y),) = problem.batches(model, SETTINGS)
    assert torch.equal(y, problem.y[problem.train]) and outputs.requires_grad
    torch.testing.assert_close(outputs, problem.outputs(model, problem.train))


def test_anchors_are_written_in_their_order_and_only_to_a_copy(problem: NodeProblem) -> None:
    rows = torch.tensor([9, 2, 40])
    anchored = problem.with_anchors(rows)
    assert torch.equal(rg.anchor_index(anchored.data), rows)
    assert "anchor_rank" not in problem.data
    model = anchored.build("sage", 0, SETTINGS, "relative-cosine")
    assert isinstance(model, RelativeModel) and model.head.in_features == 3
    with pytest.raises(InputError, match="AddAnchors"):
        problem.build("sage", 0, SETTINGS, "relative-cosine")


def test_chosen_anchors_are_those_of_the_transform(problem: NodeProblem) -> None:
    for strategy in ("random", "kmeans", "degree"):
        rows = problem.choose_anchors(6, strategy, seed=4)
        made = rg.AddAnchors(6, strategy, seed=4)(problem.data)
        assert torch.equal(rows, rg.anchor_index(made))
        same, weights = problem.weighted_anchors(6, strategy, seed=4)
        assert torch.equal(same, rows) and (weights is None) == (strategy != "kmeans")
        assert weights is None or torch.equal(weights, made.anchor_weight[rows])
    with pytest.raises(InputError, match="'num_anchors' must be from 1 to 60"):
        problem.choose_anchors(61)


def test_the_digest_covers_what_training_reads() -> None:
    base = make_problem(graph(weighted=True), split="random").data
    digests = {make_problem(base).digest()}
    for name in ("x", "edge_index", "edge_weight", "y"):
        changed = base.clone()
        changed[name].view(-1)[0] += 1
        changed.y %= 3
        digests.add(make_problem(changed).digest())
    for name in ("train_mask", "val_mask", "test_mask"):
        changed = base.clone()
        changed[name][int(changed[name].nonzero()[0])] = False
        digests.add(make_problem(changed).digest())
    assert len(digests) == 8
    problem, one, two = (
        make_problem(base),
        *(make_problem(base).with_anchors(torch.tensor(rows)) for rows in ([1], [2])),
    )
    assert problem.digest() == one.digest() == two.digest()
    assert one.digest("relative-cosine") != two.digest("relative-cosine")


def test_the_chance_level_and_the_best_constant(problem: NodeProblem) -> None:
    assert problem.chance == 0.0
    counts = torch.bincount(problem.y[problem.test])
    assert problem.constant == pytest.approx(float(counts.max() / counts.sum()))


def test_edges_in_an_adjacency_are_read() -> None:
    data, other = graph(), graph()
    data.edge_index = torch.unique(data.edge_index, dim=1)
    ones = torch.ones(data.edge_index.size(1))
    del other.edge_index
    other.adj_t = torch.sparse_coo_tensor(data.edge_index.flip(0), ones, (60, 60), check_invariants=True).coalesce()
    problem, same = make_problem(data), make_problem(other)
    model = problem.build("gcn", 0, SETTINGS)
    torch.testing.assert_close(problem.embed(model), same.embed(model))


def test_the_description_names_sizes_and_source(problem: NodeProblem) -> None:
    found = problem.describe()
    assert (found["num_nodes"], found["num_edges"], found["num_features"], found["num_outputs"]) == (60, 240, 7, 3)
    assert found["fingerprint"] == problem.fingerprint[:16]
    assert problem.fingerprint == rg.graph.fingerprint(problem.data)


class _Pooled(nn.Module):
    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return x.mean(0)


def test_models_that_cannot_be_built_are_refused(problem: NodeProblem) -> None:
    with pytest.raises(InputError, match="'encoder' must be one of .*did you mean 'gcn'"):
        problem.build("gnc", 0, SETTINGS)
    with pytest.raises(InputError, match="'head' must be one of frozen, linear, relative-cosine"):
        problem.build("gcn", 0, SETTINGS, "cosine")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'encoder' must return one embedding per node, \(60, F\)"):
        problem.build(_Pooled, 0, SETTINGS)
    with pytest.raises(InputError, match=r"'num_layers' must be left out for an encoder of your own \(got 3\)"):
        problem.build(GCNEncoder(7, 8), 0, TrainSettings(num_layers=3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": None}, "'data' must have features 'x' and edges"),
        ({"edge_index": None}, "'data' must have features 'x' and edges"),
        ({"x": torch.zeros(60, 3, dtype=torch.long)}, "'x' must be a dense floating-point matrix .*torch.int64"),
        ({"x": torch.eye(60).to_sparse()}, "'x' must be a dense .*sparse tensor"),
        ({"x": torch.full((60, 3), float("inf"))}, "finite features 'x' .got infinity in row 0"),
        ({"edge_index": torch.tensor([[0, 60], [1, 2]])}, "'edge_index' must name nodes from 0 to 59 .got 0 to 60"),
        ({"edge_index": torch.tensor([[0, -1], [1, 2]])}, "'edge_index' must name nodes from 0 to 59 .got -1 to 2"),
        ({"edge_index": torch.zeros(3, 2, dtype=torch.long)}, r"'edge_index' must have shape \(2, E\)"),
        ({"edge_weight": torch.tensor([1.0, math.nan])}, "'edge_weight' must be finite .got nan at edge 1"),
        ({"y": torch.full((60,), -1)}, "'y' must hold the class of at least one node"),
    ],
)
def test_graphs_that_cannot_be_trained_on_are_refused(change: dict[str, object], message: str) -> None:
    data = graph()
    for name, value in change.items():
        data[name] = value
    data.num_nodes = 60
    with pytest.raises(InputError, match=message):
        NodeProblem(data)


def test_negative_weights_are_refused_by_encoders_that_normalize() -> None:
    data = graph()
    data.edge_weight = torch.ones(data.edge_index.size(1))
    data.edge_weight[3] = -2
    problem = NodeProblem(data)
    for name in ("gcn", "gcn2"):
        with pytest.raises(InputError, match="'edge_weight' must be finite and not negative .*got -2 at edge 3"):
            problem.build(name, 0, SETTINGS)
    assert problem.build("sage", 0, SETTINGS).embed(data).isfinite().all()


def test_the_first_row_that_is_not_finite_is_named() -> None:
    data = graph()
    data.x[12, 3], data.x[40, 0] = float("nan"), float("inf")
    with pytest.raises(InputError, match="finite features 'x' .got NaN in row 12"):
        NodeProblem(data)


def test_a_split_without_labeled_training_nodes_is_refused(problem: NodeProblem) -> None:
    for part, mask in (("train", "train_mask"), ("validation", "val_mask")):
        data = problem.data.clone()
        data.y[data[mask]] = -1
        with pytest.raises(InputError, match=f"'{part}' must name at least 1 labeled node"):
            NodeProblem(data)


def test_other_data_are_refused() -> None:
    with pytest.raises(InputError, match="'data' must be a PyG Data of one node type .got HeteroData"):
        make_problem(HeteroData())
    with pytest.raises(InputError, match="'task' must be one of .*did you mean 'node'"):
        make_problem(graph(), "nod")


def test_anchors_are_chosen_among_the_candidates(problem: NodeProblem) -> None:
    some = copy.copy(problem)
    some.candidates = torch.arange(10, 30)
    for strategy in ("random", "kmeans", "degree"):
        rows, weights = some.weighted_anchors(8, strategy, seed=1)
        assert bool(((rows >= 10) & (rows < 30)).all())
        assert weights is None or float(weights.sum()) == pytest.approx(1)
        whole = problem.choose_anchors(8, strategy, seed=1)
        expected = rg.select_anchors(problem.data, 8, strategy, generator=torch.Generator().manual_seed(1))
        assert torch.equal(whole, expected)


def test_soft_targets_are_of_all_rows_and_of_classes() -> None:
    problem = make_problem(clusters())
    with pytest.raises(InputError, match="'probabilities' must have shape .240, 3. .got .240, 2."):
        problem.with_soft_targets(torch.ones(240, 2))
    posed = problem.with_soft_targets(torch.full((240, 3), 1 / 3))
    assert posed.digest() != problem.digest() and problem.soft_targets is None
    assert posed.train_targets.shape == (240, 3) and torch.equal(problem.train_targets, problem.y[problem.train])
    with pytest.raises(InputError, match="must pose classes of nodes"):
        make_problem(molecules("regression")).with_soft_targets(torch.ones(60, 1))
