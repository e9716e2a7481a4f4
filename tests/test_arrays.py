"""Arrays of others: found by their usual names, and refused when it is not clear what they are."""

import sys
from datetime import datetime

import numpy as np
import pytest
import scipy.io

import ranvier as rv
from ranvier.formats import read, read_arrays, read_matlab, read_one, write_edf
from ranvier.inspection import inspect
from ranvier.recording import Layout
from ranvier.truth import Hypnogram

SIGNAL = np.random.default_rng(0).normal(0, 30, (500, 3))
NAMES = ["Fp1", "Cz", "O2"]


def npz(path, **changed: object):
    keys = {"signal": SIGNAL, "rate": 100.0, "channels": NAMES, "unit": "µV"} | changed
    np.savez(path, **{name: value for name, value in keys.items() if value is not None})
    return path


def mat5(path, **changed: object):
    names = np.array(NAMES, dtype=object)
    keys = {"data": SIGNAL.T, "fs": 100.0, "ch_names": names, "unit": "uV"} | changed
    scipy.io.savemat(path, {name: value for name, value in keys.items() if value is not None})
    return path


def mat73(path, **changed: object):
    """Write what ``mat5`` does as Matlab writes version 7.3."""
    h5py = pytest.importorskip("h5py")
    keys = {"data": SIGNAL.T, "fs": np.array([[100.0]])} | changed
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in keys.items():
            if value is not None:
                file[name.replace(".", "/")] = value.T
        texts = [np.array([[ord(one)] for one in name], np.uint16) for name in NAMES]
        for place, text in enumerate(texts):
            file[f"#refs#/{place}"] = text
        refs = [file[f"#refs#/{place}"].ref for place in range(3)]
        file["ch_names"] = np.array([refs], dtype=h5py.ref_dtype)
        file["ch_names"].attrs["MATLAB_class"] = np.bytes_(b"cell")
        file["unit"] = np.array([[ord("u")], [ord("V")]], np.uint16)
        file["unit"].attrs["MATLAB_class"] = np.bytes_(b"char")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + path.read_bytes()[512:])
    return path


WRITERS = pytest.mark.parametrize("written", [npz, mat5, mat73], ids=lambda one: one.__name__)
SUFFIXES = {npz: "a.npz", mat5: "a.mat", mat73: "a.mat"}


@WRITERS
def test_signal_rate_and_channels_are_found(tmp_path, written):
    (found,) = read(written(tmp_path / SUFFIXES[written]), subject="s")
    assert found.layout == Layout(tuple(NAMES), 100.0)
    assert (found.subject, found.samples, found.notes) == ("s", 500, ())
    np.testing.assert_allclose(found.read(1, 2), SIGNAL[100:200], rtol=1e-6)


