"""``ranvier score``: any predictions against what is annotated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ranvier.commands import Answer, grouped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ranvier.scoring.seizure_tables import TableScores
    from ranvier.tasks.bootstrap import Difference
    from ranvier.tasks.seizure_events import Tally
    from ranvier.truth import Events

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
        Two HED-SCORE tables, or two folders of them with the same names.
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

    scored, notes = score_pairs(reference, hypothesis, resolution)
    lines = [headline(task, scored), "", *aligned(rows_of(scored))]
    content = scored.as_dict()
    if against:
        other, more = score_pairs(reference, against, resolution)
        differences = compare_tables(scored, other)
        notes += [(f"{against}: {name}", note) for name, note in more if (name, note) not in notes]
        lines += ["", f"difference to {against}, pooled, and its 95 % interval over patients:", ""]
        lines += aligned(change_rows(differences))
        content["against"] = {"scores": other.as_dict(), "differences": plain(differences)}
    return Answer("\n".join(lines), content, grouped(notes))


def score_pairs(
    reference: str, hypothesis: str, resolution: Literal["exact", "tsv"]
) -> tuple[TableScores, list[tuple[str, str]]]:
    """Read and score tables, and say what was cut or missing."""
    from ranvier.formats import read_events
    from ranvier.scoring.seizure_tables import score_tables

    cut: list[tuple[str, str]] = []

    def table_of(path: Path) -> Events:
        events, said = clip_table(read_events(path))
        cut.extend((path.name, note) for note in said)
        return events

    pairs = pair(Path(reference), Path(hypothesis))
    tables = {
        name: (subject_of(name), table_of(one), table_of(two) if two else None)
        for name, (one, two) in pairs.items()
    }
    scored = score_tables(tables, resolution=resolution)
    return scored, [*cut, *scored.notes]


def headline(task: str, scored: TableScores) -> str:
    """Say in one sentence what was found, by the events of SzCORE."""
    events = scored.summaries["events"].pooled
    return (
        f"{task}: {events.true_positives} of {events.references} found, "
        f"{events.false_positives} false alarms in {events.seconds / 3600:.2f} h; "
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


def clip_table(events: Events) -> tuple[Events, list[str]]:
    """Cut events to the duration that their table gives, and say so."""
    from ranvier.formats import clip_events

    return (events, []) if math.isnan(events.duration) else clip_events(events, events.duration)


def shown(value: float, form: str = ".3f") -> str:
    """Return a score in digits, or a dash for NaN."""
    return "-" if math.isnan(value) else format(value, form)


def false_alarms(events: Tally) -> str:
    """Say the rate of false alarms, if there is enough background to speak of one."""
    if not events.false_alarms_measurable:
        return "false alarms per 24 h not measurable on this little background"
    return f"{events.false_alarms_per_day:.1f} false alarms per 24 h"


def pair(reference: Path, hypothesis: Path) -> dict[str, tuple[Path, Path | None]]:
    """Find for each annotated table the one with detections, by its name.

    Raises
    ------
    ValueError
        If one is a folder and the other is not, or there are no tables.
    """
    for path in (reference, hypothesis):
        if not path.exists():
            raise ValueError(f"Cannot read {path}: no such file or folder")
    if reference.is_dir() != hypothesis.is_dir():
        raise ValueError(
            f"Invalid reference and hypothesis: {reference} and {hypothesis}, must be two files or "
            "two folders"
        )
    if not reference.is_dir():
        return {reference.name: (reference, hypothesis)}
    found, wanted = tables_in(hypothesis), tables_in(reference)
    if not wanted:
        raise ValueError(f"No tables found in {reference}, expected files *_events.tsv")
    return {name: (path, found.get(name)) for name, path in wanted.items()}


def tables_in(folder: Path) -> dict[str, Path]:
    """Find the tables of events in a folder by name.

    Raises
    ------
    ValueError
        If two have the same name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*_events.tsv")):
        if other := found.get(path.name):
            raise ValueError(f"Invalid folder: {other} and {path} have the same name")
        found[path.name] = path
    return found


def subject_of(name: str) -> str:
    """Return the subject of a table by its name in BIDS, or the name itself."""
    return name.split("_", maxsplit=1)[0].removeprefix("sub-") if name.startswith("sub-") else name
