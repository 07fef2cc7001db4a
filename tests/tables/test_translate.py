from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # pandas has no types of its own
import pyarrow as pa
import pytest
import torch

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.maps.leave_one_out import Smoother
from relgraph.tables import plan_translation
from relgraph.tables.writing import OUTPUTS
from tests.tables.small import read, save, two_tables

X, Y = two_tables()
IDS = [f"n{i}" for i in range(400)]
ORDER = np.random.default_rng(3).permutation(400)[:350]  # rows of the target, in its order


def tables(folder: Path, suffix: str = ".parquet", x: Any = X, y: Any = Y) -> tuple[Path, Path]:
    """Both tables; the target lacks some rows and has another order."""
    return save(folder / f"new{suffix}", IDS, x), save(folder / f"old{suffix}", [IDS[i] for i in ORDER], y[ORDER])


def by_hand(method: str = "ridge") -> torch.nn.Module:
    """The map from all common rows."""
    rows = torch.from_numpy(np.sort(ORDER))
    x, y = (torch.from_numpy(z).double()[rows] for z in (X, Y))
    ids = torch.arange(len(rows))
    return rg.translate(rg.AnchorSet(ids, x, x.mean(0)), rg.AnchorSet(ids, y, y.mean(0)), method)


@pytest.mark.parametrize("out", OUTPUTS)
@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".npy"])
def test_every_row_is_that_of_the_map_from_the_common_rows(suffix: str, out: str, tmp_path: Path) -> None:
    report = rg.translate_table(*tables(tmp_path, suffix), tmp_path / f"out{out}")
    ids, vectors, trust = read(tmp_path / f"out{out}")
    assert ids == IDS and vectors.dtype == np.float32 and trust.shape == (400, 3)
    np.testing.assert_allclose(vectors, by_hand()(torch.from_numpy(X).double()), rtol=1e-4, atol=1e-5)
    assert (report.rows, report.common, report.anchors, report.widths) == (400, 350, 350, (6, 4))
    assert (trust[:, 1] <= trust[:, 2]).all() and not [*tmp_path.glob(".*")]


def test_ids_of_anchors_are_one_a_line_in_the_kind_of_the_tables(tmp_path: Path) -> None:
    names = [f"node {i}" for i in range(400)]
    tables_of = {"spaces": names, "numbers": [str(i) for i in range(400)]}
    for name, ids in tables_of.items():
        source, target = (save(tmp_path / f"{one}.parquet", ids, z) for one, z in (("new", X), ("old", Y)))
        (tmp_path / f"{name}.txt").write_text("\n".join(ids[:60]) + "\n")
        plan = plan_translation(source, target, anchors=tmp_path / f"{name}.txt")
        assert plan.report.anchors == 60, name


def test_no_file_that_is_read_is_replaced(tmp_path: Path) -> None:
    source, target = tables(tmp_path, ".npy")
    (tmp_path / "link.npy").symlink_to(target)
    (tmp_path / "nodes.npy").symlink_to(source)
    np.save(tmp_path / "x.trust.npy", np.array(IDS)[ORDER[:100]])  # ids of anchors where the trust would be written
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for out, anchors in (("link.npy", None), ("nodes.npy", None), ("x.npy", tmp_path / "x.trust.npy")):
        with pytest.raises(InputError, match="'out' must not replace a file that is read"):
            rg.translate_table(source, target, tmp_path / out, anchors=anchors)
    (tmp_path / "y.ids.npy").symlink_to(source.with_name("new.ids.npy"))
    with pytest.raises(InputError, match=r"'out' must not replace .*y\.ids\.npy.*new\.ids\.npy"):
        rg.translate_table(source, target, tmp_path / "y.npy")
    (tmp_path / "y.ids.npy").unlink()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("method", ["kernel-ridge", "procrustes", "orthogonal"])
def test_other_methods(method: str, tmp_path: Path) -> None:
    rg.translate_table(*tables(tmp_path), tmp_path / "out.parquet", method=method)
    np.testing.assert_allclose(
        read(tmp_path / "out.parquet")[1], by_hand(method)(torch.from_numpy(X).double()), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("method", ["ridge", "kernel-ridge", "procrustes", "orthogonal"])
def test_one_common_row_is_reported_by_every_method(method: str, tmp_path: Path) -> None:
    source, target = save(tmp_path / "new.npy", None, X), save(tmp_path / "old.npy", None, Y[:1])
    report = rg.translate_table(source, target, tmp_path / "out.npy", method=method)
    assert (report.common, report.verdict) == (1, "doubtful") and np.allclose(np.load(tmp_path / "out.npy"), Y[0])


def test_a_constant_target_is_reported_without_choosing_a_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Smoother, "of_kernel", None)  # by which kernels are compared
    report = rg.translate_table(*tables(tmp_path, y=np.ones_like(Y)), tmp_path / "out.parquet", method="kernel-ridge")
    assert report.verdict != "good" and (read(tmp_path / "out.parquet")[1] == 1).all()


