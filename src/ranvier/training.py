"""How a network is fitted: settings, balance by class, and which stretches a pass goes through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ranvier.recording import Array
from ranvier.store import Prepared


@dataclass(frozen=True)
class Training:
    """How a network is fitted.

    Parameters
    ----------
    passes
        Most passes over the training stretches.
    patience
        Passes without a better validation score after which training stops.
    learning_rate
        Of Adam.
    loss
        ``"cross_entropy"``, or ``"squared_error"`` of the probability, as published for REST.
    stretch
        Steps of signal in a row through which the state is handed on.
    segment
        Steps between two updates of the weights (truncated back-propagation).
    batch
        Stretches side by side.
    background
        Stretches without a seizure for each one with, drawn anew for every pass.
    weight_decay
        Of Adam, decoupled.
    gradient_norm
        Larger gradients are scaled down to this norm.
    save_every
        Passes between two checkpoints.
    eval_batch
        Recordings side by side when validating.
    precision
        As in Lightning Fabric, such as ``"32-true"`` or ``"bf16-mixed"``.
    """

    passes: int = 40
    patience: int = 12
    learning_rate: float = 1e-3
    loss: Literal["cross_entropy", "squared_error"] = "cross_entropy"
    stretch: int = 300
    segment: int = 60
    batch: int = 16
    background: float = 3.0
    weight_decay: float = 0.1
    gradient_norm: float = 1.0
    save_every: int = 1
    eval_batch: int = 8
    precision: str = "32-true"

    def __post_init__(self) -> None:
        for name in (
            "passes",
            "patience",
            "stretch",
            "segment",
            "batch",
            "save_every",
            "eval_batch",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"Invalid {name}: {getattr(self, name)}, must be at least 1")
        for name in ("learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Invalid {name}: {getattr(self, name)}, must be above 0")
        for name in ("background", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"Invalid {name}: {getattr(self, name)}, must be at least 0")


def balance(train: Sequence[Prepared]) -> float:
    """Return steps outside seizures for each step inside, over all recordings, from 1 to 10.

    Raises
    ------
    ValueError
        If no training recording has a seizure.
    """
    inside = sum(float(recording.labels().sum()) for recording in train)
    if not inside:
        raise ValueError(
            f"Nothing to learn: none of {len(train)} training recordings has an annotated seizure"
        )
    total = sum(len(recording) for recording in train)
    return float(np.clip((total - inside) / inside, 1.0, 10.0))


def stretches(train: Sequence[Prepared], settings: Training, rng: np.random.Generator) -> Array:
    """Choose (recording, first step) for one pass: those with seizures, and drawn others."""
    length = settings.stretch
    positive: list[tuple[int, int]] = []
    negative: list[tuple[int, int]] = []
    for number, recording in enumerate(train):
        shift = int(rng.integers(length))
        labels = recording.labels()
        for start in range(-shift, len(labels), length):
            first = max(0, start)
            has_seizure = labels[first : first + length].any()
            (positive if has_seizure else negative).append((number, first))
    wanted = min(len(negative), round(settings.background * len(positive)))
    drawn = rng.permutation(len(negative))[:wanted]
    chosen = np.array(positive + [negative[i] for i in drawn.tolist()]).reshape(-1, 2)
    return np.asarray(rng.permutation(chosen, axis=0))


def batches(
    train: Sequence[Prepared], settings: Training, *, seed: Sequence[int]
) -> Iterator[tuple[Array, Array]]:
    """Yield features (batch, step, node, feature) and labels (batch, step) of one pass.

    Stretches that end early are filled with NaN, which is no step at all.
    """
    rng = np.random.default_rng(list(seed))
    chosen = stretches(train, settings, rng)
    labels = [recording.labels() for recording in train]
    for start in range(0, len(chosen), settings.batch):
        rows = chosen[start : start + settings.batch]
        read = [train[n].features(first, first + settings.stretch) for n, first in rows]
        truth = [labels[n][first : first + settings.stretch] for n, first in rows]
        yield pad(read), pad(truth)


def pad(arrays: Sequence[Array]) -> Array:
    """Stack arrays of different lengths as float32, filled with NaN."""
    longest = max(map(len, arrays))
    padded = np.full((len(arrays), longest, *arrays[0].shape[1:]), np.nan, dtype=np.float32)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded
