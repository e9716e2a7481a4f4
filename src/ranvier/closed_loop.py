"""A decoder in the hands of a simulated user, who sees the cursor and steers it to targets.

Offline R² does not tell whether a cursor can be controlled: the user answers to what the decoder
did, and everything that lies between a spike and the screen is in that loop. Here the loop is
closed: units that are known fire by what the user wants, the decoder says a velocity for each bin,
and the user sees where the cursor went a while later.

Sources: Cunningham et al., J Neurophysiol 105:1932, 2011 (a user in the loop with a decoder);
Willett et al., J Neural Eng 14:016001, 2017 (how users answer to what they see); Soukoreff and
MacKenzie, Int J Hum-Comput Stud 61:751, 2004 (throughput).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from ranvier.decisions import MotionRule
from ranvier.decoder import Decoder
from ranvier.recording import COUNT, Array, Layout
from ranvier.simulate.movement import HALF_WIDTH, NEAREST, REFERENCE_SPEED, Units

RADIUS, HOLD, TIME_LIMIT = 1.5, 0.3, 10.0
"""Of a target: cm; seconds that the cursor must rest in it; seconds until the next one comes."""
REACTION, EAGERNESS, MOST_SPEED = 0.2, 2.0, 25.0
"""Of the user: seconds until what is seen is answered; cm/s wanted per cm of distance, and most."""
EDGE = 1.5 * HALF_WIDTH
"""cm from the middle, beyond which the cursor cannot go."""


@dataclass(frozen=True)
class Loop:
    """What lies between the spikes and the screen.

    Parameters
    ----------
    latency, jitter
        Seconds from the end of a bin until its velocity is there, and the most that comes on top
        of it by chance. The cursor moves by it from the first bin on that is not before that, so
        0.02 s is a whole bin of 0.05 s. A velocity that comes after a newer one is left out.
    lost
        Share of bins that never arrive; the decoder gets a gap and the cursor stands still.
    silent
        Share of units that have fallen silent since the decoder was trained.
    """

    latency: float = 0.02
    jitter: float = 0.0
    lost: float = 0.0
    silent: float = 0.0

    def __post_init__(self) -> None:
        for name in ("latency", "jitter"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"Invalid {name}: {getattr(self, name):g} s, must be 0 or more")
        for name in ("lost", "silent"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Invalid {name}: {getattr(self, name):g}, must be from 0 to 1")


class Trial(NamedTuple):
    """One target: whether it was reached, in how many seconds, how far it was, how far one went."""

    reached: bool
    seconds: float
    distance: float
    path: float

    @property
    def bits(self) -> float:
        """Index of difficulty of Fitts, in Shannon's form."""
        return float(np.log2(1 + self.distance / (2 * RADIUS)))


@dataclass(frozen=True)
class Control:
    """How well one user steered.

    Parameters
    ----------
    trials
        In order.
    """

    trials: Sequence[Trial]

    @property
    def reached(self) -> float:
        """Share of the targets; NaN without one."""
        return _ratio(sum(trial.reached for trial in self.trials), len(self.trials))

    @property
    def seconds(self) -> float:
        """Time to a target that was reached, in the middle; NaN without one."""
        known = [trial.seconds for trial in self.trials if trial.reached]
        return float(np.median(known)) if known else float("nan")

    @property
    def efficiency(self) -> float:
        """Straight way over the way that was gone, mean of the reached targets."""
        known = [one.distance / max(one.path, one.distance) for one in self.trials if one.reached]
        return float(np.mean(known)) if known else float("nan")

    @property
    def throughput(self) -> float:
        """Bits per second: difficulty of what was reached over all of the time; NaN without one."""
        bits = sum(trial.bits for trial in self.trials if trial.reached)
        return _ratio(bits, sum(trial.seconds for trial in self.trials))


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def steer(
    decoder: Decoder,
    units: Units,
    loop: Loop | None = None,
    *,
    users: int = 8,
    seconds: float = 120.0,
    seed: int = 0,
) -> list[Control]:
    """Let users steer a cursor through a decoder, one bin after another.

    Parameters
    ----------
    decoder
        Of a velocity in cm/s with two axes, trained on these units.
    units
        How the recorded units are tuned; see ``simulate.movement.plan_units``.
    loop
        What lies between spikes and screen.
    users
        How many, each with targets, spikes and losses of their own; they run side by side.
    seconds
        For how long; a target that is not yet reached at the end does not count.
    seed
        Of everything that is drawn.

    Returns
    -------
    list of Control
        One for each user.

    Raises
    ------
    ValueError
        If the decoder is for other units, or a parameter is out of its range.
    """
    names = tuple(f"unit {number + 1}" for number in range(len(units.baseline)))
    chain = decoder.bind(Layout(names, decoder.rate, COUNT))
    if not isinstance(decoder.rule, MotionRule) or len(decoder.rule.axes) != 2:
        raise ValueError(f"Invalid decoder: {decoder.rule}, must be of a movement of two axes")
    if users < 1 or not 0 < seconds < np.inf:
        raise ValueError(
            f"Invalid users or seconds: {users}, {seconds:g}, must be at least 1 and above 0"
        )
    loop, state = loop or Loop(), chain.initial_state(users)
    people = _Users(users, 1 / decoder.rate, loop, np.random.default_rng(seed))
    units = people.silenced(units)
    for _ in range(round(seconds * decoder.rate)):
        counts = people.fire(units)
        output, state = chain.step(counts[:, None], state)
        if output.values.shape[1]:
            people.receive(output.values[:, -1])
        people.move()
    return [Control(trials) for trials in people.trials]


