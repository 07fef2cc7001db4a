from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import relgraph as rg
from relgraph.errors import InputError
from relgraph.measures import Retrieval, neighbors
from tests.spaces import F64, normal

METRICS = ("cosine", "euclidean")


def slow_distances(queries: Tensor, keys: Tensor, metric: str) -> list[list[float]]:
    """Distances, one pair at a time; equal rows give equal numbers."""

    def unit(row: list[float]) -> list[float]:
        size = math.sqrt(math.fsum(x * x for x in row))
        return [x / size for x in row] if size else row

    def distance(a: list[float], b: list[float]) -> float:
        if metric == "euclidean":
            return math.dist(a, b)
        return 1 - math.fsum(x * y for x, y in zip(unit(a), unit(b), strict=True))

    return [[distance(q, x) for x in keys.tolist()] for q in queries.tolist()]


def table(count: int, width: int, seed: int, *, whole: bool) -> Tensor:
    """Normal rows with repeated ones, or rows of small whole numbers, at exact distances with many ties."""
    if whole:
        return torch.randint(-2, 3, (count, width), generator=torch.Generator().manual_seed(seed)).to(F64)
    rows = normal(count, width, seed=seed)
    return torch.cat([rows, rows[: count // 3]])[torch.randperm(count, generator=torch.Generator().manual_seed(seed))]


@pytest.mark.parametrize("metric", METRICS)
@given(seed=st.integers(0, 999), width=st.integers(1, 6), whole=st.booleans(), chunk=st.sampled_from([1, 50, 1 << 22]))
@settings(max_examples=25, deadline=None)
def test_ranks_are_those_of_counting_one_pair_at_a_time(
    metric: str, seed: int, width: int, whole: bool, chunk: int
) -> None:
    if metric == "cosine" and whole:
        width, whole = 2, False  # cosines of whole numbers tie up to rounding only
    keys = table(24, width, seed, whole=whole)
    truth = torch.randint(0, 24, (9,), generator=torch.Generator().manual_seed(seed))
    queries = keys[truth] + (0 if seed % 2 else 1) * normal(9, width, seed=seed + 1).round()
    found = rg.retrieval(queries, keys, truth=truth, metric=metric, chunk=chunk)
    # Keys in the direction of the query to rounding are no exact ties of each other.
    for i, row in enumerate(slow_distances(queries, keys, metric)):
        own = row[truth[i]]
        equal = [j for j, x in enumerate(row) if torch.equal(keys[j], keys[truth[i]])]
        if metric == "euclidean" and whole:
            equal = [j for j, x in enumerate(row) if abs(x - own) < 1e-9]
        closer = sum(x < own - 1e-9 for j, x in enumerate(row) if j not in equal)
        near = sum(abs(x - own) <= 1e-9 for j, x in enumerate(row) if j not in equal)
        assert closer <= found.closer[i] <= closer + near
        assert len(equal) - 1 <= found.ties[i] <= len(equal) - 1 + near
        assert near or (found.closer[i], found.ties[i]) == (closer, len(equal) - 1)


@given(closer=st.integers(0, 30), ties=st.integers(0, 12), k=st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_figures_are_means_over_a_random_order_of_ties(closer: int, ties: int, k: int) -> None:
    found = Retrieval(torch.tensor([closer]), torch.tensor([ties]), None, 10)
    ranks = range(closer + 1, closer + ties + 2)
    assert found.recall(k) == pytest.approx(sum(rank <= k for rank in ranks) / len(ranks), abs=1e-12)
    assert found.mrr == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks), rel=1e-9)
    assert float(found.ranks[0]) == pytest.approx(sum(ranks) / len(ranks))


@pytest.mark.parametrize("metric", METRICS)
def test_ranks_without_ties_are_those_of_scipy(metric: str) -> None:
    from scipy.spatial.distance import cdist
    from scipy.stats import rankdata

    keys = normal(200, 8)
    queries, truth = keys[:40] + normal(40, 8, seed=1), torch.arange(40)
    found = rg.retrieval(queries, keys, metric=metric)
    distances = cdist(queries.numpy(), keys.numpy(), metric)
    assert np.array_equal(rankdata(distances, axis=1)[range(40), truth], found.ranks.numpy())
    assert 0.05 < found.recall(1) < 0.95


@pytest.mark.slow  # ranx compiles its functions first, and numba warns of a cast in them
@pytest.mark.filterwarnings("ignore::Warning:numba", "ignore:unsafe cast")
def test_figures_without_ties_are_those_of_ranx() -> None:
    ranx = pytest.importorskip("ranx")
    keys = normal(200, 8)
    queries = keys[:40] + normal(40, 8, seed=1)
    found, distances = rg.retrieval(queries, keys), slow_distances(queries, keys, "cosine")
    right = ranx.Qrels({f"q{i}": {f"d{i}": 1} for i in range(40)})
    answers = ranx.Run({f"q{i}": {f"d{j}": -x for j, x in enumerate(row)} for i, row in enumerate(distances)})
    wanted = ranx.evaluate(right, answers, ["hit_rate@1", "hit_rate@10", "mrr"])
    assert [found.recall(1), found.recall(10), found.mrr] == pytest.approx(list(wanted.values()))


def test_copies_of_the_true_key_are_ties() -> None:
    keys = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [5.0, 0.0]])
    found = rg.retrieval(keys[:1], keys)
    assert (int(found.closer), int(found.ties), float(found.ranks), found.recall(1)) == (
        0,
        2,
        2.0,
        pytest.approx(1 / 3),
    )
    assert found.mrr == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_a_table_of_one_row_repeated_has_only_ties_in_every_block_size() -> None:
    keys = normal(1, 7).float().expand(300, 7)
    for metric in METRICS:
        found = rg.retrieval(normal(5, 7, seed=1).float(), keys, metric=metric, chunk=100)
        assert found.closer.tolist() == [0] * 5 and found.ties.tolist() == [299] * 5


