"""How training starts: the network, and all that can be refused before recordings are prepared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.fit import make_fabric, try_optimiser
from ranvier.lesson import try_measures
from ranvier.networks import make_network
from ranvier.recipe import Recipe
from ranvier.recording import Array, Recording
from ranvier.runtime import NetworkStage
from ranvier.stages import build
from ranvier.store import Stages, stages_done
from ranvier.stored_recording import origin_of
from ranvier.streaming import Pipeline
from ranvier.training import check_shift

if TYPE_CHECKING:
    from ranvier.authors import Imported


def check_start(recipe: Recipe, recordings: Sequence[Recording]) -> None:
    """Refuse what could not be trained, before hours are spent on preparing recordings.

    Device, loss, metric and optimiser are tried, and the network is made for the first recording
    that is annotated.

    Raises
    ------
    ValueError
        If something of the recipe is unknown, out of its range or does not fit the rest.
    """
    task, training = recipe.learnt, recipe.training
    annotated = (one for one in recordings if task.truth_of(one) is not None)
    first = next(annotated, None)
    if first is None or _is_part_of_features(first):  # preparing refuses these
        return
    truths = [truth for truth in [task.truth_of(first)] if truth is not None]
    values = truths[0].targets(np.zeros(1), 1.0).ndim > 1
    make_fabric(recipe.device, training.precision)
    pipeline, nothing = _after_stages(first, recipe.stages)
    classes = task.classes(truths)
    network, settings = start_network(recipe, pipeline.output.channels, classes)
    NetworkStage(pipeline.output, network).check(nothing)
    for one in [training, training.second_round()] if training.context else [training]:
        check_shift(pipeline.hop, network, one)
        try_measures(task, one, settings["classes"], values=values)
        try_optimiser(one)


def _is_part_of_features(recording: Recording) -> bool:
    return recording.reader(0, 0).ndim > 2 and origin_of(recording) is None


def _after_stages(recording: Recording, stages: Stages) -> tuple[Pipeline, Array]:
    """Return all stages for a recording, and what comes out of them when nothing comes in."""
    done = stages_done(recording, stages)
    origin = origin_of(recording) if done else None
    try:
        whole = build(stages, (origin or recording).layout)
    except ValueError as error:
        raise ValueError(f"{recording.name}: {error}") from None
    left = Pipeline(Pipeline(whole.layout, whole.stages[:done]).output, whole.stages[done:])
    nothing, _ = left.step(recording.reader(0, 0)[None], left.initial_state(1))
    return whole, nothing


def start_network(
    recipe: Recipe, channels: Sequence[str], classes: int
) -> tuple[Any, dict[str, Any]]:
    """Make the network at random, or with imported weights and their settings.

    Parameters
    ----------
    recipe
        Its ``network_settings`` give way to those that come with imported weights.
    channels, classes
        What comes in, and what must come out.

    Returns
    -------
    network, settings
        And all its keywords.

    Raises
    ------
    ValueError
        If imported weights are of another network or other channels, or the classes are not those
        of the task.
    """
    import torch

    imported = _imported(recipe, channels) if recipe.weights else None
    settings = {"classes": classes, **recipe.network_settings}
    settings |= dict(imported.settings) if imported else {}
    if settings["classes"] not in ({1, 2} if recipe.task == "seizure" else {classes}):
        raise ValueError(
            f"Invalid classes: {settings['classes']}, must be {classes} for {recipe.task}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = make_network(recipe.network, channels, settings)
    if imported:
        try:
            network.load_state_dict(imported.weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"Invalid weights: {recipe.weights} does not fit: {reason}") from None
    return network, settings


def _imported(recipe: Recipe, channels: Sequence[str]) -> Imported:
    from ranvier.authors import read_imported

    name, imported = read_imported(Path(recipe.weights))
    if name != recipe.network:
        raise ValueError(
            f"Invalid weights: {recipe.weights} is of {name!r}, must be of {recipe.network!r}"
        )
    known = not all(one.isdigit() for one in imported.channels)
    if known and tuple(imported.channels) != tuple(channels):
        same = sorted(imported.channels) == sorted(channels)
        advice = (
            "; a stage pick with the channels of the weights puts these in order" if same else ""
        )
        raise ValueError(
            f"Invalid weights: {recipe.weights} is for the channels "
            f"{', '.join(imported.channels)}, must be for {', '.join(channels)}{advice}"
        )
    return imported
