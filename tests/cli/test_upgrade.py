import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import relgraph as rg
from relgraph.cli import main
from tests.cli.upgrades import CLASSES, OLD, ROWS, WIDTH, make_files
from tests.tables.small import save


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return make_files(tmp_path)


def test_a_head_is_judged_and_written(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = files / "new.safetensors"
    given = ["head.safetensors", "space.safetensors", "--rows", "rows.npy", "--old-rows", "old.npy"]
    assert main(["upgrade", *(str(files / name) if "." in name else name for name in given), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "convert, new rows" in printed
    assert "verdict" in printed
    answers = rg.load_head(out)(torch.from_numpy(np.load(files / "rows.npy"))).argmax(dim=1)
    truth = torch.from_numpy(np.load(files / "answers.npy")).argmax(dim=1)
    assert float((answers == truth).float().mean()) > 0.95


def test_rows_of_another_type_than_the_anchors_are_converted(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(files / name) for name in ("head.safetensors", "space.safetensors")]
    documents = []
    for kind in (np.float32, np.float64):
        np.save(files / "typed.npy", np.load(files / "rows.npy").astype(kind))
        assert main(["upgrade", *given, "--rows", str(files / "typed.npy"), "--json", "-"]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    assert documents[0] == documents[1]


def test_labels_and_old_answers_are_read_by_id(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(files / name) for name in ("head.safetensors", "space.safetensors")]
    more = ["--rows", "rows.npy", "--kept", "kept.npy", "--labels", "labels.csv"]
    more = [str(files / name) if "." in name else name for name in more]
    assert main(["upgrade", *given, *more, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["expected"]["old"]) == {"convert", "keep", "retrain"}
    assert document["expected"]["old"]["keep"]["accuracy"]["value"] > 0.95


def test_without_labels_edges_let_the_neighbors_judge(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classes = np.load(files / "answers.npy").argmax(axis=1)
    ends = [
        rows[[place, (place + 1) % len(rows)]]
        for rows in map(np.flatnonzero, classes == np.arange(CLASSES)[:, None])
        for place in range(len(rows))
    ]
    edges = pd.DataFrame(np.vstack([*ends, [5, 10**9]]), columns=["source", "target"])  # the last one leads elsewhere
    edges.to_csv(files / "edges.csv", index=False)
    paths = [str(files / name) for name in ("head.safetensors", "space.safetensors")]
    more = ["--rows", str(files / "rows.npy"), "--kept", str(files / "kept.npy"), "--edges", str(files / "edges.csv")]
    assert main(["upgrade", *paths, *more, "--json", "-", "--report", str(files / "page.html")]) == 0
    document = json.loads(capsys.readouterr().out)
    agreement = document["agreement"]
    assert document["verdict"] == max(agreement, key=agreement.get) and "neighbors" in document["reason"]
    assert min(agreement.values()) > 0.9
    page = (files / "page.html").read_text(encoding="utf-8")
    assert "--edges" in page and "agreement with the neighbors" in page


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [({"source": [10**9], "target": [1]}, "'--edges' must join ids"), ({"a": [1]}, "'--edges' must have the columns")],
)
def test_edges_that_fit_no_row_are_refused(
    columns: dict[str, list[int]], sentence: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame(columns).to_csv(files / "edges.csv", index=False)
    paths = [str(files / name) for name in ("head.safetensors", "space.safetensors")]
    assert main(["upgrade", *paths, "--rows", str(files / "rows.npy"), "--edges", str(files / "edges.csv")]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "names", [range(ROWS), [f"{i:03d}" for i in range(ROWS)], [f"a node {i}" for i in range(ROWS)]]
)
def test_ids_in_files_of_text_are_those_of_other_files(
    names: list[object], files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same ids beside an array, in a CSV file and in a file of their own, and hashed in the pieces."""
    from relgraph.graph import integer_ids

    ids = integer_ids(np.array(names))
    for name, kind in (("head", rg.PublishedHead), ("space", rg.AnchorSet)):
        piece = kind.load(files / f"{name}.safetensors")
        kind(ids[:150], piece.values, piece.mean).save(files / f"{name}.safetensors")
    texts = list(map(str, names))
    (files / "rows.ids.txt").write_text("\n".join(texts))
    (files / "kept.ids.txt").write_text("\n".join(texts))
    (files / "old.txt").write_text("\n".join(texts[:OLD]) + "\n")
    labels = np.load(files / "answers.npy").argmax(axis=1)
    lines = [f"{texts[i]},{labels[i]},{i < 100}" for i in range(300)]
    (files / "labels.csv").write_text("\n".join(["id,label,train", *lines]))
    edges = [f"{texts[i]},{texts[(i + 1) % ROWS]}" for i in range(ROWS)]
    (files / "edges.csv").write_text("\n".join(["source,target", *edges]))
    given = ["head.safetensors", "space.safetensors", "--rows", "rows.npy", "--kept", "kept.npy", "--edges"]
    given += ["edges.csv", "--old-rows", "old.txt", "--labels", "labels.csv", "--json", "-"]
    assert main(["upgrade", *(str(files / word) if "." in word else word for word in given)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["num_rows"] == {"old": OLD, "new": ROWS - OLD} and document["agreement"]
    assert document["expected"]["old"]["keep"]["accuracy"]["value"] > 0.95
    assert document["expected"]["old"]["keep"]["fidelity"]["value"] > 0.95


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("id,label\n9999,1\n", "'--labels' must label ids of '--rows' (got none of 1 labels)"),
        ("id,label\n", "'--labels' must have rows (got none in"),
        (
            "id,label\n1,-1\n2,-2\n3,3\n",
            "'--labels' must be classes from 0 to 2, one for each output of the head, or -1",
        ),
        ("id,label\n1,-1\n2,-2\n3,3\n", "where unknown (got -2 for the id 2); leave other rows out"),
        ("id,label\nn1,0\nn7,3\n", "where unknown (got 3 for the id n7); leave other rows out"),
        ("id,label\n1,1\n,2\n", "'--labels' must have an id in every row (got an empty cell in the column 'id')"),
        ("id,label,train\n1,1,true\n2,2,\n", "column 'train' (got nan in row 1); fill it"),
        ("id,label,train\n1,1,yes\n2,2,no\n", "column 'train' (got 'yes' in row 0); fill it"),
        ("id,label,train\n1,1,2\n2,2,0\n", "column 'train' (got 2 in row 0); fill it"),
    ],
)
def test_labels_that_cannot_be_read_are_refused(
    text: str, sentence: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "labels.csv").write_text(text)
    given = [str(files / name) for name in ("head.safetensors", "space.safetensors")]
    assert main(["upgrade", *given, "--rows", str(files / "rows.npy"), "--labels", str(files / "labels.csv")]) == 2
    assert sentence in capsys.readouterr().err


def test_unknown_labels_are_those_that_are_left_out(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = pd.read_csv(files / "labels.csv").drop(columns="train")
    given = [str(files / name) for name in ("head.safetensors", "space.safetensors")]
    given += ["--rows", str(files / "rows.npy"), "--labels", str(files / "labels.csv"), "--json", "-"]
    documents = []
    for written in (labels[:200], labels.assign(label=labels["label"].where(labels.index < 200, -1))):
        written.to_csv(files / "labels.csv", index=False)
        assert main(["upgrade", *given]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    assert documents[0] == documents[1]


@pytest.mark.parametrize("values", [("True", "False"), ("true", "FALSE"), ("1", "0")])
def test_the_column_train_may_be_written_in_several_ways(
    values: tuple[str, str], files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.load(files / "answers.npy").argmax(axis=1)
    lines = [f"{i},{labels[i]},{values[i >= 100]}" for i in range(300)]
    (files / "labels.csv").write_text("\n".join(["id,label,train", *lines]))
    given = [str(files / name) for name in ("head.safetensors", "space.safetensors")]
    given += ["--rows", str(files / "rows.npy"), "--labels", str(files / "labels.csv"), "--json", "-"]
    assert main(["upgrade", *given]) == 0
    assert "retrain" in json.loads(capsys.readouterr().out)["expected"]["old"]


def test_labels_that_repeat_an_id_are_refused(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"id": [5, 7, 5], "label": [0, 1, 2]}).to_csv(files / "labels.csv", index=False)
    given = [str(files / name) for name in ("head.safetensors", "space.safetensors")]
    assert main(["upgrade", *given, "--rows", str(files / "rows.npy"), "--labels", str(files / "labels.csv")]) == 2
    assert "must not repeat an id (got 5 more than once)" in capsys.readouterr().err


OUTPUTS = [
    ("--out", "head.safetensors"),
    ("--out", "space.safetensors"),
    ("--out", "rows.npy"),
    ("--out", "link.safetensors"),
    ("--out", "old.npy"),
    ("--out", "kept.npy"),
    ("--out", "labels.csv"),
    ("--out", "edges.csv"),
    ("--report", "labels.csv"),
    ("--report", "head.safetensors"),
    ("--json", "edges.csv"),
    ("--json", "rows.ids.txt"),
]


@pytest.mark.parametrize(("option", "name"), OUTPUTS)
def test_no_file_that_is_read_is_replaced(
    option: str, name: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame({"source": [0], "target": [1]}).to_csv(files / "edges.csv", index=False)
    (files / "rows.ids.txt").write_text("\n".join(map(str, range(ROWS))))
    (files / "link.safetensors").symlink_to(files / "head.safetensors")
    before = {path: path.read_bytes() for path in files.iterdir()}
    given = ["head.safetensors", "space.safetensors", "--rows", "rows.npy", "--old-rows", "old.npy", "--kept"]
    given += ["kept.npy", "--labels", "labels.csv", "--edges", "edges.csv", option, name, "--anyway"]
    assert main(["upgrade", *(str(files / word) if "." in word else word for word in given)]) == 2
    assert f"'{option}' must not replace a file that is read" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in files.iterdir()} == before


@pytest.mark.parametrize(("first", "second"), [("--out", "--json"), ("--out", "--report"), ("--report", "--json")])
def test_outputs_do_not_replace_each_other(
    first: str, second: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, given = sorted(files.iterdir()), [str(files / "head.safetensors"), str(files / "space.safetensors")]
    same = [first, str(files / "new.safetensors"), second, str(files / "." / "new.safetensors")]
    assert main(["upgrade", *given, *same]) == 2
    assert f"'{second}' must not replace what {first} writes" in capsys.readouterr().err
    assert sorted(files.iterdir()) == before


def test_files_of_a_bundle_and_tables_are_not_replaced(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = rg.AddAnchors(100)(rg.load_dataset("digits"))
    model = rg.fit(data, "gcn", seed=0, epochs=2)
    rg.save_bundle(files / "bundle", model, rg.AnchorSet.from_embeddings(model.embed(data), data))
    bundle, names = str(files / "bundle"), sorted(path.name for path in (files / "bundle").iterdir())
    for name in names:
        for old in (bundle, f"{bundle}/manifest.json"):
            assert main(["upgrade", old, bundle, "--out", f"{bundle}/{name}", "--anyway"]) == 2
            assert "'--out' must not replace a file that is read" in capsys.readouterr().err
    assert main(["upgrade", str(files / "old.npy"), str(files / "rows.npy"), "--out", str(files / "rows.ids.npy")]) == 2
    assert "'--out' must not be read with a table as its ids" in capsys.readouterr().err
    (files / "link.npy").symlink_to(files / "old.npy")
    for name in ("old.npy", "rows.npy", "link.npy"):
        assert main(["upgrade", str(files / "old.npy"), str(files / "rows.npy"), "--out", str(files / name)]) == 2
        assert "'--out' must not replace a file that is read" in capsys.readouterr().err


def test_a_head_is_written_under_its_suffix_only(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(files.iterdir())
    given = ["upgrade", str(files / "head.safetensors"), str(files / "space.safetensors")]
    assert main([*given, "--out", str(files / "new.npy"), "--anyway"]) == 2
    assert "'--out' must end in .safetensors for a converted head" in capsys.readouterr().err
    assert sorted(files.iterdir()) == before


def test_a_verdict_on_tables_needs_as_many_common_rows_as_one_on_heads(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.load(files / "rows.npy")
    for count, status in ((1, 2), (WIDTH, 2), (WIDTH + 1, 0)):
        np.save(files / "few.npy", rows[:count])
        assert main(["upgrade", str(files / "old.npy"), str(files / "few.npy")]) == status
        shown = capsys.readouterr()
        words = (
            f"'NEW' must share at least 7 ids, one more than it has dimensions, with 'OLD' for a verdict (got {count})"
        )
        assert (words in shown.err) == (status == 2) and ("verdict" in shown.out) == (status == 0)


def test_two_tables_are_translated(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = files / "new-in-old.npy"
    assert main(["upgrade", str(files / "old.npy"), str(files / "rows.npy"), "--out", str(out)]) == 0
    assert "verdict" in capsys.readouterr().out
    np.testing.assert_allclose(np.load(out)[:OLD], np.load(files / "old.npy"), atol=1e-2)


def test_bundles_of_two_versions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = rg.AddAnchors(100)(rg.load_dataset("digits"))
    for seed, name in ((0, "old"), (1, "new")):
        model = rg.fit(data, "gcn", seed=seed, epochs=30)
        rg.save_bundle(tmp_path / name, model, rg.AnchorSet.from_embeddings(model.embed(data), data, version=name))
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    assert main(["upgrade", old, new, "--out", str(tmp_path / "head.safetensors"), "--min-fidelity", "0.5"]) == 0
    assert "written" in capsys.readouterr().out
    assert rg.load_head(tmp_path / "head.safetensors").weight.shape == (10, 64)
    assert main(["show", str(tmp_path / "head.safetensors")]) == 0
    assert "converted head" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "status", "sentence"),
    [
        (["space.safetensors", "space.safetensors"], 2, "'OLD' must be a published head"),
        (["converted.safetensors", "space.safetensors"], 2, "; give the head that it was converted from"),
        (["head.safetensors", "head.safetensors"], 2, "'NEW' must be an anchor set"),
        (["old.npy", "space.safetensors"], 2, "'NEW' must be a table if the other is one"),
        (["head.safetensors", "missing.safetensors"], 1, "does not exist"),
        (["head.safetensors", "space.safetensors", "--kept", "kept.npy"], 2, "'--kept' must be left out without"),
        (["head.safetensors", "space.safetensors", "--method", "nearest"], 2, "'--method' must be one of"),
        (["old.npy", "rows.npy", "--rows", "rows.npy"], 2, "'--rows' must be left out for two tables"),
        (["head.safetensors", "space.safetensors", "--rows", "old.npy", "--labels", "rows.npy"], 1, "is damaged"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    files: Path, given: list[str], status: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rg.save_head(files / "converted.safetensors", torch.nn.Linear(WIDTH, CLASSES))
    words = [str(files / name) if "." in name else name for name in given]
    assert main(["upgrade", *words]) == status
    error = capsys.readouterr().err
    *progress, last = error.splitlines()
    assert sentence in last
    assert all(line.startswith("relgraph: load") for line in progress)


HEAD = "head.safetensors space.safetensors"
NAMED = {
    f"{HEAD} --rows wide.npy": "'--rows' must be 6 wide, as the anchors (got 9)",
    f"{HEAD} --rows infinite.npy": "'--rows' must hold finite numbers (got infinity in row 3)",
    f"{HEAD} --rows permuted.npy --kept kept.npy": "'--rows' must give every anchor's id to the row of that anchor",
    f"{HEAD} --rows repeated.npy": "'--rows' must not repeat an id (got 7 more than once)",
    f"{HEAD} --rows text.parquet --kept kept.npy": "(got text in '--rows' and integers in '--kept')",
    f"{HEAD} --rows rows.npy --kept narrow.npy": "'--kept' must have shape (600, 3), answers on the rows of '--rows'",
    f"{HEAD} --rows rows.npy --kept elsewhere.npy": "'--rows' must name ids that both tables have (got none in common",
    f"{HEAD} --rows rows.npy --labels few.csv": "'--labels' must have 50 labels beside those trained on (got 10); "
    "leave '--labels' out",
    f"{HEAD} --rows rows.npy --labels trained.csv": "'--labels' must have 50 labels beside those trained on",
    "values.safetensors space.safetensors --rows rows.npy --labels labels.csv": "'--labels' must be left out for a "
    "head of the mode 'regression' (got it); a verdict on more than the anchors needs several classes",
    "one.safetensors space.safetensors --rows rows.npy --labels labels.csv": "'--labels' must be left out for a head "
    "of one output (got it); a verdict on more than the anchors needs several classes",
    "small.safetensors space.safetensors": "'NEW' must share at least 7 anchors",
    f"{HEAD} --method kernel-ridge --out x.safetensors": "'--method' must be linear to write a head, one of ridge, kl "
    "(got 'kernel-ridge'); leave out '--out'",
    "old.npy infinite.npy": "'NEW' must hold finite numbers (got infinity in the row with id 3",
    "infinite.npy old.npy": "'OLD' must hold finite numbers (got infinity in the row with id 3",
    "old.npy repeated.npy": "'NEW' must not repeat an id (got 7 more than once)",
    "repeated.npy old.npy": "'OLD' must not repeat an id (got 7 more than once)",
    "old.npy elsewhere.npy": "'NEW' must name ids that both tables have (got none in common, such as 5000 and 0)",
    "old.npy short.npy": "'NEW' must have one id per row, 600 (got (3,)",
    "short.npy old.npy": "'OLD' must have one id per row, 600 (got (3,)",
    "old.npy fractions.npy": "'NEW' must have ids that are integers, strings or UUIDs",
    "old.npy text.parquet": "'--key' must name ids of one kind in both tables (got text in 'NEW' and integers in 'OLD'",
    "two.parquet old.npy": "'--key' must be given unless one column of 'two.parquet' can hold ids (got a, b)",
    "old.npy two.parquet --key c": "'--key' must be a column of 'two.parquet', one of a, b, vector (got 'c')",
    "old.npy empty.parquet": "'NEW' must have rows (got none in 'empty.parquet')",
    "empty.parquet old.npy": "'OLD' must have rows (got none in 'empty.parquet')",
}


@pytest.mark.parametrize(("given", "words"), NAMED.items())
def test_errors_name_arguments_as_they_are_typed(
    given: str, words: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    rows, outputs = np.load("rows.npy"), torch.from_numpy(np.load("answers.npy"))
    anchors = torch.arange(150)
    rg.PublishedHead(anchors, outputs[:150, :1], outputs[:, :1].mean(dim=0), "regression").save("values.safetensors")
    rg.PublishedHead(anchors, outputs[:150, :1], outputs[:, :1].mean(dim=0)).save("one.safetensors")
    rg.PublishedHead.load("head.safetensors").take(anchors[:6]).save("small.safetensors")
    infinite = rows.copy()
    infinite[3] = np.inf
    order = np.random.default_rng(0).permutation(ROWS)
    for name, ids, values in (
        ("wide", None, np.hstack([rows, rows[:, :3]])), ("infinite", None, infinite), ("permuted", order, rows),
        ("repeated", [7] * ROWS, rows), ("narrow", None, outputs[:, :2].numpy()), ("short", [1, 2, 3], rows),
        ("elsewhere", np.arange(ROWS) + 5000, outputs.numpy()), ("fractions", np.arange(ROWS) / 2, rows),
    ):  # fmt: skip
        save(files / f"{name}.npy", ids, values)
    save(files / "text.parquet", [f"n{row}" for row in range(ROWS)], rows)
    save(files / "empty.parquet", np.arange(0), rows[:0])
    table = pd.read_parquet(save(files / "two.parquet", range(ROWS), rows, key="a"))
    table.assign(b=table["a"]).reindex(columns=["a", "b", "vector"]).to_parquet("two.parquet")
    few = pd.read_csv("labels.csv")
    few[100:110].drop(columns="train").to_csv("few.csv", index=False)
    few.assign(train=True).to_csv("trained.csv", index=False)
    before = sorted(files.iterdir())
    assert main(["upgrade", *given.split()]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("relgraph: load")]
    assert out == "" and len(lines) == 1 and words in lines[0]
    assert sorted(files.iterdir()) == before


def test_the_id_column_may_be_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.load(files / "rows.npy")
    for name, values in (("a", rows), ("b", rows @ np.diag(np.arange(1.0, WIDTH + 1)).astype(np.float32))):
        table = pd.read_parquet(save(files / f"{name}.parquet", range(ROWS), values, key="node"))
        table.assign(other=table["node"][::-1].to_numpy()).to_parquet(files / f"{name}.parquet")
    tables = [str(files / f"{name}.parquet") for name in "ab"]
    assert main(["upgrade", *tables]) == 2
    assert "'--key' must be given unless one column" in capsys.readouterr().err
    assert main(["upgrade", *tables, "--key", "node", "--report", str(files / "page.html")]) == 0
    assert "verdict      convert" in capsys.readouterr().out
    assert "<span>--key</span> <span>node</span>" in (files / "page.html").read_text(encoding="utf-8")
    given = [str(files / name) for name in ("head.safetensors", "space.safetensors")]
    assert main(["upgrade", *given, "--rows", tables[0], "--old-rows", tables[0], "--key", "node", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["num_rows"] == {"old": ROWS}
