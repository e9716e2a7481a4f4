"""``ranvier score``: any predictions against what is annotated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ranvier.commands import Answer, grouped
from ranvier.commands.scored_tables import annotated_in, detected_in
from ranvier.page import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ranvier.commands.scored_tables import Annotated
    from ranvier.scoring.seizure_tables import TableScores
    from ranvier.tasks.bootstrap import Difference
    from ranvier.tasks.seizure_events import Tally

COLUMNS = (
    "scorer", "found", "false", "per 24 h", "sensitivity", "precision", "F1", "F1, averaged"
)  # fmt: skip
CHANGES = {
    "sensitivity": "+.3f", "precision": "+.3f", "f1": "+.3f", "false_alarms_per_day": "+.1f"
}  # fmt: skip
"""Differences that are shown, and how they are written."""


def score(
    reference: str,
    hypothesis: str,
    *,
    task: Literal["seizure"] = "seizure",
    resolution: Literal["exact", "tsv"] = "exact",
    against: str = "",
) -> Answer:
    """Score tables of events against annotated ones, by SzCORE and by other rules.

    Parameters
    ----------
    reference, hypothesis
        What is annotated: recordings, or HED-SCORE tables; and tables of detections with the names
        that ``ranvier decode`` gives them. Two files, or two folders.
    task
        What was decoded: seizure.
    resolution
        exact, or tsv for times cut down to whole seconds as SzCORE's evaluation does.
    against
        Detections of another system on the same recordings; the differences to it are given, with
        95 % intervals from drawing the same patients for both.
    """
    from ranvier.commands.evaluate import aligned
    from ranvier.scoring.seizure_tables import compare_tables

    annotated, notes = annotated_in(existing(reference))
    scored, said = score_found(annotated, hypothesis, reference, resolution)
    notes += said
    lines = [headline(task, scored), "", *aligned(rows_of(scored))]
    content = scored.as_dict()
    if against:
        other, more = score_found(annotated, against, reference, resolution)
        differences = compare_tables(scored, other)
        notes += [(f"{against}: {name}", note) for name, note in more if (name, note) not in notes]
        lines += ["", f"difference to {against}, pooled, and its 95 % interval over patients:", ""]
        lines += aligned(change_rows(differences))
        content["against"] = {"scores": other.as_dict(), "differences": plain(differences)}
    content["notes"] = grouped(notes)
    return Answer("\n".join(lines), content, content["notes"])


def score_found(
    annotated: Mapping[str, Annotated],
    hypothesis: str,
    reference: str,
    resolution: Literal["exact", "tsv"],
) -> tuple[TableScores, list[tuple[str, str]]]:
    """Score detections against what is annotated, and say what was cut, missing or not understood.

    Raises
    ------
    ValueError
        If one is a folder and the other is not, or there is nothing to compare.
    """
    from ranvier.scoring.seizure_tables import score_tables

    path = existing(hypothesis)
    if path.is_dir() != Path(reference).is_dir():
        raise ValueError(
            f"Invalid reference and hypothesis: {reference} and {hypothesis}, must be two files or "
            "two folders"
        )
    found, notes = detected_in(path, annotated)
    tables = {name: (*one, found.get(name)) for name, one in annotated.items()}
    scored = score_tables(tables, resolution=resolution)
    return scored, [*notes, *scored.notes]


def existing(path: str) -> Path:
    """Return the path of something that is there.

    Raises
    ------
    ValueError
        If it is not.
    """
    if not Path(path).exists():
        raise ValueError(f"Cannot read {path}: no such file or folder")
    return Path(path)


def headline(task: str, scored: TableScores) -> str:
    """Say in one sentence what was found, by the events of SzCORE."""
    events = scored.summaries["events"].pooled
    return (
        f"{task}: {events.true_positives} of {events.references} found, "
        f"{count(round(events.false_positives), 'false alarm')} in {events.seconds / 3600:.2f} h; "
        f"sensitivity {shown(events.sensitivity)}, precision {shown(events.precision)}, "
        f"F1 {shown(events.f1)}, {false_alarms(events)}"
    )


def rows_of(scored: TableScores) -> list[tuple[str, ...]]:
    """Return the names of the columns, then a row for each scorer."""
    from ranvier.tasks.seizure_scorers import TITLES

    rows: list[tuple[str, ...]] = [COLUMNS]
    for name, summary in scored.summaries.items():
        pooled = summary.pooled
        rate = pooled.false_alarms_per_day if pooled.false_alarms_measurable else math.nan
        shares = (pooled.sensitivity, pooled.precision, pooled.f1, summary.averaged["f1"].mean)
        found = f"{pooled.true_positives:.4g} of {pooled.references}"
        false = f"{pooled.false_positives:.4g}"
        rows.append((TITLES.get(name, name), found, false, shown(rate, ".1f"), *map(shown, shares)))
    return rows


def change_rows(differences: Mapping[str, Mapping[str, Difference]]) -> list[tuple[str, ...]]:
    """Return the names of the columns, then a row of differences for each scorer."""
    from ranvier.tasks.seizure_scorers import TITLES

    head = ("scorer", "sensitivity", "precision", "F1", "per 24 h")
    rows = [
        (TITLES.get(name, name), *(change(by[metric], CHANGES[metric]) for metric in CHANGES))
        for name, by in differences.items()
    ]
    return [head, *rows]


def change(difference: Difference, form: str) -> str:
    """Write a difference and its interval, if there is one."""
    value, low, high = difference
    bounds = "" if math.isnan(low) else f" ({low:{form}} to {high:{form}})"
    return shown(value, form) + bounds


def plain(differences: Mapping[str, Mapping[str, Difference]]) -> dict[str, Any]:
    """Return differences in plain types; what is NaN becomes None."""
    from ranvier.decisions import none_for_nan

    return {
        name: {metric: [none_for_nan(one) for one in values] for metric, values in by.items()}
        for name, by in differences.items()
    }


def shown(value: float, form: str = ".3f") -> str:
    """Return a score in digits, or a dash for NaN."""
    return "-" if math.isnan(value) else format(value, form)


def false_alarms(events: Tally) -> str:
    """Say the rate of false alarms, if there is enough background to speak of one."""
    if not events.false_alarms_measurable:
        return "false alarms per 24 h not measurable on this little background"
    return f"{events.false_alarms_per_day:.1f} false alarms per 24 h"
