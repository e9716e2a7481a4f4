"""Scores of typed seizures: by output and by seizure, by subject and pooled, and how sure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add, attrgetter
from typing import Any

import numpy as np

from ranvier.decisions import TypeRule, none_for_nan
from ranvier.decoding import Prediction
from ranvier.recording import Array
from ranvier.scoring import shown
from ranvier.seizure_types import TypedSeizures
from ranvier.splits import patient
from ranvier.tasks.bootstrap import Bootstrap, Interval
from ranvier.tasks.seizure_type import AVERAGES, NAN_RULE, SCORER, TypeScore
from ranvier.truth import Truth

DRAWS = 300
STATISTICS = {
    name: attrgetter(name)
    for name in (f"{kind}.{average}" for kind in ("outputs", "seizures") for average in AVERAGES)
}
"""Scores of outputs and of whole seizures, such as ``"outputs.weighted_f1"``."""


@dataclass(frozen=True)
class SubjectTypes:
    """How well the seizures of a subject are typed.

    Parameters
    ----------
    outputs, seizures
        Scores of each output in a seizure of a known type, and of each such seizure as a whole.
    unanswered_outputs, unanswered_seizures
        Those without a valid answer, which are left out of the scores.
    """

    outputs: TypeScore
    seizures: TypeScore
    unanswered_outputs: int = 0
    unanswered_seizures: int = 0

    def __add__(self, other: SubjectTypes) -> SubjectTypes:
        """Pool two recordings or subjects."""
        return SubjectTypes(
            self.outputs + other.outputs,
            self.seizures + other.seizures,
            self.unanswered_outputs + other.unanswered_outputs,
            self.unanswered_seizures + other.unanswered_seizures,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain types."""
        return {
            "outputs": self.outputs.as_dict(),
            "seizures": self.seizures.as_dict(),
            "unanswered_outputs": self.unanswered_outputs,
            "unanswered_seizures": self.unanswered_seizures,
        }


@dataclass(frozen=True)
class SeizureTypeScores:
    """Scores by subject and together.

    Parameters
    ----------
    subjects
        One each, by name.
    pooled
        All together.
    bootstrap
        The scores in ``STATISTICS``, and those of subjects drawn anew.
    new
        Whether the subjects are new to the decoder.
    """

    subjects: Mapping[str, SubjectTypes]
    pooled: SubjectTypes
    bootstrap: Bootstrap
    new: bool = True

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """For each score in ``STATISTICS`` its 95 % interval over subjects; NaN with one."""
        return self.bootstrap.intervals

    def headline(self) -> str:
        """Say in one sentence how well outputs and seizures are typed."""
        outputs, seizures = self.pooled.outputs, self.pooled.seizures
        low, high = self.intervals["outputs.weighted_f1"]
        sure = f" (95 % interval over subjects {low:.2f} to {high:.2f})"
        spread = "" if math.isnan(low) else sure
        plural = "" if len(self.subjects) == 1 else "s"
        people = f"{len(self.subjects)} {'new ' if self.new else ''}subject{plural}"
        return (
            f"Weighted F1 {shown(outputs.weighted_f1)}{spread} on {outputs.total} outputs in "
            f"seizures of {people}; as a whole, {seizures.right} of {seizures.total} seizures are "
            "typed right."
        )

    def table(self, baseline: SeizureTypeScores) -> list[tuple[str, ...]]:
        """Return the names of the columns and the rows, the baseline last."""
        names = self.pooled.outputs.names
        whole = ("outputs", "weighted F1", "macro-F1", "accuracy", "kappa")
        columns = ("subject", *whole, *(f"F1 {name}" for name in names), "seizures right")
        rows = [_row(name, one) for name, one in self.subjects.items()]
        return [columns, *rows, _row("all", self.pooled), _row("baseline, all", baseline.pooled)]

    def as_dict(self, baseline: SeizureTypeScores | None = None) -> dict[str, Any]:
        """Return everything in plain types, with the scorer, and the differences to a baseline."""
        differences = self.bootstrap.minus(baseline.bootstrap) if baseline else {}
        return {
            "pooled": self.pooled.as_dict(),
            "subjects": {name: one.as_dict() for name, one in self.subjects.items()},
            "intervals": _plain(self.intervals),
            **({"differences_to_baseline": _plain(differences)} if baseline else {}),
            "scorer": SCORER,
            "nan_rule": NAN_RULE,
        }


def _plain(bounds: Mapping[str, tuple[float, ...]]) -> dict[str, list[float | None]]:
    return {name: [none_for_nan(one) for one in values] for name, values in bounds.items()}


def _row(name: str, one: SubjectTypes) -> tuple[str, ...]:
    outputs, seizures = one.outputs, one.seizures
    values = (*(getattr(outputs, average) for average in AVERAGES), *outputs.f1.tolist())
    whole = f"{seizures.right} of {seizures.total}"
    return name, str(outputs.total), *map(shown, values), whole


def score_predictions(
    predictions: Sequence[Prediction],
    truth: Mapping[str, Truth],
    *,
    seed: int = 0,
    new: bool = True,
) -> SeizureTypeScores:
    """Score types inside annotated seizures; a person with two names is one subject.

    Raises
    ------
    ValueError
        If a prediction or what is annotated is not about types of seizures.
    """
    subjects: dict[str, SubjectTypes] = {}
    for one in predictions:
        scored = score_recording(one, truth[one.name])
        name = patient(one.subject)
        subjects[name] = subjects[name] + scored if name in subjects else scored
    subjects = dict(sorted(subjects.items()))
    drawn = Bootstrap.of(subjects, STATISTICS, partial(reduce, add), seed=seed, draws=DRAWS)
    return SeizureTypeScores(subjects, reduce(add, subjects.values()), drawn, new)


def score_recording(prediction: Prediction, truth: Truth) -> SubjectTypes:
    """Score one recording.

    Raises
    ------
    ValueError
        If the prediction or what is annotated is not about types of seizures.
    """
    if not isinstance(prediction.rule, TypeRule) or not isinstance(truth, TypedSeizures):
        raise ValueError(
            f"Invalid prediction: {prediction.name} is decided by {prediction.rule} and scored "
            f"against {type(truth).__name__}, must be a TypeRule and TypedSeizures"
        )
    names = prediction.rule.classes
    targets, found = prediction.targets(truth), prediction.rows[:, 0]
    marked, typed = type_seizures(prediction, truth)
    return SubjectTypes(
        TypeScore.of(targets, found, names),
        TypeScore.of(marked, typed, names),
        int((~np.isnan(targets) & np.isnan(found)).sum()),
        int(np.isnan(typed).sum()),
    )


def type_seizures(prediction: Prediction, truth: TypedSeizures) -> tuple[Array, Array]:
    """Return the class that was marked for each seizure, and the one that was found.

    What was found is the class of the highest mean probability over the outputs that lie in the
    seizure and in no other; NaN where none of them is valid.
    """
    spans, targets = truth.spans(), prediction.targets(truth)
    middles = prediction.times - prediction.hop / 2
    found = np.full(len(spans), np.nan)
    for place, span in enumerate(spans):
        inside = (middles >= span.onset) & (middles <= span.end) & (targets == span.number)
        values = prediction.values[inside & prediction.valid]
        if len(values):
            found[place] = values.mean(axis=0).argmax()
    return np.array([float(span.number) for span in spans]), found
