"""Translate a table of embeddings into the coordinates of another table of the same rows."""

from __future__ import annotations

from numpy.typing import ArrayLike

from relgraph.io import PathLike
from relgraph.tables.plan import plan_translation
from relgraph.tables.report import TableReport
from relgraph.tables.writing import Progress


def translate_table(
    source: PathLike,
    target: PathLike,
    out: PathLike | None = None,
    *,
    key: str | None = None,
    anchors: int | PathLike | ArrayLike | None = None,
    method: str = "ridge",
    progress: Progress | None = None,
) -> TableReport:
    """Translate a table of embeddings into the coordinates of another table, matched by the ids of the rows.

    The map is fitted on ids that both tables have. Every written row has a ``trust``: the cosine to the true row that
    is to be expected, around the center of the target, with the ends of an interval that holds it in 90 % of all rows
    (:class:`relgraph.tables.Trust`). Without ``out``, nothing is written, and the report tells what to expect.

    A process that was killed leaves a folder beside ``out``; the same call goes on there and writes the same bytes.

    Args:
        source: The table to translate, such as that of the new model; kinds of files as of
            :func:`relgraph.tables.open_table`.
        target: The table whose coordinates are wanted, such as that of the old model.
        out: The file to write or to replace: Parquet, Arrow, Feather, or npy (ids and trust in files beside it).
            Vectors have the type and the columns of the target.
        key: Name of the id column; by default, and in a table without it if the other has it, the only one that can
            be it.
        anchors: How many common ids the map is fitted on, drawn at random (seed 0), or these ids: an array, a list, or
            a file, ``.npy`` or ``.txt``. By default all that both tables have, at most 4,096 drawn at random; the
            figures are then measured on each row left out in turn, else on the others. Of a Parquet or Arrow file,
            whose row groups can only be read whole, they are drawn from six row groups at random, if it has more and
            these have enough.
        method: One of :data:`relgraph.registry.MAPS` that maps to embeddings. The time of ``"kernel-ridge"`` grows with
            the cube of the number of anchors, from seconds for 1,000 to minutes for 4,096.
        progress: Called with a stage, the rows done since the last call, and all rows.

    Returns:
        What was measured before anything was written.

    Raises:
        InputError: If the tables have no common id, a repeated id, a row that is not finite, vectors of integers, ids
            of different kinds, or a row whose translation is too large for the type of the target; nothing is written.
        DataError: If a file is missing, damaged or cannot be written, or a package that reads it is missing.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> z = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/old.npy", z)
        ...     np.save(f"{folder}/new.npy", z[:, ::-1] + 1)
        ...     report = translate_table(f"{folder}/new.npy", f"{folder}/old.npy", f"{folder}/out.npy")
        ...     written = np.load(f"{folder}/out.npy")
        >>> report.verdict, bool(np.allclose(written, z, atol=1e-3))
        ('good', True)
    """
    plan = plan_translation(source, target, out, key=key, anchors=anchors, method=method)
    if out is not None:
        plan.write(progress)
    return plan.report
