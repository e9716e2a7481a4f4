"""What a decoder of one day is worth on another, as it is and after it was adapted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ranvier.decisions import none_for_nan
from ranvier.decoder import Decoder
from ranvier.drift.readout import refit_readout
from ranvier.fitting import Progressed, train
from ranvier.recipe import Recipe
from ranvier.recording import Array, Recording
from ranvier.scoring.movement import MovementScore, score_predictions
from ranvier.splits import cut_in_time

ZERO, RUNNING, READOUT, FULL = "zero-shot", "running scale", "readout refit", "full refit"
WAYS = (ZERO, RUNNING, READOUT, FULL)
"""A decoder as it is; one that scales each channel by its own past, on all days; a decoder with its
readout refitted; one that was trained on the day itself."""
MEASURES: dict[str, Callable[[MovementScore], float]] = {
    "r2_uniform": lambda score: score.uniform,
    "r2_variance_weighted": lambda score: score.weighted,
}
"""R² with each axis counting the same, and each by its variance."""
WEIGHTED = "r2_variance_weighted"
TESTED = 0.3
"""Share of a day that is tested, its last part; decoders learn from what comes before it."""
LOST = 0.1
"""Drifted is a day on which a decoder has lost more R² than this against one of that day."""


@dataclass(frozen=True)
class DriftMatrix:
    """R² of decoders of each day on each day.

    Parameters
    ----------
    days
        Names of the sessions.
    scores
        By way and measure, (day that was learnt from, tested day); always the last part of the
        tested day.
    minutes
        Of the tested day, from its beginning, that the readout was refitted to.
    """

    days: tuple[str, ...]
    scores: Mapping[str, Mapping[str, Array]]
    minutes: float

    def lost(self, measure: str = WEIGHTED) -> Array:
        """Return what a decoder as it is lacks to one of the tested day, (learnt, tested)."""
        own = np.diag(self.scores[ZERO][measure])
        return np.asarray(own[None] - self.scores[ZERO][measure])

    def won_back(self, way: str, measure: str = WEIGHTED, *, least: float = LOST) -> float:
        """Return which share of the lost R² a way wins back, where more than ``least`` was lost.

        The sum of what is won over the sum of what was lost; NaN where nothing was.
        """
        lost = self.lost(measure)
        drifted = lost > least
        won = (self.scores[way][measure] - self.scores[ZERO][measure])[drifted].sum()
        return float(won / lost[drifted].sum()) if drifted.any() else float("nan")

    def table(self, way: str = ZERO, measure: str = WEIGHTED) -> list[tuple[str, ...]]:
        """Return the names of the columns, and a row for each day that was learnt from."""
        rows = [
            (day, *(f"{one:.2f}" for one in row))
            for day, row in zip(self.days, self.scores[way][measure], strict=True)
        ]
        return [(f"{way}: learnt on / tested on", *self.days), *rows]

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain types."""
        shares = {way: self.won_back(way) for way in self.scores if way != ZERO}
        return {
            "days": list(self.days),
            "minutes": self.minutes,
            "scores": {
                way: {name: one.tolist() for name, one in own.items()}
                for way, own in self.scores.items()
            },
            "won_back_of_r2_variance_weighted": {n: none_for_nan(s) for n, s in shares.items()},
        }


class Point(NamedTuple):
    """One point of a curve over minutes of calibration data."""

    way: str
    minutes: float
    r2_uniform: float
    r2_variance_weighted: float


def drift_matrix(
    recordings: Sequence[Recording],
    recipe: Recipe,
    *,
    minutes: float = 2.0,
    ways: Sequence[str] = WAYS,
    progress: Progressed | None = None,
) -> DriftMatrix:
    """Train on each day and test on each day.

    Parameters
    ----------
    recordings
        Sessions of one subject, one for each day, with the same channels and with trajectories.
    recipe
        Of movement.
    minutes
        From the beginning of the tested day, that the readout is refitted to.
    ways
        Of ``WAYS``; the first and the last are always there.
    progress
        Told how far it is.

    Raises
    ------
    ValueError
        If the sessions are not of one subject, or do not have the same channels, or the minutes
        reach into what is tested.
    """
    if unknown := set(ways) - set(WAYS):
        raise ValueError(f"Invalid ways: {sorted(unknown)}, possible options: {list(WAYS)}")
    days = _in_order(recordings)
    learnt, tested = _parts(days, minutes)
    decoders = _trained(learnt, recipe, progress)
    scores = {ZERO: _scored(lambda i, _: decoders[i], tested)}
    if RUNNING in ways:
        others = _trained(learnt, _in_running_scale(recipe), progress)
        begun = [one.duration for one in learnt]
        scores[RUNNING] = _scored(lambda i, _: others[i], days, begun)
    if READOUT in ways:
        scores[READOUT] = _scored(
            lambda i, j: refit_readout(decoders[i], learnt[j], minutes=minutes), tested
        )
    own = {name: np.diag(one) for name, one in scores[ZERO].items()}
    scores[FULL] = {name: np.tile(one, (len(days), 1)) for name, one in own.items()}
    return DriftMatrix(_names(days), scores, minutes)


