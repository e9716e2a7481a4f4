"""How each kind of truth is kept in a file: events and stages as tables, movement as an array.

What a table has no place for, such as the length of an epoch, is kept beside it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ranvier.formats.hed_score import COLUMNS, LABELS, MISSING, read_events
from ranvier.formats.hypnogram_tables import PREFIX, UNKNOWN, write_hypnogram
from ranvier.seizure_types import TypedSeizures
from ranvier.truth import BACKGROUND, Event, Events, Hypnogram, Trajectory, Truth
from ranvier.writing import replacing, write_text

LONGEST_NAME = 200
"""Bytes of a recording's name that a file is called by."""


def file_name(name: str) -> str:
    """Return what files of a recording are called: its letters and digits, ``-`` and ``_``."""
    plain = re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFC", name))
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore")


def _write_events(path: Path, events: Events) -> None:
    rows: list[Sequence[str]] = [(*COLUMNS, LABELS[1])]
    items = events.items or (Event(0.0, events.duration, BACKGROUND),)
    rows += [_event_cells(event, events) for event in items]
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))


def _event_cells(event: Event, events: Events) -> Sequence[str]:
    """Write times in full, so that the scores do not change by a rounding."""
    onset = max(0.0, event.onset)
    known = 0 <= event.confidence <= 1
    label, channels = (" ".join(text.split()) for text in (event.label, event.channels))
    return (
        str(onset),
        str(max(0.0, event.duration if onset == event.onset else event.end)),
        label or BACKGROUND,
        str(event.confidence) if known else MISSING,
        channels or MISSING,
        f"{events.start:%Y-%m-%d %H:%M:%S}" if events.start else MISSING,
        str(events.duration),
        label or BACKGROUND,
    )


def _read_events(path: Path, grid: Mapping[str, Any]) -> Events:
    start = datetime.fromisoformat(grid["start"]) if grid["start"] else None
    return replace(read_events(path), duration=float(grid["duration"]), start=start)


def _read_typed(path: Path, grid: Mapping[str, Any]) -> TypedSeizures:
    return TypedSeizures.of(_read_events(path, grid), grid["label_set"])


def _write_hypnogram(path: Path, hypnogram: Hypnogram) -> None:
    write_hypnogram(path, replace(hypnogram, first=max(0.0, hypnogram.first)))


def _read_hypnogram(path: Path, grid: Mapping[str, Any]) -> Hypnogram:
    labels = (event.label.removeprefix(PREFIX) for event in read_events(path))
    return Hypnogram(tuple("" if label == UNKNOWN else label for label in labels), **grid)


def _write_trajectory(path: Path, trajectory: Trajectory) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, values=trajectory.values)


def _read_trajectory(path: Path, grid: Mapping[str, Any]) -> Trajectory:
    with np.load(path, allow_pickle=False) as stored:
        return Trajectory(stored["values"], **{**grid, "axes": tuple(grid["axes"])})


class Form(NamedTuple):
    """How a kind of truth is kept: what its file is called, and the fields that are not in it."""

    suffix: str
    write: Callable[[Path, Any], None]
    read: Callable[[Path, Mapping[str, Any]], Truth]
    grid: tuple[str, ...]


FORMS: dict[str, Form] = {
    "Events": Form("_events.tsv", _write_events, _read_events, ("duration", "start")),
    "TypedSeizures": Form(
        "_events.tsv", _write_events, _read_typed, ("duration", "start", "label_set")
    ),
    "Hypnogram": Form(
        "_stages.tsv", _write_hypnogram, _read_hypnogram, ("duration", "epoch", "first")
    ),
    "Trajectory": Form(
        "_trajectory.npz",
        _write_trajectory,
        _read_trajectory,
        ("rate", "duration", "axes", "unit", "first"),
    ),
}
"""By the name of the class."""
