"""Arrays out of HDF5 files, as Matlab and data sets of sleep and movement use them.

Links that lead out of a file and values that are stored outside of it are not followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.recording import Array, Signal

MOST_VALUES = 300_000_000
"""Of one array that is read whole, which is 2.4 GB."""


def needed(package: str) -> Any:
    """Return a package that only some formats need.

    Raises
    ------
    ValueError
        If it is missing, with the extra that has it.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError:
        raise ValueError(f'{package} is missing: pip install "ranvier[nwb]"') from None


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open a file to read.

    Raises
    ------
    ValueError
        If it is missing, cut off or damaged, or what is done with it fails, in one sentence.
    """
    h5py = needed("h5py")
    if not path.is_file():
        raise ValueError(f"Cannot read {path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except (KeyError, MemoryError, OSError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not an HDF5 file that can be read: {reason}") from None


def dataset(file: Any, place: str) -> Any:
    """Return the array at a place if it lies in this very file, or None."""
    h5py = needed("h5py")
    node = file
    for part in place.strip("/").split("/"):
        inside = isinstance(node, h5py.Group)
        if not inside or not isinstance(node.get(part, getlink=True), h5py.HardLink):
            return None
        node = node[part]
    return node if isinstance(node, h5py.Dataset) and is_plain(node) else None


def is_plain(data: Any) -> bool:
    """Return whether the values of an array lie in its own file."""
    return not data.is_virtual and not data.external


def whole(data: Any, place: str, axes: int) -> Array:
    """Read an array of real numbers with so many axes.

    Raises
    ------
    ValueError
        If it is anything else, or too large.
    """
    if data is None or data.ndim != axes or data.dtype.kind not in "iuf":
        found = "nothing" if data is None else f"{data.dtype} of shape {data.shape}"
        raise ValueError(f"invalid {place}: {found}, must be numbers with {axes} axes")
    if data.size > MOST_VALUES:
        raise ValueError(f"invalid {place}: {data.size} values, must be at most {MOST_VALUES}")
    return np.asarray(data[()])


def text_of(value: Any) -> str:
    """Return the text that an attribute or an array holds, in bytes or not."""
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class Columns:
    """Reader of channels out of an HDF5 file, which is open only while it reads.

    Parameters
    ----------
    path
        Of the file.
    places
        Arrays (time,) of one channel each; or one array of all channels.
    time_axis
        Of an array of all channels, which axis is time.
    factor
        What turns values into µV.
    """

    path: Path
    places: tuple[str, ...]
    time_axis: int = 0
    factor: float = 1.0

    def __call__(self, first: int, last: int) -> Signal:
        """Return (time, channels), NaN where a value is not finite."""
        with open_hdf5(self.path) as file:
            parts = [self._part(file[place], first, last) for place in self.places]
        return in_microvolts(np.concatenate(parts, axis=1), self.factor)

    def _part(self, data: Any, first: int, last: int) -> Array:
        if data.ndim == 1:
            return np.asarray(data[first:last])[:, None]
        return np.asarray(data[:, first:last].T if self.time_axis else data[first:last])


def in_microvolts(values: Array, factor: float) -> Signal:
    """Return float32 µV, NaN where a value is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        signal = np.asarray(values).astype(np.float32) * np.float32(factor)
    return np.where(np.isfinite(signal), signal, np.float32(np.nan))