def test_a_kernel_is_chosen_once_for_the_map_and_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relgraph.maps import kernel

    calls, errors = [], kernel._Gram.errors
    monkeypatch.setattr(kernel._Gram, "errors", lambda *given: calls.append(1) or errors(*given))
    report = rg.translate_table(*tables(tmp_path), method="kernel-ridge")
    assert len(calls) == 6 and report.figures["cosine"].mean > 0.8  # dot, cosine and four widths


def test_figures_are_those_of_the_definition(tmp_path: Path) -> None:
    report = rg.translate_table(*tables(tmp_path))
    rows = np.sort(ORDER)
    x, y = (torch.from_numpy(z).double()[rows] for z in (X, Y))
    left = torch.empty_like(y)
    for i in range(350):  # refitted without the row, with the shrinkage of the fit without it
        rest = torch.arange(350) != i
        spaces = (rg.AnchorSet(torch.arange(349), z[rest], z.mean(0)) for z in (x, y))
        left[i] = rg.translate(*spaces)(x[i : i + 1])
    cosines = torch.nn.functional.cosine_similarity(left - y.mean(0), y - y.mean(0))
    found = rg.retrieval(left, y, old=y)
    assert report.figures["cosine"].mean == pytest.approx(float(cosines.mean()), abs=2e-4)
    assert report.figures["R@1"].mean == pytest.approx(found.recall(1), abs=0.01)
    assert report.figures["MRR"].mean == pytest.approx(found.mrr, abs=0.01)
    assert report.figures["overlap@10"].mean == pytest.approx(found.overlap, abs=0.01)
    assert 0.1 < found.recall(1) < 0.95 and report.figures["cosine"].low < report.figures["cosine"].high


def test_few_anchors_are_measured_on_the_other_rows(tmp_path: Path) -> None:
    source, target = tables(tmp_path)
    (tmp_path / "some.txt").write_text("\n".join(IDS[i] for i in ORDER[:40]))
    plan = plan_translation(source, target, anchors=tmp_path / "some.txt")
    assert plan.report.anchors == 40 and plan.report.held_out.startswith("310 common rows that are no anchors")
    rows = torch.from_numpy(ORDER[:40]).sort().values
    everything = torch.from_numpy(np.sort(ORDER))
    x, y = (torch.from_numpy(z).double() for z in (X, Y))
    ids = torch.arange(40)
    spaces = (rg.AnchorSet(ids, z[rows], z[everything].mean(0)) for z in (x, y))
    np.testing.assert_allclose(plan.translate(X)[0], rg.translate(*spaces)(x), rtol=1e-4, atol=1e-5)
    assert plan_translation(source, target, anchors=25).report.anchors == 25
    with pytest.raises(InputError, match="'out' must be given"):
        plan.write()


