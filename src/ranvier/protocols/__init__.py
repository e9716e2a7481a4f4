"""The protocols of papers, leaks and all, beside the honest one: what each leak is worth.

An honest protocol splits by person, or in time within a person. A leaking one is the same with one
or more of ``LEAKS`` switched on: the same network, recipe, clips or nights, parts of the same size
and the same measure, so that what the scores differ by is what the leaks are worth. No decoder is
made of a network that was trained in this way.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.datasets import opened
from ranvier.fit import fit
from ranvier.fitting import (
    Progressed,
    fit_stages,
    folder_for,
    one_layout,
    prepare_annotated,
)
from ranvier.lesson import pooled_outputs
from ranvier.protocols.clips import Clip, ClipTask, cut_clips
from ranvier.protocols.inflation import Answered, Inflation, Outcome
from ranvier.protocols.splits import Split, Splitting, by_person, in_time, on_both_sides, shuffled
from ranvier.recipe import Recipe, chosen_recipe
from ranvier.recording import Array
from ranvier.splits import PARTS, person
from ranvier.starting import start_network
from ranvier.store import Prepared, Stages
from ranvier.tasks import Task
from ranvier.tasks.sleep import SleepTask
from ranvier.writing import alone

if TYPE_CHECKING:
    from ranvier.formats import Source

SHUFFLED = "clips shuffled"
SCALED = "classes scaled apart"
CHOSEN = "pass chosen on the test"
COUNTED = "stages counted with the test"
LEAKS = {
    SHUFFLED: "clips of the same person and seizure are trained and tested on",
    SCALED: "each class is scaled by its own mean and deviation, tested clips included, so the "
    "scale of a tested clip depends on what it is to be told from it",
    CHOSEN: "the best pass and the calibration are chosen on what is tested",
    COUNTED: "the weights of the stages are computed from what is tested too",
}
"""What each leak means."""
NO_LEAK = (
    "No leak is known: scaling, weights and class weights come from the training part, the best "
    "pass and the calibration from the validation part."
)


@dataclass(frozen=True)
class Protocol:
    """How it is decided what is learnt from, chosen on and tested.

    Parameters
    ----------
    name
        Of the honest split.
    split
        Makes it.
    leaks
        Some of ``LEAKS``.
    """

    name: str
    split: Splitting
    leaks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(self.leaks) or self.name


PROTOCOLS: dict[str, dict[str, tuple[Protocol, ...]]] = {
    "paper": {
        "seizure": tuple(
            Protocol("by patient", by_person, leaks)
            for leaks in ((), (SCALED,), (SHUFFLED,), (SHUFFLED, SCALED))
        ),
        "sleep": tuple(
            Protocol("by sleeper", by_person, leaks) for leaks in ((), (CHOSEN,), (CHOSEN, COUNTED))
        ),
    },
    "paper-per-subject": {
        "seizure": tuple(
            Protocol("in time within each patient", in_time, leaks) for leaks in ((), (SHUFFLED,))
        ),
    },
}
"""By name and task: the honest protocol first, with all leaks of the paper last.

References
----------
.. [1] Rukhsar and Tiwari, ARNN; dataset.py of CHB_MIT and Upenn in
   github.com/Salim-Lysiun/ARNN at 81986db: windows shuffled, for CHB-MIT each class scaled apart.
.. [2] Afzal et al., REST; data_utils.py and Train_Rest.py in github.com/arshiaafzal/REST at
   affcb62: the first 75 % of a balanced list of clips that was shuffled are trained on.
