"""Link prediction: what is held out, the negative pairs, the heads and the baselines."""

from __future__ import annotations

import jsonschema
import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_networkx, to_undirected

from relgraph.errors import InputError
from relgraph.nn.pair_head import DotDecoder, PairHead
from relgraph.problems import make_problem
from relgraph.problems.link import LinkProblem, _two_hop_pairs, random_non_edges
from relgraph.registry import METHODS
from relgraph.stitching import StitchSettings, build_report, report_schema, run_experiment
from relgraph.training import TrainSettings
from tests.handmade import molecules

SMALL = TrainSettings(hidden_channels=8, epochs=4)


def graph(nodes: int = 60, links: int = 150) -> Data:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(nodes, (2, links), generator=generator)
    edges = to_undirected(edges[:, edges[0] != edges[1]], num_nodes=nodes)
    return Data(x=torch.randn(nodes, 7, generator=generator), edge_index=edges)


def as_set(pairs: torch.Tensor) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in pairs.T.tolist()}


def test_held_out_edges_are_not_in_the_training_graph_in_either_direction() -> None:
    data = graph()
    problem = LinkProblem(data)
    known, messages = as_set(data.edge_index), as_set(problem.data.edge_index)
    held = []
    for rows in (problem.validation, problem.test):
        positive = as_set(problem.pairs[:, rows[problem.y[rows, 0] == 1]])
        negative = as_set(problem.pairs[:, rows[problem.y[rows, 0] == 0]])
        assert positive <= known and not positive & messages
        assert not negative & known and len(negative) == len(positive)
        held.append(positive)
    trained = as_set(problem.pairs[:, problem.train])
    assert trained == messages and trained | held[0] | held[1] == known and not held[0] & held[1]
    assert len(held[0]) == int(0.05 * len(known)) and len(held[1]) == int(0.10 * len(known))


class _Recorder(PairHead):
    """A pair head that keeps the pairs it is called with."""

    def forward(self, z: torch.Tensor, edge_label_index: torch.Tensor) -> torch.Tensor:
        self.pairs = edge_label_index
        return super().forward(z, edge_label_index)


def test_every_epoch_draws_new_negative_pairs_from_the_seeded_generator() -> None:
    problem = LinkProblem(graph())
    model = problem.build("gcn", 0, SMALL)
    model.head, drawn = _Recorder(model.head.in_channels), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        epochs = []
        for _ in range(2):
            ((outputs, y),) = problem.batches(model, SMALL)
            pairs = model.head.pairs
            assert outputs.requires_grad and torch.equal(pairs[:, y[:, 0] == 1], problem.pairs[:, problem.train])
            negative = as_set(pairs[:, y[:, 0] == 0])
            assert len(negative) == len(problem.train) and not negative & as_set(problem.data.edge_index)
            epochs.append(negative)
        drawn.append(epochs)
    assert drawn[0] == drawn[1] and drawn[0][0] != drawn[0][1] and drawn[0][0] != drawn[2][0]


def test_no_edge_back_gives_a_held_out_edge_of_a_directed_graph_away() -> None:
    data = graph()
    data.edge_index = data.edge_index[:, 10:]  # a few edges have lost their counterpart
    assert not data.is_undirected()
    problem = LinkProblem(data)
    messages = as_set(problem.data.edge_index)
    parts = [as_set(problem.pairs[:, rows[problem.y[rows, 0] == 1]]) for rows in (problem.validation, problem.test)]
    trained = as_set(problem.pairs[:, problem.train])
    assert all(parts) and trained == messages
    assert not parts[0] & parts[1] and not (parts[0] | parts[1]) & (messages | trained)


