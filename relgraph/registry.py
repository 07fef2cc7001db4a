"""Every name that a user can type, with its implementation and one line of meaning.

An :class:`Entry` holds the import path of its implementation, which is loaded when it is used: the command line builds
its help from this file without importing torch. New names can be registered from outside the package:

    >>> from relgraph.registry import ENCODERS
    >>> ENCODERS.register("mine", dict, "an encoder of my own")  # a class, a function, or "module:attribute"
    >>> ENCODERS.resolve("mine") is dict
    True
    >>> ENCODERS.remove("mine")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from relgraph.errors import InputError, unknown_name


@dataclass(frozen=True)
class Entry:
    """One registered name.

    Args:
        target: The implementation, or its import path ``"module:attribute"``.
        meaning: One line for help texts.
        traits: What has to be known without loading the target.
    """

    target: Any
    meaning: str
    traits: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """The implementation."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute)


class Registry(Mapping[str, Entry]):
    """Names of one kind, in the order in which help lists them.

    Args:
        argument: Name of the argument that takes these names, for errors.
        home: How all import paths begin.
        rows: For each name the rest of its import path (``None`` if there is no implementation), its meaning, and its
            traits if it has some.

    Example:
        >>> colors = Registry("color", "builtins:", {"red": ("int", "warm")})
        >>> colors.resolve("red")
        <class 'int'>
        >>> colors.check("rde")
        Traceback (most recent call last):
            ...
        relgraph.errors.InputError: 'color' must be one of red (got 'rde'); did you mean 'red'?
    """

    def __init__(self, argument: str, home: str, rows: Mapping[str, tuple[Any, ...]]) -> None:
        self.argument = argument
        self._entries = {name: Entry(path and f"{home}{path}", *rest) for name, (path, *rest) in rows.items()}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def check(self, name: object, argument: str | None = None) -> str:
        """The name itself, or an :class:`InputError` if it is not registered."""
        if not isinstance(name, str) or name not in self._entries:
            raise unknown_name(argument or self.argument, name, self._entries)
        return name

    def resolve(self, name: object, argument: str | None = None) -> Any:
        """The implementation of a name, or an :class:`InputError` if it is not registered."""
        entry = self._entries[self.check(name, argument)]
        if isinstance(entry.target, str):  # kept, because a compiled module that resolves a name must not import
            entry = self._entries[str(name)] = replace(entry, target=entry.load())
        return entry.target

    def register(self, name: str, target: Any, meaning: str, **traits: Any) -> None:
        """Add the name of an :class:`Entry`, or raise an :class:`InputError` if it is taken."""
        if name in self._entries:
            raise InputError("name", f"must be new among {self.argument} names (got '{name}'); remove the old one")
        self._entries[name] = Entry(target, meaning, traits)

    def remove(self, name: str) -> None:
        """Remove a name."""
        del self._entries[self.check(name)]

    def __repr__(self) -> str:
        return f"Registry({self.argument}: {', '.join(self._entries)})"


ENCODERS = Registry(
    "encoder",
    "relgraph.nn.encoders.",
    {
        "gcn": ("gcn:GCNEncoder", "graph convolution, ReLU, one more propagation (64 wide)"),
        "sage": ("sage:SAGEEncoder", "GraphSAGE, ReLU, joined with the neighbors' mean (128 wide)"),
        "gat": ("attention:GATEncoder", "two layers of graph attention (64 wide)"),
        "gin": ("gin:GINEncoder", "graph isomorphism network: MLP of neighborhood sums, one more sum (64 wide)"),
        "gcn2": ("gcn2:GCN2Encoder", "GCNII: four convolutions with initial residual (64 wide)"),
        "mlp": ("mlp:MLPEncoder", "a perceptron on the features, without the graph: a reference (64 wide)"),
        "transformer": ("attention:TransformerEncoder", "two layers of dot-product attention (64 wide)"),
    },
)

GRAPH_ENCODERS = Registry(
    "encoder",
    "relgraph.nn.encoders.pooled:",
    {
        "gcn": ("EdgeGCNConv", "graph convolutions with edge features, mean over nodes (128 wide)"),
        "gin": ("edge_gin_conv", "graph isomorphism layers with edge features, mean over nodes (128 wide)"),
        "sage": ("EdgeSAGEConv", "GraphSAGE layers with edge features, mean over nodes (128 wide)"),
    },
)

