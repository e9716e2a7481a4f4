"""What of a file is the movement, and how it becomes velocity on a regular grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ranvier.formats.archives import VELOCITY_AXES, VELOCITY_UNIT
from ranvier.recording import Array
from ranvier.truth import Trajectory

BODY = ("cursor", "hand", "finger", "wrist")
"""What moves, the most wanted first."""
SELDOM = ("eye", "gaze", "pupil", "target", "acc", "force", "torque")
"""What is seldom meant by movement; it comes after all that is not called so."""
NO_PLACE = ("acc", "force", "torque")
KINDS = ("velocity", "position", "other")
LENGTHS = {
    "m": 100.0, "meter": 100.0, "meters": 100.0, "metre": 100.0, "metres": 100.0,
    "cm": 1.0, "centimeter": 1.0, "centimeters": 1.0, "centimetre": 1.0, "centimetres": 1.0,
    "mm": 0.1, "millimeter": 0.1, "millimeters": 0.1, "millimetre": 0.1, "millimetres": 0.1,
}  # fmt: skip
"""How many cm one of each is."""
PER_SECOND = re.compile(r"(?:(?:/|per)(?:s|sec|secs|second|seconds)|[.*]?s(?:\^|\*\*)?-1)$")
LONGEST_STEP = 5.0
"""Samples between two times that are not yet a gap."""
UNEVEN = 0.01
"""Share of a step by which a time may lie beside its place and be there."""
MOST_SAMPLES = 100_000_000

Kind = Literal["velocity", "position", "other"]


@dataclass(frozen=True, eq=False)
class Movement:
    """What moved, and where it has gaps.

    Parameters
    ----------
    trajectory
        Its ``first`` is a time of the session's clock; None where nothing moved.
    known
        (stretch, 2), where each stretch without a gap begins and ends, from -inf to inf; None
        where there is no gap.
    notes
        What was chosen and done.
    """

    trajectory: Trajectory | None = None
    known: Array | None = None
    notes: tuple[str, ...] = ()


def scale_of(unit: str) -> tuple[float, bool] | None:
    """Return how many cm one of this unit is, and whether it is per second; None if it is neither.

    A unit such as ``"m/s"``, ``"millimeters"`` or ``"cm s^-1"``.
    """
    plain = unit.lower().replace(" ", "")
    length = PER_SECOND.sub("", plain)
    return (LENGTHS[length], length != plain) if length in LENGTHS else None


def kind_of(place: str, unit: str) -> Kind:
    """Return what a series holds, by its place in the file and its unit."""
    name, scale = place.lower().replace("level", ""), scale_of(unit)
    if "vel" in name or (scale is not None and scale[1]):
        return "velocity"
    named = any(word in name for word in ("pos", *BODY))
    if scale is not None or (named and not any(word in name for word in NO_PLACE)):
        return "position"
    return "other"


def preference(place: str, unit: str) -> tuple[bool, int, int, str]:
    """Return by what series are sorted, so that the one most probably meant comes first."""
    name = place.lower()
    body = next((rank for rank, word in enumerate(BODY) if word in name), len(BODY))
    seldom = any(word in name for word in SELDOM)
    return seldom, KINDS.index(kind_of(place, unit)), body, place


def movement_of(
    place: str, unit: str, values: Array, times: Array, rate: float | None = None
) -> Movement:
    """Turn a series into velocity, or leave what is neither velocity nor position, on a grid.

    Parameters
    ----------
    place
        In the file.
    unit
        Of the values.
    values
        (sample, axis).
    times
        Of the samples, in seconds of the session's clock.
    rate
        Samples per second where they are known to be even.

    Raises
    ------
    ValueError
        If the times do not rise.
    """
    _check_rising(place, times)
    values, unit, done = _velocity(place, unit, values, times)
    gaps = _gaps(times) if rate is None else np.zeros(0, dtype=int)
    values[gaps + 1] = np.where(done, np.nan, values[gaps + 1])
    even = rate is not None or _is_even(times)
    rate = rate or _rate(times, even=even)
    notes = [f"velocity is the difference to the sample before in {place}"] if done else []
    if not even:
        values = _on_grid(place, times, values, gaps, rate)
        notes.append(
            f"{place} is sampled unevenly: each {1000 / rate:.4g} ms the latest value was taken; "
            f"gaps: {len(gaps)}"
        )
    axes = VELOCITY_AXES[: values.shape[1]]
    moved = Trajectory(
        values.astype(np.float32), rate, len(values) / rate, axes, unit, float(times[0])
    )
    return Movement(moved, _between(times, gaps), tuple(notes))


def _check_rising(place: str, times: Array) -> None:
    if len(times) < 2 or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        raise ValueError(
            f"invalid times of {place}: {len(times)} of them, must be 2 or more, finite and rising"
        )


def _velocity(place: str, unit: str, values: Array, times: Array) -> tuple[Array, str, bool]:
    """Return velocities, their unit, and whether they were made from positions."""
    kind, scale = kind_of(place, unit), scale_of(unit)
    values = values * (1.0 if scale is None or kind == "other" else scale[0])
    if kind != "position":
        known = scale is not None and kind == "velocity"
        return values, VELOCITY_UNIT if known else unit or "unknown", False
    steps = np.diff(values, axis=0) / np.diff(times)[:, None]
    first = np.full((1, values.shape[1]), np.nan)
    unit = VELOCITY_UNIT if scale is not None else f"{unit or 'unit'}/s"
    return np.concatenate([first, steps]), unit, True


def _gaps(times: Array) -> npt.NDArray[np.int64]:
    """Return the samples after which there is a gap."""
    steps = np.diff(times)
    return np.flatnonzero(steps > LONGEST_STEP * np.median(steps))


def _is_even(times: Array) -> bool:
    step = (times[-1] - times[0]) / (len(times) - 1)
    late = times - times[0] - step * np.arange(len(times))
    return bool((np.abs(late) <= UNEVEN * step).all())


def _rate(times: Array, *, even: bool) -> float:
    step = (times[-1] - times[0]) / (len(times) - 1) if even else np.median(np.diff(times))
    return float(f"{1 / step:.9g}")


def _on_grid(place: str, times: Array, values: Array, gaps: Array, rate: float) -> Array:
    """Return the latest value at each time of a grid; NaN within gaps."""
    samples = int((times[-1] - times[0]) * rate + UNEVEN) + 1
    if samples > MOST_SAMPLES:
        raise ValueError(
            f"invalid times of {place}: {samples} samples at {rate:g} Hz, must be at most "
            f"{MOST_SAMPLES}"
        )
    grid = times[0] + np.arange(samples) / rate
    latest = np.searchsorted(times, grid + UNEVEN / rate, side="right") - 1
    lost = np.isin(latest, gaps) & (grid - times[latest] > (1 - UNEVEN) / rate)
    return np.where(lost[:, None], np.nan, values[latest])


def _between(times: Array, gaps: Array) -> Array | None:
    if not len(gaps):
        return None
    begins = np.concatenate([[-np.inf], times[gaps + 1]])
    return np.stack([begins, np.concatenate([times[gaps], [np.inf]])], axis=1)


def overlap(one: Array | None, other: Array | None) -> Array | None:
    """Return the stretches that are in both of two lists, (stretch, 2), each in order."""
    if one is None or other is None:
        return one if other is None else other
    begins = (_within(one[:, 0], other, "right"), _within(other[:, 0], one, "right"))
    ends = (_within(one[:, 1], other, "left"), _within(other[:, 1], one, "left"))
    return np.stack([np.unique(np.concatenate(side)) for side in (begins, ends)], axis=1)


def _within(times: Array, stretches: Array, side: Literal["left", "right"]) -> Array:
    inside = np.searchsorted(stretches.ravel(), times, side=side) % 2 == 1
    return np.asarray(times[inside])
