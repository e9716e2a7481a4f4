"""How much history is needed: planted histories are found, and what they cost is told."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ranvier.__main__ import main
from ranvier.fitting import prepare_annotated
from ranvier.formats.binned import write_binned
from ranvier.recipe import Recipe, packaged_recipe
from ranvier.recording import COUNT, Recording
from ranvier.timesteps import (
    ATTENTION,
    OCCLUSION,
    PUBLISHED,
    VALIDATION,
    _choices,
    known_blocks,
    newest_with,
)
from ranvier.timesteps import select_timesteps as select
from ranvier.timesteps.study import Outputs, Study, as_logits
from ranvier.training import Training
from ranvier.truth import Events, Trajectory

PLANTED, FULL = 3, 8


def session(bins: int = 1200, history: int = PLANTED) -> Recording:
    """Simulate counts, of which the movement is the sum over the newest bins."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, size=(bins, 4)).astype(np.float32)
    summed = np.cumsum(np.pad(counts, ((history, 0), (0, 0))), axis=0)
    driven = summed[history:] - summed[:-history]
    noise = rng.normal(0, 0.5, (bins, 2))
    values = np.column_stack([driven[:, 0] - driven[:, 1], driven[:, 2] - driven[:, 3]]) + noise
    return Recording.from_array(
        counts,
        10.0,
        [f"unit-{i}" for i in range(4)],
        unit=COUNT,
        name="session",
        subject="animal",
        trajectory=Trajectory(values, 10.0, bins / 10, first=0.1),
    )


def ridge() -> Recipe:
    return Recipe("movement", "wiener", network_settings={"window": FULL, "least": 1}, stages=[])


def attending() -> Recipe:
    training = Training(
        passes=6, patience=6, stretch=4.0, segment=4.0, batch=8, background=0.0, learning_rate=0.01
    )
    settings = {"window": FULL, "least": 1, "hidden": 8, "dense": 8}
    recipe = packaged_recipe("movement", "temporal_attention_lstm")
    return replace(recipe, network_settings=settings, training=training)


@pytest.fixture(scope="module")
def selected():
    return select([session()], ridge(), windows=range(1, FULL + 1), seeds=1, margin=0.02)


def test_a_planted_history_is_found_by_validation_and_by_occlusion(selected):
    assert selected.chosen == {VALIDATION: [PLANTED], OCCLUSION: [PLANTED]}


def test_too_short_a_window_costs_and_the_planted_one_does_not(selected):
    mean = selected.validation.mean(axis=(0, 1))
    assert mean[PLANTED - 2] < mean[-1] - 0.1 < mean[PLANTED - 1]
    (price,) = selected.prices[VALIDATION]
    assert price.equivalent
    assert price.low <= price.quality - price.full <= price.high


def test_a_longer_window_has_more_operations_and_weights(selected):
    costs = [selected.costs[window] for window in selected.windows]
    operations = [one.operations for one in costs]
    assert operations == sorted(operations)
    assert operations[0] == 4 * 2
    assert costs[0].weights < costs[-1].weights


def test_what_is_tested_decides_nothing():
    whole, rng = session(), np.random.default_rng(1)
    changed = whole.trajectory.values.copy()
    changed[-200:] = rng.normal(size=(200, 2))
    other = replace(whole, trajectory=replace(whole.trajectory, values=changed))
    first, second = (select([one], ridge(), seeds=1) for one in (whole, other))
    assert first.chosen == second.chosen
    assert np.array_equal(first.validation, second.validation)
    assert first.prices != second.prices


def test_trials_that_are_shorter_than_the_window_are_enough():
    whole = session()
    counts = whole.read()
    counts[::6] = np.nan
    values = np.where(np.arange(len(counts))[:, None] % 6 > 2, whole.trajectory.values, np.nan)
    trials = replace(
        Recording.from_array(counts, 10.0, whole.layout.channels, unit=COUNT, name="trials"),
        trajectory=replace(whole.trajectory, values=values),
    )
    found = select([trials], ridge(), seeds=1, margin=0.02)
    assert found.chosen[OCCLUSION] == [PLANTED]


@pytest.mark.slow
def test_attention_is_looked_up_on_the_training_part_and_as_published_on_the_test_part():
    found = select([session(600)], attending(), windows=[4], seeds=2, blocks=2)
    assert set(found.chosen) == {VALIDATION, OCCLUSION, ATTENTION, PUBLISHED}
    assert found.attention.shape == (2, FULL)
    assert found.attention.sum(axis=1) == pytest.approx(1)
    assert [len(own) for own in found.prices.values()] == [2] * 4


