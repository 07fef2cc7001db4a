from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import relgraph as rg
from relgraph.errors import InputError
from relgraph.measures import linear_cka, pairwise
from relgraph.registry import MEASURES
from tests.spaces import normal

X = normal(60, 4)
Y = X @ normal(4, 3, seed=1) + normal(60, 3, seed=2)


def test_all_measures_of_a_kind_by_default() -> None:
    kinds = {name: MEASURES.resolve(name).kind for name in MEASURES}
    for outputs, kind in ((False, "representations"), (True, "outputs")):
        found = rg.compare(X, X + normal(60, 4, seed=3), outputs=outputs, permutations=9)
        assert [score.measure for score in found.scores] == [name for name in kinds if kinds[name] == kind]
        assert all(score.p is not None and score.p <= 0.1 for score in found.scores)
    both = rg.compare(X, X, ["cka", "disagreement"], outputs=True)
    assert [score.score for score in both.scores] == pytest.approx([1, 1])


def test_a_score_is_the_value_between_its_null_and_the_best() -> None:
    for name in ("cka", "procrustes", "mutual-knn"):
        one = rg.compare(X, Y, [name], permutations=19)[name]
        assert one.null_mean is not None and one.null_std is not None and one.null_std > 0
        best = MEASURES.resolve(name).best
        assert one.score == pytest.approx((one.value - one.null_mean) / (best - one.null_mean), rel=1e-12)
        assert 0 < one.score < 1


def test_nulls() -> None:
    how = {"cka": "closed form", "procrustes": "19 permutations"}
    how["mutual-knn"] = "mean in closed form, 19 permutations"
    for null, wanted in {"auto": how, "permutations": dict.fromkeys(how, "19 permutations")}.items():
        found = rg.compare(X, Y, list(how), null=null, permutations=19)
        assert {score.measure: score.null for score in found.scores} == wanted
        assert found["procrustes"].p == 0.05
    few = rg.compare(X, Y, list(how), permutations=0)
    assert [score.null for score in few.scores] == ["closed form", "none", "mean in closed form"]
    assert few["mutual-knn"].score == found_score(found) and few["procrustes"].score is None
    for score in rg.compare(X, Y, list(how), null="none").scores:
        assert (score.null_mean, score.null_std, score.score, score.p, score.null) == (None, None, None, None, "none")


def found_score(found: rg.measures.Comparison) -> Any:
    """The score of neighbors with the mean in closed form, from a comparison by permutations."""
    mean = 10 / 59
    return pytest.approx((found["mutual-knn"].value - mean) / (1 - mean))


def test_the_same_seed_gives_the_same_numbers() -> None:
    names = ["procrustes", "retrieval", "mutual-knn"]
    first, again, other = (rg.compare(X, Y, names, permutations=9, seed=seed) for seed in (1, 1, 2))
    assert first == again and first != other
    state = torch.get_rng_state()
    rg.compare(X, Y, names, permutations=2)
    assert torch.equal(state, torch.get_rng_state())


def test_rows_are_matched_by_ids() -> None:
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    ids, other = torch.arange(100, 160), (torch.arange(100, 160)[order])[:50]
    found = rg.compare(X, Y[order][:50], ["cka"], ids=(ids, other))
    kept = order[:50].sort().values
    assert found.rows == 50 and found["cka"].value == pytest.approx(linear_cka(X[kept], Y[kept]), rel=1e-12)


def test_arrays_lists_and_half_precision_are_tables() -> None:
    value = rg.compare(X, Y, ["cka"])["cka"].value
    assert rg.compare(X.numpy(), Y.tolist(), ["cka"])["cka"].value == pytest.approx(value, rel=1e-6)
    assert rg.compare(X.half(), Y.bfloat16(), ["cka"])["cka"].value == pytest.approx(value, rel=0.01)


