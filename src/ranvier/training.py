"""How a network is fitted: settings, which stretches a pass goes through, how they are varied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from ranvier.recording import Array
from ranvier.store import Prepared
from ranvier.tasks import Task
from ranvier.window_sampler import chances_of

if TYPE_CHECKING:
    from ranvier.networks import Network

Named = TypeVar("Named")

BALANCES = ("none", "class", "subject", "class and subject")


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
        How the learning rate goes on: see ``SCHEDULES``.
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
        How stretches are varied: see ``VARIATIONS``.
    gradient_norm
        Larger gradients are scaled down to this norm.
    save_every
        Passes between two checkpoints.
    eval_batch
        Recordings side by side when validating.
    precision
        As in Lightning Fabric, such as ``"32-true"`` or ``"bf16-mixed"``.
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
    precision: str = "32-true"
    context: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("passes", "patience", "batch", "save_every", "eval_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"Invalid {name}: {getattr(self, name)}, must be at least 1")
        for name in ("learning_rate", "gradient_norm", "stretch", "segment"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Invalid {name}: {getattr(self, name)}, must be above 0")
        for name in ("background", "weight_decay", "auxiliary"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"Invalid {name}: {getattr(self, name)}, must be at least 0")
        if self.balance not in BALANCES:
            raise ValueError(
                f"Invalid balance: {self.balance!r}, possible options: {list(BALANCES)}"
            )
        if unknown := set(self.augment) - set(VARIATIONS):
            raise ValueError(
                f"Invalid augment: {sorted(unknown)}, possible options: {list(VARIATIONS)}"
            )
        if self.context:
            self.second_round()
        schedule = by_name("schedule", self.schedule, SCHEDULES)
        try:
            schedule(self.learning_rate, [], **self.schedule_settings)
        except TypeError as error:
            raise ValueError(f"Invalid schedule_settings of {self.schedule!r}: {error}") from None

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


def by_name(parameter: str, name: str, options: Mapping[str, Named]) -> Named:
    """Return one of the options, the first for an empty name, or what an import path leads to.

    Raises
    ------
    ValueError
        If there is no such thing.
    """
    if not name:
        return next(iter(options.values()))
    if name in options:
        return options[name]
    module, colon, attribute = name.partition(":")
    try:
        if colon:
            found: Named = getattr(import_module(module), attribute)
            return found
    except (ImportError, AttributeError):
        pass
    raise ValueError(
        f"Invalid {parameter}: {name!r}, possible options: {[*options, 'module:name']}"
    )


History = Sequence[Mapping[str, float]]


def constant(rate: float, history: History) -> float:  # noqa: ARG001
    """Keep the learning rate."""
    return rate


def steps(rate: float, history: History, *, at: Sequence[int], factor: float = 0.1) -> float:
    """Multiply by a factor after each of these passes."""
    return rate * factor ** sum(len(history) >= passes for passes in at)


def cosine(rate: float, history: History, *, passes: int, floor: float = 0.0) -> float:
    """Fall to the floor along half a wave."""
    share = min(1.0, len(history) / passes)
    return floor + (rate - floor) * 0.5 * (1 + float(np.cos(np.pi * share)))


def plateau(
    rate: float, history: History, *, factor: float = 0.75, patience: int = 3, floor: float = 0.0
) -> float:
    """Multiply by a factor whenever the validation score was not better for some passes."""
    best, waited = float("-inf"), 0
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


def stretches(
    train: Sequence[Prepared],
    network: Network,
    task: Task,
    settings: Training,
    rng: np.random.Generator,
) -> Array:
    """Choose (recording, first step) for one pass: all with something to find, some others."""
    telling: list[tuple[int, int]] = []
    others: list[tuple[int, int]] = []
    for number, recording in enumerate(train):
        length = stretch_steps(recording, network, settings)
        shift = 0 if task.aligned else int(rng.integers(length))
        for start in range(-shift, len(recording), length):
            first = max(0, start)
            found = task.telling(_targets(recording, network, first, length))
            (telling if found else others).append((number, first))
    wanted = min(len(others), round(settings.background * len(telling)))
    if settings.balance != "none":
        keys = _balance_keys(train, telling, others, settings.balance)
        chances = chances_of(keys, len(telling) + len(others))
        places = rng.choice(len(chances), len(telling) + wanted, p=chances / chances.sum())
        return np.array(telling + others)[places]
    drawn = rng.permutation(len(others))[:wanted]
    chosen = np.array(telling + [others[i] for i in drawn.tolist()]).reshape(-1, 2)
    return np.asarray(rng.permutation(chosen, axis=0))


def _balance_keys(
    train: Sequence[Prepared],
    telling: Sequence[tuple[int, int]],
    others: Sequence[tuple[int, int]],
    balance: str,
) -> list[Array]:
    """Return the class and the subject of each stretch, those that are wanted."""
    subjects = np.unique([one.subject for one in train], return_inverse=True)[1]
    numbers = [number for number, _ in [*telling, *others]]
    keys = {
        "class": np.repeat([1, 0], [len(telling), len(others)]),
        "subject": subjects[np.array(numbers, int)],
    }
    return [key for name, key in keys.items() if name in balance]


def stretch_steps(recording: Prepared, network: Network, settings: Training) -> int:
    """Return the length of a stretch in steps: at least a window."""
    return max(network.window, round(settings.stretch / recording.hop))


def _targets(recording: Prepared, network: Network, first: int, length: int) -> Array:
    """Return what is true for the outputs of a stretch."""
    count = network.outputs(min(length, len(recording) - first))
    steps = first + network.window - 1 + network.hop * np.arange(count)
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
        lengths = [stretch_steps(train[n], network, settings) for n, _ in rows]
        read = [train[n].features(i, i + m) for (n, i), m in zip(rows, lengths, strict=True)]
        truth = [_targets(train[n], network, i, m) for (n, i), m in zip(rows, lengths, strict=True)]
        yield vary(pad(read), settings.augment, rng), pad(truth)


def pad(arrays: Sequence[Array]) -> Array:
    """Stack arrays of different lengths as float32, filled with NaN."""
    longest = max(map(len, arrays))
    padded = np.full((len(arrays), longest, *arrays[0].shape[1:]), np.nan, dtype=np.float32)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded


Variation = Callable[[Array, float, np.random.Generator], Array]


def add_noise(stretch: Array, amount: float, rng: np.random.Generator) -> Array:
    """Add uniform noise up to a share of each channel's largest value."""
    largest = np.nanmax(np.abs(np.nan_to_num(stretch)), axis=1, keepdims=True)
    return np.asarray(stretch + largest * rng.uniform(-amount, amount, stretch.shape))


