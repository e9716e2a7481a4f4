"""What there is to learn, and how well it is learnt: losses, and outputs beside their targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.import_paths import by_name
from ranvier.recording import Array
from ranvier.store import Prepared
from ranvier.tasks import Loss, Quality, Task
from ranvier.training import Training, pad

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Lesson:
    """What is learnt: the task with all that is known of the training part.

    Parameters
    ----------
    task
        What is decoded.
    loss, quality
        What is made small in training, and large in validation.
    class_weights
        How much each class counts, or None.
    centre, spread
        By which targets are scaled.
    """

    task: Task
    loss: Loss
    quality: Quality
    class_weights: Array | None
    centre: Array
    spread: Array

    @classmethod
    def of(cls, task: Task, network: Any, train: Sequence[Prepared], settings: Training) -> Lesson:
        """Look at the targets of the training part, and at nothing else.

        Raises
        ------
        ValueError
            If there is nothing to learn, or the loss or metric is unknown.
        """
        targets = np.concatenate([one.targets(network.window, network.hop) for one in train])
        if not len(targets):
            raise ValueError(
                f"Nothing to learn: no training recording is as long as the network's window of "
                f"{network.window} steps of {train[0].hop:g} s"
            )
        weights = task.weights(targets)
        return cls(
            task,
            by_name("loss", settings.loss, task.losses),
            by_name("metric", settings.metric, task.qualities),
            weights if settings.class_weights else None,
            *task.scaling(targets),
        )

    def loss_of(self, logits: Tensor, targets: Tensor) -> Tensor | None:
        """Return the loss over valid outputs with known targets, or None if there is none.

        Parameters
        ----------
        logits
            (batch, output, site, class); NaN where not valid.
        targets
            (batch, output) or (batch, output, axis); NaN where not known.
        """
        import torch

        pooled, valid = pooled_over_sites(logits)
        known = ~targets.isnan() if targets.dim() == 2 else ~targets.isnan().any(dim=2)
        valid = valid & known
        if not valid.any():
            return None
        weights = self.class_weights
        given = None if weights is None else torch.as_tensor(weights, dtype=pooled.dtype)
        scaled = (targets[valid] - self._like(self.centre, pooled)) / self._like(
            self.spread, pooled
        )
        return self.loss(pooled[valid], scaled, None if given is None else given.to(pooled.device))

    @staticmethod
    def _like(values: Array, tensor: Tensor) -> Tensor:
        import torch

        return torch.as_tensor(values, dtype=tensor.dtype, device=tensor.device)


def pooled_over_sites(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Average over the sites that have something to say.

    Parameters
    ----------
    logits
        (batch, output, site, class); NaN where not valid.

    Returns
    -------
    pooled, valid
        (batch, output, class), and whether any site was valid, (batch, output).
    """
    spoken = ~logits.isnan()
    count = spoken.sum(dim=2)
    pooled = logits.masked_fill(~spoken, 0.0).sum(dim=2) / count.clamp(min=1)
    return pooled, count[..., 0] > 0


def pooled_outputs(network: Any, recordings: Sequence[Prepared], batch: int) -> tuple[Array, Array]:
    """Return all valid outputs with known targets, (output, class), and their targets.

    Parameters
    ----------
    network
        In evaluation mode.
    recordings
        Decoded from their first step to the last.
    batch
        How many side by side.
    """
    import torch

    outputs, targets = [], []
    ordered = sorted(recordings, key=len)
    device = next(network.parameters()).device
    for start in range(0, len(ordered), batch):
        group = ordered[start : start + batch]
        state, parts = network.initial_state(len(group)), []
        size = group[-1].block
        for first in range(0, max(1, len(group[-1])), size):
            block = pad([one.features(first, first + size) for one in group])
            with torch.inference_mode():
                logits, state = network.step(torch.as_tensor(block, device=device), state)
                pooled, valid = pooled_over_sites(logits)
            parts.append(pooled.masked_fill(~valid[..., None], torch.nan).cpu().numpy())
        found = np.concatenate(parts, axis=1)
        for one, rows in zip(group, found, strict=True):
            truth = one.targets(network.window, network.hop)
            known = ~np.isnan(rows[: len(truth)]).any(axis=1)
            known &= ~np.isnan(truth).any(axis=tuple(range(1, truth.ndim)))
            outputs.append(rows[: len(truth)][known])
            targets.append(truth[known])
    return np.concatenate(outputs).astype(np.float64), np.concatenate(targets)


def validate(network: Any, lesson: Lesson, recordings: Sequence[Prepared], batch: int) -> float:
    """Return how well the network does on recordings, by the lesson's measure; 0 if it has none."""
    outputs, targets = pooled_outputs(network, recordings, batch)
    if not len(outputs):
        raise ValueError(
            "Nothing to choose on, no output of the validation recordings is valid: they must be "
            "longer than the network's warm-up, and learning_rate so low that training does not "
            "diverge"
        )
    if targets.ndim == 2:
        targets = (targets - lesson.centre) / lesson.spread
    quality = float(lesson.quality(outputs, targets))
    return 0.0 if np.isnan(quality) else quality


TRIED = 40
"""Outputs that a loss and a metric are tried on."""


def try_measures(task: Task, settings: Training, classes: int, *, values: bool) -> None:
    """Refuse a loss or a metric that cannot be learnt by, or judged by.

    Parameters
    ----------
    task, settings
        Which name the loss and the metric.
    classes
        Outputs of the network.
    values
        Whether a target has a value for each output; else it is the number of a class.

    Raises
    ------
    ValueError
        If one is unknown, fails, or gives something else than a number.
    """
    import torch

    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(TRIED, classes))
    numbered = np.arange(TRIED) % max(2, classes)
    targets = rng.normal(size=(TRIED, classes)) if values else numbered.astype(float)
    logits = torch.tensor(outputs, dtype=torch.float32, requires_grad=True)
    weighed = settings.class_weights and not values
    weights = torch.ones(max(2, classes)) if weighed else None
    truth = torch.tensor(targets, dtype=torch.float32)
    loss = by_name("loss", settings.loss, task.losses)
    found = _tried("loss", settings.loss, loss, logits, truth, weights)
    if not (isinstance(found, torch.Tensor) and found.dim() == 0 and found.requires_grad):
        raise ValueError(
            f"Invalid loss: {settings.loss!r} gives {_shown(found)}, must give a tensor of one "
            "value that depends on the outputs"
        )
    metric = by_name("metric", settings.metric, task.qualities)
    found = _tried("metric", settings.metric, metric, outputs, targets)
    if not isinstance(found, Real):
        raise ValueError(
            f"Invalid metric: {settings.metric!r} gives {_shown(found)}, must be a number"
        )


def _tried(parameter: str, name: str, measure: Callable[..., Any], *given: Any) -> Any:
    try:
        return measure(*given)
    except Exception as error:  # a measure of somebody else's can raise whatever it likes
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"Invalid {parameter}: {name!r} cannot be computed ({reason})") from None


def _shown(found: Any) -> str:
    shape = getattr(found, "shape", ())
    return f"a {type(found).__name__} of shape {tuple(shape)}" if shape else repr(found)
