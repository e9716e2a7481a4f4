"""Scores of an evaluation that was kept: again, or by another rule, without training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from ranvier.certificate import Certificate
from ranvier.decisions import AlarmRule, Rule
from ranvier.evaluation import Evaluation
from ranvier.fold_files import (
    FoldResult,
    key_of,
    read_fold,
    read_json,
    read_plan,
    reading,
    write_json,
)
from ranvier.formats import FOLDS
from ranvier.live.runner import Certified

LIVE = "live.json"
BY_HAND = "rule of alarms, set by hand when the scores were known,"
"""What a certificate says, with the test part, of a rule that was given when scoring again."""


def load_evaluation(folder: str | os.PathLike[str], **rule: float) -> Evaluation:
    """Read an evaluation from its folder, to be scored and reported again.

    Nothing is trained, and the recordings are not needed. Folds that are not finished are left out;
    ``Evaluation.missing`` names them.

    Parameters
    ----------
    folder
        The ``out`` of ``evaluate``.
    **rule
        Fields of ``AlarmRule``, such as ``threshold=0.7``, by which the kept probabilities are
        decided again. The baseline keeps the threshold that was chosen for it. The certificate then
        says that the rule was set by hand, when the test part was known.

    Raises
    ------
    ValueError
        If there is no evaluation, no finished fold, a file is broken, the folder was kept without
        what is annotated, or the rule is impossible.
    """
    place = Path(folder)
    plan = read_plan(place)
    done = {name for name, key in plan.keys.items() if key_of(place / name) == key}
    if not done:
        raise ValueError(f"{place} has no finished fold: there is nothing to score")
    folds = [read_fold(place / name) for name in plan.keys if name in done]
    missing = tuple(name for name in plan.keys if name not in done)
    evaluation = Evaluation(plan.recipe, folds, plan.versions, missing)
    return decided_by(evaluation, rule) if rule else evaluation


def decided_by(evaluation: Evaluation, rule: Mapping[str, float]) -> Evaluation:
    """Decide all outputs of an evaluation again, by some other fields of the rule.

    Parameters
    ----------
    evaluation
        Of a task that raises alarms.
    rule
        Fields of ``AlarmRule``; the others stay as they are in each fold.

    Raises
    ------
    ValueError
        If there are no alarms, or a field is unknown or impossible.
    """
    options = [one.name for one in fields(AlarmRule)]
    if unknown := sorted(set(rule) - set(options)):
        raise ValueError(f"Invalid rule: {unknown}, possible options: {options}")
    if not all(isinstance(fold.decoder.rule, AlarmRule) for fold in evaluation.folds):
        raise ValueError(
            f"Invalid rule: {sorted(rule)} for the task {evaluation.recipe.task!r}, must be for a "
            "task that raises alarms"
        )
    recipe = replace(evaluation.recipe, rule=_changed(evaluation.recipe.rule, rule))
    return replace(
        evaluation, recipe=recipe, folds=[_decide(one, rule) for one in evaluation.folds]
    )


def _decide(fold: FoldResult, rule: Mapping[str, float]) -> FoldResult:
    decided = _changed(fold.decoder.rule, rule)
    plain = {name: value for name, value in rule.items() if name != "threshold"}
    beside = _changed(fold.baseline_rule, plain)
    return replace(
        fold,
        certificate=_by_hand(fold.certificate, rule),
        decoder=replace(fold.decoder, rule=decided),
        predictions=[one.decided_by(decided) for one in fold.predictions],
        baseline=[one.decided_by(beside) for one in fold.baseline],
        baseline_rule=beside,
    )


def _changed(rule: Rule, changes: Mapping[str, Any]) -> Any:
    return replace(rule, **changes)


def _by_hand(certificate: Certificate, rule: Mapping[str, float]) -> Certificate:
    """Say that the rule was given by someone who may have seen what it leads to."""
    gone = "alarm threshold" if "threshold" in rule else BY_HAND
    kept = {what: part for what, part in certificate.chosen_on.items() if not what.startswith(gone)}
    return replace(certificate, chosen_on={**kept, BY_HAND: "test"})


def keep_live(folder: Path, certified: Certified, latency: Mapping[str, Any]) -> None:
    """Keep whether file and stream agreed, and how fast it was, beside the folds it is about."""
    about = {"folds": read_json(folder / FOLDS)["folds"], "certified": asdict(certified)}
    write_json(folder / LIVE, {**about, "latency": latency})


def read_live(folder: Path) -> tuple[Certified | None, dict[str, Any]]:
    """Read what ``keep_live`` wrote; None and nothing where it is not about these folds.

    Raises
    ------
    ValueError
        If the file is broken.
    """
    if not (folder / LIVE).exists():
        return None, {}
    about = read_json(folder / LIVE)
    with reading(folder / LIVE):
        if about["folds"] != read_json(folder / FOLDS)["folds"]:
            return None, {}
        known = about["certified"]
        unlike = float("inf") if known["difference"] is None else known["difference"]
        return Certified(**{**known, "difference": unlike}), dict(about["latency"])
