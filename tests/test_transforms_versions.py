"""Anchors over the versions of a graph: chosen to last, and what is left of them when nodes disappear."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import relgraph as rg
from relgraph import AddAnchors
from relgraph.anchors import AnchorSet, choose_weighted, lasting_nodes, publish
from relgraph.errors import InputError
from relgraph.graph import anchor_index
from relgraph.transforms import MissingAnchorsWarning
from tests.spaces import head, normal, rotation


@pytest.fixture(scope="module")
def versions() -> list[Data]:
    """A random graph at three times, its rows shuffled in the last, and features everywhere."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randperm(1000, generator=draw)[:200]
    ends = torch.randint(200, (2, 800), generator=draw)
    whole = Data(x=normal(200, 5).float(), edge_index=ends, node_id=ids)
    return [whole.subgraph(torch.arange(100)), whole.subgraph(torch.arange(150)), whole]


@pytest.mark.parametrize("strategy", ["random", "degree", "kmeans"])
def test_anchors_are_chosen_among_the_lasting_quarter_and_apply_to_every_version(
    versions: list[Data], strategy: str
) -> None:
    made = AddAnchors.from_versions(versions, 12, strategy, seed=3)
    lasting = lasting_nodes(versions)
    assert set(made.ids.tolist()) <= set(lasting[:25].tolist()) and made.labels_used == "none"
    for data in versions:
        with_anchors = made(data)
        assert torch.equal(with_anchors.node_id[anchor_index(with_anchors)], made.ids)
    among = torch.isin(versions[-1].node_id, lasting[:25])
    generator = torch.Generator().manual_seed(3)
    rows, weights = choose_weighted(versions[-1], 12, strategy, among=among, generator=generator)
    assert torch.equal(versions[-1].node_id[rows], made.ids)
    assert (weights is None) == (made.weights is None) == (strategy != "kmeans")
    assert weights is None or torch.equal(AnchorSet.from_embeddings(versions[0].x, made(versions[0])).weights, weights)
    assert torch.equal(AddAnchors.from_versions(versions, 12, strategy, seed=3).ids, made.ids)


def test_the_share_may_be_all_and_is_as_large_as_needed(versions: list[Data]) -> None:
    common = set(versions[0].node_id.tolist())
    assert set(AddAnchors.from_versions(versions, 100, share=0.01).ids.tolist()) == common
    assert set(AddAnchors.from_versions(versions, 10, share=0.1).ids.tolist()) == set(
        lasting_nodes(versions)[:10].tolist()
    )
    drawn = {i for seed in range(20) for i in AddAnchors.from_versions(versions, 50, share=1.0, seed=seed).ids.tolist()}
    assert drawn == common


def test_a_single_graph_gives_the_nodes_with_the_most_neighbors(versions: list[Data]) -> None:
    for given in (versions[-1], versions[-1:]):
        made = AddAnchors.from_versions(given, 20, share=0.1)
        expected = AddAnchors(20, "degree")(versions[-1])
        assert set(made.ids.tolist()) == set(expected.node_id[anchor_index(expected)].tolist())


def test_graphs_of_networkx_are_taken() -> None:
    old, new = nx.path_graph([4, 1, 2]), nx.path_graph([4, 1, 2, 3])
    for graph in (old, new):
        nx.set_node_attributes(graph, {node: [float(node)] for node in graph}, "x")
    assert sorted(AddAnchors.from_versions([old, new], 2).ids.tolist()) == [1, 4]


def test_a_choice_that_is_not_possible_is_refused(versions: list[Data]) -> None:
    for options, message in (
        ({"num_anchors": 101}, "'num_anchors' must be at most 100, the nodes that all versions have .got 101."),
        ({"num_anchors": "5"}, "'num_anchors' must be a whole number .got '5'"),
        ({"num_anchors": 5, "share": "a"}, "'share' must be a number .got 'a'"),
        ({"num_anchors": 0}, "'num_anchors' must be at least 1"),
        ({"num_anchors": 5, "share": 0}, "'share' must be above 0 and at most 1 .got 0."),
        ({"num_anchors": 5, "share": 1.1}, "'share' must be above 0"),
        ({"num_anchors": 5, "strategy": "degre"}, "'strategy' must be one of .* did you mean 'degree'"),
        ({"num_anchors": 5, "strategy": "k-center"}, "'among' must be left out for the strategy 'k-center'"),
    ):
        with pytest.raises(InputError, match=message):
            AddAnchors.from_versions(versions, **options)


# --- anchors that are gone --------------------------------------------------------------------------------------


