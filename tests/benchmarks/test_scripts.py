"""Every script runs on a tiny setting of real data; numbers are not compared."""

from importlib import import_module

import pytest

from benchmarks.study import read_rows

TINY = {
    "stitching.run": "--dataset cora --seeds 2 --epochs 3 --encoders gcn",
    "stitching.few_anchors": "--dataset cora --seeds 2 --epochs 3 --anchors 0 16 --strategy none kmeans",
    "stitching.encoders": "--dataset cora --seeds 2 --epochs 2 --study three-widths --method absolute ridge",
    "stitching.partial_labels": "--dataset cora --seeds 2 --epochs 3 --anchors 16 --strategy random",
    "stitching.inner_layers": "--dataset cora --seeds 3 --epochs 2 --method ridge-relu absolute",
    "stitching.regression_heads": "--dataset cora --seeds 2 --epochs 3 --target log-degree --anchors 0 8",
    "stitching.inductive": "--dataset cora --seeds 2 --epochs 3 --cut 0",
    "stitching.random_splits": "--seeds 2 --splits 2 --epochs 2 --encoders gcn sage --anchors 32 --method ridge kl",
    "stitching.nearest_anchors": "--dataset cora --seeds 2 --epochs 3 --count 128 2 8 --strength chosen 1",
    "stitching.anchor_space": "--dataset cora --seeds 3 --epochs 3 --anchors 16 --features random-anchors unit-both",
    "stitching.permuted_control": "--dataset cora --seeds 2 --epochs 3",
    "stitching.study_time": "--dataset cora --seeds 2 --epochs 3",
    "stitching.made_graphs": "--homophily 0.3 --seeds 2 --epochs 3 --anchors 0 8 --strategy none kmeans --method kl",
    "stitching.self_supervised": "--dataset cora --seeds 2 --epochs 2 --anchors 0 32",
    "stitching.tune": "--dataset cora --seeds 3 --epochs 3 --sources half --anchors 16",
    "stitching.extreme_anchors": "--dataset cora --rows degree --anchors 32 --method ridge --seeds 3 --epochs 3",
    "molecules.run": "--dataset ogbg-molfreesolv --seeds 2 --epochs 1 --anchors 140",
    "molecules.tune": "--dataset ogbg-molfreesolv --seeds 2 --epochs 1 --anchors 256 --shrinkage 0.01",
    "checkpoints.run": "--model gcn-cat branching --anchors 512 --seeds 2 --epochs 2",
    "links.run": "--dataset cora --decoder perceptron --seeds 2 --epochs 3",
    "links.reconstruction": "--dataset cora --anchors 0 128 --seeds 2 --epochs 3",
    "links.tune": "--dataset cora --settings 64/0.03/0/150 --seeds 2 --epochs 2",
    "ogb.run": "--seeds 2 --epochs 1 --encoders gcn --layer last --anchors 0 128 --strategy none random-training",
    "ogb.minibatches": "--steps 1 --batch 64",
    "ogb.tune": "--epochs 1 --part grid --hidden-channels 64 --dropout 0.2 --weight-decay 0 --encoder gcn",
    "training.run": "--encoder gat gcn2 --dataset cora --seeds 2 --epochs 2 --timed 1 --split public",
    "training.accuracy": "--dataset cora photo --encoder gcn --settings default --seeds 2 --epochs 2",
    "training.tune": "--dataset citeseer photo --encoder gcn --settings default kipf-welling --seeds 2 --epochs 2",
    "retrieval.run": "--dataset cora --models gcn gcn-node2vec --seeds 2 --epochs 3 --anchors 0 512 --metric euclidean "
    "--method absolute ceiling ridge ridge-rerank",
    "versions.drift": "--dataset cora --change none merged --old 3 --new 1 --seeds 4 --draws 1 --epochs 3",
    "measures.run": "--dataset cora --seeds 3 --epochs 3 --measure cka disagreement procrustes --rows 100",
    "measures.scaling": "--share 0.02",
    "stability.consensus": "--dataset cora --team gcn gcn-sage --size 1 2 --seeds 4 --epochs 3",
    "stability.tune": "--choice ensemble 128/closest/log/2/- embeddings/one embeddings/procrustes --seeds 4 --epochs 3",
    "stability.margin": "--dataset cora --seeds 3 --epochs 3",
    "stability.study": "--dataset cora --split public --seeds 4 --epochs 2",
    "tables.trust": "--dataset cora --seeds 2 --epochs 3 --anchors 256",
    "versions.run": "--graph cora --cut 0 --encoder gcn --seeds 1 --epochs 3",
    "versions.verdict": "--graph cora --cut 0 --encoder gcn --method kl --anchors 128 --seeds 1 --epochs 3",
    "versions.summary": "--graphs all",
    "versions.tune": "--anchors 512 --constant plain prior-strength --value 0 0.3 --epochs 1",
    "versions.lasting": "--dataset cora --cut 0 --seeds 1 --epochs 3 --draws 1 --among common lasting-0.5 changed-0.5",
    "versions.gone": "--graph cora --encoder gcn --published 128 256 --seeds 1 --draws 2 --epochs 3",
    "stability.known": "--dataset citeseer --seeds 4 --gat-seeds 4 --averaged-seeds 4 --epochs 2",
    "inference.run": "--nodes 10000 --width 64 --anchors 128 --turns 1",
    "inference.relative_conv": "--similarity l1 --per-node 0 4 --nodes 500 --turns 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_script(name, tmp_path, real_data_root):
    study = import_module(f"benchmarks.{name}").STUDY
    options = [*TINY[name].split(), "--out", str(tmp_path / "rows.csv")]
    if study.needs_data:
        options += ["--data-root", str(real_data_root)]
    chosen = study.parser().parse_args(options)
    cells = study.cells({axis: getattr(chosen, axis) or study.default.get(axis) for axis in study.grid})
    study.main(options)
    rows = read_rows(tmp_path / "rows.csv")
    assert cells
    assert {study.key(row) for row in rows} == {study.key(cell) for cell in cells}
    if study.path.exists():  # a study that was never run has no rows yet, and its tables say so
        measured = {column for row in rows for column in row if row[column] is not None} - {"relgraph", "torch"}
        known = {column for row in read_rows(study.path) for column in row}
        assert measured & known > set(study.grid)
