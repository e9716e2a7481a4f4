"""What a night was like, in the numbers of a sleep laboratory, each with its definition.

Minutes run by the clock from lights off. An epoch that was not scored keeps its place and is
neither sleep nor wake: it is part of the time in bed and of latencies, of nothing else, and a
change of stage across it is not counted. An epoch that lights off or on cuts counts for the part
inside. A number is NaN where it has no meaning, and all but the first two are where no epoch is
scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ranvier.recording import Array
from ranvier.truth import SLEEP_STAGES, Hypnogram

AWAKE, N3, REM = (SLEEP_STAGES.index(stage) for stage in ("W", "N3", "REM"))
UNSCORED = -1
PERSISTENT = 10.0
"""Minutes without wake after which sleep is persistent."""
REM_PAUSE, CYCLE_NREM = 15.0, 15.0
"""Minutes without REM that end a REM period, and of N1 to N3 that a cycle has at least."""
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class InBed:
    """What lies between lights off and lights on.

    Parameters
    ----------
    stages
        Number of the stage of each epoch in ``SLEEP_STAGES``, or ``UNSCORED``.
    begins
        Minutes from lights off at which each epoch begins, or its part inside.
    minutes
        How long each epoch is inside.
    total
        Minutes from lights off to lights on.
    """

    stages: Array
    begins: Array
    minutes: Array
    total: float

    @classmethod
    def of(
        cls,
        hypnogram: Hypnogram,
        *,
        lights_off: float | None = None,
        lights_on: float | None = None,
    ) -> InBed:
        """Cut a hypnogram; parameters and errors are those of ``sleep_statistics``."""
        if not hypnogram.stages and None in {lights_off, lights_on}:
            raise ValueError("Invalid hypnogram: it has no epoch, must have at least 1")
        codes = {stage: number for number, stage in enumerate(SLEEP_STAGES)}
        stages = np.array([codes.get(stage, UNSCORED) for stage in hypnogram.stages], dtype=int)
        edges = hypnogram.first + hypnogram.epoch * np.arange(len(stages) + 1)
        return cls.between(stages, edges, lights_off=lights_off, lights_on=lights_on)

    @classmethod
    def between(
        cls, stages: Array, edges: Array, *, lights_off: float | None, lights_on: float | None
    ) -> InBed:
        """Cut numbered stages, (epoch,), whose borders are at these seconds, (epoch + 1,)."""
        off = float(edges[0]) if lights_off is None else lights_off
        on = float(edges[-1]) if lights_on is None else lights_on
        if not -math.inf < off < on < math.inf:
            raise ValueError(
                f"Invalid lights_off and lights_on: {off} s and {on} s, must lie in order"
            )
        inside = (np.clip(edges, off, on) - off) / 60
        lengths = np.diff(inside)
        kept = lengths > ROUNDING
        return cls(stages[kept], inside[:-1][kept], lengths[kept], (on - off) / 60)

    @property
    def asleep(self) -> Array:
        """Which epochs are sleep."""
        return np.asarray(self.stages > AWAKE)

    @property
    def onset(self) -> float:
        """Minutes from lights off to the first epoch of sleep; NaN without any."""
        return self.first(self.asleep)

    def first(self, chosen: Array) -> float:
        """Return the minute at which the first of these epochs begins; NaN without any."""
        return float(self.begins[chosen.argmax()]) if chosen.any() else math.nan

    def time(self, chosen: Array) -> float:
        """Return how many minutes these epochs last together."""
        return float(self.minutes[chosen].sum())

    def spells(self, chosen: Array) -> Array:
        """Return the minutes at which runs of these epochs begin and end, (run, 2)."""
        borders = np.diff(chosen.astype(int), prepend=0, append=0)
        begins, ends = np.flatnonzero(borders == 1), np.flatnonzero(borders == -1) - 1
        return np.stack([self.begins[begins], self.begins[ends] + self.minutes[ends]], axis=1)


def time_in_bed(night: InBed) -> float:
    """Return TIB in minutes."""
    return night.total


def unscored_time(night: InBed) -> float:
    """Return the minutes in bed of which no stage is known."""
    return max(0.0, night.total - night.time(night.stages != UNSCORED))


def total_sleep_time(night: InBed) -> float:
    """Return TST in minutes."""
    return night.time(night.asleep)


def sleep_efficiency(night: InBed) -> float:
    """Return SE in percent."""
    return _percent(total_sleep_time(night), night.time(night.stages != UNSCORED))


def latency_to_persistent_sleep(night: InBed) -> float:
    """Return LPS in minutes."""
    spells = night.spells(night.asleep)
    long = spells[np.diff(spells, axis=1)[:, 0] >= PERSISTENT - ROUNDING]
    return float(long[0, 0]) if len(long) else math.nan


def wake_after_sleep_onset(night: InBed) -> float:
    """Return WASO in minutes."""
    onset = night.onset
    after = (night.stages == AWAKE) & (night.begins > onset)
    return math.nan if math.isnan(onset) else night.time(after)


def stage_latency(night: InBed, *, stage: int) -> float:
    """Return the minutes from sleep onset to the first epoch of a stage."""
    return night.first(night.stages == stage) - night.onset


def stage_time(night: InBed, *, stage: int) -> float:
    """Return the minutes of a stage."""
    return night.time(night.stages == stage)


def stage_share(night: InBed, *, stage: int) -> float:
    """Return the share of a stage in TST, in percent."""
    return _percent(stage_time(night, stage=stage), total_sleep_time(night))


def awakenings(night: InBed) -> float:
    """Return how often sleep turns to wake."""
    return float(np.count_nonzero(night.asleep[:-1] & (night.stages[1:] == AWAKE)))


def transitions(night: InBed) -> float:
    """Return how often the stage changes."""
    before, after = night.stages[:-1], night.stages[1:]
    known = (before != UNSCORED) & (after != UNSCORED)
    return float(np.count_nonzero(known & (before != after)))


def rem_periods(night: InBed) -> list[tuple[float, float]]:
    """Return the REM periods as minutes from lights off, (begin, end)."""
    periods: list[tuple[float, float]] = []
    for begin, end in night.spells(night.stages == REM).tolist():
        near = periods and begin - periods[-1][1] < REM_PAUSE - ROUNDING
        begun = periods.pop()[0] if near else begin
        periods.append((begun, end))
    return periods


def cycles(night: InBed) -> float:
    """Return how many REM periods have enough NREM sleep between them and the one before."""
    nrem = night.asleep & (night.stages != REM)
    found, last = 0, 0.0
    for begin, end in rem_periods(night):
        between = nrem & (night.begins >= last - ROUNDING) & (night.begins < begin - ROUNDING)
        found += night.time(between) >= CYCLE_NREM - ROUNDING
        last = end
    return float(found)


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole > 0 else math.nan


@dataclass(frozen=True)
class Statistic:
    """What a number means: one sentence, its unit (empty for counts), how it is computed."""

    definition: str
    unit: str
    compute: Callable[[InBed], float]


_WHOLE_NIGHT = {
    "TIB": Statistic("Time in bed: from lights off to lights on.", "min", time_in_bed),
    "unscored": Statistic(
        "Time in bed of which no stage is known; neither sleep nor wake.", "min", unscored_time
    ),
    "TST": Statistic(
        "Total sleep time: all epochs of N1, N2, N3 and REM in bed.", "min", total_sleep_time
    ),
    "SE": Statistic(
        "Sleep efficiency: TST / (TIB - unscored), which is TST / TIB where all is scored.",
        "%",
        sleep_efficiency,
    ),
    "SOL": Statistic(
        "Sleep onset latency: from lights off to the first epoch of any sleep.",
        "min",
        lambda night: night.onset,
    ),
    "LPS": Statistic(
        "Latency to persistent sleep: from lights off to the first 10 min of sleep on end.",
        "min",
        latency_to_persistent_sleep,
    ),
    "WASO": Statistic(
        "Wake after sleep onset: all epochs of W from sleep onset to lights on.",
        "min",
        wake_after_sleep_onset,
    ),
    "REM latency": Statistic(
        "From sleep onset to the first epoch of REM.", "min", partial(stage_latency, stage=REM)
    ),
    "N3 latency": Statistic(
        "From sleep onset to the first epoch of N3.", "min", partial(stage_latency, stage=N3)
    ),
    "awakenings": Statistic(
        "Epochs of W right after an epoch of sleep; the last one before lights on counts.",
        "",
        awakenings,
    ),
    "transitions": Statistic(
        "Neighbouring epochs in bed that are both scored, with different stages.", "", transitions
    ),
    "REM periods": Statistic(
        "Stretches of REM; less than 15 min without REM between two makes them one.",
        "",
        lambda night: float(len(rem_periods(night))),
    ),
    "cycles": Statistic(
        "REM periods with at least 15 min of N1 to N3 between them and the REM period before, or "
        "lights off.",
        "",
        cycles,
    ),
}
_OF_STAGES = {
    stage: Statistic(f"All epochs of {stage} in bed.", "min", partial(stage_time, stage=number))
    for number, stage in enumerate(SLEEP_STAGES)
}
_SHARES = {
    f"{stage} share": Statistic(
        f"Minutes of {stage} / TST.", "%", partial(stage_share, stage=number)
    )
    for number, stage in enumerate(SLEEP_STAGES)
    if number != AWAKE
}
STATISTICS: Mapping[str, Statistic] = {**_WHOLE_NIGHT, **_OF_STAGES, **_SHARES}
"""Every statistic by name.

