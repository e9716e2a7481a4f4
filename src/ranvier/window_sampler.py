"""Random windows of recordings: balanced, the same for the same seed, none over a gap."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, pairwise
from typing import Literal, NamedTuple

import numpy as np

from ranvier.recording import Array, Recording, Signal
from ranvier.streaming import check_layout
from ranvier.truth import Events, Hypnogram

Balanced = Literal["class", "subject"]
Scored = Events | Hypnogram
MOST_GAPS = 1000
"""Windows over gaps in a row after which no other is looked for in the same group."""


class Batch(NamedTuple):
    """Windows side by side.

    ``signal`` is (window, time, channels), float32; ``targets`` what is true of each window, NaN
    where nothing is known; ``recordings`` the number of its recording; ``starts`` where it begins,
    in seconds.
    """

    signal: Signal
    targets: Array
    recordings: Array
    starts: Array


class Candidates(NamedTuple):
    """Windows that may be drawn, group by group: recording, first sample, what is true.

    ``sums`` are those of the chances of all windows before each, and of all; ``groups`` are numbers
    from the coarsest groups, which is one of all, to the finest.
    """

    recordings: Array
    firsts: Array
    targets: Array
    sums: Array
    groups: tuple[Array, ...]

    def draw(self, begin: int, end: int, count: int, rng: np.random.Generator) -> Array:
        """Draw this many windows, each anew, of some that stand side by side."""
        at = rng.uniform(self.sums[begin], self.sums[end], count)
        return np.minimum(np.searchsorted(self.sums, at, side="right"), end) - 1

    def instead_of(self, place: int, rng: np.random.Generator) -> Iterator[int]:
        """Yield windows of the finest group of one, then of the next coarser, at last of all."""
        for groups in reversed(self.groups):
            begin, end = np.searchsorted(groups, [groups[place], groups[place] + 1])
            yield from self.draw(int(begin), int(end), MOST_GAPS, rng).tolist()


class WindowSampler:
    """Draws windows from recordings.

    A batch depends on the seed and its own number alone, so that it does not matter how many
    threads read, or where a run that was stopped goes on.

    Parameters
    ----------
    recordings
        Of the same channels and rate; from files, from a store, or ``windows.processed``.
    seconds
        Length of a window.
    hop
        Seconds between the windows that may be drawn; by default they follow each other.
    balance
        ``"class"`` draws each class as often as any other, ``"subject"`` each subject; both draw
        each class as often, and within a class each subject that has it. Empty draws each window
        as often as any other.
    gaps
        Whether a window may hold samples that were not recorded. If not, another of the same class
        and subject stands in for it; where they have none, one of the class; at last any.
    truth_of
        Gives what a recording is annotated with; by default its events, else its hypnogram. What a
        window is: 1 where at least half of it is a seizure, or the stage in its middle.
    seed
        Of everything that is drawn.

    Raises
    ------
    ValueError
        If the recordings differ in their layout, or no window fits into them.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        seconds: float = 10.0,
        *,
        hop: float | None = None,
        balance: Sequence[Balanced] = ("class", "subject"),
        gaps: bool = False,
        truth_of: Callable[[Recording], Scored | None] | None = None,
        seed: int = 0,
    ) -> None:
        self.recordings = list(recordings)
        self.seconds, self.gaps, self.seed = seconds, gaps, seed
        self.rate = _one_rate(self.recordings)
        sizes = np.round(np.array([seconds, seconds if hop is None else hop]) * self.rate)
        if not (np.isfinite(sizes) & (sizes >= 1)).all():
            raise ValueError(
                f"Invalid seconds and hop: {seconds} and {hop}, must be finite and at least a "
                "sample"
            )
        self.samples, step = map(int, sizes)
        self.candidates = self._candidates(step, balance, truth_of or annotation_of)
        self._over_gap = np.zeros(len(self.candidates.firsts), bool)

    def _candidates(
        self,
        step: int,
        balance: Sequence[Balanced],
        truth_of: Callable[[Recording], Scored | None],
    ) -> Candidates:
        firsts = [
            np.arange(0, one.samples - self.samples + 1, step, dtype=np.int64)
            for one in self.recordings
        ]
        numbers = np.repeat(np.arange(len(firsts)), [len(one) for one in firsts])
        if not len(numbers):
            raise ValueError(f"Invalid seconds: {self.seconds}, no recording is as long")
        targets = np.concatenate(
            [
                self._targets(truth_of(one), at)
                for one, at in zip(self.recordings, firsts, strict=True)
            ]
        )
        people = [one.subject or one.name for one in self.recordings]
        subjects = np.unique(people, return_inverse=True)[1][numbers]
        keys = {"class": targets, "subject": subjects}
        if unknown := set(balance) - set(keys):
            raise ValueError(f"Invalid balance: {sorted(unknown)}, possible options: {[*keys]}")
        chosen = [keys[name] for name in balance]
        chances, groups = (of(chosen, len(numbers)) for of in (chances_of, groups_of))
        order = np.argsort(groups[-1], kind="stable")
        sums = np.append(0.0, np.cumsum(chances[order]))
        return Candidates(
            numbers[order],
            np.concatenate(firsts)[order],
            targets[order],
            sums / sums[-1],
            tuple(one[order] for one in groups),
        )

    def _targets(self, truth: Scored | None, firsts: Array) -> Array:
        if truth is None or not len(firsts):
            return np.full(len(firsts), np.nan)
        return targets_of(truth, (firsts + self.samples) / self.rate, self.seconds)

    def batch(self, size: int, number: int = 0) -> Batch:
        """Draw and read the windows of a batch.

        Parameters
        ----------
        size
            How many windows.
        number
            Which batch; the same one holds the same windows.

        Raises
        ------
        ValueError
            If nearly all windows lie over gaps.
        """
        rng = np.random.default_rng([self.seed, number])
        signal = np.empty((size, self.samples, len(self.recordings[0].layout.channels)), np.float32)
        places = np.zeros(size, np.int64)
        for row in range(size):
            places[row] = self._read_into(signal[row], rng)
        drawn = self.candidates
        numbers, firsts = drawn.recordings[places], drawn.firsts[places]
        return Batch(signal, drawn.targets[places], numbers, firsts / self.rate)

    def _read_into(self, row: Signal, rng: np.random.Generator) -> int:
        """Draw until a window has no gap; return which it is."""
        drawn = int(self.candidates.draw(0, len(self._over_gap), 1, rng)[0])
        for place in chain([drawn], self.candidates.instead_of(drawn, rng)):
            if self._is_read(row, place):
                return place
        raise ValueError(
            f"Invalid gaps: False, {MOST_GAPS} windows of {self.seconds:g} s in a row lie over gaps"
        )

    def _is_read(self, row: Signal, place: int) -> bool:
        """Read a window unless it lies over a gap, as far as that is known or matters."""
        if self._over_gap[place]:
            return False
        first = int(self.candidates.firsts[place])
        recording = self.recordings[int(self.candidates.recordings[place])]
        row[:] = recording.reader(first, first + self.samples)
        self._over_gap[place] = not self.gaps and has_gap(row)
        return not self._over_gap[place]

    def batches(
        self, size: int, count: int, *, first: int = 0, threads: int = 1, ahead: int = 4
    ) -> Iterator[Batch]:
        """Yield batches in order while the next ones are being read.

        Parameters
        ----------
        size
            Windows in each.
        count
            How many batches.
        first
            Number of the first.
        threads
            That read.
        ahead
            Batches that are read or wait to be taken, at most.

        Raises
        ------
        ValueError
            If nearly all windows lie over gaps, or a file cannot be read.
        """
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            try:
                for number in range(first, first + count):
                    waiting.append(pool.submit(self.batch, size, number))
                    if len(waiting) >= ahead:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)


