"""Who or what is trained and tested on: honest splits, and the same ones with everything mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ranvier.protocols.clips import Clip
from ranvier.recording import Array
from ranvier.splits import PARTS, folds_by_subject, person
from ranvier.store import Prepared

LATER = 0.25
"""Share of a person's seizures, the last ones, that is tested when later ones are."""
CHOSEN = 1 / 3
"""Share of the clips before them, the last ones of each class, on which the best pass is chosen."""


@dataclass(frozen=True, eq=False)
class Split:
    """Which clips or nights are in which part, by their number."""

    train: Array
    validation: Array
    test: Array


Splitting = Callable[[Sequence[Prepared], int, int], list[Split]]
"""From clips or nights, a number of folds and a seed to the splits."""


def by_person(items: Sequence[Prepared], folds: int, seed: int) -> list[Split]:
    """Test each person once, by what was learnt from others; see ``splits.folds_by_subject``."""
    known = {one.subject for one in items if isinstance(one, Clip) and one.seizure}
    subjects = np.array([one.subject for one in items])
    made = folds_by_subject(subjects.tolist(), folds=folds, seed=seed, informative=known or None)
    return [
        Split(*(np.flatnonzero(np.isin(subjects, getattr(fold, part))) for part in PARTS))
        for fold in made
    ]


def in_time(items: Sequence[Prepared], folds: int, seed: int) -> list[Split]:  # noqa: ARG001
    """Test the last seizures of each person, and what lies around them, by what came before.

    The cut lies halfway through the background between two seizures.
    Persons with a single seizure, or with clips of one class alone in a part, are left out.

    Raises
    ------
    ValueError
        If nobody is left.
    """
    people = np.array([person(one.subject) for one in items])
    events = np.array([one.event if isinstance(one, Clip) else "" for one in items])
    tried = [_later(np.flatnonzero(people == name), events) for name in np.unique(people)]
    splits = [one for one in tried if one is not None and _both_classes(one, events)]
    if not splits:
        raise ValueError(
            f"Invalid recordings: none of {len(tried)} subjects has seizures and background both "
            "to learn from and, later, to be tested on, must be at least 1"
        )
    return splits


def _later(own: Array, events: Array) -> Split | None:
    seizures = list(dict.fromkeys(events[own][events[own] != ""].tolist()))
    if len(seizures) < 2:
        return None
    later = max(1, round(LATER * len(seizures)))
    end = np.flatnonzero(events[own] == seizures[-later - 1])[-1] + 1
    begin = np.flatnonzero(events[own] == seizures[-later])[0]
    before, test = np.split(own, [(end + begin) // 2])
    classes = [before[(events[before] != "") == inside] for inside in (True, False)]
    validation = np.concatenate([one[len(one) - round(CHOSEN * len(one)) :] for one in classes])
    return Split(np.setdiff1d(before, validation), np.sort(validation), test)


def _both_classes(split: Split, events: Array) -> bool:
    parts = (events[getattr(split, part)] != "" for part in PARTS)
    return all(inside.any() and not inside.all() for inside in parts)


def shuffled(split: Split, seed: int) -> Split:
    """Deal what is in the parts of a split anew, at random; their sizes stay.

    Splits over the same items are dealt in the same way, so what is tested once stays tested once.
    """
    pool = np.sort(np.concatenate([split.train, split.validation, split.test]))
    dealt = np.random.default_rng(seed).permutation(pool)
    return Split(*(dealt[np.searchsorted(pool, getattr(split, part))] for part in PARTS))


def on_both_sides(split: Split, people: Array) -> set[str]:
    """Return who is trained and tested on."""
    return set(people[split.train].tolist()) & set(people[split.test].tolist())