def test_documents_hold_every_number() -> None:
    found = rg.compare(X, Y, ["cka", "procrustes"], permutations=9)
    assert json.loads(json.dumps(found.to_dict()))["measures"][0]["value"] == found["cka"].value
    lines = str(found).splitlines()
    assert lines[0].split() == ["measure", "value", "null", "score", "p", "rows"] and lines[2].endswith("0.100    60")
    bare = str(rg.compare(X, Y, ["cka"], null="none")).splitlines()
    assert bare[1].split()[2:] == ["-", "-", "-", "60"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"measures": ["ckaa"]}, "'measures' must be one of"),
        ({"measures": ["disagreement"]}, "must compare embeddings unless the tables are outputs (got 'disagreement')"),
        ({"measures": []}, "must name at least one, each once (got none)"),
        ({"measures": ["cka", "cka"]}, "each once (got cka, cka)"),
        ({"outputs": True}, "'a' and 'b' must have one column for each class, two or more (got 4 and 3)"),
        ({"null": "closed"}, "'null' must be one of auto, none, permutations"),
        ({"permutations": -1}, "'permutations' must be at least 0 (got -1)"),
        ({"permutations": 0, "null": "permutations"}, "'permutations' must be at least 1 (got 0)"),
        ({"ids": (range(60), range(60, 120))}, "must have ids in common (got none, such as 0 and 60)"),
        ({"ids": (range(60), range(59))}, "must hold one id for each row of 'b', 60 (got 59)"),
        ({"b": Y[:9]}, "'a' and 'b' must have equally many rows, at least one (got 60 and 9); match them by ids"),
        ({"b": Y.index_fill(0, torch.tensor([7]), torch.nan)}, "'b' must hold finite numbers (got NaN in row 7)"),
        ({"b": "table"}, "'b' must be a tensor, or an array"),
    ],
)
def test_wrong_input_is_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        rg.compare(**({"a": X, "b": Y} | options))
    assert words in str(error.value)
    with pytest.raises(InputError, match="'measure' must be one of cka"):
        rg.compare(X, Y, ["cka"])["rsa"]


def test_every_two_tables_are_compared_in_both_directions() -> None:
    tables, measures = [X, Y, X.flip(0)], ["cka", "linear-regression"]
    seen: list[int] = []
    found = pairwise(tables, measures, names=["x", "y", "z"], progress=lambda stage, done, total: seen.append(done))
    for i, j in ((0, 1), (1, 0), (2, 1)):
        one = rg.compare(tables[i], tables[j], measures)
        assert found.comparisons[i, j]["linear-regression"] == one["linear-regression"]
        assert found.matrix("cka")[i, j] == pytest.approx(one["cka"].value, rel=1e-12)
    assert found.measures == ("cka", "linear-regression") and np.isnan(np.diag(found.matrix("cka"))).all()
    assert found.matrix("cka", "score")[0, 1] == found.comparisons[0, 1]["cka"].score
    assert sum(seen) == 3
    assert len(found.to_dict()["pairs"]) == 6
    lines = str(found).splitlines()
    assert len(lines) == 3 and "(x, y)" in lines[1]
    assert [line.split("  ")[0] for line in str(pairwise(tables[:2], measures)).splitlines()[1:]] == [
        "cka",
        "linear-regression",
        "linear-regression, reversed",
    ]


def test_matrices_are_written_as_a_picture_or_a_table(tmp_path: Path) -> None:
    found = pairwise([X, Y, 2 * X], ["cka", "procrustes", "mutual-knn", "rsa", "svcca"], null="none")
    picture = found.save(tmp_path / "pairs.png")
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000
    lines = found.save(tmp_path / "pairs.csv").read_text().splitlines()
    assert len(lines) == 1 + 6 * 5 and lines[0].startswith("a,b,measure,value,null_mean")
    assert float(lines[1].split(",")[3]) == found.matrix("cka")[0, 1]
    with pytest.raises(InputError, match="'matrix' must be a .png or a .csv file"):
        found.save(tmp_path / "pairs.pdf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.csv", "pairs.png"]


def test_wrong_sets_of_tables_are_one_sentence() -> None:
    with pytest.raises(InputError, match="'tables' must be two or more"):
        pairwise([X])
    with pytest.raises(InputError, match="'names' must be one for each table, 2"):
        pairwise([X, Y], names=["x"])
