"""Scores of many recordings: by subject, pooled, averaged, how sure they are, and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ranvier.decisions import none_for_nan
from ranvier.decoding import Prediction
from ranvier.page import amount, count
from ranvier.scoring import shown
from ranvier.scoring.seizure_subjects import (
    POOLED,
    STATISTICS,
    Cohort,
    SubjectScore,
    Thresholds,
    score_one,
    together,
)
from ranvier.splits import patient
from ranvier.tasks.bootstrap import Bootstrap, Difference, Interval
from ranvier.tasks.seizure_events import NAN_RULE, SCORER, pool, score_events
from ranvier.tasks.seizure_scorers import SCORERS, VERSIONS
from ranvier.tasks.seizure_scores import Summary, summarise
from ranvier.truth import Events

__all__ = ["POOLED", "SeizureScores", "SubjectScore", "compare", "event_f1", "score_predictions"]

DRAWS = 300
"""Bootstrap samples of subjects behind an interval."""
OF_DELAY = ("median_delay", "delay_p10", "delay_p90")
"""Statistics of how late alarms are."""


@dataclass(frozen=True)
class SeizureScores:
    """Scores by subject and together.

    Parameters
    ----------
    subjects
        One score each.
    pooled
        All recordings together.
    bootstrap
        Each of ``STATISTICS``, for all subjects and for drawn ones.
    recordings
        Name, subject and seconds of what was tested on.
    new
        Whether the subjects are new to the decoder.
    """

    subjects: Sequence[SubjectScore]
    pooled: SubjectScore
    bootstrap: Bootstrap
    recordings: tuple[tuple[str, str, float], ...]
    new: bool = True

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """For each of ``STATISTICS``, its 95 % interval over subjects; NaN with one subject.

        Also NaN for the delay of fewer than two alarms, which every draw repeats.
        """
        unknown = dict.fromkeys(_not_drawn(self.pooled), (np.nan, np.nan))
        return {**self.bootstrap.intervals, **unknown}

    @property
    def summary(self) -> Summary:
        """Event scores pooled and averaged over subjects."""
        return self.summaries["events"]

    @cached_property
    def summaries(self) -> dict[str, Summary]:
        """Scores by each of ``SCORERS``, pooled and averaged over subjects."""
        by_subject = {str(one.subjects): one.scores for one in self.subjects}
        return {
            name: summarise(
                {subject: scores[name] for subject, scores in by_subject.items()},
                scorer=VERSIONS.get(name, name),
            )
            for name in SCORERS
        }

    def headline(self) -> str:
        """Say in one sentence what was found, with how many false alarms and how fast."""
        events = self.pooled.events
        patients = count(self.people, "new patient" if self.new else "patient")
        begin = f"There were no seizures to find in {patients}"
        if events.references:
            found = events.true_positives or "none"
            begin = f"Found {found} of {count(events.references, 'seizure')} in {patients}"
        parts = (begin, _price(self.pooled), _speed(self.pooled))
        return ", ".join(part for part in parts if part) + "."

    def table(self, baseline: SeizureScores) -> list[tuple[str, ...]]:
        """Return the names of the columns, then a row for each subject, all, and the baseline.

        The last two rows are the differences to the baseline and their 95 % intervals; under
        "found" stands that of the sensitivity.
        """
        return [
            COLUMNS,
            *(_row(", ".join(one.subjects), one) for one in self.subjects),
            _row("all", self.pooled),
            _row("baseline, all", baseline.pooled),
            *_difference_rows(compare(self, baseline), self.pooled),
        ]

    @property
    def people(self) -> int:
        """How many persons were tested on."""
        return len({patient(name) for one in self.subjects for name in one.subjects})

    def as_dict(self, baseline: SeizureScores | None = None) -> dict[str, Any]:
        """Return everything in plain types, with the scorers and their rule for NaN.

        Parameters
        ----------
        baseline
            The differences to it are added, where it is given.
        """
        differences = compare(self, baseline) if baseline else {}
        return {
            "pooled": self.pooled.as_dict(),
            "subjects": [subject.as_dict() for subject in self.subjects],
            "averaged": self.summary.as_dict()["averaged"],
            "scorers": {name: summary.as_dict() for name, summary in self.summaries.items()},
            "curves": {
                "alarms": self.pooled.alarms.as_dict(),
                "windows": self.pooled.windows.as_dict(),
            },
            "intervals": _plain(self.intervals),
            **({"differences_to_baseline": _plain(differences)} if baseline else {}),
            "scorer": SCORER,
            "nan_rule": NAN_RULE,
        }


def compare(a: SeizureScores, b: SeizureScores) -> dict[str, Difference]:
    """Subtract the scores of a second system from those of a first on the same recordings.

    Parameters
    ----------
    a, b
        Scored with the same seed.

    Returns
    -------
    dict
        For each of ``STATISTICS`` the difference, and the bounds of its 95 % interval over
        subjects, from draws of the same subjects for both; NaN with one subject.

    Raises
    ------
    ValueError
        If they were not tested on the same recordings, or not drawn with the same seed.
    """
    if only := sorted(set(a.recordings) ^ set(b.recordings)):
        name, subject, duration = only[0]
        raise ValueError(
            f"Invalid comparison: only one of both was tested on {name} ({subject}, "
            f"{duration:g} s), must be on the same recordings"
        )
    differences = a.bootstrap.minus(b.bootstrap)
    for name in {*_not_drawn(a.pooled), *_not_drawn(b.pooled)}:
        differences[name] = (differences[name][0], np.nan, np.nan)
    return differences


def _not_drawn(pooled: SubjectScore) -> Sequence[str]:
    """Return the statistics that every draw repeats, as there is one alarm at most."""
    return OF_DELAY if np.count_nonzero(~np.isnan(pooled.delays)) < 2 else ()


def _plain(numbers: Mapping[str, Sequence[float]]) -> dict[str, list[float | None]]:
    return {name: [none_for_nan(one) for one in values] for name, values in numbers.items()}


def _price(pooled: SubjectScore) -> str:
    if not pooled.events.false_alarms_measurable:
        return "false alarms cannot be measured on this little background"
    if not pooled.events.false_positives:
        return f"no false alarm in {amount(pooled.hours, 'hour')}"
    return f"{amount(pooled.events.false_alarms_per_day, 'false alarm')} a day"


def _speed(pooled: SubjectScore) -> str:
    known = int(np.count_nonzero(~np.isnan(pooled.delays)))
    if not known:
        return ""
    seconds, found = round(pooled.median_delay), pooled.events.true_positives
    which = "the alarm" if known == 1 else "half of the alarms"
    if known < found:
        which = f"an alarm for {known} of {found}," + (" half of them" if known > 1 else "")
    if seconds < 0:
        return f"{which} at least {-seconds} s before the marked onset"
    return f"{which} within {seconds} s"


COLUMNS = (
    "subject", "seizures", "found", "false alarms", "per 24 h", "F1", "AUROC", "median delay"
)  # fmt: skip


def _row(name: str, one: SubjectScore) -> tuple[str, ...]:
    """Return the cells of one row; a dash where a score has no meaning."""
    events = one.events
    measurable = events.false_alarms_measurable
    return (
        name,
        str(events.references),
        str(events.true_positives),
        str(events.false_positives),
        shown(events.false_alarms_per_day if measurable else float("nan"), ".1f"),
        shown(events.f1),
        shown(one.auroc),
        "-" if np.isnan(one.median_delay) else f"{one.median_delay:.0f} s",
    )


DIFFERENCES = {
    "sensitivity": "+.3f", "false_alarms_per_day": "+.1f", "f1": "+.3f", "auroc": "+.3f",
    "median_delay": "+.0f",
}  # fmt: skip
"""What differs in the last rows of the table, and how it is written."""


def _difference_rows(
    differences: Mapping[str, Difference], pooled: SubjectScore
) -> list[tuple[str, ...]]:
    cells = {name: _difference_cells(differences[name], form) for name, form in DIFFERENCES.items()}
    if not pooled.events.false_alarms_measurable:
        cells["false_alarms_per_day"] = ("-", "-")
    titles = ("difference", "95 % interval")
    rows = zip(titles, *cells.values(), strict=True)
    return [(title, "", found, "", *rest) for title, found, *rest in rows]


def _difference_cells(difference: Difference, form: str) -> tuple[str, str]:
    value, low, high = difference
    bounds = "-" if np.isnan(low) else f"{low:{form}} to {high:{form}}"
    return shown(value, form), bounds


def score_predictions(
    predictions: Sequence[Prediction],
    truth: Mapping[str, Events],
    *,
    seed: int = 0,
    new: bool = True,
) -> SeizureScores:
    """Score predictions against what is annotated; a person with two names is one subject.

    Parameters
    ----------
    predictions
        One per recording.
    truth
        By the name of the recording.
    seed
        Of the bootstrap over subjects.
    new
        Whether the subjects are new to the decoder.
    """
    thresholds = Thresholds.of(predictions)
    by_subject: dict[str, list[SubjectScore]] = {}
    for one in predictions:
        scored = score_one(one, truth[one.name], thresholds)
        by_subject.setdefault(patient(one.subject), []).append(scored)
    subjects = {name: together(parts) for name, parts in sorted(by_subject.items())}
    bootstrap = Bootstrap.of(subjects, STATISTICS, Cohort.of, seed=seed, draws=DRAWS)
    tested = sorted((one.name, patient(one.subject), one.duration) for one in predictions)
    every = list(subjects.values())
    return SeizureScores(every, together(every), bootstrap, tuple(tested), new)


def event_f1(predictions: Sequence[Prediction], truth: Mapping[str, Events]) -> float:
    """Return the event F1 of all recordings together."""
    return pool(score_events(truth[one.name], one.events) for one in predictions).f1
