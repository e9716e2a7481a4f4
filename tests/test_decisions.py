"""From probabilities to alarms."""

import numpy as np
import pytest

from ranvier.decisions import Alarm, AlarmRule, alarm_times, events_of
from ranvier.recording import Layout

HIGH, LOW = 0.9, 0.1


def run(probabilities, **rule):
    alarm = Alarm(Layout(("probability",), 1.0), rule=AlarmRule(**rule))
    chunk = np.array(probabilities, dtype=float)[None, :, None]
    rows, _ = alarm.step(chunk, alarm.initial_state(1))
    times = np.arange(1.0, len(probabilities) + 1)
    return rows[0], chunk[0, :, 0], times


def spans(probabilities, **rule):
    return [(event.onset, event.end) for event in events_of(*run(probabilities, **rule))]


def test_an_event_spans_the_hops_above_the_threshold():
    assert spans([LOW, HIGH, HIGH, LOW], minimum_seconds=0, merge_seconds=0) == [(1.0, 3.0)]


def test_a_short_detection_is_no_event():
    found = spans([LOW, HIGH, HIGH, LOW, *[HIGH] * 3], minimum_seconds=3, merge_seconds=0)
    assert found == [(4.0, 7.0)]


def test_the_alarm_is_raised_when_the_minimum_is_reached():
    rows, _, times = run([LOW, *[HIGH] * 5], minimum_seconds=3, merge_seconds=0)
    assert alarm_times(rows, times).tolist() == [4.0]


def test_hysteresis_keeps_an_event_until_the_release():
    rule = {"threshold": 0.8, "release": 0.5, "minimum_seconds": 0, "merge_seconds": 0}
    assert spans([HIGH, 0.5, 0.41, 0.39, 0.5], **rule) == [(0.0, 3.0)]


def test_events_with_a_short_pause_are_one():
    rule = {"minimum_seconds": 0, "merge_seconds": 3}
    assert spans([HIGH, LOW, LOW, HIGH, LOW, LOW, LOW, HIGH], **rule) == [(0.0, 4.0), (7.0, 8.0)]


def test_what_is_not_valid_is_no_detection():
    assert spans([HIGH, np.nan, HIGH], minimum_seconds=0, merge_seconds=0) == [(0, 1), (2, 3)]


def test_an_event_that_is_on_at_the_end_reaches_as_far_as_is_known():
    assert spans([LOW, HIGH, HIGH], minimum_seconds=0, merge_seconds=5) == [(1.0, 3.0)]


def test_confidence_is_the_highest_probability_inside():
    (event,) = events_of(*run([0.6, 0.95, 0.7, LOW], minimum_seconds=0, merge_seconds=0))
    assert event.confidence == 0.95


@pytest.mark.parametrize("rule", [{"threshold": 1.5}, {"release": -1}, {"minimum_seconds": -1}])
def test_impossible_rules_are_refused(rule):
    with pytest.raises(ValueError, match="Invalid"):
        AlarmRule(**rule)
