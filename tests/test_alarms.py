"""From probabilities to alarms, and what they say."""

import numpy as np
import pytest

from ranvier.alarms import ALARM_COLUMNS, Alarm, AlarmRule, alarm_times, events_of
from ranvier.decoding import rule_as_dict, rule_from
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


AT_ONCE = {"minimum_seconds": 0, "merge_seconds": 0}
TWICE = [LOW, HIGH, HIGH, LOW, LOW, HIGH, HIGH, LOW, LOW, HIGH, LOW]


def test_after_an_alarm_there_is_no_other_for_the_refractory_time():
    assert spans(TWICE, **AT_ONCE) == [(1, 3), (5, 7), (9, 10)]
    assert spans(TWICE, **AT_ONCE, refractory_seconds=6) == [(1, 3), (9, 10)]
    assert spans(TWICE, **AT_ONCE, refractory_seconds=9) == [(1, 3)]


def test_a_detection_that_outlasts_the_refractory_time_raises_its_alarm_then():
    rows, values, times = run([HIGH, LOW, *[HIGH] * 6], **AT_ONCE, refractory_seconds=5)
    assert alarm_times(rows, times).tolist() == [1.0, 6.0]
    assert [(one.onset, one.end) for one in events_of(rows, values, times)] == [(0, 1), (2, 8)]


def test_the_refractory_time_counts_from_the_moment_of_the_alarm():
    rows, _, times = run([*[HIGH] * 8, LOW, HIGH], **AT_ONCE, refractory_seconds=5)
    assert alarm_times(rows, times).tolist() == [1.0, 10.0]


def test_a_detection_after_the_refractory_time_must_last_as_long_as_any():
    rule = {"minimum_seconds": 3, "merge_seconds": 0, "refractory_seconds": 4}
    rows, _, times = run([HIGH, HIGH, HIGH, LOW, LOW, *[HIGH] * 4], **rule)
    assert alarm_times(rows, times).tolist() == [3.0, 8.0]


def test_a_detection_that_is_held_back_is_told():
    held_back = run(TWICE, **AT_ONCE, refractory_seconds=6)[0][:, 5]
    assert held_back.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0]


def test_a_pause_that_is_bridged_raises_no_second_alarm():
    rows, _, times = run(TWICE, minimum_seconds=0, merge_seconds=3, refractory_seconds=4)
    assert alarm_times(rows, times).tolist() == [2.0]


@pytest.mark.parametrize("seed", range(5))
def test_alarms_are_never_closer_than_the_refractory_time(seed):
    probabilities = np.random.default_rng(seed).random(400)
    rule = {"threshold": 0.7, "release": 0.9, "minimum_seconds": 2, "merge_seconds": 1}
    free, rested = (run(probabilities, **rule, refractory_seconds=gap) for gap in (0, 25))
    assert np.diff(alarm_times(rested[0], rested[2])).min() >= 25
    assert np.isin(events_onsets(rested), events_onsets(free)).all()


def events_onsets(found):
    return [event.onset for event in events_of(*found)]


def test_an_alarm_says_why_it_was_raised():
    rule = AlarmRule(0.6, minimum_seconds=0, merge_seconds=5)
    rows, values, _ = run([LOW, 0.7, 0.8, LOW, 0.7], **vars(rule))
    said = Alarm(Layout(("probability",), 1.0), rule=rule).said(rows[-1], values[-1:])
    assert said["threshold"] == 0.6
    assert (said["detected_seconds"], said["peak"]) == (3.0, 0.8)
    assert (said["onset"], said["end"], said["held_back"]) == (1.0, 5.0, False)


def test_without_an_alarm_there_is_nothing_to_say_about_it():
    rows, values, _ = run([LOW])
    said = Alarm(Layout(("probability",), 1.0)).said(rows[0], values)
    about = ("onset", "end", "detected_seconds", "peak", "threshold")
    assert [said[name] for name in about] == [None] * len(about)
    assert rows.shape[1] == len(ALARM_COLUMNS)


def test_a_rule_goes_round_through_plain_types():
    rule = AlarmRule(0.7, refractory_seconds=60)
    assert rule_from(rule_as_dict(rule)) == rule


def test_rules_of_older_decoders_have_no_refractory_time():
    older = {"kind": "alarm", "threshold": 0.4, "release": 0.8}
    older |= {"minimum_seconds": 5.0, "merge_seconds": 15.0}
    assert rule_from(older) == AlarmRule(0.4, refractory_seconds=0)


@pytest.mark.parametrize(
    "rule",
    [{"threshold": 1.5}, {"release": -1}, {"minimum_seconds": -1}, {"refractory_seconds": -1}],
)
def test_impossible_rules_are_refused(rule):
    with pytest.raises(ValueError, match="Invalid"):
        AlarmRule(**rule)


@pytest.mark.parametrize("name", ["minimum_seconds", "merge_seconds", "refractory_seconds"])
def test_seconds_without_end_are_refused(name):
    with pytest.raises(ValueError, match=f"Invalid {name}: inf s, must be finite and 0 or more"):
        AlarmRule(**{name: np.inf})
