"""Scores of a system on many recordings, and differences between two systems."""

import json
import math
from functools import cache

import numpy as np
import pytest
from test_report import SEIZURE, evaluation, page_of, predict, words_of

from ranvier.scoring.seizure import POOLED, SeizureScores, compare, score_predictions
from ranvier.tasks.seizure_scorers import SCORERS, VERSIONS, score_all
from ranvier.tasks.seizure_scores import delay_percentile, share_within
from ranvier.truth import Events

NAMES = "abcd"
HIT, MISS = (600, 660), (2000, 2060)


@cache
def scores(*found, names=NAMES, seed=0, duration=3600.0) -> SeizureScores:
    """Score what was found in a seizure of each patient; fewer than patients are repeated."""
    spans = [found[i % len(found)] for i in range(len(names))]
    made = [
        predict(span, subject=name, duration=duration)
        for name, span in zip(names, spans, strict=True)
    ]
    truth = {one.name: Events.from_intervals(SEIZURE, one.duration) for one in made}
    return score_predictions(made, truth, seed=seed)


def test_every_scorer_counts_the_same_alarms() -> None:
    one = scores(HIT, names="a")
    alone = predict(HIT, subject="a")
    assert one.pooled.scores == score_all(Events.from_intervals(SEIZURE, 3600), alone.events)


def test_every_scorer_is_pooled_averaged_and_given_for_each_patient() -> None:
    described = scores(HIT, MISS).as_dict()
    for name in SCORERS:
        assert described["scorers"][name]["pooled"] == described["pooled"][name]
        assert described["scorers"][name]["averaged"]["sensitivity"]["patients"] == 4
        assert described["scorers"][name]["scorer"] == VERSIONS[name]
        assert "NaN" in described["scorers"][name]["nan_rule"]
    assert described["subjects"][0]["taes"]["sensitivity"] > 0.9
    assert described["subjects"][1]["any_overlap"]["false_positives"] == 1


def test_everything_is_json_without_nan() -> None:
    one = scores(HIT, names="a", duration=1200.0)
    text = json.dumps(one.as_dict(one), allow_nan=False)
    assert '"sensitivity_at_1_per_day": null' in text


def test_at_a_rate_of_false_alarms_the_threshold_is_free() -> None:
    clear = scores(HIT)
    assert clear.pooled.alarms.at(1) == 1
    assert clear.pooled.windows.area == 1
    assert scores(MISS).pooled.alarms.at(1) == 0


def test_delays_have_percentiles_of_the_alarms_and_shares_of_the_seizures() -> None:
    delays = np.array([5.0, 10.0, 20.0, np.nan])
    assert [delay_percentile(delays, percent) for percent in (10, 50, 90)] == [6, 10, 18]
    assert [share_within(delays, seconds) for seconds in (10, 30)] == [0.5, 0.75]
    assert math.isnan(delay_percentile(np.array([np.nan]), 50))
    assert math.isnan(share_within(np.empty(0), 10))
    assert scores((596, 660)).as_dict()["pooled"]["alarm_within_10_s"] == 1


def test_the_better_system_is_ahead_by_the_difference_of_the_scores() -> None:
    better, worse = scores(HIT), scores(HIT, MISS)
    ahead = compare(better, worse)
    assert ahead["sensitivity"][0] == 0.5
    assert 0 <= ahead["sensitivity"][1] <= 0.5 <= ahead["sensitivity"][2] <= 1
    assert compare(worse, better)["f1"][0] == -ahead["f1"][0]
    assert set(POOLED) < set(ahead)


def test_a_system_does_not_differ_from_itself() -> None:
    same = scores(HIT, MISS)
    known = [one for one in compare(same, same).values() if not np.isnan(one).any()]
    assert known
    assert set(known) == {(0, 0, 0)}


def test_one_patient_has_a_difference_without_interval() -> None:
    change = compare(scores(HIT, names="a"), scores(MISS, names="a"))["sensitivity"]
    assert change == pytest.approx((1, math.nan, math.nan), nan_ok=True)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (scores(HIT, names="abc"), r"only one of both was tested on d \(d, 3600 s\)"),
        (scores(HIT, duration=7200.0), r"tested on a \(a, 3600 s\), must be on the same"),
        (scores(HIT, seed=1), "Invalid seed: 1, must be equal for both, 0"),
    ],
)
def test_systems_with_other_recordings_or_draws_are_not_compared(other, message) -> None:
    with pytest.raises(ValueError, match=message):
        compare(scores(HIT), other)


def test_the_table_ends_with_the_differences_to_the_baseline() -> None:
    *_, baseline, difference, interval = scores(HIT).table(scores(HIT, MISS))
    assert baseline[0] == "baseline, all"
    assert (difference[0], difference[2]) == ("difference", "+0.500")
    assert interval[2].startswith("+0.")
    assert {len(row) for row in scores(HIT).table(scores(MISS))} == {8}


def test_differences_to_a_baseline_are_in_the_plain_types_where_it_is_given() -> None:
    plain = scores(HIT).as_dict(scores(MISS))
    assert plain["differences_to_baseline"]["sensitivity"] == [1, 1, 1]
    assert "differences_to_baseline" not in scores(HIT).as_dict()


def test_the_report_shows_other_scorers_rates_and_differences(tmp_path) -> None:
    plain = [predict(MISS, subject=name) for name in NAMES]
    pairs = [(predict(HIT, subject=name), SEIZURE) for name in NAMES]
    said = words_of(page_of(evaluation(*pairs, baseline=plain), tmp_path))
    assert "Sensitivity 1.000 1.000 to 1.000 0.000 0.000 to 0.000" in said
    assert "aligned in time (TAES) 4 of 4 0 0 1.000 1.000 1.000 1.000 0.000 +1.000" in said
    assert "At 1 per 24 h 1.000 1.000 to 1.000 0.000 0.000 to 0.000 +1.000" in said
    assert "Half of the alarms within 6.0 s" in said
