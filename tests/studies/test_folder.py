import numpy as np
import pandas as pd
import pytest

from relgraph.errors import DataError, InputError
from relgraph.studies import read_runs

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 6, 3))
Y = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture
def npy(tmp_path):
    """Two models of two runs each, with labels."""
    for model, numbers in (("a", (2, 10)), ("b", (0, 1))):
        (tmp_path / model).mkdir()
        for run, number in enumerate(numbers):
            np.save(tmp_path / model / f"run-{number}.npy", LOGITS[run + 2 * (model == "b")])
    np.save(tmp_path / "labels.npy", Y)
    return tmp_path


def parquet(path, logits, ids, **columns):
    frame = pd.DataFrame({"id": ids, **columns})
    for name in range(0 if logits is None else logits.shape[1]):
        frame[f"c{name}"] = logits[:, name]
    frame.to_parquet(path)


def test_subfolders_are_models_and_numbers_are_ordered_by_value(npy):
    runs = read_runs(npy)
    assert (runs.models, runs.seeds) == (("a", "a", "b", "b"), ("run-2", "run-10", "run-0", "run-1"))
    np.testing.assert_array_equal(runs.logits, LOGITS)
    assert runs.y.tolist() == Y.tolist()
    assert (runs.name, runs.ids.tolist()) == (npy.name, [0, 1, 2, 3, 4, 5])


def test_files_of_the_folder_itself_are_one_model(npy):
    runs = read_runs(npy / "a", npy / "labels.npy")
    assert runs.names == ("a",)
    assert runs.y.tolist() == Y.tolist()
    assert read_runs(npy / "a").y is None


def test_rows_of_parquet_files_are_matched_by_id(tmp_path):
    ids = np.array([f"n{row}" for row in range(6)])
    order = RNG.permutation(6)
    parquet(tmp_path / "0.parquet", LOGITS[0], ids, label=Y)
    parquet(tmp_path / "1.parquet", LOGITS[1][order], ids[order])
    pd.DataFrame({"id": ids[order], "logits": list(LOGITS[2][order])}).to_parquet(tmp_path / "2.parquet")
    runs = read_runs(tmp_path)
    np.testing.assert_array_equal(runs.logits, LOGITS[:3])
    assert (runs.ids.tolist(), runs.y.tolist()) == (ids.tolist(), Y.tolist())


def test_predictions_and_npy_files_with_ids_go_together(tmp_path):
    ids = np.array([30, 10, 20])
    np.save(tmp_path / "ids.npy", ids)
    np.save(tmp_path / "a.npy", np.array([0, 1, 2]))
    parquet(tmp_path / "b.parquet", None, [10, 20, 30], prediction=[1, 2, 0])
    pd.DataFrame({"id": [20, 30], "label": [2, 0]}).to_csv(tmp_path / "labels.csv", index=False)
    runs = read_runs(tmp_path)
    assert runs.classes.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert runs.y.tolist() == [0, -1, 2]


@pytest.mark.parametrize("names", [["001", "002", "010"], ["1", "2", "10"], ["NA", "a b", "3"]])
def test_ids_of_text_are_found_in_a_csv_file_of_labels(names, tmp_path):
    np.save(tmp_path / "ids.npy", np.array(names))
    for run in "ab":
        np.save(tmp_path / f"{run}.npy", np.array([0, 1, 2]))
    (tmp_path / "labels.csv").write_text(f"id,label\n{names[2]},2\n{names[0]},0\n")
    assert read_runs(tmp_path).y.tolist() == [0, -1, 2]


def test_labels_without_ids_are_in_the_order_of_the_rows(npy):
    pd.DataFrame({"label": Y[::-1]}).to_csv(npy / "others.csv", index=False)
    assert read_runs(npy, npy / "others.csv").y.tolist() == Y[::-1].tolist()


def damage(path):
    path.write_bytes(path.read_bytes()[:150])


@pytest.mark.parametrize("kind", ["npy", "parquet", "nan"])
def test_a_damaged_file_is_named_and_left_out_only_when_asked(tmp_path, kind):
    for run in range(3):
        if kind == "parquet":
            parquet(tmp_path / f"{run}.parquet", LOGITS[run], np.arange(6))
        else:
            np.save(tmp_path / f"{run}.npy", LOGITS[run])
    if kind == "nan":
        np.save(tmp_path / "1.npy", np.full((6, 3), np.nan))
    else:
        damage(tmp_path / f"1.{kind}")
    with pytest.raises(DataError, match=r"1\.(npy|parquet)' (is damaged|must hold finite).*--skip-damaged"):
        read_runs(tmp_path)
    runs = read_runs(tmp_path, skip_damaged=True)
    assert runs.seeds == ("0", "2")
    assert len(runs.notes) == 1 and "left out" in runs.notes[0]


def test_a_pickle_is_damaged_and_never_loaded(tmp_path):
    np.save(tmp_path / "0.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="damaged"):
        read_runs(tmp_path)


def test_wrong_folders_are_one_sentence(npy):
    with pytest.raises(DataError, match="must be a folder"):
        read_runs(npy / "none")
    with pytest.raises(DataError, match="does not exist"):
        read_runs(npy, npy / "none.npy")
    (npy / "empty").mkdir()
    with pytest.raises(InputError, match="got none in"):
        read_runs(npy / "empty")
    np.save(npy / "b" / "run-5.npy", LOGITS[0][:4])
    with pytest.raises(InputError, match="same rows.*6 rows in.*4 in.*run-5"):
        read_runs(npy)
    np.save(npy / "run-9.npy", LOGITS[0])
    with pytest.raises(InputError, match="not both"):
        read_runs(npy)


def test_one_run_and_other_rows_and_short_labels(tmp_path):
    np.save(tmp_path / "0.npy", LOGITS[0])
    with pytest.raises(InputError, match="at least two runs of every model"):
        read_runs(tmp_path)
    np.save(tmp_path / "1.npy", LOGITS[1])
    np.save(tmp_path / "labels.npy", Y[:3])
    with pytest.raises(InputError, match="'labels' must hold a class for each of 6 rows"):
        read_runs(tmp_path)
    (tmp_path / "labels.npy").unlink()
    (tmp_path / "1.npy").unlink()
    parquet(tmp_path / "1.parquet", LOGITS[1], np.arange(1, 7))
    with pytest.raises(InputError, match="such as 6"):
        read_runs(tmp_path)
    parquet(tmp_path / "1.parquet", None, np.arange(6), name=list("abcdef"))
    with pytest.raises(InputError, match="a column 'prediction', or logits"):
        read_runs(tmp_path)
