"""A network learns what earlier windows add in a round of its own, and resumes in it."""

from dataclasses import replace

import numpy as np
import pytest

import ranvier as rv
from ranvier.recipe import packaged_recipe

ROUND = {"passes": 2, "stretch": 300.0, "segment": 300.0, "batch": 2}


@pytest.fixture(scope="module")
def nights():
    return rv.simulate_nights(subjects=3, hours=0.25)


def trained(nights, out, **later) -> rv.Decoder:
    recipe = packaged_recipe("sleep", "attn_sleep")
    training = replace(recipe.training, passes=1, batch=16, context={**ROUND, **later})
    settings = {**recipe.network_settings, "context": 3}
    recipe = replace(recipe, training=training, network_settings=settings)
    return rv.train("sleep", nights, recipe=recipe, out=out)


def test_the_second_round_changes_only_how_the_past_corrects(tmp_path, nights):
    rates = (0.01, 0.02)
    slow, fast = (trained(nights, tmp_path / str(n), learning_rate=n).weights for n in rates)
    changed = {name for name in slow if not np.array_equal(slow[name], fast[name])}
    assert "readout.weight" in changed
    assert all(name.startswith(("context.", "readout.")) for name in changed)
    assert not any(name.startswith("context.alone.") for name in changed)


def test_a_second_round_that_hardly_learns_makes_movement_no_worse():
    reaches = rv.simulate_reaches(subjects=1, minutes=1)
    recipe = packaged_recipe("movement", "temporal_attention_lstm")
    small = {"passes": 6, "learning_rate": 0.003}
    later = {"passes": 1, "learning_rate": 1e-6}
    settings = {**recipe.network_settings, "hidden": 16, "dense": 16, "window": 10, "context": 2}
    training = replace(recipe.training, **small, context=later)
    recipe = replace(recipe, network_settings=settings, training=training)
    history = rv.train("movement", reaches, recipe=recipe).provenance["history"]
    *alone, second = (one["score"] for one in history)
    assert second == pytest.approx(max(alone), abs=0.02)


def test_both_rounds_are_told_and_a_run_goes_on_in_the_second(tmp_path, nights):
    assert len(trained(nights, tmp_path / "two").provenance["history"]) == 3
    trained(nights, tmp_path / "stopped", passes=1)
    went_on = trained(nights, tmp_path / "stopped")
    at_once = trained(nights, tmp_path / "two")
    for name, weight in at_once.weights.items():
        np.testing.assert_array_equal(went_on.weights[name], weight)
