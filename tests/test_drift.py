"""Decoders over days: tuning drifts, minutes of data win back what is lost, and it is seen."""

import json
import re
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from ranvier.__main__ import main
from ranvier.drift import (
    calibration_curve,
    drift_matrix,
    fit_watch,
    refit_readout,
)
from ranvier.drift.matrix import FULL, READOUT, RUNNING, WEIGHTED, ZERO, _in_order
from ranvier.drift.readout import Choice, Seen, _choose, _Normal, look
from ranvier.figures_drift import as_file, drift_matrix_figure, minutes_figure
from ranvier.fitting import train
from ranvier.formats import write_binned
from ranvier.live.runner import certify
from ranvier.recipe import Recipe, packaged_recipe
from ranvier.recording import Recording
from ranvier.simulate import simulate_days, simulate_reaches
from ranvier.simulate.days import STEADY, Drift, follow_units
from ranvier.simulate.movement import Hand
from ranvier.training import Training

WIENER = replace(packaged_recipe("movement", "wiener"), network_settings={"window": 5, "least": 1})
KALMAN = packaged_recipe("movement", "kalman")
GRU = Recipe(
    "movement",
    "gru",
    {"hidden": 32, "memory": "carry", "window": 1, "dropout": 0.3},
    stages=({"stage": "standardise"},),
    training=Training(
        passes=20, patience=20, learning_rate=0.01, stretch=10.0, segment=10.0, batch=6,
        background=0.0, eval_batch=4,
    ),
)  # fmt: skip


def days(*which: int, seed: int = 50, **settings) -> list[Recording]:
    return simulate_days(days=which, minutes=5, bin_seconds=0.1, seed=seed, **settings)


@pytest.fixture(scope="module")
def first_and_last() -> list[Recording]:
    return days(0, 16)


@pytest.fixture(scope="module")
def wiener(first_and_last):
    return train("movement", [first_and_last[0]], recipe=WIENER)


def test_sessions_of_the_default_simulation_stay_as_they_were():
    one, other = simulate_reaches(subjects=1, sessions=2, minutes=1, seed=3)
    assert [int(part.read().sum()) for part in (one, other)] == [33877, 34383]


def test_channels_keep_their_names_and_days_say_when_they_were(first_and_last):
    first, last = first_and_last
    assert first.layout == last.layout
    assert (first.session, last.session) == ("01", "17")
    assert (last.start - first.start).days == 16


def test_a_day_is_the_same_whichever_others_are_asked_for(first_and_last):
    (alone,) = days(16)
    assert np.array_equal(alone.read(), first_and_last[1].read())
    assert np.array_equal(alone.trajectory.values, first_and_last[1].trajectory.values)


def test_on_steady_days_the_hand_moves_elsewhere_but_units_stay():
    one, other = islice(follow_units(1, 50, STEADY), 2)
    assert all(np.array_equal(getattr(one, n), getattr(other, n)) for n in vars(one))
    first, second = days(0, 1, drift=STEADY)
    assert not np.array_equal(first.trajectory.values, second.trajectory.values)


def test_units_are_lost_at_the_rate_that_is_asked_for():
    before, after = islice(follow_units(1, 20_000, Drift(lost=0.1, silent=0.5)), 2)
    silent, other = after.baseline == 0, before.lead != after.lead
    assert silent.mean() == pytest.approx(0.05, abs=0.006)
    assert (silent | other).mean() == pytest.approx(0.1, abs=0.01)


def test_tuning_walks_at_random():
    steps = Drift(turn=0.1, depth=0.0, rate=0.2, lost=0.0)
    walked = list(islice(follow_units(1, 5000, steps), 5))
    turned = walked[4].direction - walked[0].direction
    assert turned.std() == pytest.approx(0.2, rel=0.05)
    assert np.log(walked[4].baseline / walked[0].baseline).std() == pytest.approx(0.4, rel=0.05)


