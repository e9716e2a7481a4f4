"""NWB files as pynwb writes them, and as others break them."""

import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from ranvier.formats import read, read_nwb, write_nwb
from ranvier.recording import Recording
from ranvier.truth import Trajectory

h5py = pytest.importorskip("h5py")
pynwb = pytest.importorskip("pynwb")

TRAINS = [[0.0105, 0.25, 0.4], [], [0.25, 0.95, 1.2, 1.2]]
RAMP = np.stack([np.arange(30.0), -np.arange(30.0)], axis=1)
TENTHS = np.arange(30) * 0.1


def series(name: str, data: np.ndarray = RAMP, **known: object) -> object:
    given = {"unit": "cm/s", **known}
    times = {} if {"timestamps", "rate"} & set(given) else {"timestamps": TENTHS[: len(data)]}
    return pynwb.TimeSeries(name=name, data=data, **given, **times)


def saved(path: Path, *moved: object, trains: list[list[float]] | None = None, trials=()) -> Path:
    """Write a session as somebody else would."""
    content = pynwb.NWBFile(
        session_description="a session",
        identifier="1",
        session_start_time=datetime(2020, 2, 29, 1, 2, 3, tzinfo=UTC),
        session_id="7",
        subject=pynwb.file.Subject(subject_id="m1"),
    )
    for train in TRAINS if trains is None else trains:
        content.add_unit(spike_times=train)
    for start, stop in trials:
        content.add_trial(start_time=start, stop_time=stop)
    if moved:
        module = content.create_processing_module("behavior", "what moved")
        for one in moved:
            module.add(one)
    with pynwb.NWBHDF5IO(str(path), "w") as writer:
        writer.write(content)
    return path


def changed(path: Path, change) -> Path:
    with h5py.File(path, "a") as file:
        change(file)
    return path


def put(place: str, value: object):
    def change(file: object) -> None:
        attributes = dict(file[place].attrs)
        del file[place]
        file[place] = value
        file[place].attrs.update(attributes)

    return change


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("nwb") / "plain.nwb", series("cursor_vel"))


def test_spikes_movement_and_who_are_read(plain):
    (found,) = read(plain)
    assert (found.layout.channels, found.layout.rate) == (("unit 0", "unit 1", "unit 2"), 1000.0)
    assert found.read().sum(axis=0).tolist() == [len(train) for train in TRAINS]
    assert np.flatnonzero(found.read()[:, 0]).tolist() == [10, 249, 399]
    assert (found.name, found.subject, found.session) == ("plain", "m1", "7")
    assert found.start == datetime(2020, 2, 29, 1, 2, 3)
    np.testing.assert_array_equal(found.trajectory.targets(np.array([0.5]), 0.1), [[5, -5]])
    assert found.notes == ()


def test_conversion_and_unit_give_cm_per_second(tmp_path):
    path = saved(tmp_path / "a.nwb", series("hand_vel", unit="m/s", conversion=1e-3))
    found = read_nwb(path).trajectory
    assert found.unit == "cm/s"
    np.testing.assert_allclose(found.values, RAMP / 10, rtol=1e-6)


def test_a_position_is_differentiated_backward_and_a_note_says_so(tmp_path):
    position = pynwb.behavior.SpatialSeries(
        name="cursor", data=RAMP, reference_frame="screen", unit="mm", rate=10.0, starting_time=0.1
    )
    found = read_nwb(saved(tmp_path / "a.nwb", pynwb.behavior.Position(spatial_series=position)))
    place = "processing/behavior/Position/cursor"
    assert found.notes == (f"velocity is the difference to the sample before in {place}",)
    assert (found.trajectory.first, found.trajectory.rate) == (0.1, 10.0)
    np.testing.assert_allclose(found.trajectory.values[1:], [[1, -1]] * 29, rtol=1e-5)


def test_of_several_the_likeliest_is_taken_and_another_on_request(tmp_path):
    path = saved(
        tmp_path / "a.nwb", series("hand_vel", RAMP * 2), series("cursor_vel"), series("eye_vel")
    )
    found = read_nwb(path)
    places = [f"processing/behavior/{name}" for name in ("cursor_vel", "hand_vel", "eye_vel")]
    assert found.trajectory.values[1].tolist() == [1, -1]
    assert found.notes[0].startswith(f"movement is {places[0]}, of {', '.join(places)}; ")
    assert read_nwb(path, behaviour="hand_vel").trajectory.values[1].tolist() == [2, -2]
    with pytest.raises(ValueError, match="Invalid behaviour: 'vel' is the end of 0 names"):
        read_nwb(path, behaviour="vel")


