"""Nights of sleepers who never were, whose stages are known.

A night is planned first, without a signal; its signal is made when it is first read. Stages follow
one another as often, and have the band powers, as in a table of real nights (``sleep_table.json``,
which names its source); the waves by which a scorer knows a stage are drawn into that power.
docs/simulation.md says what is simulated and how hard it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.random import Generator, SeedSequence
from scipy.signal import lfilter

from ranvier.recording import Array, Layout, Recording, Signal
from ranvier.simulate.limits import LONGEST, check_within
from ranvier.simulate.sleep_waves import CHANNELS, KINDS, Kind
from ranvier.simulate.waves import Gain, between, falling, noise, wander
from ranvier.truth import SLEEP_STAGES, Hypnogram

TABLE_FILE = Path(__file__).with_name("sleep_table.json")
START = datetime(2000, 1, 1, 23)
RATE, EPOCH = 100.0, 30.0
SHORTEST_HOURS = 0.1
WAKE_SHARE, LONGEST_WAKE = 0.05, 15.0
"""Most that a night is awake before sleep, and again after it: share of it, minutes."""
PREFERENCE, HABIT = 0.3, 0.4
"""How much sleepers differ in the stages they go to and in their waves; of the logarithm."""
BLEND = 5.0
"""Seconds before and after the border of two epochs within which their power changes."""
SHARED, SPILL = 0.4, 0.4
"""Correlation of the noise of both EEG channels, and how much of the first the EOG picks up."""
LEAST_NOISE = 0.3
"""Share of the power that is noise however strong the waves are."""
SLOPE, WAXING = 1.5, 0.25
PLAN, SIGNAL = 0, 1
"""Parts of a night that are drawn apart from each other."""


@dataclass(frozen=True)
class Table:
    """What real nights are like; log power per Hz in µV²/Hz, for each channel band by band.

    ``transitions`` are counts (quarter of the night, from, to), ``means`` and the spreads of
    subjects in a stage and of epochs are (stage, channel x band), that of subjects is of all
    stages alike; ``correlation`` and ``persistence`` are of epochs, with one another's channels and
    bands and with the epoch before.
    """

    bands: tuple[tuple[float, float], ...]
    transitions: Array
    means: Array
    subject_spreads: Array
    subject_stage_spreads: Array
    epoch_spreads: Array
    correlation: Array
    persistence: float


@dataclass(frozen=True)
class Sleeper:
    """Who sleeps: everything follows from the study's seed and the sleeper's number.

    ``offsets`` are added to the table's means, (stage, channel x band); ``preferences`` multiply
    how often each stage is gone to, ``habits`` how often each of ``KINDS`` happens; ``tempi``
    between 0 and 1 say where its frequency lies in its range.
    """

    seed: int
    number: int
    offsets: tuple[tuple[float, ...], ...]
    preferences: tuple[float, ...]
    habits: tuple[float, ...]
    tempi: tuple[float, ...]


@dataclass(frozen=True)
class Night:
    """One night of a sleeper: its number from 1, and the stage of each epoch as a number."""

    sleeper: Sleeper
    number: int
    stages: tuple[int, ...]


@cache
def table() -> Table:
    """Read the table of real nights."""
    stored = json.loads(TABLE_FILE.read_text(encoding="utf-8"))
    bands = tuple((low, high) for low, high in stored["bands_hz"])
    names = [name for name in Table.__annotations__ if name not in ("bands", "persistence")]
    arrays = {name: np.array(stored[name], dtype=float) for name in names}
    return Table(bands=bands, persistence=stored["persistence"], **arrays)


def simulate_nights(
    *, subjects: int = 8, hours: float = 4.0, nights: int = 1, seed: int = 0
) -> list[Recording]:
    """Simulate nights of sleep: two EEG channels and one of eye movements at 100 Hz.

    Parameters
    ----------
    subjects, nights
        Number of sleepers, and of nights of each.
    hours
        Length of a night, from 0.1 to 24, cut to whole epochs of 30 s. A short one has all phases
        of a night, with less time in each.
    seed
        The same seed gives the same signals, bit for bit.

    Returns
    -------
    list of Recording
        Night by night, each with its hypnogram. A signal is made when it is first read and the two
        read last are kept: read in order, or write to files before reading at random.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """
    for name, number in (("subjects", subjects), ("nights", nights)):
        check_within(name, number, 1)
    sleepers = (plan_sleeper(number + 1, seed=seed) for number in range(subjects))
    return [
        _record(plan_night(sleeper, number + 1, hours=hours))
        for sleeper in sleepers
        for number in range(nights)
    ]


def plan_sleeper(number: int, *, seed: int = 0) -> Sleeper:
    """Draw a sleeper's traits, by number from 1."""
    rng = np.random.default_rng(SeedSequence(seed, spawn_key=(number,)))
    real = table()
    offsets = rng.standard_normal(len(real.subject_spreads)) * real.subject_spreads
    own = rng.standard_normal(real.means.shape) * real.subject_stage_spreads
    return Sleeper(
        seed,
        number,
        tuple(tuple(row) for row in (offsets + own).tolist()),
        tuple(np.exp(rng.normal(0, PREFERENCE, len(SLEEP_STAGES))).tolist()),
        tuple(np.exp(rng.normal(0, HABIT, len(KINDS))).tolist()),
        tuple(rng.random(len(KINDS)).tolist()),
    )


