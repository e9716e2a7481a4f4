"""Selections of subjects that publications report on, by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ranvier.datasets.sleep_edf import subjects_of
from ranvier.formats.stage_grid import read_text
from ranvier.recording import Recording

SUBSETS: dict[str, tuple[str, ...]] = {
    "sleep-edf-20": subjects_of("20"),
    "sleep-edf-78": subjects_of("78"),
}
"""Which subjects each has."""

_SHOWN = 5


def only_subjects(recordings: Sequence[Recording], subjects: Collection[str]) -> list[Recording]:
    """Keep the recordings of some subjects, in the order in which they are.

    Raises
    ------
    ValueError
        If one of the subjects has no recording, since a score of the rest would be another score.
    """
    there = {recording.subject for recording in recordings}
    if absent := sorted(set(subjects) - there):
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        raise ValueError(
            f"Invalid subjects: no recording of {', '.join(absent[:_SHOWN])}{more}, must have one "
            f"of each of {len(set(subjects))}"
        )
    return [recording for recording in recordings if recording.subject in subjects]


def subset(recordings: Sequence[Recording], name: str) -> list[Recording]:
    """Keep the recordings of a selection.

    Parameters
    ----------
    recordings
        Among them those of the selection.
    name
        In ``SUBSETS``, or a file with a subject a line, or a recording such as ``shhs1-200010``,
        whose subject is meant.

    Raises
    ------
    ValueError
        If there is neither, or one of its subjects has no recording.
    """
    if name in SUBSETS:
        return only_subjects(recordings, SUBSETS[name])
    if not Path(name).is_file():
        options = [*SUBSETS, "a file with a subject a line"]
        raise ValueError(f"Invalid subset: {name!r}, possible options: {options}")
    lines = [line.strip() for line in read_text(Path(name)).splitlines() if line.strip()]
    there = {one.subject for one in recordings}
    return only_subjects(recordings, [_subject(line, there) for line in lines])


def _subject(line: str, there: Collection[str]) -> str:
    """Return the subject that a line names, by itself or as the end of a recording's name."""
    return line if line in there else line.rpartition("-")[2]