def test_neurons_appear_on_silent_channels():
    later = list(islice(follow_units(1, 2000, Drift(lost=0.2, silent=1, appearing=0.2)), 60))[-1]
    assert (later.baseline == 0).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"days": (1, 1)}, "Invalid days: [1, 1], must be in order and at least 0"),
        ({"days": ()}, "Invalid days: [], must be in order and at least 0"),
        ({"units": 0}, "Invalid units: 0, must be at least 1"),
    ],
)
def test_impossible_days_are_refused(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        simulate_days(**settings)


def test_impossible_drift_is_refused():
    with pytest.raises(ValueError, match=r"Invalid lost: 1\.5, must be from 0 to 1"):
        Drift(lost=1.5)


def test_decoders_in_running_scale_do_not_mind_other_gains(first_and_last):
    first = first_and_last[0]
    louder = replace(first, reader=lambda a, b: 3 * first.reader(a, b) + 2, session="02")
    matrix = drift_matrix([first, louder], WIENER, ways=[RUNNING])
    running, as_it_is = (matrix.scores[way][WEIGHTED] for way in (RUNNING, ZERO))
    assert running[0, 1] == pytest.approx(running[0, 0], abs=1e-3)
    assert as_it_is[0, 1] < as_it_is[0, 0] - 0.5


def test_the_ridge_is_that_of_scikit_learn_and_a_strong_pull_keeps_the_weights():
    rng = np.random.default_rng(0)
    seen = Seen(rng.normal(size=(80, 5)), rng.normal(size=(80, 2)))
    old, normal = rng.normal(size=(2, 5)), _Normal.of(seen)
    weights, offset = normal.solved(old, Choice(0.3, "zero"))
    known = Ridge(alpha=0.3 * normal.values.mean()).fit(*seen)
    np.testing.assert_allclose(weights, known.coef_)
    np.testing.assert_allclose(offset, known.intercept_)
    np.testing.assert_allclose(normal.solved(old, Choice(1e9, "old"))[0], old, atol=1e-6)


def test_a_refit_looks_at_its_minutes_alone(wiener, first_and_last):
    day = first_and_last[1]
    spoilt = replace(
        day, reader=lambda a, b: day.reader(a, b) + (np.arange(a, b) >= 1200)[:, None] * 7
    )
    one, other = (refit_readout(wiener, each, minutes=2) for each in (day, spoilt))
    assert np.array_equal(one.weights["readout.weight"], other.weights["readout.weight"])


def test_a_refitted_decoder_says_what_it_was_made_from(wiener, first_and_last, tmp_path):
    refitted = refit_readout(wiener, first_and_last[1], minutes=2)
    about = refitted.provenance["refitted"]
    assert (about["recording"], about["minutes"]) == ("sub-01_ses-17_task-reach", 2)
    assert about["day"] == "2000-01-17"
    assert refitted.provenance["base"] == dict(wiener.provenance)
    assert refitted.save(tmp_path / "today.ranvier").exists()


@pytest.mark.parametrize("recipe", [WIENER, KALMAN], ids=lambda one: one.network)
def test_a_refitted_decoder_says_live_what_it_says_of_a_file(recipe, first_and_last):
    decoder = train("movement", [first_and_last[0].until(120)], recipe=recipe)
    refitted = refit_readout(decoder, first_and_last[1], minutes=1)
    assert certify(refitted, first_and_last[1].until(60)).equal


def test_the_readout_of_a_gru_alone_is_refitted(first_and_last):
    quick = replace(GRU, training=replace(GRU.training, passes=1))
    decoder = train("movement", [first_and_last[0].until(120)], recipe=quick)
    refitted = refit_readout(decoder, first_and_last[1], minutes=1)
    changed = {n for n, w in decoder.weights.items() if not np.array_equal(w, refitted.weights[n])}
    assert changed == {"readout.weight", "readout.bias"}
    counts = first_and_last[1].until(60).read()
    np.testing.assert_allclose(refitted.stages[0]["mean"], counts.mean(axis=0), rtol=1e-5)
    assert certify(refitted, first_and_last[1].until(60)).equal


def test_what_comes_before_the_readout_is_seen(wiener, first_and_last):
    seen = look(wiener, first_and_last[1].until(30))
    counts = first_and_last[1].read()
    np.testing.assert_array_equal(seen.features[10], counts[6:11].ravel())
    np.testing.assert_array_equal(seen.targets[10], first_and_last[1].trajectory.values[10])


def test_a_kalman_filter_keeps_the_law_of_movement(first_and_last):
    decoder = train("movement", [first_and_last[0]], recipe=KALMAN)
    refitted = refit_readout(decoder, first_and_last[1], minutes=2)
    for name in ("transition", "drift", "process"):
        assert np.array_equal(decoder.weights[name], refitted.weights[name])
    assert not np.array_equal(decoder.weights["evidence"], refitted.weights["evidence"])


def test_two_minutes_win_back_at_least_half_of_what_drift_cost(first_and_last):
    matrix = drift_matrix(first_and_last, WIENER)
    assert matrix.lost()[0, 1] > 0.1
    assert matrix.won_back(READOUT) > 0.5
    assert matrix.won_back(FULL) == pytest.approx(1)
    assert set(matrix.scores) == {ZERO, RUNNING, READOUT, FULL}
    assert np.diag(matrix.lost()) == pytest.approx([0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [KALMAN, GRU], ids=lambda one: one.network)
def test_other_networks_win_back_at_least_half(recipe):
    matrix = drift_matrix(days(0, 16, seed=51), recipe, ways=[READOUT])
    assert matrix.lost()[0, 1] > 0.1
    assert matrix.won_back(READOUT) > 0.5


def test_more_minutes_are_better_and_few_of_them_better_than_to_begin_anew(wiener, first_and_last):
    points = calibration_curve(wiener, first_and_last[1], minutes=(0.5, 3), recipe=WIENER)
    found = {(point.way, point.minutes): point.r2_variance_weighted for point in points}
    assert found[ZERO, 0] < found[READOUT, 0.5] < found[READOUT, 3]
    assert found[FULL, 0.5] < found[READOUT, 0.5]


def test_the_last_part_of_a_day_is_not_for_calibration(wiener, first_and_last):
    with pytest.raises(ValueError, match=r"Invalid minutes: 4, .* has 3\.5 before what is tested"):
        calibration_curve(wiener, first_and_last[1], minutes=(4,))


def test_days_with_one_name_are_put_in_order_by_their_start(first_and_last):
    first, last = (replace(day, name="reach") for day in first_and_last)
    assert _in_order([last, first]) == [first, last]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda day: replace(day, subject="other"), "2 of 2 subjects, must be at least 2 of one"),
        (lambda day: replace(day, trajectory=None), "has no trajectory, must have one"),
        (lambda day: days(16, units=9)[0], "must be the same on all days"),
    ],
)
def test_days_that_cannot_be_compared_are_refused(change, message, first_and_last):
    with pytest.raises(ValueError, match=message):
        drift_matrix([first_and_last[0], change(first_and_last[1])], WIENER)


