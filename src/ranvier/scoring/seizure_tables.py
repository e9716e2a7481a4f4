"""Scores of tables of detections: no probabilities, only what was detected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.splits import person
from ranvier.tasks.bootstrap import Bootstrap, Difference
from ranvier.tasks.seizure_events import METRICS, NAN_RULE, SCORER, Tally, pool
from ranvier.tasks.seizure_scorers import SCORERS, VERSIONS, score_all
from ranvier.tasks.seizure_scores import Resolution, Summary, summarise
from ranvier.truth import Events

Tables = Mapping[str, tuple[str, Events, Events | None]]
"""By name: the subject, what is annotated, and what was detected if there is a table of it."""
Scores = Mapping[str, Tally]
"""By name of the scorer."""


@dataclass(frozen=True)
class TableScores:
    """Scores of tables by each of ``SCORERS``.

    Parameters
    ----------
    subjects
        Scores of each subject.
    problems
        Name of each table that was missing or of another length, and what about it; it counts as
        one without detections, as in SzCORE.
    resolution
        ``"exact"``, or ``"tsv"`` for times cut down to whole seconds.
    """

    subjects: Mapping[str, Scores]
    problems: Mapping[str, str]
    resolution: Resolution

    @property
    def summaries(self) -> dict[str, Summary]:
        """Scores by each of ``SCORERS``, pooled and averaged over subjects."""
        return {
            name: summarise(
                {subject: scores[name] for subject, scores in self.subjects.items()},
                scorer=VERSIONS.get(name, name),
            )
            for name in SCORERS
        }

    @property
    def notes(self) -> list[tuple[str, str]]:
        """What was wrong with which table."""
        return [(name, f"{why}, counted as no detections") for name, why in self.problems.items()]

    def as_dict(self) -> dict[str, Any]:
        """Return scores pooled, averaged and of each subject in plain types."""
        summaries = {name: summary.as_dict() for name, summary in self.summaries.items()}
        return {
            "pooled": {name: summary["pooled"] for name, summary in summaries.items()},
            "averaged": {name: summary["averaged"] for name, summary in summaries.items()},
            "subjects": {
                subject: {name: score.as_dict() for name, score in scores.items()}
                for subject, scores in self.subjects.items()
            },
            "resolution": self.resolution,
            "scorer": SCORER,
            "scorers": {name: summary["scorer"] for name, summary in summaries.items()},
            "nan_rule": NAN_RULE,
        }


def score_tables(tables: Tables, *, resolution: Resolution = "exact") -> TableScores:
    """Score detections without probabilities.

    Parameters
    ----------
    tables
        No table, or one that is a second or more longer or shorter, counts as no detections, as in
        SzCORE.
    resolution
        ``"exact"``, or ``"tsv"`` for times cut down to whole seconds.

    Raises
    ------
    ValueError
        If what is annotated has no duration, or the resolution is unknown.
    """
    parts: dict[str, list[Scores]] = {}
    problems = {}
    for name, (subject, reference, hypothesis) in tables.items():
        detected = hypothesis
        if problem := _why_not_scored(name, reference, hypothesis):
            problems[name] = problem
            detected = None
        found = detected or Events((), reference.duration)
        scores = score_all(reference, found, resolution=resolution)
        parts.setdefault(person(subject), []).append(scores)
    subjects = {subject: _together(scores) for subject, scores in parts.items()}
    return TableScores(subjects, problems, resolution)


def compare_tables(
    first: TableScores, second: TableScores, *, seed: int = 0
) -> dict[str, dict[str, Difference]]:
    """Subtract the pooled scores of a second system from those of a first on the same tables.

    Parameters
    ----------
    first, second
        Scores against the same annotations.
    seed
        Of the bootstrap over subjects.

    Returns
    -------
    dict
        By scorer, then by metric: the difference and the bounds of its 95 % interval over
        subjects, from draws of the same subjects for both; NaN with one subject.

    Raises
    ------
    ValueError
        If a table is missing or of another length for one of both only.
    """
    if only := sorted(set(first.problems.items()) ^ set(second.problems.items())):
        raise ValueError(
            f"Invalid comparison: {only[0][0]} could be scored for only one of both "
            f"({only[0][1]}), must be for both"
        )
    names = {f"{name} {metric}": (name, metric) for name in SCORERS for metric in METRICS}
    statistics = {key: _statistic(*names[key]) for key in names}
    drawn = [
        Bootstrap.of(one.subjects, statistics, _together, seed=seed) for one in (first, second)
    ]
    differences = drawn[0].minus(drawn[1])
    return {
        name: {metric: differences[f"{name} {metric}"] for metric in METRICS} for name in SCORERS
    }


def _statistic(scorer: str, metric: str) -> Callable[[Scores], float]:
    return lambda scores: float(getattr(scores[scorer], metric))


def _together(parts: Sequence[Scores]) -> Scores:
    return {name: pool(scores[name] for scores in parts) for name in SCORERS}


def _why_not_scored(name: str, reference: Events, hypothesis: Events | None) -> str:
    if np.isnan(reference.duration):
        raise ValueError(f"Invalid table: {name} has no recordingDuration, must have one")
    if hypothesis is None:
        return "there is no table of detections"
    if np.isnan(hypothesis.duration):
        return "the table of detections has no recordingDuration"
    if not abs(reference.duration - hypothesis.duration) < 1:
        return f"durations differ, {reference.duration} s and {hypothesis.duration} s"
    return ""
