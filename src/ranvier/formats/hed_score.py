"""Seizures as HED-SCORE event tables, the form in which SzCORE exchanges them.

One tab-separated row per event; a file without a seizure has one background row that spans it.
The column ``trial_type`` repeats ``eventType`` behind the seven columns of the standard, because
software for BIDS looks for labels there. Source: Dan et al., Epilepsia, doi:10.1111/epi.18113.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ranvier.truth import BACKGROUND, Event, Events, seizure_label

COLUMNS = tuple("onset duration eventType confidence channels dateTime recordingDuration".split())
"""The columns of the standard, in its order."""

LABELS = ("eventType", "trial_type")
"""Columns that may hold the label; the first that is there is read."""

MISSING = "n/a"
ROUNDING = 0.011
"""Seconds by which times written with two decimals may differ from a signal's."""


LONGEST = 1e8
"""Seconds that a recording may last, three years."""


def read_events(path: str | os.PathLike[str]) -> Events:
    """Read a table of events.

    Columns may stand in any order; only onset, duration and a label are needed.

    Parameters
    ----------
    path
        Tab-separated file with a header line.

    Returns
    -------
    Events
        Background rows are kept, as events labelled ``"bckg"``. Their ``duration`` is NaN when no
        row says how long the recording is, ``start`` is None when no row has a date.

    Raises
    ------
    ValueError
        If the file cannot be read, lacks a column, or has a line that makes no sense.
    """
    path = Path(path)
    lines = _lines(path)
    columns = _columns(lines[0], path)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            rows += [_parse_row(line, columns)] if line.strip() else []
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    durations = [duration for _, duration, _ in rows if not math.isnan(duration)]
    starts = [start for _, _, start in rows if start is not None]
    return Events(
        tuple(event for event, _, _ in rows),
        durations[0] if durations else math.nan,
        starts[0] if starts else None,
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines() or [""]
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a table of events: it is not UTF-8 text") from None


def _columns(header: str, path: Path) -> dict[str, int]:
    columns = {name.strip(): index for index, name in enumerate(header.split("\t"))}
    label = next((name for name in LABELS if name in columns), None)
    missing = [name for name in ("onset", "duration") if name not in columns]
    missing += [] if label else [" or ".join(LABELS)]
    if missing:
        raise ValueError(
            f"{path} is not a table of events: no column {' and no '.join(missing)} "
            f"in its first line {header[:80]!r}"
        )
    return columns | {"label": columns[str(label)]}


def _parse_row(line: str, columns: dict[str, int]) -> tuple[Event, float, datetime | None]:
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) <= max(columns.values()):
        raise ValueError(f"{len(cells)} cells, must be {max(columns.values()) + 1}")
    row = {name: cells[index] or MISSING for name, index in columns.items()}
    if row["label"] == MISSING:
        raise ValueError("no label, must be a code such as sz or bckg")
    event = Event(
        _number(row, "onset"),
        _number(row, "duration"),
        seizure_label(row["label"]) or row["label"],
        _number(row, "confidence", most=1.0, optional=True),
        row.get("channels", MISSING),
    )
    duration = _number(row, "recordingDuration", most=LONGEST, optional=True)
    return event, duration, _date(row)


def _number(
    row: dict[str, str], name: str, *, most: float = math.inf, optional: bool = False
) -> float:
    text = row.get(name, MISSING)
    return math.nan if optional and text == MISSING else number_of(text, name, most)


def number_of(text: str, name: str, most: float = math.inf) -> float:
    """Return the number of a cell of a table.

    Raises
    ------
    ValueError
        If it is none, below 0 or above the most.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value <= most and math.isfinite(value)):
        allowed = "0 or more" if math.isinf(most) else f"between 0 and {most:g}"
        raise ValueError(f"invalid {name}: {text.strip()[:40]}, must be a number, {allowed}")
    return value


def _date(row: dict[str, str]) -> datetime | None:
    text = row.get("dateTime", MISSING)
    try:
        return None if text == MISSING else datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"invalid dateTime: {text}, must be like 2000-01-31 23:59:59") from None


def write_events(path: str | os.PathLike[str], events: Events) -> Path:
    """Write a table of events, times with two decimals.

    When no event is a seizure or background, one background row spans the recording. Without a
    known start the date is ``n/a``.

    Parameters
    ----------
    path
        Where to write; replaced in one go when it exists.
    events
        Their ``duration`` must be the length of the signal file: SzCORE does not score a file whose
        lengths differ.

    Raises
    ------
    ValueError
        If an event or the duration makes no sense.
    """
    if not (math.isfinite(events.duration) and events.duration > 0):
        raise ValueError(
            f"Invalid duration of events: {events.duration} s, must be finite and above 0"
        )
    items = events.items
    if not any(event.is_seizure or event.label == BACKGROUND for event in items):
        items = (Event(0.0, events.duration, BACKGROUND), *items)
    date = events.start.strftime("%Y-%m-%d %H:%M:%S") if events.start else MISSING
    rows = [(*COLUMNS, LABELS[1])]
    rows += [_cells(event, date, events.duration) for event in items]
    return write_text(path, "".join("\t".join(row) + "\n" for row in rows))


def _cells(event: Event, date: str, recording: float) -> tuple[str, ...]:
    if not (math.isfinite(event.onset) and event.onset >= 0 and 0 <= event.duration < math.inf):
        raise ValueError(f"Invalid event: {event}, must begin at 0 s or later and not last below 0")
    label, channels = (" ".join(text.split()) for text in (event.label, event.channels))
    confidence = MISSING if math.isnan(event.confidence) else f"{event.confidence:.2f}"
    duration = round(event.end, 2) - round(event.onset, 2)
    return (
        f"{event.onset:.2f}",
        f"{duration:.2f}",
        label or MISSING,
        confidence,
        channels or MISSING,
        date,
        f"{recording:.2f}",
        label or MISSING,
    )


def clip_events(events: Events, duration: float) -> tuple[Events, list[str]]:
    """Cut events to a signal.

    Parameters
    ----------
    events
        In seconds from the first sample.
    duration
        Length of the signal in seconds.

    Returns
    -------
    Events
        Within the signal, with its duration.
    list of str
        What was changed by more than the rounding of two decimals, one sentence each.
    """
    kept = [event for event in events if event.onset < duration]
    dropped = [event for event in events if event.onset >= duration]
    cut = [event for event in kept if event.end > duration + ROUNDING]
    notes = []
    if abs(events.duration - duration) > ROUNDING:
        notes.append(
            f"the events describe {events.duration:.2f} s, the signal has {duration:.2f} s"
        )
    if dropped:
        notes.append(f"events after the end of the signal are left out: {_times(dropped)}")
    if cut:
        notes.append(f"events are cut at the end of the signal: {_times(cut)}")
    items = tuple(
        replace(event, duration=min(event.duration, duration - event.onset)) for event in kept
    )
    return replace(events, items=items, duration=duration), notes


def _times(events: Sequence[Event]) -> str:
    return ", ".join(f"{event.label} {event.onset:.2f}-{event.end:.2f} s" for event in events)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside ``path``, whose file takes its place if all goes well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file in one go, as UTF-8 with line feeds."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)
