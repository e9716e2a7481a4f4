"""Spike times in ``.npz``: every spike once, nothing from gaps, nothing broken is taken."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier.formats import read, read_npz, read_spikes, write_binned, write_spikes
from ranvier.networks import make_network
from ranvier.recording import Recording
from ranvier.stages import build
from ranvier.truth import Trajectory

TIMES = np.array([0.0105, 0.25, 0.25, 0.4, 0.95])
UNITS = np.array([0, 1, 0, 1, 1])
MS = st.integers(0, 900).map(lambda ms: ms / 1000)
SPIKE = st.tuples(MS | st.floats(0, 0.9), st.integers(0, 3))


def saved(path: Path, **changed: object) -> Path:
    """Write a small session; a key that is None is left out."""
    keys = {"spike_times": TIMES, "spike_units": UNITS, "stop_s": 1.0} | changed
    np.savez(path, **{name: value for name, value in keys.items() if value is not None})
    return path


def binned(recording: Recording, seconds: float) -> np.ndarray:
    pipeline = build([{"stage": "bin_counts", "seconds": seconds}], recording.layout)
    return pipeline.step(recording.read()[None], pipeline.initial_state(1))[0][0]


def session(counts: np.ndarray, **known: object) -> Recording:
    names = [f"unit {number + 1}" for number in range(counts.shape[1])]
    return Recording.from_array(counts, 1000.0, names, unit="count", name="s", **known)


def test_spikes_are_counted_in_the_millisecond_that_ends_with_them(tmp_path):
    (found,) = read(saved(tmp_path / "s.npz", units=["u", "v"], subject="m", session="2"))
    assert (found.layout.channels, found.layout.rate) == (("u", "v"), 1000.0)
    assert (found.layout.unit, found.samples) == ("count", 1000)
    assert (found.subject, found.session, found.notes) == ("m", "2", ())
    at, unit = np.nonzero(found.read())
    assert list(zip(at.tolist(), unit.tolist(), strict=True)) == [
        (10, 0), (249, 0), (249, 1), (399, 1), (949, 1)]  # fmt: skip


@given(st.lists(SPIKE, min_size=1, max_size=80), st.sampled_from([0.001, 0.02, 0.05, 0.064]))
def test_no_spike_is_lost_or_added_from_file_to_bins(tmp_path_factory, spikes, seconds):
    times, units = (np.array(column) for column in zip(*spikes, strict=True))
    path = tmp_path_factory.mktemp("data") / "s.npz"
    keys = {"spike_times": times, "spike_units": units, "units": list("abcd"), "stop_s": 0.96}
    found = read_spikes(saved(path, **keys))
    expected = np.bincount(units, minlength=4)
    np.testing.assert_array_equal(binned(found, seconds).sum(axis=0), expected)


@given(st.lists(SPIKE, min_size=1, max_size=60))
def test_without_a_stop_the_last_spike_is_still_in(tmp_path_factory, spikes):
    times, units = (np.array(column) for column in zip(*spikes, strict=True))
    keys = {"spike_times": times + 0.001, "spike_units": units, "stop_s": None}
    found = read_spikes(saved(tmp_path_factory.mktemp("data") / "s.npz", **keys))
    assert found.read().sum() == len(times)
    assert found.notes == ()


def test_a_part_is_what_the_whole_has_there(tmp_path):
    trials = {"trial_start": [0.1, 0.5], "trial_stop": [0.3, 1.0]}
    found = read_spikes(saved(tmp_path / "s.npz", **trials))
    np.testing.assert_array_equal(found.reader(90, 520), found.read()[90:520])


def test_what_moved_is_at_its_own_rate_on_the_same_clock(tmp_path):
    moved = np.arange(8.0).reshape(4, 2)
    keys = {"trajectory": moved, "axes": ["a", "b"], "unit": "rad", "trajectory_rate": 4.0}
    found = read_spikes(saved(tmp_path / "s.npz", **keys, start_s=0.2, trajectory_first=0.25))
    assert (found.trajectory.axes, found.trajectory.unit) == (("a", "b"), "rad")
    assert found.trajectory.first == pytest.approx(0.05)
    assert found.trajectory.targets(np.array([0.3]), 0.05).tolist() == [[2.0, 3.0]]


def test_the_clock_begins_where_it_is_told_and_earlier_spikes_are_counted_out(tmp_path):
    found = read_spikes(saved(tmp_path / "s.npz", start_s=0.3, stop_s=0.5))
    assert np.flatnonzero(found.read().sum(axis=1)).tolist() == [99]
    assert found.notes == (
        "the first bin begins at 0.3 s of the session's clock",
        "4 of 5 spikes lie outside and were left out",
    )


def test_what_lies_between_trials_is_not_valid(tmp_path):
    found = read_spikes(saved(tmp_path / "s.npz", trial_start=[0.0, 0.5], trial_stop=[0.3, 1.0]))
    missing = np.flatnonzero(np.isnan(found.read()).all(axis=1))
    assert missing.tolist() == list(range(300, 500))
    assert found.notes == ("stretches that are not valid: 1, spikes left out there: 1",)


def test_trials_that_touch_are_kept_apart_by_a_millisecond(tmp_path):
    found = read_spikes(saved(tmp_path / "s.npz", trial_start=[0, 0.5], trial_stop=[0.5, 1]))
    assert np.flatnonzero(np.isnan(found.read()).all(axis=1)).tolist() == [500]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 250), min_size=2, max_size=8), st.sampled_from([0.01, 0.02, 0.05]))
def test_a_spike_in_a_gap_is_in_no_window(tmp_path_factory, lengths, seconds):
    """Spikes lie in all gaps and nowhere else: a network that adds up its window says only 0."""
    edges = np.cumsum(lengths) / 1000
    trials = edges[: len(edges) // 2 * 2].reshape(-1, 2)
    inside = np.arange(0.0005, edges[-1] + 0.1, 0.001)
    outside = np.searchsorted(trials.ravel(), inside) % 2 == 0
    keys = {"spike_times": inside[outside], "spike_units": np.zeros(outside.sum(), int)}
    path = tmp_path_factory.mktemp("data") / "s.npz"
    found = read_spikes(saved(path, **keys, trial_start=trials[:, 0], trial_stop=trials[:, 1]))
    assert not np.nansum(window_sums(binned(found, seconds), 3)).any()


def window_sums(bins: np.ndarray, window: int) -> np.ndarray:
    import torch

    network = make_network("wiener", ("u",), {"window": window, "least": 1, "classes": 1})
    for weight in network.parameters():
        torch.nn.init.ones_(weight) if weight.ndim > 1 else torch.nn.init.zeros_(weight)
    with torch.inference_mode():
        said, _ = network.step(
            torch.tensor(bins[None], dtype=torch.float32), network.initial_state(1)
        )
    return said.numpy()


def test_the_sum_of_a_window_is_what_the_window_holds():
    assert window_sums(np.array([[1], [2], [4]], dtype=np.float32), 3).ravel()[-1] == 7


@given(st.data())
def test_what_is_written_is_read(tmp_path_factory, data):
    seed = data.draw(st.integers(0, 99))
    counts = np.random.default_rng(seed).poisson(0.3, (300, 2)).astype(float)
    counts[data.draw(st.lists(st.integers(5, 290), max_size=5))] = np.nan
    moved = Trajectory(np.ones((6, 2), np.float32), 20.0, 0.3, first=0.05)
    made = session(counts, trajectory=moved, subject="m", session="1")
    found = read_spikes(write_spikes(tmp_path_factory.mktemp("data") / "s.npz", made))
    np.testing.assert_array_equal(found.read(), made.read())
    assert repr(found.trajectory) == repr(made.trajectory)
    assert (found.layout, found.subject, found.session) == (made.layout, "m", "1")


def test_longer_bins_come_back_as_bins_of_the_spikes(tmp_path):
    counts = np.random.default_rng(0).poisson(1.5, (40, 3)).astype(float)
    made = Recording.from_array(counts, 20.0, list("abc"), unit="count")
    found = read_spikes(write_spikes(tmp_path / "s.npz", made))
    np.testing.assert_array_equal(binned(found, 0.05), counts)


def test_both_kinds_of_file_lie_in_one_folder(tmp_path):
    saved(tmp_path / "a.npz")
    write_binned(tmp_path / "b.npz", session(np.eye(3)))
    assert [one.samples for one in read(tmp_path)] == [1000, 3]
    assert read_npz(tmp_path / "b.npz").samples == 3


def test_simulated_spikes_are_those_of_the_bins_in_another_form(tmp_path):
    (bins,) = rv.simulate_reaches(subjects=1, minutes=0.5, units=5, gaps=True)
    (spikes,) = rv.simulate_reaches(subjects=1, minutes=0.5, units=5, gaps=True, spikes=True)
    (found,) = read(write_spikes(tmp_path / "s.npz", spikes))
    for one in (spikes, found):
        np.testing.assert_array_equal(binned(one, 0.05), bins.read())
        assert repr(one.trajectory) == repr(bins.trajectory)


def test_a_decoder_is_the_same_from_bins_and_from_spikes(tmp_path):
    stages = {"bins": [], "spikes": [{"stage": "bin_counts", "seconds": 0.05}]}
    made = {
        "bins": rv.simulate_reaches(subjects=1, minutes=1, units=8),
        "spikes": rv.simulate_reaches(subjects=1, minutes=1, units=8, spikes=True),
    }
    one, other = (
        rv.evaluate(
            "movement", made[kind], network="wiener", stages=stages[kind], out=tmp_path / kind
        )
        for kind in made
    )
    np.testing.assert_allclose(one.predictions[0].values, other.predictions[0].values, atol=1e-5)
    decoder = rv.load(tmp_path / "spikes" / "fold-0" / "decoder.ranvier", check=True)
    assert rv.certify(decoder, made["spikes"][0].until(10.0)).equal


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"spike_units": None}, "it has no spike_units, must have both"),
        ({"spike_times": None}, "it has no spike_times, must have both"),
        ({"spike_times": TIMES[:3]}, r"invalid spike_times: .* of shape \(3,\), must be numbers"),
        ({"spike_times": TIMES * np.nan}, "invalid spike_times: nan to nan s, must be finite"),
        ({"spike_times": TIMES * 1e300}, "invalid spike_times: .*, must be finite and at most"),
        ({"spike_times": TIMES.astype(str)}, "invalid spike_times: <U32 of shape"),
        ({"spike_units": UNITS + 0.5}, "invalid spike_units: float64 of shape"),
        ({"spike_units": UNITS - 1}, "invalid spike_units: -1 to 0, must be from 0 to 0"),
        ({"spike_units": UNITS + 10**9}, "invalid spike_units: int64 .* below 100000"),
        ({"units": ["u"]}, "invalid spike_units: 0 to 1, must be from 0 to 0, one for each unit"),
        ({"units": ["u", "u"]}, "invalid units: 1 different names, must be 2"),
        ({"spike_times": [], "spike_units": UNITS[:0]}, "it has no unit, must have one spike or"),
        ({"stop_s": -1.0}, "invalid stop_s: -1 s with a start at 0 s, must be after it"),
        ({"stop_s": 1e8}, "invalid stop_s: 1e[+]08 s .*, must be after it and at most"),
        ({"trial_start": [0.1]}, "invalid trials: trial_start and trial_stop must be there"),
        ({"trial_start": [0.1], "trial_stop": [0.1]}, "one does not end after it begins"),
        ({"trial_start": [0, 0.1], "trial_stop": [0.2, 0.3]}, "one begins before another ends"),
        ({"trial_start": [np.nan], "trial_stop": [1.0]}, "invalid trial_start: nan to nan s"),
        ({"velocity": np.ones((4, 2))}, "invalid trajectory_rate: None, must be a number of Hz"),
        ({"velocity": np.ones(4), "trajectory_rate": 1.0}, "invalid velocity: float64 of shape"),
        ({"start": "noon"}, "invalid start: 'noon', must be like 2000-01-31 23:59:59"),
        ({"spike_times": np.array([{}])}, "is not a file of spike times: Object arrays cannot be"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(tmp_path, changed, message):
    path = saved(tmp_path / "s.npz", **changed)
    with pytest.raises(ValueError, match=message) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_file_is_read_or_refused_as_a_wrong_value(tmp_path_factory, place, change):
    path = saved(tmp_path_factory.mktemp("data") / "s.npz")
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= change
    path.write_bytes(content)
    with suppress(ValueError):
        assert read(path)[0].reader(0, 10).ndim == 2


@pytest.mark.parametrize(
    ("made", "name", "message"),
    [
        (
            Recording.from_array(np.eye(2), 1000, ["a", "b"]),
            "s.npz",
            "is in µV at 1000 Hz, must be",
        ),
        (session(np.eye(2) + 0.5), "s.npz", "is not in whole counts"),
        (session(np.array([[1.0, np.nan]])), "s.npz", "some of the units are not valid"),
        (session(np.eye(2)), "s.np", "s.np, must end in .npz"),
    ],
)
def test_what_cannot_be_read_again_is_not_written(tmp_path, made, name, message):
    with pytest.raises(ValueError, match=message):
        write_spikes(tmp_path / name, made)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_spike_times(tmp_path, capsys):
    from ranvier.__main__ import main

    words = ["--subjects", "1", "--minutes", "0.5", "--units", "4", "--files", "spikes"]
    assert main(["simulate", "movement", str(tmp_path / "new"), *words]) == 0
    assert "4 units in bins of 1 ms" in capsys.readouterr().out
    (found,) = read(tmp_path / "new")
    (bins,) = rv.simulate_reaches(subjects=1, minutes=0.5, units=4)
    np.testing.assert_array_equal(binned(found, 0.05), bins.read())
