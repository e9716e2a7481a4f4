"""Reaches of monkeys that never were, with the spikes of their motor cortex.

A hand goes from target to target along straight lines as smoothly as it can, and rests between.
Units fire at random, at a rate that follows the velocity that the hand will have: a cosine of the
angle to a direction of their own, and the speed. docs/simulation.md says how hard it is to decode.

Sources: Flash and Hogan, J Neurosci 5:1688, 1985 (minimum jerk); Georgopoulos et al., J Neurosci
2:1527, 1982 (cosine tuning); Moran and Schwartz, J Neurophysiol 82:2676, 1999 (speed, lead).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.random import Generator, SeedSequence

from ranvier.formats.spike_sessions import Session
from ranvier.recording import COUNT, Array, Recording
from ranvier.simulate.limits import LONGEST, check_within
from ranvier.truth import Trajectory

START = datetime(2000, 1, 1, 10)
SHORTEST_MINUTES, BINS = 0.1, (0.001, 1.0)
HALF_WIDTH = 10.0
"""cm from the middle of the square in which targets lie to its sides."""
NEAREST = 3.0
"""cm between two targets that follow one another, at least."""
REST = (0.1, 0.6)
"""Seconds that the hand rests on a target before the next reach."""
REFERENCE_SPEED = 20.0
"""cm/s at which ``depth`` and ``speed`` of a unit are given."""
TURN, RATE_CHANGE = 0.5, 0.2
"""How much tuning drifts from a session to the next: radians, and of the logarithm of rates."""
STEP = 0.005
"""Seconds between the points at which the hand's velocity is worked out."""


@dataclass(frozen=True)
class Units:
    """How units are tuned, one value for each.

    ``baseline``, ``depth`` and ``speed`` are spikes per second: at rest, more when the hand moves
    in the ``direction`` (radians) at the reference speed, and more in any direction at that speed.
    Activity leads movement by ``lead`` seconds.
    """

    baseline: Array
    depth: Array
    speed: Array
    direction: Array
    lead: Array


@dataclass(frozen=True)
class Hand:
    """How a hand moves.

    Targets lie within ``half_widths`` (cm) of the middle, rests last between two values of ``rest``
    (s), and a ``pace`` of 2 halves the time of every reach.
    """

    half_widths: tuple[float, float] = (HALF_WIDTH, HALF_WIDTH)
    rest: tuple[float, float] = REST
    pace: float = 1.0


HAND = Hand()


@dataclass(frozen=True)
class Reaches:
    """When reaches begin (s), how long they last (s), and by how much they move (cm, (n, 2))."""

    onsets: Array
    durations: Array
    moves: Array


def simulate_reaches(
    *,
    subjects: int = 4,
    sessions: int = 1,
    minutes: float = 5.0,
    units: int = 60,
    bin_seconds: float = 0.05,
    gaps: bool = False,
    spikes: bool = False,
    seed: int = 0,
) -> list[Recording]:
    """Simulate reaches to random targets: binned spikes, and the hand's velocity in cm/s.

    Parameters
    ----------
    subjects, sessions
        Number of monkeys, and of sessions of each; tuning drifts from one session to the next.
    minutes
        Length of a session, from 0.1 to a day.
    units
        How many are recorded; about one in seven has nothing to do with movement.
    bin_seconds
        Length of a bin, from 1 ms to 1 s.
    gaps
        Whether the bin in which a new target appears is NaN, as between separate trials.
    spikes
        Whether each spike has a time of its own, anywhere in its bin: then counts are those of a
        millisecond, and the stage ``bin_counts`` gives those of ``bin_seconds`` again.
    seed
        The same seed gives the same counts.

    Returns
    -------
    list of Recording
        Session by session; counts are those of a bin, the trajectory is taken at its right edge.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """
    _check(minutes, bin_seconds, subjects=subjects, sessions=sessions, units=units)
    bins = round(60 * minutes / bin_seconds)
    binned = [
        _record(subject + 1, session + 1, tuned, bins, bin_seconds, gaps=gaps, seed=seed)
        for subject in range(subjects)
        for session, tuned in enumerate(plan_units(subject + 1, sessions, units, seed=seed))
    ]
    return [with_spike_times(one, seed=seed) for one in binned] if spikes else binned


def _check(minutes: float, bin_seconds: float, **numbers: int) -> None:
    for name, number in numbers.items():
        check_within(name, number, 1)
    check_within("minutes", minutes, SHORTEST_MINUTES, LONGEST)
    check_within("bin_seconds", bin_seconds, *BINS)


def plan_units(subject: int, sessions: int, units: int, *, seed: int = 0) -> list[Units]:
    """Draw the tuning of a subject's units, by number from 1, in each session."""
    rng = np.random.default_rng(SeedSequence(seed, spawn_key=(subject,)))
    planned = [draw_units(units, rng)]
    for session in range(1, sessions):
        planned.append(_drift(planned[-1], _generator(seed, subject, session, DRIFT)))
    return planned


def draw_units(units: int, rng: Generator) -> Units:
    """Draw the tuning of this many units."""
    tuned = rng.random(units) > 1 / 7
    return Units(
        baseline=rng.gamma(2.0, 4.0, units),
        depth=tuned * rng.gamma(2.0, 1.4, units),
        speed=tuned * rng.normal(1.0, 1.5, units),
        direction=rng.uniform(0, 2 * np.pi, units),
        lead=np.clip(rng.normal(0.1, 0.05, units), 0, 0.25),
    )


