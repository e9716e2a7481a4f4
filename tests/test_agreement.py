"""Agreement over nights, calibration and review, against sklearn and numbers worked out by hand."""

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, cohen_kappa_score, f1_score

from ranvier.tasks.agreement import (
    bland_altman,
    brier_score,
    calibration_error,
    entropy,
    plan_review,
    reliability,
)
from ranvier.tasks.sleep import SleepScore

NAN = float("nan")


def staged(epochs: int = 4000, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities and stages that come true as often as they say."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(5, 0.3), epochs)
    below = np.cumsum(probabilities, axis=1)[:, :-1] < rng.random((epochs, 1))
    return probabilities, below.sum(axis=1).astype(float)


def test_bias_and_limits_worked_out_by_hand():
    found = bland_altman([11, 13, 12], [10, 10, 10])
    assert (found.nights, found.bias, found.spread) == (3, 2, 1)
    assert (found.lower, found.upper) == pytest.approx((0.04, 3.96))
    half = 4.302653 / np.sqrt(3)  # Student's t of 2 degrees of freedom at 97.5 %
    assert found.bias_interval == pytest.approx((2 - half, 2 + half))


@pytest.mark.parametrize("nights", [3, 10])
def test_intervals_of_the_limits_hold_them_as_often_as_they_say(nights):
    rng = np.random.default_rng(0)
    tries = [bland_altman(rng.standard_normal(nights), np.zeros(nights)) for _ in range(500)]
    upper = np.mean([one.upper_interval[0] <= 1.96 <= one.upper_interval[1] for one in tries])
    lower = np.mean([one.lower_interval[0] <= -1.96 <= one.lower_interval[1] for one in tries])
    assert 0.92 < upper < 0.98
    assert 0.92 < lower < 0.98


def test_nights_without_a_number_are_left_out_and_counted():
    found = bland_altman([1, NAN, 3, 4], [1, 2, NAN, 3])
    assert (found.nights, found.left_out, found.bias) == (2, 2, 0.5)


def test_the_bias_is_as_sure_as_there_are_persons():
    values = [1, 1.2, 0.8, 3, 3.1, 2.9, 2, 2.1]
    people = ["a"] * 3 + ["b"] * 3 + ["c"] * 2
    found = bland_altman(values, np.zeros(8), people=people)
    alone = bland_altman([1, 3, 2.05], np.zeros(3))
    assert (found.nights, found.people) == (8, 3)
    assert found.bias == pytest.approx(alone.bias)
    assert found.bias_interval == pytest.approx(alone.bias_interval)
    assert found.spread == pytest.approx(np.std(values, ddof=1))


def test_nights_of_one_person_have_no_interval():
    found = bland_altman([1, 2, 3], [0, 0, 0], people=["a"] * 3)
    assert found.bias == 2
    assert np.isnan([*found.bias_interval, *found.upper_interval]).all()


def test_one_night_has_a_bias_and_no_limits():
    assert bland_altman([3], [1]).bias == 2
    assert np.isnan(bland_altman([3], [1]).upper)
    assert bland_altman([], []).nights == 0
    assert json.dumps(bland_altman([NAN], [1]).as_dict(), allow_nan=False)


def test_nights_that_all_differ_alike_have_limits_without_width():
    found = bland_altman([2, 3, 4], [1, 2, 3])
    assert found.upper_interval == found.bias_interval == (1, 1)


def test_bland_altman_refuses_what_is_not_paired():
    with pytest.raises(ValueError, match="must be one per night"):
        bland_altman([1, 2], [1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        bland_altman([1, 2], [1, 2], level=1)


def test_calibration_error_worked_out_by_hand():
    tops = np.array([0.95, 0.95, 0.55, 0.65])
    probabilities = np.column_stack([tops, 1 - tops])
    stages = np.array([0, 1, 0, 0])
    expected = (2 * abs(0.5 - 0.95) + abs(1 - 0.55) + abs(1 - 0.65)) / 4
    assert calibration_error(probabilities, stages) == pytest.approx(expected)
    assert reliability(probabilities, stages).epochs.tolist() == [0] * 5 + [1, 1, 0, 0, 2]


def test_a_bin_holds_its_upper_edge():
    found = reliability(np.array([[1.0, 0.0], [0.7, 0.3], [0.5, 0.5]]), np.zeros(3))
    assert np.flatnonzero(found.epochs).tolist() == [4, 6, 9]


def test_probabilities_that_come_true_are_calibrated_and_sharper_ones_are_not():
    probabilities, stages = staged(20000)
    sharper = probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True)
    assert calibration_error(probabilities, stages) < 0.02
    assert calibration_error(sharper, stages) > 0.05


def test_two_classes_have_twice_the_brier_score_of_sklearn():
    rng = np.random.default_rng(0)
    second, stages = rng.random(500), rng.integers(2, size=500)
    expected = brier_score_loss(stages, second)
    found = brier_score(np.column_stack([1 - second, second]), stages)
    assert found == pytest.approx(2 * expected)


def test_many_classes_have_the_brier_score_of_sklearn():
    probabilities, stages = staged(500)
    expected = brier_score_loss(stages, probabilities, labels=range(5), scale_by_half=False)
    assert brier_score(probabilities, stages) == pytest.approx(expected)


def test_epochs_that_are_not_known_count_for_nothing():
    probabilities, stages = staged(50)
    more = np.concatenate([probabilities, np.full((1, 5), NAN), probabilities[:1]])
    longer = np.concatenate([stages, [0.0, NAN]])
    for score in (brier_score, calibration_error):
        assert score(more, longer) == score(probabilities, stages)
        assert np.isnan(score(more[50:], longer[50:]))


def test_scores_refuse_what_is_not_paired():
    with pytest.raises(ValueError, match=r"must be \(epoch, stage\)"):
        brier_score(np.ones((3, 5)) / 5, np.zeros(2))
    with pytest.raises(ValueError, match="Invalid bins: 0"):
        reliability(np.ones((3, 5)) / 5, np.zeros(3), bins=0)


def test_scores_of_stages_are_those_of_sklearn():
    probabilities, stages = staged(500)
    found = probabilities.argmax(axis=1)
    score = SleepScore.of(stages, found.astype(float))
    assert score.kappa == pytest.approx(cohen_kappa_score(stages, found))
    assert score.accuracy == pytest.approx(accuracy_score(stages, found))
    assert score.macro_f1 == pytest.approx(f1_score(stages, found, average="macro"))
    assert score.f1 == pytest.approx(f1_score(stages, found, average=None))


def test_entropy_is_one_for_equal_and_zero_for_certain_probabilities():
    assert entropy(np.array([[0.2] * 5, [0, 0, 1, 0, 0]])) == pytest.approx([1, 0])


def test_the_most_doubtful_epochs_come_first():
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [NAN, NAN], [0.6, 0.4]])
    assert plan_review(probabilities, 1).epochs.tolist() == [1, 3, 0]
    assert plan_review(probabilities, 0.4, by="top").epochs.tolist() == [1]


