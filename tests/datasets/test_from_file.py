from __future__ import annotations

import os
import pickle
from pathlib import Path

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from relgraph.datasets import load_dataset
from relgraph.datasets.from_file import from_networkx, load_file
from relgraph.errors import DataError, InputError
from relgraph.registry import DATASETS


class Foreign:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("foreign",)


def _graph(**changes: object) -> Data:
    values: dict[str, object] = {"x": torch.eye(3), "edge_index": torch.tensor([[0, 1], [1, 0]])}
    values |= {"y": torch.tensor([0, 1, 0]), **changes}
    return Data(**values)


def _saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "graph.pt")
    return folder / "graph.pt"


def test_a_data_and_its_dictionary_load_alike_with_all_attributes(tmp_path: Path) -> None:
    graph = _graph(
        edge_weight=torch.tensor([0.5, 2.0]),
        node_id=torch.tensor([7, 3, 5]),
        train_mask=torch.tensor([True, False, True]),
        note="kept",
    )
    for content in (graph, graph.to_dict()):
        data = load_dataset(_saved(tmp_path, content))
        for key in graph.keys():  # noqa: SIM118 (a Data iterates over pairs)
            assert torch.equal(data[key], graph[key]) if isinstance(graph[key], Tensor) else data[key] == graph[key]
        assert (data.dataset_name, data.source, data.features) == ("graph", "the saved graph graph.pt", "raw")
        assert data.x.dtype == torch.float32


def test_paths_are_told_from_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _saved(tmp_path, _graph())
    (tmp_path / "graph.pt").rename(tmp_path / "cora")
    assert load_dataset(tmp_path / "cora").num_nodes == 3
    assert load_dataset(str(tmp_path / "cora")).num_nodes == 3
    _saved(tmp_path, _graph())
    monkeypatch.chdir(tmp_path)
    assert load_dataset("graph.pt").num_nodes == 3
    assert load_dataset(Path("cora")).dataset_name == "cora"


def test_usual_variations_are_converted(tmp_path: Path) -> None:
    graph = _graph(
        x=torch.eye(3, dtype=torch.float64).to_sparse(),
        edge_index=torch.tensor([[0, 1], [1, 0]], dtype=torch.int32),
        y=torch.tensor([[0.0], [1.0], [0.0]]),
        edge_weight=torch.ones(2, 1),
        val_mask=torch.tensor([[1], [0], [1]], dtype=torch.uint8),
    )
    data = load_file(_saved(tmp_path, graph))
    assert torch.equal(data.x, torch.eye(3)) and data.edge_index.dtype == torch.int64
    assert data.y.dtype == torch.int64 and data.y.tolist() == [0, 1, 0]
    assert data.edge_weight.shape == (2,) and data.val_mask.tolist() == [True, False, True]
    assert "y" not in load_file(_saved(tmp_path, _graph(y=None)))


@pytest.mark.parametrize("name", ["digits", "again"])
def test_a_loaded_graph_can_be_saved_and_loaded(tmp_path: Path, name: str) -> None:
    first = load_dataset("digits")
    torch.save(first, tmp_path / f"{name}.pt")
    second = load_dataset(tmp_path / f"{name}.pt")
    assert torch.equal(first.x, second.x) and second.features == "pixels" and second.dataset_name == name


