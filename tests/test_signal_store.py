"""A store gives back what was put into it, goes on where it stopped, and lies about nothing."""

import errno
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import signal_store
from ranvier.__main__ import main
from ranvier.datasets import read
from ranvier.formats import read_edf, write_edf
from ranvier.recording import Recording
from ranvier.signal_store import is_store, read_store, write_store
from ranvier.truth import Event, Events, Hypnogram, Trajectory
from ranvier.windows import Windows, processed, save_states

CHANNELS = ("Fp1", "F3", "C3")
LAYOUT = rv.Layout(CHANNELS, 256.0)
STAGES = [
    {"stage": "mark_flat", "seconds": 0.1},
    {"stage": "filter", "low": 0.5, "high": 40.0},
    {"stage": "resample", "rate_out": 100.0},
]


def make_recording(name: str = "a", seconds: int = 20, **known) -> Recording:
    rng = np.random.default_rng(len(name) + ord(name[0]))
    signal = rng.normal(0, 20, (seconds * 256, 3))
    return Recording.from_array(signal, 256.0, CHANNELS, name=name, subject=name, **known)


def change_index(folder, **change) -> None:
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, **change}))


@pytest.fixture(scope="module")
def edf(tmp_path_factory) -> Recording:
    path = tmp_path_factory.mktemp("edf") / "night.edf"
    signal = np.random.default_rng(0).normal(0, 20, (150 * 256, 3))
    signal[3000:3100, 1] = 7.0
    return read_edf(write_edf(path, signal, LAYOUT), subject="01")


@pytest.fixture(scope="module")
def stored(tmp_path_factory, edf) -> Recording:
    return read_store(write_store([edf], tmp_path_factory.mktemp("store")))[0]


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.integers(0, 150 * 256), st.integers(0, 150 * 256)).map(sorted))
def test_integers_of_an_edf_file_come_back_to_the_last_bit(edf, stored, cut):
    assert np.load(stored.reader.path, mmap_mode="r").dtype == np.int16
    np.testing.assert_array_equal(stored.reader(*cut), edf.reader(*cut))


def test_a_long_part_is_read_as_a_short_one(edf, stored):
    assert edf.samples > 3 * 8192
    np.testing.assert_array_equal(stored.read(), edf.read())


def test_floats_and_gaps_come_back_to_the_last_bit(tmp_path):
    signal = np.random.default_rng(0).normal(0, 20, (5000, 3)).astype(np.float32)
    signal[100:200] = np.nan
    recording = Recording.from_array(signal, 256.0, CHANNELS)
    (found,) = read_store(write_store([recording], tmp_path))
    np.testing.assert_array_equal(found.read(), signal)


def test_all_that_is_known_comes_back(tmp_path):
    start = datetime(2024, 2, 3, 4, 5, 6, 7000, UTC)
    known = {
        "session": "02",
        "start": start,
        "events": Events((Event(1.0, 2.0, "sz_foc", channels="F3"), Event(4, 1)), 20.0, start),
        "hypnogram": Hypnogram(("W", "", "REM"), 20.0, 5.0, 1.5),
        "notes": ("a note",),
    }
    (found,) = read_store(write_store([make_recording(**known)], tmp_path))
    for name, one in known.items():
        assert str(getattr(found, name)) == str(one)


def test_a_trajectory_comes_back(tmp_path):
    values = np.random.default_rng(0).normal(size=(40, 2))
    values[3] = np.nan
    moved = Trajectory(values, 2.0, 20.0, first=0.5)
    (found,) = read_store(write_store([make_recording(trajectory=moved)], tmp_path))
    assert repr(found.trajectory) == repr(moved)


def test_a_second_run_writes_only_what_is_new(tmp_path, monkeypatch):
    write_store([make_recording("a")], tmp_path)
    written = []
    write = signal_store._write_array
    monkeypatch.setattr(
        signal_store, "_write_array", lambda *all: (written.append(all[1].name), write(*all))
    )
    write_store([make_recording("a"), make_recording("b")], tmp_path)
    assert written == ["b"]
    assert [one.name for one in read_store(tmp_path)] == ["a", "b"]


def test_an_array_that_was_cut_short_is_written_again(tmp_path):
    (one,) = read_store(write_store([make_recording()], tmp_path))
    expected = one.read()
    one.reader.path.write_bytes(one.reader.path.read_bytes()[:5000])
    (again,) = read_store(write_store([make_recording()], tmp_path))
    np.testing.assert_array_equal(again.read(), expected)


