import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import from_networkx, homophily

from relgraph.studies.properties import distance_to, neighborhood_homophily, node_properties


@pytest.fixture
def graph():
    made = nx.gnp_random_graph(40, 0.06, seed=1)
    data = from_networkx(made)
    data.num_nodes = 40
    return made, data, torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(0))


def test_properties_are_those_of_networkx(graph):
    made, data, y = graph
    found = node_properties(data, y, torch.tensor([3, 5]))
    assert found["degree"].tolist() == [made.degree(node) for node in made]
    cores = nx.core_number(made)
    assert found["core_number"].tolist() == [cores[node] for node in made]
    lengths = nx.multi_source_dijkstra_path_length(made, {3, 5})
    assert found["distance"].tolist() == [lengths.get(node, float("inf")) for node in made]
    for node in made:
        around = [int(y[other] == y[node]) for other in made[node]]
        assert found["homophily"][node] == pytest.approx(np.mean(around) if around else np.nan, nan_ok=True)


def test_homophily_averages_to_that_of_pyg(graph):
    _, data, y = graph
    own = np.nan_to_num(neighborhood_homophily(data, y))
    connected = torch.unique(data.edge_index)
    assert own[connected.numpy()].mean() == pytest.approx(
        homophily(data.edge_index, y, method="node") * 40 / len(connected)
    )


def test_loops_repeated_and_one_way_edges_and_unknown_classes():
    data = Data(edge_index=torch.tensor([[0, 0, 0, 1, 2], [0, 1, 1, 2, 3]]), num_nodes=5)
    y = torch.tensor([0, 0, 1, -1, 1])
    assert np.nan_to_num(neighborhood_homophily(data, y), nan=-1).tolist() == [1.0, 0.5, 0.0, -1.0, -1.0]
    assert distance_to(data, torch.tensor([3])).tolist() == [3.0, 2.0, 1.0, 0.0, float("inf")]


def test_without_edges_labels_or_training_nodes_there_is_less():
    assert node_properties(Data(x=torch.zeros(3, 1))) == {}
    data = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    assert set(node_properties(data)) == {"degree", "core_number"}
