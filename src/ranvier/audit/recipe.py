"""Ranvier's own pipeline for the auditor: a recipe, from recordings to a decoder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.audit import Audit, Outputs, Trained, Windows, audit
from ranvier.audit.subject import Run
from ranvier.decoder import Decoder, weights_hash
from ranvier.decoding import Prediction, rule_as_dict
from ranvier.evaluation import Evaluation
from ranvier.fit import Fitted
from ranvier.fitting import assume_subject, fit_decoder, prepare_annotated, select
from ranvier.fold_files import FoldResult, keep_fold, key_of, place_of
from ranvier.networks import NETWORKS, make_network
from ranvier.recipe import Recipe
from ranvier.recording import Recording
from ranvier.splits import PARTS, PARTS_IN_TIME, Fold, cut_in_time
from ranvier.store import Prepared

SECONDS = {"sleep": 900.0, "movement": 120.0}
"""Of each recording that are audited; of other tasks three minutes."""
MOST = {"train": 2, "validation": 1, "test": 1}
"""Subjects of each part that are audited, one recording of each."""


def audit_recipe(
    recordings: Sequence[Recording],
    recipe: Recipe,
    fold: Fold,
    *,
    passes: int = 1,
    seconds: float | None = None,
    seed: int = 0,
) -> Audit:
    """Audit one fold of an evaluation, with a training that is cut down.

    Parameters
    ----------
    recordings
        As they were given to ``evaluate``; one patient under two names is looked for among all.
    recipe
        What was trained; the same but for the passes, and on the CPU, is trained twice.
    fold
        As in the certificate of the evaluation; some of its subjects are taken.
    passes
        Over the training stretches.
    seconds
        Of each recording, from before something changes in its annotation; None for minutes.
    seed
        Of the noise in changed signals.

    Raises
    ------
    ValueError
        If there is nothing to learn from in so little.
    """
    length = SECONDS.get(recipe.task, 180.0) if seconds is None else seconds
    named = [one if one.subject else assume_subject(one) for one in recordings]
    few, part = _few(named, recipe, fold, length)
    training = replace(recipe.training, passes=min(passes, recipe.training.passes))
    small = replace(recipe, training=training, device="cpu")
    longest = max(one.duration for one in few)
    about = f"fold {fold.number + 1}, {_how(small)}, {len(few)} recordings of up to {longest:.0f} s"
    with tempfile.TemporaryDirectory(prefix="ranvier-audit-") as folder:
        run = recipe_run(small, Path(folder))
        return audit(run, few, part, among=named, seed=seed, about=about)


def _how(recipe: Recipe) -> str:
    module, _, name = NETWORKS[recipe.network].partition(":")
    passes = recipe.training.passes
    solved = hasattr(getattr(import_module(module), name), "solve")
    return "solved" if solved else f"{passes} pass{'es' * (passes > 1)}"


def _few(
    recordings: Sequence[Recording], recipe: Recipe, fold: Fold, seconds: float
) -> tuple[list[Recording], Fold]:
    """Return the beginnings of some recordings, and the fold of their subjects."""
    annotated = [one for one in recordings if recipe.learnt.truth_of(one) is not None]
    if recipe.in_time:
        whole = {subject.rpartition("_part-")[0] for subject in fold.train}
        short = [_shortened(one, recipe, seconds) for one in annotated if one.name in whole]
        parts = sum(len(getattr(fold, part)) for part in PARTS) // max(1, len(short))
        even = (1 / parts,) * parts if recipe.split_by == "blocked" else PARTS_IN_TIME
        return cut_in_time(short, even), fold
    taken = {part: _telling(annotated, recipe, fold, part) for part in PARTS}
    few = [_shortened(one, recipe, seconds) for part in PARTS for one in taken[part]]
    train, validation, test = (tuple(one.subject for one in taken[part]) for part in PARTS)
    return few, replace(fold, train=train, validation=validation, test=test)


def _telling(
    recordings: Sequence[Recording], recipe: Recipe, fold: Fold, part: str
) -> list[Recording]:
    """Return a recording of each of some subjects, those with something to find first."""
    own = [one for one in recordings if one.subject in getattr(fold, part)]
    ordered = sorted(own, key=lambda one: _first_change(one, recipe) is None)
    first: dict[str, Recording] = {}
    for one in ordered:
        first.setdefault(one.subject, one)
    return list(first.values())[: MOST[part]]


def _first_change(recording: Recording, recipe: Recipe) -> float | None:
    """Return the second at which the annotation first changes, if it does."""
    truth = recipe.learnt.truth_of(recording)
    times = np.arange(1.0, recording.duration)
    if truth is None or len(times) < 2:
        return None
    targets = np.asarray(truth.targets(times, 1.0), dtype=float).reshape(len(times), -1)
    step = np.abs(np.diff(targets, axis=0)).sum(axis=1)
    changed = np.flatnonzero(step > 0)
    return float(times[changed[0]]) if len(changed) else None


def _shortened(recording: Recording, recipe: Recipe, seconds: float) -> Recording:
    """Return some minutes around the first change, which begin where an epoch does."""
    begun = recipe.begin(recording)
    change = _first_change(begun, recipe) or 0.0
    start = min(max(0.0, change - seconds / 3), max(0.0, begun.duration - seconds))
    epoch = 1.0 if begun.hypnogram is None else begun.hypnogram.epoch
    return begun.since(start // epoch * epoch).until(seconds)


def certified_by(audit: Audit, evaluation: Evaluation, out: Path | None = None) -> Evaluation:
    """Put the verdict into the certificates of all folds and of their decoders.

    Parameters
    ----------
    audit
        Of one of the folds.
    evaluation
        That was audited.
    out
        Its folder, where the folds are kept again; None where nothing is kept.
    """
    folds = [_with_verdict(fold, audit.as_dict()) for fold in evaluation.folds]
    for fold in folds:
        place = None if out is None else out / place_of(fold.certificate.fold)
        if place and (key := key_of(place)):
            keep_fold(place, key, fold)
    return replace(evaluation, folds=folds)


def _with_verdict(fold: FoldResult, verdict: Mapping[str, Any]) -> FoldResult:
    told = fold.decoder.provenance
    provenance = {**told, "certificate": {**told.get("certificate", {}), "audit": verdict}}
    return replace(
        fold,
        certificate=replace(fold.certificate, audit=verdict),
        decoder=replace(fold.decoder, provenance=provenance),
    )


def recipe_run(recipe: Recipe, folder: Path) -> Run:
    """Return the pipeline of a recipe as the auditor takes it: a function of recordings and fold.

    Parameters
    ----------
    recipe
        What is trained, and how.
    folder
        Where prepared recordings and checkpoints are kept, of each training apart; it must stay
        until the audit is done.
    """
    numbers = count()

    def run(recordings: Sequence[Recording], fold: Fold) -> Trained:
        place = folder / f"run-{next(numbers)}"
        prepared = prepare_annotated(recordings, recipe, place / "prepared", None)
        decoder, fitted = fit_decoder(prepared, fold, recipe, place, None)
        return TrainedRecipe(recipe, decoder, fitted, place).told(prepared, fold)

    return run


@dataclass(frozen=True)
class TrainedRecipe:
    """A decoder with all that was fitted, and where its recordings are prepared."""

    recipe: Recipe
    decoder: Decoder
    fitted: Fitted
    place: Path

    def told(self, prepared: Sequence[Prepared], fold: Fold) -> Trained:
        """Tell the auditor everything."""
        windows = {
            part: [self._windows(one) for one in select(prepared, getattr(fold, part))]
            for part in PARTS
        }
        return Trained(self._fitted(), self.predict, windows)

    def _fitted(self) -> dict[str, Any]:
        history, counts = self.fitted.history, self.fitted.class_weights
        weights = weights_hash(self.fitted.weights)
        passes = {
            "weights": [one["loss"] for one in history],
            "best pass": [one["score"] for one in history],
            "calibration": weights,
        }
        return {
            "scaling": json.dumps([dict(stage) for stage in self.decoder.stages]),
            **({} if counts is None else {"class weights": counts}),
            **({"weights": weights} if self.fitted.solved else passes),
            "threshold": json.dumps(rule_as_dict(self.decoder.rule)),
        }

    def predict(self, recording: Recording) -> dict[str, Outputs]:
        """Prepare and decode a recording as in an evaluation."""
        (prepared,) = prepare_annotated([recording], self.recipe, self.place / "prepared", None)
        found = self.decoder.predict_prepared(prepared)
        return {
            "outputs": Outputs(found.times, found.values, found.times - self._span(prepared)),
            "decisions": Outputs(found.times, found.rows),
        }

    def _span(self, prepared: Prepared) -> float:
        """Return the seconds of signal that must be there for an output."""
        decoder = self.decoder
        network = make_network(decoder.network, decoder.channels, decoder.network_settings)
        return float(network.window * prepared.hop)

    def _windows(self, prepared: Prepared) -> Windows:
        """Return the windows of valid outputs whose truth is known."""
        found: Prediction = self.decoder.predict_prepared(prepared)
        used = found.valid
        if prepared.truth is not None:
            targets = found.targets(prepared.truth)
            used = used & ~np.isnan(targets).reshape(len(used), -1).any(axis=1)
        stops = found.times[used]
        return Windows(prepared.name, stops - self._span(prepared), stops)
