"""One patient's recordings in the order of time: what is past, and what of it is held out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ranvier.recording import Array, Recording
from ranvier.splits import person
from ranvier.store import Prepared
from ranvier.truth import Events, merge_overlapping

HELD_OUT = 1 / 3
"""Share of the background, and of the seizures, that is held out: the last."""
AFTERMATH = 60.0
"""Seconds after the last seizure that still belong to the past, where nothing else begins."""


@dataclass(frozen=True)
class Course:
    """The recordings of one patient in the order of time.

    Parameters
    ----------
    recordings
        With annotations.
    begins
        Second at which each begins on the patient's clock, which starts with the first.
    notes
        What is assumed or left out, one sentence each.
    """

    recordings: tuple[Recording, ...]
    begins: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, recordings: Sequence[Recording]) -> Course:
        """Put the annotated recordings of one patient in order.

        Parameters
        ----------
        recordings
            All of one subject; by their start, or by name where none has one, with numbers in
            names taken as numbers.

        Raises
        ------
        ValueError
            If they are of several subjects, none is annotated, only some have a start, or two
            overlap.
        """
        known = [one for one in recordings if one.events is not None]
        people = {person(one.subject) for one in known}
        if len(people) != 1:
            raise ValueError(
                f"Invalid recordings: {len(people)} subjects have annotated ones "
                f"({', '.join(sorted(people)) or 'nobody'}), must be 1"
            )
        left_out = len(recordings) - len(known)
        notes = [f"{left_out} recordings are not annotated and were left out"] if left_out else []
        if people == {""}:
            known = [replace(one, subject="patient") for one in known]
            notes += ["the subject is not known: all recordings are taken for one patient's"]
        if any(one.start for one in known):
            return cls(*_by_start(known), tuple(notes))
        ordered = sorted(known, key=lambda one: _numbered(one.name))
        begins = np.cumsum([0.0, *(one.duration for one in ordered[:-1])])
        notes += ["no recording says when it began: their names are taken for their order"]
        return cls(tuple(ordered), tuple(begins.tolist()), tuple(notes))

    @property
    def subject(self) -> str:
        """Who was recorded."""
        return self.recordings[0].subject

    @property
    def seizures(self) -> Array:
        """Onset and end of each seizure on the patient's clock, (seizure, 2)."""
        found = [
            (begin + onset, begin + min(end, one.duration))
            for begin, one in zip(self.begins, self.recordings, strict=True)
            for onset, end in merge_overlapping(_events(one).seizures().intervals())
            if onset < one.duration
        ]
        return np.array(found).reshape(-1, 2)

    @property
    def background(self) -> Array:
        """Begin and end of each recorded stretch without a seizure, (stretch, 2)."""
        ends = [b + one.duration for b, one in zip(self.begins, self.recordings, strict=True)]
        onsets, over = self.seizures.T
        stretches = np.column_stack([np.sort([*self.begins, *over]), np.sort([*onsets, *ends])])
        return stretches[stretches[:, 1] > stretches[:, 0]]

    def until(self, second: float) -> Course:
        """Return what was recorded before this second of the patient's clock."""
        parts = [
            (one.until(second - begin), begin)
            for one, begin in zip(self.recordings, self.begins, strict=True)
            if second > begin
        ]
        return self._of(parts)

    def since(self, second: float) -> Course:
        """Return what was recorded after this second of the patient's clock, which goes on."""
        parts = [
            (one.since(max(0.0, second - begin)), max(begin, second))
            for one, begin in zip(self.recordings, self.begins, strict=True)
            if second < begin + one.duration
        ]
        return self._of(parts)

    def _of(self, parts: Sequence[tuple[Recording, float]]) -> Course:
        kept = [(one, begin) for one, begin in parts if one.samples]
        return replace(self, recordings=tuple(r for r, _ in kept), begins=tuple(b for _, b in kept))


def _by_start(recordings: Sequence[Recording]) -> tuple[tuple[Recording, ...], tuple[float, ...]]:
    begun = [(one.start, one) for one in recordings if one.start]
    if unknown := [one.name for one in recordings if not one.start]:
        raise ValueError(
            f"Invalid recordings: {len(unknown)} of {len(recordings)} do not say when they began "
            f"({unknown[0]}), must be all or none"
        )
    if len({start.tzinfo is None for start, _ in begun}) > 1:
        raise ValueError("Invalid recordings: some starts have a time zone, must be all or none")
    begun.sort(key=lambda pair: pair[0])
    ordered = [one for _, one in begun]
    begins = [(start - begun[0][0]).total_seconds() for start, _ in begun]
    for i, begin in enumerate(begins[1:]):
        if begin < begins[i] + ordered[i].duration - 1:
            raise ValueError(
                f"Invalid recordings: {ordered[i + 1].name} begins before {ordered[i].name} is "
                "over, must follow each other"
            )
    return tuple(ordered), tuple(begins)