def test_a_recording_that_changed_takes_the_place_of_the_old_one(tmp_path):
    write_store([make_recording(seconds=20)], tmp_path)
    (one,) = read_store(write_store([make_recording(seconds=30)], tmp_path))
    assert one.duration == 30
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_a_full_disk_leaves_a_usable_store_and_says_so(tmp_path, monkeypatch):
    write = signal_store._write_array

    def fill(path, recording, dtype):
        if recording.name == "c":
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, recording, dtype)

    monkeypatch.setattr(signal_store, "_write_array", fill)
    with pytest.raises(
        ValueError, match=r"\(No space left on device\): 2 of 3 recordings are done"
    ):
        write_store([make_recording(name) for name in "abc"], tmp_path)
    assert [one.name for one in read_store(tmp_path)] == ["a", "b"]
    assert len(list(tmp_path.glob("*.npy"))) == 2


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("full", ["_write_array", "_write_index", "Path.mkdir"])
def test_a_disk_that_is_full_from_the_first_byte_on_is_said_in_a_sentence(
    tmp_path, monkeypatch, full
):
    monkeypatch.setattr(f"ranvier.signal_store.{full}", no_space)
    if full == "_write_array":
        monkeypatch.setattr(signal_store, "_write_index", no_space)
    with pytest.raises(ValueError, match=r"Cannot write .* \(No space left on device\): \d of 1"):
        write_store([make_recording()], tmp_path / "store")


WRITE = """
import sys, time
from ranvier.recording import Recording
from ranvier.signal_store import write_store
class Slow:
    def __call__(self, first, last):
        print("begun", flush=True)
        time.sleep(float(sys.argv[2]))
        return __import__("numpy").zeros((last - first, 3), "float32")
from ranvier.recording import Layout
write_store([Recording(Layout(("a", "b", "c"), 10.0), 10, Slow(), name="other")], sys.argv[1])
"""


def test_a_store_has_one_writer_at_a_time_and_a_killed_one_is_none(tmp_path):
    words = [sys.executable, "-c", WRITE, str(tmp_path)]
    with subprocess.Popen([*words, "60"], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(ValueError, match="another run is writing to it, must be done first"):
            write_store([make_recording()], tmp_path)
        other.kill()
    subprocess.run([*words, "0"], check=True, capture_output=True)
    write_store([make_recording()], tmp_path)
    assert {one.name for one in read_store(tmp_path)} == {"a", "other"}


def test_a_killed_run_leaves_arrays_that_the_next_one_takes(tmp_path, monkeypatch):
    write_store([make_recording("a")], tmp_path)
    (tmp_path / "index.json").unlink()
    monkeypatch.setattr(signal_store, "_write_array", None)
    assert len(read_store(write_store([make_recording("a")], tmp_path))) == 1


def test_processes_side_by_side_write_the_same_store(tmp_path, edf):
    recordings = [edf, make_recording("b"), make_recording("c")]
    one, two = tmp_path / "one", tmp_path / "two"
    write_store(recordings, one)
    write_store(recordings, two, workers=2)
    assert (one / "index.json").read_text() == (two / "index.json").read_text()


def test_nothing_is_no_store(tmp_path):
    with pytest.raises(ValueError, match="Invalid recordings: none, must be at least one"):
        write_store([], tmp_path)
    write_store([make_recording()], tmp_path)
    change_index(tmp_path, recordings=[])
    with pytest.raises(ValueError, match=r"Invalid store: .* holds no recordings"):
        read_store(tmp_path)
    assert len(read_store(write_store([make_recording()], tmp_path))) == 1


def test_the_same_name_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'a' is there twice, must be unique"):
        write_store([make_recording(), make_recording()], tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "has version 99, must be 1"),
        ({"format": "other"}, r"has no index.json of a ranvier store"),
        ({"recordings": [{"file": "none.npy"}]}, "lacks 1 files, such as none.npy"),
        ({"recordings": [{"file": "index.json"}]}, "index.json is broken"),
        ({"recordings": [{}]}, "index.json is broken"),
        ({"recordings": [{"file": "../index.json"}]}, r"lacks 1 files, such as \.\./index.json"),
    ],
)
def test_what_is_no_store_is_refused_in_a_sentence(tmp_path, change, message):
    write_store([make_recording()], tmp_path)
    change_index(tmp_path, **change)
    with pytest.raises(ValueError, match=message):
        read_store(tmp_path)


MOVED = Trajectory(np.zeros((40, 2)), 2.0, 20.0)


