"""Recipes of published experiments are found by name, and say what they count."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import ranvier as rv
from ranvier.__main__ import _parser, _with_published, find
from ranvier.networks import make_network
from ranvier.recipe import packaged_recipe, published
from ranvier.stages import build
from ranvier.truth import Hypnogram

NAMES = sorted(published())


@pytest.mark.parametrize("name", NAMES)
def test_a_published_experiment_is_a_recipe_with_its_folds(name):
    words = _with_published(["--config", name, "--data", "nights", "--out", "here"])
    given = _parser(find("evaluate"), "evaluate").parse_args(words)
    assert given.folds == 20
    assert make_network(given.network, ["C4-A1"], given.network_settings or {})


def test_a_channel_that_stands_still_for_an_epoch_is_not_staged_and_for_less_it_is():
    layout = rv.Layout(("EEG Fpz-Cz", "EMG"), 100.0)
    signal = np.random.default_rng(0).normal(0, 30, (1, 12000, 2))
    signal[0, 1000:3900, 0], signal[0, 6000:, 0] = 5.0, 0.0
    stages = build(packaged_recipe("sleep", "attn_sleep").stages, layout)
    found = stages.step(signal, stages.initial_state(1))[0][0, :, 0]
    assert np.isfinite(found[:9000]).all()
    assert np.isnan(found[9000:]).all()


def test_a_file_of_ones_own_is_taken_as_it_is():
    assert _with_published(["--config", "my.yaml", "shhs"]) == ["--config", "my.yaml", "shhs"]


def test_wake_far_from_sleep_stays_in_its_place_as_not_scored():
    (night,) = rv.simulate_nights(subjects=1, hours=0.5)
    stages = ("W",) * 20 + ("N2",) * 20 + ("W",) * 20
    night = replace(night, hypnogram=Hypnogram(stages, 1800.0))
    begun = replace(packaged_recipe("sleep", "attn_sleep"), wake_minutes=2.0).begin(night)
    assert begun.hypnogram.stages == ("",) * 16 + stages[16:44] + ("",) * 16
    assert begun.samples == night.samples
    assert begun.notes[-1].startswith("what counts: ±2 min around sleep: epochs 17 to 44 of 60")


def test_the_whole_night_counts_unless_told_otherwise():
    (night,) = rv.simulate_nights(subjects=1, hours=0.5)
    assert packaged_recipe("sleep", "attn_sleep").begin(night).hypnogram == night.hypnogram


@pytest.mark.parametrize(("task", "minutes"), [("seizure", 30.0), ("sleep", -1.0)])
def test_minutes_of_wake_are_of_sleep_and_not_negative(task, minutes):
    with pytest.raises(ValueError, match="Invalid wake_minutes"):
        rv.Recipe(task=task, wake_minutes=minutes)


def test_what_counts_is_printed(tmp_path):
    rv.write_bids(tmp_path / "nights", rv.simulate_nights(subjects=3, hours=0.5), name="Nights")
    words = ["evaluate", "--task", "sleep", "--data", tmp_path / "nights", "--out", tmp_path / "r"]
    quick = ["--training.passes", "1", "--wake_minutes", "1", "--fold", "0", "--json"]
    command = [sys.executable, "-m", "ranvier", *map(str, words), *quick]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "what counts: ±1 min around sleep" in done.stderr
    assert json.loads(done.stdout)["recipe"]["wake_minutes"] == 1.0
