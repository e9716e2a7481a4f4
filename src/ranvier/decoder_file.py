"""The file of a decoder: whole parts in a zip archive, under a description with a fingerprint."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.networks import NETWORKS
from ranvier.recording import Array
from ranvier.writing import replacing

FORMAT = 2
"""Version of the decoder file that this version of Ranvier writes and reads."""

LARGEST = 2**30
"""Bytes that a decoder file may unpack to."""


def _are(kind: type) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, list) and all(isinstance(one, kind) for one in found)


def _is_settings(found: Any) -> bool:
    return isinstance(found, dict)


KINDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "stages": ("must be a list of settings by name", _are(dict)),
    "channels": ("must be a list of texts", _are(str)),
    "network": (f"possible options: {list(NETWORKS)}", lambda found: found in list(NETWORKS)),
    "network_settings": ("must be settings by name", _is_settings),
    "rule": ("must be settings by name", _is_settings),
    "provenance": ("must be settings by name", _is_settings),
}
"""What parts of a description must be, in words and as a test."""

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
    """Refuse a description that is not as it was saved, or that no decoder can have.

    Raises
    ------
    ValueError
        If its fingerprint is another, or a part of it is not what it must be.
    """
    if digest({name: about[name] for name in about if name != "sha256"}) != about["sha256"]:
        raise ValueError("decoder.json is not as it was saved")
    for name, (words, holds) in KINDS.items():
        if not holds(about[name]):
            raise ValueError(f"Invalid {name}: {about[name]!r:.200}, {words}")
    if not (isinstance(about["rate"], float | int) and 0 < about["rate"] < math.inf):
        raise ValueError(f"Invalid rate: {about['rate']!r}, must be finite and above 0")


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
