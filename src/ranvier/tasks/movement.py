"""Movement as something to learn, and how it is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ranvier.decisions import MotionRule, Rule
from ranvier.recording import Array, Recording
from ranvier.truth import Trajectory, Truth

if TYPE_CHECKING:
    from torch import Tensor

    from ranvier.tasks import Loss, Quality

SCORER = "R² against the mean of the tested part, Ranvier rules 1"


class MovementTask:
    """How it moves, now."""

    name = "movement"
    split: Literal["subject", "time"] = "time"
    aligned = False
    default_rule: Rule = MotionRule()
    scorer = SCORER

    def __init__(self) -> None:
        self.losses: Mapping[str, Loss] = {"squared_error": squared_error}
        self.qualities: Mapping[str, Quality] = {
            "r2": lambda outputs, targets: _mean(r2(targets, outputs)),
            "r2_weighted": lambda outputs, targets: weighted_r2(targets, outputs),
        }

    def truth_of(self, recording: Recording) -> Truth | None:
        """Return the trajectory."""
        return recording.trajectory

    def begin(self, recording: Recording) -> Recording:
        """Return the recording as it is."""
        return recording

    def classes(self, truths: Sequence[Truth]) -> int:
        """Return how many axes there are."""
        return len(_trajectories(truths)[0].axes)

    def rule_for(self, rule: Rule, truths: Sequence[Truth]) -> Rule:  # noqa: ARG002
        """Name the axes and their unit as the annotations do."""
        first = _trajectories(truths)[0]
        return MotionRule(first.axes, first.unit)

    def telling(self, targets: Array) -> bool:
        """Return whether any value is known."""
        return bool((~np.isnan(targets)).any())

    def weights(self, targets: Array) -> None:
        """Return that every sample counts the same."""
        if not (~np.isnan(targets)).any():
            raise ValueError("Nothing to learn: no training recording has a known trajectory")

    def scaling(self, targets: Array) -> tuple[Array, Array]:
        """Return the mean and deviation of each axis."""
        moves = np.nanmax(targets, axis=0) > np.nanmin(targets, axis=0)
        return np.nanmean(targets, axis=0), np.where(moves, np.nanstd(targets, axis=0), 1.0)

    def calibration(self, outputs: Array, targets: Array) -> tuple[Any, Any]:  # noqa: ARG002
        """Return that values stay as they are."""
        return 1.0, 0.0

    def note_on(self, weights: Array | None) -> dict[str, str]:  # noqa: ARG002
        """Say what is fitted besides the weights."""
        return {"scaling of the trajectory": "train"}


def _trajectories(truths: Sequence[Truth]) -> list[Trajectory]:
    found = [one for one in truths if isinstance(one, Trajectory)]
    kinds = {(*one.axes, one.unit) for one in found}
    if len(kinds) != 1:
        raise ValueError(
            f"Invalid axes and units of the trajectories: {sorted(kinds)}, must be the same in all "
            "recordings"
        )
    return found


def _mean(values: Array) -> float:
    """Average over the axes that move."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def squared_error(outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:  # noqa: ARG001
    """Return the mean squared error."""
    return ((outputs - targets) ** 2).mean()


def centred(values: Array) -> Array:
    """Return values less the mean of each axis; exactly 0 for an axis that never moves."""
    moves = values.max(axis=0) > values.min(axis=0)
    return np.where(moves, values - values.mean(axis=0), 0.0)


def r2(targets: Array, outputs: Array) -> Array:
    """Return for each axis 1 - residual / total variance; NaN for an axis that never moves."""
    residual = ((targets - outputs) ** 2).sum(axis=0)
    total = (centred(targets) ** 2).sum(axis=0)
    return np.where(total > 0, 1 - residual / np.where(total > 0, total, 1.0), np.nan)


def weighted_r2(targets: Array, outputs: Array) -> float:
    """Return R² of all axes together, each counting by its variance."""
    residual = ((targets - outputs) ** 2).sum()
    total = (centred(targets) ** 2).sum()
    return float(1 - residual / total) if total > 0 else float("nan")