@dataclass
class _Users:
    """Where cursors and targets are, (user, axis), and what is still under way to the screen."""

    count: int
    step: float
    loop: Loop
    rng: Generator
    now: int = 0
    trials: list[list[Trial]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trials = [[] for _ in range(self.count)]
        self.cursor = np.zeros((self.count, 2))
        self.seen = [self.cursor.copy()] * (round(REACTION / self.step) + 1)
        self.target = np.stack([self._new_target(at) for at in self.cursor])
        self.start, self.began = self.cursor.copy(), np.zeros(self.count)
        self.inside, self.path = np.zeros(self.count), np.zeros(self.count)
        self.velocity = np.zeros((self.count, 2))
        self.coming: list[tuple[int, Array, Array]] = []
        self.newest = np.full(self.count, -1)

    def silenced(self, units: Units) -> Units:
        """Return the units, some of which do not fire any more."""
        quiet = self.rng.random(len(units.baseline)) < self.loop.silent
        baseline, depth, speed = (
            np.where(quiet, 0.0, part) for part in (units.baseline, units.depth, units.speed)
        )
        return replace(units, baseline=baseline, depth=depth, speed=speed)

    def fire(self, units: Units) -> Array:
        """Draw counts by what is wanted, (user, unit); NaN for a bin that is lost."""
        away = self.target - self.seen[0]
        far = np.linalg.norm(away, axis=1, keepdims=True)
        pace = np.minimum(EAGERNESS * far, MOST_SPEED) * (far > RADIUS / 2)
        wanted = away / np.maximum(far, 1e-9) * pace / REFERENCE_SPEED
        drive = wanted @ np.stack([np.cos(units.direction), np.sin(units.direction)]) * units.depth
        drive = drive + np.linalg.norm(wanted, axis=1, keepdims=True) * units.speed
        counts = self.rng.poisson(np.maximum(units.baseline + drive, 0) * self.step)
        lost = self.rng.random((self.count, 1)) < self.loop.lost
        return np.where(lost, np.nan, counts.astype(np.float32))

    def receive(self, velocity: Array) -> None:
        """Send velocities on their way; what is not valid is a standstill."""
        late = self.loop.latency + self.loop.jitter * self.rng.random(self.count)
        self.send(velocity, late)

    def send(self, velocity: Array, late: Array) -> None:
        """Let velocities arrive with the first bin that is not before they are due."""
        due = self.now + np.ceil(late / self.step - 1e-9)
        self.coming.append((self.now, due, np.nan_to_num(velocity)))

    def move(self) -> None:
        """Let a bin pass: cursors go on, targets are reached or given up."""
        for sent, due, velocity in self.coming:
            arrived = (due <= self.now) & (sent > self.newest)
            self.velocity[arrived], self.newest[arrived] = velocity[arrived], sent
        self.coming = [one for one in self.coming if (one[1] > self.now).any()]
        before = self.cursor
        self.cursor = np.clip(before + self.velocity * self.step, -EDGE, EDGE)
        self.path += np.linalg.norm(self.cursor - before, axis=1)
        self.seen = [*self.seen[1:], self.cursor]
        self.now += 1
        within = np.linalg.norm(self.cursor - self.target, axis=1) <= RADIUS
        self.inside = np.where(within, self.inside + self.step, 0.0)
        reached = self.inside >= HOLD - 1e-9
        late = self.now * self.step - self.began >= TIME_LIMIT
        for user in np.flatnonzero(reached | late).tolist():
            self._next(user, reached=bool(reached[user]))

    def _next(self, user: int, *, reached: bool) -> None:
        seconds = self.now * self.step - self.began[user]
        distance = float(np.linalg.norm(self.target[user] - self.start[user]))
        self.trials[user].append(Trial(reached, float(seconds), distance, float(self.path[user])))
        self.target[user] = self._new_target(self.cursor[user])
        self.start[user], self.began[user] = self.cursor[user], self.now * self.step
        self.inside[user] = self.path[user] = 0.0

    def _new_target(self, origin: Array) -> Array:
        while True:
            target = self.rng.uniform(-HALF_WIDTH, HALF_WIDTH, 2)
            if np.linalg.norm(target - origin) >= NEAREST + RADIUS:
                return np.asarray(target)
