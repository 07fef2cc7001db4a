"""What two fingerprints tell of two graphs, against the graphs themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from torch import Tensor
from torch_geometric.data import Data

import relgraph as rg
from relgraph import fingerprints
from relgraph.fingerprints import KEPT, Share, Sketch, compare_fingerprints, short_fingerprint
from relgraph.graph import fingerprint, node_ids

MASK = 2**64 - 1


def graph(edges: Tensor, ids: Tensor) -> Data:
    return Data(edge_index=edges, node_id=ids, num_nodes=len(ids))


def random_graph(count: int, num_edges: int, seed: int = 0) -> Data:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randperm(5 * count, generator=draw)[:count]
    return graph(torch.randint(count, (2, num_edges), generator=draw), ids)


def part(data: Data, rows: Tensor) -> Data:
    """The graph of some nodes."""
    return data.subgraph(rows.sort().values)


def first(data: Data, count: int) -> Data:
    return part(data, torch.arange(count))


def edge_set(data: Data) -> set[tuple[int, ...]]:
    return {tuple(pair) for pair in node_ids(data)[data.edge_index].T.tolist()}


def slow_hash(value: int) -> int:
    mixed = (value + 0x9E3779B97F4A7C15) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return mixed ^ (mixed >> 31)


# --- the sketches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1 << 20, 700])
@pytest.mark.parametrize("count", [0, 1, 30, 5000])
def test_sketches_are_the_smallest_hashes(count: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_BLOCK", block)
    draw = np.random.default_rng(count)
    ids = draw.choice(10**6, count, replace=False) - 1000
    source, target = draw.choice(max(count, 1), (2, count)) if count > 30 else np.zeros((2, count), np.int64)
    nodes = sorted({slow_hash(i & MASK) >> 16 for i in ids.tolist()})
    ends = zip(source.tolist(), target.tolist(), strict=True)
    edges = sorted({slow_hash((slow_hash(a & MASK) + b) & MASK) >> 16 for a, b in ends})
    assert fingerprints.sketch_nodes(ids).hashes.tolist() == nodes[:KEPT]
    assert fingerprints.sketch_edges(source, target).hashes.tolist() == edges[:KEPT]
    assert fingerprints.sketch_edges(source, target).size == count


@given(st.lists(st.integers(0, 2**48 - 1), unique=True, max_size=300), st.booleans())
def test_a_written_fingerprint_is_read_back(hashes: list[int], edges: bool) -> None:
    sketch = Sketch(7, np.array(sorted(hashes), np.uint64))
    text = fingerprints.format_fingerprint("00ff", sketch, sketch if edges else None)
    nodes, other = fingerprints._parsed(text)
    assert short_fingerprint(text) == "00ff" and fingerprints.graph_sizes(text) == (7, 7 if edges else 0)
    assert nodes.hashes.tolist() == sorted(hashes) and (other is None) != edges
    assert other is None or other.hashes.tolist() == sorted(hashes)


def test_a_fingerprint_has_a_bounded_length() -> None:
    assert len(fingerprint(random_graph(20_000, 50_000))) < 4_200


# --- the relation -----------------------------------------------------------------------------------------------


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Data, Data]:
    """Two graphs of at most five nodes, whose ids and edges overlap."""
    found = []
    for _ in range(2):
        ids = draw(st.lists(st.integers(0, 4), min_size=1, unique=True))
        end = st.integers(0, len(ids) - 1)
        edges = draw(st.lists(st.tuples(end, end), unique=True, max_size=4))
        found.append(graph(torch.tensor(edges, dtype=torch.int64).view(-1, 2).T.contiguous(), torch.tensor(ids)))
    return found[0], found[1]


@given(pairs())
def test_the_relation_of_small_graphs_is_that_of_their_sets(two: tuple[Data, Data]) -> None:
    old, new = two
    (nodes, edges), (others, further) = ((set(node_ids(data).tolist()), edge_set(data)) for data in two)
    found = compare_fingerprints(fingerprint(old), fingerprint(new))
    kept = len(edges & further) / len(edges) if edges else 1.0
    same, grown = (nodes, edges) == (others, further), nodes <= others and kept >= 0.5
    assert found.kind == ("same" if same else "grown" if grown else "other")
    assert found.counts == (len(nodes), len(others))
    if not same:
        share = len(nodes & others) / len(nodes)
        assert found.nodes.value == share and found.nodes.interval == (share, share)
        assert not edges or found.edges.value == kept


def test_a_graph_that_has_grown_is_told_from_one_that_has_lost_nodes() -> None:
    whole = random_graph(9000, 40_000)
    kinds = {}
    for size in (1500, 4500, 8900):
        old, new = fingerprint(first(whole, size)), fingerprint(whole)
        found = compare_fingerprints(old, new)
        assert found.kind == "grown" and found.counts == (size, 9000) and found.edges.value == 1
        assert found.nodes.value == 1 and found.nodes.interval[1] == 1
        assert found.nodes.asked == pytest.approx(KEPT * size / 9000, rel=0.5)
        kinds[size] = compare_fingerprints(new, old)
    assert {found.kind for found in kinds.values()} == {"other"}
    low, high = kinds[4500].nodes.interval
    assert low < 0.5 < high and high - low < 0.2
    assert all(found.ids_agree for found in kinds.values())


def test_ids_that_changed_their_meaning_are_another_graph() -> None:
    old = random_graph(2000, 8000)
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(1))
    shuffled = graph(order[old.edge_index], old.node_id)
    found = compare_fingerprints(fingerprint(old), fingerprint(shuffled))
    assert found.kind == "other" and found.nodes.value == 1 and found.edges.value < 0.1
    assert found.ids_agree is False
    # Row numbers of a small graph are among those of every larger one.
    small, large = (Data(edge_index=random_graph(n, 4 * n, n).edge_index, num_nodes=n) for n in (1000, 3000))
    assert compare_fingerprints(fingerprint(small), fingerprint(large)).kind == "other"


def test_half_of_the_edges_is_the_limit() -> None:
    ids, edges = torch.arange(60), torch.stack([torch.arange(60), (torch.arange(60) + 1) % 60])
    for kept, kind in ((60, "grown"), (30, "grown"), (29, "other")):
        fewer = graph(torch.cat([edges[:, :kept], edges[:1, :1].expand(2, 1)], dim=1), ids)
        found = compare_fingerprints(fingerprint(graph(edges, ids)), fingerprint(fewer))
        assert (found.kind, found.edges.found) == (kind, kept)


def test_the_digits_of_earlier_versions_are_equal_or_unknown() -> None:
    new = fingerprint(random_graph(10, 20))
    old = short_fingerprint(new)
    for one, two in ((old, new), (new, old), (old, old)):
        assert compare_fingerprints(one, two).kind == "same"
    for one, two in (
        ("48c2de550dbccd96", new),
        (new, "given"),
        ("", new),
        (new, ""),
        ("a.b.c.d.e", new),
        ("....", new),
    ):
        found = compare_fingerprints(one, two)
        assert (
            found.kind == "unknown"
            and found.ids_agree is None
            and str(found.nodes) == "unknown"
            and found.nodes.interval == (0, 1)
        )


def test_a_graph_too_large_to_tell_is_unknown() -> None:
    new = random_graph(60_000, 10)
    hashes = fingerprints.sketch_nodes(new.node_id.numpy()).hashes
    alone = next(i for i in new.node_id.tolist() if slow_hash(i) >> 16 > int(hashes[-1]))
    old = Data(node_id=torch.tensor([alone]), num_nodes=1)
    assert compare_fingerprints(fingerprint(old), fingerprint(new)).kind == "unknown"
    whole = random_graph(600, 200_000)
    found = compare_fingerprints(fingerprint(first(whole, 5)), fingerprint(whole))
    assert found.kind == "unknown" and found.nodes.asked > 0 and not found.edges.asked


def test_few_edges_that_can_be_looked_up_do_not_make_another_graph() -> None:
    kinds, asked = [], 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        ids = draw.choice(10**9, 40_000, replace=False)
        edges = draw.choice(ids, (2, 160_000))
        own = draw.choice(ids[:300], (2, 300))
        kept = np.hstack([own[:, draw.random(300) < 0.65], edges])
        sketches = [
            (fingerprints.sketch_nodes(ids[:300]), fingerprints.sketch_edges(*own)),
            (fingerprints.sketch_nodes(ids), fingerprints.sketch_edges(*kept)),
        ]
        old, new = (fingerprints.format_fingerprint(str(number), *pair) for number, pair in enumerate(sketches))
        found = compare_fingerprints(old, new)
        kinds.append(found.kind)
        asked += found.edges.asked
        assert found.ids_agree in (True, None) and (found.kind == "grown") == (found.ids_agree is True)
    assert 0 < asked < 200  # a few, and none of some
    assert set(kinds) == {"grown", "unknown"}


@pytest.mark.parametrize(("found", "asked", "kind"), [(0, 4, "unknown"), (0, 5, "other"), (2, 10, "unknown")])
def test_most_edges_are_missing_if_the_interval_says_so(found: int, asked: int, kind: str) -> None:
    """Old and new edges are few of many hashes: those of the old graph that are below the new one's last are asked."""
    new = np.arange(1, KEPT + 1, dtype=np.uint64) * 1000
    old = np.concatenate([new[:found], 1 + 1000 * np.arange(1, asked - found + 1, dtype=np.uint64)])
    old = np.sort(np.concatenate([old, 10**9 + np.arange(50, dtype=np.uint64)]))
    nodes = Sketch(KEPT, new)
    texts = [
        fingerprints.format_fingerprint(str(number), nodes, Sketch(10**6, hashes))
        for number, hashes in enumerate((old, new))
    ]
    relation = compare_fingerprints(*texts)
    assert (relation.edges.found, relation.edges.asked) == (found, asked)
    assert relation.kind == kind and relation.ids_agree is (None if kind == "unknown" else False)


