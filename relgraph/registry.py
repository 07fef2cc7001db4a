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
from dataclasses import dataclass, field
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
        entries: The entries by name.

    Example:
        >>> colors = Registry("color", {"red": Entry("builtins:int", "warm")})
        >>> colors.resolve("red")
        <class 'int'>
        >>> colors.check("rde")
        Traceback (most recent call last):
            ...
        relgraph.errors.InputError: 'color' must be one of red (got 'rde'); did you mean 'red'?
    """

    def __init__(self, argument: str, entries: Mapping[str, Entry]) -> None:
        self.argument = argument
        self._entries = dict(entries)
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def check(self, name: object, argument: str | None = None) -> str:
        """The name itself, if it is registered.

        Raises:
            InputError: If it is not.
        """
        if not isinstance(name, str) or name not in self._entries:
            raise unknown_name(argument or self.argument, name, self._entries)
        return name

    def resolve(self, name: object, argument: str | None = None) -> Any:
        """The implementation of a name.

        Raises:
            InputError: If the name is not registered.
        """
        if isinstance(name, str) and name in self._loaded:
            return self._loaded[name]
        known = self.check(name, argument)
        self._loaded[known] = self._entries[known].load()
        return self._loaded[known]

    def meanings(self) -> dict[str, str]:
        """The line of meaning of every name."""
        return {name: entry.meaning for name, entry in self._entries.items()}

    def register(self, name: str, target: Any, meaning: str, **traits: Any) -> None:
        """Add a name.

        Args:
            name: The name that users type.
            target: The implementation, or its import path ``"module:attribute"``.
            meaning: One line for help texts.
            **traits: What has to be known without loading the target; see the registry's other entries.

        Raises:
            InputError: If the name is taken.
        """
        if name in self._entries:
            raise InputError("name", f"must be new among {self.argument} names (got '{name}'); remove the old one")
        self._entries[name] = Entry(target, meaning, traits)

    def remove(self, name: str) -> None:
        """Remove a name."""
        del self._entries[self.check(name)]
        self._loaded.pop(name, None)

    def __repr__(self) -> str:
        return f"Registry({self.argument}: {', '.join(self._entries)})"


def _entries(home: str, rows: Mapping[str, tuple[str, str]], **traits: Any) -> dict[str, Entry]:
    """Entries whose targets lie in one package: name -> (path below the package, meaning)."""
    return {name: Entry(f"{home}{path}", meaning, traits) for name, (path, meaning) in rows.items()}


ENCODERS = Registry(
    "encoder",
    _entries(
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
    ),
)

GRAPH_ENCODERS = Registry(
    "encoder",
    _entries(
        "relgraph.nn.encoders.pooled:",
        {
            "gcn": ("EdgeGCNConv", "graph convolutions with edge features, mean over nodes (128 wide)"),
            "gin": ("edge_gin_conv", "graph isomorphism layers with edge features, mean over nodes (128 wide)"),
            "sage": ("EdgeSAGEConv", "GraphSAGE layers with edge features, mean over nodes (128 wide)"),
        },
    ),
)

SIMILARITIES = Registry(
    "similarity",
    _entries(
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
    ),
)

NORMALIZATIONS = Registry(
    "normalization",
    _entries(
        "relgraph.similarity.normalization:",
        {
            "none": ("NONE", "unchanged"),
            "center": ("CENTER", "the center moved to the origin"),
            "standardize": ("STANDARDIZE", "every coordinate to mean 0 and variance 1"),
            "whiten": ("WHITEN", "covariance to the identity, with shrinkage"),
        },
    ),
)

# A target maps (source, num_anchors, generator) to rows. Traits: points (the source is a matrix of points), scores (the
# target maps a graph to scores, of which the highest are taken), level "any" (the source only needs rows), labels (what
# it uses of the labels).
STRATEGIES = Registry(
    "strategy",
    {
        "random": Entry("relgraph.anchors.sampling:random_nodes", "uniformly at random", {"level": "any"}),
        "class-stratified": Entry(
            "relgraph.anchors.sampling:class_stratified",
            "equally many of each class (uses the labels of the training nodes)",
            {"labels": "labels"},
        ),
        "degree": Entry(
            "relgraph.anchors.centrality:degree_score", "the nodes with the most neighbors", {"scores": True}
        ),
        "pagerank": Entry(
            "relgraph.anchors.centrality:pagerank_score", "the nodes with the largest PageRank", {"scores": True}
        ),
        "core-number": Entry(
            "relgraph.anchors.centrality:core_number_score", "the nodes of the densest k-core", {"scores": True}
        ),
        "betweenness": Entry(
            "relgraph.anchors.centrality:betweenness_score", "the nodes on the most shortest paths", {"scores": True}
        ),
        "k-center": Entry("relgraph.anchors.centrality:graph_k_center", "greedy cover by hops"),
        "farthest-point": Entry(
            "relgraph.anchors.coverage:farthest_point", "greedy cover of the feature space", {"points": True}
        ),
        "kmeans": Entry(
            "relgraph.anchors.coverage:kmeans_medoids", "the nodes nearest to k-means centers", {"points": True}
        ),
    },
)

# Where strategies of the trait "points" measure distances: (graph, generator) -> points. Trait: labels, as above.
ANCHOR_FEATURES = Registry(
    "anchor_features",
    {
        "input": Entry("relgraph.anchors.coverage:input_features", "the features unchanged"),
        "propagated": Entry("relgraph.anchors.coverage:propagated_features", "the features propagated over the graph"),
        "run": Entry(None, "embeddings of the first run, which was trained on labels", {"labels": "run-embeddings"}),
    },
)

# What is known of a map (its targets, whether it is affine, its invariances) is in its relgraph.maps.Estimator.
MAPS = Registry(
    "method",
    _entries(
        "relgraph.maps.",
        {
            "ridge": ("ridge:RIDGE", "affine map by ridge regression"),
            "kernel-ridge": ("kernel:KERNEL_RIDGE", "kernel ridge regression, kernel by leave-one-out"),
            "procrustes": ("procrustes:PROCRUSTES", "rotation with one scale"),
            "orthogonal": ("procrustes:ORTHOGONAL", "orthogonal factor of least squares, with one scale"),
            "kl": ("divergence:KL", "affine map fitted to the head's probabilities (convex)"),
            "auto": ("automatic:AUTO", "the map with the highest agreement on held-out anchors"),
        },
    ),
)

METHODS = Registry(
    "method",
    _entries(
        "relgraph.stitching.methods:",
        {
            "absolute": ("ABSOLUTE", "the foreign head on the source's own coordinates"),
            "relative-cosine": ("RELATIVE_COSINE", "encoder, cosine layer and head trained together (Moschella 2023)"),
            "relative-cosine-posthoc": ("RELATIVE_COSINE_POSTHOC", "frozen encoder, new head on its cosine vectors"),
            "ridge": ("RIDGE", "ridge regression on the anchors, shrinkage by leave-one-out"),
            "ridge-0.01": ("RIDGE_FIXED", "ridge regression on the anchors, shrinkage 0.01"),
            "ridge-0.3": ("RIDGE_STRONG", "ridge regression on the anchors, shrinkage 0.3"),
            "kernel-ridge": ("KERNEL_RIDGE", "kernel ridge regression on the anchors, kernel by leave-one-out"),
            "kl": ("KL", "affine map fitted to the head's probabilities on the anchors (convex)"),
            "auto": ("AUTO", "the map with the highest agreement on held-out anchors"),
            "procrustes": ("PROCRUSTES", "the source rotated onto the target by the anchors, then the foreign head"),
            "class-centroid": ("CLASS_CENTROID", "baseline: nearest class mean of the source's rows, no foreign head"),
            "label-ridge": ("LABEL_RIDGE", "baseline: least squares on the source's own targets, no foreign head"),
            "permuted-anchors": ("PERMUTED_ANCHORS", "control: the head's outputs shuffled over the anchors"),
        },
    )
    | _entries(
        "relgraph.stitching.link_baselines:",
        {
            "common-neighbors": ("COMMON_NEIGHBORS", "baseline: number of common neighbors of two nodes"),
            "preferential-attachment": ("PREFERENTIAL_ATTACHMENT", "baseline: product of the degrees of two nodes"),
        },
    ),
)

TASKS = Registry(
    "task",
    {
        "node": Entry("relgraph.problems.node:NodeProblem", "node classification"),
        "graph": Entry("relgraph.problems.graph:GraphProblem", "properties of whole graphs"),
        "link": Entry("relgraph.problems.link:LinkProblem", "link prediction by a perceptron on pairs of nodes"),
        "link-dot": Entry("relgraph.problems.link:DotLinkProblem", "link prediction by inner products, for comparison"),
    },
)

METRICS = Registry(
    "metric",
    _entries(
        "relgraph.metrics:",
        {
            "accuracy": ("ACCURACY", "share of correct classes"),
            "rocauc": ("ROCAUC", "area under the ROC curve, mean over labels"),
            "hits@100": ("HITS_AT_100", "share of positives scored above the 100th negative"),
            "ap": ("AVERAGE_PRECISION", "average precision, mean over labels"),
            "rmse": ("RMSE", "root mean squared error, mean over targets"),
        },
    ),
)

SPLITS = Registry(
    "split",
    {
        "public": Entry(None, "the masks that come with the dataset"),
        "ogb": Entry(None, "the split of an OGB dataset, as on its leaderboard"),
        "random": Entry(None, "20 nodes of each class for training, 30 for validation, the rest for testing"),
        "paper": Entry(None, "90 % training, 10 % validation, no test nodes (Moschella 2023); optimistic"),
    },
)

# Targets: fields of relgraph.training.TrainSettings.
SETTINGS = Registry(
    "settings",
    {"kipf-welling": Entry("relgraph.training.settings:KIPF_WELLING", "200 epochs of Kipf and Welling (2017)")},
)

# Targets: None for features as stored, else a function of edge_index and the number of nodes.
FEATURES = Registry(
    "features",
    {
        "raw": Entry(None, "as stored"),
        **_entries(
            "relgraph.datasets.structural_features:",
            {
                "spectral": ("spectral", "made from the edges alone by a singular value decomposition"),
                "fastrp": ("fastrp", "made from the edges alone by random projections"),
            },
        ),
    },
)


def _datasets(target: str, rows: Mapping[str, str], **traits: Any) -> dict[str, Entry]:
    return {name: Entry(target, meaning, traits) for name, meaning in rows.items()}


DATASETS = Registry(
    "dataset",
    {
        "digits": Entry(
            "relgraph.datasets.digits:load",
            "1,797 images of digits as a 10-nearest-neighbor graph (no download)",
            {"task": "node"},
        ),
        "digits-properties": Entry(
            "relgraph.datasets.digits:load",
            "the same images with four labels: odd, prime, at least 5, closed loop (no download)",
            {"task": "node"},
        ),
        **_datasets(
            "relgraph.datasets.pyg:load",
            {
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
            },
            task="node",
        ),
        **_datasets(
            "relgraph.datasets.ogb:load_nodes",
            {
                "ogbn-arxiv": "OGB citation graph of computer science",
                "ogbn-products": "OGB co-purchase graph (bring the files, 1.4 GB)",
                "ogbn-proteins": "OGB protein graph, 112 labels (bring the files)",
                "ogbn-mag": "OGB papers of all fields and their citations (bring the files)",
            },
            task="node",
        ),
        **_datasets(
            "relgraph.datasets.ogb:load_graphs",
            {
                "ogbg-molbace": "molecules: inhibition of an enzyme",
                "ogbg-molbbbp": "molecules: blood-brain barrier penetration",
                "ogbg-molclintox": "molecules: approval and toxicity of drugs",
                "ogbg-molmuv": "molecules: 17 screens for activity",
                "ogbg-molpcba": "molecules: 128 assays of activity",
                "ogbg-molsider": "molecules: 27 kinds of side effects",
                "ogbg-moltox21": "molecules: 12 kinds of toxicity",
                "ogbg-moltoxcast": "molecules: 617 kinds of toxicity",
                "ogbg-molhiv": "molecules: inhibition of HIV",
                "ogbg-molesol": "molecules: solubility in water (regression)",
                "ogbg-molfreesolv": "molecules: energy of solvation (regression)",
                "ogbg-mollipo": "molecules: lipophilicity (regression)",
                "ogbg-molchembl": "molecules: 1310 assays of activity",
            },
            task="graph",
        ),
    },
)