@pytest.mark.parametrize("metric", METRICS)
def test_overlap_leaves_the_item_itself_out_of_both_answers(metric: str) -> None:
    keys = normal(30, 4)
    truth = torch.tensor([3, 7, 20])
    new = keys[truth] + 0.5 * normal(3, 4, seed=1)
    found = rg.retrieval(new, keys, truth=truth, k=5, metric=metric, old=keys[truth])
    assert found.overlaps is not None
    for i, row in enumerate(truth.tolist()):
        others = [j for j in range(30) if j != row]
        now, before = (
            set(sorted(others, key=lambda j: slow_distances(one[None], keys[j : j + 1], metric)[0][0])[:5])
            for one in (new[i], keys[row])
        )
        assert float(found.overlaps[i]) == pytest.approx(len(now & before) / 5)
    same = rg.retrieval(keys[truth], keys, truth=truth, k=5, metric=metric, old=keys[truth])
    assert same.overlap == 1 and same.recall(1) == 1
    assert rg.retrieval(new, keys, truth=truth).overlap is None
    # The answers themselves, with or without the item.
    answers = neighbors(keys[truth], keys, 6, metric=metric).rows
    again = rg.retrieval(new, keys, truth=truth, k=5, metric=metric, old=answers)
    others = neighbors(keys[truth], keys, 5, metric=metric, exclude=truth).rows
    assert torch.equal(found.overlaps, again.overlaps)
    assert found.overlap == rg.retrieval(new, keys, truth=truth, k=5, metric=metric, old=others).overlap
    with pytest.raises(InputError, match="5 answers per query besides the item itself"):
        rg.retrieval(new, keys, truth=truth, k=5, metric=metric, old=answers[:, :5])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("backend", ["torch", "faiss"])
@given(seed=st.integers(0, 999), width=st.integers(1, 5), whole=st.booleans(), k=st.integers(1, 60), out=st.booleans())
@settings(max_examples=20, deadline=None)
def test_neighbors_are_sorted_by_distance_then_by_row(
    metric: str, backend: str, seed: int, width: int, whole: bool, k: int, out: bool
) -> None:
    if backend == "faiss":
        pytest.importorskip("faiss")
    keys = table(61, width, seed, whole=whole)
    queries = torch.cat([keys[:3], normal(3, width, seed=seed + 1)])
    exclude = torch.arange(6) if out else None
    found = neighbors(queries, keys, k, metric=metric, exclude=exclude, backend=backend, chunk=130)
    other = neighbors(queries, keys, k, metric=metric, exclude=exclude, backend="torch")
    assert torch.equal(found.rows, other.rows) and torch.equal(found.values, other.values)
    for i, row in enumerate(slow_distances(queries, keys, metric)):
        left = sorted((x, j) for j, x in enumerate(row) if exclude is None or j != i)[:k]
        got = [row[j] for j in found.rows[i].tolist()]
        assert got == pytest.approx([x for x, _ in left], abs=1e-9)
        assert len(set(found.rows[i].tolist())) == k and (not out or i not in found.rows[i])
        signs = [1 - x if metric == "cosine" else x for x in got]
        assert found.values[i].tolist() == pytest.approx(signs, abs=1e-7)
        for place, one in enumerate(found.rows[i].tolist()):
            copies = [
                j for j, _ in enumerate(row) if torch.equal(keys[j], keys[one]) and (j, i) != (i, i if out else -1)
            ]
            before = found.rows[i, :place].tolist()
            assert all(j in before for j in copies if j < one)


