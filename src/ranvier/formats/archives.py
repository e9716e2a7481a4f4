"""Arrays, numbers and texts out of NumPy's ``.npz``, each checked for what it must be.

Nothing is ever unpickled, and whatever is wrong with a value is one sentence that names its key.
"""

from __future__ import annotations

import os
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from ranvier.recording import Array
from ranvier.writing import replacing

Stored = Mapping[str, Array]
"""What an archive holds, by key."""

VELOCITY_AXES, VELOCITY_UNIT = ("x", "y", "z"), "cm/s"

LAST_CHARACTER = 0x10FFFF

BROKEN = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What is raised while a damaged archive is read."""


def load_archive(path: Path, keys: Collection[str] | None, what: str) -> dict[str, Array]:
    """Read the arrays of an archive.

    Parameters
    ----------
    path
        Of the ``.npz``.
    keys
        Those that are read if they are there; None for the names alone, with empty arrays.
    what
        The file should be, such as ``"binned spikes"``.

    Raises
    ------
    ValueError
        If it is no archive, damaged, or holds objects.
    """
    if path.is_file() and not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a file of {what}: no archive, or a part of one")
    try:
        with (
            old_headers_allowed(),
            path.open("rb") as file,
            np.load(file, allow_pickle=False) as archive,
        ):
            if keys is None:
                return {str(name): np.zeros(0) for name in archive}
            return {name: _checked(name, archive[name]) for name in keys if name in archive}
    except FileNotFoundError:
        raise ValueError(f"Cannot read {path}: no such file or folder") from None
    except BROKEN as error:
        raise ValueError(f"{path} is not a file of {what}: {why(error)}") from None


@contextmanager
def old_headers_allowed() -> Iterator[None]:
    """Read what NumPy wrote under Python 2 without its advice to write it again."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Reading `.npy` or `.npz` file", UserWarning)
        yield


def why(error: Exception) -> str:
    """Return what a library says of a damaged archive, in one short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _checked(name: str, value: Array | bytes) -> Array:
    """Refuse what is no array, and texts that hold numbers which are no characters."""
    if isinstance(value, bytes):
        raise ValueError(f"{name} is no array")
    if value.dtype.kind == "U" and value.dtype.itemsize:
        codes = np.ascontiguousarray(value).view(np.dtype("u4").newbyteorder(value.dtype.byteorder))
        if ((codes > LAST_CHARACTER) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise ValueError(f"{name} holds numbers that are no characters")
    return np.asarray(value)


def table(stored: Stored, key: str, shape: str) -> Array:
    """Return numbers with two axes; ``shape`` says what they are."""
    values = stored[key]
    if values.ndim != 2 or not values.shape[1] or values.dtype.kind not in "iuf":
        raise ValueError(
            f"invalid {key}: {values.dtype} of shape {values.shape}, must be numbers {shape}"
        )
    return values


def number(stored: Stored, key: str) -> float | None:
    """Return one finite number, or None if there is none."""
    if key not in stored:
        return None
    value = stored[key]
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise ValueError(
            f"invalid {key}: {value.dtype} of shape {value.shape}, must be one finite number"
        )
    return float(value.item())


def text(stored: Stored, key: str) -> str:
    """Return one text or whole number, or nothing."""
    value = stored.get(key, np.array(""))
    if value.size != 1 or value.dtype.kind not in "Uiu":
        raise ValueError(f"invalid {key}: {value.dtype} of shape {value.shape}, must be one text")
    return str(value.item())


def names(stored: Stored, key: str, usual: Collection[str], count: int) -> tuple[str, ...]:
    """Return as many names as there are things, all different; ``usual`` ones if none are given."""
    given = stored.get(key, np.array(tuple(usual)))
    found = tuple(str(name) for name in given.ravel())
    if len(found) != count or len(set(found)) != count:
        raise ValueError(f"invalid {key}: {len(set(found))} different names, must be {count}")
    return found


def unit_names(stored: Stored, count: int) -> tuple[str, ...]:
    """Return what units are called; they are numbered from 1 unless told otherwise."""
    return names(stored, "units", [f"unit {place + 1}" for place in range(count)], count)


def date(stored: Stored) -> datetime | None:
    """Return when the first bin was recorded."""
    given = text(stored, "start")
    try:
        return datetime.fromisoformat(given) if given else None
    except ValueError:
        raise ValueError(
            f"invalid start: {given[:40]!r}, must be like 2000-01-31 23:59:59"
        ) from None


def clock(stored: Stored) -> list[str]:
    """Return a note on where the session's own clock stands, if it does not begin at 0."""
    begins = number(stored, "start_s")
    return [f"the first bin begins at {begins:g} s of the session's clock"] if begins else []


def what_moved(stored: Stored, shape: str) -> tuple[str, Array | None, tuple[str, ...], str]:
    """Return the key, values, axes and unit of what moved, if anything is known of it."""
    given = [key for key in ("velocity", "trajectory") if key in stored]
    if not given:
        return "", None, (), ""
    if len(given) > 1:
        raise ValueError("velocity and trajectory, must have one of them")
    values = table(stored, given[0], shape)
    if np.isinf(values).any():
        raise ValueError(f"invalid {given[0]}: infinite values, must be finite or NaN")
    if values.dtype.kind != "f":
        values = values.astype(np.float32)
    axes = names(stored, "axes", VELOCITY_AXES[: values.shape[1]], values.shape[1])
    return given[0], values, axes, text(stored, "unit") or VELOCITY_UNIT


def write_archive(path: str | os.PathLike[str], stored: Mapping[str, Any]) -> Path:
    """Write arrays by key to a ``.npz``; it appears whole or not at all.

    Raises
    ------
    ValueError
        If the path does not end in ``.npz``.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise ValueError(f"Invalid path: {path}, must end in .npz")
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **stored)
    return path