References
----------
.. [1] AASM Manual for the Scoring of Sleep and Associated Events, section on reported parameters.
.. [2] Feinberg and Floyd 1979, Psychophysiology 16, 283-291: 15 min as the border of REM periods.
"""
ALWAYS = ("TIB", "unscored")
"""What is known where no epoch is scored."""


def sleep_statistics(
    hypnogram: Hypnogram,
    *,
    lights_off: float | None = None,
    lights_on: float | None = None,
) -> dict[str, float]:
    """Compute every statistic of a night or nap.

    Parameters
    ----------
    hypnogram
        Which stage each epoch is in.
    lights_off, lights_on
        Seconds of the recording; by default the first epoch's begin and the last one's end. Time
        in bed without an epoch is unscored.

    Returns
    -------
    dict
        One number for each name in ``STATISTICS``, NaN where it has no meaning.

    Raises
    ------
    ValueError
        If lights go on before or when they go off, or by default there is no epoch.
    """
    return measure(InBed.of(hypnogram, lights_off=lights_off, lights_on=lights_on))


def measure(night: InBed) -> dict[str, float]:
    """Compute every statistic of what lies between lights off and on."""
    scored = bool((night.stages != UNSCORED).any())
    return {
        name: statistic.compute(night) if scored or name in ALWAYS else math.nan
        for name, statistic in STATISTICS.items()
    }


def statistics_table(values: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Return the names of the columns and one row for each number, its definition beside it."""
    rows: Iterable[tuple[str, ...]] = (
        (name, _shown(value), STATISTICS[name].unit, STATISTICS[name].definition)
        for name, value in values.items()
    )
    return [("statistic", "value", "unit", "definition"), *rows]


def _shown(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.1f}".removesuffix(".0")