def annotation_of(recording: Recording) -> Scored | None:
    """Return the events of a recording, else its hypnogram."""
    return recording.events if recording.events is not None else recording.hypnogram


def targets_of(truth: Scored, ends: Array, seconds: float) -> Array:
    """Return the class of windows that end at these times: 1 if half is a seizure, or a stage."""
    if isinstance(truth, Hypnogram):
        return np.asarray(truth.targets(ends, seconds))
    edges = np.unique(np.concatenate([ends - seconds, ends]))
    spent = np.append(0.0, np.cumsum(truth.seizures().share(edges) * np.diff(edges)))
    begun, ended = (spent[np.searchsorted(edges, one)] for one in (ends - seconds, ends))
    return np.where(ended - begun >= seconds / 2 - 1e-9, 1.0, 0.0)


def chances_of(keys: Sequence[Array], count: int) -> Array:
    """Return the chance of each window if each value of the keys is drawn equally often.

    Parameters
    ----------
    keys
        A number for each window; a value of the first is drawn first, then one of the second
        among the windows with it, then a window. One with a NaN is not drawn where there are
        others.
    count
        How many windows.
    """
    known = np.ones(count, bool)
    for key in keys:
        known &= ~np.isnan(key)
    allowed = known if known.any() else ~known
    chances = allowed.astype(float)
    for groups, finer in pairwise([*groups_of(keys, count), np.arange(count)]):
        chances /= _parts(groups, finer, allowed)
    return np.asarray(chances)


def groups_of(keys: Sequence[Array], count: int) -> list[Array]:
    """Return the number of each window's group: one group of all, then cut by each key in turn."""
    levels = [np.zeros(count, np.int64)]
    for key in keys:
        values = np.unique(key, return_inverse=True)[1]
        levels.append(np.unique(levels[-1] * count + values, return_inverse=True)[1])
    return levels


def _parts(groups: Array, finer: Array, allowed: Array) -> Array:
    """Return for each window into how many finer groups its group falls; 1 for none."""
    _, one_of_each = np.unique(finer[allowed], return_index=True)
    parts = np.bincount(groups[allowed][one_of_each], minlength=groups.max() + 1)
    return np.asarray(np.maximum(parts, 1)[groups])


def has_gap(signal: Signal) -> bool:
    """Return whether there is a sample at which no channel was recorded."""
    silent = np.isnan(signal[:, 0])
    return bool(silent.any() and np.isnan(signal[silent]).all(axis=1).any())


def _one_rate(recordings: Sequence[Recording]) -> float:
    if not recordings:
        raise ValueError("Invalid recordings: none, must be at least one")
    first = recordings[0]
    for one in recordings:
        check_layout(one.name, first.layout, one.layout)
    return first.layout.rate
