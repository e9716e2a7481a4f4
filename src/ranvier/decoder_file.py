"""The file of a decoder: whole parts in a zip archive, under a description with a fingerprint."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.formats.hed_score import replacing
from ranvier.recording import Array

FORMAT = 2
"""Version of the decoder file that this version of Ranvier writes and reads."""

LARGEST = 2**30
"""Bytes that a decoder file may unpack to."""

BROKEN = (
    OSError,
    zipfile.BadZipFile,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    UnicodeDecodeError,
    RecursionError,
    RuntimeError,
    zlib.error,
)
"""What comes up where a file is cut, changed or something else."""


def digest(about: Mapping[str, Any]) -> str:
    """Return the fingerprint of a description."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def write_parts(path: Path, about: Mapping[str, Any], parts: Mapping[str, bytes]) -> Path:
    """Write a description and the other parts; the file appears whole or not at all."""
    described = json.dumps({**about, "sha256": digest(about)}, indent=1).encode()
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for name, content in {"decoder.json": described, **parts}.items():
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def read_parts(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the description in a decoder's file and all of its parts.

    Raises
    ------
    ValueError
        If it is too large or of another version; a file that is no such archive at all raises one
        of ``BROKEN``.
    """
    with zipfile.ZipFile(path) as file:
        if sum(one.file_size for one in file.infolist()) > LARGEST:
            raise ValueError(f"unpacked it has more than {LARGEST} bytes")
        parts = {name: file.read(name) for name in file.namelist()}
    about = json.loads(parts["decoder.json"])
    if about.get("format") != FORMAT:
        raise ValueError(
            f"format {about.get('format')!r}, this version of Ranvier reads format {FORMAT}"
        )
    return about, parts


def check_description(about: Mapping[str, Any]) -> None:
    """Refuse a description that is not as it was saved.

    Raises
    ------
    ValueError
        If its fingerprint is another.
    """
    if digest({name: about[name] for name in about if name != "sha256"}) != about["sha256"]:
        raise ValueError("decoder.json is not as it was saved")


def pack_weights(weights: Mapping[str, Array]) -> bytes:
    """Turn weights by name into bytes, as safetensors."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(values) for name, values in weights.items()})


def unpack_weights(packed: bytes) -> dict[str, Array]:
    """Return the weights from ``pack_weights``.

    Raises
    ------
    ValueError
        If they are not such bytes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(packed)
    except SafetensorError as error:
        raise ValueError(f"the weights cannot be read ({error})") from None


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Say in one sentence what is wrong with a file, whatever came up while it was opened."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"Invalid decoder: {path} does not exist") from None
    except BROKEN as error:
        reason = _why(error)
        raise ValueError(
            f"Invalid decoder: {path} is not a whole decoder file ({reason})"
        ) from None
    except ValueError as error:
        raise ValueError(f"Invalid decoder: {path}: {error}") from None


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, TypeError | AttributeError | RecursionError):
        return "something in it is of another kind than it must be"
    return " ".join(str(error).split())[:200]