def calibration_curve(
    decoder: Decoder,
    recording: Recording,
    *,
    minutes: Sequence[float] = (0.5, 1.0, 2.0, 4.0),
    recipe: Recipe | None = None,
) -> list[Point]:
    """Return how good a decoder becomes on a new day with minutes of calibration data.

    Parameters
    ----------
    decoder
        Of an earlier day.
    recording
        Of the new day; its last part is tested.
    minutes
        From its beginning, that the readout is refitted to.
    recipe
        If there is one, a decoder is also trained from nothing on the same minutes.

    Returns
    -------
    list of Point
        The decoder as it is, at 0 minutes, and each way at each number of minutes.

    Raises
    ------
    ValueError
        If the minutes reach into what is tested.
    """
    ((learnt,), (tested,)) = _parts([recording], max(minutes))
    points = [Point(ZERO, 0.0, *_measured(decoder, tested))]
    for length in minutes:
        refitted = refit_readout(decoder, learnt, minutes=length)
        points.append(Point(READOUT, length, *_measured(refitted, tested)))
        if recipe is not None:
            alone = train("movement", [learnt.until(60 * length)], recipe=recipe)
            points.append(Point(FULL, length, *_measured(alone, tested)))
    return points


def _names(days: Sequence[Recording]) -> tuple[str, ...]:
    """Return the names of the sessions where they tell the days apart, else of the recordings."""
    sessions = tuple(one.session for one in days)
    told_apart = all(sessions) and len(set(sessions)) == len(days)
    return sessions if told_apart else tuple(one.name for one in days)


def _in_order(recordings: Sequence[Recording]) -> list[Recording]:
    subjects = {one.subject for one in recordings}
    if len(recordings) < 2 or len(subjects) != 1:
        raise ValueError(
            f"Invalid recordings: {len(recordings)} of {len(subjects)} subjects, must be at least "
            "2 of one"
        )
    first = recordings[0]
    for one in recordings:
        if one.layout != first.layout:
            raise ValueError(
                f"Invalid channels: {one.name} has others than {first.name}, must be the same on "
                "all days"
            )
        if one.trajectory is None:
            raise ValueError(f"Invalid recordings: {one.name} has no trajectory, must have one")
    if any(one.start is None for one in recordings):
        return list(recordings)
    return sorted(recordings, key=lambda one: str(one.start))


def _parts(days: Sequence[Recording], minutes: float) -> tuple[list[Recording], list[Recording]]:
    """Cut each day into what is learnt from and what is tested."""
    parts = cut_in_time(days, (1 - TESTED, TESTED))
    learnt, tested = parts[::2], parts[1::2]
    for one in learnt:
        if one.duration + 1e-6 < 60 * minutes:
            raise ValueError(
                f"Invalid minutes: {minutes:g}, {one.name} has {one.duration / 60:.3g} before what "
                "is tested"
            )
    return learnt, tested


def _trained(
    learnt: Sequence[Recording], recipe: Recipe, progress: Progressed | None
) -> list[Decoder]:
    decoders = []
    for number, one in enumerate(learnt, start=1):
        decoders.append(train("movement", [one], recipe=recipe))
        if progress:
            progress("training on each day", number, len(learnt))
    return decoders


def _in_running_scale(recipe: Recipe) -> Recipe:
    kept = [stage for stage in recipe.stages if stage["stage"] != "standardise"]
    return replace(recipe, stages=(*kept, {"stage": "running_scale"}))


def _scored(
    decoder_for: Callable[[int, int], Decoder],
    tested: Sequence[Recording],
    after: Sequence[float] | None = None,
) -> dict[str, Array]:
    """Score each pair of days, on what comes after some second of the tested recording."""
    days, begun = range(len(tested)), after or [0.0] * len(tested)
    pairs = product(days, days)
    found = [_measured(decoder_for(i, j), tested[j], begun[j]) for i, j in pairs]
    every = np.array(found).reshape(len(tested), len(tested), len(MEASURES))
    return {name: every[..., i] for i, name in enumerate(MEASURES)}


def _measured(decoder: Decoder, tested: Recording, after: float = 0.0) -> list[float]:
    """Return the measures of a decoder on one recording, in their order."""
    assert tested.trajectory is not None
    truth, found = {tested.name: tested.trajectory}, decoder.predict(tested)
    late = replace(found, values=np.where(found.times[:, None] > after, found.values, np.nan))
    score = score_predictions([late], truth).recordings[tested.name]
    return [measure(score) for measure in MEASURES.values()]