@pytest.mark.parametrize(
    "change",
    [
        {"samples": "x"},
        {"samples": 10**9},
        {"samples": -1},
        {"samples": 20 * 256.0},
        {"shape": []},
        {"rate": "x"},
        {"rate": 0},
        {"channels": ["a"]},
        {"channels": [1, 2, 3]},
        {"gains": [1.0]},
        {"gains": ["x"] * 3},
        {"hypnogram": {"stages": ["N9"], "duration": 1}},
        {"name": 7},
    ],
)
def test_an_entry_that_makes_no_sense_is_a_broken_index(tmp_path, change):
    write_store([make_recording()], tmp_path)
    entry = json.loads((tmp_path / "index.json").read_text())["recordings"][0]
    change_index(tmp_path, recordings=[{**entry, **change}])
    with pytest.raises(ValueError, match=r"Invalid store: .*index\.json is broken \("):
        read_store(tmp_path)


def test_a_broken_index_is_not_written_over(tmp_path):
    write_store([make_recording()], tmp_path)
    change_index(tmp_path, recordings=[{}])
    with pytest.raises(ValueError, match=r"Invalid store: .*index\.json is broken \("):
        write_store([make_recording("b")], tmp_path)


def test_an_index_without_end_is_none(tmp_path):
    (tmp_path / "index.json").write_text("[" * 100_000)
    assert not is_store(tmp_path)


@pytest.mark.parametrize("name", ["../moved.npy", "none.npy"])
def test_the_file_of_a_trajectory_lies_in_the_store(tmp_path, name):
    np.save(tmp_path / "moved.npy", MOVED.values)
    store = write_store([make_recording(trajectory=MOVED)], tmp_path / "store")
    entry = json.loads((store / "index.json").read_text())["recordings"][0]
    entry["trajectory"]["file"] = name
    change_index(store, recordings=[entry])
    with pytest.raises(ValueError, match=f"lacks 1 files, such as {re.escape(name)}"):
        read_store(store)


def archive(path):
    with path.open("wb") as file:
        np.savez(file, one=1)


def other_array(path):
    np.save(path, np.zeros((7, 3), np.float32))


def integers(path):
    np.save(path, np.zeros((20 * 256, 3), np.int64))


DAMAGES = [
    lambda path: path.write_bytes(path.read_bytes()[:-100]),
    lambda path: path.write_bytes(b"junk" * 1000),
    lambda path: path.write_bytes(b""),
    archive,
    other_array,
    integers,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_array_is_named_and_prepared_again(tmp_path, damage):
    (one,) = read_store(write_store([make_recording()], tmp_path))
    expected = one.read()
    damage(one.reader.path)
    (spoilt,) = read_store(tmp_path)
    with pytest.raises(
        ValueError, match=f"Invalid store: {one.reader.path} is missing or damaged, .* again"
    ):
        spoilt.read(0, 1)
    (again,) = read_store(write_store([make_recording()], tmp_path))
    np.testing.assert_array_equal(again.read(), expected)


@pytest.mark.parametrize("damage", DAMAGES[:5])
def test_a_damaged_trajectory_is_named_and_prepared_again(tmp_path, damage):
    write_store([make_recording(trajectory=MOVED)], tmp_path)
    entry = json.loads((tmp_path / "index.json").read_text())["recordings"][0]
    damage(path := tmp_path / entry["trajectory"]["file"])
    with pytest.raises(ValueError, match=f"Invalid store: {path} is missing or damaged, .* again"):
        read_store(tmp_path)
    (again,) = read_store(write_store([make_recording(trajectory=MOVED)], tmp_path))
    assert repr(again.trajectory) == repr(MOVED)


def whole_of(recording: Recording, stages=STAGES) -> np.ndarray:
    pipeline = rv.stages.build(stages, recording.layout)
    return pipeline.step(recording.read()[None], pipeline.initial_state(1))[0][0].astype("f4")


@pytest.fixture(scope="module")
def whole(edf) -> np.ndarray:
    return whole_of(edf)


@pytest.fixture(scope="module")
def windows(stored) -> Windows:
    return Windows(stored, STAGES)


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(0, 15000), st.integers(0, 15000)).map(sorted))
def test_a_window_equals_the_same_part_of_the_whole_to_the_last_bit(whole, windows, cut):
    assert len(windows) == len(whole) == 15000
    np.testing.assert_array_equal(windows(*cut), whole[slice(*cut)])


@pytest.mark.parametrize("seconds", [0.7, 13.3])
def test_states_may_be_kept_at_any_distance(edf, whole, seconds):
    found = Windows(edf, STAGES, seconds=seconds)
    np.testing.assert_array_equal(found.read(31.4, 35.0), whole[3140:3500])


def test_features_are_read_as_signals_are(edf):
    stages = [*STAGES, {"stage": "spectrum", "features": 8}]
    np.testing.assert_array_equal(Windows(edf, stages).read(70, 80), whole_of(edf, stages)[70:80])


