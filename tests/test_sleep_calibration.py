"""The temperature that validation sleepers choose makes the probabilities of new sleepers truer."""

from dataclasses import replace

import numpy as np
import pytest

import ranvier as rv
from ranvier.decisions import softmax
from ranvier.recipe import packaged_recipe
from ranvier.tasks.agreement import brier_score, calibration_error


@pytest.fixture(scope="module")
def fold():
    recipe = packaged_recipe("sleep", "attn_sleep")
    training = replace(recipe.training, passes=8, patience=8, batch=32)
    nights = rv.simulate_nights(subjects=6, hours=0.75)
    recipe = replace(recipe, training=training)
    return rv.evaluate("sleep", nights, recipe=recipe, folds=2, only=0).folds[0]


def held_out(fold):
    """Return the probabilities of all held-out epochs, those without temperature, and stages."""
    values, stages = [], []
    for one in fold.predictions:
        targets = one.targets(fold.truth[one.name])
        known = one.valid & ~np.isnan(targets)
        values.append(one.values[known])
        stages.append(targets[known].astype(int))
    probabilities = np.concatenate(values)
    scale, _ = fold.decoder.provenance["calibration"]
    raw = softmax(np.log(np.maximum(probabilities, 1e-12)) / scale)
    return probabilities, raw, np.concatenate(stages)


@pytest.mark.slow
@pytest.mark.parametrize("error", [calibration_error, brier_score])
def test_the_temperature_lowers_the_error_on_held_out_nights(fold, error):
    calibrated, raw, stages = held_out(fold)
    assert error(calibrated, stages) < error(raw, stages)
