"""From recordings to a decoder: prepare, train, choose the threshold, and say on what."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.certificate import Certificate
from ranvier.datasets import opened
from ranvier.decisions import AlarmRule
from ranvier.decoder import Decoder
from ranvier.features import Standardise
from ranvier.fit import Fitted, fit
from ranvier.recipe import Recipe, chosen_recipe
from ranvier.recording import ASSUMED_SUBJECT, Layout, Recording
from ranvier.runtime import NetworkStage
from ranvier.splits import (
    LAST_PART,
    PARTS,
    Fold,
    cut_in_time,
    fold_in_time,
    hold_out_validation,
    person,
    whose,
)
from ranvier.starting import check_start, start_network
from ranvier.store import Prepared, Stages, check_can_be_cut, code_hash, prepare
from ranvier.tasks import Task
from ranvier.thresholds import choose_threshold
from ranvier.writing import alone

if TYPE_CHECKING:
    from ranvier.checkpoint import Progress
    from ranvier.formats import Source

PACKAGES = ("ranvier", "numpy", "scipy", "torch", "scikit-learn")
UNCALIBRATED = (None, (1.0, 0.0), (1.0, [0.0, 0.0]))

Progressed = Callable[[str, int, int], None]
"""Told what is being done, how far it is, and how far it goes."""


def train(
    task: str,
    recordings: Source,
    *,
    out: str | os.PathLike[str] | None = None,
    recipe: Recipe | None = None,
    progress: Progressed | None = None,
    **settings: Any,
) -> Decoder:
    """Train one decoder on all recordings; some subjects are kept to choose on.

    Parameters
    ----------
    task
        ``"seizure"``, ``"seizure_type"``, ``"sleep"`` or ``"movement"``.
    recordings
        With annotations; or what ``read`` takes.
    out
        Where prepared recordings and checkpoints are kept, so that a run that was stopped goes
        on; by default they are not kept.
    recipe
        What to train, and how; or give its fields as keywords.
    progress
        Told how far it is.
    **settings
        Fields of ``Recipe``, such as ``network="rest"``.

    Raises
    ------
    ValueError
        If there is nothing to learn from, or there are fewer than two subjects and the split is
        not in time.
    """
    recipe = chosen_recipe(task, recipe, settings)
    with folder_for(out) as folder, alone(folder):
        split = opened(recordings)
        if recipe.in_time:
            check_can_be_cut(split, recipe.stages, recipe.split_by)
            split = cut_in_time(split, LAST_PART)
        check_start(recipe, split)
        prepared = prepare_annotated(split, recipe, folder / "prepared", progress)
        subjects = {one.subject for one in prepared}
        if recipe.in_time:
            fold = fold_in_time(subjects)
        else:
            known = informative(prepared, recipe.learnt)
            fold = hold_out_validation(subjects, seed=recipe.seed, informative=known)
        decoder, _ = fit_decoder(prepared, fold, recipe, folder, progress)
    return decoder


@contextmanager
def folder_for(out: str | os.PathLike[str] | None) -> Iterator[Path]:
    """Give the folder to work in: the one that is wanted, or one that is gone afterwards."""
    if out is not None:
        yield Path(out)
    else:
        with tempfile.TemporaryDirectory(prefix="ranvier-") as folder:
            yield Path(folder)


def prepare_annotated(
    recordings: Sequence[Recording], recipe: Recipe, folder: Path, progress: Progressed | None
) -> list[Prepared]:
    """Prepare the recordings that are annotated; a recording without a subject is its own.

    Raises
    ------
    ValueError
        If no recording is annotated, or two have the same name.
    """
    truth_of = recipe.learnt.truth_of
    annotated = [one for one in recordings if truth_of(one) is not None]
    if not annotated:
        raise ValueError(
            f"Nothing to learn: none of {len(recordings)} recordings is annotated for the task "
            f"{recipe.task!r}"
        )
    names = [one.name for one in annotated]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"Invalid recordings: {twice!r} is there twice, names must be unique")
    begun = [recipe.begin(one) for one in annotated]
    named = [one if one.subject else assume_subject(one) for one in begun]
    done = 0

    def tell(_: Recording) -> None:
        nonlocal done
        done += 1
        if progress:
            progress("preparing", done, len(named))

    prepared = prepare(named, recipe.stages, folder, truth_of=truth_of, progress=tell)
    refuse_twins(prepared)
    return prepared


def assume_subject(recording: Recording) -> Recording:
    """Let the name of a recording stand for its unknown subject, and say so."""
    return replace(recording, subject=recording.name).with_note(ASSUMED_SUBJECT)


def refuse_twins(prepared: Sequence[Prepared]) -> None:
    """Refuse the same signal under two subjects, who could come to stand on both sides of a split.

    Raises
    ------
    ValueError
        If there is one.
    """
    first: dict[Path, Prepared] = {}
    for one in prepared:
        other = first.setdefault(one.path, one)
        if person(other.subject) != person(one.subject):
            raise ValueError(
                f"Invalid subjects: {other.name} of {other.subject!r} and {one.name} of "
                f"{one.subject!r} hold the same signal, must be of one subject"
            )


def informative(prepared: Sequence[Prepared], task: Task) -> set[str]:
    """Return the subjects of whom something is annotated, such as a seizure."""
    return {one.subject for one in prepared if task.telling(one.targets())}


def select(prepared: Sequence[Prepared], subjects: Sequence[str]) -> list[Prepared]:
    """Return the recordings of these subjects."""
    return [one for one in prepared if one.subject in subjects]


def fit_stages(stages: Stages, train: Sequence[Prepared]) -> Stages:
    """Fit the stages that scale by training statistics and have none yet.

    Raises
    ------
    ValueError
        If such a stage stands before one with memory.
    """
    fitted = [dict(stage) for stage in stages]
    memoryless = len(train[0].rest.stages)
    for place, stage in enumerate(fitted):
        if stage["stage"] != "standardise" or "mean" in stage:
            continue
        if place < len(fitted) - memoryless:
            raise ValueError(
                "Invalid stages: standardise must stand after the last stage with memory, or have "
                "a mean and a deviation"
            )
        ready = [one.with_stages(fitted) for one in train]
        chunks = (one.features_before(place - len(fitted))[None] for one in ready)
        stage.update(Standardise.fit(chunks))
    return fitted


def fit_decoder(
    prepared: Sequence[Prepared],
    fold: Fold,
    recipe: Recipe,
    folder: Path,
    progress: Progressed | None,
) -> tuple[Decoder, Fitted]:
    """Fit the network to the training part and choose the rule on the validation part."""
    task = recipe.learnt
    stages = fit_stages(recipe.stages, select(prepared, fold.train))
    fitting = [one.with_stages(stages) for one in prepared]
    parts = {part: select(fitting, getattr(fold, part)) for part in PARTS}
    layout = one_layout(parts["train"] + parts["validation"])
    truths = [one.truth for one in parts["train"] if one.truth is not None]
    network, settings = start_network(recipe, layout.channels, task.classes(truths))
    NetworkStage(layout, network).check(fitting[0].features(0, 1)[None])

    def tell(state: Progress) -> None:
        if progress:
            progress(f"fold {fold.number + 1}: training", state.passes, recipe.training.passes)

    fitted = fit(
        network,
        task,
        parts["train"],
        parts["validation"],
        recipe.training,
        folder,
        about=[recipe.network, settings, stages, recipe.weights],
        seed=recipe.seed,
        device=recipe.device,
        progress=tell,
    )
    certificate = certify_choice(fold, fitted, prepared, recipe, stages)
    rule = task.rule_for(recipe.rule if recipe.task == "seizure" else task.default_rule, truths)
    decoder = Decoder(
        recipe.task,
        tuple(stages),
        layout.channels,
        layout.rate,
        recipe.network,
        settings,
        fitted.weights,
        rule,
        _provenance(certificate, parts, fitted),
    )
    return with_threshold(decoder, parts["validation"], recipe.false_alarms_per_day), fitted


def with_threshold(
    decoder: Decoder, validation: Sequence[Prepared], budget: float | None = None
) -> Decoder:
    """Choose the threshold of a decoder that raises alarms; others stay as they are.

    With a budget of false alarms per 24 h the certificate says what validation showed of it; where
    nothing could be chosen, it says so.
    """
    rule = decoder.rule
    if not isinstance(rule, AlarmRule):
        return decoder
    predictions = [decoder.predict_prepared(one) for one in validation]
    choice = choose_threshold(predictions, truth_of(validation), rule, budget=budget)
    chosen = replace(decoder, rule=replace(rule, threshold=choice.threshold))
    named = "alarm threshold" if budget is None else f"alarm threshold ({choice.why})"
    about = dict(decoder.provenance["certificate"])
    others = {what: on for what, on in about["chosen_on"].items() if what != "alarm threshold"}
    about["chosen_on"] = {**others, named: "validation" if choice.chosen else ""}
    return replace(chosen, provenance={**decoder.provenance, "certificate": about})


def one_layout(prepared: Sequence[Prepared]) -> Layout:
    """Return the layout that all recordings have after the stages.

    Raises
    ------
    ValueError
        If two differ.
    """
    first = prepared[0]
    for one in prepared:
        if (one.layout.channels, one.layout.rate) != (first.layout.channels, first.layout.rate):
            raise ValueError(
                f"Invalid recordings: {first.name} has {len(first.layout.channels)} channels at "
                f"{first.layout.rate:g} Hz after the stages and {one.name} has others "
                f"({len(one.layout.channels)} at {one.layout.rate:g} Hz), must be the same"
            )
    return first.layout


def truth_of(prepared: Sequence[Prepared]) -> dict[str, Any]:
    """Return what is annotated in each recording, by name."""
    return {one.name: one.truth for one in prepared if one.truth is not None}


def certify_choice(
    fold: Fold, fitted: Fitted, prepared: Sequence[Prepared], recipe: Recipe, stages: Stages
) -> Certificate:
    """Say what was chosen on which part."""
    scaled = any(stage["stage"] == "standardise" for stage in stages)
    task = recipe.learnt
    chosen = {
        **({"scaling of features": "train"} if scaled else {}),
        "weights": "train",
        **({} if fitted.solved else {"best pass": "validation"}),
        **task.note_on(fitted.class_weights),
    }
    if "calibration" in chosen and fitted.calibration in UNCALIBRATED:
        chosen["calibration"] = ""
    wake = recipe.wake_minutes
    trims = "none" if wake is None else f"wake more than {wake:g} min before or after sleep"
    assumed = sorted({whose(one.subject) for one in prepared if ASSUMED_SUBJECT in one.notes})
    return Certificate(fold, chosen, task.scorer, trims, assumed=tuple(assumed))


def certificate_of(decoder: Decoder, fold: Fold) -> Certificate:
    """Return the certificate of a decoder that was fitted to a fold."""
    return Certificate(**{**decoder.provenance["certificate"], "fold": fold})


def _provenance(
    certificate: Certificate, parts: Mapping[str, Sequence[Prepared]], fitted: Fitted
) -> dict[str, Any]:
    recordings = {part: [one.name for one in parts[part]] for part in ("train", "validation")}
    return {
        "certificate": certificate.as_dict(),
        "recordings": recordings,
        "history": fitted.history,
        "calibration": fitted.calibration,
        "versions": versions(),
        "code_sha256": code_hash(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
