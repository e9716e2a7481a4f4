"""The header and the annotations of EDF, EDF+ and BDF files.

Sources: Kemp et al., Electroencephalogr Clin Neurophysiol 82:391, 1992 (EDF); Kemp and Olivan,
Clin Neurophysiol 114:1755, 2003 (EDF+); BioSemi's description of BDF.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

from ranvier.channels import parse_channel
from ranvier.recording import MICROVOLTS

_FIELDS = {
    "version": 8, "patient": 80, "recording": 80, "date": 8, "time": 8, "header bytes": 8,
    "reserved": 44, "records": 8, "record duration": 8, "signals": 4,
}  # fmt: skip
_CHANNEL_FIELDS = {
    "label": 16, "transducer": 80, "unit": 8, "physical minimum": 8, "physical maximum": 8,
    "digital minimum": 8, "digital maximum": 8, "prefilter": 80, "samples per record": 8,
    "reserved": 32,
}  # fmt: skip
_BLOCK = 256
_SAMPLE_BYTES = {b"0": 2, b"\xffBIOSEMI": 3}
_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_UNITS = {unit.lower(): factor for unit, factor in MICROVOLTS.items()}
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
_TAL = re.compile(rb"([+-]\d{1,8}(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14([^\x00]*)")


class UnreadableError(ValueError):
    """What is wrong with a file, in words that follow its name."""


@dataclass(frozen=True)
class Channel:
    """One signal as the header describes it; ``first`` is its first sample within a record."""

    label: str
    unit: str
    physical: tuple[float, float]
    digital: tuple[float, float]
    samples: int
    first: int

    @property
    def is_annotation(self) -> bool:
        """Whether it holds texts and times instead of samples."""
        return self.label in _ANNOTATIONS

    @property
    def microvolts(self) -> float | None:
        """µV per unit, None when that is no voltage; an electrode without a unit is in µV."""
        assumed = 1.0 if not self.unit and parse_channel(self.label) else None
        return _UNITS.get(self.unit.lower(), assumed)

    @property
    def gain_and_offset(self) -> tuple[float, float]:
        """What turns digital values into µV, or into the channel's unit if that is no voltage."""
        gain = (self.physical[1] - self.physical[0]) / (self.digital[1] - self.digital[0])
        factor = 1.0 if self.microvolts is None else self.microvolts
        return gain * factor, (self.physical[0] - self.digital[0] * gain) * factor

    @property
    def is_usable(self) -> bool:
        """Whether the header says what the values are, within what float32 can hold."""
        if self.samples == 0 or self.digital[0] == self.digital[1]:
            return False
        gain, offset = self.gain_and_offset
        return 1e-20 < abs(gain) < 1e20 and abs(offset) < 1e20


@dataclass(frozen=True)
class Header:
    """What the header of a file says; ``records`` below 1 and texts are as found."""

    sample_bytes: int
    recording: str
    start_date: str
    start_time: str
    reserved: str
    records: int
    seconds: float
    channels: tuple[Channel, ...]

    @property
    def size(self) -> int:
        """Bytes before the first record."""
        return _BLOCK * (1 + len(self.channels))

    @property
    def record_samples(self) -> int:
        """Samples of all channels in one record."""
        return sum(channel.samples for channel in self.channels)

    @property
    def is_discontinuous(self) -> bool:
        """Whether there may be gaps between the records."""
        return self.reserved.startswith(("EDF+D", "BDF+D"))

    @property
    def has_no_date(self) -> bool:
        """Whether the date of the start was left out, as EDF+ has it in an anonymous file."""
        return self.recording.startswith("Startdate X") and self.start_date == "01.01.85"

    def start(self, offset: float) -> datetime | None:
        """Return date and time, plus seconds; None if unknown, ValueError if they make no sense."""
        if self.has_no_date and self.start_time == "00.00.00":
            return None
        return self.clock() + timedelta(seconds=offset)

    def clock(self) -> datetime:
        """Return date and time as they stand there; ValueError if they make no sense."""
        return datetime.combine(self._date(), time(*_two_digits(self.start_time)))

    def _date(self) -> date:
        found = re.match(r"Startdate (\d\d)-([A-Za-z]{3})-(\d{4})", self.recording)
        if found and found[2].upper() in MONTHS:
            return date(int(found[3]), MONTHS.index(found[2].upper()) + 1, int(found[1]))
        day, month, year = _two_digits(self.start_date)
        return date(year + (1900 if year >= 85 else 2000), month, day)


