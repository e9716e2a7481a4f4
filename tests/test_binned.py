"""Binned spikes in ``.npz``: read as written, gaps between trials, nothing broken is taken."""

import io
import zipfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ranvier.formats import read, read_binned, write_binned
from ranvier.recording import Recording
from ranvier.truth import Trajectory

COUNTS = np.arange(12).reshape(6, 2) % 5


def saved(path: Path, **changed: object) -> Path:
    """Write a small session; a key that is None is left out."""
    keys = {"counts": COUNTS, "bin_s": 0.1, "velocity": np.ones((6, 2))} | changed
    np.savez(path, **{name: value for name, value in keys.items() if value is not None})
    return path


def session(counts: np.ndarray, *, bin_s: float = 0.05, **known) -> Recording:
    units = [f"unit {number + 1}" for number in range(counts.shape[1])]
    return Recording.from_array(counts, 1 / bin_s, units, unit="count", name="a", **known)


def trajectory(values: np.ndarray, *, bin_s: float = 0.05, **known) -> Trajectory:
    return Trajectory(values, 1 / bin_s, len(values) / (1 / bin_s), first=bin_s, **known)


def assert_same(one: Recording, other: Recording) -> None:
    np.testing.assert_array_equal(one.read(), other.read())
    for name in ("layout", "samples", "name", "subject", "session", "start", "notes"):
        assert getattr(one, name) == getattr(other, name)
    assert repr(one.trajectory) == repr(other.trajectory)


def test_counts_velocity_and_times_are_read(tmp_path):
    found = read_binned(saved(tmp_path / "s.npz", subject="c", session="1", units=["u", "v"]))
    assert found.layout.channels == ("u", "v")
    assert (found.layout.rate, found.layout.unit, found.samples) == (10, "count", 6)
    assert (found.name, found.subject, found.session, found.notes) == ("s", "c", "1", ())
    assert found.read().dtype == np.float32
    np.testing.assert_array_equal(found.read(), COUNTS)
    np.testing.assert_array_equal(found.trajectory.targets(np.array([0.1, 0.6, 0.7]), 0.1)[:, 0],
                                  [1, 1, np.nan])  # fmt: skip


@given(st.data())
def test_what_is_written_is_read(tmp_path_factory, data):
    counts = data.draw(arrays(np.float32, (5, 3), elements=st.integers(0, 300)))
    missing = data.draw(arrays(bool, (5, 3)))
    moved = data.draw(arrays(np.float32, (5, 2), elements=st.floats(-99, 99, width=32)))
    made = session(np.where(missing, np.nan, counts), trajectory=trajectory(moved))
    path = write_binned(tmp_path_factory.mktemp("data") / "a.npz", made)
    assert_same(read_binned(path), made)


def test_who_when_and_what_moved_come_back(tmp_path):
    angle = trajectory(np.ones((4, 1)), axes=("elbow",), unit="rad")
    known = {"subject": "m1", "session": "2", "start": datetime(2020, 2, 29, 1, 2, 3)}
    made = session(np.zeros((4, 2)), trajectory=angle, **known)
    assert_same(read_binned(write_binned(tmp_path / "a.npz", made)), made)


def test_a_recording_without_movement_comes_back(tmp_path):
    made = session(np.eye(4))
    assert_same(read_binned(write_binned(tmp_path / "a.npz", made)), made)


def test_firing_rates_become_counts(tmp_path):
    rates = (COUNTS / 0.1).astype(np.float32)
    found = read_binned(saved(tmp_path / "s.npz", counts=None, firing_rates=rates))
    np.testing.assert_array_equal(found.read(), COUNTS)
    assert found.notes == ()


def test_rates_that_are_no_whole_spikes_are_rounded_with_a_note(tmp_path):
    found = read_binned(saved(tmp_path / "s.npz", counts=None, firing_rates=COUNTS / 0.1 + 2))
    np.testing.assert_array_equal(found.read(), COUNTS)
    assert found.notes == ("firing_rates are no whole spikes per bin and were rounded to them",)


def test_between_two_trials_a_bin_is_missing(tmp_path):
    found = read_binned(saved(tmp_path / "s.npz", trial=[3, 3, 5, 5, 5, 3]))
    missing = np.isnan(found.read()).all(axis=1)
    assert missing.tolist() == [False, False, True, False, False, False, True, False]
    np.testing.assert_array_equal(np.isnan(found.trajectory.values).all(axis=1), missing)
    np.testing.assert_array_equal(found.read()[~missing], COUNTS)
    assert found.notes == ("2 gaps of one bin were put between trials",)
    assert found.trajectory.duration == found.duration


def test_bins_that_are_not_valid_are_missing(tmp_path):
    valid = np.array([True, False, True, True, True, False])
    found = read_binned(saved(tmp_path / "s.npz", valid=valid))
    np.testing.assert_array_equal(np.isnan(found.read()).all(axis=1), ~valid)


def test_the_clock_of_the_session_is_told(tmp_path):
    found = read_binned(saved(tmp_path / "s.npz", start_s=12.5))
    assert found.notes == ("the first bin begins at 12.5 s of the session's clock",)


