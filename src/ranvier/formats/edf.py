"""EDF, EDF+ and BDF files: read straight from the mapped file, and written."""

from __future__ import annotations

import math
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import edfio
import numpy as np

from ranvier.channels import parse_channel
from ranvier.formats.edf_header import (
    Channel,
    Header,
    UnreadableError,
    parse_annotations,
    read_header,
    record_onset,
)
from ranvier.formats.edf_records import (
    OnDemand,
    Pieces,
    Reader,
    annotation_bytes,
    describe_gaps,
    map_records,
    place_records,
    records_of,
)
from ranvier.formats.hed_score import clip_events
from ranvier.recording import Array, Layout, Recording, microvolts_per
from ranvier.truth import SEIZURE, Event, Events, seizure_label
from ranvier.writing import replacing

_LONGEST_RECORD = 1e6
_HIGHEST_RATE = 1e6
_LONGEST_WRITTEN_RECORD = 10
_SHORTEST_FILLED_RECORD = 0.1
_MOST_MICROVOLTS = 9.9e6
_LONGEST_LABEL, _LONGEST_CODE = 16, 50
_ANNOTATIONS = "EDF Annotations"
_FIRST_YEAR = 1985


def read_edf(
    path: str | os.PathLike[str],
    *,
    subject: str = "",
    session: str = "",
    events: Events | None = None,
) -> Recording:
    """Open an EDF, EDF+ or BDF file; its signal is read when it is asked for.

    What can be repaired is repaired and said in the recording's ``notes``: a file shorter or longer
    than its header says, a broken date, channels at another rate or in no unit of voltage. The gaps
    of a discontinuous file are NaN.

    Parameters
    ----------
    path
        The file; its first bytes say what it is, not its suffix.
    subject, session
        Who was recorded, and when.
    events
        What is annotated elsewhere; cut to the signal. Without it, annotations in the file that
        are seizures (``sz``, ``sz_...`` or ``seizure``) are taken.

    Raises
    ------
    ValueError
        If the file cannot be read, in one sentence that names it.
    """
    path = Path(path)
    with _naming(path):
        recording, found = _open(path, find_events=events is None)
    recording = replace(recording, subject=subject, session=session)
    events = found if events is None else events
    if events is None:
        return recording
    events, notes = clip_events(events, recording.duration)
    return replace(recording, events=events, notes=(*recording.notes, *notes))


def read_annotations(path: str | os.PathLike[str]) -> list[tuple[float, float, str]]:
    """Return the annotations of an EDF+ or BDF+ file, whether or not it has signals.

    Returns
    -------
    list of tuple
        Onset in seconds after the start that the header names, duration in seconds (NaN when there
        is none), text.

    Raises
    ------
    ValueError
        If the file cannot be read, in one sentence that names it.
    """
    return [found for row in _annotation_rows(Path(path)) for found in parse_annotations(row)]


def first_onset(path: str | os.PathLike[str]) -> float:
    """Return how many seconds after the start that its header names a file begins.

    Raises
    ------
    ValueError
        If the file cannot be read, in one sentence that names it.
    """
    return _offset(_annotation_rows(Path(path), 1))


def _annotation_rows(path: Path, records: int | None = None) -> Sequence[bytes]:
    """Return what stands in the annotation channels of all records, or of the first ones."""
    with _naming(path):
        header = read_header(path)
        return annotation_bytes(header, map_records(path, header)[0][:records])