@given(edges=st.lists(st.tuples(st.integers(-2, 5), st.integers(-2, 5)), max_size=6), nodes=st.integers(1, 4))
def test_edges_load_exactly_when_both_ends_are_nodes(
    tmp_path_factory: pytest.TempPathFactory, edges: list[tuple[int, int]], nodes: int
) -> None:
    index = torch.tensor(edges, dtype=torch.int64).view(-1, 2).T
    path = _saved(tmp_path_factory.mktemp("edges"), Data(x=torch.ones(nodes, 1), edge_index=index))
    if all(0 <= end < nodes for edge in edges for end in edge):
        assert torch.equal(load_file(path).edge_index, index)
    else:
        with pytest.raises(InputError, match=rf"'edge_index' within 0\.\.{nodes - 1}"):
            load_file(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": None}, "must have 'x' .got edge_index, y"),
        ({"x": [[1.0]]}, "must have a tensor as 'x' .got a list"),
        ({"x": torch.ones(3)}, r"'x' of shape \(N, F\).*got float32 of shape \(3,\)"),
        ({"x": torch.ones(0, 3)}, r"at least one node .got float32 of shape \(0, 3\)"),
        ({"x": torch.tensor([[float("nan")], [1.0], [float("inf")]])}, "finite numbers in 'x' .got 2 NaN"),
        ({"edge_index": None}, "must have 'edge_index' .got x, y"),
        ({"edge_index": torch.tensor([[0.0], [1.0]])}, r"'edge_index' of shape \(2, E\), integers .got float32"),
        ({"edge_index": torch.tensor([[0, 1, 2]])}, r"'edge_index' of shape .* \(1, 3\)"),
        ({"edge_index": torch.tensor([[0], [3]])}, r"'edge_index' within 0\.\.2, the rows of 'x' .got 3"),
        ({"edge_index": torch.tensor([[-1], [2]])}, r"within 0\.\.2.* .got -1"),
        ({"y": torch.tensor([0, 1])}, r"one class per node in 'y', shape \(3,\) .got int64 of shape \(2,\)"),
        ({"y": torch.eye(3)}, r"one class per node in 'y'.*y\.argmax\(1\)"),
        ({"y": torch.tensor([0.5, 1.0, 0.0])}, "classes counted from 0"),
        ({"y": torch.tensor([0.0, float("nan"), 0.0])}, "classes counted from 0"),
        ({"y": torch.tensor([0, -2, 0])}, "classes counted from 0.*without a label the class -1"),
        ({"edge_weight": torch.ones(3)}, "one 'edge_weight' per edge"),
        ({"edge_weight": torch.tensor([1.0, float("nan")])}, "finite numbers in 'edge_weight' .got 1"),
        ({"train_mask": torch.ones(3, 10, dtype=torch.bool)}, "one split .got 'train_mask' of 10.*one column"),
        ({"test_mask": torch.tensor([0, 2])}, "one true or false per node in 'test_mask'"),
        ({"test_mask": torch.tensor([0, 2, 1])}, "one true or false per node in 'test_mask'"),
        ({"num_nodes": 5}, "one row of 'x' per node .got 3 for 5 nodes"),
        ({"source": torch.ones(3)}, "a string as 'source' .got a Tensor.; rename it"),
    ],
)
def test_a_graph_that_breaks_a_rule_gets_one_sentence(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_file(_saved(tmp_path, _graph(**changes)))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("content", [torch.ones(2), [_graph()], {1: torch.ones(2)}])
def test_other_contents_are_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match=f"must hold one PyG Data.*got a {type(content).__name__}"):
        load_file(_saved(tmp_path, content))


def test_a_graph_of_several_types_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds more than tensors and a PyG Data"):
        load_file(_saved(tmp_path, HeteroData(paper={"x": torch.ones(2, 1)})))


def test_foreign_code_is_refused_however_it_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "graph.pt"
    for content in (_graph(extra=Foreign()), {"x": Foreign()}, Foreign()):
        for legacy in (False, True):
            torch.save(content, path, _use_new_zipfile_serialization=not legacy)
            with pytest.raises(DataError, match=r"refused.*foreign code"):
                load_dataset(path)
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(DataError, match="refused"):
            load_dataset(path)
    assert not (tmp_path / "foreign").exists()
    torch.load(_saved(tmp_path, Foreign()), weights_only=False)
    assert (tmp_path / "foreign").exists()  # the files would have run it


def test_safe_globals_are_restored(tmp_path: Path) -> None:
    path, before = _saved(tmp_path, _graph()), set(torch.serialization.get_safe_globals())
    assert Data in before  # PyG's own registration, which its processed files need, has to stay
    load_file(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):
        torch.load(path, weights_only=True)
    with pytest.raises(DataError):
        load_file(_saved(tmp_path, _graph(extra=Foreign())))
    assert set(torch.serialization.get_safe_globals()) == before


def test_a_crafted_data_without_storage_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="damaged PyG Data"):
        load_file(_saved(tmp_path, Data.__new__(Data)))