def seizure_study(tmp_path, recordings) -> Study:
    prepared = prepare_annotated(recordings, Recipe(), tmp_path, None)
    names = tuple(one.subject for one in prepared)
    return Study(Recipe(), prepared, (names[:1], names[1:2]), names[2:], tmp_path)


def test_qualities_are_of_logits_as_when_training(tmp_path, decoder, recordings):
    study = seizure_study(tmp_path, recordings[::2])
    (one,) = [one for one in study.prepared if one.subject == study.test[0]]
    found = decoder.predict_prepared(one)
    told = study.outputs(decoder, study.test[:1]).values[:, 0]
    expected = found.probability[found.valid][: len(told)]
    assert 1 / (1 + np.exp(-told)) == pytest.approx(expected, abs=1e-6)


def test_certain_probabilities_have_finite_logits():
    assert np.isfinite(as_logits(np.array([[0.0], [1.0]]))).all()
    assert as_logits(np.array([[0.5, 0.3, 0.2]])) == pytest.approx(np.log([[0.5, 0.3, 0.2]]))


def test_the_area_of_outputs_without_a_seizure_is_not_known(tmp_path, recordings):
    study = seizure_study(tmp_path, recordings[::2])
    values = np.linspace(-1, 1, 6)[:, None]
    assert np.isnan(study.quality(Outputs(np.arange(6), values, np.zeros(6))))
    assert study.quality(Outputs(np.arange(6), values, np.repeat([0.0, 1.0], 3))) == 1


def test_blocks_whose_quality_is_not_known_are_left_out_and_counted():
    validation = np.array([[[0.7, 0.8], [np.nan, np.nan]], [[0.6, 0.8], [np.nan, 0.5]]])
    assert known_blocks(validation).tolist() == [True, False]
    with pytest.raises(ValueError, match="Invalid blocks: the quality of none of 1 is known"):
        known_blocks(validation[:, 1:])


def test_what_is_left_out_stands_in_the_curve(selected):
    assert selected.curve()[0][1] == "validation"
    assert replace(selected, left_out=1).curve()[0][1] == "validation, 4 of 5 blocks"


def test_occlusion_of_a_block_that_tells_nothing_chooses_nothing():
    study = SimpleNamespace(attends=False, occluded=lambda *_: np.full(2, np.nan))
    assert _choices(study, 0, (4, 8), np.array([0.8, 0.8]), 0.01, 0.9) == {VALIDATION: 4}


def test_a_test_part_without_a_seizure_is_refused(tmp_path, recordings):
    calm = replace(recordings[4], events=Events((), recordings[4].duration))
    study = seizure_study(tmp_path, [recordings[0], recordings[2], calm])
    with pytest.raises(ValueError, match="Invalid recordings: the test part"):
        study.check_test()


@pytest.mark.parametrize(
    ("attention", "window"),
    [(np.full(20, 0.05), 19), (np.eye(20)[19], 1), (np.eye(20)[0], 20), ([0.0, 0.05, 0.95], 1)],
)
def test_the_newest_steps_have_more_than_nine_tenths_of_the_attention(attention, window):
    assert newest_with(np.asarray(attention), 0.9) == window


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": [0]}, "must be from 1 to 8 steps"),
        ({"windows": [9]}, "must be from 1 to 8 steps"),
        ({"seeds": 0}, "Invalid seeds: 0, must be at least 1"),
        ({"blocks": 1}, "Invalid blocks: 1, must be at least 2"),
        ({"margin": 0.0}, "Invalid margin: 0, must be above 0"),
        ({"share": 1.0}, "Invalid share: 1, must be above 0 and below 1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        select([session(100)], ridge(), **options)


def test_a_network_without_a_window_is_refused():
    recipe = Recipe("movement", "kalman", stages=[])
    with pytest.raises(ValueError, match="network_settings must have one of 2 or more steps"):
        select([session(100)], recipe)


def test_the_command_prints_the_curve_and_the_choices(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    write_binned(tmp_path / "data" / "session.npz", session(400))
    words = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--seeds", "1"]
    settings = ["--task", "movement", "--network", "wiener"]
    assert main(["select-timesteps", *words, *settings, "--network_settings.window", "8"]) == 0
    assert VALIDATION in capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "timesteps.json").read_text())
    assert written["windows"][-1] == 8
