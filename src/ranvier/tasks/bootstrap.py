"""How sure scores are, and differences of scores, given which patients were recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ranvier.recording import Array

Value = TypeVar("Value")
Whole = TypeVar("Whole")
Interval = tuple[float, float]
Difference = tuple[float, float, float]
"""Of a score of two systems, and the bounds of its 95 % interval."""


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Scores of all patients, and of patients drawn with replacement, as many as there are.

    Parameters
    ----------
    scores
        Of all patients, by name.
    draws
        Of the patients of each draw, by name, (draw,); none with fewer than two patients.
    patients
        Who was drawn from.
    seed
        Of the drawing.
    """

    scores: Mapping[str, float]
    draws: Mapping[str, Array]
    patients: tuple[str, ...]
    seed: int

    @classmethod
    def of(
        cls,
        values_by_patient: Mapping[str, Value],
        statistics: Mapping[str, Callable[[Whole], float]],
        together: Callable[[Sequence[Value]], Whole],
        *,
        seed: int,
        draws: int = 1000,
    ) -> Bootstrap:
        """Draw patients and compute all statistics of each draw.

        Parameters
        ----------
        values_by_patient
            Anything that ``together`` takes; the order of the patients does not matter.
        statistics
            By name, each a function of what ``together`` makes of some patients.
        together
            Brings the values of patients together, once for all statistics.
        seed
            Of the drawing.
        draws
            How often patients are drawn.

        Raises
        ------
        ValueError
            If ``draws`` is below 1.
        """
        patients = tuple(sorted(values_by_patient))
        values = [values_by_patient[patient] for patient in patients]
        everyone = together(values)
        scores = {name: of(everyone) for name, of in statistics.items()}
        chosen = draw_patients(len(values), seed=seed, draws=draws)
        drawn = {name: np.empty(len(chosen)) for name in statistics}
        for number, numbers in enumerate(chosen):
            whole = together([values[i] for i in numbers])
            for name, of in statistics.items():
                drawn[name][number] = of(whole)
        return cls(scores, drawn, patients, seed)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """The 95 % interval of each score; NaN with fewer than two patients."""
        return {name: percentile_interval(drawn) for name, drawn in self.draws.items()}

    def minus(self, other: Bootstrap) -> dict[str, Difference]:
        """Subtract the scores of another system on the same patients, draw by draw.

        Each draw takes the same patients for both, so what is hard for both cancels out.

        Returns
        -------
        dict
            By name, for the scores that both have: the difference, and the bounds of its 95 %
            interval; NaN with fewer than two patients.

        Raises
        ------
        ValueError
            If the other one has other patients, or was drawn with another seed.
        """
        for what in ("patients", "seed"):
            mine, others = getattr(self, what), getattr(other, what)
            if mine != others:
                raise ValueError(f"Invalid {what}: {others}, must be equal for both, {mine}")
        return {
            name: (
                score - other.scores[name],
                *percentile_interval(self.draws[name] - other.draws[name]),
            )
            for name, score in self.scores.items()
            if name in other.scores
        }


def draw_patients(
    number: int, *, seed: int | np.random.Generator, draws: int = 1000
) -> list[list[int]]:
    """Return the places of the patients of each draw; no draws with fewer than two patients.

    Raises
    ------
    ValueError
        If ``draws`` is below 1.
    """
    if draws < 1:
        raise ValueError(f"Invalid draws: {draws}, must be at least 1")
    if number < 2:
        return []
    chosen: list[list[int]] = (
        np.random.default_rng(seed).integers(number, size=(draws, number)).tolist()
    )
    return chosen


def percentile_interval(drawn: npt.ArrayLike, *, level: float = 0.95) -> Interval:
    """Return between which bounds this share of the draws lies; draws with NaN are left out.

    Raises
    ------
    ValueError
        If ``level`` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"Invalid level: {level}, must lie between 0 and 1")
    values = np.asarray(drawn, dtype=float)
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return math.nan, math.nan
    lower, upper = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)