def test_the_seed_draws_the_split() -> None:
    one, same, other = (LinkProblem(graph(), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.pairs, same.pairs) and not torch.equal(one.pairs, other.pairs)


@pytest.mark.parametrize("links", [0, 5, 100])
def test_random_non_edges_are_different_pairs_without_an_edge(links: int) -> None:
    count = 25
    edges = graph(count, links).edge_index
    known = torch.unique(edges[0] * count + edges[1])
    slow = {frozenset((u, v)) for u in range(count) for v in range(u)} - as_set(edges)
    wanted = len(slow) // 2
    pairs = random_non_edges(known, count, wanted, torch.Generator().manual_seed(1))
    assert as_set(pairs) <= slow and len(as_set(pairs)) == wanted == pairs.size(1)


def test_every_pair_without_an_edge_is_as_likely() -> None:
    count, draws = 6, 3000
    known = torch.tensor([1, 6])  # the edge between 0 and 1, in both directions
    generator = torch.Generator().manual_seed(0)
    seen = torch.zeros(count, count)
    for _ in range(draws):
        low, high = random_non_edges(known, count, 1, generator)
        seen[low, high] += 1
    shares = seen[torch.triu_indices(count, count, 1).unbind()] / draws
    assert shares[0] == 0 and (shares[1:] - 1 / 14).abs().max() < 0.025


def test_two_hop_negatives_share_a_neighbor_in_the_training_graph() -> None:
    problem = LinkProblem(graph(), negatives="two-hop")
    network = nx.Graph(problem.data.edge_index.T.tolist())
    rows = problem.test[problem.y[problem.test, 0] == 0]
    assert rows.numel() > 0
    for one, other in problem.pairs[:, rows].T.tolist():
        assert list(nx.common_neighbors(network, one, other)) and not network.has_edge(one, other)


def test_two_hop_negatives_are_drawn_among_all_such_pairs() -> None:
    problem = LinkProblem(graph())
    known = torch.zeros(0, dtype=torch.int64)
    every = as_set(_two_hop_pairs(problem.adjacency, known, 10**6, torch.Generator()))
    drawn = [
        as_set(_two_hop_pairs(problem.adjacency, known, len(every) // 4, torch.Generator().manual_seed(seed)))
        for seed in range(40)
    ]
    assert all(len(found) == len(every) // 4 and found < every for found in drawn)
    assert set().union(*drawn) == every  # a pair is missed by all draws once in 100,000


def test_outputs_are_what_the_head_reads_from_all_nodes() -> None:
    problem = make_problem(graph(), "link")
    model = problem.build("gcn", 0, SMALL)
    assert isinstance(model.head, PairHead) and not problem.pointwise()
    z = model.eval().encode(problem.data)
    expected = model.head(z, problem.pairs[:, problem.test])
    torch.testing.assert_close(problem.outputs(model, problem.test), expected)
    torch.testing.assert_close(problem.read(model.head, z, problem.test), expected)


def test_heads_are_symmetric_in_the_two_nodes() -> None:
    z, pairs = torch.randn(9, 4), torch.randint(9, (2, 20))
    for head in (PairHead(4), DotDecoder()):
        torch.testing.assert_close(head(z, pairs), head(z, pairs.flip(0)))
    torch.testing.assert_close(DotDecoder()(z, pairs)[:, 0], (z @ z.T)[pairs[0], pairs[1]])


def test_an_experiment_stitches_pair_heads() -> None:
    experiment = run_experiment(graph(), StitchSettings(("gcn",), (0, 1), task="link", num_anchors=32, train=SMALL))
    assert {"ridge", "procrustes", "common-neighbors", "permuted-anchors"} <= set(experiment.stitched)
    assert experiment.own.shape == (2, experiment.problem.test.numel(), 1)
    assert np.isfinite(experiment.stitched["ridge"].outputs).all()
    jsonschema.validate(build_report(experiment), report_schema())


def test_fidelity_of_scores_is_their_rank_correlation() -> None:
    problem = LinkProblem(graph())
    one, same_order = np.array([[-1.0], [0.5], [2.0]]), np.array([[1.0], [5.0], [6.0]])
    assert problem.task.agreement(one, same_order) == 1.0 and problem.task.differ(one, same_order) is None


def test_what_is_behind_an_inner_layer_is_stitched_with_its_pair_head() -> None:
    settings = StitchSettings(("gcn",), (0, 1), methods=("procrustes",), num_anchors=32, train=SMALL, at=1)
    experiment = run_experiment(make_problem(graph(), "link"), settings)
    np.testing.assert_allclose(experiment.runs[0].record(experiment.problem.test), experiment.own[0], atol=1e-6)
    assert np.isfinite(experiment.stitched["procrustes"].outputs).all() and not experiment.heads


def test_inner_products_have_no_head_to_exchange() -> None:
    problem = make_problem(graph(), "link-dot")
    assert isinstance(problem.build("gcn", 0, SMALL).head, DotDecoder)


@pytest.mark.parametrize("name", ["common-neighbors", "preferential-attachment"])
def test_baselines_against_networkx(name: str) -> None:
    problem = LinkProblem(graph())
    network = to_networkx(problem.data, to_undirected=True)
    one, other = problem.pairs[:, problem.test].numpy()
    found = METHODS.resolve(name).scores(problem.adjacency, one, other)
    pairs = list(zip(one.tolist(), other.tolist(), strict=True))
    if name == "common-neighbors":
        expected = [len(list(nx.common_neighbors(network, u, v))) for u, v in pairs]
    else:
        expected = [score for _, _, score in nx.preferential_attachment(network, pairs)]
    np.testing.assert_array_equal(found, expected)


def test_graphs_that_cannot_be_split_are_one_sentence() -> None:
    small = Data(x=torch.randn(5, 2), edge_index=torch.zeros(2, 0, dtype=torch.long))
    with pytest.raises(InputError, match="at least 20 edges"):
        LinkProblem(small)
    weighted = graph()
    weighted.edge_weight = torch.ones(weighted.num_edges)
    with pytest.raises(InputError, match="no edge weights"):
        LinkProblem(weighted)
    full = Data(x=torch.randn(8, 2), edge_index=torch.ones(8, 8).triu(1).nonzero().T)
    with pytest.raises(InputError, match="more pairs without an edge"):
        LinkProblem(full)
    with pytest.raises(InputError, match="'task' must be 'graph' for a set of graphs"):
        make_problem(molecules(), "link")
    with pytest.raises(InputError, match="'task' must be 'node' or 'link' for one graph"):
        make_problem(graph(), "graph")
    with pytest.raises(InputError, match="needs a head that reads one row at a time"):
        StitchSettings(methods=("kl",), train=SMALL).resolve(make_problem(graph(), "link"))
    with pytest.raises(InputError, match="split"):
        LinkProblem(graph(), "public")
    with pytest.raises(InputError, match="must be 'linear'"):
        LinkProblem(graph()).build("gcn", 0, SMALL, "relative-cosine")