def _offset(rows: Sequence[bytes]) -> float:
    return (record_onset(rows[0]) if rows else None) or 0.0


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say which file an error is about."""
    try:
        yield
    except UnreadableError as error:
        raise ValueError(f"{path} {error}") from None
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror or error}") from None


def _open(path: Path, *, find_events: bool) -> tuple[Recording, Events | None]:
    header = read_header(path)
    chosen, notes = _choose_channels(header.channels)
    rate = _rate(chosen[0].samples, header.seconds)
    stored, more = map_records(path, header)
    reader: Reader = OnDemand(partial(records_of, path, header, chosen))
    notes += more
    whole = find_events or header.is_discontinuous
    rows = annotation_bytes(header, stored if whole else stored[:1])
    samples = len(stored) * chosen[0].samples
    if header.is_discontinuous:
        pieces = place_records(rows, chosen[0].samples, rate)
        reader = Pieces(reader, pieces, len(chosen))
        samples, more = describe_gaps(pieces, rate)
        notes += more
    offset = _offset(rows)
    start, more = _start(header, offset)
    notes += more
    events, more = _seizures(rows, offset, samples / rate) if find_events else (None, [])
    layout = Layout(tuple(channel.label for channel in chosen), rate)
    return Recording(layout, samples, reader, path.stem, start=start, notes=(*notes, *more)), events


def _choose_channels(channels: Sequence[Channel]) -> tuple[list[Channel], list[str]]:
    signals = [channel for channel in channels if not channel.is_annotation]
    usable = [channel for channel in signals if channel.is_usable]
    if not signals:
        raise UnreadableError("has annotations only, no signal")
    if not usable:
        raise UnreadableError(f"has no channel with a usable range: {_labels(signals)}")
    voltages = [channel for channel in usable if channel.microvolts is not None]
    kept = voltages or usable
    sizes = Counter(channel.samples for channel in kept if parse_channel(channel.label))
    size = max((channel.samples for channel in kept), key=lambda n: (sizes[n], n))
    chosen = [channel for channel in kept if channel.samples == size]
    said = {
        "left out, without a usable range": [c for c in signals if not c.is_usable],
        "left out, not in a unit of voltage": [c for c in usable if c not in kept],
        "left out, at another rate": [c for c in kept if c.samples != size],
        "without a unit, taken as µV": [c for c in chosen if not c.unit and c.microvolts],
        "not in a unit of voltage, taken as in the file": [] if voltages else chosen,
    }
    return chosen, [f"{what}: {_labels(which)}" for what, which in said.items() if which]


def _labels(channels: Sequence[Channel]) -> str:
    named = [f"{channel.label or 'unnamed'} ({channel.unit})" for channel in channels]
    return ", ".join(name.removesuffix(" ()") for name in named)


def _rate(samples: int, seconds: float) -> float:
    if not 0 < seconds <= _LONGEST_RECORD or samples / seconds > _HIGHEST_RATE:
        raise UnreadableError(
            f"has a broken header: {samples} samples in records of {seconds:g} s, must be above 0 "
            f"and at most {_LONGEST_RECORD:g} s, and at most {_HIGHEST_RATE:g} Hz"
        )
    return samples / seconds


def _start(header: Header, offset: float) -> tuple[datetime | None, list[str]]:
    try:
        return header.start(offset), []
    except (ValueError, OverflowError):
        return None, [
            f"start unknown: date {header.start_date!r} and time {header.start_time!r} are broken"
        ]


def _seizures(
    rows: Sequence[bytes], offset: float, duration: float
) -> tuple[Events | None, list[str]]:
    found = [found for row in rows for found in parse_annotations(row)]
    seizures = [seizure for seizure in found if seizure_label(seizure[2])]
    items = tuple(
        Event(onset - offset, length, seizure_label(text) or SEIZURE)
        for onset, length, text in seizures
    )
    without = sum(math.isnan(event.duration) for event in items)
    if without == len(items):
        notes = [f"{without} seizure annotations without a duration are left out"]
        return None, notes if items else []
    notes = [f"{without} seizure annotations without a duration, training and scoring refuse that"]
    return Events(items, duration), notes if without else []


def write_edf(
    path: str | os.PathLike[str],
    signal: Array,
    layout: Layout,
    *,
    start: datetime | None = None,
    subject: str = "",
    recording_id: str = "",
    physical_range: tuple[float, float] | None = None,
) -> Path:
    """Write a signal as EDF, 16 bits per value.

    A record lasts a second, or as near to it as lets whole records hold the signal. Only when no
    length of record does, the one with the least to fill up is taken and the last value repeated.

    Parameters
    ----------
    path
        Where to write; replaced in one go when it exists.
    signal
        Finite values in the layout's unit, (time, channels).
    layout
        Channel names of at most 16 characters of ASCII, rate and unit.
    start, subject, recording_id
        For the header; years 1985 to 2084. Spaces become underscores, letters lose their accents,
        and what does not fit is cut off.
    physical_range
        Least and greatest µV that can be written; by default the signal's, rounded outwards.
        Neither may be beyond ±9.9e6 µV, for which the header has no room.

    Raises
    ------
    ValueError
        If the signal does not fit the layout or the format.
    """
    values = _check_writable(np.asarray(signal), layout)
    check_start(start)
    edf = _make_edf(
        values, layout, physical_range, start=start, subject=subject, recording_id=recording_id
    )
    with replacing(path) as temporary:
        edf.write(temporary)
    return Path(path)


def _make_edf(
    values: Array,
    layout: Layout,
    physical_range: tuple[float, float] | None,
    *,
    start: datetime | None,
    subject: str,
    recording_id: str,
) -> edfio.Edf:
    size = _record_size(len(values), layout.rate)
    return edfio.Edf(
        _edf_signals(values, layout, -len(values) % size, physical_range),
        patient=edfio.Patient(code=header_code(subject)),
        recording=edfio.Recording(
            startdate=start.date() if start else None,
            hospital_administration_code=header_code(recording_id),
        ),
        starttime=start.time() if start else None,
        data_record_duration=size / layout.rate,
        annotations=() if start and start.microsecond else None,
    )


def _edf_signals(
    values: Array, layout: Layout, fill: int, physical_range: tuple[float, float] | None
) -> list[edfio.EdfSignal]:
    factor = microvolts_per(layout.unit)
    low, high = float(values.min()) * factor, float(values.max()) * factor
    _check_range(low, high, physical_range)
    fitted = (low, high) if low < high else (low - 1, high + 1)
    return [
        edfio.EdfSignal(
            np.pad(column.astype(float) * factor, (0, fill), mode="edge"),
            layout.rate,
            label=label,
            physical_dimension="uV",
            physical_range=physical_range or fitted,
        )
        for label, column in zip(layout.channels, values.T, strict=True)
    ]


def _check_writable(values: Array, layout: Layout) -> Array:
    if values.ndim != 2 or values.shape[1] != len(layout.channels) or not values.size:
        raise ValueError(
            f"Invalid signal: shape {values.shape}, must be (time, {len(layout.channels)}) "
            f"with at least one value"
        )
    if not np.isfinite(values).all():
        raise ValueError("Invalid signal: NaN or infinite values, EDF can hold finite ones only")
    unfit = [label for label in layout.channels if not _fits(label)]
    if unfit:
        raise ValueError(
            f"Invalid channels: {unfit[0]!r}, must be at most {_LONGEST_LABEL} characters of ASCII "
            f"and not {_ANNOTATIONS!r}"
        )
    return values


def _fits(label: str) -> bool:
    plain = label.isascii() and label.isprintable()
    return plain and len(label) <= _LONGEST_LABEL and label != _ANNOTATIONS


def _check_range(low: float, high: float, physical_range: tuple[float, float] | None) -> None:
    limit = _MOST_MICROVOLTS
    if not -limit <= low <= high <= limit:
        raise ValueError(f"Invalid signal: {low:g} to {high:g} µV, must be within ±{limit:g} µV")
    least, most = physical_range or (low, high)
    if not -limit <= least <= low <= high <= most <= limit:
        raise ValueError(
            f"Invalid physical_range: {least:g} to {most:g} µV, must be within ±{limit:g} µV and "
            f"hold the signal's {low:g} to {high:g} µV"
        )


def check_start(start: datetime | None) -> None:
    """Refuse a start that the header of EDF cannot hold.

    Raises
    ------
    ValueError
        If its year is not one of 1985 to 2084.
    """
    if start and not _FIRST_YEAR <= start.year < _FIRST_YEAR + 100:
        raise ValueError(
            f"Invalid start: {start:%Y-%m-%d}, must be in the years {_FIRST_YEAR} to "
            f"{_FIRST_YEAR + 99}"
        )


def _record_size(samples: int, rate: float) -> int:
    """Return samples per record: the header has eight characters for how long a record is."""
    most = max(1, math.floor(_LONGEST_WRITTEN_RECORD * rate))
    sizes = [size for size in range(1, most + 1) if len(f"{size / rate!r}".removesuffix(".0")) <= 8]
    if not sizes:
        raise ValueError(f"Invalid rate: {rate} Hz, no record of whole samples fits an EDF header")
    exact = [size for size in sizes if samples % size == 0]
    usual = exact or [size for size in sizes if size >= _SHORTEST_FILLED_RECORD * rate] or sizes
    return min(usual, key=lambda size: (-samples % size, abs(math.log(size / rate))))


def header_code(text: str) -> str:
    """Return what a header can hold of a name: letters without accents, no spaces, X for none."""
    plain = unicodedata.normalize("NFKD", "_".join(text.split())).encode("ascii", "ignore").decode()
    return "".join(filter(str.isprintable, plain))[:_LONGEST_CODE] or "X"