.. [3] Eldele et al., AttnSleep; the validation part is the test fold, which is counted too.
"""

ONE_ANSWER = {"rest": {"memory": "clip"}, "arnn": {"memory": "window"}}
"""Settings with which networks that can carry a state answer once for a clip, as published."""


def compare_protocols(
    task: str,
    recordings: Source,
    *,
    protocol: str = "paper",
    out: str | os.PathLike[str] | None = None,
    folds: int = 4,
    seeds: int = 1,
    background: float = 1.0,
    recipe: Recipe | None = None,
    progress: Progressed | None = None,
    **settings: Any,
) -> Inflation:
    """Train and test under the honest protocol and under those of papers, and compare.

    Parameters
    ----------
    task
        ``"seizure"`` or ``"sleep"``.
    recordings
        With annotations; or what ``read`` takes. Seizures are told from background in clips as
        long as the network's window, sleep is staged in whole nights.
    protocol
        ``"paper"``, or ``"paper-per-subject"`` for one network for each patient.
    out
        Where prepared recordings are kept; by default they are not.
    folds
        How many; a quarter is tested in the papers. Each patient is one with
        ``"paper-per-subject"``.
    seeds
        How often all of it is done, with other weights and other splits.
    background
        Clips without a seizure for each one with.
    recipe
        What to train, and how; or give its fields as keywords.
    progress
        Told how far it is.
    **settings
        Fields of ``Recipe``, such as ``network="arnn"``.

    Raises
    ------
    ValueError
        If there is no such protocol for the task, or the recordings cannot be split.
    """
    recipe = chosen_recipe(task, recipe, settings)
    chosen = protocols_for(recipe, protocol)
    if seeds < 1:
        raise ValueError(f"Invalid seeds: {seeds}, must be at least 1")
    with folder_for(out) as folder, alone(folder):
        prepared = prepare_annotated(opened(recordings), recipe, folder / "prepared", progress)
        items, recipe = _items(prepared, recipe, background)
        outcomes = [_outcome(one, items, recipe, folds, seeds, progress) for one in chosen]
    return Inflation(recipe.task, recipe.network, tuple(outcomes), recipe.seed)


def protocols_for(recipe: Recipe, protocol: str) -> tuple[Protocol, ...]:
    """Return the protocols to compare; leaks that a recipe has no place for are left out.

    Raises
    ------
    ValueError
        If there are none by this name for the task.
    """
    known = PROTOCOLS.get(protocol, {}).get(recipe.task)
    if known is None:
        options = [name for name, tasks in PROTOCOLS.items() if recipe.task in tasks]
        raise ValueError(
            f"Invalid protocol: {protocol!r}, possible options for {recipe.task}: "
            f"{['honest', *options]}"
        )
    scaled = any(stage["stage"] == "standardise" for stage in recipe.stages)
    return tuple(one for one in known if scaled or SCALED not in one.leaks)


def _items(
    prepared: Sequence[Prepared], recipe: Recipe, background: float
) -> tuple[Sequence[Prepared], Recipe]:
    """Return clips or nights, and the recipe that fits them."""
    if recipe.task != "seizure":
        return prepared, recipe
    settings = {**recipe.network_settings, **ONE_ANSWER.get(recipe.network, {})}
    recipe = replace(recipe, network_settings=settings)
    network, _ = start_network(recipe, one_layout(prepared).channels, 1)
    if network.warm_up >= network.window:
        raise ValueError(
            f"Invalid network_settings: {recipe.network} carries its state, must answer for each "
            "clip by itself (memory: window or clip)"
        )
    clips = cut_clips(prepared, network.window, background=background, seed=recipe.seed)
    seconds = network.window * prepared[0].hop
    training = replace(
        recipe.training, stretch=seconds, segment=seconds, background=float(len(clips))
    )
    return clips, replace(recipe, training=training)


def _outcome(  # noqa: PLR0917
    protocol: Protocol,
    items: Sequence[Prepared],
    recipe: Recipe,
    folds: int,
    seeds: int,
    progress: Progressed | None,
) -> Outcome:
    tested: list[Answered] = []
    runs = [replace(recipe, seed=recipe.seed + number) for number in range(seeds)]
    splits = [
        (run, split) for run in runs for split in enumerate(_splits(protocol, items, folds, run))
    ]
    for done, (run, (fold, split)) in enumerate(splits, start=1):
        with tempfile.TemporaryDirectory(prefix="ranvier-") as folder:
            tested += _test(protocol, items, split, run, fold, Path(folder))
        if progress:
            progress(str(protocol), done, len(splits))
    sentences = _sentences(protocol, items, [split for _, (_, split) in splits])
    return Outcome(str(protocol), tuple(sentences), tuple(tested))


def _splits(
    protocol: Protocol, items: Sequence[Prepared], folds: int, recipe: Recipe
) -> list[Split]:
    splits = protocol.split(items, folds, recipe.seed)
    return [shuffled(one, recipe.seed) for one in splits] if SHUFFLED in protocol.leaks else splits


def _test(  # noqa: PLR0917
    protocol: Protocol,
    items: Sequence[Prepared],
    split: Split,
    recipe: Recipe,
    fold: int,
    folder: Path,
) -> list[Answered]:
    """Train as the protocol has it, and return what the network says of each tested person."""
    stages, scaled = _scaled(protocol, items, split, recipe.stages)
    train, validation, test = ([scaled[i] for i in getattr(split, part)] for part in PARTS)
    truths = [one.truth for one in train if one.truth is not None]
    classes = recipe.learnt.classes(truths)
    network, settings = start_network(recipe, one_layout(train).channels, classes)
    counted = [one.targets(network.window, network.hop) for one in (*train, *test)]
    fit(
        network,
        _task(protocol, recipe, np.concatenate(counted)),
        train,
        test if CHOSEN in protocol.leaks else validation,
        recipe.training,
        folder,
        about=[str(protocol), settings, stages],
        seed=recipe.seed,
        device=recipe.device,
    )
    people: dict[str, list[Prepared]] = {}
    for one in test:
        people.setdefault(person(one.subject), []).append(one)
    size = recipe.training.eval_batch
    return [
        Answered(recipe.seed, fold, name, *pooled_outputs(network, own, size))
        for name, own in people.items()
    ]


def _scaled(
    protocol: Protocol, items: Sequence[Prepared], split: Split, stages: Stages
) -> tuple[Any, list[Prepared]]:
    """Fit the scaling to the training part, or to all clips of each class apart."""
    if SCALED not in protocol.leaks:
        fitted = fit_stages(stages, [items[i] for i in split.train])
        return fitted, [one.with_stages(fitted) for one in items]
    inside = [isinstance(one, Clip) and one.seizure for one in items]
    of_class = {
        kind: fit_stages(stages, [one for one, it in zip(items, inside, strict=True) if it == kind])
        for kind in (False, True)
    }
    pairs = zip(items, inside, strict=True)
    return of_class, [one.with_stages(of_class[kind]) for one, kind in pairs]


class CountedTask(SleepTask):
    """Sleep staging with the weights of the stages from nights that are given.

    Parameters
    ----------
    targets
        Of all epochs that are counted.
    """

    def __init__(self, targets: Array) -> None:
        super().__init__()
        self.counted = targets

    def weights(self, targets: Array) -> Array:  # noqa: ARG002
        """Return how much each stage counts."""
        return super().weights(self.counted)


def _task(protocol: Protocol, recipe: Recipe, counted: Array) -> Task:
    if recipe.task == "seizure":
        return ClipTask()
    return CountedTask(counted) if COUNTED in protocol.leaks else SleepTask()


def _sentences(protocol: Protocol, items: Sequence[Prepared], splits: Sequence[Split]) -> list[str]:
    people = np.array([person(one.subject) for one in items])
    both = set().union(*(on_both_sides(one, people) for one in splits))
    what = "clips" if isinstance(items[0], Clip) else "nights"
    leaks = [f"Leak: {LEAKS[leak]}." for leak in protocol.leaks]
    mixed = "dealt at random into parts as large as " if SHUFFLED in protocol.leaks else ""
    return [
        f"{len(items)} {what} of {len(set(people.tolist()))} persons in {len(splits)} splits, "
        f"{mixed}{protocol.name}; {len(both)} persons are both trained and tested on.",
        *(leaks or [NO_LEAK]),
    ]
