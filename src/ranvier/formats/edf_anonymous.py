"""Copies of EDF and BDF files whose header does not say who was recorded.

The fields of the header are blanked as EDF+ demands of an anonymous file: ``X X X X`` for the
patient, ``Startdate X X X X`` for the recording, 01.01.85 for the date. What stands for nothing in
either standard (fields that are reserved, bytes after the last record) is left out. Names of
channels, transducers and filters, ranges and all samples stay as they are, to the last bit. Source:
Kemp and Olivan, Clin Neurophysiol 114:1755, 2003.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ranvier.formats.edf_header import (
    MONTHS,
    Channel,
    Header,
    UnreadableError,
    parse_annotations,
    read_header,
)
from ranvier.formats.edf_records import annotation_bytes, map_records
from ranvier.formats.sleep_edf import MOVEMENT, PREFIX, late_by_headers
from ranvier.truth import seizure_label
from ranvier.writing import replacing

NO_DATE, NO_TIME = "01.01.85", "00.00.00"
_PLACES = {
    "patient": (8, 80), "recording": (88, 80), "date": (168, 8), "time": (176, 8),
    "reserved": (192, 44),
}  # fmt: skip
"""First byte and width of the fields that are written anew."""
_CHANNEL_RESERVED = 32
_MARK = re.compile(r"EDF\+[CD]|BDF\+[CD]|24BIT")
_NUMBERS = re.compile(r"\d\d\.\d\d\.\d\d")
_LONG_DATE = re.compile(r"Startdate (\d\d-[A-Z]{3}-\d{4})\b")
_ONSET = re.compile(rb"[+-]\d+(?:\.\d*)?(?=[\x14\x15])")
_BLOCK = 1 << 22
STANDARD_TEXTS = frozenset({
    "recording starts", "recording ends", "lights off", "lights on", "eeg arousal", "apnea",
    "obstructive apnea", "central apnea", "mixed apnea", "hypopnea", "limb movement", "rera",
})  # fmt: skip
"""Texts that the standard gives, in small letters; stages and seizures are known besides."""


@dataclass(frozen=True)
class Anonymised:
    """A copy, and what may still tell who was recorded.

    Parameters
    ----------
    copy
        Where it is.
    texts
        Annotations of the original that are no stage, seizure or text of the standard, and may
        hold names.
    left_out
        Bytes of the original after its last record.
    """

    copy: Path
    texts: int
    left_out: int


def anonymise_edf(
    path: str | os.PathLike[str],
    copy: str | os.PathLike[str],
    *,
    keep_date: bool = False,
    drop_time: bool = False,
    drop_annotations: bool = False,
    beside: str | os.PathLike[str] | None = None,
) -> Anonymised:
    """Copy an EDF or BDF file without what its header says of patient, place and staff.

    Parameters
    ----------
    path
        The file.
    copy
        Where the copy goes; it appears whole or not at all.
    keep_date
        Keep the date of the start, which is 1 January 1985 otherwise.
    drop_time
        Begin at midnight instead of at the time of day of the start.
    drop_annotations
        Leave out all annotations; what says when a record begins stays.
    beside
        The recording that this hypnogram belongs to. Without its time it begins as long before or
        after midnight as it did before or after that recording.

    Raises
    ------
    ValueError
        If the file cannot be read, or the copy is there already, in one sentence.
    """
    path, copy = Path(path), Path(copy)
    if copy.exists():
        raise ValueError(f"Invalid copy: {copy} is there already, must be new")
    try:
        header = read_header(path)
        stored, _ = map_records(path, header)
        texts = _count_free(annotation_bytes(header, stored))
        with (
            path.open("rb") as source,
            replacing(copy) as temporary,
            temporary.open("wb") as target,
        ):
            raw = source.read(header.size)
            start = _at_midnight(header, beside) if drop_time else _Start.of(header)
            target.write(_blanked(raw, header, start if keep_date else start.without_date()))
            _copy_records(source, target, header, len(stored), drop_annotations=drop_annotations)
    except UnreadableError as error:
        raise ValueError(f"{path} {error}") from None
    except OSError as error:
        raise ValueError(f"Cannot copy {path}: {error.strerror or error}") from None
    left_out = path.stat().st_size - header.size - len(stored) * _record_bytes(header)
    return Anonymised(copy, texts, left_out)


def _record_bytes(header: Header) -> int:
    return header.sample_bytes * header.record_samples


def _count_free(rows: Iterable[bytes]) -> int:
    texts = (text for row in rows for _, _, text in parse_annotations(row))
    return sum(not _is_known(text) for text in texts)


def _is_known(text: str) -> bool:
    plain = text.strip().lower()
    stage = re.fullmatch(rf"{PREFIX} [\w?]{{1,3}}|{MOVEMENT}", plain)
    seizure = seizure_label(plain) and " " not in plain
    return bool(stage or seizure or plain in STANDARD_TEXTS)


class _Start(NamedTuple):
    """When a copy begins, as the three fields of its header."""

    long_date: str = "X"
    date: str = NO_DATE
    time: str = NO_TIME

    @classmethod
    def of(cls, header: Header) -> _Start:
        """Take what the original says, as far as it makes sense."""
        found = _LONG_DATE.match(header.recording)
        date, time = header.start_date, header.start_time
        return cls(
            found[1] if found else "X",
            date if _NUMBERS.fullmatch(date) else NO_DATE,
            time if _NUMBERS.fullmatch(time) else NO_TIME,
        )

    def without_date(self) -> _Start:
        """Keep the time only."""
        return _Start(time=self.time)


def _at_midnight(header: Header, beside: str | os.PathLike[str] | None) -> _Start:
    """Begin at midnight, or as long before or after it as the recording beside."""
    kept = _Start.of(header)._replace(time=NO_TIME)
    try:
        other = read_header(Path(beside)) if beside else header
        late = timedelta(seconds=late_by_headers(header, other))
        begins = datetime.combine(other.clock(), time()) + late
    except (ValueError, OverflowError, OSError):
        return kept
    if not late:
        return kept
    long_date = f"{begins.day:02}-{MONTHS[begins.month - 1]}-{begins.year}"
    return _Start(
        "X" if kept.long_date == "X" else long_date, f"{begins:%d.%m.%y}", f"{begins:%H.%M.%S}"
    )


def _blanked(raw: bytes, header: Header, start: _Start) -> bytes:
    """Return the header with its telling fields written anew."""
    mark = _MARK.match(header.reserved)
    fields = {
        "patient": "X X X X",
        "recording": f"Startdate {start.long_date} X X X",
        "date": start.date,
        "time": start.time,
        "reserved": mark[0] if mark else "",
    }
    blanked = bytearray(raw)
    for name, (place, width) in _PLACES.items():
        blanked[place : place + width] = fields[name].ljust(width).encode("ascii")
    unused = _CHANNEL_RESERVED * len(header.channels)
    blanked[-unused:] = b" " * unused
    return bytes(blanked)


def _copy_records(
    source: BinaryIO, target: BinaryIO, header: Header, records: int, *, drop_annotations: bool
) -> None:
    """Copy records as they are, or without annotations, some megabytes at a time."""
    size = _record_bytes(header)
    annotations = [one for one in header.channels if one.is_annotation] if drop_annotations else []
    at_once = max(1, _BLOCK // size)
    for first in range(0, records, at_once):
        block = bytearray(source.read(min(at_once, records - first) * size))
        for begin in range(0, len(block) if annotations else 0, size):
            _drop(block, begin, annotations, header.sample_bytes)
        target.write(block)


def _drop(block: bytearray, begin: int, annotations: list[Channel], sample_bytes: int) -> None:
    """Blank the annotations of one record but for the second at which it begins."""
    for number, channel in enumerate(annotations):
        width = channel.samples * sample_bytes
        place = begin + channel.first * sample_bytes
        onset = _ONSET.match(block, place, place + width) if number == 0 else None
        kept = (onset[0] + b"\x14\x14")[:width] if onset else b""
        block[place : place + width] = bytes(kept).ljust(width, b"\0")