SIMILARITIES = Registry(
    "similarity",
    "relgraph.similarity.functional:",
    {
        "cosine": ("COSINE", "cosine of the angle"),
        "angular": ("ANGULAR", "the angle itself, from 1 (none) to 0 (half a turn)"),
        "dot": ("DOT", "dot product"),
        "euclidean": ("EUCLIDEAN", "Euclidean distance"),
        "l1": ("L1", "Manhattan distance, the sum over coordinates"),
        "linf": ("LINF", "Chebyshev distance, the largest over coordinates"),
        "rbf": ("RBF", "Gaussian kernel as wide as the median distance between anchors"),
        "whitened": ("WHITENED", "dot product after whitening with the anchors' covariance"),
    },
)

NORMALIZATIONS = Registry(
    "normalization",
    "relgraph.similarity.normalization:",
    {
        "none": ("NONE", "unchanged"),
        "center": ("CENTER", "the center moved to the origin"),
        "standardize": ("STANDARDIZE", "every coordinate to mean 0 and variance 1"),
        "whiten": ("WHITEN", "covariance to the identity, with shrinkage"),
    },
)

# A target maps (source, num_anchors, generator) to rows. Traits: points (the source is a matrix of points), scores (the
# target maps a graph to scores, of which the highest are taken), level "any" (the source only needs rows), labels (what
# it uses of the labels).
STRATEGIES = Registry(
    "strategy",
    "relgraph.anchors.",
    {
        "random": ("sampling:random_nodes", "uniformly at random", {"level": "any"}),
        "class-stratified": (
            "sampling:class_stratified",
            "equally many of each class (uses the labels of the training nodes)",
            {"labels": "labels"},
        ),
        "degree": ("centrality:degree_score", "the nodes with the most neighbors", {"scores": True}),
        "pagerank": ("centrality:pagerank_score", "the nodes with the largest PageRank", {"scores": True}),
        "core-number": ("centrality:core_number_score", "the nodes of the densest k-core", {"scores": True}),
        "betweenness": ("centrality:betweenness_score", "the nodes on the most shortest paths", {"scores": True}),
        "k-center": ("centrality:graph_k_center", "greedy cover by hops"),
        "farthest-point": ("coverage:farthest_point", "greedy cover of the feature space", {"points": True}),
        "kmeans": ("coverage:kmeans_medoids", "the nodes nearest to k-means centers", {"points": True}),
    },
)

# Where strategies of the trait "points" measure distances: (graph, generator) -> points. Trait: labels, as above.
ANCHOR_FEATURES = Registry(
    "anchor_features",
    "relgraph.anchors.coverage:",
    {
        "input": ("input_features", "the features unchanged"),
        "propagated": ("propagated_features", "the features propagated over the graph"),
        "run": (None, "embeddings of the first run, which was trained on labels", {"labels": "run-embeddings"}),
    },
)

# What is known of a map (whether it is affine, its invariances) is in its relgraph.maps.Estimator. Trait: targets, as
# there, "outputs" for a map to a head only, "embeddings" for one to a space only; help shows it without importing the
# map.
MAPS = Registry(
    "method",
    "relgraph.maps.",
    {
        "ridge": ("ridge:RIDGE", "affine map by ridge regression"),
        "kernel-ridge": ("kernel:KERNEL_RIDGE", "kernel ridge regression, kernel by leave-one-out"),
        "procrustes": ("procrustes:PROCRUSTES", "rotation with one scale", {"targets": "embeddings"}),
        "orthogonal": (
            "procrustes:ORTHOGONAL",
            "orthogonal factor of least squares, with one scale",
            {"targets": "embeddings"},
        ),
        "kl": ("divergence:KL", "affine map fitted to the head's probabilities (convex)", {"targets": "outputs"}),
    },
)

# Trait: kind, that of the relgraph.measures.Measure where it is not "representations".
_OF_OUTPUTS = {"kind": "outputs"}

