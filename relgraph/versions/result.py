"""The result of an upgrade: the converted head, what to expect of it, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from relgraph.versions.expectation import Expectation

Verdict = Literal["convert", "keep", "retrain"]


def by_way(values: Mapping[str, float]) -> str:
    """A value for each way to go on, for a reader."""
    return ", ".join(f"{value:.3f} ({way})" for way, value in values.items())


def _named(group: str) -> str:
    return group if group == "anchors" else f"{group} rows"


@dataclass(frozen=True)
class Expected:
    """What to expect of one way to go on, on one group of rows.

    Args:
        fidelity: Share of rows with the answer of the old head; ``None`` if unknown.
        retention: Accuracy relative to that of a retrained head, with labels to train on; relative to that of the old
            model's answers on the later graph, where these are given and neighbors judge; else to that of the old head,
            by its own probabilities, by which it is never the worse one: the value is at most 1, the interval reaches
            above it. ``None`` if unknown.
        accuracy: Share of correct answers, from labels; ``None`` without labels.
    """

    fidelity: Expectation | None = None
    retention: Expectation | None = None
    accuracy: Expectation | None = None


@dataclass(frozen=True, eq=False)
class Upgrade:
    """The result of :func:`upgrade`; printed, it is a table.

    Args:
        head: The converted head, from new embeddings ``(N, F)`` to outputs ``(N, C)``.
        outputs: Its outputs on the rows that were given, ``(N, C)``, with class shares of the new rows adjusted, and
            smoothed if edges were given; ``None`` without rows.
        verdict: ``"convert"``: use the converted head. ``"keep"``: go on with the old answers. ``"retrain"``: train a
            new head.
        reason: Of the verdict, in one sentence.
        expected: For each group of rows (``"anchors"``, ``"old"``, ``"new"``) and each way to go on, what to expect.
        method: Name of the map.
        num_anchors: Anchors that both pieces have.
        distances: Mean distance of the rows of each group to the nearest other anchor, over the mean distance of the
            first of these groups to the center; ``"rows"``: that of old rows to the nearest of as many other old ones.
        notes: What else was found, one sentence each.
        num_rows: Rows of each group that were given.
        agreement: Of :func:`relgraph.versions.neighbor_agreement` for ``"convert"`` and ``"keep"``; empty without edges
            and old answers.
    """

    head: nn.Module
    outputs: Tensor | None
    verdict: Verdict
    reason: str
    expected: Mapping[str, Mapping[str, Expected]]
    method: str
    num_anchors: int
    distances: Mapping[str, float]
    notes: tuple[str, ...] = ()
    num_rows: Mapping[str, int] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)

    def expectation(self, name: Literal["fidelity", "retention", "accuracy"] = "fidelity") -> Expectation | None:
        """What is expected of the converted head: the least of the groups of rows, or of the anchors without rows."""
        groups = [group for group in ("old", "new") if group in self.expected] or ["anchors"]
        found = [getattr(self.expected.get(group, {}).get("convert", Expected()), name) for group in groups]
        return min((one for one in found if one is not None), key=lambda one: float(one.value), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: all but the head and its outputs."""
        expected = {group: {way: asdict(one) for way, one in ways.items()} for group, ways in self.expected.items()}
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "method": self.method,
            "num_anchors": self.num_anchors,
            "expected": expected,
            "distances": dict(self.distances),
            "notes": list(self.notes),
            "num_rows": dict(self.num_rows),
            "agreement": dict(self.agreement),
        }

    def lines(self) -> list[tuple[str, str]]:
        """What a command shows: names and values."""
        found = [("map", f"{self.method}, fitted on {self.num_anchors:,} anchors")]
        for group, ways in self.expected.items():
            for way, one in ways.items():
                values = ((name, getattr(one, name)) for name in ("fidelity", "retention", "accuracy"))
                shown = ", ".join(f"{name} {value}" for name, value in values if value is not None)
                found.append((f"{way}, {_named(group)}", shown or "unknown"))
        if self.distances:
            first = next(iter(self.distances))
            shown = ", ".join(
                f"{value:.2f} ({'old rows from one another' if group == 'rows' else _named(group)})"
                for group, value in self.distances.items()
            )
            found.append(("distance", f"{shown} to the nearest anchor; 1 is that of {_named(first)} to the center"))
        if self.agreement:
            shown = by_way(self.agreement)
            found.append(("neighbors", f"agreement with their answers {shown}; 1 is always, 0 as often as by chance"))
        return [*found, *(("note", note) for note in self.notes), ("verdict", f"{self.verdict}: {self.reason}")]

    def __str__(self) -> str:
        lines = self.lines()
        width = max(len(name) for name, _ in lines) + 2
        return "\n".join(f"{name:<{width}}{value}" for name, value in lines)
