"""Every name a user can type, with one line of meaning; nothing else, and nothing heavy is imported.

The command line builds its help from this file without loading torch. The registries that hold the implementations
live next to them; a test keeps both in agreement.
"""

from __future__ import annotations

ENCODERS = {
    "gcn": "graph convolution, ReLU, one more propagation (64 wide)",
    "sage": "GraphSAGE, ReLU, joined with the neighbours' mean (128 wide)",
    "gat": "two layers of graph attention (64 wide)",
    "gin": "graph isomorphism network: sums over neighbours, perceptron, one more sum (64 wide)",
    "gcn2": "four convolutions with initial residual and identity mapping, GCNII (64 wide)",
    "mlp": "a perceptron on the features, without the graph: a reference (64 wide)",
    "transformer": "two layers of dot-product attention along the edges (64 wide)",
}

GRAPH_ENCODERS = {
    "gcn": "graph convolutions over atoms and bonds, mean over the atoms (128 wide)",
    "gin": "graph isomorphism layers over atoms and bonds, mean over the atoms (128 wide)",
    "sage": "GraphSAGE layers over atoms and bonds, mean over the atoms (128 wide)",
}

STRATEGIES = {
    "random": "uniformly at random",
    "class-stratified": "equally many of each class (uses the labels of the training nodes)",
    "degree": "the nodes with the most neighbours",
    "pagerank": "the nodes with the largest PageRank",
    "k-center": "each one the most hops away from those chosen before",
    "farthest-point": "each one farthest from those chosen before, in the anchor space",
    "kmeans": "the nodes nearest to k-means centres in the anchor space",
}

SPACES = {
    "input": "the features as they are",
    "propagated": "the features propagated over the graph",
    "run": "embeddings of the first run, which knows the labels it was trained on",
}

SIMILARITIES = {
    "cosine": "cosine of the angle",
    "angular": "the angle itself, from 1 (none) to 0 (half a turn)",
    "dot": "dot product",
    "euclidean": "Euclidean distance",
    "l1": "Manhattan distance, the sum over coordinates",
    "linf": "Chebyshev distance, the largest of the coordinates",
    "rbf": "Gaussian kernel as wide as the median distance between anchors",
    "whitened": "dot product after whitening with the anchors' covariance",
}

NORMALIZATIONS = {
    "none": "as it is",
    "center": "the centre moved to the origin",
    "standardize": "every coordinate to mean 0 and variance 1",
    "whiten": "covariance to the identity, with shrinkage",
}

ARMS = {
    "absolute": "the foreign head on the source's own coordinates",
    "relative-cosine": "encoder, cosine layer and head trained together (Moschella et al. 2023)",
    "relative-cosine-posthoc": "frozen encoder, a new head trained on its cosine vectors",
    "converted": "the foreign head rewritten for the source's space from the anchors alone",
    "converted-rbf": "the same by kernel ridge regression, similarity and ridge by leave-one-out",
    "converted-kl": "the same, fitted to the head's probabilities on the anchors (convex, still linear)",
    "converted-auto": "the one of the three that reads held-out anchors best",
    "procrustes": "the source rotated onto the target by the anchors, then the foreign head",
    "class-centroid": "baseline: nearest class mean of the source's own training nodes, no foreign head",
    "permuted-anchors": "control: conversion with the anchors' correspondence destroyed",
}

GRAPH_STRATEGIES = {
    "random": "uniformly at random among the training graphs",
    "farthest-point": "each one farthest from those chosen before, by what the graphs are made of",
    "kmeans": "the training graphs nearest to k-means centres, by what the graphs are made of",
}

GRAPH_ARMS = {
    "absolute": "the foreign head on the source's own coordinates",
    "converted": "the foreign head rewritten for the source's space from the anchors alone",
    "converted-loo": "the same, its shrinkage by leave-one-out on the anchors",
    "converted-strong": "the same with the shrinkage 0.3",
    "converted-rbf": "the same by kernel ridge regression, similarity and ridge by leave-one-out",
    "converted-kl": "the same, fitted to the head's probabilities on the anchors (binary labels only)",
    "converted-auto": "the one of the three that reads held-out anchors best (binary labels only)",
    "procrustes": "the source rotated onto the target by the anchors, then the foreign head",
    "class-centroid": "baseline: nearer to the positive or the negative training graphs' mean (binary labels only)",
    "label-ridge": "baseline: least squares on the source's own training targets, no foreign head (regression only)",
    "permuted-anchors": "control: conversion with the anchors' correspondence destroyed",
}

SPLITS = {
    "public": "the masks that come with the data set",
    "ogb": "the masks that come with a set of OGB, as its leaderboard has them",
    "random": "20 nodes of each class for training, 30 for validation, the rest for testing",
    "paper": "90 % training, 10 % validation and no test nodes, as in Moschella et al. (2023); optimistic",
}

FEATURES = {
    "raw": "as stored",
    "file": "as stored; for sets of OGB the word of its file",
    "spectral": "made of the edges alone by a singular value decomposition; not the published ones",
    "fastrp": "made of the edges alone by random projections; not the published ones",
}

DATASETS = {
    "digits": "1,797 images of digits as a 10-nearest-neighbour graph (no download)",
    "cora": "Planetoid citation graph",
    "citeseer": "Planetoid citation graph",
    "pubmed": "Planetoid citation graph",
    "photo": "Amazon co-purchase graph",
    "computers": "Amazon co-purchase graph",
    "cs": "Coauthor graph",
    "physics": "Coauthor graph",
    "cora-full": "CitationFull graph",
    "cora-ml": "CitationFull graph",
    "citeseer-full": "CitationFull graph",
    "pubmed-full": "CitationFull graph",
    "dblp": "CitationFull graph",
    "ogbn-arxiv": "OGB citation graph of computer science",
    "ogbn-products": "OGB co-purchase graph (bring the files, 1.4 GB)",
    "ogbn-proteins": "OGB protein graph, 112 labels of 0 or 1 (bring the files)",
    "ogbn-mag": "OGB papers of all fields and their citations (bring the files)",
}

GRAPH_DATASETS = {
    "ogbg-molbace": "molecules: inhibition of an enzyme",
    "ogbg-molbbbp": "molecules: passing into the brain",
    "ogbg-molclintox": "molecules: approval and toxicity of drugs",
    "ogbg-molmuv": "molecules: 17 screens for activity",
    "ogbg-molpcba": "molecules: 128 assays of activity",
    "ogbg-molsider": "molecules: 27 kinds of side effects",
    "ogbg-moltox21": "molecules: 12 kinds of toxicity",
    "ogbg-moltoxcast": "molecules: 617 kinds of toxicity",
    "ogbg-molhiv": "molecules: inhibition of HIV",
    "ogbg-molesol": "molecules: solubility in water (regression)",
    "ogbg-molfreesolv": "molecules: energy of solvation (regression)",
    "ogbg-mollipo": "molecules: affinity to fat over water (regression)",
    "ogbg-molchembl": "molecules: 1310 assays of activity",
}