def test_kept_states_are_taken_and_give_the_same(tmp_path, stored, whole):
    save_states([stored], STAGES, tmp_path)
    again = Windows(stored, STAGES, folder=tmp_path)
    assert len(again.states) == 3
    np.testing.assert_array_equal(again.read(125.0, 150.0), whole[12500:])


def test_states_of_other_stages_are_not_taken(tmp_path, stored):
    save_states([stored], STAGES, tmp_path)
    assert len(Windows(stored, STAGES[:2], folder=tmp_path).states) == 1


def test_a_broken_file_of_states_is_not_taken(tmp_path, stored):
    path = Windows(stored, STAGES, folder=tmp_path).save()
    path.write_bytes(path.read_bytes()[:500])
    assert len(Windows(stored, STAGES, folder=tmp_path).states) == 1


def test_what_is_fitted_to_training_subjects_is_refused(edf):
    with pytest.raises(ValueError, match="standardise is fitted to the training part"):
        Windows(edf, [*STAGES, {"stage": "standardise"}])


def test_a_processed_recording_can_be_stored(tmp_path, edf, whole):
    (found,) = read_store(write_store([processed(edf, STAGES)], tmp_path))
    assert found.layout.rate == 100.0
    np.testing.assert_array_equal(found.read(), whole)


def test_features_are_no_signal_to_store(edf):
    with pytest.raises(ValueError, match="give features, must give a signal"):
        processed(edf, [*STAGES, {"stage": "spectrum", "features": 8}])


def test_times_outside_of_the_recording_are_refused(windows):
    with pytest.raises(ValueError, match="must lie in order between 0 and 150"):
        windows.read(149.0, 151.0)


def test_the_command_makes_a_store_that_other_commands_read(tmp_path, bids, capsys):
    store = tmp_path / "store"
    assert main(["prepare", str(bids), str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recordings"] == 8
    for one, other in zip(read(store), rv.read(bids), strict=True):
        assert (one.name, one.subject) == (other.name, other.subject)
        assert str(one.events) == str(other.events)
        np.testing.assert_array_equal(one.read(50, 60), other.read(50, 60))


def test_the_command_takes_the_stages_of_a_recipe(tmp_path, bids, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("stages:\n- {stage: filter, low: 0.5, high: 40.0}\n")
    store = tmp_path / "store"
    words = ["prepare", str(bids), str(store), "--stages", str(recipe), "--states", str(recipe)]
    assert main(words) == 0
    assert len(list(store.glob("*.states.npz"))) == 8
    assert "8 recordings of 4 subjects" in capsys.readouterr().out


def test_the_command_refuses_a_file_without_stages(tmp_path, bids, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text("network: rest\n")
    assert main(["prepare", str(bids), str(tmp_path / "store"), "--stages", str(path)]) == 1
    assert "must hold a list of settings, each with a stage" in capsys.readouterr().err


PREPARE_A_DAY = """
import sys
from pathlib import Path
from ranvier.bench.machine import most_resident
from ranvier.formats import read_edf
from ranvier.signal_store import read_store, write_store
from ranvier.windows import processed
recording = read_edf(sys.argv[1], subject="01")
stages = [{"stage": "filter", "low": 0.5, "high": 40.0}, {"stage": "resample", "rate_out": 100.0}]
if sys.argv[3] == "processed":
    recording = processed(recording, stages)
(stored,) = read_store(write_store([recording], sys.argv[2]))
assert round(stored.duration) == 86400 and len(stored.layout.channels) == 64
print(most_resident() / 2**20)
"""


def day_of_edf(folder):
    """A minute of noise, and zeros that take no room on the disk until a day is over."""
    names = tuple(f"EEG {number}" for number in range(64))
    noise = np.random.default_rng(0).normal(0, 20, (60 * 256, 64))
    path = write_edf(folder / "day.edf", noise, rv.Layout(names, 256.0))
    with path.open("r+b") as file:
        file.seek(184)
        size = path.stat().st_size - int(file.read(8))
        file.seek(236)
        per_minute = int(file.read(8))
        file.seek(236)
        file.write(f"{per_minute * 1440:<8}".encode())
        file.truncate(path.stat().st_size + size * 1439)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["raw", "processed"])
def test_a_day_of_64_channels_is_prepared_in_little_memory(tmp_path, kind):
    words = [sys.executable, "-c", PREPARE_A_DAY, str(day_of_edf(tmp_path)), str(tmp_path / "s")]
    done = subprocess.run([*words, kind], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 500


def test_a_seizure_of_no_known_end_comes_back_as_one(tmp_path):
    endless = rv.Events((Event(3.0, math.nan), Event(9.0, 2.0)), 60.0)
    recording = replace(make_recording("01"), events=endless)
    (found,) = read_store(write_store([recording], tmp_path / "store"))
    assert str(found.events) == str(endless)
