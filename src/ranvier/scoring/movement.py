"""Scores of decoded movement: of each recording, on average, and beside plain decoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.decisions import MotionRule, none_for_nan
from ranvier.decoding import Prediction
from ranvier.scoring import shown
from ranvier.scoring.movement_comparison import Comparison, cells_of, session_of
from ranvier.tasks.movement import SCORER
from ranvier.tasks.movement_scores import MovementScore, mean_known
from ranvier.truth import Truth

__all__ = ["Comparison", "MovementScore", "MovementScores", "score_predictions"]


@dataclass(frozen=True)
class MovementScores:
    """Scores by recording.

    Parameters
    ----------
    recordings
        One score each, by name.
    comparison
        The same decoder beside others, where these are known.
    """

    recordings: Mapping[str, MovementScore]
    comparison: Comparison | None = None

    @property
    def mean(self) -> float:
        """R² uniform (the plain mean over axes), averaged over recordings."""
        return mean_known([one.uniform for one in self.recordings.values()])

    @property
    def weighted_mean(self) -> float:
        """R² weighted by the variance of the axes, averaged over recordings."""
        return mean_known([one.weighted for one in self.recordings.values()])

    def beside(
        self,
        own: str,
        others: Mapping[str, MovementScores],
        rivals: Sequence[str],
        *,
        seed: int = 0,
    ) -> MovementScores:
        """Return the same scores with a comparison to other decoders.

        Parameters
        ----------
        own
            What this decoder is called.
        others
            By name.
        rivals
            Of the others, those of which the better one is what all are compared with.
        seed
            Of the bootstrap.
        """
        named = f"{own} (network)" if own.lower() in {one.lower() for one in others} else own
        decoders = {
            named: self.recordings,
            **{name: one.recordings for name, one in others.items()},
        }
        return replace(self, comparison=Comparison.of(decoders, rivals, seed=seed))

    def headline(self) -> str:
        """Say in one sentence how well the movement is decoded."""
        axes = next(iter(self.recordings.values())).axes
        values = np.array([one.r2 for one in self.recordings.values()]).T
        each = ", ".join(
            f"{shown(mean_known(v))} ({axis})" for v, axis in zip(values, axes, strict=True)
        )
        count = len({session_of(name) for name in self.recordings})
        said = f"R² {each} on held-out parts of {count} recording{'s' if count > 1 else ''}"
        return f"{said}{self._against()}."

    def _against(self) -> str:
        if self.comparison is None:
            return ""
        own, rival = next(iter(self.comparison.decoders)), self.comparison.reference
        change = self.comparison.change(own)
        over = f", 95 % over {self.comparison.drawn_from})" if change.endswith(")") else ""
        said = f"; R² uniform less {rival}'s: {change.removesuffix(')') if over else change}{over}"
        return "" if change == "-" else said

    def table(self, baseline: MovementScores) -> list[tuple[str, ...]]:
        """Return the names of the columns and the rows: all decoders, or the baseline last."""
        if self.comparison is not None:
            return [self.comparison.columns(), *self._by_recording(), *self.comparison.rows()]
        axes = next(iter(self.recordings.values())).axes
        means = ("R² uniform", "R² weighted")
        columns = ("recording", "samples", *(f"R² {axis}" for axis in axes), *means)
        rows = [_row(name, [one]) for name, one in self.recordings.items()]
        every = _row("mean", list(self.recordings.values()))
        return [columns, *rows, every, _row("baseline, mean", list(baseline.recordings.values()))]

    def _by_recording(self) -> list[tuple[str, ...]]:
        if self.comparison is None or len(self.recordings) < 2:
            return []
        return [(name, *cells_of([one]), "-") for name, one in self.recordings.items()]

    def as_dict(self, baseline: MovementScores | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Return everything in plain types, with the scorer; ``beside`` has the differences."""
        side_by_side = {} if self.comparison is None else {"beside": self.comparison.as_dict()}
        return {
            "recordings": {name: one.as_dict() for name, one in self.recordings.items()},
            "r2_uniform_mean": none_for_nan(self.mean),
            "r2_variance_weighted_mean": none_for_nan(self.weighted_mean),
            **side_by_side,
            "scorer": SCORER,
        }


def _row(name: str, scores: Sequence[MovementScore]) -> tuple[str, ...]:
    samples = sum(len(one.targets) for one in scores)
    columns = np.array([(*one.r2, one.uniform, one.weighted) for one in scores]).T
    return name, str(samples), *(shown(mean_known(column)) for column in columns)


def score_predictions(
    predictions: Sequence[Prediction],
    truth: Mapping[str, Truth],
    *,
    seed: int = 0,  # noqa: ARG001
    new: bool = False,  # noqa: ARG001
) -> MovementScores:
    """Score trajectories where both the truth and the answer are known."""
    scored = {}
    for one in predictions:
        if not isinstance(one.rule, MotionRule):
            raise ValueError(f"Invalid prediction: {one.name} is no movement")
        targets = one.targets(truth[one.name])
        known = one.valid & ~np.isnan(targets).any(axis=1)
        parts = one.times[known], one.hop, targets[known], one.values[known]
        scored[one.name] = MovementScore(one.rule.axes, *parts)
    return MovementScores(scored)
