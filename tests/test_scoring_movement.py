"""Movement is scored as the field does, beside plain decoders that see no test target."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import wilcoxon
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

import ranvier as rv
from ranvier.baseline import HISTORY
from ranvier.beside import Mean, forgets, lag_tuning, later, shifted_counts
from ranvier.decisions import MotionRule
from ranvier.fitting import prepare_annotated
from ranvier.networks.wiener import RIDGES
from ranvier.recipe import recipe_from
from ranvier.scoring.movement import MovementScores
from ranvier.scoring.movement_comparison import Comparison
from ranvier.splits import PARTS_IN_TIME, cut_in_time
from ranvier.tasks.movement import MovementTask
from ranvier.tasks.movement_scores import MovementScore, Sums, on_common_samples

SMALL = {"network": "wiener", "network_settings": {"window": 4, "least": 1}}
OTHERS = ("ridge", "Kalman", "mean", "shuffled")


def scored(noise=0.5, *, seed=0, samples=400, trial=0, drop=()) -> MovementScore:
    """Score a movement of two axes, told with noise; there is a gap after each trial."""
    rng = np.random.default_rng(7)
    targets = rng.normal(size=(samples, 2)) * [1.0, 3.0] + [5.0, 0.0]
    outputs = targets + noise * np.random.default_rng(seed).normal(size=targets.shape)
    place = np.arange(samples)
    times = 0.1 * (1 + place + (place // trial if trial else 0))
    kept = ~np.isin(place, drop)
    return MovementScore(("x", "y"), times[kept], 0.1, targets[kept], outputs[kept])


def compared(*sessions, own="gru", seed=0) -> Comparison:
    """Compare a network to decoders that tell less, in sessions of (network, ridge, Kalman)."""
    names = (own, "ridge", "Kalman")
    decoders = {
        name: {f"s{number}": one[place] for number, one in enumerate(sessions)}
        for place, name in enumerate(names)
    }
    return Comparison.of(decoders, ("ridge", "Kalman"), seed=seed)


def trials(noise, seed=0) -> MovementScore:
    return scored(noise, seed=seed, trial=10)


def test_r2_is_that_of_scikit_learn_under_both_names():
    one = scored()
    pair = one.targets, one.outputs
    assert one.r2 == pytest.approx(r2_score(*pair, multioutput="raw_values"))
    assert one.uniform == pytest.approx(r2_score(*pair, multioutput="uniform_average"))
    assert one.weighted == pytest.approx(r2_score(*pair, multioutput="variance_weighted"))
    assert one.uniform != pytest.approx(one.weighted)


def test_snr_is_ten_decibels_at_an_r2_of_nine_tenths():
    one = scored()
    assert 10 ** (-np.array(one.snr) / 10) == pytest.approx(1 - np.array(one.r2))
    assert scored(0.0).snr == [float("inf")] * 2


def test_a_wrong_gain_lowers_r2_and_not_the_correlation():
    one = scored(0.0)
    half = replace(one, outputs=one.outputs / 2)
    assert half.correlation == pytest.approx([1.0, 1.0])
    assert max(half.r2) < 0.8


def test_an_axis_that_stands_still_counts_in_no_mean():
    one = scored()
    still = replace(one, targets=one.targets * [0.0, 1.0])
    assert np.isnan(still.r2[0])
    assert still.uniform == still.r2[1]


@pytest.mark.parametrize("value", [0.1, 1e6 / 3, -7.7])
def test_an_axis_stands_still_at_whatever_value_it_does(value):
    one = scored()
    still = replace(one, targets=np.column_stack([np.full(400, value), one.targets[:, 1]]))
    assert np.isnan([still.r2[0], still.snr[0]]).all()
    assert still.uniform == still.r2[1]
    drawn = Sums.of(still, still.units).drawn(np.ones((1, still.units.number)))
    assert drawn["uniform"] == pytest.approx(still.uniform)
    assert np.isnan(replace(still, targets=np.full((400, 2), value)).weighted)


def test_a_small_axis_beside_a_large_one_is_drawn_as_well():
    one = scored()
    apart = replace(one, targets=one.targets * [1e-6, 1.0], outputs=one.outputs * [1e-6, 1.0])
    drawn = Sums.of(apart, apart.units).drawn(np.ones((1, apart.units.number)))
    assert drawn["uniform"] == pytest.approx(one.uniform)


def test_an_axis_that_stands_still_is_not_scaled():
    mean, spread = MovementTask().scaling(np.array([[0.1, 0.0]] * 3 + [[np.nan, 1.0]]))
    assert mean[0] == pytest.approx(0.1)
    assert spread[0] == 1


def test_scores_without_samples_are_not_known():
    none = scored(samples=0)
    assert np.isnan([none.uniform, none.weighted, *none.r2, *none.correlation, *none.snr]).all()
    assert none.as_dict()["r2_uniform"] is None


def test_trials_are_drawn_where_there_are_some_and_else_blocks_of_five_seconds():
    assert trials(0.5).units[::2] == ("trial", 40)
    assert scored().units[::2] == ("block", 8)
    assert np.bincount(scored().units.of).tolist() == [50] * 8


def test_sums_over_drawn_units_are_r2_of_the_samples_of_these_units():
    one = trials(0.5)
    drawn = np.random.default_rng(0).integers(40, size=40)
    rows = np.concatenate([np.flatnonzero(one.units.of == unit) for unit in drawn])
    weights = np.bincount(drawn, minlength=40)[None].astype(float)
    found = Sums.of(one, one.units).drawn(weights)
    pair = one.targets[rows], one.outputs[rows]
    assert found["uniform"][0] == pytest.approx(r2_score(*pair, multioutput="uniform_average"))
    assert found["weighted"][0] == pytest.approx(r2_score(*pair, multioutput="variance_weighted"))


def test_decoders_are_compared_on_the_samples_that_all_answer():
    late, early = scored(drop=range(50)), scored(drop=range(350, 400))
    both = on_common_samples({"a": late, "b": early})
    assert len(both["a"].times) == len(both["b"].times) == 300
    np.testing.assert_array_equal(both["a"].targets, both["b"].targets)


def test_the_reference_is_the_better_of_ridge_and_kalman():
    assert compared((trials(0.3), trials(0.6), trials(0.8))).reference == "ridge"
    assert compared((trials(0.3), trials(0.8), trials(0.6))).reference == "Kalman"


def test_a_difference_has_a_paired_interval_over_trials():
    one = compared((trials(0.3, 1), trials(0.6, 2), trials(0.8, 3)))
    value, low, high = one.difference("gru")
    assert one.drawn_from == "40 trials"
    assert 0 < low < value < high
    alike = one.interval("gru")[1] - one.interval("ridge")[0]
    assert high - low < alike


def test_equal_decoders_differ_by_nothing_in_every_draw():
    same = compared((trials(0.6), trials(0.6), trials(0.8)))
    assert same.difference("gru") == (0.0, 0.0, 0.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """The population R² of noise 0.6 on deviations 1 and 3 is known."""
    truth = 1 - 0.36 * np.mean([1.0, 1 / 9])
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        targets = rng.normal(size=(400, 2)) * [1.0, 3.0]
        one = replace(trials(0), targets=targets, outputs=targets + 0.6 * rng.normal(size=(400, 2)))
        low, high = compared((one, one, one)).interval("gru")
        held.append(low <= truth <= high)
    assert np.mean(held) > 0.85


def test_sessions_are_paired_with_a_signed_rank_test():
    noises = np.linspace(0.4, 0.8, 7)
    sessions = [(scored(0.9 * n, seed=1), scored(n, seed=2), scored(2.0)) for n in noises]
    one = compared(*sessions)
    found = [a.uniform - b.uniform for a, b, _ in sessions]
    assert one.drawn_from == "7 sessions"
    assert one.difference("gru")[0] == pytest.approx(np.mean(found))
    assert one.wilcoxon("gru") == pytest.approx(wilcoxon(found).pvalue)
    assert min(found) <= one.difference("gru")[1] <= one.difference("gru")[2] <= max(found)
    assert "in 7 of 7 sessions" in " ".join(one.sentences())


def test_tested_parts_of_one_recording_are_one_session_whose_trials_are_drawn():
    decoders = {
        name: {f"a_part-{number}": trials(noise, number) for number in (1, 2)}
        for name, noise in {"gru": 0.3, "ridge": 0.6}.items()
    }
    one = Comparison.of(decoders, ("ridge",))
    assert one.drawn_from == "80 trials"
    assert 0 < one.difference("gru")[1] < one.difference("gru")[2]
    assert len(one.session_differences("gru")) == 1


def test_sessions_of_unequal_length_are_drawn_with_all_their_parts():
    noises = {"a_part-1": 0.2, "a_part-2": 0.2, "a_part-3": 0.2, "b": 1.5}
    decoders = {
        name: {part: scored(n + more, seed=1) for part, n in noises.items()}
        for name, more in {"gru": 0.0, "ridge": 0.1}.items()
    }
    one = Comparison.of(decoders, ("ridge",))
    value, low, high = one.difference("gru")
    drawn = one._draws["gru"]["uniform"]
    assert (one.drawn_from, low < value < high) == ("2 sessions", True)
    assert {round(v, 9) for v in drawn} == {round(v, 9) for v in _two_drawn(one)}


def _two_drawn(one: Comparison) -> list[float]:
    values = [one.decoders["gru"][name].uniform for name in one.recordings]
    return [np.mean(values[:3]), np.mean(values), values[3]]


def test_a_part_in_which_nothing_moves_leaves_the_interval_of_the_others():
    one = trials(0.3)
    still = replace(one, targets=np.full((400, 2), 0.1))
    decoders = {name: {"a_part-1": one, "a_part-2": still} for name in ("gru", "ridge")}
    low, high = Comparison.of(decoders, ("ridge",)).interval("gru")
    assert low < one.uniform < high


def test_too_little_to_draw_from_has_no_interval():
    short = [scored(noise, samples=60) for noise in (0.3, 0.6, 0.8)]
    one = compared(tuple(short))
    assert np.isnan(one.difference("gru")[1:]).all()
    assert "No intervals" in one.sentences()[0]


def test_another_seed_moves_the_interval_and_not_the_score():
    pair = trials(0.3), trials(0.6), trials(0.8)
    one, other = (compared(pair, seed=seed).difference("gru") for seed in (0, 1))
    assert one[0] == other[0]
    assert one[1:] != other[1:]


def test_without_a_rival_nothing_can_be_compared():
    with pytest.raises(ValueError, match="must be with one of"):
        Comparison.of({"gru": {"a": scored()}}, ("ridge", "Kalman"))


def test_a_network_that_is_called_as_a_plain_decoder_is_told_apart():
    alone = MovementScores({"a": trials(0.3)})
    found = alone.beside("kalman", {"Kalman": alone, "ridge": alone}, ("ridge",)).comparison
    assert list(found.decoders) == ["kalman (network)", "Kalman", "ridge"]


def test_against_earlier_movement_the_same_movement_is_scored():
    one = trials(0.0)
    moved = [one.shifted(lag, within=2) for lag in (-2, 0, 2)]
    assert len({shift.targets.tobytes() for shift in moved}) == 1
    assert len(moved[0].times) == 40 * 6
    assert np.argmax([shift.uniform for shift in moved]) == 1


@pytest.fixture(scope="module")
def reaches():
    return rv.simulate_reaches(subjects=1, minutes=2, gaps=True)


@pytest.fixture(scope="module")
def result(reaches):
    return rv.evaluate("movement", reaches, **SMALL)


def with_other_test_targets(recording):
    """Change what is true in the last fifth of a recording, and nothing else."""
    values = recording.trajectory.values.copy()
    first = int(0.8 * len(values)) + 40
    values[first:] = 100 * np.random.default_rng(1).normal(size=values[first:].shape)
    return replace(recording, trajectory=replace(recording.trajectory, values=values))


@pytest.fixture(scope="module")
def prepared(reaches, tmp_path_factory):
    parts = cut_in_time(reaches, PARTS_IN_TIME)
    recipe = recipe_from("movement", **SMALL)
    return prepare_annotated(parts, recipe, tmp_path_factory.mktemp("prepared"), None)


def test_every_evaluation_has_the_plain_decoders_beside_the_network(result):
    header, *rows = result.scores.table(result.baseline_scores)
    assert [row[0] for row in rows] == ["wiener", *OTHERS]
    assert {"R² uniform", "R² weighted", "SNR dB x"} <= set(header)
    kept = result.as_dict()["scores"]["beside"]
    assert kept["reference"] in {"ridge", "Kalman"}
    assert list(kept["decoders"]) == ["wiener", *OTHERS]


def test_the_mean_and_shuffled_spikes_tell_nothing(result):
    of = result.scores.comparison
    assert of.mean("mean", "uniform")[0] == pytest.approx(0, abs=0.05)
    assert of.mean("shuffled", "uniform")[0] < 0.1
    assert of.mean("ridge", "uniform")[0] > 0.4


def test_no_decoder_sees_a_test_target(reaches, result):
    changed = rv.evaluate("movement", [with_other_test_targets(reaches[0])], **SMALL)
    assert changed.scores.mean != pytest.approx(result.scores.mean, abs=0.1)
    for name in OTHERS:
        one, other = result.beside[name][0], changed.beside[name][0]
        np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(result.predictions[0].values, changed.predictions[0].values)
    assert result.folds[0].lags == changed.folds[0].lags


def test_what_was_kept_is_compared_again_alike(tmp_path, reaches):
    first = rv.evaluate("movement", reaches, out=tmp_path, **SMALL)
    again = rv.load_evaluation(tmp_path)
    assert again.scores.as_dict() == first.scores.as_dict()
    assert again.folds[0].lags == first.folds[0].lags
    assert again.folds[0].lags.best > 0


def history_of(counts):
    """Return the last bins of each bin in a row, oldest first; zeros before a gap and the start."""
    rows = np.zeros((len(counts), HISTORY, counts.shape[1]))
    for bin_ in range(len(counts)):
        for back in range(min(HISTORY, bin_ + 1)):
            if np.isnan(counts[bin_ - back]).all():
                break
            rows[bin_, HISTORY - 1 - back] = counts[bin_ - back]
    return rows.reshape(len(counts), -1)


def test_the_ridge_is_that_of_scikit_learn_on_the_history(result, prepared):
    train, test = (prepared[place].features() for place in (0, 2))
    targets, valid = prepared[0].targets(), ~np.isnan(train).all(axis=1)
    known = valid & ~np.isnan(targets).any(axis=1)
    rows, found = history_of(train)[known], result.beside["ridge"][0]
    scale = (rows - rows.mean(axis=0)).var(axis=0).mean() * len(rows)
    off = []
    for share in RIDGES:
        told = Ridge(share * scale).fit(rows, targets[known]).predict(history_of(test))
        off.append(np.abs(told - found.values)[found.valid].max())
    assert min(off) < 1e-3


def regress(x, y):
    """Return weights, offset and the covariance of what is left."""
    design = np.c_[x, np.ones(len(x))]
    fit = np.linalg.lstsq(design, y, rcond=None)[0]
    left = y - design @ fit
    return fit[:-1].T, fit[-1], left.T @ left / len(left)


def textbook_kalman(train, targets, test):
    """Filter with the gain as it stands in books; a trial at a time, from the training mean."""
    known = ~np.isnan(train).all(axis=1) & ~np.isnan(targets).any(axis=1)
    pair = known[:-1] & known[1:]
    A, a, W = regress(targets[:-1][pair], targets[1:][pair])
    H, h, Q = regress(targets[known], train[known])
    Q += 1e-3 * np.diag(np.diag(Q))
    start = targets[known].mean(axis=0), np.cov(targets[known].T, ddof=0)
    (mean, P), means = start, []
    for counts in test:
        if np.isnan(counts).all():
            (mean, P), told = start, np.full(len(a), np.nan)
        else:
            mean, P = A @ mean + a, A @ P @ A.T + W
            K = P @ H.T @ np.linalg.inv(H @ P @ H.T + Q)
            mean, P = mean + K @ (counts - H @ mean - h), P - K @ H @ P
            told = mean
        means.append(told)
    return np.array(means)


def test_kalman_is_the_filter_of_the_textbook_in_every_trial(result, prepared):
    train, test = (prepared[place].features().astype(float) for place in (0, 2))
    told = textbook_kalman(train, prepared[0].targets(), test)
    found = result.beside["Kalman"][0]
    np.testing.assert_allclose(found.values[found.valid], told[found.valid], atol=1e-3)


def test_the_mean_is_that_of_the_training_part(prepared):
    mean = Mean.fit(prepared[:1], MotionRule())
    expected = np.nanmean(prepared[0].targets(), axis=0)
    assert mean.predict(prepared[2]).values == pytest.approx(
        np.tile(expected, (len(prepared[2]), 1))
    )


def test_shuffling_keeps_rates_and_gaps_and_moves_far_enough(prepared):
    counts, moved = prepared[0].features(), shifted_counts(prepared[:1], seed=0)[0]
    np.testing.assert_array_equal(np.isnan(moved), np.isnan(counts))
    np.testing.assert_allclose(np.nansum(moved, axis=0), np.nansum(counts, axis=0))
    valid = ~np.isnan(counts).all(axis=1)
    shifts = [s for s in range(valid.sum()) if (np.roll(counts[valid], s, 0) == moved[valid]).all()]
    least = HISTORY + forgets(prepared[0].targets()[valid])
    assert least <= shifts[0] <= valid.sum() - least


def test_the_autocorrelation_of_a_slow_wave_fades_within_a_quarter():
    wave = np.sin(2 * np.pi * np.arange(1000) / 100)[:, None]
    assert 20 <= forgets(wave) <= 26


def test_an_axis_that_stands_still_is_forgotten_at_once():
    wave = np.sin(np.arange(400) / 20)
    still = np.column_stack([wave, np.full(400, 0.1)])
    assert forgets(still) == forgets(wave[:, None])


def test_movement_near_a_gap_is_left_out_at_every_lag():
    counts = np.ones((12, 1))
    counts[6] = np.nan
    targets = np.arange(12.0)[:, None]
    for lag in (-1, 0, 1):
        due = later(counts, targets, lag, within=1)[:, 0]
        assert due[~np.isnan(due)].tolist() == [1, 2, 3, 4, 8, 9, 10]
        assert np.flatnonzero(~np.isnan(due)).tolist() == [n - lag for n in (1, 2, 3, 4, 8, 9, 10)]


def test_counts_that_lead_by_two_bins_are_found_to_do_so(prepared):
    class Led:
        hop = 0.05

        def features(self):
            rng = np.random.default_rng(0)
            return np.roll(self.targets(), -2, axis=0).astype("f4") + rng.normal(
                0, 0.5, (600, 2)
            ).astype("f4")

        def targets(self):
            return np.random.default_rng(1).normal(size=(600, 2))

    tuning = lag_tuning("movement", [Led()], MotionRule())
    assert tuning.best == pytest.approx(0.1)
    assert len(tuning.seconds) == 9


def test_other_tasks_have_no_lags_and_nothing_beside(prepared):
    assert lag_tuning("sleep", prepared, MotionRule()).seconds == ()
    assert np.isnan(lag_tuning("sleep", prepared, MotionRule()).best)
