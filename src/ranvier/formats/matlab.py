"""Matlab files: one array is the signal, others say how fast it is sampled and by which channels.

Files of version 7.3 are HDF5 and read with h5py, older ones with SciPy in a process of its own,
since a damaged one can crash it. The fields of a structure count as variables: ``EEG.data``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ranvier.formats.hdf5 import (
    Columns,
    dataset,
    in_microvolts,
    is_plain,
    needed,
    open_hdf5,
    whole,
)
from ranvier.formats.named_arrays import (
    CHANNELS,
    UNITS,
    Contents,
    Wish,
    choose_signal,
    one_number,
    plain,
)
from ranvier.formats.own_process import in_own_process
from ranvier.recording import Array, Recording, Signal

HDF5_MARK = b"\x89HDF\r\n\x1a\n"
MARK_AT = (0, 512)
"""Where an HDF5 file may begin; Matlab leaves 512 bytes for its own header."""
MOST_TEXT = 1_000_000
LONGEST_CELL = 100_000
_OWN = "variable "
"""Stands before names on their way from one process to the other."""

Stamp = tuple[int, int]
"""When a file was changed, and its size."""


def read_matlab(
    path: str | os.PathLike[str],
    *,
    signal: str = "",
    rate: float | None = None,
    channels: Sequence[str] = (),
    unit: str = "",
) -> Recording:
    """Open a Matlab file with one signal.

    Parameters
    ----------
    path
        Version 4 to 7.3.
    signal
        The variable, such as ``"EEG.data"``; by default the only array of two axes, or the only
        one with a usual name (``signal``, ``data``, ``eeg``, ``x``, ``val``).
    rate
        In Hz; by default the number called ``fs``, ``srate``, ``freq``, ``sampling_rate`` or alike.
    channels
        Their names; by default the texts called ``channels``, ``ch_names``, ``labels`` or alike,
        else numbers.
    unit
        V, mV, µV or nV; by default what ``unit`` says, else µV with a note.

    Returns
    -------
    Recording
        Its signal is read when it is asked for. Where names of channels do not tell, the longer
        axis is time, with a note.

    Raises
    ------
    ValueError
        If the file cannot be read, or the signal, its rate or its axes are not clear; the sentence
        names what was found.
    """
    path = Path(path)
    wish = Wish(signal, rate, tuple(channels), unit)
    try:
        is_hdf5 = _is_hdf5(path)
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None
    contents = _hdf5_contents(path) if is_hdf5 else _contents(_variables(str(path), _stamp(path)))
    try:
        chosen = choose_signal(contents, wish)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    place = chosen.name.replace(".", "/")
    # Matlab writes the last axis first.
    columns = Columns(path, (place,), 1 - chosen.time_axis, chosen.factor)
    reader = columns if is_hdf5 else Variable(path, chosen.name, chosen.time_axis, chosen.factor)
    return Recording(chosen.layout, chosen.samples, reader, path.stem, notes=chosen.notes)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(max(MARK_AT) + len(HDF5_MARK))
    return any(start[place : place + len(HDF5_MARK)] == HDF5_MARK for place in MARK_AT)


def _stamp(path: Path) -> Stamp:
    about = path.stat()
    return about.st_mtime_ns, about.st_size


@dataclass(frozen=True)
class Variable:
    """Reader of a variable of an older file, which is kept in memory while it is in use."""

    path: Path
    name: str
    time_axis: int
    factor: float

    def __call__(self, first: int, last: int) -> Signal:
        """Return (time, channels)."""
        values = _variables(str(self.path), _stamp(self.path))[self.name]
        along = values.T if self.time_axis else values
        return in_microvolts(along[first:last], self.factor)


@lru_cache(maxsize=2)
def _variables(path: str, stamp: Stamp) -> dict[str, Array]:  # noqa: ARG001
    """Read an older file where one that makes SciPy crash or hang does no harm."""
    with TemporaryDirectory(prefix="ranvier-") as folder:
        found = Path(folder) / "variables.npz"
        try:
            in_own_process(f"{__name__}:pass_on", path, str(found), library="SciPy")
        except ValueError as error:
            raise ValueError(f"{path} is not a Matlab file that can be read: {error}") from None
        with np.load(found, allow_pickle=False) as stored:
            return {name.removeprefix(_OWN): stored[name] for name in stored}


def pass_on() -> None:
    """Read the file that the command line names first and write its variables to the second."""
    from scipy.io import loadmat

    path, found = sys.argv[1:]
    try:
        read = loadmat(path)
    except (LookupError, AttributeError):
        sys.exit("it is damaged")
    except Exception as error:
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
    variables = _flattened({name: one for name, one in read.items() if not name.startswith("__")})
    plain_ones = {f"{_OWN}{name}": _without_objects(one) for name, one in variables}
    np.savez(found, allow_pickle=False, **{n: v for n, v in plain_ones.items() if v is not None})


def _without_objects(value: Array) -> Array | None:
    """Return numbers as they are, and texts as an array of texts; None for anything else."""
    if value.dtype.kind in "iuf":
        return value
    return np.array(_texts(value), dtype=str) if value.dtype.kind in "UO" else None


def _flattened(variables: dict[str, Any]) -> Iterator[tuple[str, Array]]:
    for name, value in variables.items():
        if not isinstance(value, np.ndarray):
            continue
        if value.dtype.names and value.size == 1:
            fields = value.ravel()[0]
            for field in value.dtype.names:
                if isinstance(fields[field], np.ndarray):
                    yield f"{name}.{field}", fields[field]
        else:
            yield name, value


def _contents(variables: dict[str, Array]) -> Contents:
    numbers = {name: one_number(value) for name, value in variables.items()}
    return Contents(
        {name: value.shape for name, value in variables.items() if value.dtype.kind in "iuf"},
        {name: value for name, value in numbers.items() if value is not None},
        {name: tuple(v.tolist()) for name, v in variables.items() if v.dtype.kind == "U"},
    )


def _texts(value: Array) -> tuple[str, ...]:
    """Return the texts of a matrix of characters or of a cell array, nothing if it has others."""
    cells = [np.asarray(cell) for cell in value.ravel()]
    if any(cell.dtype.kind != "U" or cell.size != 1 for cell in cells):
        return ()
    return tuple(str(cell.item()).strip() for cell in cells)


def _hdf5_contents(path: Path) -> Contents:
    shapes, numbers, texts = {}, {}, {}
    with open_hdf5(path) as file:
        for name, data in _hdf5_variables(file):
            kind = _class(data)
            if kind in ("char", "cell") and plain(name) in (*CHANNELS, *UNITS):
                texts[name] = matlab_texts(file, data)
            elif kind not in ("char", "cell") and data.dtype.kind in "iuf" and not is_empty(data):
                shapes[name] = data.shape[::-1]
                if data.size == 1:
                    numbers[name] = float(whole(data, name, data.ndim).item())
    return Contents(shapes, {n: v for n, v in numbers.items() if np.isfinite(v)}, texts)


def _hdf5_variables(file: Any) -> Iterator[tuple[str, Any]]:
    h5py = needed("h5py")
    for name in file:
        is_group = file.get(name, getclass=True) is h5py.Group
        hard = isinstance(file.get(name, getlink=True), h5py.HardLink)
        fields = file[name] if is_group and hard and not name.startswith("#") else ()
        for place in [name, *(f"{name}/{field}" for field in fields)]:
            data = dataset(file, place)
            if data is not None:
                yield place.replace("/", "."), data


def _class(data: Any) -> str:
    kind = data.attrs.get("MATLAB_class", b"")
    return kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)


def is_empty(data: Any) -> bool:
    """Return whether Matlab wrote an empty array, of which only the shape is stored."""
    return bool(data.attrs.get("MATLAB_empty", 0)) or data.ndim < 2


def cells(file: Any, data: Any) -> list[Any]:
    """Return the arrays that a cell array refers to, column by column as Matlab counts them.

    Raises
    ------
    ValueError
        If it refers to nothing or to what lies elsewhere, or is too long.
    """
    h5py = needed("h5py")
    if h5py.check_ref_dtype(data.dtype) is not h5py.Reference or data.size > LONGEST_CELL:
        raise ValueError(f"invalid {data.name}: {data.size} {data.dtype}, must be cells")
    references = data[()].ravel()
    if not all(references):
        raise ValueError(f"invalid {data.name}: a cell refers to nothing")
    found = [file[reference] for reference in references]
    if not all(isinstance(one, h5py.Dataset) and is_plain(one) for one in found):
        raise ValueError(f"invalid {data.name}: a cell is no array of this file")
    return found


def matlab_texts(file: Any, data: Any) -> tuple[str, ...]:
    """Return the texts of a cell array, or the rows of a matrix of characters."""
    if _class(data) != "cell" and data.dtype.kind == "u":
        return tuple(_characters(column) for column in whole(data, data.name, data.ndim).T)
    return tuple("" if is_empty(one) else _one_text(one) for one in cells(file, data))


def _one_text(data: Any) -> str:
    if data.dtype.kind != "u" or data.size > MOST_TEXT:
        return ""
    return _characters(whole(data, data.name, data.ndim).ravel())


def _characters(codes: Array) -> str:
    return "".join(map(chr, codes.astype(np.uint16).tolist())).strip()
