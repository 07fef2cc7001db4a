"""A model and what it publishes in one folder, with a manifest: to hand on, to archive, or to put on the Hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch_geometric
from torch import Tensor, nn

import relgraph
from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.anchors.publish import graph_parts
from relgraph.errors import DataError, InputError, import_extra, require
from relgraph.fingerprints import short_fingerprint
from relgraph.io import PathLike, load_record, output_folder, save_record, write_atomic
from relgraph.nn.model import Model, RelativeModel
from relgraph.task import Mode

KIND = "relgraph.bundle/1"
WEIGHTS = "relgraph.weights/1"
MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 1_000_000  # bytes
_FILES = {"anchors": "anchors.safetensors", "head": "head.safetensors", "weights": "model.safetensors"}


@dataclass(frozen=True, eq=False)
class Bundle:
    """What :func:`load_bundle` reads.

    Args:
        anchors: The published space.
        head: The published head; ``None`` if the model's head reads relative representations or passes messages.
        weights: The weights of the model, by name.
        manifest: Task, settings of the relative layer, graph, version and time of the anchors, versions of packages,
            and the SHA-256 of every file.
    """

    anchors: AnchorSet
    head: PublishedHead | None
    weights: Mapping[str, Tensor]
    manifest: Mapping[str, Any]

    def load_into(self, model: nn.Module) -> nn.Module:
        """Give these weights to a model of the same architecture, and return it.

        Raises:
            InputError: If names or shapes differ; the model is then unchanged.
        """
        own = model.state_dict()
        # Frozen and averaged anchors of a relative layer have no shape before they are loaded.
        missing, further = sorted(set(own) - set(self.weights)), sorted(set(self.weights) - set(own))
        further = [name for name in further if name.rpartition(".")[2] not in ("frozen_anchors", "frozen_center")]
        shapes = [name for name in own if name in self.weights and own[name].shape != self.weights[name].shape]
        for found, what in ((missing, "is missing"), (further, "is not in the model"), (shapes, "has another shape")):
            if found:
                more = f" and {len(found) - 1} more" if len(found) > 1 else ""
                got = f"(got a bundle in which '{found[0]}'{more} {what})"
                raise InputError("model", f"must have the architecture of the bundle {got}; build it as it was trained")
        model.load_state_dict(dict(self.weights))
        return model


def save_bundle(folder: PathLike, model: nn.Module, anchors: AnchorSet, *, mode: Mode = "multiclass") -> None:
    """Write a model's weights, its published space and its published head to a folder, with a manifest.

    Args:
        folder: The folder; it is made, and files of an earlier bundle are replaced.
        model: The model; its head is published, unless it reads relative representations or passes messages.
        anchors: The space that the model publishes, see :meth:`relgraph.AnchorSet.from_embeddings`.
        mode: What the head's outputs are, see :class:`relgraph.PublishedHead`.

    Raises:
        InputError: If the model is no :class:`relgraph.nn.Model`, or does not fit the anchors.
        DataError: If the folder cannot be written.

    Example:
        >>> import tempfile
        >>> import relgraph as rg
        >>> data = rg.AddAnchors(32)(rg.load_dataset("digits"))
        >>> model = rg.fit(data, "gcn", seed=0, epochs=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_bundle(folder, model, rg.AnchorSet.from_embeddings(model.embed(data), data))
        ...     bundle = load_bundle(folder)
        >>> len(bundle.anchors), bundle.head.mode, sorted(bundle.manifest["files"])
        (32, 'multiclass', ['anchors.safetensors', 'head.safetensors', 'model.safetensors'])
    """
    if not isinstance(model, Model):
        hint = "use relgraph.Model(encoder, head)"
        raise InputError("model", f"must be a relgraph.Model (got {type(model).__name__}); {hint}")
    require("anchors", anchors, AnchorSet, "make one with relgraph.AnchorSet.from_embeddings")
    layer = model.layer if isinstance(model, RelativeModel) else None
    head = None if layer is not None or graph_parts(model.head) else publish(model.head, anchors, mode=mode)
    with output_folder(Path(folder)) as work:
        anchors.save(work / _FILES["anchors"])
        save_record(work / _FILES["weights"], WEIGHTS, model.state_dict(), {})
        if head is not None:
            head.save(work / _FILES["head"])
        manifest = {
            "kind": KIND,
            "task": mode,
            "layer": layer and {name: getattr(layer, name) for name in ("similarity", "normalization", "shrinkage")},
            "model": repr(model),
            "graph": anchors.fingerprint,
            "version": anchors.version,
            "time": anchors.time,
            "versions": {module.__name__: module.__version__ for module in (relgraph, torch, torch_geometric)},
            "files": {file.name: _sha256(file) for file in sorted(work.iterdir())},
        }
        write_atomic(work / "README.md", _card(manifest, anchors))
        write_atomic(work / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def load_bundle(folder: PathLike) -> Bundle:
    """Read what :func:`save_bundle` wrote, onto the CPU; nothing is unpickled, and no link is followed.

    Raises:
        DataError: If the manifest or a file is missing or damaged, or not the one that was saved; the file is named.
    """
    return _read(Path(folder), links=False)


def _read(folder: Path, links: bool) -> Bundle:
    manifest = _manifest(folder / MANIFEST)
    for name, expected in manifest["files"].items():
        path = folder / name
        if name not in _FILES.values():
            raise DataError(f"'{folder / MANIFEST}' must list files of a bundle (got {name!r}); save the bundle again")
        if not path.is_file() or (path.is_symlink() and not links):
            found = "a link" if path.is_symlink() else "no file"
            raise DataError(f"'{path}' must be a file of the bundle (got {found}); save the bundle again")
        if _sha256(path) != expected:
            raise DataError(f"'{path}' is not the file that was saved: its SHA-256 differs; save the bundle again")
    listed = {key: folder / name for key, name in _FILES.items() if name in manifest["files"]}
    if missing := [_FILES[key] for key in ("anchors", "weights") if key not in listed]:
        raise DataError(f"'{folder / MANIFEST}' must list '{missing[0]}' (got no such file); save the bundle again")
    head = PublishedHead.load(listed["head"]) if "head" in listed else None
    return Bundle(AnchorSet.load(listed["anchors"]), head, load_record(listed["weights"], WEIGHTS)[0], manifest)


def push_to_hub(folder: PathLike, repository: str, **options: Any) -> str:
    """Upload a bundle to a model repository of the Hugging Face Hub, and return its address.

    Args:
        folder: A folder that :func:`save_bundle` wrote; it is checked first.
        repository: Name of the repository, ``"owner/name"``, made if it is not there.
        **options: Of ``huggingface_hub.HfApi.create_repo``, such as ``private`` and ``token``.

    Raises:
        DataError: If the folder holds no intact bundle, or huggingface_hub is not installed.
    """
    names = [MANIFEST, "README.md", *load_bundle(folder).manifest["files"]]
    api = import_extra("huggingface_hub", "hub").HfApi(token=options.pop("token", None))
    address = str(api.create_repo(repository, exist_ok=True, **options))
    api.upload_folder(repo_id=repository, folder_path=str(folder), allow_patterns=names)
    return address


def from_pretrained(name: PathLike, **options: Any) -> Bundle:
    """A bundle in a folder, or in a repository of the Hugging Face Hub.

    Args:
        name: A folder, or a repository ``"owner/name"`` if there is no such folder.
        **options: Of ``huggingface_hub.snapshot_download``, such as ``revision`` and ``token``.

    Raises:
        InputError: If the name is empty or no string.
        DataError: If it is no intact bundle, or no folder, and huggingface_hub is not installed or finds none.
    """
    if not isinstance(name, (str, Path)) or not str(name):
        got = "an empty name" if isinstance(name, str) else type(name).__name__
        raise InputError("name", f"must be a folder or a repository 'owner/name' (got {got}); give one of the two")
    if Path(name).is_dir():
        return load_bundle(name)
    hub, files = import_extra("huggingface_hub", "hub"), [MANIFEST, *_FILES.values()]
    try:
        folder = hub.snapshot_download(str(name), allow_patterns=files, **options)
    except (ValueError, OSError, RuntimeError) as error:  # a bad name; no network, no such repository; offline
        reason = (str(error).strip() or type(error).__name__).split("\n")[0].removeprefix("Got: ").rstrip(".:")
        rule = "must be a folder that relgraph.save_bundle wrote, or a repository of the Hub that can be reached"
        raise DataError(f"'{name}' {rule} (got no such folder, and from the Hub: {reason}); check the name") from error
    return _read(Path(folder), links=True)  # files of a snapshot are links into the cache of the Hub


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_MANIFEST:
            raise ValueError("it is too large")
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"'{path}' does not exist; give a folder that relgraph.save_bundle wrote") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is damaged or no manifest ({error}); save the bundle again") from error
    if not isinstance(found, dict) or found.get("kind") != KIND or not isinstance(found.get("files"), dict):
        kind = found.get("kind") if isinstance(found, dict) else None
        raise DataError(f"'{path}' must be a manifest of the kind {KIND} (got {kind!r}); save the bundle again")
    return found


def _card(manifest: Mapping[str, Any], anchors: AnchorSet) -> str:
    """A model card for the Hub."""
    release = ", ".join(filter(None, [anchors.version, anchors.time]))
    version = f", version {release}" if release else ""
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    return f"""---
library_name: relgraph
tags:
- graph-neural-network
- relative-representations
---

A graph neural network with its published space: {len(anchors)} anchors in {anchors.num_features} dimensions, task
{manifest["task"]}, graph {short_fingerprint(anchors.fingerprint) or "unknown"}{version}. Saved with {versions}.

```python
import relgraph as rg

bundle = rg.from_pretrained("...")
bundle.anchors, bundle.head  # convert another run's head, or this one's: rg.convert(space, bundle.head)
```

```
{manifest["model"]}
```
"""
