"""What is annotated, and whether it can be: spans, labels, and stages that fit the signal."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.channels import parse_channel
from ranvier.formats import offset_check, read_annotations, trim_wake
from ranvier.inspection.findings import Finding, finding
from ranvier.recording import Array, Recording
from ranvier.seizure_types import code_of
from ranvier.truth import (
    BACKGROUND,
    Event,
    Events,
    Hypnogram,
    Truth,
    merge_overlapping,
    seizure_label,
)

SPARE = 2
"""Epochs at either end that may be without a stage; lights go off and on somewhere."""
MEANT = re.compile(r"sei[sz]|ictal|ictus|crisis|crise|anfall|krampf|convuls|epilep", re.IGNORECASE)
"""Texts that sound like a seizure."""
NAMED = 5
"""Labels that are listed before the rest is counted."""

BANDS = ((0.5, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 30.0))
"""Hz; slow waves tell N3, alpha wake, and all four together fit stages better than one."""
SAMPLED = 10.0
"""Seconds in the middle of an epoch that its powers are taken from."""
REACH = 600.0
"""Seconds by which stages are moved to either side."""
MOST_EPOCHS, FEWEST_EPOCHS = 1500, 150
"""Epochs around sleep that are looked at: half a day; with less than an hour and a quarter chance
fits too well."""
FEWEST_OF_A_STAGE = 20
"""Epochs that the second most frequent stage must have."""
CLEARLY, PARTS = 0.01, 3
"""By how much more of the variance the moved stages must explain, and in how many parts of the
night each they must explain more than unmoved. No stretch of four or more hours of the real nights
of Sleep-EDF in their right place does both; most that are moved by two epochs do."""


@dataclass(frozen=True)
class Annotated:
    """What is annotated in one recording, or in several together; printed as a phrase.

    Parameters
    ----------
    duration
        Seconds that are annotated with events, 0 when nothing is known of them.
    labels
        How many events there are of each label, without background.
    seizures
        Seconds of seizures.
    stages
        How many epochs there are of each stage, ``"unscored"`` among them.
    movement
        What moved, axis by axis.
    """

    duration: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    seizures: float = 0.0
    stages: Counter[str] = field(default_factory=Counter)
    movement: frozenset[str] = frozenset()

    @classmethod
    def of(cls, recording: Recording) -> Annotated:
        """Sum up what a recording is annotated with."""
        events, moved = recording.events, recording.trajectory
        stages = recording.hypnogram.stages if recording.hypnogram else ()
        return cls(
            0.0 if events is None else recording.duration,
            Counter(one.label for one in events or () if one.label != BACKGROUND),
            _seconds(events) if events else 0.0,
            Counter(stage or "unscored" for stage in stages),
            frozenset(moved.axes if moved else ()),
        )

    def __add__(self, other: Annotated) -> Annotated:
        return Annotated(
            self.duration + other.duration,
            self.labels + other.labels,
            self.seizures + other.seizures,
            self.stages + other.stages,
            self.movement | other.movement,
        )

    def __str__(self) -> str:
        said = []
        if self.duration:
            counts = ", ".join(f"{n} {label}" for label, n in self.labels.most_common())
            share = f", seizures {self.seizures / self.duration:.1%} of the time"
            said.append(counts + share if counts else "events, none but background")
        if epochs := sum(self.stages.values()):
            shares = ", ".join(
                f"{stage} {n / epochs:.0%}" for stage, n in self.stages.most_common()
            )
            said.append(f"{epochs} epochs: {shares}")
        if self.movement:
            said.append(f"movement ({', '.join(sorted(self.movement))})")
        return "; ".join(said) or "none"

    def as_dict(self) -> dict[str, Any]:
        """Return plain types."""
        return {
            "seconds": self.duration,
            "labels": dict(self.labels),
            "seizure_seconds": self.seizures,
            "stages": dict(self.stages),
            "movement": sorted(self.movement),
        }


def count_stages(hypnogram: Hypnogram) -> Annotated:
    """Sum up a hypnogram that lies there without a signal."""
    return Annotated(stages=Counter(stage or "unscored" for stage in hypnogram.stages))


def _seconds(events: Events) -> float:
    """Return how long there was a seizure; one of no known end counts nothing."""
    spans = merge_overlapping(events.seizures().intervals())
    return sum(end - onset for onset, end in spans if end > onset)


def check_annotations(recording: Recording, where: str, path: Path | None) -> Iterator[Finding]:
    """Yield what looks wrong with the truths of one recording."""
    texts = _texts(path) if path and recording.events is None else []
    meant = [text for text in texts if MEANT.search(text) and not seizure_label(text)]
    if meant:
        sentence = f"annotations sound like seizures and are not understood: {_some(meant)}"
        yield finding("unknown_label", where, sentence)
    elif all(one is None for one in _truths(recording)):
        yield finding("not_annotated", where, "nothing is annotated, it can be decoded only")
    yield from check_events(recording.events.items if recording.events else (), where)
    if recording.hypnogram:
        yield from _check_span(recording.hypnogram, recording.duration, where)
        yield from check_offset(recording, recording.hypnogram, where)


def _truths(recording: Recording) -> tuple[Truth | None, ...]:
    return recording.events, recording.hypnogram, recording.trajectory


def _texts(path: Path) -> list[str]:
    if path.suffix.lower() not in (".edf", ".bdf"):
        return []
    return [text for _, _, text in read_annotations(path)]


def _some(texts: Sequence[str]) -> str:
    counts = Counter(texts)
    named = ", ".join(f"{text[:40]!r}" for text, _ in counts.most_common(NAMED))
    return named + (f" and {len(counts) - NAMED} more" if len(counts) > NAMED else "")


def check_events(events: Sequence[Event], where: str) -> Iterator[Finding]:
    """Yield labels that are not known, events without a length, and seizures that overlap."""
    unknown = [one.label for one in events if not is_known(one)]
    if unknown:
        are = "1 event is" if len(unknown) == 1 else f"{len(unknown)} events are"
        sentence = f"{are} neither seizure nor background: {_some(unknown)}"
        yield finding("unknown_label", where, sentence)
    if empty := [one for one in events if not one.duration > 0]:
        have = "1 event has" if len(empty) == 1 else f"{len(empty)} events have"
        sentence = f"{have} no length, the first at {empty[0].onset:g} s"
        yield finding("empty_event", where, sentence)
    seizures = [one for one in events if one.is_seizure and one.duration > 0]
    pairs = [(a, b) for a, b in pairwise(seizures) if b.onset < a.end and a.channels == b.channels]
    if pairs:
        begin = "1 seizure begins" if len(pairs) == 1 else f"{len(pairs)} seizures begin"
        sentence = f"{begin} before the one before has ended, the first at "
        yield finding("overlapping_events", where, f"{sentence}{pairs[0][1].onset:g} s")


def is_known(event: Event) -> bool:
    """Return whether a label is a seizure, a type of seizure, or background."""
    return event.is_seizure or event.label == BACKGROUND or code_of(event.label) is not None


def _check_span(hypnogram: Hypnogram, duration: float, where: str) -> Iterator[Finding]:
    end = hypnogram.first + len(hypnogram) * hypnogram.epoch
    spare = SPARE * hypnogram.epoch
    if duration - end > spare:
        sentence = f"the stages end {duration - end:.0f} s before the signal"
        yield finding("hypnogram_length", where, sentence)
    if hypnogram.first > spare:
        sentence = f"the stages begin {hypnogram.first:.0f} s after the signal"
        yield finding("hypnogram_length", where, sentence)


def check_offset(recording: Recording, hypnogram: Hypnogram, where: str) -> Iterator[Finding]:
    """Yield whether the stages fit the signal clearly better when they are moved along it."""
    if not _can_tell(hypnogram):
        return
    evidence = band_powers(recording, hypnogram)
    try:
        check = offset_check(hypnogram, evidence, hop=hypnogram.epoch, reach=REACH)
    except ValueError:
        return
    best, unmoved = int(np.nanargmax(check.agreements)), len(check.shifts) // 2
    gain = check.agreements[best] - check.agreements[unmoved]
    if gain > CLEARLY and all(_gains(hypnogram, evidence, best, unmoved)):
        yield finding("hypnogram_offset", where, str(check))


def _can_tell(hypnogram: Hypnogram) -> bool:
    counts = [count for _, count in Counter(filter(None, hypnogram.stages)).most_common(2)]
    return sum(counts) >= FEWEST_EPOCHS and len(counts) == 2 and counts[1] >= FEWEST_OF_A_STAGE


def _gains(hypnogram: Hypnogram, evidence: Array, best: int, unmoved: int) -> Iterator[bool]:
    """Yield for each part of the night whether the moved stages explain more than the unmoved."""
    known = np.flatnonzero(np.isfinite(evidence).all(axis=1))
    for part in np.array_split(known, PARTS):
        alone = np.full_like(evidence, np.nan)
        alone[part] = evidence[part]
        try:
            found = offset_check(hypnogram, alone, hop=hypnogram.epoch, reach=REACH).agreements
        except ValueError:
            yield False
        else:
            yield bool(found[best] > found[unmoved])


def band_powers(recording: Recording, hypnogram: Hypnogram) -> Array:
    """Return log powers of the EEG in the middle of each epoch around sleep, (epoch, band).

    Row 0 is of the first epoch's length of the recording, wherever the stages begin; NaN where
    nothing was looked at.
    """
    epoch, rate = hypnogram.epoch, recording.layout.rate
    begin, end = trim_wake(hypnogram, minutes=60).seconds
    rows = range(math.ceil(max(0.0, begin) / epoch), int(min(end, recording.duration) / epoch))
    evidence = np.full((int(recording.duration / epoch), len(BANDS)), np.nan)
    parsed = map(parse_channel, recording.layout.channels)
    channel = next((place for place, one in enumerate(parsed) if one), 0)
    size = round(min(SAMPLED, epoch) * rate)
    for row in rows[:MOST_EPOCHS]:
        first = round((row + 0.5) * epoch * rate) - size // 2
        evidence[row] = _log_powers(recording.reader(first, first + size)[:, channel], rate)
    return evidence


def _log_powers(signal: Array, rate: float) -> Array:
    """Return NaN where the signal is not valid or does not change."""
    values = signal.astype(float)
    power = np.abs(np.fft.rfft((values - values.mean()) * np.hanning(len(values)))) ** 2
    hertz = np.fft.rfftfreq(len(values), 1 / rate)
    sums = np.array([power[(hertz >= low) & (hertz < high)].sum() for low, high in BANDS])
    return np.asarray(np.log(np.where(sums > 0, sums, np.nan)))