def test_a_folder_of_sessions_is_a_data_folder(tmp_path):
    saved(tmp_path / "b.npz", subject="m")
    saved(tmp_path / "a.npz")
    nameless, named = read(tmp_path)
    assert (nameless.subject, len(nameless.notes)) == ("a", 1)
    assert (named.subject, named.notes) == ("m", ())
    assert [one.subject for one in read(tmp_path, subject="x")] == ["x", "m"]


def test_a_file_in_folders_named_as_in_bids_is_read_as_well(tmp_path):
    path = tmp_path / "sub-01" / "s.npz"
    path.parent.mkdir()
    saved(path)
    assert read(path)[0].layout.unit == "count"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"counts": None}, "it has 0 of counts and firing_rates, must have one"),
        ({"firing_rates": COUNTS}, "it has 2 of counts and firing_rates, must have one"),
        ({"bin_s": None}, "invalid bin_s: None, must be a number of seconds above 0"),
        ({"bin_s": 0.0}, "invalid bin_s: 0.0, must be a number of seconds above 0"),
        ({"bin_s": np.nan}, "invalid bin_s: float64 of shape .*, must be one finite number"),
        ({"bin_s": "fast"}, "invalid bin_s: <U4 of shape .*, must be one finite number"),
        ({"counts": COUNTS - 1}, "invalid counts: -1 to 3, must be finite, 0 or more"),
        ({"counts": COUNTS + np.nan}, "invalid counts: nan to nan, must be finite, 0 or more"),
        ({"counts": COUNTS + np.inf}, "invalid counts: inf to inf, must be finite, 0 or more"),
        ({"counts": COUNTS + 0.5}, "invalid counts: fractions, must be whole"),
        ({"counts": COUNTS.ravel()}, "invalid counts: int64 of shape .*must be numbers"),
        ({"counts": COUNTS[:, :0]}, "invalid counts: int64 of shape .*must be numbers"),
        ({"velocity": np.ones((5, 2))}, "invalid velocity: 5 bins, must be 6 as in the counts"),
        ({"velocity": np.full((6, 2), np.inf)}, "invalid velocity: infinite values"),
        ({"velocity": np.ones((6, 4))}, "invalid axes: 3 different names, must be 4"),
        ({"trajectory": np.ones((6, 2))}, "velocity and trajectory, must have one of them"),
        ({"trial": [1, 2]}, "invalid trial: int64 of shape"),
        ({"valid": np.ones(6)}, "invalid valid: float64 of shape .*, must be bool"),
        ({"units": ["u", "u"]}, "invalid units: 1 different names, must be 2"),
        ({"subject": ["a", "b"]}, "invalid subject: <U1 of shape .*, must be one text"),
        ({"start": "noon"}, "invalid start: 'noon', must be like 2000-01-31 23:59:59"),
        ({"counts": np.array([[{}]])}, "is not a file of binned spikes: Object arrays cannot be"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(tmp_path, changed, message):
    path = saved(tmp_path / "s.npz", **changed)
    with pytest.raises(ValueError, match=message) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = saved(tmp_path / "s.npz")
    path.write_bytes(path.read_bytes()[: round(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match="is not a file of binned spikes: no archive"):
        read(path)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_file_is_read_or_refused_as_a_wrong_value(tmp_path_factory, place, change):
    path = saved(tmp_path_factory.mktemp("data") / "s.npz")
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= change
    path.write_bytes(content)
    with suppress(ValueError):
        assert read(path)[0].read().ndim == 2


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00v\x00nonsense"])
def test_an_archive_of_other_things_is_refused(tmp_path, content):
    path = tmp_path / "s.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("counts", content)
        archive.writestr("bin_s", content)
    with pytest.raises(ValueError, match=str(path)):
        read(path)


def test_a_single_array_and_a_missing_file_are_refused(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, COUNTS)
    (tmp_path / "s.npz").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="no archive"):
        read_binned(tmp_path / "s.npz")
    with pytest.raises(ValueError, match="no such file or folder"):
        read_binned(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("made", "name", "message"),
    [
        (
            Recording.from_array(COUNTS, 10, ["a", "b"]),
            "a.npz",
            "recording is in µV, must be counts",
        ),
        (session(COUNTS + 0.5), "a.npz", "Invalid recording: a has invalid counts: fractions"),
        (session(COUNTS), "a.np", "a.np, must end in .npz"),
        (
            session(COUNTS, trajectory=trajectory(np.ones((5, 2)))),
            "a.npz",
            "Invalid trajectory of a: 5 values at 20 Hz from 0.05 s, must be 6 at 20 Hz",
        ),
    ],
)
def test_what_cannot_be_read_again_is_not_written(tmp_path, made, name, message):
    with pytest.raises(ValueError, match=message):
        write_binned(tmp_path / name, made)
    assert not list(tmp_path.iterdir())


@pytest.mark.real
def test_the_real_session_is_read_with_its_trials(real):
    (found,) = read(real / "reach_chewie" / "chewie_20131003.npz")
    missing = np.isnan(found.read()).all(axis=1)
    assert found.layout.rate == 10
    assert found.read().shape == (1640 + 158, 174)
    assert missing.sum() == 158
    assert not np.isnan(found.trajectory.values[~missing]).any()
    assert found.notes[0] == "158 gaps of one bin were put between trials"