@pytest.mark.parametrize("by", ["entropy", "top"])
@pytest.mark.parametrize("share", [0, 0.1, 0.3, 1])
def test_kappa_after_review_is_as_expected_when_probabilities_come_true(by, share):
    probabilities, stages = staged(20000)
    review = plan_review(probabilities, share, by=by)
    found = probabilities.argmax(axis=1).astype(float)
    assert review.kappa_before == pytest.approx(SleepScore.of(stages, found).kappa, abs=0.01)
    found[review.epochs] = stages[review.epochs]
    assert review.kappa_after == pytest.approx(SleepScore.of(stages, found).kappa, abs=0.01)


def test_doubtful_epochs_are_worth_more_than_others():
    probabilities, stages = staged()
    kappas = []
    for epochs in (plan_review(probabilities, 0.2).epochs, np.arange(800)):
        found = probabilities.argmax(axis=1).astype(float)
        found[epochs] = stages[epochs]
        kappas.append(SleepScore.of(stages, found).kappa)
    assert kappas[0] > kappas[1] + 0.03


def test_review_of_what_is_not_known_expects_nothing():
    assert np.isnan(plan_review(np.full((3, 5), NAN), 0.5).kappa_after)


def test_review_refuses_an_unknown_share_or_order():
    with pytest.raises(ValueError, match="Invalid share: 2"):
        plan_review(np.ones((3, 5)) / 5, 2)
    with pytest.raises(ValueError, match=r"possible options: \['entropy', 'top'\]"):
        plan_review(np.ones((3, 5)) / 5, 0.5, by="luck")