def test_what_cannot_be_refitted_is_refused(wiener, first_and_last):
    day = first_and_last[1]
    for wrong, message in (
        ((replace(wiener, task="sleep"), day, 1), "of 'sleep', must be of 'movement'"),
        ((wiener, replace(day, trajectory=None), 1), "has no trajectory to learn from"),
        ((wiener, day, 0), "Invalid minutes: 0, must be finite and above 0"),
        ((wiener, day, 0.05), "have 30 answers with a known truth, must have at least 48"),
    ):
        with pytest.raises(ValueError, match=message):
            refit_readout(*wrong[:2], minutes=wrong[2])


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_refit_is_chosen_by_the_axes_that_move_alone(value):
    rng = np.random.default_rng(0)
    features, moved = rng.normal(size=(200, 3)), rng.normal(size=200)
    old = np.ones((2, 3)), np.zeros(2)
    still = Seen(features, np.column_stack([moved, np.full(200, value)]))
    alone = _choose(Seen(features, moved[:, None]), (old[0][:1], old[1][:1]), 0)
    assert _choose(still, old, 0) == alone
    assert alone.pull > 1


@pytest.fixture(scope="module")
def watch(first_and_last):
    return fit_watch(first_and_last[0])


def test_the_signal_is_the_same_in_pieces_and_as_a_whole(watch, first_and_last):
    counts = first_and_last[1].read()[None]
    whole, _ = watch.step(counts, watch.initial_state(1))
    pieces, state = [], watch.initial_state(1)
    for piece in np.split(counts, [1, 90, 555, 1400, 1401], axis=1):
        found, state = watch.step(piece, state)
        pieces.append(found)
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    assert whole.shape[1] == watch.outputs(counts.shape[1])


