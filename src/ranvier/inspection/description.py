"""What a recording is, before anything is said against it; and many of them on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ranvier.formats.edf_header import read_header
from ranvier.inspection.annotations import Annotated
from ranvier.inspection.leads import Leads
from ranvier.inspection.samples import Looked
from ranvier.inspection.signal import typical_spread
from ranvier.recording import ASSUMED_SUBJECT, COUNT, Recording
from ranvier.stored_recording import Stored

FORMATS = {
    ".npz": "NumPy archive", ".nwb": "NWB", ".mat": "Matlab", ".tfrecord": "TFRecord",
    ".csv": "table", ".tsv": "table", ".h5": "HDF5",
}  # fmt: skip
NAMED = 4
"""Different answers that are listed for a folder before the rest is counted."""


@dataclass(frozen=True)
class Description:
    """What one recording is.

    Parameters
    ----------
    where
        Its path within the folder, or its name.
    format
        Such as ``"EDF+C"``.
    subject
        Empty when the file does not say it.
    duration, looked_at
        Seconds of signal, and how many of them were looked at.
    start
        Date and time of the first sample.
    rate, unit
        Sampling rate in Hz, and the unit after reading.
    spread
        Typical standard deviation within a second; None where nothing was looked at.
    leads
        How the channels are understood.
    annotations
        What is annotated.
    """

    where: str
    format: str
    subject: str
    duration: float
    looked_at: float
    start: datetime | None
    rate: float
    unit: str
    spread: float | None
    leads: Leads
    annotations: Annotated

    def as_dict(self) -> dict[str, Any]:
        """Return plain types."""
        leads = self.leads
        return {
            "where": self.where,
            "format": self.format,
            "subject": self.subject,
            "duration": self.duration,
            "looked_at": self.looked_at,
            "start": self.start.isoformat() if self.start else None,
            "rate": self.rate,
            "unit": self.unit,
            "spread": self.spread,
            "channels": [{"name": name, "label": label} for name, label in leads.understood],
            "left_out": list(leads.left_out),
            "reference": leads.reference,
            "derivations": leads.derivations,
            "serves": list(leads.serves),
            "annotations": self.annotations.as_dict(),
        }


def describe_recording(
    recording: Recording, where: str, path: Path | None, looked: Looked | None, leads: Leads
) -> Description:
    """Put together what one recording is."""
    assumed = ASSUMED_SUBJECT in recording.notes
    return Description(
        where,
        _format(path, recording),
        "" if assumed else recording.subject,
        recording.duration,
        looked.seconds if looked else 0.0,
        recording.start,
        recording.layout.rate,
        recording.layout.unit,
        typical_spread(looked) if looked else None,
        leads,
        Annotated.of(recording),
    )


def _format(path: Path | None, recording: Recording) -> str:
    if path is None:
        return "store" if isinstance(recording.reader, Stored) else "data set"
    if (suffix := path.suffix.lower()) in FORMATS:
        return FORMATS[suffix] + (", spikes" if recording.layout.unit == COUNT else "")
    header = read_header(path)
    return header.reserved[:5].strip() or ("BDF" if header.sample_bytes == 3 else "EDF")


def _channels(one: Description) -> str:
    if not one.leads.understood:
        return "none is an electrode of the scalp" if one.unit != COUNT else "units"
    named = [n if n == label else f"{n} <- {label}" for n, label in one.leads.understood]
    return f"{len(named)}: {', '.join(named)}"


ONE: dict[str, Callable[[Description], str]] = {
    "format": lambda one: one.format,
    "channels": _channels,
    "left out": lambda one: "; ".join(one.leads.left_out) or "nothing",
    "rate": lambda one: f"{one.rate:g} Hz",
    "reference": lambda one: one.leads.reference,
    "could serve": lambda one: "; ".join(one.leads.serves) or "no task",
}
"""What is said alike of one recording and of many."""


def page(described: Sequence[Description]) -> list[str]:
    """Return what recordings are, a line for each thing that can be said of them."""
    rows = {
        "recordings": _recordings(described),
        **{name: _either(map(say, described)) for name, say in ONE.items()},
        "values": _spreads(described),
        "start": _starts(described),
        "annotations": _annotations(described),
    }
    return [f"{name:12} {text}" for name, text in rows.items()]


def _either(answers: Iterable[str]) -> str:
    counts = Counter(answers)
    if len(counts) == 1:
        return next(iter(counts))
    (*named,) = (f"{count} x {answer}" for answer, count in counts.most_common(NAMED))
    rest = sum(counts.values()) - sum(count for _, count in counts.most_common(NAMED))
    lines = [*named, f"{rest} x others"] if rest else named
    return ("\n" + " " * 13).join(lines)


def _recordings(described: Sequence[Description]) -> str:
    subjects = sorted({one.subject for one in described if one.subject})
    whose = (
        f"of {len(subjects)} subjects" if len(subjects) > 1 else f"of subject {''.join(subjects)}"
    )
    hours = _time(sum(one.duration for one in described))
    looked = sum(one.looked_at for one in described)
    at = f", {_time(looked)} of it looked at" if looked else ""
    whom = whose if subjects else "of a subject that is not named"
    return f"{len(described)} {whom}, {hours} in all{at}"


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _spreads(described: Sequence[Description]) -> str:
    spreads = sorted(one.spread for one in described if one.spread is not None)
    units = ", ".join(sorted({one.unit for one in described}))
    if not spreads:
        return units
    low, high = spreads[0], spreads[-1]
    ranging = f"{low:.3g}" if len(spreads) == 1 else f"{low:.3g} to {high:.3g}"
    return f"{units}, typical spread within a second {ranging}"


def _starts(described: Sequence[Description]) -> str:
    starts = sorted(f"{one.start:%Y-%m-%d %H:%M:%S}" for one in described if one.start)
    if not starts:
        return "not known"
    span = starts[0] if len(starts) == 1 else f"{starts[0]} to {starts[-1]}"
    missing = len(described) - len(starts)
    return f"{span}; {missing} not known" if missing else span


def _annotations(described: Sequence[Description]) -> str:
    whole = str(sum((one.annotations for one in described), Annotated()))
    without = sum(one.annotations == Annotated() for one in described)
    return f"{whole}; {without} recordings without any" if without and len(described) > 1 else whole