def turn_around(stretch: Array, amount: float, rng: np.random.Generator) -> Array:
    """Shift each stretch by up to a share of its length, what falls out at the end coming first."""
    most = int(amount * stretch.shape[1])
    shifts = rng.integers(-most, most + 1, len(stretch))
    return np.stack([np.roll(one, by, axis=0) for one, by in zip(stretch, shifts, strict=True)])


def flip_sign(stretch: Array, amount: float, rng: np.random.Generator) -> Array:
    """Turn a share of the stretches upside down."""
    signs = np.where(rng.random(len(stretch)) < amount, -1.0, 1.0)
    return stretch * signs.reshape(-1, *[1] * (stretch.ndim - 1))


def change_gain(stretch: Array, amount: float, rng: np.random.Generator) -> Array:
    """Multiply each channel by up to 1 + amount, or divide by it."""
    shape = (len(stretch), 1, *stretch.shape[2:3], *[1] * (stretch.ndim - 3))
    return np.asarray(stretch * (1 + amount) ** rng.uniform(-1, 1, shape))


VARIATIONS: dict[str, Variation] = {
    "noise": add_noise,
    "shift": turn_around,
    "sign": flip_sign,
    "gain": change_gain,
}
"""Ways to vary a stretch, (batch, step, ...), each with how much."""


def vary(stretch: Array, augment: Mapping[str, float], rng: np.random.Generator) -> Array:
    """Vary each stretch in these ways, one after the other."""
    for name, amount in augment.items():
        stretch = VARIATIONS[name](stretch, amount, rng)
    return stretch.astype(np.float32)