def test_the_signal_says_nothing_before_half_a_window_and_in_gaps(watch, first_and_last):
    counts = first_and_last[1].read()
    counts[600:1200] = np.nan
    found, _ = watch.step(counts[None], watch.initial_state(1))
    assert np.isnan(found[0, [0, 1, 10, 11], 0]).all()
    assert np.isfinite(found[0, [3, 5, 20, 29], 0]).all()


def test_the_signal_needs_no_movement_and_fires_after_drift_alone(watch, first_and_last):
    unlabelled = replace(first_and_last[1], trajectory=None)
    times, drifted = watch.watch(unlabelled)
    assert (times[0], times[-1]) == (10, 300)
    assert (drifted[5:] > watch.threshold).all()


@pytest.mark.parametrize(
    "hand", [Hand(), Hand(pace=1.4), Hand(pace=0.7), Hand((10.0, 4.0)), Hand(rest=(0.4, 1.4))]
)
def test_the_signal_does_not_fire_because_the_hand_moves_otherwise(watch, hand):
    (other,) = days(5, drift=STEADY, hands={5: hand})
    assert (watch.watch(other)[1][5:] > watch.threshold).mean() < 0.05


def test_days_that_drifted_for_two_weeks_are_told_from_stable_ones():
    signals, lost = [], []
    for seed in (60, 61, 62):
        first, *later = days(0, 1, 16, seed=seed)
        still = days(2, 16, seed=seed, drift=STEADY, hands={16: Hand(pace=0.7)})
        matrix = drift_matrix([first, *later], WIENER, ways=[])
        watch = fit_watch(first, hop=60.0)
        signals += [watch.watch(day)[1] for day in (*later, *still)]
        lost += [*matrix.lost()[0, 1:], 0.0, 0.0]
    drifted = np.repeat(np.array(lost) > 0.1, [len(one) for one in signals])
    assert roc_auc_score(drifted, np.concatenate(signals)) >= 0.9


def test_a_watch_needs_a_day_that_is_known_and_long_enough(first_and_last):
    day = first_and_last[0]
    for wrong, message in (
        (replace(day, trajectory=None), "has no trajectory to learn from"),
        (day.until(100), "must be at most a third of 1000 bins"),
        (days(0, units=3)[0], "Invalid recording: 3 channels, must be at least 4"),
        (moving(day, np.nan), "movement is known in 0 of 3000 bins, must be in at least 600"),
        (moving(day, np.nan, since=300), "movement is known in 296 of 3000 bins"),
        (moving(day, 0.1), "does not move, must move on at least one axis"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_watch(wrong)


def moving(day: Recording, value: float, *, since: int = 0) -> Recording:
    """Return the day with another movement from a bin on."""
    values = day.trajectory.values.copy()
    values[since:] = value
    return replace(day, trajectory=replace(day.trajectory, values=values))


def test_figures_show_each_way(first_and_last, wiener):
    matrix = drift_matrix(first_and_last, WIENER, ways=[READOUT])
    drawn = as_file(drift_matrix_figure(matrix))
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert f"{matrix.scores[ZERO][WEIGHTED][0, 1]:.2f}" in drawn
    curve = calibration_curve(wiener, first_and_last[1], minutes=(1,))
    assert "minutes of calibration data" in minutes_figure([curve], 0.7)


def test_the_command_writes_the_matrix_and_its_figure(tmp_path, capsys):
    for one in days(0, 4, 16):
        write_binned(tmp_path / "data" / f"{one.name}.npz", one)
    words = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--minutes", "1"]
    network = ["--task", "movement", "--network", "wiener", "--network_settings", '{"window": 5}']
    assert main(["drift", *words, *network, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["days"] == ["01", "05", "17"]
    assert answer == json.loads((tmp_path / "out" / "drift.json").read_text())
    assert (tmp_path / "out" / "drift.svg").read_text().startswith("<svg xmlns")