MEASURES = Registry(
    "measures",
    "relgraph.measures.",
    {
        "cka": ("cka:CKA", "linear centered kernel alignment (RV coefficient)"),
        "cka-unbiased": ("cka:CKA_UNBIASED", "the same without the bias of few rows"),
        "procrustes": ("subspaces:PROCRUSTES", "distance after the best rotation, scaling and translation"),
        "procrustes-angular": ("subspaces:PROCRUSTES_ANGULAR", "the same as an angle"),
        "second-order-cosine": (
            "neighborhoods:SECOND_ORDER_COSINE",
            "cosine of the similarities to the nearest rows",
        ),
        "mutual-knn": ("neighborhoods:MUTUAL_KNN", "share of the 10 nearest rows that both tables share"),
        "distance-correlation": ("distances:DISTANCE_CORRELATION", "squared correlation of centered distances"),
        "rsa": ("distances:RSA", "rank correlation of all distances between rows"),
        "svcca": ("subspaces:SVCCA", "mean canonical correlation of the directions with 99 % of the variance"),
        "linear-regression": ("subspaces:LINEAR_REGRESSION", "variance that a regression on the first table explains"),
        "relative-cosine": ("anchored:RELATIVE_COSINE", "distance of relative representations by cosines"),
        "relative-whitened": ("anchored:RELATIVE_WHITENED", "distance of whitened relative representations"),
        "retrieval": ("anchored:RETRIEVAL", "reciprocal rank of the own row after a translation by ridge regression"),
        "disagreement": ("outputs:DISAGREEMENT", "share of rows with different decisions", _OF_OUTPUTS),
        "jensen-shannon": ("outputs:JENSEN_SHANNON", "divergence of probabilities, in bits", _OF_OUTPUTS),
    },
)

# Trait: usual (False for a method that is only evaluated where it is named: it takes longer than all others together).
METHODS = Registry(
    "method",
    "relgraph.stitching.methods:",
    {
        "absolute": ("ABSOLUTE", "the foreign head on the source's own coordinates"),
        "relative-cosine": ("RELATIVE_COSINE", "encoder, cosine layer and head trained together (Moschella 2023)"),
        "relative-cosine-probe": ("RELATIVE_COSINE_PROBE", "frozen encoder, linear probe on its cosine vectors"),
        "ridge": ("RIDGE", "ridge regression on the anchors, shrinkage by leave-one-out: the default for values"),
        "ridge-0.01": ("RIDGE_FIXED", "ridge regression on the anchors, shrinkage 0.01"),
        "kernel-ridge": (
            "KERNEL_RIDGE",
            "kernel ridge regression on the anchors, kernel by leave-one-out (where named)",
            {"usual": False},
        ),
        "kl": ("KL", "affine map fitted to the head's probabilities on the anchors: the default for classes"),
        "procrustes": ("PROCRUSTES", "the source rotated onto the target by the anchors, then the foreign head"),
        "class-centroid": ("CLASS_CENTROID", "baseline: nearest class mean of the source's rows, no foreign head"),
        "label-ridge": ("LABEL_RIDGE", "baseline: least squares on the source's own targets, no foreign head"),
        "permuted-anchors": ("PERMUTED_ANCHORS", "control: the head's outputs shuffled over the anchors"),
    },
)
_LINKS = "relgraph.stitching.link_baselines:"
METHODS.register("common-neighbors", f"{_LINKS}COMMON_NEIGHBORS", "baseline: number of common neighbors of two nodes")
METHODS.register("preferential-attachment", f"{_LINKS}PREFERENTIAL_ATTACHMENT", "baseline: product of the two degrees")

TASKS = Registry(
    "task",
    "relgraph.problems.",
    {
        "node": ("node:NodeProblem", "node classification"),
        "graph": ("graph:GraphProblem", "properties of whole graphs"),
        "link": ("link:LinkProblem", "link prediction by a perceptron on pairs of nodes"),
        "link-dot": ("link:DotLinkProblem", "link prediction by inner products, for comparison"),
    },
)

METRICS = Registry(
    "metric",
    "relgraph.metrics:",
    {
        "accuracy": ("ACCURACY", "share of correct classes"),
        "rocauc": ("ROCAUC", "area under the ROC curve, mean over labels"),
        "hits@100": ("HITS_AT_100", "share of positives scored above the 100th negative"),
        "ap": ("AVERAGE_PRECISION", "average precision, mean over labels"),
        "rmse": ("RMSE", "root mean squared error, mean over targets"),
    },
)

SPLITS = Registry(
    "split",
    "",
    {
        "public": (None, "the masks that come with the dataset"),
        "ogb": (None, "the split of an OGB dataset, as on its leaderboard"),
        "random": (None, "20 nodes of each class for training, 30 for validation, the rest for testing"),
        "paper": (None, "90 % training, 10 % validation, no test nodes (Moschella 2023); optimistic"),
    },
)

