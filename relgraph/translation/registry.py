"""Every way to fit a map between two spaces, with what it ignores and what it follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from relgraph.translation.affine import orthogonal_linear, procrustes, ridge_affine
from relgraph.translation.kernel import kernel_ridge
from relgraph.translation.relative_projection import inverse_relative_projection

SIMILAR = frozenset({"rotation", "translation", "scaling"})


@dataclass(frozen=True)
class TranslationMethod:
    """One way to fit a translation, and what is known of it.

    The changes are those of :data:`relgraph.similarity.CHANGES`, made to all nodes and the centre of one space.

    Args:
        name: The name users type.
        fit: From the source's AnchorSet and the target's to a module that maps ``(N, F)`` to ``(N, G)``.
        invariant_to: Changes of the source space after which every node still lands where it did.
        follows: Changes of the target space that the landing places undergo as well.
        linear: Whether the map is affine in the points.
        shrinks: Whether its fit takes a ``shrinkage``.
    """

    name: str
    fit: Callable[..., nn.Module]
    invariant_to: frozenset[str]
    follows: frozenset[str]
    linear: bool = True
    shrinks: bool = False


TRANSLATIONS: dict[str, TranslationMethod] = {
    entry.name: entry
    for entry in (
        TranslationMethod("procrustes", procrustes, SIMILAR, SIMILAR),
        TranslationMethod("l-ortho", orthogonal_linear, SIMILAR, SIMILAR),
        # Least squares treats every coordinate of the target for itself, so any affine change passes through.
        TranslationMethod(
            "ridge-affine", ridge_affine, SIMILAR, SIMILAR | {"coordinate-scaling", "affine"}, shrinks=True
        ),
        TranslationMethod("kernel-ridge", kernel_ridge, SIMILAR, SIMILAR, linear=False, shrinks=True),
        TranslationMethod("inverse-relative", inverse_relative_projection, SIMILAR, SIMILAR, linear=False),
    )
}