def _numbered(name: str) -> list[str | int]:
    """Return the text and the numbers of a name in turn, so that run-2 comes before run-10."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _events(recording: Recording) -> Events:
    return recording.events or Events((), recording.duration)


@dataclass(frozen=True)
class EventsWithin(Events):
    """Events of which only some windows are known: background and seizures each in their span.

    Parameters
    ----------
    background_within, seizures_within
        First and last second; a window beyond them is not known.
    """

    background_within: tuple[float, float] = (-np.inf, np.inf)
    seizures_within: tuple[float, float] = (-np.inf, np.inf)

    def targets(self, times: Array, hop: float) -> Array:
        """Return 1 in a seizure and 0 outside, as ``Events``; NaN beyond the spans."""
        found = super().targets(times, hop)
        seizure = found == 1
        spans = np.array([self.background_within, self.seizures_within])[seizure.astype(int)]
        return np.where((times > spans[:, 0]) & (times <= spans[:, 1]), found, np.nan)

    @property
    def within(self) -> Events:
        """The seizures, as far as they lie in their span."""
        first, last = np.clip(self.seizures_within, 0, self.duration)
        pairs = np.clip(self.seizures().intervals(), first, last)
        return Events.from_intervals(pairs[pairs[:, 1] > pairs[:, 0]].tolist(), self.duration)


@dataclass(frozen=True)
class Past:
    """What is learnt from: everything up to the end of some seizures.

    Parameters
    ----------
    course
        Cut there.
    until
        Second of the patient's clock at which the past is over.
    """

    course: Course
    until: float

    @classmethod
    def of(cls, course: Course, seizures: int) -> Past:
        """Take everything up to the end of the first seizures, and a minute more if it is calm.

        Raises
        ------
        ValueError
            If the patient had fewer seizures.
        """
        known = course.seizures
        if not 1 <= seizures <= len(known):
            raise ValueError(
                f"Invalid seizures: {seizures}, must be from 1 to the {len(known)} that are "
                "annotated"
            )
        last = int(np.searchsorted(course.begins, known[seizures - 1, 0], side="right")) - 1
        over = course.begins[last] + course.recordings[last].duration
        following = [*known[seizures:, 0], np.inf][0]
        until = float(min(known[seizures - 1, 1] + AFTERMATH, over, following))
        return cls(course.until(until), until)

    def followed_by(self, course: Course) -> tuple[str, float] | None:
        """Return where the rest begins: name and second of a recording; None if there is none."""
        later = course.since(self.until)
        if not later.recordings:
            return None
        place = [one.name for one in course.recordings].index(later.recordings[0].name)
        return later.recordings[0].name, later.begins[0] - course.begins[place]

    @property
    def cuts(self) -> tuple[float, float]:
        """Seconds of the clock after which background, and seizures, are held out."""
        stretches = self.course.background
        gone = np.cumsum(stretches[:, 1] - stretches[:, 0])
        wanted = (1 - HELD_OUT) * gone[-1]
        place = int(np.searchsorted(gone, wanted))
        background = stretches[place, 1] - (gone[place] - wanted)
        seizures = self.course.seizures
        if len(seizures) > 1:
            held_out = max(1, int(len(seizures) * HELD_OUT))
            return float(background), float(seizures[-held_out, 0])
        onset, end = seizures[0]
        return float(background), float(onset + (1 - HELD_OUT) * (end - onset))

    def parts(self, prepared: Sequence[Prepared]) -> tuple[list[Prepared], list[Prepared]]:
        """Return the recordings with what is learnt from, and with what is held out."""
        background, seizures = self.cuts
        learnt = ((-np.inf, background), (-np.inf, seizures))
        held_out = ((background, np.inf), (seizures, np.inf))
        return self._within(prepared, learnt), self._within(prepared, held_out)

    def calm(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """Return the recordings with all of the background, and the held-out seizures."""
        always = (-np.inf, np.inf)
        return self._within(prepared, (always, (self.cuts[1], np.inf)))

    def _within(
        self, prepared: Sequence[Prepared], spans: tuple[tuple[float, float], tuple[float, float]]
    ) -> list[Prepared]:
        begins = {
            one.name: begin
            for one, begin in zip(self.course.recordings, self.course.begins, strict=True)
        }
        masked = []
        for one in prepared:
            background, seizures = (
                (first - begins[one.name], last - begins[one.name]) for first, last in spans
            )
            truth = EventsWithin(one.truth.items, one.duration, None, background, seizures)  # type: ignore[union-attr]
            masked.append(replace(one, truth=truth))
        return [one for one in masked if not np.isnan(one.targets()).all()]