def test_graphs_without_edges_are_compared_by_their_nodes() -> None:
    old, new = (Data(node_id=torch.arange(count), num_nodes=count) for count in (5, 9))
    assert compare_fingerprints(fingerprint(old), fingerprint(new)).kind == "grown"
    assert compare_fingerprints(fingerprint(new), fingerprint(old)).kind == "other"


# --- how sure ---------------------------------------------------------------------------------------------------


def test_a_loss_goes_unnoticed_as_often_as_stated() -> None:
    trials, size, lost = 400, 1500, 15
    missed, expected = 0, 0.0
    for trial in range(trials):
        ids = np.random.default_rng(trial).choice(10**9, 2 * size, replace=False)
        old, new = fingerprints.sketch_nodes(ids[:size]), fingerprints.sketch_nodes(ids[lost:])
        share = old.share_in(new)
        missed += share.found == share.asked
        expected += (1 - lost / size) ** share.asked / trials
    assert 0.1 < expected < 0.5
    assert binom.cdf(missed, trials, expected) > 0.005 and binom.sf(missed - 1, trials, expected) > 0.005


@pytest.mark.parametrize("true", [0.02, 0.5, 0.97, 1.0])
def test_intervals_cover_as_often_as_stated(true: float) -> None:
    size, covered, trials = 1200, 0, 300
    for trial in range(trials):
        ids = np.random.default_rng(trial).choice(10**9, 2 * size, replace=False)
        first_kept = round(size * (1 - true))
        share = fingerprints.sketch_nodes(ids[:size]).share_in(fingerprints.sketch_nodes(ids[first_kept:]))
        low, high = share.interval
        covered += low <= true <= high
    assert covered >= binom.ppf(0.005, trials, 0.95)


def test_a_share_is_shown_with_its_interval() -> None:
    assert [str(Share(5, 10)), str(Share(5, 10, True)), str(Share(0, 0))] == ["50 % [19, 81]", "50 %", "unknown"]


def test_real_graphs_cut_by_half_of_their_nodes() -> None:
    whole = rg.load_dataset("digits")
    rows = torch.randperm(whole.num_nodes, generator=torch.Generator().manual_seed(0))
    whole.node_id = torch.arange(whole.num_nodes)
    half = part(whole, rows[: whole.num_nodes // 2])
    assert compare_fingerprints(fingerprint(half), fingerprint(whole)).kind == "grown"
