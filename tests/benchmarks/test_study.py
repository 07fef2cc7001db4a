"""The grid runner: rows, resuming, a killed cell."""

import pytest

from benchmarks.study import Study, read_rows, write_rows


def study(file, calls, **extra):
    def measure(cell, options):
        calls.append((cell["color"], cell["size"]))
        if cell["size"] == options.killed_at:
            raise KeyboardInterrupt
        yield {"part": "a", "value": cell["size"] / 3}
        yield {"part": "b", "value": None}

    grid = {"color": ("red", "blue"), "size": (1, 2)}
    return Study(str(file), measure, grid, {"killed_at": 0}, needs_data=False, **extra)


def test_rows_survive_writing_and_reading(tmp_path):
    rows = [{"a": 1, "b": 0.12345678901, "c": "x", "d": None}, {"a": 20_000, "b": float("nan"), "c": "1e", "e": 2.5}]
    write_rows(tmp_path / "rows.csv", rows)
    found = read_rows(tmp_path / "rows.csv")
    assert found == [
        {"a": 1, "b": 0.12345679, "c": "x", "e": None},
        {"a": 20_000, "b": None, "c": "1e", "e": 2.5},
    ]
    assert read_rows(tmp_path / "missing.csv") == []


def test_every_cell_gives_its_rows_with_its_parameters_and_versions(tmp_path):
    calls = []
    one = study(tmp_path / "question.py", calls)
    one.main([])
    rows = read_rows(tmp_path / "question.csv")
    assert calls == [("red", 1), ("red", 2), ("blue", 1), ("blue", 2)]
    assert [(row["color"], row["size"], row["part"]) for row in rows][:3] == [
        ("red", 1, "a"),
        ("red", 1, "b"),
        ("red", 2, "a"),
    ]
    assert rows[2]["value"] == pytest.approx(2 / 3, rel=1e-7)
    assert rows[0]["relgraph"] is not None
    assert rows[0]["torch"] is not None


def test_finished_cells_are_skipped_and_measured_anew_on_request(tmp_path):
    calls = []
    one = study(tmp_path / "question.py", calls)
    one.main(["--size", "2"])
    one.main([])
    assert calls == [("red", 2), ("blue", 2), ("red", 1), ("blue", 1)]
    assert [row["size"] for row in read_rows(one.path) if row["part"] == "a"] == [
        1,
        2,
        1,
        2,
    ]  # in the order of the grid
    one.main(["--again", "--color", "blue"])
    assert calls[4:] == [("blue", 1), ("blue", 2)]
    assert len(read_rows(one.path)) == 8


def test_a_killed_cell_is_measured_again_and_the_others_are_kept(tmp_path):
    calls, out = [], tmp_path / "other.csv"
    one = study(tmp_path / "question.py", calls)
    with pytest.raises(KeyboardInterrupt):
        one.main(["--killed-at", "2", "--out", str(out)])
    assert {row["size"] for row in read_rows(out)} == {1}
    assert list(tmp_path.iterdir()) == [out]
    calls.clear()
    one.main(["--out", str(out)])
    assert calls == [("red", 2), ("blue", 1), ("blue", 2)]
    assert len(read_rows(out)) == 8


def test_rows_of_cells_that_the_grid_no_longer_has_are_dropped(tmp_path):
    one = study(tmp_path / "question.py", [])
    write_rows(one.path, [{"color": "green", "size": 1, "value": 7}, {"color": "red", "size": 2, "value": 8}])
    one.main(["--color", "blue"])
    rows = read_rows(one.path)
    assert [row["color"] for row in rows] == ["red"] + ["blue"] * 4
    assert rows[0]["value"] == 8


def test_changed_settings_need_a_file_of_their_own(tmp_path, capsys):
    one = study(tmp_path / "question.py", [])
    with pytest.raises(SystemExit):
        one.main(["--killed-at", "5"])
    assert "--killed-at differs from the published results; name another file with --out" in capsys.readouterr().err
    assert not one.path.exists()


def test_unknown_values_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        study(tmp_path / "question.py", []).main(["--color", "green"])
    assert "invalid choice: 'green'" in capsys.readouterr().err


def test_only_existing_combinations_and_default_values_are_measured(tmp_path):
    calls = []
    one = study(tmp_path / "run.py", calls, exists=lambda cell: cell["size"] == 1, default={"color": ("blue",)})
    one.main([])
    assert calls == [("blue", 1)]
    assert one.path == tmp_path / "results.csv"