MOVEMENT, SPIKES, DRIFT, TIMES = 0, 1, 2, 3
"""Parts of a session that are drawn apart from each other."""


def _generator(seed: int, subject: int, session: int, part: int) -> Generator:
    return np.random.default_rng(SeedSequence(seed, spawn_key=(subject, session, part)))


def _drift(units: Units, rng: Generator) -> Units:
    count = len(units.baseline)
    return replace(
        units,
        baseline=units.baseline * np.exp(rng.normal(0, RATE_CHANGE, count)),
        depth=units.depth * np.exp(rng.normal(0, RATE_CHANGE, count)),
        direction=units.direction + rng.normal(0, TURN, count),
    )


def _record(
    subject: int,
    session: int,
    units: Units,
    bins: int,
    bin_seconds: float,
    *,
    gaps: bool,
    seed: int,
    hand: Hand = HAND,
) -> Recording:
    edges = np.arange(1, bins + 1) * bin_seconds
    reaches = _plan_reaches(edges[-1] + 1, _generator(seed, subject, session, MOVEMENT), hand)
    counts = _spikes(units, reaches, edges, bin_seconds, _generator(seed, subject, session, SPIKES))
    velocity = _velocity(reaches, edges).astype(np.float32)
    if gaps:
        new = np.searchsorted(edges, reaches.onsets[1:])
        counts[new[new < bins]] = velocity[new[new < bins]] = np.nan
    return Recording.from_array(
        counts,
        1 / bin_seconds,
        [f"unit {number + 1}" for number in range(counts.shape[1])],
        unit=COUNT,
        name=f"sub-{subject:02d}_ses-{session:02d}_task-reach",
        subject=f"{subject:02d}",
        session=f"{session:02d}",
        start=START + timedelta(days=session - 1),
        trajectory=Trajectory(
            velocity, 1 / bin_seconds, bins / (1 / bin_seconds), first=bin_seconds
        ),
    )


def with_spike_times(recording: Recording, *, seed: int = 0) -> Recording:
    """Give each spike of a simulated session a time, anywhere in its bin, to the millisecond."""
    numbers = int(recording.subject), int(recording.session) - 1
    rng, width = _generator(seed, *numbers, TIMES), 1 / recording.layout.rate
    counts = recording.read()
    valid = np.asarray(~np.isnan(counts).any(axis=1))
    bins, unit = np.nonzero(np.nan_to_num(counts) * valid[:, np.newaxis])
    each = counts[bins, unit].astype(int)
    bins, unit = np.repeat(bins, each), np.repeat(unit, each)
    edges = np.flatnonzero(np.diff(valid.astype(int), prepend=0, append=0)).reshape(-1, 2)
    return Session(
        (bins + 1 - rng.random(len(bins))) * width,
        unit,
        recording.layout.channels,
        stop=recording.duration,
        known=edges * width,
        trajectory=recording.trajectory,
        subject=recording.subject,
        session=recording.session,
        date=recording.start,
    ).recording(recording.name)


def _plan_reaches(seconds: float, rng: Generator, hand: Hand = HAND) -> Reaches:
    """Draw reaches to random targets, until this time at least."""
    most = int(seconds / hand.rest[0]) + 1
    targets = rng.uniform(-np.array(hand.half_widths), hand.half_widths, (most + 1, 2))
    moves = np.diff(targets, axis=0)
    far = np.linalg.norm(moves, axis=1) >= NEAREST
    targets = targets[np.concatenate([[True], far])]
    moves = np.diff(targets, axis=0)
    durations = (0.3 + 0.03 * np.linalg.norm(moves, axis=1)) * rng.uniform(0.8, 1.25, len(moves))
    durations = durations / hand.pace
    rests = rng.uniform(*hand.rest, len(moves))
    onsets = np.cumsum(rests + durations) - durations
    kept = onsets < seconds
    return Reaches(onsets[kept], durations[kept], moves[kept])


def _velocity(reaches: Reaches, times: Array) -> Array:
    """Return the velocity at these times, (time, 2) in cm/s: of minimum jerk, 0 at rest."""
    latest = np.searchsorted(reaches.onsets, times, side="right") - 1
    begun, which = latest >= 0, np.maximum(latest, 0)
    share = np.clip((times - reaches.onsets[which]) / reaches.durations[which], 0, 1)
    pace = 30 * (share * (1 - share)) ** 2 / reaches.durations[which] * begun
    return np.asarray(pace[:, None] * reaches.moves[which])


def _spikes(
    units: Units, reaches: Reaches, edges: Array, bin_seconds: float, rng: Generator
) -> Array:
    """Draw counts from the velocity that follows each bin's middle, (bin, unit)."""
    times = np.arange(0, edges[-1] + 1, STEP)
    velocity = _velocity(reaches, times) / REFERENCE_SPEED
    drives = velocity @ np.stack([np.cos(units.direction), np.sin(units.direction)])
    drives = drives * units.depth + np.linalg.norm(velocity, axis=1)[:, None] * units.speed
    middles = edges - bin_seconds / 2
    rates = units.baseline + np.stack(
        [
            np.interp(middles + lead, times, drive)
            for lead, drive in zip(units.lead, drives.T, strict=True)
        ],
        axis=1,
    )
    return np.asarray(rng.poisson(np.maximum(rates, 0) * bin_seconds), dtype=np.float32)
