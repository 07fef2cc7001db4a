"""Small tables in files, and their contents read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WIDTH, ROWS = 6, 400


def two_tables(seed: int = 0, *, width: int = WIDTH, target_width: int = 4, rows: int = ROWS) -> tuple[Any, Any]:
    """Vectors of the same rows in two spaces, related by a linear map up to noise that grows along one axis."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, width)) + 1
    noise = rng.normal(size=(rows, target_width)) * (0.05 + 0.3 * np.abs(x[:, :1]))
    y = x @ rng.normal(size=(width, target_width)) + noise - 2
    return x.astype(np.float32), y.astype(np.float32)


def save(path: Path, ids: Any, vectors: Any, *, columns: bool = False, key: str = "id") -> Path:
    """Write a table of the kind that the suffix names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".npy":
        np.save(path, vectors)
        if ids is not None:
            np.save(path.with_name(f"{path.stem}.ids.npy"), np.asarray(ids))
        return path
    if path.suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file({"vectors": vectors, "ids": np.asarray(ids)}, path)
        return path
    if path.suffix in (".txt", ".bin"):
        from gensim.models import KeyedVectors

        made = KeyedVectors(vectors.shape[1])
        made.add_vectors([str(one) for one in ids], vectors)
        made.save_word2vec_format(str(path), binary=path.suffix == ".bin")
        return path
    names = {f"d{i}": column for i, column in enumerate(vectors.T)}
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    parts = names if columns else {"vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
    made = pa.table({key: pa.array(ids) if not isinstance(ids, pa.Array) else ids} | parts)
    if path.suffix in (".parquet", ".pq"):
        pq.write_table(made, path, row_group_size=150)
    else:
        with pa.ipc.new_file(str(path), made.schema) as writer:
            writer.write_table(made, max_chunksize=130)
    return path


def read(path: Path) -> tuple[list[Any], Any, Any]:
    """Ids, vectors and the three columns of trust of a written table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".npy":
        ids, trust = (np.load(path.with_name(f"{path.stem}.{name}.npy")) for name in ("ids", "trust"))
        return ids.tolist(), np.load(path), trust
    found = pq.read_table(path) if path.suffix in (".parquet", ".pq") else pa.ipc.open_file(str(path)).read_all()
    names = found.column_names
    assert names[-3:] == ["trust", "trust_low", "trust_high"]
    trust = np.stack([found[name].to_numpy() for name in names[-3:]], axis=1)
    if names[1] == "vector":
        vectors = np.array(found["vector"].to_pylist(), dtype=np.float32)
    else:
        vectors = np.stack([found[name].to_numpy() for name in names[1:-3]], axis=1)
    return found[names[0]].to_pylist(), vectors, trust