def test_no_file_a_folder_and_bytes_of_anything_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be a file that exists"):
        load_dataset(tmp_path / "absent.pt")
    with pytest.raises(DataError, match=r"got a folder.*root"):
        load_dataset(tmp_path)
    whole = _saved(tmp_path, _graph()).read_bytes()
    for content in (b"", b"hello", b"\x80\x02", whole[: len(whole) // 2], whole[:-10], b"PK\x03\x04"):
        (tmp_path / "graph.pt").write_bytes(content)
        with pytest.raises(DataError, match=r"graph\.pt' is (damaged|refused)") as caught:
            load_dataset(tmp_path / "graph.pt")
        assert "\n" not in str(caught.value)


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'dataset' must be one of citeseer, .* \(got 'coraa'\); did you mean 'cora'"):
        load_dataset("coraa")
    with pytest.raises(InputError, match="'dataset' must be one of"):
        load_dataset(7)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'features' must be one of None, fastrp, raw, spectral \(got 'tfidf'\)"):
        load_dataset("digits", features="tfidf")
    for name in ("cora", "ogbg-molbace", "digits"):
        with pytest.raises(InputError, match="'root' must be a folder that exists") as caught:
            load_dataset(name, tmp_path / "absent")
        assert caught.value.argument == "root"
    with pytest.raises(InputError, match="'features' must be 'raw' or left out for a dataset of many graphs"):
        load_dataset("ogbg-molbace", tmp_path, features="spectral")


def test_a_registered_dataset_is_loaded_with_its_arguments(tmp_path: Path) -> None:
    given: list[object] = []

    def load(*arguments: object) -> Data:
        given.extend(arguments)
        return _graph()

    DATASETS.register("mine", load, "a dataset of my own", task="node")
    try:
        assert load_dataset("mine", tmp_path, features="raw").num_nodes == 3
    finally:
        DATASETS.remove("mine")
    assert given == ["mine", tmp_path, "raw"]


def test_a_graph_with_an_adjacency_in_place_of_edges(tmp_path: Path) -> None:
    adjacency = torch.tensor([[0.0, 0, 0], [3, 0, 0], [0, 0, 0]]).to_sparse()
    graph = {"x": torch.eye(3), "adj_t": adjacency}
    data = load_file(_saved(tmp_path, graph))
    assert data.edge_index.tolist() == [[0], [1]] and data.edge_weight.tolist() == [3.0] and "adj_t" not in data


def test_missing_labels_are_minus_one(tmp_path: Path) -> None:
    assert load_file(_saved(tmp_path, _graph(y=torch.tensor([-1, 1, 0])))).y.tolist() == [-1, 1, 0]


# --- networkx -------------------------------------------------------------------------------------------------------


def _networkx() -> nx.Graph:
    graph = nx.Graph(name="ring")
    for node, label in zip((5, 3, 9, 7), (0, 1, 0, -1), strict=True):
        graph.add_node(node, x=[float(node), 1.0], y=label, train_mask=node == 5)
    graph.add_weighted_edges_from([(5, 3, 0.5), (3, 9, 1.0), (9, 7, 2.0), (7, 5, 1.5)])
    return graph


def test_a_graph_of_networkx_is_converted() -> None:
    data = load_dataset(_networkx())
    assert data.x.tolist() == [[5.0, 1.0], [3.0, 1.0], [9.0, 1.0], [7.0, 1.0]] and data.x.dtype == torch.float32
    assert data.y.tolist() == [0, 1, 0, -1] and data.y.dtype == torch.int64
    assert data.train_mask.tolist() == [True, False, False, False] and data.train_mask.dtype == torch.bool
    weights = {(5, 3): 0.5, (3, 9): 1.0, (9, 7): 2.0, (7, 5): 1.5}
    ends = data.node_id[data.edge_index].T.tolist()
    found = dict(zip(map(tuple, ends), data.edge_weight.tolist(), strict=True))
    assert found == weights | {(b, a): weight for (a, b), weight in weights.items()}
    assert (data.dataset_name, data.source, data.features) == ("ring", "a graph of networkx", "raw")
    assert load_dataset(_networkx(), features="fastrp").x.shape == (4, 4)


def test_a_graph_of_networkx_that_breaks_a_rule() -> None:
    graph = _networkx()
    graph.add_node(11)
    with pytest.raises(InputError, match="'name' must be a graph whose nodes have the same attributes"):
        load_dataset(graph)
    with pytest.raises(InputError, match="the graph given must have 'x'"):
        load_dataset(nx.path_graph(3))
    assert "node_id" not in from_networkx(nx.relabel_nodes(_networkx(), str))
