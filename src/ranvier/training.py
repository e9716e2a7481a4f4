"""How a network is fitted: settings, and which stretches a pass goes through."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ranvier.recording import Array
from ranvier.schedules import check_schedule
from ranvier.store import Prepared
from ranvier.tasks import Task
from ranvier.variations import check_augment, vary
from ranvier.window_sampler import chances_of

if TYPE_CHECKING:
    from ranvier.networks import Network

WHOLE = ("passes", "patience", "batch", "save_every", "eval_batch")
ABOVE_0 = ("learning_rate", "stretch", "segment")
AT_LEAST_0 = ("background", "weight_decay", "auxiliary")
OPTIONS = {
    "decay": ("all", "kernels"),
    "class_weights": (True, False),
    "tail": ("keep", "drop"),
    "balance": ("none", "class", "subject", "class and subject"),
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
}
FIELDS_OF_THEIR_OWN = {"lr": "learning_rate", "weight_decay": "weight_decay"}
"""Keywords of an optimiser that are no ``optimiser_settings``."""


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
        Of the optimiser, at first.
    optimiser
        ``"adamw"``, ``"adam"``, ``"sgd"``, or the import path of a class, ``"module:Class"``.
    optimiser_settings
        More keywords of the optimiser, such as ``{"amsgrad": True}``.
    weight_decay
        Of the optimiser.
    decay
        What decays: ``"all"`` weights, or ``"kernels"`` of two and more dimensions alone.
    schedule
        How the learning rate goes on: see ``schedules.SCHEDULES``, or an import path.
    schedule_settings
        Keywords of the schedule.
    loss
        One of the task's, or ``"module:function"`` of outputs, targets and class weights;
        empty for the task's first.
    metric
        What validation is judged by: one of the task's, or ``"module:function"`` of outputs and
        targets; empty for the task's first.
    auxiliary
        Weight of the loss of each auxiliary head.
    class_weights
        Whether rare classes count more.
    stretch
        Seconds of signal in a row through which the state is handed on.
    segment
        Seconds between two updates of the weights (truncated back-propagation).
    batch
        Stretches side by side.
    tail
        Whether the last, smaller batch of a pass is kept or dropped.
    background
        Stretches with nothing to find for each one with, drawn anew for every pass.
    balance
        What is drawn equally often, in as many stretches as without: ``"class"`` those with
        something to find and those without, ``"subject"`` all subjects, ``"class and subject"``
        within each class the subjects that have it. Some stretches are then drawn several times in
        a pass, and others in none.
    augment
        How stretches are varied: see ``variations.VARIATIONS``; ``"shift"`` only where a stretch is
        one window, for it would part what is true from its signal.
    gradient_norm
        Larger gradients are scaled down to this norm; infinite to leave them.
    save_every
        Passes between two checkpoints.
    eval_batch
        Recordings side by side when validating.
    precision
        As in Lightning Fabric: ``"32-true"``, ``"bf16-mixed"``, or ``"16-mixed"`` on a GPU.
    context
        For a network that looks back on earlier windows: settings that differ in a second round, in
        which only that is learnt. Empty to learn all at once.
    """

    passes: int = 40
    patience: int = 12
    learning_rate: float = 1e-3
    optimiser: str = "adamw"
    optimiser_settings: Mapping[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.1
    decay: Literal["all", "kernels"] = "all"
    schedule: str = "constant"
    schedule_settings: Mapping[str, Any] = field(default_factory=dict)
    loss: str = ""
    metric: str = ""
    auxiliary: float = 0.15
    class_weights: bool = True
    stretch: float = 300.0
    segment: float = 60.0
    batch: int = 16
    tail: Literal["keep", "drop"] = "keep"
    background: float = 3.0
    balance: Literal["none", "class", "subject", "class and subject"] = "none"
    augment: Mapping[str, float] = field(default_factory=dict)
    gradient_norm: float = 1.0
    save_every: int = 1
    eval_batch: int = 8
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    context: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in WHOLE:
            self._check(name, self._is_whole(name), "a whole number of at least 1")
        for name in ABOVE_0:
            self._check(name, 0 < getattr(self, name) < math.inf, "finite and above 0")
        for name in AT_LEAST_0:
            self._check(name, 0 <= getattr(self, name) < math.inf, "finite and at least 0")
        self._check("gradient_norm", self.gradient_norm > 0, "above 0")
        for name, options in OPTIONS.items():
            if getattr(self, name) not in options:
                found = getattr(self, name)
                raise ValueError(f"Invalid {name}: {found!r}, possible options: {list(options)}")
        for name, own in FIELDS_OF_THEIR_OWN.items():
            if name in self.optimiser_settings:
                raise ValueError(f"Invalid optimiser_settings: {name}, must be given as {own}")
        check_augment(self.augment)
        check_schedule(self.learning_rate, self.schedule, self.schedule_settings)
        if self.context:
            self.second_round()

    def _is_whole(self, name: str) -> bool:
        return isinstance(getattr(self, name), Integral) and getattr(self, name) >= 1

    def _check(self, name: str, holds: bool, wanted: str) -> None:  # noqa: FBT001
        if not holds:
            raise ValueError(f"Invalid {name}: {getattr(self, name)}, must be {wanted}")

    def second_round(self) -> Training:
        """Return the settings of the round in which a network learns to look back.

        Raises
        ------
        ValueError
            If one of them is unknown or impossible.
        """
        try:
            return replace(self, **{**self.context, "context": {}})
        except TypeError:
            options = [one.name for one in fields(self)]
            raise ValueError(
                f"Invalid context: {sorted(self.context)}, possible options: {options}"
            ) from None


def stretches(
    train: Sequence[Prepared],
    network: Network,
    task: Task,
    settings: Training,
    rng: np.random.Generator,
) -> Array:
    """Choose (recording, first step, last) for one pass: all with something to find, some others.

    Where a task does not say where stretches begin, each recording is cut elsewhere in each pass.
    """
    telling: list[tuple[int, int, int]] = []
    others: list[tuple[int, int, int]] = []
    for number, recording in enumerate(train):
        length = stretch_steps(recording.hop, network, settings)
        shift = 0 if task.aligned else int(rng.integers(length))
        for first, last in _cut(len(recording), length, shift, network):
            found = task.telling(_targets(recording, network, first, last))
            (telling if found else others).append((number, first, last))
    wanted = min(len(others), round(settings.background * len(telling)))
    if settings.balance != "none":
        keys = _balance_keys(train, telling, others, settings.balance)
        chances = chances_of(keys, len(telling) + len(others))
        places = rng.choice(len(chances), len(telling) + wanted, p=chances / chances.sum())
        return np.array(telling + others)[places]
    drawn = rng.permutation(len(others))[:wanted]
    chosen = np.array(telling + [others[i] for i in drawn.tolist()]).reshape(-1, 3)
    return np.asarray(rng.permutation(chosen, axis=0))


def _balance_keys(
    train: Sequence[Prepared],
    telling: Sequence[tuple[int, int, int]],
    others: Sequence[tuple[int, int, int]],
    balance: str,
) -> list[Array]:
    """Return the class and the subject of each stretch, those that are wanted."""
    subjects = np.unique([one.subject for one in train], return_inverse=True)[1]
    numbers = [number for number, *_ in [*telling, *others]]
    keys = {
        "class": np.repeat([1, 0], [len(telling), len(others)]),
        "subject": subjects[np.array(numbers, int)],
    }
    return [key for name, key in keys.items() if name in balance]


def stretch_steps(hop: float, network: Network, settings: Training) -> int:
    """Return the length of a stretch in steps of so many seconds: at least a window."""
    return max(network.window, round(settings.stretch / hop))


def check_shift(hop: float, network: Network, settings: Training) -> None:
    """Refuse to shift stretches of more than a window, whose targets would stay where they are.

    Parameters
    ----------
    hop
        Seconds of a step.
    network, settings
        Which say how long a stretch is, and whether it is shifted.

    Raises
    ------
    ValueError
        If a stretch is more than one window.
    """
    steps = stretch_steps(hop, network, settings)
    if settings.augment.get("shift") and steps != network.window:
        raise ValueError(
            f"Invalid augment: shift {settings.augment['shift']} of stretches of {steps} steps, "
            f"must be of stretches of one window, {network.window} steps"
        )


def _cut(steps: int, length: int, shift: int, network: Network) -> list[tuple[int, int]]:
    """Return the (first, last) of stretches with an output; one at least, the first full one."""
    cuts = [(max(0, one), min(one + length, steps)) for one in range(-shift, steps, length)]
    known = [(first, last) for first, last in cuts if network.outputs(last - first)]
    return known or [(0, min(length, steps))]


def _targets(recording: Prepared, network: Network, first: int, last: int) -> Array:
    """Return what is true for the outputs of a stretch."""
    steps = first + network.window - 1 + network.hop * np.arange(network.outputs(last - first))
    return recording.targets_at(recording.first + recording.hop * steps, network.hop)


def batches(
    train: Sequence[Prepared],
    network: Network,
    task: Task,
    settings: Training,
    *,
    seed: Sequence[int],
) -> Iterator[tuple[Array, Array]]:
    """Yield signal, (batch, step, ...), and targets, (batch, output[, axis]), of one pass.

    Stretches that end early are filled with NaN, which is no step at all.
    """
    rng = np.random.default_rng(list(seed))
    chosen = stretches(train, network, task, settings, rng)
    for start in range(0, len(chosen), settings.batch):
        rows = chosen[start : start + settings.batch]
        if settings.tail == "drop" and len(rows) < settings.batch <= len(chosen):
            return
        read = [train[number].features(first, last) for number, first, last in rows]
        truth = [_targets(train[number], network, first, last) for number, first, last in rows]
        yield vary(pad(read), settings.augment, rng), pad(truth)


def pad(arrays: Sequence[Array]) -> Array:
    """Stack arrays of different lengths as float32, filled with NaN."""
    longest = max(map(len, arrays))
    padded = np.full((len(arrays), longest, *arrays[0].shape[1:]), np.nan, dtype=np.float32)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded
