"""Seizure detection as something to learn: two classes, of which one is rare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ranvier.decisions import AlarmRule, Rule
from ranvier.recording import Array, Recording
from ranvier.tasks.seizure_events import SCORER
from ranvier.tasks.seizure_scores import auroc, average_precision
from ranvier.truth import Truth

if TYPE_CHECKING:
    from torch import Tensor

    from ranvier.tasks import Loss, Quality

STAGES: tuple[Mapping[str, Any], ...] = (
    {"stage": "mark_flat", "seconds": 2.0},
    {"stage": "derive_montage", "montage": "double_banana"},
    {"stage": "resample", "rate_out": 200.0},
    {"stage": "filter", "low": 0.5, "high": None, "order": 2},
    {"stage": "spectrum", "features": 100},
    {"stage": "scale_per_step"},
)
"""What a detector looks at unless told otherwise: log spectra of each second and derivation."""


STEEPEST = 20.0
"""Largest scale of logits: more would make rounding errors visible in probabilities."""


class SeizureTask:
    """Whether there is a seizure, now."""

    name = "seizure"
    split: Literal["subject", "time"] = "subject"
    aligned = False
    default_rule: Rule = AlarmRule()
    scorer = SCORER

    def __init__(self) -> None:
        self.losses: Mapping[str, Loss] = {
            "cross_entropy": cross_entropy,
            "squared_error": squared_error,
        }
        self.qualities: Mapping[str, Quality] = {
            "auroc": area,
            "average_precision": precision,
        }

    def truth_of(self, recording: Recording) -> Truth | None:
        """Return the events."""
        return recording.events

    def begin(self, recording: Recording) -> Recording:
        """Return the recording as it is."""
        return recording

    def classes(self, truths: Sequence[Truth]) -> int:  # noqa: ARG002
        """Return that there is one logit, of a seizure."""
        return 1

    def rule_for(self, rule: Rule, truths: Sequence[Truth]) -> Rule:  # noqa: ARG002
        """Return the rule as it is."""
        return rule

    def telling(self, targets: Array) -> bool:
        """Return whether a seizure is among the targets."""
        return bool((targets == 1).any())

    def weights(self, targets: Array) -> Array:
        """Return how much background and seizures count: as rare as they are, up to 10."""
        inside = float((targets == 1).sum())
        if not inside:
            raise ValueError(
                f"Nothing to learn: none of {len(targets)} outputs on the training recordings lies "
                "in an annotated seizure, which must be longer than the network's window"
            )
        outside = float((targets == 0).sum())
        return np.array([1.0, np.clip(outside / inside, 1.0, 10.0)])

    def scaling(self, targets: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return that classes are not scaled."""
        return np.zeros(()), np.ones(())

    def calibration(self, outputs: Array, targets: Array) -> tuple[Any, Any]:
        """Return the scale and offset that make probabilities mean what they say."""
        scale, offset = platt(margin(outputs), targets)
        return scale, ([0.0, offset] if outputs.shape[1] == 2 else offset)

    def note_on(self, weights: Array | None) -> dict[str, str]:
        """Say how much a seizure counts, and what else is chosen."""
        weight = {} if weights is None else {f"class weight ({weights[1]:.1f})": "train"}
        return {**weight, "calibration": "validation", "alarm threshold": "validation"}


def margin(outputs: Any) -> Any:
    """Return the logit of a seizure, from one logit or from those of the two classes."""
    return outputs[..., 1] - outputs[..., 0] if outputs.shape[-1] == 2 else outputs[..., 0]


def cross_entropy(outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weighted mean of the cross-entropy."""
    from torch.nn import functional

    losses = functional.binary_cross_entropy_with_logits(margin(outputs), targets, reduction="none")
    return _weighted(losses, targets, weights)


def squared_error(outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weighted mean of the squared error of the probability, as published for REST."""
    return _weighted((margin(outputs).sigmoid() - targets) ** 2, targets, weights)


def _weighted(losses: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return losses.mean()
    each = weights[targets.long()]
    return (losses * each).sum() / each.sum()


def area(outputs: Array, targets: Array) -> float:
    """Return the area under the ROC; minus the loss where that has no meaning."""
    value = auroc(targets, margin(outputs))
    return _less_loss(outputs, targets) if np.isnan(value) else value


def precision(outputs: Array, targets: Array) -> float:
    """Return the average precision; minus the loss where that has no meaning."""
    value = average_precision(targets, margin(outputs))
    return _less_loss(outputs, targets) if np.isnan(value) else value


def _less_loss(outputs: Array, targets: Array) -> float:
    return -float(np.mean(np.logaddexp(0, (1 - 2 * targets) * margin(outputs))))


def platt(logits: Array, labels: Array) -> tuple[float, float]:
    """Return the scale and offset of logits that make them calibrated (Platt scaling).

    Parameters
    ----------
    logits, labels
        Of outputs that the network was not trained on.

    Returns
    -------
    scale, offset
        (1, 0) where there is nothing to learn, or the logits point the wrong way.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) < 2 or not logits.std():
        return 1.0, 0.0
    middle, spread = float(logits.mean()), float(logits.std())
    fitted = LogisticRegression(C=1.0).fit((logits[:, None] - middle) / spread, labels)
    scale = min(float(fitted.coef_[0, 0]) / spread, STEEPEST)
    offset = float(fitted.intercept_[0]) - scale * middle
    return (scale, offset) if scale > 0 else (1.0, 0.0)
