"""Walks of node2vec where pyg-lib is missing, and what is trained on them."""

import itertools

import networkx as nx
import torch
from torch_geometric.index import index2ptr
from torch_geometric.utils import from_networkx

from benchmarks.retrieval.node2vec import embeddings, uniform_walks


def test_walks_follow_edges_and_a_node_without_any_stays():
    graph = nx.barbell_graph(5, 2)
    graph.add_node(99)
    edges = from_networkx(graph).edge_index
    edges = edges[:, edges[0].argsort(stable=True)]
    num_nodes = graph.number_of_nodes()
    start = torch.arange(num_nodes).repeat(20)
    walks = uniform_walks(index2ptr(edges[0], num_nodes), edges[1], start, 6, 1.0, 1.0)
    known = set(map(tuple, edges.t().tolist()))
    assert walks.shape == (len(start), 7)
    for walk in walks.tolist():
        if walk[0] == num_nodes - 1:
            assert set(walk) == {walk[0]}
        else:
            assert all(step in known for step in itertools.pairwise(walk))


def test_every_neighbor_is_drawn_equally_often():
    edges = torch.tensor([[0, 0, 0, 1, 2, 3], [1, 2, 3, 0, 0, 0]])
    walks = uniform_walks(index2ptr(edges[0], 4), edges[1], torch.zeros(9000, dtype=torch.long), 1, 1.0, 1.0)
    assert (walks[:, 1].bincount(minlength=4)[1:] - 3000).abs().max() < 200


def test_embeddings_tell_two_cliques_apart_and_repeat():
    data = from_networkx(nx.barbell_graph(12, 0))
    z, again = embeddings(data, 0, 300), embeddings(data.clone(), 0, 300)
    torch.testing.assert_close(z, again, rtol=0, atol=0)
    similarity = torch.nn.functional.cosine_similarity(z[:, None], z[None], dim=2)
    within = similarity[:12, :12].mean() + similarity[12:, 12:].mean()
    assert within > 3 * similarity[:12, 12:].mean() + 0.2
