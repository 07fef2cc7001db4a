"""What the benchmarks here share: graphs, sources that were told less, and what two runs hand each other."""

from __future__ import annotations

import copy
import json
import re

import torch

import relgraph as rg
from relgraph.graph import anchor_index
from relgraph.training import apply_protocol

NAMES = ("cora", "citeseer", "pubmed")


def graph(name, root, split_seed=0):
    """A graph with its public split, or with a random one where it brings none, features scaled as published."""
    return apply_protocol(rg.load_dataset(name, root), seed=split_seed)[0]


def coarse(data, name):
    """The graph with two superclasses: label mod 2, on PubMed the first class against the rest."""
    data = copy.copy(data)
    data.y = (data.y > 0).long() if name.startswith("pubmed") else data.y % 2
    return data


def halved(data, seed):
    """The graph with half of its classes (rounded up), drawn anew for each seed: other nodes train and choose nothing.

    Returns:
        The graph, its classes numbered from 0, and the classes that it kept.
    """
    data = copy.copy(data)
    count = int(data.y.max()) + 1
    kept = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[: (count + 1) // 2].sort().values
    number = torch.full((count,), -1)
    number[kept] = torch.arange(kept.numel())
    data.y = number[data.y]
    return data, kept


def anchor_rows(data, count, strategy="random", seed=0):
    """Rows of the anchors in rank order."""
    return anchor_index(rg.AddAnchors(count, strategy, seed=seed)(data))


def space_of(z, rows):
    """What a run publishes of its space."""
    return rg.AnchorSet(rows, z[rows], z.mean(dim=0))


def head_of(run, rows):
    """What a run publishes of its head."""
    return rg.publish(run.head, space_of(run.z, rows))


def rounded(value, digits=6):
    """The same document with fewer decimals."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, list | tuple):
        return [rounded(one, digits) for one in value]
    if isinstance(value, dict):
        return {key: rounded(one, digits) for key, one in value.items()}
    return value


def finished(path, again):
    """What an earlier run of a script wrote, graph by graph; nothing if it is to be done again."""
    return json.loads(path.read_text()) if path.exists() and not again else {"graphs": {}}


def write(path, document):
    """Write a results file, one line for each row."""
    text = json.dumps(document, indent=1)
    path.write_text(re.sub(r"\n {6,}|\n {5}(?=[\]}])", "", text) + "\n")
