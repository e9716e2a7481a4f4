"""Selections of subjects that publications report on, by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ranvier.datasets.sleep_edf import subjects_of
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

    Raises
    ------
    ValueError
        If there is none of this name, or one of its subjects has no recording.
    """
    if name not in SUBSETS:
        raise ValueError(f"Invalid subset: {name!r}, possible options: {list(SUBSETS)}")
    return only_subjects(recordings, SUBSETS[name])
