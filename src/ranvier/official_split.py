"""The split that a data set publishes: learnt from one part, chosen on another, tested on a third.

The parts of a data set are those that its loader says, as ``datasets.official_parts`` keeps them.
Where a person is in two of them, as in older releases of TUSZ, the later part keeps that person:
what is tested stays what everybody tests, and nothing of it is learnt from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ranvier.datasets.official_parts import OFFICIAL_PARTS, official_part
from ranvier.recording import Recording
from ranvier.splits import OFFICIAL, Fold, person
from ranvier.store import Prepared


def in_official_parts(recordings: Sequence[Recording]) -> list[Recording]:
    """Keep each person in one official part alone: the last one that has recordings of theirs.

    Parameters
    ----------
    recordings
        Each says in which part it is.

    Returns
    -------
    list of Recording
        In their order; those of a person who is in two parts have a note on what was left out.

    Raises
    ------
    ValueError
        If a recording does not say its part.
    """
    parts = [OFFICIAL_PARTS.index(_part_of(one)) for one in recordings]
    people = [person(one.subject or one.name) for one in recordings]
    last: dict[str, int] = {}
    for who, part in zip(people, parts, strict=True):
        last[who] = max(part, last.get(who, part))
    placed = list(zip(recordings, people, parts, strict=True))
    left_out = Counter(who for _, who, part in placed if part < last[who])
    return [
        one.with_note(_overlap(who, left_out[who])) if left_out[who] else one
        for one, who, part in placed
        if part == last[who]
    ]


def _part_of(recording: Recording) -> str:
    part = official_part(recording.notes)
    if not part:
        raise ValueError(
            f"Invalid recordings: {recording.name} does not say its official part, must be one of "
            f"{', '.join(OFFICIAL_PARTS)}, which the data set gives"
        )
    return part


def _overlap(who: str, count: int) -> str:
    return (
        f"{who} is in several official parts: {count} recordings of an earlier part were left out"
    )


def official_fold(prepared: Sequence[Prepared]) -> Fold:
    """Make the official parts the one fold there is.

    Parameters
    ----------
    prepared
        Made from what ``in_official_parts`` gives.

    Raises
    ------
    ValueError
        If a part has no annotated recording, or a person is in two parts.
    """
    subjects: dict[str, set[str]] = {part: set() for part in OFFICIAL_PARTS}
    for one in prepared:
        subjects[official_part(one.notes)].add(one.subject)
    if absent := [part for part, found in subjects.items() if not found]:
        raise ValueError(
            f"Invalid recordings: none that is annotated is in the official part "
            f"{' or '.join(absent)}, must be at least one in each of {', '.join(OFFICIAL_PARTS)}"
        )
    train, validation, test = (tuple(sorted(subjects[part])) for part in OFFICIAL_PARTS)
    return Fold(0, train, validation, test, protocol=OFFICIAL)