def test_gaps_of_the_movement_are_gaps_of_the_spikes(tmp_path):
    times = TENTHS + 2.0 * (np.arange(30) >= 10)
    path = saved(
        tmp_path / "a.nwb",
        series("cursor_vel", timestamps=times),
        trains=[[0.5, 0.95, 2.0, 2.5, 3.05, 3.2]],
        trials=[(0.0, 0.5), (0.5, 4.0)],
    )
    found = read_nwb(path)
    missing = np.isnan(found.read()[:, 0])
    assert np.flatnonzero(missing).tolist() == list(range(900, 3000))
    assert np.nansum(found.read()) == 3
    assert "gaps: 1" in found.notes[0]
    assert found.notes[1] == "it has a table of 2 trials, between which the signal is not cut"
    assert found.notes[2] == "stretches that are not valid: 1, spikes left out there: 3"


def test_a_clock_that_begins_late_is_moved_to_second_0(tmp_path):
    path = saved(
        tmp_path / "a.nwb", series("cursor_vel", timestamps=TENTHS + 500.25), trains=[[500.5]]
    )
    found = read_nwb(path)
    assert np.flatnonzero(found.read()).tolist() == [499]
    assert found.trajectory.first == pytest.approx(0.25)
    assert found.start == datetime(2020, 2, 29, 1, 10, 23)
    assert found.notes == ("the first bin begins at 500 s of the session's clock",)


def test_a_file_without_movement_is_read_with_a_note(tmp_path):
    found = read_nwb(saved(tmp_path / "a.nwb"))
    assert found.trajectory is None
    assert found.notes == ("no movement was found: no series of 2 or 3 columns with times",)


def test_times_that_are_linked_from_another_series_are_read(tmp_path):
    first = series("hand_vel")
    second = pynwb.TimeSeries(name="cursor_vel", data=RAMP, unit="cm/s", timestamps=first)
    found = read_nwb(saved(tmp_path / "a.nwb", first, second), behaviour="cursor_vel")
    np.testing.assert_array_equal(found.trajectory.values, RAMP)


def test_what_is_written_is_read(tmp_path):
    counts = np.random.default_rng(0).poisson(0.1, (2000, 3)).astype(float)
    counts[[500, *range(900, 1000)]] = np.nan
    moved = Trajectory(RAMP[:10].astype(np.float32), 5.0, 2.0, first=0.2)
    known = {"subject": "m", "session": "2", "start": datetime(2000, 1, 2, 3, 4, 5)}
    made = Recording.from_array(
        counts, 1000.0, ["a", "b", "c"], unit="count", trajectory=moved, **known
    )
    found = read_nwb(write_nwb(tmp_path / "a.nwb", made))
    np.testing.assert_array_equal(found.read(), made.read())
    np.testing.assert_allclose(found.trajectory.values, moved.values, rtol=1e-6)
    assert (found.layout, found.subject, found.session) == (made.layout, "m", "2")
    assert (found.start, found.trajectory.first) == (made.start, 0.2)


def test_simulated_sessions_are_the_same_as_nwb(tmp_path):
    from ranvier.__main__ import main

    words = ["--subjects", "1", "--minutes", "0.5", "--units", "4", "--files", "nwb"]
    assert main(["simulate", "movement", str(tmp_path / "new"), *words]) == 0
    (found,) = read(tmp_path / "new")
    (made,) = rv.simulate_reaches(subjects=1, minutes=0.5, units=4, spikes=True)
    np.testing.assert_array_equal(found.read(), made.read())
    np.testing.assert_allclose(found.trajectory.values, made.trajectory.values, rtol=1e-5)


@pytest.mark.parametrize("names", [[7, 8, 11], [b"7", b"8", b"11"], ["7", "8", "11"]])
def test_names_of_units_may_be_numbers_or_texts(tmp_path, names):
    path = changed(saved(tmp_path / "a.nwb"), lambda file: file.update({"units/unit_name": names}))
    assert read_nwb(path).layout.channels == ("7", "8", "11")