def plan_night(sleeper: Sleeper, number: int = 1, *, hours: float = 4.0) -> Night:
    """Draw the stages of a night, by number from 1, without making a signal."""
    check_within("hours", hours, SHORTEST_HOURS, LONGEST / 60)
    rng = _generator(sleeper, number, PLAN)
    epochs = int(hours * 3600 / EPOCH + 1e-9)
    most = min(LONGEST_WAKE * 60 / EPOCH, WAKE_SHARE * epochs)
    before, after = np.round(most * rng.uniform(0.5, 1, 2)).astype(int).tolist()
    asleep = _follow(epochs - before - after, np.array(sleeper.preferences), rng)
    awake = SLEEP_STAGES.index("W")
    return Night(sleeper, number, (*[awake] * before, *asleep, *[awake] * after))


def _generator(sleeper: Sleeper, night: int, part: int) -> Generator:
    key = (sleeper.number, night, part)
    return np.random.default_rng(SeedSequence(sleeper.seed, spawn_key=key))


def _follow(epochs: int, preferences: Array, rng: Generator) -> list[int]:
    """Draw a chain of stages that begins with N1."""
    counts = table().transitions
    weights = counts * np.where(np.eye(len(preferences)), 1, preferences)
    chances = np.cumsum(weights / weights.sum(axis=2, keepdims=True), axis=2)
    stages = [SLEEP_STAGES.index("N1")]
    for epoch, draw in enumerate(rng.random(epochs - 1)):
        row = chances[epoch * len(counts) // epochs, stages[-1]]
        stages.append(min(int(np.searchsorted(row, draw)), len(row) - 1))
    return stages


def _read(night: Night, first: int, last: int) -> Signal:
    return _render(night)[first:last].copy()


def _record(night: Night) -> Recording:
    seconds = len(night.stages) * EPOCH
    names = tuple(SLEEP_STAGES[stage] for stage in night.stages)
    return Recording(
        Layout(CHANNELS, RATE),
        round(seconds * RATE),
        partial(_read, night),
        name=f"sub-{night.sleeper.number:02d}_ses-{night.number:02d}_task-sleep_run-00",
        subject=f"{night.sleeper.number:02d}",
        session=f"{night.number:02d}",
        start=START + timedelta(days=night.number - 1),
        hypnogram=Hypnogram(names, seconds, EPOCH),
    )


@lru_cache(maxsize=2)
def _render(night: Night) -> Signal:
    """Make the signal of a night, (time, channels) in µV; nobody may write to it."""
    sleeper = night.sleeper
    rng = _generator(sleeper, night.number, SIGNAL)
    times = np.arange(round(len(night.stages) * EPOCH * RATE)) / RATE
    signal = _waves(night, times, rng)
    wanted = np.exp(_levels(night, rng))
    left = np.maximum(wanted - _densities(signal[:2]), LEAST_NOISE * wanted)
    background = _background(left, times, rng)
    signal[:2] += background
    signal[2] += SPILL * background[0] + _eye_noise(times, rng)
    channels = np.ascontiguousarray(signal.T)
    channels.setflags(write=False)
    return channels


def _levels(night: Night, rng: Generator) -> Array:
    """Draw the log densities of each epoch, (epoch, channel x band)."""
    real, stages = table(), list(night.stages)
    values, vectors = np.linalg.eigh(real.correlation)
    mixing = vectors * np.sqrt(np.maximum(values, 0))
    drawn = rng.standard_normal((len(stages), len(values))) @ mixing.T
    drawn[1:] *= np.sqrt(1 - real.persistence**2)
    drawn = lfilter([1], [1, -real.persistence], drawn, axis=0)
    means = real.means + np.array(night.sleeper.offsets)
    return np.asarray(means[stages] + drawn * real.epoch_spreads[stages])


def _waves(night: Night, times: Array, rng: Generator) -> Signal:
    """Draw the waves by which stages are known, (channels, time) in µV."""
    signal = np.zeros((len(CHANNELS), len(times)), np.float32)
    traits = zip(KINDS.values(), night.sleeper.habits, night.sleeper.tempi, strict=True)
    for kind, habit, tempo in traits:
        rates = habit * np.array(kind.per_minute)[list(night.stages)] * EPOCH / 60
        counts = rng.poisson(rates)
        onsets = (np.repeat(np.arange(len(counts)), counts) + rng.random(counts.sum())) * EPOCH
        low, high = kind.hertz
        for onset in onsets.tolist():
            _add_wave(signal, kind, onset, low + tempo * (high - low), rng)
    return signal


def _add_wave(signal: Signal, kind: Kind, onset: float, hertz: float, rng: Generator) -> None:
    local = np.arange(round(rng.uniform(*kind.seconds) * RATE)) / RATE
    wave = kind.wave(local, hertz * rng.uniform(0.97, 1.03), rng) * rng.uniform(*kind.microvolts)
    first = round(onset * RATE)
    kept = wave[: signal.shape[1] - first]
    signal[:, first : first + len(kept)] += np.outer(kind.gains, kept).astype(np.float32)


def _densities(signal: Signal) -> Array:
    """Return the power per Hz of each epoch, (epoch, channel x band)."""
    size = round(EPOCH * RATE)
    epochs = signal.reshape(len(signal), -1, size)
    power = 2 * np.abs(np.fft.rfft(epochs, axis=2)) ** 2 / (RATE * size)
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    of_bands = [
        power[..., (hertz >= low) & (hertz < high)].mean(axis=-1) for low, high in table().bands
    ]
    return np.asarray(np.stack(of_bands, axis=-1).transpose(1, 0, 2).reshape(epochs.shape[1], -1))


def _background(densities: Array, times: Array, rng: Generator) -> Signal:
    """Make noise of both EEG channels with these densities, (channels, time) in µV."""
    bands = table().bands
    levels = np.sqrt(densities.reshape(len(densities), 2, len(bands)))
    starts = np.arange(len(densities)) * EPOCH
    knots = np.column_stack([starts + BLEND, starts + EPOCH - BLEND]).ravel()
    signal = np.zeros((2, len(times)), np.float32)
    for number, (low, high) in enumerate(bands):
        sources = noise(3, times, _falling_within(low, high), rng)
        mixed = SHARED**0.5 * sources[2] + (1 - SHARED) ** 0.5 * sources[:2]
        for channel in range(2):
            curve = np.interp(times, knots, np.repeat(levels[:, channel, number], 2))
            signal[channel] += mixed[channel] * (curve * np.sqrt(high - low)).astype(np.float32)
    waxing = WAXING * wander(2, times, 4, rng) - WAXING**2
    return np.asarray(signal * np.exp(waxing))


def _falling_within(low: float, high: float) -> Gain:
    inside = between(low, high)
    return lambda hertz: inside(hertz) * hertz ** (-SLOPE / 2)


def _eye_noise(times: Array, rng: Generator) -> Signal:
    """Make what the electrodes beside the eyes always pick up: drift and noise, in µV."""
    drift, rest = (noise(1, times, gain, rng)[0] for gain in (between(0.05, 0.4), falling(SLOPE)))
    return np.asarray(8 * drift + 6 * rest)