# Targets: fields of relgraph.training.TrainSettings.
SETTINGS = Registry(
    "settings",
    "relgraph.training.settings:",
    {"kipf-welling": ("KIPF_WELLING", "200 epochs of Kipf and Welling (2017)")},
)

EXECUTORS = Registry(
    "executor",
    "relgraph.training.executors:",
    {
        "local": ("LocalExecutor", "in this process, seeds side by side where that is faster"),
        "ray": ("RayExecutor", "every run as a task of Ray, on this machine or a cluster (extra ray)"),
    },
)

# Targets: None for features as stored, else a function of edge_index and the number of nodes.
FEATURES = Registry(
    "features",
    "relgraph.datasets.structural_features:",
    {
        "raw": (None, "as stored"),
        "spectral": ("spectral", "made from the edges alone by a singular value decomposition"),
        "fastrp": ("fastrp", "made from the edges alone by random projections"),
    },
)

_OF_GRAPHS = {"task": "graph"}

DATASETS = Registry(
    "dataset",
    "relgraph.datasets.",
    {
        "digits": ("digits:load", "1,797 images of digits as a 10-nearest-neighbor graph (no download)"),
        "digits-properties": ("digits:load", "the same images with four labels: odd, prime, at least 5, closed loop"),
        "cora": ("pyg:load", "Planetoid citation graph"),
        "citeseer": ("pyg:load", "Planetoid citation graph"),
        "pubmed": ("pyg:load", "Planetoid citation graph"),
        "photo": ("pyg:load", "Amazon co-purchase graph"),
        "computers": ("pyg:load", "Amazon co-purchase graph"),
        "cs": ("pyg:load", "Coauthor graph"),
        "physics": ("pyg:load", "Coauthor graph"),
        "cora-full": ("pyg:load", "CitationFull graph"),
        "cora-ml": ("pyg:load", "CitationFull graph"),
        "citeseer-full": ("pyg:load", "CitationFull graph"),
        "pubmed-full": ("pyg:load", "CitationFull graph"),
        "dblp": ("pyg:load", "CitationFull graph"),
        "ogbn-arxiv": ("ogb:load_nodes", "OGB citation graph of computer science"),
        "ogbn-products": ("ogb:load_nodes", "OGB co-purchase graph (bring the files, 1.4 GB)"),
        "ogbn-proteins": ("ogb:load_nodes", "OGB protein graph, 112 labels (bring the files)"),
        "ogbn-mag": ("ogb:load_nodes", "OGB papers of all fields and their citations (bring the files)"),
        "ogbg-molbace": ("ogb:load_graphs", "molecules: inhibition of an enzyme", _OF_GRAPHS),
        "ogbg-molbbbp": ("ogb:load_graphs", "molecules: blood-brain barrier penetration", _OF_GRAPHS),
        "ogbg-molclintox": ("ogb:load_graphs", "molecules: approval and toxicity of drugs", _OF_GRAPHS),
        "ogbg-molmuv": ("ogb:load_graphs", "molecules: 17 screens for activity", _OF_GRAPHS),
        "ogbg-molpcba": ("ogb:load_graphs", "molecules: 128 assays of activity", _OF_GRAPHS),
        "ogbg-molsider": ("ogb:load_graphs", "molecules: 27 kinds of side effects", _OF_GRAPHS),
        "ogbg-moltox21": ("ogb:load_graphs", "molecules: 12 kinds of toxicity", _OF_GRAPHS),
        "ogbg-moltoxcast": ("ogb:load_graphs", "molecules: 617 kinds of toxicity", _OF_GRAPHS),
        "ogbg-molhiv": ("ogb:load_graphs", "molecules: inhibition of HIV", _OF_GRAPHS),
        "ogbg-molesol": ("ogb:load_graphs", "molecules: solubility in water (regression)", _OF_GRAPHS),
        "ogbg-molfreesolv": ("ogb:load_graphs", "molecules: energy of solvation (regression)", _OF_GRAPHS),
        "ogbg-mollipo": ("ogb:load_graphs", "molecules: lipophilicity (regression)", _OF_GRAPHS),
        "ogbg-molchembl": ("ogb:load_graphs", "molecules: 1310 assays of activity", _OF_GRAPHS),
    },
)
