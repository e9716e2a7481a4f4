"""Sessions of Indy and Loco, on Matlab files that are written here in their published layout."""

from datetime import datetime

import numpy as np
import pytest
from small_trees import cells, matlab

import ranvier.datasets as data
from ranvier.datasets import indy_loco

h5py = pytest.importorskip("h5py")

NAMES = ("M1 001", "M1 002", "S1 001")
TRAINS = [
    [[10.1, 10.5], [9.9, 10.2, 12.5], []],
    [[10.3], [], []],
]
"""Spike times by unit and channel; HDF5 has what Matlab calls (channel, unit) the other way."""


def session(path, *, names=NAMES, rate: float = 250.0, seconds: float = 2.0, lost=()):
    """Write a session whose cursor moves 100 mm/s to the right, from 10 s of the clock on."""
    times = np.delete(10 + np.arange(round(seconds * rate)) / rate, list(lost))
    with h5py.File(path, "w", userblock_size=512) as file:
        matlab(file, "t", times[None])
        matlab(file, "cursor_pos", np.stack([100 * times, np.zeros_like(times)]))
        refs = [
            [matlab(file, f"#refs#/s{u}{c}", np.array(train)[None]) for c, train in enumerate(row)]
            for u, row in enumerate(TRAINS)
        ]
        cells(file, "spikes", refs)
        texts = [np.array([[ord(one)] for one in name], np.uint16) for name in names]
        refs = [matlab(file, f"#refs#/n{c}", text, b"char") for c, text in enumerate(texts)]
        cells(file, "chan_names", [refs])
    return path


def counted(recording) -> dict[str, list[int]]:
    counts = recording.read()
    return {
        name: np.flatnonzero(counts[:, place] > 0).tolist()
        for place, name in enumerate(recording.layout.channels)
    }


def test_sessions_are_of_a_monkey_and_of_a_day(tmp_path):
    session(tmp_path / "loco_20170210_03.mat")
    session(tmp_path / "indy_20160407_02.mat")
    assert data.recognise(tmp_path) is indy_loco.INDY_LOCO
    found = data.read(tmp_path)
    assert [(one.subject, one.session) for one in found] == [
        ("indy", "20160407_02"),
        ("loco", "20170210_03"),
    ]
    assert found[0].start == datetime(2016, 4, 7)
    assert indy_loco.NAMED_AFTER_DAY in found[0].notes


def test_spikes_of_a_channel_are_taken_together_and_those_outside_left_out(tmp_path):
    found = indy_loco.read_session(session(tmp_path / "indy_20160407_02.mat"))
    assert (found.layout.unit, found.layout.rate) == ("count", 1000.0)
    assert counted(found) == {"M1 001": [99, 299, 499], "M1 002": [199], "S1 001": []}


def test_units_are_kept_apart_on_request(tmp_path):
    path = session(tmp_path / "indy_20160407_02.mat")
    found = indy_loco.read_session(path, units="sorted")
    assert counted(found) == {"M1 001/0": [99, 499], "M1 001/1": [299], "M1 002/0": [199]}
    with pytest.raises(ValueError, match="Invalid units: 'all', possible options"):
        indy_loco.read_session(path, units="all")


def test_the_cursor_moves_in_centimetres_per_second(tmp_path):
    found = indy_loco.read_session(session(tmp_path / "indy_20160407_02.mat"))
    moved = found.trajectory
    assert (moved.unit, moved.rate, moved.first) == ("cm/s", 250.0, 0.0)
    np.testing.assert_allclose(moved.values[1:], [[10, 0]] * 499, atol=1e-3)
    assert np.isnan(moved.values[0]).all()


def test_a_gap_in_the_times_is_a_gap_in_the_spikes(tmp_path):
    path = session(tmp_path / "indy_20160407_02.mat", lost=range(100, 150))
    gap = np.isnan(indy_loco.read_session(path).read()).all(axis=1)
    assert gap[400:596].all()
    assert not gap[:395].any()


def test_spikes_are_not_read_before_they_are_asked_for(tmp_path):
    path = session(tmp_path / "indy_20160407_02.mat")
    found = indy_loco.read_session(path)
    path.unlink()
    with pytest.raises(ValueError, match="no such file"):
        found.read()


def remove(name):
    return lambda file: file.__delitem__(name)


def transposed(file):
    moved = file["cursor_pos"][()]
    del file["cursor_pos"]
    file["cursor_pos"] = moved.T


def out_of_the_file(file):
    del file["spikes"]
    file["spikes"] = h5py.ExternalLink("other.mat", "/spikes")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("spikes"), "it has no spikes and chan_names"),
        (out_of_the_file, "it has no spikes and chan_names"),
        (remove("t"), "invalid t: nothing, must be numbers with 2 axes"),
        (transposed, r"invalid cursor_pos: \(2, 500\), must be \(500, 2\)"),
        (lambda file: file["t"].write_direct(np.zeros((1, 500))), "invalid times of cursor_pos"),
    ],
)
def test_what_is_laid_out_otherwise_is_refused_by_name(tmp_path, change, message):
    path = session(tmp_path / "indy_20160407_02.mat")
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(ValueError, match=f"indy_20160407_02.mat: {message}"):
        indy_loco.read_session(path).read()


def test_names_of_channels_must_be_as_many_and_different(tmp_path):
    path = session(tmp_path / "indy_20160407_02.mat", names=("M1 001", "M1 001", "M1 002"))
    with pytest.raises(ValueError, match="invalid chan_names: 3, must be 3 names"):
        indy_loco.read_session(path)


def test_a_date_that_is_none_is_refused(tmp_path):
    path = session(tmp_path / "indy_20169907_02.mat")
    with pytest.raises(ValueError, match="invalid date: 20169907"):
        indy_loco.read_session(path)


def test_files_of_the_archive_belong_to_their_monkey():
    names = ("indy_20160407_02.mat", "loco_20170210_03.mat", "readme.txt")
    of = indy_loco.INDY_LOCO.archive.subject_of
    assert [of(name) for name in names] == ["indy", "loco", ""]
