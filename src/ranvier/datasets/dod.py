"""Dreem Open Datasets: nights of 25 healthy people (DOD-H) and of 55 with sleep apnoea (DOD-O).

One HDF5 file for each night, called by a UUID, in one folder or in ``dodh`` and ``dodo``:

======================================  =====================================================
``signals/eeg/C3_M2``, ``.../eog/EOG1``  (time,) in µV, 250 Hz
``hypnogram``                           (epoch,) of 30 s from the first sample on: 0 to 4 for
                                        W, N1, N2, N3, REM; -1 not scored
attribute ``description``               JSON: ``path``, ``fs`` and ``unit`` of each signal
attribute ``start_time``                seconds since 1970, UTC
======================================  =====================================================

Each night is of a subject of its own. ``C3_M2`` is called C3-M2 here. The stages of the five
scorers are published apart from the signals and are not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ranvier.datasets.description import AT_100_HZ, DataSet, stages_of
from ranvier.formats.hdf5 import Columns, dataset, open_hdf5, text_of, whole
from ranvier.formats.hypnogram_tables import clip_hypnogram
from ranvier.formats.stage_grid import NUMBERS, USUAL_EPOCH, whole_hypnogram
from ranvier.recording import MICROVOLTS, Layout, Recording, microvolts_per
from ranvier.truth import Hypnogram

FOLDERS = (".", "dodh", "dodo")
KINDS = ("eeg", "eog", "emg")
RATE = 250.0
"""Where a file does not say it, in Hz."""

_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.h5", re.IGNORECASE)


def _nights(folder: Path) -> Iterator[Path]:
    for part in FOLDERS:
        yield from sorted(one for one in folder.glob(f"{part}/*.h5") if _NAME.fullmatch(one.name))


def recognise(folder: Path) -> bool:
    """Return whether a folder has nights by their published names, in it or in its two parts."""
    return any(True for _ in _nights(folder))


def read(folder: Path) -> list[Recording]:
    """Open all nights, by name."""
    return [read_night(path) for path in _nights(folder)]


def read_file(path: Path) -> Recording | None:
    """Open one night by its published name; None for any other file."""
    return read_night(path) if _NAME.fullmatch(path.name) else None


def read_night(path: Path) -> Recording:
    """Open one night; its signals are read when they are asked for.

    Raises
    ------
    ValueError
        If it cannot be read, has no EEG, or h5py is missing.
    """
    with open_hdf5(path) as file:
        told = _description(file)
        places, rate, left_out = _places(file, told)
        lengths = [len(file[place]) for place in places]
        hypnogram, start = _hypnogram(path, file), _start(file)
        unit = told.get(places[0], {}).get("unit")
    samples = min(lengths)
    notes = [f"left out, at another rate: {', '.join(left_out)}"] if left_out else []
    if samples < max(lengths):
        notes.append(f"signals end up to {(max(lengths) - samples) / rate:g} s after the shortest")
    if hypnogram is None:
        notes.append("it has no hypnogram")
    else:
        hypnogram, more = clip_hypnogram(hypnogram, samples / rate)
        notes += more
    return Recording(
        Layout(tuple(_called(place) for place in places), rate),
        samples,
        Columns(path, places, factor=microvolts_per(unit) if unit in MICROVOLTS else 1.0),
        path.stem,
        path.stem,
        start=start,
        hypnogram=hypnogram,
        notes=tuple(notes),
    )


def _called(place: str) -> str:
    return place.rpartition("/")[2].replace("_", "-")


def _description(file: Any) -> dict[str, Mapping[str, Any]]:
    """Return what is told of each signal, by its place."""
    try:
        listed = json.loads(text_of(file.attrs.get("description", "[]")))
        return {str(one["path"]): one for one in listed}
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ValueError("its description is no list of signals") from None


def _places(
    file: Any, told: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[str, ...], float, list[str]]:
    """Return the signals at the rate of the EEG, that rate, and the others."""
    found = {place: data for kind in KINDS for place, data in _signals(file, kind)}
    rates = {place: _rate(file, place, told) for place in found}
    eeg = [place for place in found if place.startswith("signals/eeg/")]
    if not eeg:
        raise ValueError("it has no signal in signals/eeg")
    rate = rates[eeg[0]]
    kept = tuple(place for place in found if rates[place] == rate)
    return kept, rate, [_called(place) for place in found if place not in kept]


def _signals(file: Any, kind: str) -> Iterator[tuple[str, Any]]:
    for name in file.get(f"signals/{kind}", ()):
        data = dataset(file, f"signals/{kind}/{name}")
        if data is not None and data.ndim == 1 and data.dtype.kind in "iuf":
            yield f"signals/{kind}/{name}", data


def _rate(file: Any, place: str, told: Mapping[str, Mapping[str, Any]]) -> float:
    group = place.rpartition("/")[0]
    stored = told.get(place, {}).get("fs", file[group].attrs.get("fs", RATE))
    return float(stored)


def _hypnogram(path: Path, file: Any) -> Hypnogram | None:
    if "hypnogram" not in file:
        return None
    codes = whole(dataset(file, "hypnogram"), "hypnogram", 1)
    known = NUMBERS["rem4"]
    if unknown := sorted({float(code) for code in codes} - set(known)):
        raise ValueError(f"invalid stage: {unknown[0]:g}, possible options: -1 to 4")
    return whole_hypnogram(path, [known[int(code)] for code in codes], USUAL_EPOCH)


def _start(file: Any) -> datetime | None:
    try:
        seconds = float(file.attrs["start_time"])
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (KeyError, OSError, OverflowError, TypeError, ValueError):
        return None


DOD = DataSet(
    name="dod",
    title="Dreem Open Datasets, DOD-H and DOD-O",
    task="sleep",
    subjects=80,
    hours=640.0,
    gigabytes=60.0,
    licence="see its page",
    citation="Guillot et al., IEEE Trans Neural Syst Rehabil Eng 28:1955-1965, 2020, "
    "doi:10.1109/TNSRE.2020.3011181",
    page="https://github.com/Dreem-Organization/dreem-learning-open",
    access="Fetch the files of the open S3 buckets dreem-dod-h and dreem-dod-o, as its page says.",
    terms="open",
    tested="files made to its description",
    recognise=recognise,
    read=read,
    read_file=read_file,
    options=stages_of({"stage": "pick", "channels": ["C3-M2"]}, AT_100_HZ),
)
