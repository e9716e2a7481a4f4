"""Seizures as HED-SCORE event tables, the form in which SzCORE exchanges them.

One tab-separated row per event; a file without a seizure has one background row that spans it.
The column ``trial_type`` repeats ``eventType`` behind the seven columns of the standard, because
software for BIDS looks for labels there. Source: Dan et al., Epilepsia, doi:10.1111/epi.18113.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from ranvier.seizure_types import code_of
from ranvier.truth import BACKGROUND, Event, Events, seizure_label
from ranvier.writing import write_text

COLUMNS = tuple("onset duration eventType confidence channels dateTime recordingDuration".split())
"""The columns of the standard, in its order."""

LABELS = ("eventType", "trial_type")
"""Columns that may hold the label; the first that is there is read."""

MISSING = "n/a"
ROUNDING = 0.011
"""Seconds by which times written with two decimals may differ from a signal's."""


LONGEST = 1e8
"""Seconds that a recording may last, three years."""

_Row = tuple[Event, float, datetime | None]
"""An event, how long the recording is, and when it begins."""
_Parsed = TypeVar("_Parsed", _Row, _Row | None)


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
    lines = table_lines(path)
    return _joined(_rows(path, lines, _columns(lines[0], path), _parse))


def read_permitted_events(path: str | os.PathLike[str]) -> tuple[Events | None, list[str]]:
    """Read a table of events in which everything may be ``n/a``, as BIDS permits it.

    Parameters
    ----------
    path
        Tab-separated file with a header line, see ``read_events``.

    Returns
    -------
    Events or None
        Those whose onset, duration and label are known, also before second 0. A seizure is never
        left out: where its times are not known its duration is NaN. None when no row is left of
        some, or there is no column of labels.
    list of str
        What is left out or not known, one sentence each.

    Raises
    ------
    ValueError
        As ``read_events``, for a seizure with a cell that makes no sense.
    """
    path = Path(path)
    lines = table_lines(path)
    if not set(LABELS) & set(_names(lines[0])) and {"onset", "duration"} <= set(_names(lines[0])):
        return None, [f"the table of events has no labels, as {' or '.join(LABELS)}"]
    rows = _rows(path, lines, _columns(lines[0], path), _parse_permitted)
    known = [row for row in rows if row is not None]
    endless = sum(math.isnan(event.duration) for event, _, _ in known)
    said = {
        "rows of the table of events without an onset, a duration or a label are left out": (
            len(rows) - len(known)
        ),
        "seizures have no known onset or duration, training and scoring refuse that": endless,
    }
    notes = [f"{count} {what}" for what, count in said.items() if count]
    return (_joined(known) if known or not rows else None), notes


def _joined(rows: Sequence[_Row]) -> Events:
    durations = [duration for _, duration, _ in rows if not math.isnan(duration)]
    starts = [start for _, _, start in rows if start is not None]
    return Events(
        tuple(event for event, _, _ in rows),
        durations[0] if durations else math.nan,
        starts[0] if starts else None,
    )


def _rows(
    path: Path,
    lines: Sequence[str],
    columns: dict[str, int],
    parse: Callable[[dict[str, str]], _Parsed],
) -> list[_Parsed]:
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            rows += [parse(_named(line, columns))] if line.strip() else []
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return rows


