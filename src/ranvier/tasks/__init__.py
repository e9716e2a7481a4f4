"""What a task decodes, and how well: targets, loss, scores.

A new task is one file here with a ``Task``, and one line in ``TASKS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from ranvier.decisions import Rule
    from ranvier.recording import Array, Recording
    from ranvier.truth import Truth

Loss = Callable[["Tensor", "Tensor", "Tensor | None"], "Tensor"]
"""From outputs (output, class), targets (output,) or (output, axis), and weights of the classes."""

Quality = Callable[["Array", "Array"], float]
"""From outputs and targets to a number that is higher for better."""


class Task(Protocol):
    """What training needs to know of a task.

    Targets are (output,) with the number of a class, or (output, axis) with values; NaN where
    nothing is known.
    """

    name: str
    split: Literal["subject", "time"]
    """Whether a decoder is for new people, or for the same recording later on."""
    aligned: bool
    """Whether stretches for training begin at whole multiples of their length."""
    losses: Mapping[str, Loss]
    """By name; the first is taken unless told otherwise."""
    qualities: Mapping[str, Quality]
    """How validation is judged, by name; the first is taken unless told otherwise."""
    default_rule: Rule
    scorer: str
    """Name and version of what scores it."""

    def truth_of(self, recording: Recording) -> Truth | None:
        """Return what the recording is annotated with for this task."""
        ...

    def begin(self, recording: Recording) -> Recording:
        """Return the recording from where its annotation begins to make sense."""
        ...

    def classes(self, truths: Sequence[Truth]) -> int:
        """Return how many outputs a network must have."""
        ...

    def rule_for(self, rule: Rule, truths: Sequence[Truth]) -> Rule:
        """Complete the rule of decision from what is annotated."""
        ...

    def telling(self, targets: Array) -> bool:
        """Return whether there is something to learn from in a stretch."""
        ...

    def weights(self, targets: Array) -> Array | None:
        """Return how much each class counts, from all targets of the training part.

        Raises
        ------
        ValueError
            If there is nothing to learn from.
        """
        ...

    def scaling(self, targets: Array) -> tuple[Array, Array]:
        """Return the centre and spread by which targets are scaled for training."""
        ...

    def calibration(self, outputs: Array, targets: Array) -> tuple[Any, Any]:
        """Return the scale and offset of the outputs, from the validation part."""
        ...

    def note_on(self, weights: Array | None) -> dict[str, str]:
        """Say what was chosen on which part, besides the weights and the best pass."""
        ...


TASKS = {
    "seizure": "ranvier.tasks.seizure:SeizureTask",
    "seizure_type": "ranvier.tasks.seizure_type:SeizureTypeTask",
    "sleep": "ranvier.tasks.sleep:SleepTask",
    "movement": "ranvier.tasks.movement:MovementTask",
}


LABELLED = ("seizure_type",)
"""Tasks with several sets of labels."""


def make_task(name: str, labels: str = "") -> Task:
    """Return a task by name.

    Parameters
    ----------
    name
        In ``TASKS``.
    labels
        Set of labels, for a task that has several; empty for its first.

    Raises
    ------
    ValueError
        If the task or the set of labels is unknown.
    """
    if name not in TASKS:
        raise ValueError(f"Invalid task: {name!r}, possible options: {list(TASKS)}")
    module, _, cls = TASKS[name].partition(":")
    if labels and name not in LABELLED:
        raise ValueError(
            f"Invalid labels: {labels!r}, must be empty for {name}, only {', '.join(LABELLED)} has "
            "sets of labels"
        )
    made = getattr(import_module(module), cls)
    task: Task = made(labels) if labels else made()
    return task
