"""The scores of network and baseline as tables of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from ranvier import page
from ranvier.baseline import NAMES
from ranvier.page import Cell
from ranvier.scoring.seizure import POOLED, SeizureScores, SubjectScore, compare
from ranvier.scoring.seizure_subjects import SOON
from ranvier.tasks.bootstrap import Difference
from ranvier.tasks.seizure_curves import BUDGETS, HOURLY, VERSION, WINDOW
from ranvier.tasks.seizure_events import MEASURABLE_BACKGROUND, NAN_RULE, SCORER
from ranvier.tasks.seizure_scorers import SCORERS, TITLES, VERSIONS
from ranvier.tasks.seizure_scores import average, bootstrap_interval

NOT_MEASURABLE = "not measurable"
RATE = "false_alarms_per_day"
DIFFERENCE = "Difference to the baseline"
HEAD = (
    "", "Network, pooled", "Baseline, pooled", "Network, averaged", "Baseline, averaged", DIFFERENCE
)  # fmt: skip
SIDE_BY_SIDE = ("Network", "Baseline", DIFFERENCE)
SCORER_HEAD = (
    "", "Found", "False alarms", "Per 24 h", "Sensitivity", "Precision", "F1", "F1, averaged",
    "F1 of the baseline", "Difference in F1",
)  # fmt: skip
EXPLAINED = (
    "Pooled: each event weighs the same. Averaged: each patient weighs the same. Below a score "
    "stands its 95 % interval over patients (bootstrap), where there are several. The median delay "
    f"is that of the seizures which each of the two found. The baseline is {NAMES['seizure']}. "
    "The difference is network minus baseline, pooled; for its interval each draw takes the same "
    "patients for both.",
    f"{page.UNKNOWN} is a score that is NaN. {NAN_RULE} A rate of false alarms needs at least "
    f"{MEASURABLE_BACKGROUND / 60:g} minutes of background to be measurable; its average needs "
    "them of every patient.",
    f"Scorer: {SCORER}.",
)
OTHER_RULES = (
    "The same alarms, counted by others. SzCORE joins and cuts events and gives 30 s before and "
    "60 s after; any overlap does neither, so a detection is false at most once, however long it "
    "is; TAES counts the shares that are aligned in time. Samples are seconds, so their false "
    f"alarms are false seconds. {' '.join(f'{text}.' for text in dict.fromkeys(VERSIONS.values()))}"
)
OTHER_THRESHOLDS = (
    "The highest sensitivity that any threshold gives without more false alarms than that, by the "
    "events of SzCORE, as if the threshold had been known beforehand: what the outputs could give, "
    f"not what was decided. The area is that of windows of {WINDOW:g} s, by any overlap, over the "
    f"logarithm of {HOURLY[0]:g} to {HOURLY[1]:g} false alarms per hour. {VERSION}."
)


class Measure(NamedTuple):
    """A score on the page: its key in ``POOLED``, its name, which sign is better, how to write."""

    key: str
    name: str
    better: int
    write: Callable[[float], str]

    def of(self, one: SubjectScore) -> float:
        """Return its value; NaN for a rate of false alarms that is no measurement."""
        if self.key == RATE and not one.events.false_alarms_measurable:
            return float("nan")
        return POOLED[self.key](one)

    def cell(self, one: SubjectScore) -> str:
        """Return its value as it is written."""
        if self.key == RATE and not one.events.false_alarms_measurable:
            return NOT_MEASURABLE
        return self.write(POOLED[self.key](one))


MEASURES = (
    Measure("sensitivity", "sensitivity", 1, page.share),
    Measure("precision", "precision", 1, page.share),
    Measure("f1", "F1", 1, page.share),
    Measure(RATE, "false alarms per 24 h", -1, page.rate),
    Measure("auroc", "AUROC", 1, page.share),
    Measure("average_precision", "average precision", 1, page.share),
    Measure("median_delay", "median delay", -1, page.seconds),
)
AT_RATES = (
    *(Measure(f"sensitivity_at_{n}_per_day", f"at {n} per 24 h", 1, page.share) for n in BUDGETS),
    Measure("window_area", "area, windows", 1, page.share),
)
DELAYS = (
    Measure("delay_p10", "a tenth of the alarms within", -1, page.seconds),
    Measure("median_delay", "half of the alarms within", -1, page.seconds),
    Measure("delay_p90", "nine tenths of the alarms within", -1, page.seconds),
    *(
        Measure(f"alarm_within_{n}_s", f"seizures with an alarm within {n} s", 1, page.share)
        for n in SOON
    ),
)


def score_tables(network: SeizureScores, baseline: SeizureScores, seed: int) -> str:
    """Set the scores of both, pooled and averaged, and those of the network by patient.

    Parameters
    ----------
    network, baseline
        Of the same recordings.
    seed
        Of the bootstrap over patients.
    """
    both = (network, baseline)
    changes = compare(network, baseline)
    counts = [scores.pooled.events for scores in both]
    found = (f"{one.true_positives} of {one.references}" for one in counts)
    rows: list[tuple[Cell, ...]] = [
        ("Seizures found", *found, "", "", ""),
        ("False alarms", *(str(one.false_positives) for one in counts), "", "", ""),
    ]
    for measure in MEASURES:
        pooled = (_pooled(scores, measure) for scores in both)
        averaged = (_averaged(scores, measure, seed) for scores in both)
        change = _change(measure, network, baseline, changes)
        rows.append((page.capital(measure.name), *pooled, *averaged, change))
    parts = (
        page.paragraph(_comparison(network, baseline)),
        page.table("Scores of the network and the baseline", HEAD, rows),
        *(page.paragraph(text, look="soft") for text in EXPLAINED),
        _by_patient(network),
        page.table(
            "Other scorers", SCORER_HEAD, _scorers(network, baseline, changes), look="dense"
        ),
        page.paragraph(OTHER_RULES, look="soft"),
        _side_by_side("Sensitivity at a rate of false alarms", AT_RATES, network, baseline),
        page.paragraph(OTHER_THRESHOLDS, look="soft"),
        _side_by_side("Delay of the alarms after the onset", DELAYS, network, baseline),
    )
    return "\n".join(parts)


def _scorers(
    network: SeizureScores, baseline: SeizureScores, changes: Mapping[str, Difference]
) -> Iterable[tuple[Cell, ...]]:
    for name in SCORERS:
        summary, others = network.summaries[name], baseline.summaries[name]
        pooled = summary.pooled
        rate = pooled.false_alarms_per_day if pooled.false_alarms_measurable else float("nan")
        shares = (pooled.sensitivity, pooled.precision, pooled.f1, summary.averaged["f1"].mean)
        change = changes["f1" if name == "events" else f"{name}_f1"]
        yield (
            TITLES.get(name, name),
            f"{pooled.true_positives:.4g} of {pooled.references}",
            f"{pooled.false_positives:.4g}",
            page.rate(rate),
            *map(page.share, shares),
            page.share(others.pooled.f1),
            _signed_cell(change, page.share),
        )


def _side_by_side(
    title: str, measures: Iterable[Measure], network: SeizureScores, baseline: SeizureScores
) -> str:
    changes = compare(network, baseline)
    rows = [
        (
            page.capital(measure.name),
            *(_pooled(scores, measure) for scores in (network, baseline)),
            _change(measure, network, baseline, changes),
        )
        for measure in measures
    ]
    return page.table(title, (title, *SIDE_BY_SIDE), rows)


def _change(
    measure: Measure,
    network: SeizureScores,
    baseline: SeizureScores,
    changes: Mapping[str, Difference],
) -> Cell:
    both = [measure.of(scores.pooled) for scores in (network, baseline)]
    return (
        page.UNKNOWN if np.isnan(both).any() else _signed_cell(changes[measure.key], measure.write)
    )


def _signed_cell(change: Difference, write: Callable[[float], str]) -> Cell:
    value, *bounds = (_signed(one, write) for one in change)
    return value if page.UNKNOWN in bounds else (value, " to ".join(bounds))


def _signed(value: float, write: Callable[[float], str]) -> str:
    if np.isnan(value):
        return page.UNKNOWN
    return ("−" if value < 0 else "+") + write(abs(value))


def _pooled(scores: SeizureScores, measure: Measure) -> Cell:
    interval = scores.intervals[measure.key]
    return _with_interval(measure.cell(scores.pooled), interval, measure)


def _averaged(scores: SeizureScores, measure: Measure, seed: int) -> Cell:
    if measure.key == RATE and np.isnan([measure.of(one) for one in scores.subjects]).any():
        return NOT_MEASURABLE
    values = {str(one.subjects): measure.of(one) for one in scores.subjects}
    interval = bootstrap_interval(values, lambda drawn: average(drawn).mean, seed=seed)
    return _with_interval(measure.write(average(values.values()).mean), interval, measure)


def _with_interval(text: str, interval: tuple[float, float], measure: Measure) -> Cell:
    if text in (page.UNKNOWN, NOT_MEASURABLE) or np.isnan(interval).any():
        return text
    return text, " to ".join(map(measure.write, interval))


def _comparison(network: SeizureScores, baseline: SeizureScores) -> str:
    pairs = [(one, one.of(network.pooled), one.of(baseline.pooled)) for one in MEASURES]
    known = [pair for pair in pairs if not np.isnan(pair[1:]).any()]
    lost = [
        f"{one.name} ({one.write(theirs)} against {one.write(ours)})"
        for one, ours, theirs in known
        if (theirs - ours) * one.better > 0 and one.write(theirs) != one.write(ours)
    ]
    if not known:
        return "Network and baseline cannot be compared: no score is known of both."
    among = f"of the {len(known)} pooled scores that are known of both"
    if not lost:
        return f"The baseline is ahead of the network on none {among}."
    return f"The baseline is ahead of the network on {len(lost)} {among}: {', '.join(lost)}."


def _by_patient(scores: SeizureScores) -> str:
    counted = ("Patient", "Hours", "Seizures", "Found", "False alarms")
    head = (*counted, *(page.capital(one.name) for one in MEASURES))
    rows = [_patient_row(", ".join(one.subjects), one) for one in scores.subjects]
    foot = _patient_row("All", scores.pooled)
    return page.table("Scores of the network by patient", head, rows, foot=foot, look="dense")


def _patient_row(name: str, one: SubjectScore) -> tuple[str, ...]:
    counts = (one.events.references, one.events.true_positives, one.events.false_positives)
    return name, f"{one.hours:.2f}", *map(str, counts), *(m.cell(one) for m in MEASURES)
