"""What ``ranvier score`` compares: tables or recordings that are annotated, and detections."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ranvier.commands import UNANNOTATED, unknown_labels
from ranvier.page import count

if TYPE_CHECKING:
    from ranvier.recording import Recording
    from ranvier.truth import Events

ENDING = "_events.tsv"
Notes = list[tuple[str, str]]
"""Sentences, each with the name of what it is about."""


class Annotated(NamedTuple):
    """Who was recorded, and what is annotated."""

    subject: str
    events: Events


def annotated_in(path: Path) -> tuple[dict[str, Annotated], Notes]:
    """Read what is annotated, by the name that a table of detections must have.

    Parameters
    ----------
    path
        A table or a recording, or a folder of recordings; of tables where it has no recordings.

    Raises
    ------
    ValueError
        If there is nothing, or something cannot be read.
    """
    if recordings := recordings_in(path):
        return _annotated(recordings), [
            (one.name, note) for one in recordings for note in _said_of(one)
        ]
    tables = tables_in(path) if path.is_dir() else {path.name: path}
    if not tables:
        raise ValueError(f"Nothing to score in {path}, expected recordings or tables *{ENDING}")
    read = {name: read_table(table) for name, table in tables.items()}
    known = {name: Annotated(subject_of(name), events) for name, (events, _) in read.items()}
    return known, [(name, note) for name, (_, said) in read.items() for note in said]


def _annotated(recordings: Sequence[Recording]) -> dict[str, Annotated]:
    known: dict[str, Annotated] = {}
    for one in recordings:
        if one.events is None:
            continue
        name = f"{_safe(one.name)}{ENDING}"
        if name in known:
            raise ValueError(f"Invalid recordings: two would have the table {name}, must be one")
        if endless := [
            seizure for seizure in one.events.seizures() if math.isnan(seizure.duration)
        ]:
            raise ValueError(
                f"Invalid events: the seizure at {endless[0].onset:g} s of {one.name} has no "
                "duration, must have one"
            )
        known[name] = Annotated(one.subject or one.name, one.events)
    if not known:
        raise ValueError(
            f"Nothing to score: none of {count(len(recordings), 'recording')} is annotated"
        )
    return known


def _said_of(recording: Recording) -> list[str]:
    if recording.events is None:
        return [UNANNOTATED]
    return [*recording.notes, *unknown_labels(recording.events)]


def recordings_in(path: Path) -> list[Recording]:
    """Open the recordings of a folder, or the file if it is one; none of a table."""
    from ranvier.datasets import read
    from ranvier.formats import NothingFoundError, find_files
    from ranvier.signal_store import is_store

    if not path.is_dir():
        return [] if path.suffix.lower() == ".tsv" else read(path)
    try:
        return read(path) if is_store(path) or find_files(path) else []
    except NothingFoundError:
        return []


def detected_in(path: Path, annotated: Mapping[str, Annotated]) -> tuple[dict[str, Events], Notes]:
    """Read the tables of detections that are named like what is annotated.

    Parameters
    ----------
    path
        A folder of tables; or one table, which is of the only recording that is annotated.
    annotated
        By the name of the table. How long a recording is stands in for what a table does not say.

    Raises
    ------
    ValueError
        If no table has such a name, or one cannot be read.
    """
    tables = tables_in(path) if path.is_dir() else dict.fromkeys(annotated, path)
    if not set(tables) & set(annotated):
        first = next(iter(annotated))
        raise ValueError(
            f"Invalid hypothesis: none of {len(tables)} tables in {path} has the name of what is "
            f"annotated, must be such as {first}"
        )
    found: dict[str, Events] = {}
    notes: Notes = []
    for name, table in tables.items():
        if name not in annotated:
            notes.append((name, "is not scored: nothing annotated has its name"))
            continue
        found[name], said = read_table(table, annotated[name].events.duration)
        notes += [(name, note) for note in said]
    return found, notes


def read_table(path: Path, length: float = math.nan) -> tuple[Events, list[str]]:
    """Read a table, cut to the duration that it gives, else to this length in seconds.

    Raises
    ------
    ValueError
        If it cannot be read, or no label of some is understood.
    """
    from ranvier.formats import clip_events, read_events
    from ranvier.formats.hed_score import tell_seizures

    events = read_events(path)
    notes = unknown_labels(events)
    if not tell_seizures(events):
        raise ValueError(f"Invalid table: {path}, must tell of seizures or background: {notes[0]}")
    if math.isnan(events.duration) and not math.isnan(length):
        notes.append("has no recordingDuration: taken to be as long as what is annotated")
        events = replace(events, duration=length)
    if math.isnan(events.duration):
        return events, notes
    clipped, said = clip_events(events, events.duration)
    return clipped, [*notes, *said]


def tables_in(folder: Path) -> dict[str, Path]:
    """Find the tables of events in a folder by the name that fits those of other folders.

    Raises
    ------
    ValueError
        If two have the same name.
    """
    from ranvier.formats import with_names

    found: dict[str, Path] = {}
    for path, called in with_names(folder, sorted(folder.rglob(f"*{ENDING}"))):
        name = f"{_safe(called.removesuffix('_events'))}{ENDING}"
        if other := found.get(name):
            raise ValueError(f"Invalid folder: {other} and {path} have the same name")
        found[name] = path
    return found


def _safe(name: str) -> str:
    from ranvier.truth_files import file_name

    return file_name(name)


def subject_of(name: str) -> str:
    """Return the subject of a table by its name in BIDS, or the name itself."""
    return name.split("_", maxsplit=1)[0].removeprefix("sub-") if name.startswith("sub-") else name
