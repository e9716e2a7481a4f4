"""What the report says of typed seizures: scores, each type, and which types are confused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ranvier import page
from ranvier.baseline import NAMES
from ranvier.page import Cell
from ranvier.scoring.seizure_type import SeizureTypeScores
from ranvier.tasks.seizure_type import NAN_RULE, SCORER, TypeScore

if TYPE_CHECKING:
    from ranvier.all_folds import AllFolds

METRICS = {
    "weighted_f1": "Weighted F1",
    "macro_f1": "Macro-F1",
    "accuracy": "Accuracy",
    "kappa": "Kappa",
}
KINDS = {"outputs": "by output", "seizures": "by seizure"}
EXPLAINED = (
    "Below a score stands its 95 % interval over subjects (bootstrap), where there are several. "
    f"The baseline is {NAMES['seizure_type']}.",
    f"{page.UNKNOWN} is a score that is NaN. {NAN_RULE}",
    f"Scorer: {SCORER}.",
)


def seizure_type_sections(evaluation: AllFolds) -> Sequence[str]:
    """Set everything that only typing has to say, one text for each section.

    Parameters
    ----------
    evaluation
        Of the task ``"seizure_type"``.
    """
    network, baseline = evaluation.scores, evaluation.baseline_scores
    columns, *rows = network.table(baseline)
    pooled = network.pooled
    left_out = (
        f"Without a valid answer: {page.count(pooled.unanswered_outputs, 'output')} and "
        f"{page.count(pooled.unanswered_seizures, 'seizure')}."
    )
    return (
        page.section(
            "Scores",
            _averages(network, baseline),
            *(page.paragraph(text, look="soft") for text in (left_out, *EXPLAINED)),
            page.table("Scores by subject", columns, rows, look="dense"),
        ),
        page.section("Each type", *(_by_type(getattr(pooled, one), one) for one in KINDS)),
        page.section(
            "Which types are confused", *(_confusion(getattr(pooled, one), one) for one in KINDS)
        ),
    )


def _averages(network: SeizureTypeScores, baseline: SeizureTypeScores) -> str:
    head = ("", *(f"{who}, {how}" for how in KINDS.values() for who in ("Network", "Baseline")))
    rows = [
        (name, *(_cell(who, kind, key) for kind in KINDS for who in (network, baseline)))
        for key, name in METRICS.items()
    ]
    return page.table("Scores of the network and the baseline", head, rows)


def _cell(scores: SeizureTypeScores, kind: str, metric: str) -> Cell:
    value = page.share(getattr(getattr(scores.pooled, kind), metric))
    interval = scores.intervals[f"{kind}.{metric}"]
    if value == page.UNKNOWN or any(map(math.isnan, interval)):
        return value
    return value, " to ".join(map(page.share, interval))


def _by_type(score: TypeScore, kind: str) -> str:
    columns = (score.precision, score.recall, score.f1)
    rows = [
        (name, str(score.marked[i]), *(page.share(float(column[i])) for column in columns))
        for i, name in enumerate(score.names)
    ]
    head = (f"Of the network, {KINDS[kind]}", "Marked", "Precision", "Recall", "F1")
    return page.table(f"Scores of each type, {KINDS[kind]}", head, rows)


def _confusion(score: TypeScore, kind: str) -> str:
    head = (f"Marked, {KINDS[kind]}", *(f"Found {name}" for name in score.names))
    counts = score.confusion.tolist()
    rows = [(name, *map(str, row)) for name, row in zip(score.names, counts, strict=True)]
    return page.table(f"Types marked and found, {KINDS[kind]}", head, rows)
