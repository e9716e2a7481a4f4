"""How the learning rate goes on from pass to pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ranvier.import_paths import by_name

History = Sequence[Mapping[str, float]]


def constant(rate: float, history: History) -> float:  # noqa: ARG001
    """Keep the learning rate."""
    return rate


def steps(rate: float, history: History, *, at: Sequence[int], factor: float = 0.1) -> float:
    """Multiply by a factor after each of these passes."""
    return rate * factor ** sum(len(history) >= passes for passes in at)


def cosine(rate: float, history: History, *, passes: int, floor: float = 0.0) -> float:
    """Fall to the floor along half a wave; a rate below the floor stays as it is."""
    share, floor = min(1.0, len(history) / passes), min(floor, rate)
    return floor + (rate - floor) * 0.5 * (1 + float(np.cos(np.pi * share)))


def plateau(
    rate: float, history: History, *, factor: float = 0.75, patience: int = 3, floor: float = 0.0
) -> float:
    """Multiply by a factor, down to the floor, when the score was not better for some passes."""
    best, waited, floor = float("-inf"), 0, min(floor, rate)
    for one in history:
        waited = 0 if one["score"] > best else waited + 1
        best = max(best, one["score"])
        if waited >= patience:
            rate, waited = max(floor, rate * factor), 0
    return rate


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "steps": steps,
    "cosine": cosine,
    "plateau": plateau,
}
"""From the first learning rate and the history to that of the next pass: no state to lose."""

TRIAL = tuple({"loss": 1.0, "score": 0.0} for _ in range(100))
"""Passes that a schedule is tried on."""


def check_schedule(rate: float, name: str, settings: Mapping[str, Any]) -> None:
    """Refuse a schedule that is unknown, or whose settings give no learning rate.

    Raises
    ------
    ValueError
        If what it gives for some pass is not a finite number of at least 0.
    """
    schedule = by_name("schedule", name, SCHEDULES)
    try:
        rates: list[Any] = [
            schedule(rate, TRIAL[:passes], **settings) for passes in range(len(TRIAL))
        ]
    except Exception as error:  # a schedule of somebody else's can raise whatever it likes
        raise ValueError(
            f"Invalid schedule_settings of {name!r}: {dict(settings)} ({error})"
        ) from None
    for found in rates:
        if not (isinstance(found, Real) and 0 <= float(found) < float("inf")):
            raise ValueError(
                f"Invalid schedule_settings of {name!r}: {dict(settings)} lead to the learning "
                f"rate {found}, must be finite and at least 0"
            )