def _two_digits(text: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"(\d\d)\.(\d\d)\.(\d\d)", text)
    if not found:
        raise ValueError(f"Invalid date or time: {text!r}, must be like 31.12.99")
    return int(found[1]), int(found[2]), int(found[3])


def read_header(path: Path) -> Header:
    """Read and check the header; the records are not looked at."""
    with path.open("rb") as file:
        fixed = file.read(_BLOCK)
        sample_bytes = _sample_bytes(fixed)
        fields = {name: column[0] for name, column in _split(fixed, _FIELDS, 1).items()}
        count = _whole(fields, "signals", least=1)
        described = file.read(_BLOCK * count)
    promised = _whole(fields, "header bytes", least=0)
    if len(described) < _BLOCK * count or promised != _BLOCK * (1 + count):
        raise UnreadableError(
            f"has a broken header: {count} signals need {_BLOCK * (1 + count)} bytes, the header "
            f"says {promised} and the file has {_BLOCK + len(described)} of them"
        )
    return Header(
        sample_bytes,
        fields["recording"],
        fields["date"],
        fields["time"],
        fields["reserved"],
        _whole(fields, "records"),
        _number(fields, "record duration"),
        _channels(_split(described, _CHANNEL_FIELDS, count), count),
    )


def _sample_bytes(fixed: bytes) -> int:
    version = fixed[:8].rstrip(b" \0")
    if version not in _SAMPLE_BYTES:
        raise UnreadableError(
            f"is not an EDF file: version field {_text(version)!r}, must be '0' or BIOSEMI"
        )
    if len(fixed) < _BLOCK:
        raise UnreadableError(f"has a header that is cut off: {len(fixed)} bytes of {_BLOCK}")
    return _SAMPLE_BYTES[version]


def _split(raw: bytes, widths: dict[str, int], count: int) -> dict[str, list[str]]:
    columns = {}
    offset = 0
    for name, width in widths.items():
        starts = range(offset, offset + width * count, width)
        columns[name] = [_printable(_text(raw[start : start + width])) for start in starts]
        offset += width * count
    return columns


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8").strip(" \0")
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip(" \0")


def _printable(text: str) -> str:
    """Return a text of one line, with a question mark for what cannot be printed."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _value(text: str) -> float:
    """Return a number, also with a decimal comma, or NaN."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.nan


def _number(fields: dict[str, str], name: str) -> float:
    value = _value(fields[name])
    if not math.isfinite(value):
        raise UnreadableError(f"has a broken header: {name} is {fields[name]!r}, must be a number")
    return value


def _whole(fields: dict[str, str], name: str, *, least: float = -math.inf) -> int:
    value = _number(fields, name)
    if value < least or not value.is_integer():
        raise UnreadableError(
            f"has a broken header: {name} is {fields[name]!r}, must be a whole number"
            + (f", {least} or more" if math.isfinite(least) else "")
        )
    return int(value)


def _channels(columns: dict[str, list[str]], count: int) -> tuple[Channel, ...]:
    channels: list[Channel] = []
    for index in range(count):
        fields = {name: column[index] for name, column in columns.items()}
        physical, digital = (
            (_value(fields[f"{kind} minimum"]), _value(fields[f"{kind} maximum"]))
            for kind in ("physical", "digital")
        )
        samples = _whole(fields, "samples per record", least=0)
        first = channels[-1].first + channels[-1].samples if channels else 0
        channels.append(Channel(fields["label"], fields["unit"], physical, digital, samples, first))
    return tuple(channels)


def parse_annotations(record: bytes) -> Iterator[tuple[float, float, str]]:
    """Yield onset and duration in seconds (NaN when there is none) and text, of one record."""
    for onset, duration, texts in _TAL.findall(record):
        for text in filter(None, texts.split(b"\x14")):
            yield float(onset), float(duration or "nan"), _text(text)


def record_onset(record: bytes) -> float | None:
    """Return the second at which a record says that it begins; None when it says nothing."""
    found = _TAL.match(record)
    return float(found[1]) if found else None