NUMBERS = np.arange(400)
GIVEN: dict[str, tuple[Any, Any]] = {
    "an array of text": (IDS, np.array(IDS[:60])),
    "a list of text": (IDS, IDS[:60]),
    "a series of text": (IDS, pd.Series(IDS[:60])),
    "objects": (IDS, np.array(IDS[:60], dtype=object)),
    "a list of integers": (NUMBERS, list(range(60))),
    "a tensor": (NUMBERS, torch.arange(60)),
    "unsigned integers": (NUMBERS, np.arange(60, dtype=np.uint32)),
    "integers for decimal text": ([str(i) for i in range(400)], np.arange(60)),
    "UUIDs": (
        pa.array([uuid.UUID(int=i << 8).bytes for i in range(400)], pa.binary(16)),
        [uuid.UUID(int=i << 8) for i in range(60)],
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_ids_of_anchors_are_given_as_an_array(name: str, tmp_path: Path) -> None:
    ids, anchors = GIVEN[name]
    source, target = (save(tmp_path / f"{one}.parquet", ids, z) for one, z in (("new", X), ("old", Y)))
    plan = plan_translation(source, target, anchors=anchors)
    assert plan.report.anchors == 60
    x, y = (torch.from_numpy(z).double() for z in (X, Y))
    rows = torch.arange(60)
    wanted = rg.translate(*(rg.AnchorSet(rows, z[:60], z.mean(0)) for z in (x, y)))
    np.testing.assert_allclose(plan.translate(X)[0], wanted(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["S16", "V16"])
def test_bytes_of_uuids_are_kept_to_the_last_zero(kind: str, tmp_path: Path) -> None:
    ids = [uuid.UUID(int=(i << 8) + (0xFF << 120)).bytes for i in range(400)]
    ids[0] = bytes(16)
    for suffix, column in ((".npy", np.array(ids, dtype=kind)), (".parquet", pa.array(ids, pa.binary(16)))):
        source, target = (save(tmp_path / f"{name}{suffix}", column, z) for name, z in (("new", X), ("old", Y)))
        for out in ("out.parquet", "out.npy"):
            rg.translate_table(source, target, tmp_path / out)
            assert read(tmp_path / out)[0] == ids


def test_ids_of_uuid_type_are_kept_to_the_last_zero(tmp_path: Path) -> None:
    ids = [uuid.UUID(int=i << 8) for i in range(400)]
    column = pa.array([one.bytes for one in ids], pa.uuid())
    source, target = (save(tmp_path / f"{name}.parquet", column, z) for name, z in (("new", X), ("old", Y)))
    rg.translate_table(source, target, tmp_path / "out.npy")
    assert read(tmp_path / "out.npy")[0] == [one.bytes for one in ids]


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("key", ["node", "id", None])
def test_an_index_that_pandas_wrote_is_left_out_where_there_are_ids(
    key: str | None, columns: bool, tmp_path: Path
) -> None:
    vectors = pd.DataFrame(X, columns=[f"d{i}" for i in range(6)]) if columns else pd.DataFrame({"emb": list(X)})
    if key:
        vectors.insert(0, key, range(400))
    vectors.sample(frac=1, random_state=0).to_parquet(tmp_path / "new.parquet")
    assert "__index_level_0__" in pa.parquet.read_schema(tmp_path / "new.parquet").names
    target = save(tmp_path / "old.parquet", range(400), Y)
    rg.translate_table(tmp_path / "new.parquet", target, tmp_path / "out.parquet")
    found = pa.parquet.read_table(tmp_path / "out.parquet")
    assert found.column_names[0] == (key or "__index_level_0__")
    ids, written, _ = read(tmp_path / "out.parquet")
    np.testing.assert_allclose(written, plan_translation(tmp_path / "new.parquet", target).translate(X[ids])[0])
    assert sorted(ids) == list(range(400))


def test_a_key_that_one_table_has_matches_the_only_ids_of_the_other(tmp_path: Path) -> None:
    new = tmp_path / "new.parquet"
    both = {"node": IDS, "label": list(range(400)), "emb": pa.array(X.tolist(), pa.list_(pa.float32()))}
    pa.parquet.write_table(pa.table(both), new)
    old = save(tmp_path / "old.parquet", IDS, Y)
    assert rg.translate_table(new, old, key="node").common == 400
    assert rg.translate_table(old, new, key="node").common == 400
    found = rg.tables.compare_tables([old, new], ["cka"], key="node")
    assert found.matrix("cka")[0, 1] > 0.5
    with pytest.raises(InputError, match="'key' must be a column of '.*new.parquet', one of .* .got 'id'"):
        rg.translate_table(old, new, key="id")
    with pytest.raises(InputError, match="'key' must be a column of '.*new.parquet', one of node, label, emb"):
        rg.translate_table(new, save(tmp_path / "plain.npy", None, Y), key="nodes")


def test_vectors_keep_the_type_and_the_columns_of_the_target(tmp_path: Path) -> None:
    target = save(tmp_path / "old.parquet", IDS, Y.astype(np.float64), columns=True)
    rg.translate_table(save(tmp_path / "new.parquet", IDS, X), target, tmp_path / "out.parquet")
    found = pa.parquet.read_table(tmp_path / "out.parquet")
    assert found.column_names == ["id", "d0", "d1", "d2", "d3", "trust", "trust_low", "trust_high"]
    assert found["d0"].type == pa.float64() and found["id"].type == pa.string()


@pytest.mark.parametrize(
    ("key", "columns", "words"),
    [
        ("vector", False, "'vector' for the ids of '{new}' and for the vectors of '{old}'"),
        ("trust", False, "'trust' for the ids of '{new}' and for the trust that is added"),
        ("d1", True, "'d1' for the ids of '{new}' and for the dimensions of '{old}'"),
    ],
)
def test_columns_of_one_name_are_refused_before_work_starts(
    key: str, columns: bool, words: str, tmp_path: Path
) -> None:
    old = save(tmp_path / "old.parquet", IDS, Y, columns=columns)
    new = tmp_path / "new.parquet"
    pa.parquet.write_table(pa.table({key: IDS, "emb": pa.array(X.tolist(), pa.list_(pa.float32()))}), new)
    for suffix in (".parquet", ".feather"):
        with pytest.raises(InputError) as error:
            plan_translation(new, old, tmp_path / f"out{suffix}")
        assert words.format(new=new, old=old) in str(error.value)
    rg.translate_table(new, old, tmp_path / "out.npy")  # which has no columns


@pytest.mark.parametrize("columns", [False, True])
def test_vectors_of_the_target_that_are_called_trust_are_refused(columns: bool, tmp_path: Path) -> None:
    old = tmp_path / "old.parquet"
    lists = {"trust": pa.array(Y.tolist(), pa.list_(pa.float32()))}
    dimensions = {name: Y[:, i] for i, name in enumerate(("trust", "b"))}
    pa.parquet.write_table(pa.table({"id": IDS} | (dimensions if columns else lists)), old)
    what = "dimensions" if columns else "vectors"
    with pytest.raises(InputError, match=f"'trust' for the {what} of '.*' and for the trust that is added"):
        rg.translate_table(save(tmp_path / "new.parquet", IDS, X), old, tmp_path / "out.parquet")


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    source, target = tables(tmp_path)
    for name in ("a.parquet", "b.parquet"):
        rg.translate_table(source, target, tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_without_an_output_nothing_is_written(tmp_path: Path) -> None:
    source, target = tables(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert rg.translate_table(source, target).verdict != "useless"
    assert sorted(tmp_path.iterdir()) == before


def test_shuffled_rows_do_not_correspond(tmp_path: Path) -> None:
    source, target = tables(tmp_path, y=Y[np.random.default_rng(0).permutation(400)])
    report = rg.translate_table(source, target)
    assert report.corresponds is False and report.verdict == "useless" and "do not correspond" in report.reason


def test_anchors_whose_rows_do_not_fit_are_named(tmp_path: Path) -> None:
    y = Y.copy()
    wrong = ORDER[:4]
    y[wrong] = -3 * (y[wrong] - y.mean(0)) + y.mean(0)
    report = rg.translate_table(*tables(tmp_path, y=y))
    large = {f"'{IDS[i]}'" for i in wrong}
    assert len(set(report.suspicious) & large) >= 3 and len(set(report.suspicious) - large) <= 3


def test_rows_that_are_paired_by_number_in_tables_of_different_lengths_are_noted(tmp_path: Path) -> None:
    source, short = save(tmp_path / "new.npy", None, X), save(tmp_path / "old.npy", None, Y[:300])
    report = rg.translate_table(source, short)
    (note,) = report.notes
    assert note == "neither table has ids: the first 300 rows of both were paired by number, of 400 and 300"
    assert report.common == 300
    assert not rg.translate_table(source, save(tmp_path / "same.npy", None, Y)).notes
    named = save(tmp_path / "named.npy", range(300), Y[:300])
    for pair in ((source, named), (named, source)):
        (note,) = rg.translate_table(*pair).notes
        assert note == f"'{source}' has no ids: the numbers of its rows, from 0, were matched with ids of '{named}'"
    assert not rg.translate_table(named, named).notes


def test_constant_columns_are_noted(tmp_path: Path) -> None:
    x = X.copy()
    x[:, 2] = 5
    (note,) = rg.translate_table(*tables(tmp_path, x=x)).notes
    assert "constant in 1 of 6 dimensions (2)" in note


def with_value(array: Any, row: int, value: float) -> Any:
    found = array.copy()
    found[row, 1] = value
    return found


def test_a_row_that_is_not_finite_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    alone = int(np.setdiff1d(np.arange(400), ORDER)[-1])  # in the source only, so that it is found while writing
    for row, value, words in ((int(ORDER[0]), np.nan, "NaN"), (alone, np.inf, "infinity")):
        source, target = tables(tmp_path, x=with_value(X, row, value))
        with pytest.raises(InputError) as error:
            rg.translate_table(source, target, tmp_path / "out.parquet")
        assert f"'source' must hold finite numbers (got {words} in the row with id '{IDS[row]}'" in str(error.value)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["new.parquet", "old.parquet"]
    source, target = tables(tmp_path, y=with_value(Y, int(ORDER[0]), np.nan))
    with pytest.raises(InputError, match="'target' must hold finite numbers"):
        rg.translate_table(source, target)


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_a_translation_too_large_for_the_type_of_the_target_is_named_and_leaves_nothing(
    tmp_path: Path, suffix: str
) -> None:
    x = X.copy()
    x[399] *= 1000
    source = save(tmp_path / "new.npy", None, x)
    target = save(tmp_path / "old.npy", None, (X[:399] * 1000).astype(np.float16))
    out = tmp_path / f"out{suffix}"
    for _ in range(2):
        with pytest.raises(InputError, match=r"float16, whose largest number is 65504, too small for .* id 399 of"):
            rg.translate_table(source, target, out)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["new.npy", "old.npy"]
    save(target, None, X[:399] * 1000)
    rg.translate_table(source, target, out)
    np.testing.assert_allclose(read(out)[1], x * 1000, rtol=1e-3, atol=1)


def test_wrong_arguments_are_one_sentence(tmp_path: Path) -> None:
    source, target = tables(tmp_path)
    (tmp_path / "some.txt").write_text("n1\nnobody")
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"anchors": 0}, InputError, "'anchors' must be from 1 to the 350 ids"),
        ({"anchors": 351}, InputError, "(got 351)"),
        ({"anchors": 2.5}, InputError, "'anchors' must be a whole number (got 2.5)"),
        ({"anchors": tmp_path / "none.txt"}, DataError, "must be an .npy file of ids"),
        ({"anchors": tmp_path / "some.txt"}, InputError, "'nobody'"),
        ({"anchors": np.array([0.5, 1.5])}, InputError, "float64 of shape (2,)); give ids of the tables"),
        ({"anchors": []}, InputError, "give ids of the tables"),
        ({"anchors": np.array([], dtype=int)}, InputError, "must hold at least one id (got none)"),
        ({"anchors": ["n1", "n1"]}, InputError, "'n1' more than once"),
        ({"source": X}, InputError, "'source' must be the path of a file (got ndarray of shape (400, 6)); save"),
        ({"source": pd.DataFrame(X)}, InputError, "(got DataFrame of shape (400, 6)); save"),
        ({"target": None}, InputError, "'target' must be the path of a file (got NoneType); save"),
        ({"target": [[0.5]]}, InputError, "(got list); save the rows, or translate arrays by relgraph.translate"),
        ({"out": X}, InputError, "'out' must be the path of a file (got ndarray of shape (400, 6)); name the file"),
        ({"method": "kl"}, InputError, "'method' must be one of ridge, kernel-ridge, procrustes, orthogonal"),
        ({"method": "rige"}, InputError, "did you mean 'ridge'"),
        ({"method": "x"}, InputError, "must be one of kernel-ridge, orthogonal, procrustes, ridge (got 'x')"),
        ({"method": ["ridge"]}, InputError, "must be one of kernel-ridge, orthogonal, procrustes, ridge (got"),
        ({"out": tmp_path / "a.csv"}, InputError, "'out' must be a file of one of the kinds"),
        ({"out": tmp_path / "no" / "a.npy"}, InputError, "in a folder that exists"),
        ({"out": source}, InputError, "must not replace a file that is read"),
        ({"key": "node"}, InputError, "one of id, vector (got 'node')"),
        ({"target": save(tmp_path / "x.npy", range(1000, 1400), Y)}, InputError, "ids of one kind"),
        ({"target": save(tmp_path / "y.parquet", [f"m{i}" for i in range(400)], Y)}, InputError, "none in common"),
        ({"target": save(tmp_path / "z.parquet", ["n1"] * 400, Y)}, InputError, "'n1' more than once"),
    ]
    for change, kind, words in cases:
        given: dict[str, Any] = {"source": source, "target": target} | change
        with pytest.raises(kind) as error:
            rg.translate_table(given.pop("source"), given.pop("target"), given.pop("out", None), **given)
        assert words in str(error.value) and "\n" not in str(error.value)


def test_missing_packages_name_their_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = tables(tmp_path)
    words = save(tmp_path / "a.txt", IDS, X)
    for name in ("pyarrow", "gensim", "gensim.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=r"pip install 'relgraph\[tables\]'"):
        rg.translate_table(source, source)
    with pytest.raises(DataError, match=r"pip install 'relgraph\[word2vec\]'"):
        rg.translate_table(words, words)


def test_neither_graphs_nor_pictures_are_imported(tmp_path: Path) -> None:
    source, target = tables(tmp_path)
    code = (
        "import sys, relgraph as rg; rg.translate_table(*sys.argv[1:]); "
        "found = {'torch_geometric', 'matplotlib', 'ogb', 'networkx'} & set(sys.modules); "
        "sys.exit(str(found) if found else 0)"
    )
    command = [sys.executable, "-c", code, str(source), str(target), str(tmp_path / "out.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
