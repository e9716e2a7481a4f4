"""Spike times and what moved, out of NWB files and into them.

A file is read with h5py: the units in one go, and of the rest only the movement that is decoded.
Links that lead out of a file and values that lie outside of it are not followed.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ranvier.formats.archives import Stored, load_archive
from ranvier.formats.hdf5 import needed
from ranvier.formats.movement_series import Movement, movement_of, overlap, preference
from ranvier.formats.own_process import in_own_process
from ranvier.formats.spike_files import (
    KEYS,
    session_of,
    spikes_of,
    trajectory_keys,
    trial_keys,
)
from ranvier.recording import Array, Recording
from ranvier.truth import merge_overlapping
from ranvier.writing import replacing

PLACES = ("processing", "acquisition")
MOST_VALUES = 300_000_000
"""Of one array, which is 2.4 GB."""
NO_DATE = datetime(1970, 1, 1)
"""Stands where the date is not known, since the format wants one."""
NO_MOVEMENT = "no movement was found: no series of 2 or 3 columns with times"


def read_nwb(path: str | os.PathLike[str], *, behaviour: str = "") -> Recording:
    """Open an NWB file: spike times of all units, and what moved.

    What moved is found among all series of 2 or 3 columns: a velocity before a position, and a
    cursor before a hand, a finger or a wrist. A position becomes a velocity by the difference to
    the sample before, so that a value needs nothing later. Lengths become cm, speeds cm/s. Notes
    say what was chosen and done.

    Parameters
    ----------
    path
        Of the file.
    behaviour
        The series to take, by its place in the file or the end of it, such as ``"cursor_vel"``.

    Returns
    -------
    Recording
        Counts in bins of 1 ms, NaN where units were not observed and where the movement has gaps.

    Raises
    ------
    ValueError
        If the file cannot be read or has no units, the series is not there, or h5py is missing.
    """
    path = Path(path)
    needed("h5py")
    if not path.is_file():
        raise ValueError(f"Cannot read {path}: no such file")
    try:
        stored = _read_apart(path, behaviour)
        notes = tuple(str(note) for note in stored["notes"])
        session = session_of(stored)
        return replace(session, notes=(*notes, *session.notes)).recording(path.stem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read_apart(path: Path, behaviour: str) -> Stored:
    with TemporaryDirectory(prefix="ranvier-") as folder:
        found = Path(folder) / "spikes.npz"
        words = (str(path), behaviour, str(found))
        in_own_process(f"{__name__}:pass_on", *words, library="the HDF5 library")
        return load_archive(found, (*KEYS, "notes"), "spike times")


def pass_on() -> None:
    """Read the file that the command line names first and write it as spike times to the last."""
    h5py = needed("h5py")
    path, behaviour, found = sys.argv[1:]
    try:
        with h5py.File(path, "r") as file:
            stored = _stored(file, behaviour)
    except ValueError as error:
        sys.exit(_line(error))
    except Exception as error:
        sys.exit(f"it is not an NWB file that can be read: {_line(error)}")
    np.savez(found, allow_pickle=False, **stored)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _stored(file: Any, behaviour: str) -> dict[str, Any]:
    """Return all that is decoded of a file, by the keys of a file of spike times."""
    times, unit, names = _spikes(file)
    observed, ignored = _observed(file, len(names))
    moved = _movement(file, behaviour)
    known = overlap(moved.known, observed)
    start, stop = _span(times, moved, known)
    begun = _date(file)
    return {
        "spike_times": times,
        "spike_units": unit,
        "units": np.array(names),
        "start_s": start,
        "stop_s": stop,
        "subject": _text(file, "general/subject/subject_id"),
        "session": _text(file, "general/session_id"),
        "start": str(begun + timedelta(seconds=start) if begun else ""),
        "notes": np.array([*moved.notes, *ignored, *_trials(file)], dtype=str),
        **trial_keys(known, start, stop),
        **({} if moved.trajectory is None else trajectory_keys(moved.trajectory)),
    }


def _span(times: Array, moved: Movement, known: Array | None) -> tuple[float, float]:
    """Return the whole second before the first thing that happens, and when the last one does."""
    steady = moved.trajectory
    last = [] if steady is None else [steady.first, steady.first + (len(steady) - 1) / steady.rate]
    borders = [] if known is None else known[np.isfinite(known)].tolist()
    every = np.concatenate([times[np.isfinite(times)], last, borders, []])
    if not len(every):
        raise ValueError("it has neither spikes nor movement, must have one of them")
    return float(np.floor(every.min())), float(every.max())


def _spikes(file: Any) -> tuple[Array, Array, tuple[str, ...]]:
    """Return time and unit of each spike, and the names of the units."""
    times = _numbers(file, "units/spike_times", 1)
    ends = _numbers(file, "units/spike_times_index", 1)
    if times is None or ends is None or not len(ends):
        raise ValueError("it has no units, must have units/spike_times and spike_times_index")
    if ends.dtype.kind not in "iu" or ends[-1] != len(times):
        raise ValueError(f"invalid units/spike_times_index: must end at {len(times)}, the spikes")
    each = np.asarray(np.diff(ends.astype(np.int64), prepend=0), dtype=np.int64)
    if (each < 0).any():
        raise ValueError("invalid units/spike_times_index: it falls, must rise")
    return times.astype(float), np.repeat(np.arange(len(ends)), each), _names(file, len(ends))


def _names(file: Any, count: int) -> tuple[str, ...]:
    """Return what the units are called, or their numbers in the table."""
    named, numbers = _dataset(file, "units/unit_name"), _numbers(file, "units/id", 1)
    texts = [] if named is None else [_plain(name) for name in np.ravel(named[()])]
    ids = [] if numbers is None else [f"unit {number}" for number in numbers.tolist()]
    for names in (texts, ids):
        if len(names) == len(set(names)) == count:
            return tuple(names)
    return tuple(f"unit {place + 1}" for place in range(count))


def _observed(file: Any, units: int) -> tuple[Array | None, list[str]]:
    """Return when all units were observed, if that is told and the same for all."""
    spans = _numbers(file, "units/obs_intervals", 2)
    ends = _numbers(file, "units/obs_intervals_index", 1)
    if spans is None or ends is None or not spans.size:
        return None, []
    each = np.split(spans, ends.astype(np.int64)[:-1])
    if len(each) != units or any(not np.array_equal(one, each[0]) for one in each):
        return None, ["its units were observed at different times, which is ignored"]
    return np.array(merge_overlapping(each[0][np.argsort(each[0][:, 0])])), []


def _movement(file: Any, behaviour: str) -> Movement:
    """Read the series that is asked for, or the one most probably meant."""
    found = {place: _unit(series) for place, series in _series(file).items()}
    places = sorted(found, key=lambda place: preference(place, found[place]))
    if behaviour:
        chosen = [one for one in places if f"/{one}".endswith(f"/{behaviour.strip('/')}")]
        if len(chosen) != 1:
            raise ValueError(
                f"Invalid behaviour: {behaviour!r} is the end of {len(chosen)} names, must be of "
                f"one of {', '.join(places) or 'none'}"
            )
        return _read_series(file, chosen[0])
    if not places:
        return Movement(notes=(NO_MOVEMENT,))
    moved = _read_series(file, places[0])
    others = (
        f"movement is {places[0]}, of {', '.join(places)}; read_nwb(path, behaviour=...) takes "
        "another"
    )
    return Movement(moved.trajectory, moved.known, (*[others] * (len(places) > 1), *moved.notes))


def _series(file: Any) -> dict[str, Any]:
    """Return all groups with data of 2 or 3 columns and times, by their place."""
    h5py = needed("h5py")
    waiting = [(place, file) for place in PLACES]
    seen, found = set(), {}
    while waiting:
        place, parent = waiting.pop()
        name = place.rpartition("/")[2]
        kind, link = parent.get(name, getclass=True), parent.get(name, getlink=True)
        if kind is not h5py.Group or not isinstance(link, h5py.HardLink):
            continue
        group = parent[name]
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        data = _dataset(file, f"{place}/data")
        timed = {"timestamps", "starting_time"} & set(group)
        if data is not None and data.ndim == 2 and data.shape[1] in (2, 3) and timed:
            found[place] = group
        waiting += [(f"{place}/{one}", group) for one in group]
    return found


def _unit(series: Any) -> str:
    return _plain(series["data"].attrs.get("unit", ""))


def _read_series(file: Any, place: str) -> Movement:
    data = _dataset(file, f"{place}/data")
    values = _numbers(file, f"{place}/data", 2)
    if data is None or values is None:
        raise ValueError(f"invalid {place}/data: it holds no numbers, must be numbers")
    scale, offset = (
        data.attrs.get(name, usual) for name, usual in (("conversion", 1.0), ("offset", 0.0))
    )
    values = values.astype(float) * float(scale) + float(offset)
    unit = _plain(data.attrs.get("unit", ""))
    times = _numbers(file, f"{place}/timestamps", 1)
    if times is not None:
        if len(times) != len(values):
            raise ValueError(f"invalid {place}/timestamps: {len(times)}, must be {len(values)}")
        return movement_of(place, unit, values, times.astype(float))
    begins = _dataset(file, f"{place}/starting_time")
    rate = float(begins.attrs["rate"])
    if not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"invalid rate of {place}: {rate} Hz, must be finite and above 0")
    times = float(begins[()]) + np.arange(len(values)) / rate
    return movement_of(place, unit, values, times, rate)


def _dataset(file: Any, place: str, links: int = 3) -> Any:
    """Return an array that lies in this very file, or None; soft links to such are followed."""
    h5py = needed("h5py")
    node, parts = file, [part for part in place.split("/") if part]
    for depth, part in enumerate(parts):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if isinstance(link, h5py.SoftLink) and links:
            beyond = "/".join([link.path, *parts[depth + 1 :]])
            inside = beyond if beyond.startswith("/") else f"{node.name}/{beyond}"
            return _dataset(file, inside, links - 1)
        if not isinstance(link, h5py.HardLink):
            return None
        node = node[part]
    plain = isinstance(node, h5py.Dataset) and not node.is_virtual and not node.external
    return node if plain else None


def _numbers(file: Any, place: str, axes: int) -> Array | None:
    """Read an array of numbers, or None if there is none."""
    data = _dataset(file, place)
    if data is None:
        return None
    if data.ndim != axes or data.dtype.kind not in "iuf" or data.size > MOST_VALUES:
        raise ValueError(
            f"invalid {place}: {data.dtype} of shape {data.shape}, must be numbers with {axes} "
            f"axes and at most {MOST_VALUES} of them"
        )
    return np.asarray(data[()])


def _text(file: Any, place: str) -> str:
    data = _dataset(file, place)
    return "" if data is None or data.shape != () else _plain(data[()])


def _plain(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _date(file: Any) -> datetime | None:
    """Return when the clock of the session stood at 0, as a clock on the wall showed it."""
    reference = _text(file, "timestamps_reference_time") or _text(file, "session_start_time")
    try:
        date = datetime.fromisoformat(reference).replace(tzinfo=None)
    except ValueError:
        return None
    return None if date == NO_DATE else date


def _trials(file: Any) -> list[str]:
    starts = _dataset(file, "intervals/trials/start_time")
    if starts is None:
        return []
    return [f"it has a table of {starts.size} trials, between which the signal is not cut"]


def write_nwb(path: str | os.PathLike[str], recording: Recording) -> Path:
    """Write counts of short bins as spike times, and what moved, into an NWB file.

    The spikes of a bin are spread evenly over it; what is NaN was not observed.

    Parameters
    ----------
    path
        Where to write, ending in ``.nwb``; replaced in one go when it exists.
    recording
        In counts; a bin is a whole number of milliseconds, and NaN in all units or in none.

    Raises
    ------
    ValueError
        If the recording is not in whole counts, or pynwb is missing.
    """
    path = Path(path)
    if path.suffix.lower() != ".nwb":
        raise ValueError(f"Invalid path: {path}, must end in .nwb")
    pynwb, h5py = needed("pynwb"), needed("h5py")
    content = _content(pynwb, recording)
    with (
        replacing(path) as temporary,
        h5py.File(temporary, "w") as file,
        pynwb.NWBHDF5IO(file=file, mode="w") as writer,
    ):
        writer.write(content)
    return path


def _content(pynwb: Any, recording: Recording) -> Any:
    times, unit, known = spikes_of(recording)
    content = pynwb.NWBFile(
        session_description="Spike times and what moved, written by Ranvier.",
        identifier=recording.name,
        session_start_time=(recording.start or NO_DATE).replace(tzinfo=UTC),
        session_id=recording.session or None,
        subject=pynwb.file.Subject(subject_id=recording.subject or recording.name),
    )
    content.add_unit_column("unit_name", "what the unit is called")
    for place, name in enumerate(recording.layout.channels):
        content.add_unit(
            id=place, spike_times=times[unit == place], obs_intervals=known, unit_name=name
        )
    if recording.trajectory is not None:
        module = content.create_processing_module("behavior", "what moved")
        module.add(_behaviour(pynwb, recording))
    return content


def _behaviour(pynwb: Any, recording: Recording) -> Any:
    moved = recording.trajectory
    assert moved is not None
    speed = moved.unit == "cm/s"
    series = pynwb.TimeSeries(
        name="hand_velocity" if speed else "movement",
        data=moved.values,
        unit="m/s" if speed else moved.unit,
        conversion=0.01 if speed else 1.0,
        starting_time=moved.first,
        rate=moved.rate,
        description=", ".join(moved.axes),
    )
    return pynwb.behavior.BehavioralTimeSeries(time_series=series)
