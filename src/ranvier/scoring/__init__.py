"""Scores of many recordings: one file for each task.

Each has ``score_predictions``, whose answer has ``headline``, ``table`` and ``as_dict``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ranvier.decoding import Prediction
    from ranvier.truth import Truth


class Scores(Protocol):
    """How good a decoder is on the recordings that it was tested on."""

    def headline(self) -> str:
        """Say in one sentence what came out."""
        ...

    def table(self, baseline: Any) -> list[tuple[str, ...]]:
        """Return the names of the columns, then a row for each subject, all, and the baseline."""
        ...

    def as_dict(self, baseline: Any = None) -> dict[str, Any]:
        """Return everything in plain types, with the differences to a baseline if one is given."""
        ...


def score_predictions(
    task: str,
    predictions: Sequence[Prediction],
    truth: Mapping[str, Truth],
    *,
    seed: int = 0,
    new: bool = True,
) -> Any:
    """Score predictions by what the task is judged by.

    Parameters
    ----------
    task
        Name in ``tasks.TASKS``.
    predictions
        One per recording.
    truth
        By the name of the recording.
    seed
        Of the bootstrap over subjects.
    new
        Whether the subjects are new to the decoder.
    """
    module = import_module(f"ranvier.scoring.{task}")
    return module.score_predictions(predictions, truth, seed=seed, new=new)


def shown(value: float, form: str = ".3f") -> str:
    """Return a score in digits, or a dash for NaN."""
    return "-" if math.isnan(value) else format(value, form)