def test_equal_rows_are_found_in_the_order_of_their_numbers() -> None:
    keys = torch.cat([normal(20, 6), normal(1, 6, seed=1).expand(100, 6), normal(20, 6, seed=2)]).float()
    for backend in ("torch", "faiss"):
        found = neighbors(keys[70:71], keys, 50, backend=backend)
        assert found.rows[0].tolist() == list(range(20, 70))


def test_rows_of_norm_zero_have_the_cosine_zero() -> None:
    keys = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.1], [0.0, 0.0]])
    found = neighbors(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), keys, 4)
    assert found.rows[0].tolist() == [1, 0, 3, 2] and found.rows[1].tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(found.values[1], torch.zeros(4, dtype=F64))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 30, "old": torch.rand(5, 4)}, "'k' must be from 1 to the number of keys to choose from, 29 (got 30)"),
        ({"k": 0, "old": torch.rand(5, 4)}, "(got 0)"),
        ({"queries": torch.rand(5, 3)}, "as wide as 'keys', 4 (got 3)"),
        ({"queries": torch.rand(0, 4)}, "at least one row"),
        ({"queries": torch.full((5, 4), math.nan)}, "NaN in row 0"),
        ({"truth": torch.tensor([0, 1, 2, 3, 30])}, "from 0 to 29"),
        ({"truth": torch.tensor([0.0, 1, 2, 3, 4])}, "float32"),
        ({"truth": torch.tensor([0])}, "shape (1,)"),
        ({"queries": torch.rand(31, 4)}, "'truth'"),
        ({"old": torch.rand(4, 4)}, "'old' must hold one row per query, 5 (got 4)"),
        ({"truth": np.array([0, 1, 2, 3, 77], dtype=np.uint64)}, "per query, 5 (got 77)"),
        ({"truth": [0, 1, 2, 3, -1]}, "(got -1)"),
        ({"old": torch.rand(5)}, "'old' must hold one row per query, 5 (got shape (5,))"),
        ({"old": torch.rand(5, 3)}, "'old' must be as wide as 'keys', 4 (got 3)"),
        ({"old": torch.full((5, 4), math.nan)}, "'old' must hold finite numbers (got NaN in row 0"),
        ({"old": torch.full((5, 11), 30)}, "'old' must hold rows of 'keys' from 0 to 29, or -1 for no answer (got 30)"),
        ({"old": torch.full((5, 11), -2)}, "(got -2)"),
        ({"old": torch.ones(5, 11, dtype=torch.bool)}, "'old' must hold floating-point numbers, or row numbers"),
        ({"k": 2.5, "old": torch.rand(5, 4)}, "'k' must be a whole number (got 2.5)"),
        ({"k": "3"}, "'k' must be a whole number (got '3')"),
        ({"chunk": 0}, "'chunk' must be at least 1 (got 0)"),
        ({"chunk": -5}, "'chunk' must be at least 1 (got -5)"),
        ({"chunk": 0.5}, "'chunk' must be a whole number (got 0.5)"),
        ({"metric": "cos"}, "did you mean 'cosine'"),
    ],
)
def test_wrong_input_is_one_sentence(change: dict[str, object], words: str) -> None:
    given: dict[str, object] = {"queries": torch.rand(5, 4), "keys": torch.rand(30, 4)} | change
    with pytest.raises(InputError) as error:
        rg.retrieval(given.pop("queries"), given.pop("keys"), **given)  # type: ignore[arg-type]
    assert words in str(error.value)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.uint64, np.int32])
def test_row_numbers_are_of_any_integer_type(kind: type[np.integer]) -> None:
    keys = normal(30, 4)
    truth, answers = torch.tensor([3, 7, 20]), neighbors(keys[[3, 7, 20]], keys, 6).rows
    queries = keys[truth] + normal(3, 4, seed=1)
    wanted = rg.retrieval(queries, keys, truth=truth, k=5, old=answers)
    found = rg.retrieval(queries, keys, truth=truth.numpy().astype(kind), k=5, old=answers.numpy().astype(kind))
    assert torch.equal(wanted.ranks, found.ranks) and torch.equal(wanted.overlaps, found.overlaps)


def test_an_answer_of_minus_one_is_none() -> None:
    keys = normal(30, 4)
    answers = neighbors(keys[:3], keys, 5).rows  # the first of which is the item itself
    assert rg.retrieval(keys[:3], keys, k=4, old=answers).overlaps.tolist() == [1, 1, 1]
    answers[1, 3:] = -1
    assert rg.retrieval(keys[:3], keys, k=4, old=answers).overlaps.tolist() == [1, 0.5, 1]


def test_an_index_smaller_than_k_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="from 1 to the number of keys to choose from, 3"):
        neighbors(torch.rand(2, 4), torch.rand(3, 4), 4)
    with pytest.raises(InputError, match="backend"):
        neighbors(torch.rand(2, 4), torch.rand(3, 4), 1, backend="annoy")
