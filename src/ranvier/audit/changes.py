"""What the auditor changes in recordings: signals, their future, annotations, gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.recording import COUNT, Array, Recording
from ranvier.truth import SLEEP_STAGES, Event, Events, Hypnogram, Trajectory

GAIN, NOISE, SHIFT = 3.0, 2.0, 5.0
"""How another signal differs: by a factor, and by noise and an offset in deviations of its own."""


def with_signal(recording: Recording, change: Callable[[Array], Array]) -> Recording:
    """Return the recording with a changed copy of its signal, (time, channels), held in memory."""
    signal = change(recording.read()).astype(np.float32)
    return replace(recording, reader=lambda first, last: signal[first:last].copy())


@dataclass(frozen=True)
class OtherSignal:
    """Louder, noisier and shifted from one sample on; what is not valid stays so.

    Parameters
    ----------
    counts
        Whether these are spikes, which stay whole numbers.
    seed
        Of the noise.
    first
        Sample from which on the signal is another.
    """

    counts: bool
    seed: int
    first: int = 0

    def __call__(self, signal: Array) -> Array:
        """Change the signal."""
        changed, rng = np.array(signal), np.random.default_rng(self.seed)
        future = changed[self.first :]
        if self.counts:
            changed[self.first :] = GAIN * future + rng.poisson(NOISE, future.shape)
        else:
            spread = _spread(signal)
            noise = NOISE * rng.normal(size=future.shape) + SHIFT
            changed[self.first :] = GAIN * future + spread * noise
        return changed


def _spread(signal: Array) -> Array:
    """Return the deviation of each channel, 1 where it has none."""
    known = ~np.isnan(signal)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, signal, 0.0).astype(np.float64)
    spread = np.sqrt(np.maximum((filled**2).sum(0) / count - (filled.sum(0) / count) ** 2, 0))
    return np.where(spread > 0, spread, 1.0)


def with_other_signal(recording: Recording, *, seed: int = 0) -> Recording:
    """Return the recording with another signal throughout."""
    return with_signal(recording, OtherSignal(recording.layout.unit == COUNT, seed))


def with_other_future(recording: Recording, sample: int, *, seed: int = 0) -> Recording:
    """Return the recording with another signal from this sample on."""
    return with_signal(recording, OtherSignal(recording.layout.unit == COUNT, seed, sample))


def with_gap(recording: Recording, start: float, stop: float) -> Recording:
    """Return the recording with nothing recorded between two times, in seconds."""
    first, last = (round(second * recording.layout.rate) for second in (start, stop))

    def cut(signal: Array) -> Array:
        signal[first:last] = np.nan
        return signal

    return with_signal(recording, cut)


def with_other_labels(recording: Recording) -> Recording:
    """Return the recording with annotations that say otherwise; those that are not there stay so.

    Seizures are where there were none, every stage of sleep is the next one, and what moved goes
    backwards, further and off to one side.
    """
    changes: dict[str, Callable[[Any], Any]] = {
        "events": _other_events,
        "hypnogram": _other_stages,
        "trajectory": _other_movement,
    }
    known = {name: getattr(recording, name) for name in changes}
    others = {name: changes[name](one) for name, one in known.items() if one is not None}
    return replace(recording, **others)


def _other_events(events: Events) -> Events:
    intervals = events.seizures().intervals()
    onsets = np.maximum.accumulate([0.0, *intervals[:, 1]])
    ends = np.array([*intervals[:, 0], events.duration])
    label = next((event.label for event in events if event.is_seizure), "sz")
    pauses = zip(onsets.tolist(), ends.tolist(), strict=True)
    items = tuple(Event(onset, end - onset, label) for onset, end in pauses if end > onset)
    return replace(events, items=items)


def _other_stages(hypnogram: Hypnogram) -> Hypnogram:
    following = dict(zip(SLEEP_STAGES, (*SLEEP_STAGES[1:], SLEEP_STAGES[0]), strict=True))
    return replace(hypnogram, stages=tuple(following.get(one, "") for one in hypnogram.stages))


def _other_movement(trajectory: Trajectory) -> Trajectory:
    return replace(trajectory, values=_spread(trajectory.values) - 2 * trajectory.values[::-1])
