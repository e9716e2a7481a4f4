"""Scores of drawn patients, and differences on the same draws."""

import math

import numpy as np
import pytest

from ranvier.tasks.bootstrap import Bootstrap, percentile_interval
from ranvier.tasks.seizure_scores import bootstrap_interval

STATISTICS = {"mean": np.mean, "most": max}
HARD = {
    f"p{i:02}": float(value) for i, value in enumerate(np.random.default_rng(0).normal(size=20))
}


def of(values: dict[str, float], seed: int = 0) -> Bootstrap:
    return Bootstrap.of(values, STATISTICS, list, seed=seed, draws=200)


def test_scores_and_intervals_are_those_of_the_patients() -> None:
    drawn = of(HARD)
    assert drawn.scores["most"] == max(HARD.values())
    assert drawn.intervals["mean"] == bootstrap_interval(HARD, np.mean, seed=0, draws=200)


def test_the_order_of_the_patients_does_not_matter() -> None:
    assert of(dict(reversed(HARD.items()))).intervals == of(HARD).intervals


def test_a_system_does_not_differ_from_itself() -> None:
    assert of(HARD).minus(of(HARD)) == {"mean": (0, 0, 0), "most": (0, 0, 0)}


def test_what_is_hard_for_both_cancels_out() -> None:
    better = {name: value + 0.1 for name, value in HARD.items()}
    assert of(better).minus(of(HARD))["mean"] == pytest.approx((0.1, 0.1, 0.1))
    low, high = of(HARD).intervals["mean"]
    assert high - low > 0.5


def test_one_patient_has_a_difference_but_no_interval() -> None:
    difference, low, high = of({"a": 2.0}).minus(of({"a": 1.0}))["mean"]
    assert difference == 1
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (of({"a": 1.0}), "Invalid patients: .*, must be equal for both"),
        (of(HARD, seed=1), "Invalid seed: 1, must be equal for both, 0"),
    ],
)
def test_other_patients_or_draws_are_refused(other, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of(HARD).minus(other)


def test_draws_with_nan_are_left_out() -> None:
    assert percentile_interval([1.0, math.nan, 1.0]) == (1, 1)
    assert np.isnan(percentile_interval([])).all()