def test_missing_anchors_are_an_error_or_are_left_out_with_a_warning(versions: list[Data]) -> None:
    old, _, new = versions
    later = new.subgraph(torch.arange(50, 200))
    ids, weights = old.node_id[30:70], torch.arange(1.0, 41.0)
    with pytest.raises(InputError, match="'ids' must all be nodes of the graph .missing: .* and 15 more.*'drop'"):
        AddAnchors.from_ids(ids)(later)
    made = AddAnchors.from_ids(ids, weights=weights, missing="drop")
    with pytest.warns(MissingAnchorsWarning, match="^20 of 40 anchors are not in the graph and were left out") as found:
        with_anchors = made(later)
    assert found[0].filename == __file__
    assert with_anchors.num_anchors == 20
    assert torch.equal(with_anchors.node_id[anchor_index(with_anchors)], ids[20:])
    assert torch.equal(AnchorSet.from_embeddings(later.x, with_anchors).weights, weights[20:])
    assert made(new).num_anchors == 40  # no anchor is missing, and there is no warning


def test_at_least_one_anchor_must_be_left(versions: list[Data]) -> None:
    with pytest.raises(InputError, match="'ids' must name a node of the graph .missing: -5.; take anchors that both"):
        AddAnchors.from_ids(torch.tensor([-5]), missing="drop")(versions[0])
    with pytest.raises(InputError, match="'missing' must be one of drop, error .got 'skip'."):
        AddAnchors.from_ids(torch.tensor([1]), missing="skip")  # type: ignore[arg-type]


def surviving_and_fresh(lost: float, draw: int) -> tuple[float, float]:
    """Fidelity of a head converted from the anchors that are left of 80, and from as many anchors chosen anew."""
    order = torch.randperm(400, generator=torch.Generator().manual_seed(draw))
    z = normal(400, 6, seed=draw)
    other = z @ rotation(6, draw) + 0.3 * normal(400, 6, seed=draw + 1000)
    own = head(6, 4, draw)
    published = publish(own, AnchorSet.from_rows(other, order[:80]))
    left = round(80 * (1 - lost))
    decisions = own(other).argmax(1)
    found = []
    for rows, there in (
        (order[:left], published),
        (order[80 : 80 + left], publish(own, AnchorSet.from_rows(other, order[80 : 80 + left]))),
    ):
        answers = rg.convert(AnchorSet.from_rows(z, rows), there)(z).argmax(1)
        found.append(float((answers == decisions).double().mean()))
    return found[0], found[1]


@pytest.mark.parametrize("lost", [0.1, 0.5])
def test_the_anchors_that_are_left_are_as_good_as_fresh_ones(lost: float) -> None:
    left, fresh = np.array([surviving_and_fresh(lost, draw) for draw in range(20)]).mean(axis=0)
    assert fresh > 0.75 and abs(left - fresh) < 0.01


def test_a_head_on_a_real_graph_is_converted_from_half_of_its_anchors() -> None:
    data = rg.load_dataset("digits")
    data.node_id = torch.arange(data.num_nodes)
    old, new = rg.fit(data, "gcn", seed=0, epochs=60), rg.fit(data, "gcn", seed=1, epochs=60)
    before, after = old.embed(data), new.embed(data)
    accuracy: dict[str, list[float]] = {"left": [], "fresh": []}
    for draw in range(4):
        published = AddAnchors(256, seed=draw)(data)
        there = publish(old.head, AnchorSet.from_embeddings(before, published))
        lost = torch.randperm(256, generator=torch.Generator().manual_seed(draw))[:128]
        kept = torch.ones(data.num_nodes, dtype=torch.bool)
        kept[anchor_index(published)[lost]] = False
        later = data.subgraph(kept)
        with pytest.warns(MissingAnchorsWarning, match="128 of 256 anchors"):
            left = AddAnchors.from_ids(there.ids, missing="drop")(later)
        fresh = AddAnchors(128, seed=100 + draw)(later)
        for name, graph in (("left", left), ("fresh", fresh)):
            space = AnchorSet.from_embeddings(after[kept], graph, fingerprint="")
            target = there if name == "left" else publish(old.head, AnchorSet.from_embeddings(before[kept], fresh))
            answers = rg.convert(space, target)(after[kept]).argmax(1)
            accuracy[name].append(float((answers == later.y).double().mean()))
    means = {name: float(np.mean(values)) for name, values in accuracy.items()}
    assert means["fresh"] > 0.85 and abs(means["left"] - means["fresh"]) < 0.01
