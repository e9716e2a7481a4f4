"""Scaling by the past alone: what it is, what it forgets, and that gaps do it no harm."""

import numpy as np
import pytest

from ranvier.features import RunningScale
from ranvier.recording import COUNT, Layout
from ranvier.stages import build

UNITS = Layout(("a", "b"), 10.0, COUNT)
COUNTS = np.random.default_rng(0).poisson(2.0, (400, 2)).astype(np.float32)


def scaled(signal: np.ndarray, seconds: float = 5.0, settling: float = 0.0) -> np.ndarray:
    stage = RunningScale(UNITS, seconds, settling)
    return stage.step(signal[None], stage.initial_state(1))[0][0]


def test_the_mean_and_deviation_are_those_of_a_past_that_fades():
    place = 300
    weight = np.exp(-np.arange(place, -1, -1) / 50)[:, None]
    weight = weight / weight.sum()
    past = COUNTS[: place + 1].astype(float)
    mean = (weight * past).sum(axis=0)
    deviation = np.sqrt((weight * (past - mean) ** 2).sum(axis=0))
    np.testing.assert_allclose(scaled(COUNTS)[place], (past[-1] - mean) / deviation, rtol=1e-5)


def test_another_gain_and_offset_give_the_same():
    np.testing.assert_allclose(scaled(3 * COUNTS + 7), scaled(COUNTS), atol=1e-5)


def test_a_changed_rate_is_forgotten_after_some_time_constants():
    changed = np.concatenate([COUNTS, COUNTS + 50])
    assert abs(scaled(changed)[400:410]).mean() > 1.5
    assert abs(scaled(changed)[700:].mean()) < 0.3


def test_a_gap_stays_one_and_is_not_counted():
    gap = COUNTS.copy()
    gap[100:200, 0] = np.nan
    found = scaled(gap)
    assert np.array_equal(np.isnan(found), np.isnan(gap))
    np.testing.assert_array_equal(found[:, 1], scaled(COUNTS)[:, 1])


def test_nothing_is_said_before_enough_was_seen():
    missing = np.isnan(scaled(COUNTS, settling=10.0)).all(axis=1)
    assert np.flatnonzero(~missing)[0] == 100


def test_a_channel_that_says_the_same_all_along_is_zero():
    assert not scaled(np.full((50, 2), 4.0)).any()


def test_a_recipe_makes_it_by_name():
    pipeline = build([{"stage": "running_scale", "seconds": 60.0}], UNITS)
    assert pipeline.output.unit == "z"


@pytest.mark.parametrize("seconds", [0.0, 0.05, np.inf, np.nan])
def test_a_time_constant_is_at_least_a_sample(seconds):
    with pytest.raises(ValueError, match=r"Invalid seconds: .* at least one sample of 0\.1 s"):
        RunningScale(UNITS, seconds)


def test_settling_is_no_negative_time():
    with pytest.raises(ValueError, match="Invalid settling: -1 s, must be finite and 0 or more"):
        RunningScale(UNITS, settling=-1.0)
