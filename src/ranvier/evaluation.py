"""Training and testing by subject: folds, baselines, and results that say what they rest on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.all_folds import AllFolds
from ranvier.baseline import Baseline, baseline_stages, fit_baseline
from ranvier.beside import lag_tuning, predict_beside
from ranvier.datasets import opened
from ranvier.decisions import AlarmRule, Rule
from ranvier.decoding import Prediction
from ranvier.fitting import (
    Progressed,
    certificate_of,
    fit_decoder,
    folder_for,
    informative,
    prepare_annotated,
    select,
    truth_of,
    versions,
)
from ranvier.fold_files import (
    FoldResult,
    Plan,
    complete_fold,
    finite,
    keep_fold,
    keep_plan,
    key_of,
    place_of,
    read_fold,
    write_json,
)
from ranvier.leftovers import forget_fold, forget_others
from ranvier.official_split import in_official_parts, official_fold
from ranvier.recipe import Recipe, chosen_recipe
from ranvier.recording import Recording
from ranvier.report import write_report
from ranvier.splits import (
    Fold,
    cut_by_protocol,
    folds_by_subject,
    folds_in_time,
)
from ranvier.starting import check_start
from ranvier.store import Prepared, Stages, check_can_be_cut, stages_done
from ranvier.thresholds import choose_threshold
from ranvier.truth import Truth
from ranvier.writing import alone

__all__ = ["Evaluation", "FoldResult", "evaluate", "finite", "run_fold", "write_json"]

if TYPE_CHECKING:
    from ranvier.formats import Source

log = logging.getLogger("ranvier")


class Evaluation(AllFolds):
    """What all folds gave together, and the page about it."""

    def report(self, path: str | Path) -> Path:
        """Write one self-contained page."""
        return write_report(self, Path(path))


def evaluate(
    task: str,
    recordings: Source,
    *,
    out: str | os.PathLike[str] | None = None,
    folds: int = 0,
    official: bool = False,
    only: int | None = None,
    workers: int = 1,
    recipe: Recipe | None = None,
    progress: Progressed | None = None,
    **settings: Any,
) -> Evaluation:
    """Train and test: on people, or on later parts, that nothing was trained or chosen on.

    Parameters
    ----------
    task
        ``"seizure"``, ``"seizure_type"``, ``"sleep"`` or ``"movement"``.
    recordings
        With annotations; or what ``read`` takes.
    out
        Where everything is kept, one folder for each fold; folds that are done are not run again.
        By default nothing is kept.
    folds
        How many; 0 leaves one subject out at a time. Of parts in time there is one for each
        recording, or by the protocol ``"blocked"`` as many for each as are told, else 5.
    official
        Learn from the part of the data set that is published for that, choose on the second and
        test on the third, in one fold. A person in two parts stays in the later one alone, with a
        note.
    only
        Run this fold alone, counted from 0.
    workers
        Folds that are run side by side, each in a process of its own.
    recipe
        What to train, and how; or give its fields as keywords.
    progress
        Told how far it is.
    **settings
        Fields of ``Recipe``, such as ``network="rest"``.

    Raises
    ------
    ValueError
        If the recordings cannot be split, or not learnt from.
    """
    recipe = chosen_recipe(task, recipe, settings)
    with folder_for(out) as folder, alone(folder):
        given = _given(opened(recordings), recipe, folds, official=official)
        check_start(recipe, given)
        prepared = prepare_annotated(given, recipe, folder / "prepared", progress)
        split = [official_fold(prepared)] if official else _split(prepared, recipe, folds)
        if only is not None and not 0 <= only < len(split):
            raise ValueError(f"Invalid fold: {only}, must be from 0 to {len(split) - 1}")
        chosen = split if only is None else [split[only]]
        _check_something_to_learn(chosen, informative(prepared, recipe.learnt), recipe.task)
        if workers < 1:
            raise ValueError(f"Invalid workers: {workers}, must be at least 1")
        stages = baseline_stages(recipe.task, recipe.stages)
        _check_done_alike(given, recipe.stages, stages)
        plain = prepare_annotated(given, replace(recipe, stages=stages), folder / "prepared", None)
        both = list(zip(prepared, plain, strict=True))
        keys = {place_of(fold): _fold_key(prepared, fold, recipe) for fold in split}
        said = forget_others(folder, keys)
        keep_plan(folder, Plan(recipe, keys, versions()))
        results = _run_folds(both, chosen, recipe, folder, workers=workers, progress=progress)
    shown = [one for one in given if not stages_done(one, recipe.stages)]
    return Evaluation(recipe, results, versions(), recordings=shown, said=said)


def _check_done_alike(recordings: Sequence[Recording], stages: Stages, plain: Stages) -> None:
    """Refuse stages of a store that the network goes on from and the baseline cannot."""
    for one in recordings:
        if (done := stages_done(one, stages)) > stages_done(one, plain):
            raise ValueError(
                f"Invalid stages: {one.name} was prepared with the first {done} stages of the "
                "network, must be with as many as those of the baseline begin with, too: prepare "
                f"with fewer of them, such as {_shared(stages, plain)}"
            )


def _shared(stages: Stages, plain: Stages) -> str:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(stages, plain, strict=False))
    return ", ".join(str(one["stage"]) for one, _ in same) or "none"


def _given(
    recordings: Sequence[Recording], recipe: Recipe, folds: int, *, official: bool
) -> list[Recording]:
    if official and (recipe.in_time or folds):
        raise ValueError(
            f"Invalid official: True with the split {recipe.split_by!r} and {folds} folds, must be "
            "with the split 'subject' and no number of folds"
        )
    if official:
        return in_official_parts(recordings)
    if not recipe.in_time:
        return list(recordings)
    check_can_be_cut(recordings, recipe.stages, recipe.split_by)
    return cut_by_protocol(recordings, recipe.split_by, blocks=folds)


def _split(prepared: Sequence[Prepared], recipe: Recipe, folds: int) -> list[Fold]:
    subjects = {one.subject for one in prepared}
    if recipe.in_time:
        return folds_in_time(subjects, recipe.split_by)
    known = informative(prepared, recipe.learnt)
    return folds_by_subject(subjects, folds=folds, seed=recipe.seed, informative=known)


def _check_something_to_learn(folds: Sequence[Fold], known: set[str], task: str) -> None:
    what = {
        "seizure": "seizure",
        "seizure_type": "seizure of a known type",
        "sleep": "hypnogram",
        "movement": "trajectory",
    }[task]
    for fold in folds:
        if not known & set(fold.train):
            raise ValueError(
                f"Nothing to learn in fold {fold.number + 1}: none of its training subjects "
                f"{', '.join(fold.train)} has an annotated {what}, "
                + (f"only {', '.join(sorted(known))} has" if known else "and nobody else has")
            )


Both = Sequence[tuple[Prepared, Prepared]]
"""Each recording as prepared for the network, and for the baseline."""


def _run_folds(
    both: Both,
    folds: Sequence[Fold],
    recipe: Recipe,
    folder: Path,
    *,
    workers: int,
    progress: Progressed | None,
) -> list[FoldResult]:
    if workers <= 1 or len(folds) == 1:
        return [run_fold(both, fold, recipe, folder, progress) for fold in folds]
    from joblib import Parallel, delayed

    run = delayed(_run_fold_alone)
    jobs = [run(both, fold, recipe, folder) for fold in folds]
    results = []
    for result in Parallel(n_jobs=workers, return_as="generator")(jobs):
        results.append(result)
        if progress:
            progress("folds", len(results), len(folds))
    return results


def _run_fold_alone(both: Both, fold: Fold, recipe: Recipe, folder: Path) -> FoldResult:
    import torch

    torch.set_num_threads(1)
    return run_fold(both, fold, recipe, folder, None)


def run_fold(
    both: Both,
    fold: Fold,
    recipe: Recipe,
    folder: Path,
    progress: Progressed | None,
) -> FoldResult:
    """Train and test one fold, or read what it gave before."""
    place = folder / place_of(fold)
    prepared, plain = ([pair[i] for pair in both] for i in (0, 1))
    tested = select(prepared, fold.test)
    truth = truth_of(tested)
    key = _fold_key(prepared, fold, recipe)
    if (done := _done_before(place, key, truth)) is not None:
        return done
    place.mkdir(parents=True, exist_ok=True)
    with _logging_to(place / "log.txt"):
        decoder, fitted = fit_decoder(prepared, fold, recipe, place, progress)
        log.info("rule %s", decoder.rule)
        predictions = [decoder.predict_prepared(one) for one in tested]
        baseline = _fit_baseline(plain, fold, recipe, decoder.rule)
        alike = [
            baseline.predict(one).where_valid(like)
            for one, like in zip(select(plain, fold.test), predictions, strict=True)
        ]
        beside = _predict_beside(plain, fold, recipe, decoder.rule, predictions)
        lags = lag_tuning(recipe.task, select(plain, fold.train), decoder.rule)
    certificate = certificate_of(decoder, fold)
    found = certificate, decoder, predictions, alike, truth, baseline.rule, fitted.history
    result = FoldResult(*found, beside, lags)
    keep_fold(place, key, result)
    return result


def _predict_beside(
    plain: Sequence[Prepared],
    fold: Fold,
    recipe: Recipe,
    rule: Rule,
    predictions: Sequence[Prediction],
) -> dict[str, list[Prediction]]:
    """Fit the other plain decoders to the training part, and decode where the network answers."""
    train, test = select(plain, fold.train), select(plain, fold.test)
    found = predict_beside(recipe.task, train, test, rule, seed=recipe.seed)
    return {
        name: [a.where_valid(like) for a, like in zip(own, predictions, strict=True)]
        for name, own in found.items()
    }


def _fit_baseline(plain: Sequence[Prepared], fold: Fold, recipe: Recipe, rule: Rule) -> Baseline:
    baseline = fit_baseline(recipe.task, select(plain, fold.train), rule)
    if not isinstance(rule, AlarmRule):
        return baseline
    validation = select(plain, fold.validation)
    predictions = [baseline.predict(one) for one in validation]
    budget = recipe.false_alarms_per_day
    choice = choose_threshold(predictions, truth_of(validation), rule, budget=budget)
    return baseline.decided_by(replace(rule, threshold=choice.threshold))


def _fold_key(prepared: Sequence[Prepared], fold: Fold, recipe: Recipe) -> str:
    recordings = [[one.name, one.path.name, str(one.truth)] for one in prepared]
    weights = Path(recipe.weights).read_bytes() if recipe.weights else b""
    given = hashlib.sha256(weights).hexdigest()
    described = json.dumps([asdict(recipe), asdict(fold), recordings, given], default=str)
    return hashlib.sha256(described.encode()).hexdigest()


def _done_before(place: Path, key: str, truth: Mapping[str, Truth]) -> FoldResult | None:
    try:
        if key_of(place) != key:
            if key_of(place) is not None:
                forget_fold(place)
            return None
        done = read_fold(place, truth)
        complete_fold(place, truth)
    except ValueError as error:
        log.info("%s; beginning anew", error)
        return None
    return done


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        handler.close()