def table_lines(path: Path) -> list[str]:
    """Return the lines of a table, one that is empty of an empty file."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines() or [""]
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a table of events: it is not UTF-8 text") from None


def _names(header: str) -> list[str]:
    return [name.strip() for name in header.split("\t")]


def _columns(header: str, path: Path) -> dict[str, int]:
    columns = {name: index for index, name in enumerate(_names(header))}
    label = next((name for name in LABELS if name in columns), None)
    missing = [name for name in ("onset", "duration") if name not in columns]
    missing += [] if label else [" or ".join(LABELS)]
    if missing:
        raise ValueError(
            f"{path} is not a table of events: no column {' and no '.join(missing)} "
            f"in its first line {header[:80]!r}"
        )
    return columns | {"label": columns[str(label)]}


def _named(line: str, columns: dict[str, int]) -> dict[str, str]:
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) <= max(columns.values()):
        raise ValueError(f"{len(cells)} cells, must be {max(columns.values()) + 1}")
    return {name: cells[index] or MISSING for name, index in columns.items()}


def _parse(row: dict[str, str], *, earliest: float = 0.0) -> _Row:
    if row["label"] == MISSING:
        raise ValueError("no label, must be a code such as sz or bckg")
    event = Event(
        number_of(row["onset"], "onset", least=earliest),
        _number(row, "duration"),
        seizure_label(row["label"]) or _plain(row["label"]),
        _number(row, "confidence", most=1.0, optional=True),
        row.get("channels", MISSING),
    )
    duration = _number(row, "recordingDuration", most=LONGEST, optional=True)
    return event, duration, _date(row)


def _plain(label: str) -> str:
    return BACKGROUND if label.lower() == BACKGROUND else label


def _parse_permitted(row: dict[str, str]) -> _Row | None:
    """Return what a row says, also of a seizure at no known time; None if it is of no use."""
    if not _is_seizure(row["label"]):
        try:
            return _parse(row, earliest=-LONGEST)
        except ValueError:
            return None
    unknown = [name for name in ("onset", "duration") if row[name] == MISSING]
    event, duration, start = _parse({**row, **dict.fromkeys(unknown, "0")}, earliest=-LONGEST)
    return replace(event, duration=math.nan) if unknown else event, duration, start


def _is_seizure(label: str) -> bool:
    return bool(seizure_label(label) or code_of(label))


def tell_seizures(events: Events) -> bool:
    """Return whether events say if there was a seizure: one is, or is background, or all are none.

    Other events alone, such as stimuli, do not.
    """
    labels = {event.label for event in events}
    return not labels or any(_is_seizure(one) or one.lower() == BACKGROUND for one in labels)


def _number(
    row: dict[str, str], name: str, *, most: float = math.inf, optional: bool = False
) -> float:
    text = row.get(name, MISSING)
    return math.nan if optional and text == MISSING else number_of(text, name, most)


def number_of(text: str, name: str, most: float = math.inf, *, least: float = 0.0) -> float:
    """Return the number of a cell of a table.

    Raises
    ------
    ValueError
        If it is none, below the least or above the most.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (least <= value <= most and math.isfinite(value)):
        allowed = f"{least:g} or more" if math.isinf(most) else f"between {least:g} and {most:g}"
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
    if not (math.isnan(event.confidence) or 0 <= event.confidence <= 1):
        raise ValueError(f"Invalid event: {event}, must have a confidence between 0 and 1")
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
    before = [event for event in events if event.onset < 0 and event.end <= 0]
    after = [event for event in events if event.onset >= duration]
    kept = [one for one in events if one.onset < duration and not (one.onset < 0 and one.end <= 0)]
    notes = []
    if abs(events.duration - duration) > ROUNDING:
        notes.append(
            f"the events describe {events.duration:.2f} s, the signal has {duration:.2f} s"
        )
    said = {
        "events before the signal are left out": before,
        "events are cut at the beginning of the signal": [e for e in kept if e.onset < -ROUNDING],
        "events after the end of the signal are left out": after,
        "events are cut at the end of the signal": [e for e in kept if e.end > duration + ROUNDING],
    }
    notes += [f"{what}: {_times(which)}" for what, which in said.items() if which]
    items = tuple(_clipped(event, duration) for event in kept)
    return replace(events, items=items, duration=duration), notes


def _clipped(event: Event, duration: float) -> Event:
    onset = max(0.0, event.onset)
    left = event.duration + min(0.0, event.onset)
    return replace(event, onset=onset, duration=min(left, duration - onset))


def _times(events: Sequence[Event]) -> str:
    return ", ".join(f"{event.label} {event.onset:.2f}-{event.end:.2f} s" for event in events)
