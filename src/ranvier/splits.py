"""Who is in which part: folds by subject, and parts in time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ranvier.recording import COUNT, Array, Recording

SAME_PERSON = {"chb21": "chb01"}
"""Subjects of published data sets that are recorded again under another name (PhysioNet, CHB-MIT:
case 21 was obtained 1.5 years after case 1, from the same girl)."""

PARTS = ("train", "validation", "test")
OFFICIAL = "official"
"""Protocol by which the parts are those that a data set publishes."""


_PART_OF = re.compile(r".*_part-\d+ of (.+)", re.DOTALL)


def person(subject: str) -> str:
    """Return one name for everyone who is known under several."""
    return SAME_PERSON.get(subject, subject)


def whose(part: str) -> str:
    """Return the subject that a part in time is of; any other subject as it is."""
    named = _PART_OF.fullmatch(part)
    return named[1] if named else part


def patient(subject: str) -> str:
    """Return the person that a subject is, or that a part in time is of."""
    return person(whose(subject))


@dataclass(frozen=True)
class Fold:
    """A split of the subjects.

    Parameters
    ----------
    number
        From 0.
    train, validation, test
        Subjects whose recordings are learnt from, chosen on, and scored.
    in_time
        Whether these are parts of the same recordings that follow each other.
    protocol
        By which rule the parts were made, one of ``PROTOCOLS_IN_TIME`` or ``OFFICIAL``; empty
        where it has no name.

    Raises
    ------
    ValueError
        If a person is in two parts, or nobody is in the training part.
    """

    number: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()
    in_time: bool = False
    protocol: str = ""

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for part in PARTS:
            for subject in getattr(self, part):
                other = seen.setdefault(person(subject), part)
                if other != part:
                    raise ValueError(
                        f"Invalid split: subject {subject!r} is in the {other} part and in the "
                        f"{part} part, must be in one"
                    )
        if not self.train or not self.validation:
            raise ValueError(
                f"Invalid split: {len(self.train)} training and {len(self.validation)} validation "
                "subjects, must be at least 1 of each"
            )

    def part(self, subject: str) -> str:
        """Return in which part a subject is."""
        return next(part for part in PARTS if subject in getattr(self, part))


def folds_by_subject(
    subjects: Iterable[str],
    *,
    folds: int = 0,
    seed: int = 0,
    informative: Iterable[str] | None = None,
) -> list[Fold]:
    """Split subjects into folds, with an inner validation part of other subjects.

    Parameters
    ----------
    subjects
        All of them; persons under several names stay together.
    folds
        How many; 0 leaves one person out at a time.
    seed
        Of the order in which persons are dealt to folds.
    informative
        Subjects with something to detect; validation persons are taken from them first.

    Raises
    ------
    ValueError
        If there are fewer than three persons, more folds than persons, or a fold leaves fewer than
        two persons to train and to choose on.
    """
    names = sorted(set(subjects))
    people = sorted({person(name) for name in names})
    folds = folds or len(people)
    least = 3 if len(people) == 3 else 2
    if len(people) < 3 or not least <= folds <= len(people):
        raise ValueError(
            f"Invalid folds: {folds} (subjects: {len(people)}), must be from {least} to the "
            "number of subjects, and at least 3 subjects: to train, to choose and to test"
        )
    preferred = {person(name) for name in (names if informative is None else informative)}
    order = np.random.default_rng(seed).permutation(people).tolist()
    made = []
    for number in range(folds):
        test = order[number::folds]
        rest = [order[(number + 1 + i) % len(order)] for i in range(len(order))]
        others = [one for one in rest if one not in test]
        validation = _validation(others, preferred)
        train = [one for one in others if one not in validation]
        parts = [tuple(n for n in names if person(n) in part) for part in (train, validation, test)]
        made.append(Fold(number, parts[0], parts[1], parts[2]))
    return made


def hold_out_validation(
    subjects: Iterable[str], *, seed: int = 0, informative: Iterable[str] | None = None
) -> Fold:
    """Split subjects into a training and a validation part, with nobody left to test."""
    names = sorted(set(subjects))
    people = sorted({person(name) for name in names})
    if len(people) < 2:
        raise ValueError(
            f"Invalid subjects: {len(people)} found, must be at least 2: to train and to choose"
        )
    preferred = {person(name) for name in (names if informative is None else informative)}
    order = np.random.default_rng(seed).permutation(people).tolist()
    validation = _validation(order, preferred)
    chosen = tuple(name for name in names if person(name) in validation)
    return Fold(0, tuple(name for name in names if name not in chosen), chosen)


def _validation(people: Sequence[str], preferred: set[str]) -> list[str]:
    """Take a quarter, at least half of the preferred ones being left to train on."""
    size = max(1, round(len(people) / 4))
    telling = [one for one in people if one in preferred]
    others = [one for one in people if one not in preferred]
    first = telling[: min(size, len(telling) // 2)]
    return (first + others + telling[len(first) :])[:size]


LAST_PART = (0.8, 0.2)
"""Shares of a recording to train and to choose on, when nothing is tested."""
PARTS_IN_TIME = (0.64, 0.16, 0.2)
"""Shares of a recording to train, to choose and to test on, in this order."""
MAKIN_SECONDS = 320.0
"""From the beginning, to learn from: Makin et al., J Neural Eng 15:026010, 2018."""
NEUROBENCH = (0.5, 0.25, 0.25)
"""Shares of the reaches: NeuroBench, motor prediction of non-human primates."""
BLOCKS = 5
"""That are each tested once."""
PROTOCOLS_IN_TIME = {
    "time": "the parts of a recording follow each other in time",
    "makin320": "the first 320 s of a recording are to train, but for their last fifth, which "
    "chooses; all that follows is tested",
    "neurobench": "the first half of the reaches is to train, the next quarter chooses, the last "
    "is tested",
    "blocked": "each of the blocks of a recording is tested once, a block beside it chooses, all "
    "others are to train, also later ones",
}
"""How recordings can be cut in time, in words."""


def cut_in_time(recordings: Sequence[Recording], shares: Sequence[float]) -> list[Recording]:
    """Cut each recording into parts that follow each other, each a subject of its own.

    Parameters
    ----------
    recordings
        Binned spikes are cut where the signal has gaps, so by trials if there are any.
    shares
        Of the trials, or of the time, that go into each part.
    """
    return [part for one in recordings for part in _parts(one, shares)]


def cut_by_protocol(
    recordings: Sequence[Recording], protocol: str, *, blocks: int = 0
) -> list[Recording]:
    """Cut each recording in time by a rule with a name, each part a subject of its own.

    A part is a recording, so no window and no state reaches from one into another.

    Parameters
    ----------
    recordings
        Binned spikes or spike times are cut where the signal has gaps, so by trials if there are
        any; by ``"makin320"`` at 256 and 320 s, come what may.
    protocol
        One of ``PROTOCOLS_IN_TIME``.
    blocks
        How many there are, for ``"blocked"``; 0 for ``BLOCKS``.

    Raises
    ------
    ValueError
        If the protocol is unknown, a recording too short for it, or there are fewer than 3 blocks.
    """
    if protocol not in PROTOCOLS_IN_TIME:
        raise ValueError(
            f"Invalid protocol: {protocol!r}, possible options: {list(PROTOCOLS_IN_TIME)}"
        )
    blocks = blocks or BLOCKS
    if protocol == "blocked" and blocks < 3:
        raise ValueError(
            f"Invalid folds: {blocks}, must be at least 3 blocks: to train, to choose and to test"
        )
    if protocol == "makin320":
        return [part for one in recordings for part in _makin(one)]
    if protocol == "neurobench":
        return [part for one in recordings for part in _by_reach(one)]
    return cut_in_time(recordings, PARTS_IN_TIME if protocol == "time" else (1 / blocks,) * blocks)


def _makin(recording: Recording) -> list[Recording]:
    if recording.duration <= MAKIN_SECONDS:
        raise ValueError(
            f"Invalid recording: {recording.name} lasts {recording.duration:g} s, must be longer "
            f"than {MAKIN_SECONDS:g} s for the protocol 'makin320'"
        )
    return _cut_at(recording, [LAST_PART[0] * MAKIN_SECONDS, MAKIN_SECONDS])


def _by_reach(recording: Recording) -> list[Recording]:
    """Cut between reaches; by time, with a note, where there are too few."""
    borders = _borders(recording)
    if len(borders) > len(NEUROBENCH):
        return _cut_at(recording, _between_trials(borders, NEUROBENCH) / recording.layout.rate)
    least = len(NEUROBENCH) + 2
    note = f"reaches by its gaps: {len(borders) + 1}, fewer than {least}, so it is cut by time"
    return [part.with_note(note) for part in _parts(recording, NEUROBENCH)]


def _parts(recording: Recording, shares: Sequence[float]) -> list[Recording]:
    rate = recording.layout.rate
    borders = _borders(recording)
    unit = 1 if recording.hypnogram is None else round(recording.hypnogram.epoch * rate)
    by_time = np.round(np.cumsum(shares[:-1]) * recording.samples / unit) * unit
    by_trial = _between_trials(borders, shares) if len(borders) >= len(shares) - 1 else by_time
    lengths = np.diff([0, *by_trial, recording.samples])
    like_shares = (lengths >= 0.5 * np.asarray(shares) * recording.samples).all()
    return _cut_at(recording, (by_trial if like_shares else by_time) / rate)


def _cut_at(recording: Recording, seconds: Iterable[float]) -> list[Recording]:
    """Cut at these times, each part named by its number from 1, its subject by whose it is."""
    starts = [0.0, *map(float, seconds)]
    stops = [*starts[1:], recording.duration]
    parts = []
    for number, (start, stop) in enumerate(zip(starts, stops, strict=True), start=1):
        name = f"{recording.name}_part-{number}"
        subject = f"{name} of {whose(recording.subject) or recording.name}"
        parts.append(replace(recording.until(stop).since(start), name=name, subject=subject))
    return parts


def _between_trials(borders: Array, shares: Sequence[float]) -> Array:
    """Return the borders that leave each part its share of the trials, and at least one trial."""
    wanted = np.round(np.cumsum(shares[:-1]) * (len(borders) + 1)).astype(int) - 1
    parts = np.arange(len(wanted))
    later = np.maximum.accumulate(np.maximum(wanted, 0) - parts) + parts
    return np.asarray(borders[np.minimum(later, len(borders) - len(wanted) + parts)])


def _borders(recording: Recording) -> Array:
    """Return the samples after which a gap begins that is not the last thing, in binned spikes."""
    if recording.layout.unit != COUNT:
        return np.zeros(0)
    gaps = [np.isnan(block).all(axis=1) for block in recording.blocks()]
    gap = np.concatenate([*gaps, np.zeros(0, dtype=bool)])
    begins = np.flatnonzero(gap[1:] & ~gap[:-1]) + 1
    return np.asarray(begins[begins < np.flatnonzero(~gap).max(initial=0)])


def fold_in_time(parts: Iterable[str], number: int = 0, protocol: str = "") -> Fold:
    """Make the parts of recordings a fold: the first to train, the second to choose, then test."""
    named: dict[int, list[str]] = {}
    for part in sorted(parts):
        named.setdefault(_number(part), []).append(part)
    train, validation, *test = (tuple(named[key]) for key in sorted(named))
    return Fold(number, train, validation, test[0] if test else (), in_time=True, protocol=protocol)


def _number(part: str) -> int:
    return int(part.rpartition("_part-")[2].partition(" ")[0])


def folds_in_time(parts: Iterable[str], protocol: str = "") -> list[Fold]:
    """Make one fold for each recording out of its parts; ``"blocked"`` one for each part.

    Parameters
    ----------
    parts
        Their names, as ``cut_by_protocol`` gives them.
    protocol
        One of ``PROTOCOLS_IN_TIME``, or empty.
    """
    by_recording: dict[str, list[str]] = {}
    for part in sorted(parts):
        by_recording.setdefault(part.rpartition("_part-")[0], []).append(part)
    if protocol != "blocked":
        every = enumerate(by_recording.values())
        return [fold_in_time(own, number, protocol) for number, own in every]
    tested = [(own, part) for own in by_recording.values() for part in sorted(own, key=_number)]
    return [_testing(part, own, number) for number, (own, part) in enumerate(tested)]


def _testing(tested: str, parts: Sequence[str], number: int) -> Fold:
    """Test one block, and choose on the one after it; of the last, on the one before."""
    ordered = sorted(parts, key=_number)
    place = ordered.index(tested)
    beside = ordered[place + 1 if place + 1 < len(ordered) else place - 1]
    train = tuple(part for part in ordered if part not in {tested, beside})
    return Fold(number, train, (beside,), (tested,), in_time=True, protocol="blocked")