class TestMatlab:
    def test_modules_of_the_current_folder_are_not_imported(self, tmp_path, monkeypatch):
        (tmp_path / "random.py").write_text("raise SystemExit('the random.py beside was run')\n")
        monkeypatch.chdir(tmp_path)
        assert read_matlab(mat5(tmp_path / "a.mat")).samples == 500

    def test_fields_of_a_structure_are_variables(self, tmp_path):
        structure = {"data": SIGNAL, "srate": 256, "setname": "x"}
        for_eeglab = mat5(tmp_path / "a.mat", data=None, fs=None, EEG=structure)
        assert read_matlab(for_eeglab).layout.rate == 256
        fields = {"data": None, "fs": None, "EEG.data": SIGNAL, "EEG.srate": np.array([[256.0]])}
        found = read_matlab(mat73(tmp_path / "b.mat", **fields))
        np.testing.assert_allclose(found.read(), SIGNAL, rtol=1e-6)

    def test_without_names_the_longer_axis_is_time(self, tmp_path):
        found = read_matlab(mat5(tmp_path / "a.mat", ch_names=None, unit=None))
        assert found.layout.channels == ("channel 1", "channel 2", "channel 3")
        assert found.notes == (
            "the longer axis of data, 500, is taken as time",
            "the unit is not known, values are taken as µV",
        )

    def test_a_usual_name_is_preferred_and_another_may_be_asked_for(self, tmp_path):
        path = mat5(tmp_path / "a.mat", features=2 * SIGNAL)
        np.testing.assert_allclose(read_matlab(path).read(), SIGNAL, rtol=1e-6)
        asked = read_matlab(path, signal="features", channels=["a", "b", "c"], rate=5, unit="mV")
        assert asked.layout == Layout(("a", "b", "c"), 5)
        np.testing.assert_allclose(asked.read(), 2000 * SIGNAL, rtol=1e-6)

    @pytest.mark.parametrize("written", [mat5, mat73])
    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"data": None, "a": SIGNAL, "b": SIGNAL}, "several arrays .*: a, b; say which"),
            ({"data": None}, "no array .time, channel., found: "),
            ({"fs": None}, "sampling rate is not clear, .* found: .*data; say it with rate="),
            ({"srate": np.array([[5.0]])}, "not clear, .* found: fs 100, srate 5"),
            ({"data": SIGNAL[:3]}, "which axis is time is not clear"),
            ({"fs": np.array([[-1.0]])}, "Invalid rate: -1.0 Hz"),
            ({"data": np.zeros((3, 5, 2))}, "no array .time, channel., found: "),
        ],
    )
    def test_what_is_not_clear_is_refused_with_what_was_found(
        self, tmp_path, written, changed, message
    ):
        path = written(tmp_path / "a.mat", **changed)
        with pytest.raises(ValueError, match=f"a.mat: .*{message}"):
            read_matlab(path)

    @pytest.mark.parametrize("written", [mat5, mat73])
    def test_a_damaged_file_is_refused_in_one_sentence(self, tmp_path, written):
        path = written(tmp_path / "a.mat")
        whole = path.read_bytes()
        for size in (0, 100, 600, len(whole) // 2):
            path.write_bytes(whole[:size])
            with pytest.raises(ValueError, match=r"a.mat") as refused:
                read_matlab(path).read()
            assert "\n" not in str(refused.value)

    def test_a_missing_file_or_package_is_told(self, tmp_path, monkeypatch):
        with pytest.raises(ValueError, match=r"Cannot read .*none.mat"):
            read_matlab(tmp_path / "none.mat")
        path = mat73(tmp_path / "a.mat")
        monkeypatch.setitem(sys.modules, "h5py", None)
        with pytest.raises(ValueError, match=r'pip install "ranvier\[nwb\]"'):
            read_matlab(path)

    def test_values_that_are_not_finite_are_nan(self, tmp_path):
        signal = SIGNAL.T.copy()
        signal[1, 5] = np.inf
        found = read_matlab(mat5(tmp_path / "a.mat", data=signal)).read()
        assert np.argwhere(np.isnan(found)).tolist() == [[5, 1]]


class TestArchives:
    def test_seizures_stages_and_who_are_read(self, tmp_path):
        stages = np.array(["W", "N2", "?"])
        known = {"seizures": [[1.0, 2.5]], "stages": stages, "epoch_s": 2, "subject": "p1"}
        (found,) = read(npz(tmp_path / "a.npz", **known, start="2020-01-02 03:04:05"))
        assert found.events.intervals().tolist() == [[1.0, 2.5]]
        assert found.hypnogram == Hypnogram(("W", "N2"), 5, 2)
        assert (found.subject, found.start) == ("p1", datetime(2020, 1, 2, 3, 4, 5))
        assert found.notes == ("1 epochs that end after the signal are left out",)

    def test_no_seizure_is_not_the_same_as_nothing_known(self, tmp_path):
        assert len(read_one(npz(tmp_path / "a.npz", seizures=np.zeros((0, 2)))).events) == 0
        assert read_one(npz(tmp_path / "b.npz")).events is None

    def test_what_is_pickled_beside_is_never_opened(self, tmp_path):
        path = npz(tmp_path / "a.npz", extra=np.array([print], dtype=object))
        assert read_one(path).samples == 500
        with pytest.raises(ValueError, match=r"a.npz is not a file of arrays"):
            read_arrays(npz(path, channels=np.array([print], dtype=object)))

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"signal": None, "a": SIGNAL, "b": SIGNAL}, "several arrays"),
            ({"signal": np.zeros((5, 4, 3))}, "no array"),
            ({"seizures": [[3.0, 1.0]]}, "invalid seizures"),
            ({"stages": np.array([0, 4])}, "stages are numbers, and REM is 4 in some"),
            ({"unit": "furlong"}, "Invalid unit: 'furlong'"),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, tmp_path, changed, message):
        with pytest.raises(ValueError, match=f"a.npz: .*{message}"):
            read(npz(tmp_path / "a.npz", **changed))


def test_a_signal_without_a_rate_is_not_taken_for_spikes(tmp_path):
    np.savez(tmp_path / "a.npz", signal=np.ones((64, 2)))
    with pytest.raises(ValueError, match=r"a.npz: its sampling rate is not clear, must be one"):
        read(tmp_path / "a.npz")


def csv(path):
    rows = np.column_stack([np.arange(500) / 100, SIGNAL])
    np.savetxt(path, rows, delimiter=",", header=",".join(["time", *NAMES]), comments="")
    return path


def test_what_can_be_read_can_be_inspected(tmp_path):
    made = {mat5: "Matlab", npz: "NumPy archive", csv: "table"}
    for write, form in made.items():
        path = write(tmp_path / f"a.{write.__name__.removesuffix('5')}")
        (described,) = inspect(path).recordings
        assert (described.format, described.rate) == (form, pytest.approx(100))


def test_results_below_a_folder_are_no_recordings_of_it(tmp_path):
    npz(tmp_path / "a.npz")
    (tmp_path / "result" / "fold_1").mkdir(parents=True)
    (tmp_path / "result" / "folds.json").write_text("{}")
    np.savez(tmp_path / "result" / "fold_1" / "truth.npz", values=np.zeros((3, 2)))
    assert [one.name for one in read(tmp_path)] == ["a"]


@pytest.mark.parametrize("reading", [read, rv.read, inspect])
def test_an_empty_path_is_not_the_current_folder(reading, tmp_path, monkeypatch):
    npz(tmp_path / "a.npz")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="Invalid path: '', must name a file or folder"):
        reading("")


def test_folders_have_matlab_files_only_where_they_have_nothing_else(tmp_path):
    mat5(tmp_path / "a.mat")
    (tmp_path / "b.csv").write_text("time,a\n0,1\n")
    assert [one.name for one in read(tmp_path)] == ["a"]
    write_edf(tmp_path / "c.edf", SIGNAL, Layout(tuple(NAMES), 100))
    assert [one.name for one in read(tmp_path)] == ["c"]
