"""The sections of a study, in their order: each is a pure function from runs to values of JSON.

A further section is one more row of :data:`SECTIONS`, and a function in :mod:`relgraph.studies.summary` that says it in
a few lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from relgraph.studies.accuracy import accuracy_section
from relgraph.studies.flips import predict_flips
from relgraph.studies.material import Material
from relgraph.studies.predictions import predictions_section
from relgraph.studies.remedies import remedies_section
from relgraph.studies.remedies import why_not as no_remedies
from relgraph.studies.representations import representations_section
from relgraph.studies.representations import why_not as no_representations
from relgraph.studies.rows import calibration, least_stable, row_table, strata
from relgraph.studies.sources import sources_section

Values = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """One section of a study.

    Args:
        title: What it is called.
        compute: From the material to values of JSON.
        why_not: Why the section does not apply, in a sentence, empty if that goes without saying; ``None`` if it does.
    """

    title: str
    compute: Callable[[Material], Values]
    why_not: Callable[[Material], str | None] = lambda material: None


def _needs_labels(material: Material) -> str | None:
    return None if material.runs.labeled else "Accuracy needs labels: none were given."


def _accuracy(material: Material) -> Values:
    return accuracy_section(material.runs, paired=material.paired)


def _predictions(material: Material) -> Values:
    return predictions_section(material.runs)


def _rows(material: Material) -> Values:
    runs = material.runs
    models = {}
    for model in runs.names:
        table = row_table(runs, model)
        models[model] = {
            "strata": strata(runs, model),
            "calibration": calibration(table, len(runs.rows_of(model))),
            "flips": predict_flips(runs, model),
            "least_stable": least_stable(table),
        }
    return {"rows": len(runs.ids), "models": models}


def _sources(material: Material) -> Values:
    problem = material.problem
    assert problem is not None
    first = material.trained[0].seed
    split = problem.split
    fixed = {"initialization": first, "training": first, "split": split.name if split.seed is None else split.seed}
    return sources_section(material.varied, fixed)


SECTIONS: Mapping[str, Section] = {
    "accuracy": Section("Accuracy over seeds", _accuracy, _needs_labels),
    "predictions": Section("Agreement of predictions", _predictions),
    "rows": Section("Rows that change", _rows),
    "sources": Section("Where variation comes from", _sources, lambda material: None if material.varied else ""),
    "representations": Section("Representations", representations_section, no_representations),
    "remedies": Section("Remedies", remedies_section, no_remedies),
}
