"""What is known of a translation of a table before anything is written: figures on held-out rows, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

Verdict = Literal["good", "doubtful", "useless"]
GOOD_COSINE, USELESS_COSINE, GOOD_RECALL, MOST_MISFITS = 0.9, 0.3, 0.5, 0.05
SHOWN = 5


@dataclass(frozen=True)
class Figure:
    """A mean over held-out rows, and its 95 % interval from the standard error."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Tensor) -> Figure:
        """From one value for each row."""
        found = values.double().numpy()
        mean, error = (
            float(found.mean()),
            1.96 * float(found.std(ddof=1)) / len(found) ** 0.5 if len(found) > 1 else 0.0,
        )
        return cls(mean, max(-1.0, mean - error), min(1.0, mean + error))

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class TableReport:
    """The report of :func:`relgraph.translate_table`.

    Args:
        source, target: Names of the tables.
        rows: Rows of the source.
        common: Ids that both tables have.
        anchors: Of these, how many the map was fitted on.
        method: Name of the map.
        widths: Dimensions of source and target.
        held_out: Rows that the figures are means over, and which.
        searched: Rows of the target that were searched.
        figures: R@1, MRR, cosine and overlap@10, by name.
        suspicious: Ids of anchors whose rows do not fit, the worst first.
        corresponds: Whether left-out anchors are predicted better than with permuted rows; ``None`` if unknown.
        notes: What else was found, one sentence each.
        serving: What the translation of one row costs.
        verdict: ``"good"``, ``"doubtful"`` or ``"useless"``.
        reason: Of the verdict.
    """

    source: str
    target: str
    rows: int
    common: int
    anchors: int
    method: str
    widths: tuple[int, int]
    held_out: str
    searched: int
    figures: Mapping[str, Figure]
    suspicious: Sequence[str]
    corresponds: bool | None
    notes: Sequence[str]
    serving: str
    verdict: Verdict
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As values of JSON."""
        return asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """What a command shows: names and values."""
        bad = ", ".join(self.suspicious[:SHOWN]) + (", ..." if len(self.suspicious) > SHOWN else "")
        found = [
            ("rows", f"{self.rows:,} of {self.source}, {self.widths[0]} wide"),
            ("into", f"{self.target}, {self.widths[1]} wide; {self.common:,} ids in common"),
            ("map", f"{self.method}, fitted on {self.anchors:,} anchors"),
            ("measured on", f"{self.held_out}, searched among {self.searched:,} rows by cosine"),
            *((name, str(figure)) for name, figure in self.figures.items()),
            ("suspicious", f"{len(self.suspicious)} anchors whose rows do not fit{f' ({bad})' if bad else ''}"),
            *(("note", note) for note in self.notes),
            ("serving", self.serving),
            ("verdict", f"{self.verdict}: {self.reason}"),
        ]
        return found

    def __str__(self) -> str:
        return "\n".join(f"{name:<13}{value}" for name, value in self.lines())


def judge(
    figures: Mapping[str, Figure], *, corresponds: bool | None, scarce: str, anchors: int, width: int, misfits: int
) -> tuple[Verdict, str]:
    """The verdict and its reason.

    Args:
        figures: On held-out rows, by name.
        corresponds: Whether rows correspond; ``None`` if unknown.
        scarce: Why the anchors hardly determine a map; empty if they do.
        anchors: How many there are.
        width: Dimensions of the source.
        misfits: How many anchors do not fit.

    Example:
        >>> sure = {"R@1": Figure(0.9, 0.88, 0.92), "cosine": Figure(0.97, 0.96, 0.98)}
        >>> judge(sure, corresponds=True, scarce="", anchors=500, width=64, misfits=0)[0]
        'good'
    """
    cosine, recall = (figures[name].mean if name in figures else float("nan") for name in ("cosine", "R@1"))
    if corresponds is False:
        return "useless", "the rows do not correspond: left-out anchors are predicted no better than with permuted rows"
    if cosine < USELESS_COSINE:
        return "useless", f"held-out rows have a mean cosine of {cosine:.2f} to the true ones"
    if scarce:
        return "doubtful", scarce
    if np.isnan(cosine):
        return "doubtful", f"{anchors} anchors are too few to measure anything; take more"
    if anchors <= width:
        return "doubtful", f"{anchors} anchors are no more than the {width} dimensions of the source; take more"
    if misfits > MOST_MISFITS * anchors:
        return (
            "doubtful",
            f"{misfits} of {anchors} anchors do not fit; check that ids name the same rows",
        )
    if cosine < GOOD_COSINE:
        return "doubtful", f"held-out rows have a mean cosine of {cosine:.2f} to the true ones, below {GOOD_COSINE}"
    if recall < GOOD_RECALL:
        return "doubtful", f"{recall:.0%} of held-out rows find their own row first; distances, not ranks, are kept"
    return (
        "good",
        f"held-out rows have a mean cosine of {cosine:.2f} to the true ones; {recall:.0%} find them first",
    )
