"""``ranvier evaluate``: cross-validation by subject, with a report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.commands import (
    UNANNOTATED,
    Answer,
    check_folder,
    grouped,
    showing_progress,
    use_threads,
)
from ranvier.fitting import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ranvier.evaluation import Evaluation, FoldResult
    from ranvier.live.runner import Certified
    from ranvier.recording import Recording
    from ranvier.scoring import SubjectScore

LONGEST_CERTIFIED = 1800.0
"""Seconds of a held-out recording on which file and live are compared."""


def evaluate(
    *,
    data: str,
    out: str,
    recipe: Recipe,
    folds: int = 0,
    fold: int | None = None,
    threads: int = 1,
    workers: int = 1,
) -> Answer:
    """Train and test by subject, score, and write a report.

    Parameters
    ----------
    data
        Folder of annotated recordings.
    out
        Folder for the report, the scores and one folder for each fold; folds that are done are
        not run again.
    recipe
        What is trained, and how.
    folds
        How many; 0 leaves one subject out at a time.
    fold
        Run this fold alone, counted from 0.
    threads
        For computing, in each worker.
    workers
        Folds that are run side by side.
    """
    from ranvier.evaluation import evaluate as run
    from ranvier.formats import read

    check_folder(out)
    use_threads(threads)
    recordings = read(data)
    with showing_progress() as progress:
        evaluation = run(
            recipe.task,
            recordings,
            recipe=recipe,
            out=out,
            folds=folds,
            only=fold,
            workers=workers,
            progress=progress,
        )
    return answer_for(evaluation, recordings, Path(out))


def answer_for(evaluation: Evaluation, recordings: Sequence[Recording], out: Path) -> Answer:
    """Certify on a held-out recording, write the report, and say what came out."""
    from ranvier.evaluation import write_json
    from ranvier.report import headline, write_report

    certified, latency = certify_held_out(evaluation, recordings)
    scores = evaluation.scores
    content = {**evaluation.as_dict(), "certified": str(certified), "latency": latency}
    write_json(out / "scores.json", content)
    report = write_report(evaluation, out / "report.html", certified=certified, latency=latency)
    lines = [headline(scores), "", *table(evaluation), "", str(certified), f"Report: {report}"]
    notes = [(name, note) for name, found in evaluation.notes.items() for note in found]
    notes += [(one.name, UNANNOTATED) for one in recordings if one.events is None]
    return Answer("\n".join(lines), content, grouped(notes), failed=not certified.equal)


COLUMNS = (
    "subject", "seizures", "found", "false alarms", "per 24 h", "F1", "AUROC", "median delay"
)  # fmt: skip


def table(evaluation: Evaluation) -> list[str]:
    """Return the scores as lines of text: a row for each subject, then all, then the baseline."""
    scores, plain = evaluation.scores, evaluation.baseline_scores
    rows = [row(", ".join(one.subjects), one) for one in scores.subjects]
    rows += [row("all", scores.pooled), row("baseline, all", plain.pooled)]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    return ["  ".join(map(str.rjust, line, widths)) for line in (COLUMNS, *rows)]


def row(name: str, one: SubjectScore) -> tuple[str, ...]:
    """Return the cells of one row; a dash where a score has no meaning."""
    events = one.events
    rate = f"{events.false_alarms_per_day:.1f}" if events.false_alarms_measurable else "-"
    return (
        name,
        str(events.references),
        str(events.true_positives),
        str(events.false_positives),
        rate,
        shown(events.f1),
        shown(one.auroc),
        "-" if math.isnan(one.median_delay) else f"{one.median_delay:.0f} s",
    )


def shown(value: float) -> str:
    """Return a score in three digits, or a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def telling(evaluation: Evaluation) -> tuple[FoldResult, str]:
    """Return a fold and the name of a tested recording, one with detections if there is one."""
    tested = [(fold, one) for fold in evaluation.folds for one in fold.predictions]
    fold, prediction = max(tested, key=lambda pair: len(pair[1].events) > 0)
    return fold, prediction.name


def certify_held_out(
    evaluation: Evaluation, recordings: Sequence[Recording]
) -> tuple[Certified, dict[str, Any]]:
    """Decode the beginning of a tested recording as a file and live, by its fold's decoder."""
    from ranvier.live.runner import certify, latencies, run
    from ranvier.live.sources import Replay

    fold, name = telling(evaluation)
    recording = next(one for one in recordings if one.name == name).until(LONGEST_CERTIFIED)
    messages = list(run(fold.decoder, Replay(recording.until(60.0), speed=0)))
    return certify(fold.decoder, recording), latencies(messages)