def test_a_file_passes_the_validator_of_pynwb(tmp_path):
    (made,) = rv.simulate_reaches(subjects=1, minutes=0.2, units=2, spikes=True, gaps=True)
    path = write_nwb(tmp_path / "a.nwb", made)
    with pynwb.NWBHDF5IO(str(path), "r") as reader:
        assert not pynwb.validate(io=reader)


VEL = "processing/behavior/cursor_vel"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.__delitem__("units"), "it has no units, must have units/spike_times"),
        (put("units/spike_times_index", [3, 2, 7]), "spike_times_index: it falls, must rise"),
        (put("units/spike_times_index", [3, 3, 8]), "must end at 7, the spikes"),
        (put("units/spike_times", ["a"] * 7), "invalid units/spike_times: object of shape"),
        (put("units/spike_times", [np.nan] * 7), "invalid spike_times: nan to nan s"),
        (put("units/spike_times", [1e300] * 7), "invalid s"),
        (put(f"{VEL}/timestamps", TENTHS[:5]), "timestamps: 5, must be 30"),
        (put(f"{VEL}/timestamps", TENTHS[::-1]), "invalid times of .*, finite and rising"),
        (put(f"{VEL}/data", np.array([["a", "b"]] * 30, dtype="S")), "invalid .*/data: "),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(tmp_path, plain, change, message):
    path = tmp_path / "a.nwb"
    path.write_bytes(plain.read_bytes())
    with pytest.raises(ValueError, match=message) as refused:
        read(changed(path, change))
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def linked(name: str, to: object):
    def change(file: object) -> None:
        del file[name]
        file[name] = to

    return change


@pytest.mark.parametrize("name", ["units/spike_times", f"{VEL}/data", "units"])
def test_nothing_outside_of_the_file_is_read(tmp_path, plain, name):
    path = tmp_path / "a.nwb"
    path.write_bytes(plain.read_bytes())
    changed(path, linked(name, h5py.ExternalLink(str(plain), f"/{name}")))
    if name.startswith("units"):
        with pytest.raises(ValueError, match="it has no units"):
            read_nwb(path)
    else:
        assert read_nwb(path).trajectory is None


def test_a_group_that_holds_itself_ends(tmp_path, plain):
    path = tmp_path / "a.nwb"
    path.write_bytes(plain.read_bytes())
    changed(path, lambda file: file["processing"].__setitem__("again", file["processing"]))
    assert read_nwb(path).trajectory is not None


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, plain, kept):
    content = plain.read_bytes()
    path = tmp_path / "a.nwb"
    path.write_bytes(content[: round(kept * len(content))])
    with pytest.raises(ValueError, match=r"a\.nwb: it is not an NWB file that can be read: "):
        read_nwb(path)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_read_or_refused_as_a_wrong_value(tmp_path, plain, seed):
    rng, content = np.random.default_rng(seed), bytearray(plain.read_bytes())
    for place in rng.integers(0, len(content), 40):
        content[place] = rng.integers(0, 256)
    (tmp_path / "a.nwb").write_bytes(content)
    with suppress(ValueError):
        assert read_nwb(tmp_path / "a.nwb").reader(0, 10).ndim == 2


def test_a_crash_of_the_library_is_one_sentence(plain, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ValueError, match=r"plain\.nwb: the HDF5 library crashes on it"):
        read_nwb(plain)


@pytest.mark.parametrize(("package", "act"), [("h5py", read_nwb), ("pynwb", write_nwb)])
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, package, act):
    monkeypatch.setitem(sys.modules, package, None)
    given = () if act is read_nwb else (Recording.from_array([[1]], 1000, ["a"], unit="count"),)
    with pytest.raises(ValueError, match=rf'{package} is missing: pip install "ranvier\[nwb\]"'):
        act(tmp_path / "a.nwb", *given)


def test_a_missing_file_and_another_suffix_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_nwb(tmp_path / "none.nwb")
    with pytest.raises(ValueError, match=r"a\.h5, must end in \.nwb"):
        write_nwb(tmp_path / "a.h5", Recording.from_array([[1]], 1000, ["a"], unit="count"))
