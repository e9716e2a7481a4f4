"""Stages of sleep as tables of events, the form in which BIDS has them.

One tab-separated row per epoch: onset and duration in seconds, ``trial_type`` is
``sleep_stage_W``, ``_N1``, ``_N2``, ``_N3``, ``_REM`` or ``_unknown`` where none was scored.
Tables of others, whose rows span several epochs, are read as well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ranvier.formats.hed_score import (
    LABELS,
    read_events,
    read_permitted_events,
    tell_seizures,
)
from ranvier.formats.stage_grid import Run, place_runs
from ranvier.truth import SLEEP_STAGES, Event, Events, Hypnogram
from ranvier.writing import write_text

COLUMNS = ("onset", "duration", LABELS[1])
PREFIX, UNKNOWN = "sleep_stage_", "unknown"
_STAGES = {f"{PREFIX}{stage}".lower(): stage for stage in SLEEP_STAGES} | {
    f"{PREFIX}R".lower(): "REM",
    f"{PREFIX}{UNKNOWN}": "",
}


def write_hypnogram(path: str | os.PathLike[str], hypnogram: Hypnogram) -> Path:
    """Write a hypnogram as a table, one row per epoch; epochs that were not scored have rows too.

    Parameters
    ----------
    path
        Where to write; replaced in one go when it exists.
    hypnogram
        What is written; its ``duration`` is that of the signal, which a table does not hold.
    """
    rows = [COLUMNS]
    rows += [
        (_seconds(event.onset), _seconds(event.duration), event.label)
        for event in stage_events(hypnogram)
    ]
    return write_text(path, "".join("\t".join(row) + "\n" for row in rows))


def stage_events(hypnogram: Hypnogram) -> list[Event]:
    """Return one event per epoch."""
    return [
        Event(
            hypnogram.first + number * hypnogram.epoch,
            hypnogram.epoch,
            PREFIX + (stage or UNKNOWN),
        )
        for number, stage in enumerate(hypnogram.stages)
    ]


def read_stages(path: str | os.PathLike[str]) -> tuple[Events | None, Hypnogram | None]:
    """Read a table of events and split it into what happened and the stages of sleep.

    Parameters
    ----------
    path
        Tab-separated file with a header line, see ``read_events``.

    Returns
    -------
    Events or None
        All that is no stage; None when the table has stages only.
    Hypnogram or None
        None without stages. Rows may be of one epoch or of several; what lies between them was not
        scored. Its ``duration`` is its end.

    Raises
    ------
    ValueError
        If the file cannot be read, a stage is unknown, or rows overlap or fit no grid of epochs.
    """
    return split_stages(read_events(path), path)


def split_stages(
    events: Events, path: str | os.PathLike[str]
) -> tuple[Events | None, Hypnogram | None]:
    """Split the events of a table into what happened and the stages of sleep; see ``read_stages``.

    Raises
    ------
    ValueError
        If a stage is unknown, or rows overlap or fit no grid of epochs, with the path.
    """
    staged = [event for event in events if _is_stage(event)]
    if not staged:
        return events, None
    others = tuple(event for event in events if not _is_stage(event))
    try:
        runs = [Run(event.onset, event.duration, _stage(event)) for event in staged]
        hypnogram = place_runs(runs, _epoch_of(runs))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return (replace(events, items=others) if others else None), hypnogram


def read_annotated_table(path: Path) -> tuple[Events | None, Hypnogram | None, list[str]]:
    """Return what a table tells of seizures and of sleep, as BIDS permits it, and what it does not.

    Raises
    ------
    ValueError
        If it cannot be read or makes no sense.
    """
    found, notes = read_permitted_events(path)
    events, hypnogram = (None, None) if found is None else split_stages(found, path)
    if events is None or tell_seizures(events):
        return events, hypnogram, notes
    silent = f"{len(events)} events are neither seizure nor background and tell of no seizure"
    return None, hypnogram, [*notes, silent]


def _is_stage(event: Event) -> bool:
    return event.label.lower().startswith(PREFIX)


def _epoch_of(runs: Sequence[Run]) -> float | None:
    """Return what all rows of several last: one epoch each, as they are written here."""
    durations = {run.duration for run in runs}
    return durations.pop() if len(runs) > 1 and len(durations) == 1 else None


def clip_hypnogram(hypnogram: Hypnogram, duration: float) -> tuple[Hypnogram, list[str]]:
    """Leave out epochs that do not end within a signal of this many seconds.

    Returns
    -------
    Hypnogram
        With the duration of the signal.
    list of str
        One sentence when epochs are left out.
    """
    clipped = hypnogram.until(duration)
    left_out = len(hypnogram) - len(clipped)
    notes = [f"{left_out} epochs that end after the signal are left out"] if left_out else []
    return clipped, notes


def _stage(event: Event) -> str:
    if event.label.lower() not in _STAGES:
        options = ", ".join(PREFIX + name for name in (*SLEEP_STAGES, UNKNOWN))
        raise ValueError(f"invalid stage: {event.label}, possible options: {options}")
    return _STAGES[event.label.lower()]


def _seconds(value: float) -> str:
    return f"{value:.10g}"
