"""Scores of nights: by subject and pooled, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add, attrgetter
from typing import Any

from ranvier.decisions import none_for_nan
from ranvier.decoding import Prediction
from ranvier.scoring import shown
from ranvier.splits import patient
from ranvier.tasks.bootstrap import Bootstrap, Interval
from ranvier.tasks.sleep import SCORER, SleepScore
from ranvier.truth import SLEEP_STAGES, Truth

METRICS = ("kappa", "macro_f1", "accuracy")
DRAWS = 300


@dataclass(frozen=True)
class SleepScores:
    """Scores by subject and of all epochs together.

    Parameters
    ----------
    subjects
        One score each, by name.
    pooled
        All epochs together.
    bootstrap
        The pooled scores, and those of subjects drawn anew.
    new
        Whether the subjects are new to the decoder.
    """

    subjects: Mapping[str, SleepScore]
    pooled: SleepScore
    bootstrap: Bootstrap
    new: bool = True

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """For each pooled score its 95 % interval over subjects; NaN with one subject."""
        return self.bootstrap.intervals

    def headline(self) -> str:
        """Say in one sentence how well the stages agree."""
        low, high = self.intervals["kappa"]
        sure = f" (95 % interval over subjects {low:.2f} to {high:.2f})"
        spread = "" if math.isnan(low) else sure
        plural = "" if len(self.subjects) == 1 else "s"
        people = f"{len(self.subjects)} {'new ' if self.new else ''}subject{plural}"
        return (
            f"Kappa {shown(self.pooled.kappa)}{spread}, accuracy {shown(self.pooled.accuracy)} on "
            f"{self.pooled.epochs} epochs of {people}."
        )

    def table(self, baseline: SleepScores) -> list[tuple[str, ...]]:
        """Return the names of the columns and the rows, the baseline last."""
        columns = ("subject", "epochs", "accuracy", "macro-F1", "kappa", *SLEEP_STAGES)
        rows = [_row(name, score) for name, score in self.subjects.items()]
        return [columns, *rows, _row("all", self.pooled), _row("baseline, all", baseline.pooled)]

    def as_dict(self, baseline: SleepScores | None = None) -> dict[str, Any]:
        """Return everything in plain types, with the scorer, and the differences to a baseline."""
        differences = self.bootstrap.minus(baseline.bootstrap) if baseline else {}
        return {
            "pooled": self.pooled.as_dict(),
            "subjects": {name: one.as_dict() for name, one in self.subjects.items()},
            "intervals": _plain(self.intervals),
            **({"differences_to_baseline": _plain(differences)} if baseline else {}),
            "scorer": SCORER,
        }


def _plain(bounds: Mapping[str, tuple[float, ...]]) -> dict[str, list[float | None]]:
    return {name: [none_for_nan(one) for one in values] for name, values in bounds.items()}


def _row(name: str, score: SleepScore) -> tuple[str, ...]:
    values = (score.accuracy, score.macro_f1, score.kappa, *score.f1.tolist())
    return name, str(score.epochs), *map(shown, values)


def score_predictions(
    predictions: Sequence[Prediction],
    truth: Mapping[str, Truth],
    *,
    seed: int = 0,
    new: bool = True,
) -> SleepScores:
    """Score nights against what is marked; a person with two names is one subject."""
    subjects: dict[str, SleepScore] = {}
    for one in predictions:
        found = one.rows[:, 0]
        scored = SleepScore.of(one.targets(truth[one.name]), found)
        name = patient(one.subject)
        subjects[name] = subjects[name] + scored if name in subjects else scored
    subjects = dict(sorted(subjects.items()))
    statistics = {metric: attrgetter(metric) for metric in METRICS}
    drawn = Bootstrap.of(subjects, statistics, partial(reduce, add), seed=seed, draws=DRAWS)
    return SleepScores(subjects, reduce(add, subjects.values()), drawn, new)
