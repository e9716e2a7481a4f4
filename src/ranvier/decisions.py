"""From outputs to what is decided: alarms, stages of sleep, movement; causal, kept in the decoder.

A decision is a stage that takes the values of a network, (batch, time, class), and gives rows,
(batch, time, column). Besides, ``values`` turns logits into probabilities or physical values,
``decoded`` says what the rows of a whole stream mean, ``said`` what one row means, and ``per_site``
whether the value of a single site means something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.alarms import Alarm, AlarmRule, alarm_times, events_of, none_for_nan
from ranvier.recording import Array, Layout
from ranvier.seizure_types import runs_of
from ranvier.streaming import Stage, State
from ranvier.truth import SLEEP_STAGES, Events, Hypnogram, Trajectory

__all__ = [
    "Alarm",
    "AlarmRule",
    "ChooseStage",
    "ChooseType",
    "Decision",
    "Motion",
    "MotionRule",
    "Rule",
    "StageRule",
    "TypeRule",
    "alarm_times",
    "events_of",
    "make_decision",
    "most_probable",
    "none_for_nan",
    "softmax",
]


@dataclass(frozen=True)
class StageRule:
    """How a stage of sleep is chosen: the most probable one."""


@dataclass(frozen=True)
class ChooseStage(Stage):
    """Stages of sleep from probabilities, (batch, time, 5) to (batch, time, 1).

    Parameters
    ----------
    layout
        The five stages, at the rate of the outputs of the network.
    first
        Second at which the first output is known.
    rule
        How a stage is chosen.
    """

    layout: Layout
    first: float = 30.0
    rule: StageRule = StageRule()
    per_site = False
    memoryless = True

    @property
    def output(self) -> Layout:
        """One column, the number of the stage."""
        return Layout(("stage",), self.layout.rate, "")

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Take the most probable stage; NaN where nothing is known."""
        return most_probable(chunk), state

    def values(self, logits: Array) -> Array:
        """Return the probabilities of the stages."""
        return softmax(logits)

    def decoded(self, rows: Array, values: Array, times: Array, duration: float) -> Hypnogram:  # noqa: ARG002
        """Return the hypnogram, one epoch for each output."""
        stages = ("" if np.isnan(row) else SLEEP_STAGES[int(row)] for row in rows[:, 0])
        first = float(times[0]) - self.hop if len(times) else 0.0
        return Hypnogram(tuple(stages), duration, self.hop, max(0.0, round(first, 6)))

    def said(self, row: Array, values: Array) -> dict[str, Any]:
        """Say the stage, and how probable each one is."""
        return {
            "stage": None if np.isnan(row[0]) else SLEEP_STAGES[int(row[0])],
            "probabilities": dict(
                zip(SLEEP_STAGES, map(none_for_nan, values.tolist()), strict=True)
            ),
        }


@dataclass(frozen=True)
class MotionRule:
    """What moves: the axes of the outputs and their unit."""

    axes: tuple[str, ...] = ("x", "y")
    unit: str = "cm/s"

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))


@dataclass(frozen=True)
class Motion(Stage):
    """Movement as the network gives it, (batch, time, axis) to (batch, time, 0).

    Parameters
    ----------
    layout
        The axes, at the rate of the outputs of the network.
    first
        Second at which the first output is known.
    rule
        What moves.
    """

    layout: Layout
    first: float = 0.0
    rule: MotionRule = MotionRule()
    per_site = False
    memoryless = True

    @property
    def output(self) -> Layout:
        """No columns: there is nothing to decide."""
        return Layout((), self.layout.rate, self.rule.unit)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Decide nothing."""
        return chunk[..., :0], state

    def values(self, logits: Array) -> Array:
        """Return the values as they are."""
        return logits

    def decoded(self, rows: Array, values: Array, times: Array, duration: float) -> Trajectory:  # noqa: ARG002
        """Return the trajectory."""
        first = float(times[0]) if len(times) else 0.0
        return Trajectory(values, 1 / self.hop, duration, self.rule.axes, self.rule.unit, first)

    def said(self, row: Array, values: Array) -> dict[str, Any]:  # noqa: ARG002
        """Say the value of each axis."""
        return dict(zip(self.rule.axes, map(none_for_nan, values.tolist()), strict=True))


@dataclass(frozen=True)
class TypeRule:
    """Which types of seizures there are, in the order of the outputs."""

    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))


@dataclass(frozen=True)
class ChooseType(Stage):
    """Types of seizures from probabilities, (batch, time, class) to (batch, time, 1).

    It says which type a seizure is of if there is one, at every output.

    Parameters
    ----------
    layout
        The classes, at the rate of the outputs of the network.
    first
        Second at which the first output is known.
    rule
        Names the classes.
    """

    layout: Layout
    first: float = 1.0
    rule: TypeRule = TypeRule()
    per_site = False
    memoryless = True

    @property
    def output(self) -> Layout:
        """One column, the number of the class."""
        return Layout(("type",), self.layout.rate, "")

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Take the most probable class; NaN where nothing is known."""
        return most_probable(chunk), state

    def values(self, logits: Array) -> Array:
        """Return the probabilities of the classes."""
        return softmax(logits)

    def decoded(self, rows: Array, values: Array, times: Array, duration: float) -> Events:
        """Return one event for each run of outputs of one class; its label is the class."""
        return Events(runs_of(rows[:, 0], values, times, self.hop, self.rule.classes), duration)

    def said(self, row: Array, values: Array) -> dict[str, Any]:
        """Say the class, and how probable each one is."""
        shares = map(none_for_nan, values.tolist())
        return {
            "type": None if np.isnan(row[0]) else self.rule.classes[int(row[0])],
            "probabilities": dict(zip(self.rule.classes, shares, strict=True)),
        }


Rule = AlarmRule | StageRule | TypeRule | MotionRule
Decision = Alarm | ChooseStage | ChooseType | Motion


def make_decision(rule: Rule, rate: float, first: float) -> Decision:
    """Make the decision that follows a rule.

    Parameters
    ----------
    rule
        Its type says which decision.
    rate
        Outputs per second.
    first
        Second at which the first output is known.
    """
    if isinstance(rule, AlarmRule):
        return Alarm(Layout(("probability",), rate, ""), first, rule)
    if isinstance(rule, StageRule):
        return ChooseStage(Layout(SLEEP_STAGES, rate, ""), first, rule)
    if isinstance(rule, TypeRule):
        return ChooseType(Layout(rule.classes, rate, ""), first, rule)
    return Motion(Layout(rule.axes, rate, rule.unit), first, rule)


def most_probable(values: Array) -> Array:
    """Return the number of the most probable class, (..., 1); NaN where one is not known."""
    missing = np.isnan(values).any(axis=-1, keepdims=True)
    best = np.where(missing, 0.0, values).argmax(axis=-1)[..., None]
    return np.where(missing, np.nan, best)


def softmax(logits: Array) -> Array:
    """Turn the logits of the last axis into probabilities that add up to 1."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
