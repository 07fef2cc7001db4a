"""Translations: maps between two absolute spaces, fitted on the anchors that both have published.

One interface: ``TRANSLATIONS[name].fit(source, target)`` takes two AnchorSets and returns a module from points of the
one space to points of the other. :func:`translate_then` puts one in front of a head; :func:`generalized_procrustes`
takes any number of spaces into one.
"""

from __future__ import annotations

from relgraph.translation.affine import Translation, centered, orthogonal_linear, procrustes, ridge, ridge_affine
from relgraph.translation.before_head import TranslatedHead, translate_then
from relgraph.translation.generalized import generalized_procrustes
from relgraph.translation.kernel import kernel_ridge
from relgraph.translation.kernel_regression import KernelRidge
from relgraph.translation.leave_one_out import SHRINKAGES, Shrinkage, choose_shrinkage
from relgraph.translation.registry import TRANSLATIONS, TranslationMethod
from relgraph.translation.relative_projection import InverseProjection, inverse_relative_projection

__all__ = [
    "SHRINKAGES",
    "TRANSLATIONS",
    "InverseProjection",
    "KernelRidge",
    "Shrinkage",
    "TranslatedHead",
    "Translation",
    "TranslationMethod",
    "centered",
    "choose_shrinkage",
    "generalized_procrustes",
    "inverse_relative_projection",
    "kernel_ridge",
    "orthogonal_linear",
    "procrustes",
    "ridge",
    "ridge_affine",
    "translate_then",
]
