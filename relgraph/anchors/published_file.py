"""What two runs exchange, on disk: one safetensors file that says what it is and notices when it was damaged.

Tensors without pickle, a header of strings beside them. A file appears whole or not at all: it is written under
another name in the same folder and then renamed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from relgraph.errors import DataError


def content_digest(tensors: Sequence[Tensor]) -> str:
    """SHA-256 over the types, shapes and bytes of some tensors, in hexadecimal digits.

    Example:
        >>> content_digest([torch.zeros(2)]) == content_digest([torch.zeros(2)])
        True
        >>> content_digest([torch.zeros(2)]) == content_digest([torch.zeros(2, dtype=torch.float64)])
        False
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        # Seen as bytes, because numpy knows no bfloat16.
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_published(
    path: str | os.PathLike[str], kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, str]
) -> None:
    """Write tensors and a header of strings to one file, whole or not at all.

    Args:
        path: The file to write or to replace; its folder has to exist.
        kind: What the file holds and the version of that, such as ``"relgraph.anchors/1"``.
        tensors: By name.
        header: Strings by name, beside the tensors.

    Raises:
        DataError: If the file cannot be written; nothing is left behind then.
    """
    from safetensors.torch import save

    target = Path(path)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    content = save(plain, metadata={**header, "format": kind, "digest": content_digest(list(plain.values()))})
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        # Not tempfile: its files can be read by their owner alone, and these are made to be handed on.
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:
        raise DataError(
            f"'{target}' cannot be written ({error.strerror}); choose a folder that exists and is writable"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def read_published(
    path: str | os.PathLike[str], kind: str, names: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what :func:`write_published` wrote.

    Args:
        path: The file.
        kind: What it has to hold; anything else is refused.
        names: Tensors that have to be in it.

    Returns:
        The tensors by name, and the header.

    Raises:
        DataError: If the file is missing, damaged, or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            # Copies: what is read must not change or vanish with the file.
            tensors = {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
    except FileNotFoundError as error:
        raise DataError(f"'{path}' does not exist; give the path of a file of the kind {kind}") from error
    except (SafetensorError, OSError) as error:
        raise DataError(f"'{path}' is damaged or no safetensors file ({error}); save it again") from error
    if header.get("format") != kind:
        found = header.get("format", "a safetensors file of unknown origin")
        raise DataError(f"'{path}' must be of the kind {kind} (got {found}); load it with what wrote it")
    if not set(names) <= set(tensors) or header.get("digest") != content_digest(list(tensors.values())):
        raise DataError(f"'{path}' is damaged: what it holds is not what was saved; save it again")
    return tensors, header
