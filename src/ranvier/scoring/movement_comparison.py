"""Decoders of movement side by side, on the same samples, with paired intervals of differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ranvier.recording import Array
from ranvier.scoring import shown
from ranvier.tasks.bootstrap import Difference, percentile_interval
from ranvier.tasks.movement_scores import (
    FEWEST,
    MovementScore,
    Sums,
    Units,
    known,
    mean_known,
    on_common_samples,
)

DRAWS = 2000
METRICS = {"uniform": "R² uniform", "weighted": "R² weighted"}
"""What intervals are given of: the plain mean over axes, and the variance-weighted one."""
DIGITS = {"r2": 3, "uniform": 3, "weighted": 3, "correlation": 3, "snr": 1}
"""What a row of the table has, and digits after the point."""
NOT_KNOWN = (float("nan"), float("nan"))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Some decoders on the same samples of the same recordings.

    Parameters
    ----------
    decoders
        By name, the scores of each recording by its name; the first one is the network.
    rivals
        Names of those of which the better one, by R² uniform, is what all are compared with.
    seed
        Of the drawing.
    """

    decoders: Mapping[str, Mapping[str, MovementScore]]
    rivals: Sequence[str]
    seed: int = 0

    @classmethod
    def of(
        cls,
        decoders: Mapping[str, Mapping[str, MovementScore]],
        rivals: Sequence[str],
        *,
        seed: int = 0,
    ) -> Comparison:
        """Compare on the recordings and samples that all decoders answer.

        Raises
        ------
        ValueError
            If none of the rivals is there, or the decoders share no recording.
        """
        there = [name for name in rivals if name in decoders]
        shared = set.intersection(*(set(one) for one in decoders.values()))
        if not there or not shared:
            raise ValueError(
                f"Invalid decoders: {list(decoders)}, must be with one of {list(rivals)} and share "
                "a recording"
            )
        kept: dict[str, dict[str, MovementScore]] = {name: {} for name in decoders}
        for recording in (one for one in next(iter(decoders.values())) if one in shared):
            alike = on_common_samples({name: own[recording] for name, own in decoders.items()})
            for name, score in alike.items():
                kept[name][recording] = score
        return cls(kept, there, seed)

    @property
    def recordings(self) -> list[str]:
        """Names of the recordings."""
        return list(next(iter(self.decoders.values())))

    @property
    def axes(self) -> tuple[str, ...]:
        """What moves."""
        return next(iter(next(iter(self.decoders.values())).values())).axes

    def mean(self, name: str, metric: str) -> Array:
        """Return the mean over recordings of a property of ``MovementScore``, NaN left out."""
        return mean_over(list(self.decoders[name].values()), metric)

    @cached_property
    def reference(self) -> str:
        """The better of the rivals by R² uniform, mean over recordings."""
        return max(self.rivals, key=lambda name: _or_least(self.mean(name, "uniform")[0]))

    @cached_property
    def sessions(self) -> dict[str, list[str]]:
        """Names of the recordings of each session; tested parts of one are one session."""
        found: dict[str, list[str]] = {}
        for recording in self.recordings:
            found.setdefault(session_of(recording), []).append(recording)
        return found

    def session_values(self, name: str, metric: str) -> Array:
        """Return a property of ``MovementScore`` in each session, mean over its parts."""
        own = self.decoders[name]
        return np.array(
            [mean_over([own[one] for one in parts], metric)[0] for parts in self.sessions.values()]
        )

    @cached_property
    def drawn_from(self) -> str:
        """What is drawn anew: sessions, trials or blocks, with their number; empty for nothing."""
        if len(self.sessions) > 1:
            return f"{len(self.sessions)} sessions"
        units = list(self._units.values())
        number = sum(one.number for one in units)
        kind = "block" if any(one.kind == "block" for one in units) else "trial"
        return f"{number} {kind}s" if number >= FEWEST else ""

    @property
    def _units(self) -> dict[str, Units]:
        scores = next(iter(self.decoders.values()))
        return {name: one.units for name, one in scores.items() if one.units.number}

    @cached_property
    def _draws(self) -> dict[str, dict[str, Array]]:
        """Of each decoder and metric the draws; the same samples are drawn for all decoders."""
        if not self.drawn_from:
            return {name: {metric: np.zeros(0) for metric in METRICS} for name in self.decoders}
        if len(self.sessions) > 1:
            return {
                name: {metric: self._over_sessions(name, metric) for metric in METRICS}
                for name in self.decoders
            }
        rng, units = np.random.default_rng(self.seed), self._units
        weights = {recording: _draw(rng, one.number) for recording, one in units.items()}
        return {name: _over_units(own, units, weights) for name, own in self.decoders.items()}

    def _over_sessions(self, name: str, metric: str) -> Array:
        """Return the mean over the recordings of drawn sessions."""
        own = self.decoders[name]
        every = ([getattr(own[one], metric) for one in parts] for parts in self.sessions.values())
        known = [kept for values in every if (kept := [v for v in values if not np.isnan(v)])]
        sums, counts = (np.array([of(values) for values in known]) for of in (sum, len))
        weights = _draw(np.random.default_rng(self.seed), len(known))
        return np.asarray((weights @ sums) / (weights @ counts))

    def interval(self, name: str, metric: str = "uniform") -> tuple[float, float]:
        """Return the 95 % interval of R² of a decoder; NaN with too little to draw from."""
        return percentile_interval(self._draws[name][metric])

    def difference(self, name: str, metric: str = "uniform") -> Difference:
        """Return R² less that of the reference, and the bounds of its paired 95 % interval."""
        value = float(self.mean(name, metric)[0] - self.mean(self.reference, metric)[0])
        if name == self.reference:
            return 0.0, *NOT_KNOWN
        own, other = (self._draws[one][metric] for one in (name, self.reference))
        return value, *percentile_interval(own - other)

    def session_differences(self, name: str, metric: str = "uniform") -> Array:
        """Return R² less that of the reference in each session, NaN left out."""
        own, other = (self.session_values(one, metric) for one in (name, self.reference))
        found = own - other
        return np.asarray(found[~np.isnan(found)])

    def wilcoxon(self, name: str, metric: str = "uniform") -> float:
        """Return p of the signed-rank test over sessions; NaN with fewer than two that differ."""
        from scipy.stats import wilcoxon

        found = self.session_differences(name, metric)
        found = found[found != 0]
        return float(wilcoxon(found).pvalue) if len(found) > 1 else float("nan")

    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns of ``rows``."""
        parts = (("R²", self.axes), ("r", self.axes), ("SNR dB", self.axes))
        r2, r, db = ([f"{what} {axis}" for axis in axes] for what, axes in parts)
        change = f"R² uniform − {self.reference}'s"
        return ("decoder", *r2, *METRICS.values(), *r, *db, change)

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each decoder; means over recordings."""
        rows, place = [], 1 + len(self.axes)
        for name, own in self.decoders.items():
            cells = [name, *cells_of(list(own.values())), self.change(name)]
            low, high = self.interval(name)
            cells[place] += "" if math.isnan(low) else f" ({low:.3f} to {high:.3f})"
            rows.append(tuple(cells))
        return rows

    def change(self, name: str) -> str:
        """Write the difference to the reference with its interval; a dash for itself."""
        value, low, high = self.difference(name)
        if name == self.reference or math.isnan(value):
            return "-"
        bounds = "" if math.isnan(low) else f" ({low:+.3f} to {high:+.3f})"
        return f"{value:+.3f}{bounds}"

    def sentences(self) -> list[str]:
        """Say what the differences rest on."""
        if not self.drawn_from:
            return [
                f"No intervals: fewer than {FEWEST} trials, or blocks of 5 s, are there to draw."
            ]
        said = f"Intervals: 95 % over {self.drawn_from} drawn anew, the same for all decoders."
        return [said, *([self._signed_ranks()] if len(self.sessions) > 1 else [])]

    def _signed_ranks(self) -> str:
        name = next(iter(self.decoders))
        found = self.session_differences(name)
        return (
            f"{name} is above {self.reference} in {(found > 0).sum()} of {len(found)} sessions, "
            f"Wilcoxon signed rank p = {shown(self.wilcoxon(name), '.2g')}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain types."""
        return {
            "reference": self.reference,
            "drawn_from": self.drawn_from,
            "draws": DRAWS if self.drawn_from else 0,
            "seed": self.seed,
            "decoders": {name: self._as_dict(name) for name in self.decoders},
        }

    def _as_dict(self, name: str) -> dict[str, Any]:
        by_axis = {"r2": "r2", "correlation": "correlation", "snr_db": "snr"}
        row: dict[str, Any] = {
            key: dict(zip(self.axes, self.mean(name, of).tolist(), strict=True))
            for key, of in by_axis.items()
        }
        named = {"uniform": "r2_uniform", "weighted": "r2_variance_weighted"}
        for metric, key in named.items():
            row[key] = float(self.mean(name, metric)[0])
            row[f"{key}_interval"] = list(self.interval(name, metric))
            row[f"{key}_difference"] = list(self.difference(name, metric))
            row[f"{key}_wilcoxon_p"] = self.wilcoxon(name, metric)
        recordings = {of: one.as_dict() for of, one in self.decoders[name].items()}
        return {**known(row), "recordings": recordings}


def session_of(recording: str) -> str:
    """Return the name of the recording that a part in time is of, or its own name."""
    return recording.rpartition("_part-")[0] or recording


def _draw(rng: np.random.Generator, number: int) -> Array:
    """Return how often each of some things is among as many drawn with replacement, (draw, n)."""
    if not number:
        return np.zeros((0, 0))
    return rng.multinomial(number, np.full(number, 1 / number), size=DRAWS).astype(float)


def _over_units(
    own: Mapping[str, MovementScore], units: Mapping[str, Units], weights: Mapping[str, Array]
) -> dict[str, Array]:
    """Return R² of the drawn units of each recording, mean over recordings."""
    parts = [Sums.of(own[name], one).drawn(weights[name]) for name, one in units.items()]
    drawn = {metric: np.array([part[metric] for part in parts]).T for metric in METRICS}
    return {metric: np.array([mean_known(one) for one in each]) for metric, each in drawn.items()}


def mean_over(scores: Sequence[MovementScore], metric: str) -> Array:
    """Return the mean over recordings of each value of a property, NaN left out."""
    own = [getattr(one, metric) for one in scores]
    columns = np.asarray(own, dtype=float).reshape(len(own), -1).T
    return np.array([mean_known(column) for column in columns])


def cells_of(scores: Sequence[MovementScore]) -> list[str]:
    """Return the scores of ``DIGITS`` in digits, means over recordings."""
    return [
        shown(round(value, digits) + 0.0, f".{digits}f")
        for what, digits in DIGITS.items()
        for value in mean_over(scores, what).tolist()
    ]


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value
