"""Spikes to counts: every spike once, edges to the left bin, nothing from the future."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.counts import BinCounts, Smooth, SpikeTrains
from ranvier.recording import COUNT, Layout
from ranvier.stages import build

UNITS = Layout(("a", "b"), 1000.0, COUNT)
ON_EDGES = st.integers(0, 400).map(lambda ms: ms / 1000)
"""Times on the edges of bins of 1 ms, written in seconds as a file would have them."""
ANYWHERE = st.floats(0, 0.4)


@given(st.lists(st.lists(ON_EDGES | ANYWHERE, max_size=40), min_size=1, max_size=4))
def test_every_spike_is_counted_once(trains):
    counted = SpikeTrains.of(trains, seconds=0.064).count(0, 7)
    assert counted.sum(axis=0).tolist() == [len(train) for train in trains]


@given(st.integers(1, 200), st.sampled_from([0.001, 0.004, 0.016, 0.02, 0.05, 0.064, 0.1]))
def test_a_spike_on_an_edge_belongs_to_the_bin_that_ends_there(number, seconds):
    counted = SpikeTrains.of([[number * seconds]], seconds=seconds).count(0, 201)
    assert np.flatnonzero(counted[:, 0]).tolist() == [number - 1]


def test_a_spike_on_the_first_edge_counts_for_the_first_bin():
    assert SpikeTrains.of([[0.0]], seconds=0.02).count(0, 2)[:, 0].tolist() == [1, 0]


@given(st.lists(ON_EDGES | ANYWHERE, max_size=60), st.integers(0, 20), st.integers(0, 20))
def test_a_part_is_what_the_whole_has_there(train, one, other):
    trains, (first, last) = SpikeTrains.of([train], seconds=0.02), sorted((one, other))
    assert np.array_equal(trains.count(first, last), trains.count(0, 20)[first:last])


@given(st.lists(st.lists(ON_EDGES | ANYWHERE, max_size=60), min_size=2, max_size=2))
def test_bins_of_bins_are_the_bins_of_the_spikes(trains):
    short = SpikeTrains.of(trains, seconds=0.001).count(0, 420)[None]
    stage = BinCounts(UNITS, 0.02)
    added, _ = stage.step(short, stage.initial_state(1))
    assert np.array_equal(added[0], SpikeTrains.of(trains, seconds=0.02).count(0, 21))


def test_spikes_before_the_start_are_left_out_and_the_start_is_second_zero():
    counted = SpikeTrains.of([[0.5, 1.0, 1.01, 1.02]], seconds=0.01, start=1.0).count(0, 2)
    assert counted[:, 0].tolist() == [2, 1]


@pytest.mark.parametrize("seconds", [0.0, -0.02, 1 / 30, 1e-7])
def test_a_bin_is_a_whole_number_of_microseconds(seconds):
    with pytest.raises(ValueError, match="must be a whole number of microseconds above 0"):
        SpikeTrains.of([[0.1]], seconds=seconds)


def test_times_that_are_no_numbers_are_counted_and_refused():
    with pytest.raises(ValueError, match="2 of 3 are not finite"):
        SpikeTrains.of([[0.1, np.nan], [np.inf]], seconds=0.02)


@pytest.mark.parametrize("seconds", [0.0, 0.0004, 0.0205])
def test_longer_bins_are_made_of_whole_ones(seconds):
    with pytest.raises(ValueError, match=r"must be a whole number of bins of 0\.001 s"):
        build([{"stage": "bin_counts", "seconds": seconds}], UNITS)


def test_only_counts_are_added_up():
    with pytest.raises(ValueError, match="Invalid unit: µV, must be count"):
        BinCounts(Layout(("a",), 100.0), 0.1)


def test_smoothing_reaches_63_percent_of_a_step_after_its_time_constant():
    stage = Smooth(Layout(("a",), 100.0, COUNT), 0.1)
    step = np.concatenate([np.zeros(5), np.ones(20)])[None, :, None]
    smoothed, _ = stage.step(step, stage.initial_state(1))
    assert smoothed[0, 14, 0] == pytest.approx(1 - np.exp(-1))


def test_smoothing_begins_anew_after_a_gap():
    stage = Smooth(Layout(("a",), 100.0, COUNT), 0.1)
    signal = np.array([5.0, 5.0, np.nan, 1.0, 1.0])[None, :, None]
    smoothed, _ = stage.step(signal, stage.initial_state(1))
    assert smoothed[0, :, 0].tolist() == pytest.approx([5, 5, np.nan, 1, 1], nan_ok=True)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_time_constant_is_above_zero(seconds):
    with pytest.raises(ValueError, match="Invalid seconds"):
        Smooth(UNITS, seconds)
