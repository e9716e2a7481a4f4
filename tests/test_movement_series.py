"""What of a file is the movement: velocity before position, nothing later, gaps stay gaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.formats.movement_series import (
    kind_of,
    movement_of,
    overlap,
    preference,
    scale_of,
)

EVEN = np.arange(40) * 0.01
RAMP = np.stack([np.arange(40.0), -np.arange(40.0)], axis=1)


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("m", (100.0, False)),
        ("meters", (100.0, False)),
        ("m/s", (100.0, True)),
        ("meters per second", (100.0, True)),
        ("cm s^-1", (1.0, True)),
        ("mm/sec", (0.1, True)),
        ("m/s^2", None),
        ("pixels", None),
        ("s", None),
        ("", None),
    ],
)
def test_units_of_length_and_speed_are_known(unit, scale):
    assert scale_of(unit) == scale


@pytest.mark.parametrize(
    ("place", "unit", "kind"),
    [
        ("processing/behavior/cursor_vel", "n/a", "velocity"),
        ("processing/behavior/HandVelocity", "mm/s", "velocity"),
        ("processing/behavior/speed", "m/s", "velocity"),
        ("processing/behavior/Position/cursor", "pixels", "position"),
        ("processing/behavior/wrist", "cm", "position"),
        ("processing/behavior/cursor_acc", "m/s^2", "other"),
        ("acquisition/water_level", "V", "other"),
    ],
)
def test_names_and_units_tell_what_a_series_holds(place, unit, kind):
    assert kind_of(place, unit) == kind


def test_a_velocity_comes_before_a_position_and_a_cursor_before_a_hand():
    wanted = [
        "b/cursor_vel",
        "b/hand_vel",
        "b/vel",
        "b/cursor_pos",
        "b/wrist_pos",
        "b/x",
        "b/eye_vel",
    ]
    given = wanted[::-1]
    assert sorted(given, key=lambda place: preference(place, "n/a")) == wanted


def test_lengths_become_cm_and_a_position_its_difference_to_the_sample_before():
    found = movement_of("b/hand_pos", "mm", RAMP, EVEN)
    assert found.trajectory.unit == "cm/s"
    assert np.isnan(found.trajectory.values[0]).all()
    np.testing.assert_allclose(found.trajectory.values[1:], [[10, -10]] * 39, rtol=1e-5)
    assert found.notes == ("velocity is the difference to the sample before in b/hand_pos",)


@given(st.integers(1, 38))
def test_the_velocity_at_a_time_needs_nothing_later(place):
    changed = RAMP.copy()
    changed[place + 1 :] = 99.0
    whole, other = (
        movement_of("b/hand_pos", "cm", one, EVEN).trajectory for one in (RAMP, changed)
    )
    np.testing.assert_array_equal(other.values[: place + 1], whole.values[: place + 1])


def test_units_that_are_no_lengths_stay_what_they_are():
    assert movement_of("b/cursor_pos", "pixels", RAMP, EVEN).trajectory.unit == "pixels/s"
    assert movement_of("b/cursor_vel", "", RAMP, EVEN).trajectory.unit == "unknown"
    force = movement_of("b/force", "N", RAMP, EVEN).trajectory
    assert force.unit == "N"
    np.testing.assert_array_equal(force.values, RAMP)


def test_even_times_are_a_rate_and_no_gap():
    found = movement_of("b/vel", "cm/s", RAMP, 3.0 + EVEN)
    assert (found.trajectory.rate, found.trajectory.first, found.known) == (100.0, 3.0, None)
    np.testing.assert_array_equal(found.trajectory.values, RAMP)


@given(st.lists(st.floats(-0.002, 0.002), min_size=40, max_size=40))
def test_uneven_times_give_the_latest_value_and_nothing_later(jitter):
    times = EVEN + np.array(jitter)
    found = movement_of("b/vel", "cm/s", RAMP, times, None).trajectory
    grid = found.first + np.arange(len(found)) / found.rate
    source = found.values[:, 0].astype(int)
    assert (times[source] <= grid + 0.011 / found.rate).all()
    assert (np.diff(source) >= 0).all()


def test_a_pause_of_more_than_five_samples_is_a_gap_in_both():
    times = np.concatenate([EVEN[:20], EVEN[20:] + 0.1])
    found = movement_of("b/hand_pos", "cm", RAMP, times)
    assert found.known.tolist() == [[-np.inf, times[19]], [times[20], np.inf]]
    missing = np.flatnonzero(np.isnan(found.trajectory.values[:, 0]))
    assert missing.tolist() == [0, *range(20, 31)]
    assert "gaps: 1" in found.notes[1]


def test_a_pause_of_five_samples_is_none():
    times = np.concatenate([EVEN[:20], EVEN[20:] + 0.04])
    found = movement_of("b/vel", "cm/s", RAMP, times)
    assert found.known is None
    assert not np.isnan(found.trajectory.values).any()


@pytest.mark.parametrize("times", [EVEN[::-1], EVEN * np.nan, EVEN * 0, EVEN[:1]])
def test_times_that_do_not_rise_are_refused(times):
    with pytest.raises(ValueError, match=r"invalid times of b/vel: .* must be 2 or more, finite"):
        movement_of("b/vel", "cm/s", RAMP[: len(times)], times)


def test_a_grid_without_end_is_refused():
    times = np.array([0.0, 1e-6, 2e-6, 1e6])
    with pytest.raises(ValueError, match="must be at most 100000000"):
        movement_of("b/vel", "cm/s", RAMP[:4], times)


STRETCHES = st.lists(st.integers(0, 60), unique=True, max_size=10).map(
    lambda edges: np.array(sorted(edges), dtype=float)[: len(edges) // 2 * 2].reshape(-1, 2)
)


@given(STRETCHES, STRETCHES)
def test_what_is_in_both_of_two_lists_of_stretches(one, other):
    inside = [np.searchsorted(some.ravel(), np.arange(60) + 0.5) % 2 == 1 for some in (one, other)]
    found = np.searchsorted(overlap(one, other).ravel(), np.arange(60) + 0.5) % 2 == 1
    np.testing.assert_array_equal(found, inside[0] & inside[1])


def test_a_list_that_is_not_there_leaves_the_other():
    one = np.array([[0.0, 1.0]])
    assert overlap(one, None) is one
    assert overlap(None, one) is one
    assert overlap(None, None) is None
