"""Sensitivity at a rate of false alarms, its area, and the windows of NeuroAtlas."""

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from test_report import predict

from ranvier.decisions import StageRule
from ranvier.scoring.seizure_subjects import Thresholds, decided_at, score_one
from ranvier.tasks.seizure_curves import (
    BUDGETS,
    THRESHOLDS,
    SensitivityCurve,
    alarm_curve,
    pool_curves,
    spread_thresholds,
    window_curve,
    window_means,
)
from ranvier.tasks.seizure_events import DAY, score_events
from ranvier.truth import Events

HOUR = 3600.0


def curve(found, false, references=10, *, seconds=DAY, background=DAY) -> SensitivityCurve:
    counts = np.array(found), np.array(false)
    thresholds = np.linspace(0.1, 0.9, len(found))
    return SensitivityCurve(thresholds, *counts, references, seconds, background)


def test_sensitivity_at_a_rate_is_the_best_that_is_no_noisier() -> None:
    rising = curve([9, 8, 4, 5, 1], [30, 10, 3, 2, 0])
    assert [rising.at(rate) for rate in (*BUDGETS, 30)] == [0.1, 0.5, 0.5, 0.8, 0.8, 0.9]


def test_where_only_silence_is_quiet_enough_nothing_is_found() -> None:
    assert curve([9, 8], [30, 10]).at(5) == 0


def test_thresholds_at_which_detections_run_together_do_not_count() -> None:
    assert curve([10, 10, 6], [0, 40, 2]).at(24) == 0.6


def test_counts_are_per_day_of_recording() -> None:
    assert curve([5], [3], seconds=2 * DAY).at(2) == 0.5
    assert curve([5], [3], seconds=2 * DAY).at(1) == 0


@pytest.mark.parametrize("known", [{"references": 0}, {"background": HOUR - 1}])
def test_without_seizures_or_background_there_is_no_sensitivity_at_a_rate(known) -> None:
    blank = curve([0], [0], **known)
    assert math.isnan(blank.at(1))
    assert math.isnan(blank.area)


def test_the_area_is_that_of_the_steps_over_the_logarithm() -> None:
    one_per_hour = curve([5], [24])
    assert one_per_hour.area == pytest.approx(0.5 * 2 / 3)
    assert curve([8, 5], [240, 24]).area == pytest.approx((0.5 + 0.8) / 3)
    assert curve([10], [0]).area == 1
    assert curve([10], [24 * 1000]).area == 0
    assert curve([], []).area == 0


def test_curves_are_pooled_by_their_counts() -> None:
    both = pool_curves([curve([5], [3]), curve([1], [1], 2, seconds=HOUR, background=60)])
    assert (both.found.tolist(), both.false_positives.tolist(), both.references) == ([6], [4], 12)
    assert (both.seconds, both.background) == (DAY + HOUR, DAY + 60)


def test_a_curve_is_json_and_names_its_scorer() -> None:
    text = json.dumps(curve([0], [0], references=0).as_dict(), allow_nan=False)
    assert "Ranvier rules 1" in text
    assert '"24": null' in text


def test_thresholds_are_values_and_dense_among_the_highest() -> None:
    values = np.random.default_rng(0).random(100_000)
    chosen = spread_thresholds(np.append(values, np.nan))
    above = [(values >= one).mean() for one in chosen]
    assert len(chosen) <= THRESHOLDS
    assert set(chosen) <= set(values)
    assert (chosen[0], chosen[-1]) == (values.min(), values.max())
    assert sum(share < 0.01 for share in above) > len(chosen) / 3


@pytest.mark.parametrize("values", [[], [np.nan]])
def test_there_are_no_thresholds_without_values(values) -> None:
    assert spread_thresholds(np.array(values)).shape == (0,)


def test_a_window_is_the_mean_of_its_valid_outputs() -> None:
    times = np.arange(1.0, 26.0)
    values = np.repeat([0.2, 0.6, 0.9], [10, 10, 5])
    values[[0, 12]] = np.nan
    assert window_means(times, values, 25.0) == pytest.approx([0.2, 0.6, 0.9])
    assert np.isnan(window_means(times[:10], values[:10], 35.0)[1:]).all()
    assert window_means(np.empty(0), np.empty(0), 0.0).shape == (0,)


def test_runs_of_windows_are_scored_by_any_overlap() -> None:
    truth = Events.from_intervals([(15, 18), (95, 99)], 100.0)
    means = np.array([0.1, 0.9, 0.9, 0.1, np.nan, 0.5, 0.1, 0.9, 0.1, 0.5])
    counted = window_curve(truth, means, np.array([0.5, 0.8, 1.0]))
    assert counted.found.tolist() == [2, 1, 0]
    assert counted.false_positives.tolist() == [2, 1, 0]
    assert (counted.references, counted.background) == (2, 93)


def test_the_alarms_are_decided_anew_at_each_threshold() -> None:
    prediction, truth = predict((600, 660)), Events.from_intervals([(600, 660)], HOUR)
    calls = []

    def decide(threshold: float) -> Events:
        calls.append(threshold)
        return prediction.events if threshold < 0.5 else Events((), HOUR)

    counted = alarm_curve(truth, decide, np.array([0.2, 0.7]))
    assert calls == [0.2, 0.7]
    assert counted.found.tolist() == [1, 0]
    assert counted.references == score_events(truth, prediction.events).references == 1


@pytest.mark.parametrize("rule", [{}, {"minimum_seconds": 0}, {"refractory_seconds": 60}])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_decided_in_stretches_is_what_is_decided_as_a_whole(rule, seed) -> None:
    rng = np.random.default_rng(seed)
    slow = np.convolve(rng.normal(size=2000), np.ones(8) / 4, "same")
    blank = predict(duration=2000.0, hop=1.0)
    values = np.where(rng.random(2000) < 0.01, np.nan, 1 / (1 + np.exp(-slow)))[:, None]
    prediction = replace(blank, values=values, rule=replace(blank.rule, **rule))
    for threshold in np.linspace(0.02, 0.98, 25):
        whole = prediction.decided_by(replace(prediction.rule, threshold=threshold)).events
        assert decided_at(prediction, threshold).intervals() == pytest.approx(whole.intervals())


def test_nothing_is_decided_anew_without_a_threshold() -> None:
    staged = replace(predict(), rule=StageRule())
    with pytest.raises(ValueError, match=r"Invalid rule: StageRule\(\), must be an AlarmRule"):
        decided_at(staged, 0.5)


def test_an_hour_is_decided_at_all_thresholds_within_a_second() -> None:
    prediction = predict((600, 660), (2000, 2060), hop=1.0)
    truth = Events.from_intervals([(600, 660)], HOUR)
    began = time.process_time()
    score_one(prediction, truth, Thresholds.of([prediction]))
    assert time.process_time() - began < 1.0
