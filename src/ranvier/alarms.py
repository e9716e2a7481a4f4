"""Alarms from the probability of a seizure: when one is raised, for which event, and why.

docs/alarms.md tells the rules and how their threshold is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ranvier.recording import Array, Layout
from ranvier.streaming import Stage, State
from ranvier.truth import SEIZURE, Event, Events

ALARM_COLUMNS = ("alarm", "onset", "end", "detected_seconds", "peak", "held_back")


@dataclass(frozen=True)
class AlarmRule:
    """When a probability becomes an alarm.

    Parameters
    ----------
    threshold
        Probability at which a detection begins.
    release
        Share of the threshold under which it ends (hysteresis).
    minimum_seconds
        How long a detection must last to be an alarm.
    merge_seconds
        Detections with a shorter pause between them are one event.
    refractory_seconds
        After an alarm was raised no other one is raised for so long. A detection that begins
        meanwhile and is still there afterwards raises its alarm then, with its own onset; one that
        is over before raises none and is no event.
    """

    threshold: float = 0.5
    release: float = 0.8
    minimum_seconds: float = 5.0
    merge_seconds: float = 15.0
    refractory_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("threshold", "release"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Invalid {name}: {getattr(self, name)}, must be from 0 to 1")
        for name in ("minimum_seconds", "merge_seconds", "refractory_seconds"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(
                    f"Invalid {name}: {getattr(self, name)} s, must be finite and 0 or more"
                )


class _Detection(NamedTuple):
    """Where a row of the batch stands: times in seconds, NaN for none."""

    above: bool = False
    raised: bool = False
    onset: float = float("nan")
    end: float = float("nan")
    alarmed: float = float("-inf")
    seconds: float = 0.0
    peak: float = 0.0


_NOTHING = _Detection()


@dataclass(frozen=True)
class Alarm(Stage):
    """Alarms from probabilities, (batch, time, 1) to (batch, time, 6).

    The columns that go out are ``alarm`` (1 while an alarm is on), ``onset`` and ``end`` of the
    event so far, in seconds from the start of the stream, for how many seconds of it the
    probability was high enough, and its highest (NaN while there is no event); and ``held_back``, 1
    while a detection raises no alarm only because another one was raised too short a time before.
    A probability that is not valid counts as none.

    Parameters
    ----------
    layout
        What comes in: one channel, at the rate of the outputs of the network.
    first
        Second at which the first probability is known.
    rule
        When a probability becomes an alarm.
    """

    layout: Layout
    first: float = 1.0
    rule: AlarmRule = AlarmRule()
    per_site = True

    @property
    def output(self) -> Layout:
        """The columns of ``ALARM_COLUMNS``."""
        return Layout(ALARM_COLUMNS, self.layout.rate, "s")

    @property
    def delay(self) -> float:  # type: ignore[override]
        """Seconds that a detection must last before it is an alarm."""
        return self.rule.minimum_seconds

    def initial_state(self, batch: int) -> State:
        """Return (probabilities seen, then what is known of each row's detection)."""
        return np.array(0), np.tile(np.array(_NOTHING, dtype=float), (batch, 1))

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Go through the probabilities one by one."""
        seen, detections = state
        rows = np.empty((*chunk.shape[:2], len(ALARM_COLUMNS)))
        times = self.first + (int(seen) + np.arange(chunk.shape[1])) / self.rate
        after = np.empty_like(detections)
        for row, probabilities in enumerate(chunk[..., 0].tolist()):
            now = _Detection(*detections[row].tolist())
            for i, (time, probability) in enumerate(
                zip(times.tolist(), probabilities, strict=True)
            ):
                now = self._follow(now, time, probability)
                rows[row, i] = self._row(now)
            after[row] = now
        return rows, (seen + chunk.shape[1], after)

    def values(self, logits: Array) -> Array:
        """Return the probability of a seizure; of two classes the second is the seizure."""
        margin = logits[..., -1:] - logits[..., :1] if logits.shape[-1] == 2 else logits
        return sigmoid(margin)

    def decoded(self, rows: Array, values: Array, times: Array, duration: float) -> Events:
        """Return the events."""
        return Events(events_of(rows, values[:, 0], times), duration)

    def said(self, row: Array, values: Array) -> dict[str, Any]:
        """Say the probability, whether an alarm is on, for which event, and what raised it."""
        alarm, *event, held_back = row.tolist()
        return {
            "probability": none_for_nan(float(values[0])),
            "alarm": bool(alarm),
            **dict(zip(ALARM_COLUMNS[1:-1], map(none_for_nan, event), strict=True)),
            "threshold": self.rule.threshold if alarm else None,
            "held_back": bool(held_back),
        }

    def _follow(self, now: _Detection, time: float, probability: float) -> _Detection:
        rule = self.rule
        if probability >= rule.threshold * (rule.release if now.above else 1.0):
            onset = now.onset if now.onset == now.onset else time - self.hop
            due = self._long_enough(onset, time) and self._rested(now.alarmed, time)
            return _Detection(
                above=True,
                raised=bool(now.raised) or due,
                onset=onset,
                end=time,
                alarmed=time if due and not now.raised else now.alarmed,
                seconds=now.seconds + self.hop,
                peak=max(now.peak, probability),
            )
        if now.raised and time - now.end < rule.merge_seconds - 1e-9:
            return now._replace(above=False)
        return _NOTHING._replace(alarmed=now.alarmed)

    def _long_enough(self, onset: float, time: float) -> bool:
        return time - onset >= self.rule.minimum_seconds - 1e-9

    def _rested(self, alarmed: float, time: float) -> bool:
        return time - alarmed >= self.rule.refractory_seconds - 1e-9

    def _row(self, now: _Detection) -> tuple[float, ...]:
        if now.raised:
            return (1.0, now.onset, now.end, now.seconds, now.peak, 0.0)
        held_back = bool(now.above) and self._long_enough(now.onset, now.end)
        return (0.0, np.nan, np.nan, np.nan, np.nan, float(held_back))


def events_of(rows: Array, probabilities: Array, times: Array) -> tuple[Event, ...]:
    """Read the events from the rows of ``Alarm`` for one stream.

    Parameters
    ----------
    rows
        Output of ``Alarm.step``, (time, 6).
    probabilities
        What came in, (time,); an event's confidence is its highest.
    times
        Seconds at which the outputs were known, (time,).

    Returns
    -------
    tuple of Event
        One per onset; the end is the last that was known of it.
    """
    onsets, ends = rows[:, 1], rows[:, 2]
    events = []
    for onset in np.unique(onsets[~np.isnan(onsets)]):
        end = ends[onsets == onset].max()
        inside = probabilities[(times > onset + 1e-9) & (times <= end + 1e-9)]
        confidence = float(np.nanmax(inside)) if np.isfinite(inside).any() else float("nan")
        events.append(Event(float(onset), float(end - onset), SEIZURE, confidence))
    return tuple(events)


def alarm_times(rows: Array, times: Array) -> Array:
    """Return the seconds at which an alarm was raised, from the rows of one stream."""
    on = rows[:, 0] > 0
    new = on & ~np.concatenate([[False], on[:-1]])
    return np.asarray(times[new])


def sigmoid(logits: Array) -> Array:
    """Turn logits into probabilities without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))


def none_for_nan(value: float) -> float | None:
    """Return None for NaN, which JSON does not know."""
    return None if np.isnan(value) else value
