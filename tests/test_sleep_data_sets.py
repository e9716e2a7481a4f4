"""Data sets of sleep, on files that are written here in exactly their published layouts."""

import shutil
from datetime import datetime

import numpy as np
import pytest
from small_trees import NIGHT, dreem, physionet, polysomnogram, prepared, resource

import ranvier.datasets as data
from ranvier.datasets import attn_sleep_npz, dod, shhs, sleep_edf
from ranvier.datasets.subsets import SUBSETS, only_subjects, subset
from ranvier.formats.edf_header import read_header
from ranvier.recording import Recording

h5py = pytest.importorskip("h5py")

UUID = "3e842aa8-bcd9-521e-93a2-72124233fe2c"


class TestSleepEDF:
    def test_both_nights_of_a_person_are_of_one_subject(self, tmp_path):
        folder = physionet(tmp_path, "SC4012E0", "SC4011E0", "ST7011J0", scorer="H")
        assert data.recognise(folder) is sleep_edf.SLEEP_EDF
        found = data.read(folder)
        who = [(one.name, one.subject, one.session) for one in found]
        assert who == [
            ("SC4011E0-PSG", "SC401", "1"),
            ("SC4012E0-PSG", "SC401", "2"),
            ("ST7011J0-PSG", "ST701", "1"),
        ]

    def test_stages_are_read_and_channels_at_another_rate_left_out(self, tmp_path):
        (found,) = data.read(physionet(tmp_path, "SC4001E0"))
        assert found.layout.channels == ("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal")
        assert found.hypnogram == NIGHT
        assert found.notes == ("left out, at another rate: Event marker (uV)",)

    def test_a_night_without_a_hypnogram_has_a_note(self, tmp_path):
        folder = physionet(tmp_path, "SC4001E0")
        (folder / "sleep-cassette" / "SC4001EC-Hypnogram.edf").unlink()
        (found,) = data.read(folder)
        assert found.hypnogram is None
        assert sleep_edf.NO_HYPNOGRAM in found.notes

    def test_a_part_of_the_set_is_recognised_alone(self, tmp_path):
        folder = physionet(tmp_path, "ST7011J0") / "sleep-telemetry"
        assert [one.subject for one in data.read(folder)] == ["ST701"]

    @pytest.mark.parametrize(("selection", "count"), [("20", 20), ("78", 78)])
    def test_selections_have_their_subjects(self, selection, count):
        subjects = sleep_edf.subjects_of(selection)
        assert len(set(subjects)) == count == len(SUBSETS[f"sleep-edf-{selection}"])
        assert not {"SC439", "SC468", "SC469", "SC478", "SC479", "SC483"} & set(subjects)

    def test_a_selection_is_refused_when_subjects_are_missing(self):
        here = [
            Recording.from_array(np.zeros((9, 1)), 1, ["a"], subject=f"SC40{n}") for n in (0, 1)
        ]
        assert only_subjects(here, ["SC401"]) == here[1:]
        with pytest.raises(ValueError, match=r"no recording of SC402, SC403, .* and 13 more"):
            subset(here, "sleep-edf-20")
        with pytest.raises(ValueError, match="Invalid subset: 'x', possible options"):
            subset(here, "x")
        with pytest.raises(ValueError, match="Invalid selection: '5'"):
            sleep_edf.subjects_of("5")

    def test_files_of_the_archive_belong_to_their_subject(self):
        of = sleep_edf.SLEEP_EDF.archive.subject_of
        assert of("sleep-cassette/SC4211EC-Hypnogram.edf") == "SC421"
        assert (of("sleep-telemetry/ST7132J0-PSG.edf"), of("SC-subjects.xls")) == ("ST713", "")

    @pytest.mark.real
    def test_real_hypnograms_are_found_whoever_scored_them(self, real, tmp_path):
        part = tmp_path / "sleep-cassette"
        for file in sorted((real / "sleep_edf_hypnograms").glob("*.edf")):
            start = read_header(file).start(0)
            polysomnogram(part / f"{file.name[:7]}0-PSG.edf", start, **{"EEG Fpz-Cz": 100})
            shutil.copyfile(file, part / file.name)
        found = data.read(tmp_path)
        assert len(found) == 20
        assert len({one.subject for one in found}) == 10
        assert {one.hypnogram.stages for one in found} == {("W",) * 5}


class TestSHHS:
    def test_channels_are_called_by_their_electrodes_whatever_their_order(self, tmp_path):
        rates = {"SaO2": 1, "EEG(sec)": 125, "EMG": 125, "EEG": 125, "EOG(L)": 50}
        folder = resource(tmp_path, "shhs1", "shhs1-200001", **rates)
        assert data.recognise(folder) is shhs.SHHS
        (found,) = data.read(folder)
        assert found.layout.channels == ("C3-A2", "EMG", "C4-A1")
        assert found.notes[-2:] == ("EEG(sec) is C3-A2", "EEG is C4-A1")

    def test_a_faster_channel_does_not_push_the_eeg_out(self, tmp_path):
        rates = {"ECG": 250, "EEG": 125, "EEG(sec)": 125}
        folder = resource(tmp_path, "shhs2", "shhs2-200077", **rates)
        (found,) = data.read(folder)
        assert (found.layout.channels, found.layout.rate) == (("C4-A1", "C3-A2"), 125.0)
        assert found.read().std() == pytest.approx(20, rel=0.1)
        assert found.hypnogram == NIGHT

    def test_both_visits_are_of_one_subject(self, tmp_path):
        resource(tmp_path, "shhs1", "shhs1-200077", EEG=125)
        resource(tmp_path, "shhs2", "shhs2-200077", EEG=125)
        found = data.read(tmp_path / "polysomnography")
        assert [(one.subject, one.session) for one in found] == [
            ("200077", "shhs1"),
            ("200077", "shhs2"),
        ]

    def test_other_sets_are_read_with_the_xml_of_nsrr(self, tmp_path):
        folder = resource(tmp_path, "", "mesa-sleep-0001", profusion=False, EEG1=256)
        kind = folder / "polysomnography" / "annotations-events-nsrr"
        kind.mkdir()
        event = "<EventType>Stages|Stages</EventType><EventConcept>REM sleep|5</EventConcept>"
        (kind / "mesa-sleep-0001-nsrr.xml").write_text(
            f"<PSGAnnotation><ScoredEvents><ScoredEvent>{event}<Start>30</Start><Duration>210"
            "</Duration></ScoredEvent></ScoredEvents></PSGAnnotation>"
        )
        assert data.recognise(folder) is shhs.NSRR
        (found,) = data.read(folder)
        assert (found.subject, found.session) == ("0001", "mesa-sleep")
        assert found.hypnogram.stages == ("REM",) * 4
        assert found.notes[-1] == "3 epochs that end after the signal are left out"

    def test_a_night_without_stages_has_a_note(self, tmp_path):
        resource(tmp_path, "shhs1", "shhs1-200001", EEG=125)
        resource(tmp_path, "shhs1", "shhs1-200002", profusion=False, EEG=125)
        second = data.read(tmp_path)[1]
        assert (second.hypnogram, second.notes[-1]) == (None, shhs.NO_HYPNOGRAM)

    def test_a_list_of_recordings_or_subjects_is_a_selection(self, tmp_path):
        made = [Recording.from_array(np.zeros((9, 1)), 1, ["a"], subject=s) for s in ("1", "2-3")]
        (tmp_path / "a.txt").write_text("shhs1-1\n\n")
        assert subset(made, str(tmp_path / "a.txt")) == made[:1]
        (tmp_path / "a.txt").write_text("2-3\n")
        assert subset(made, str(tmp_path / "a.txt")) == made[1:]
        (tmp_path / "a.txt").write_text("1\nshhs1-7\n")
        with pytest.raises(ValueError, match="no recording of 7, must have one of each of 2"):
            subset(made, str(tmp_path / "a.txt"))


class TestDOD:
    def test_a_night_has_its_signals_stages_and_start(self, tmp_path):
        dreem(tmp_path / f"{UUID}.h5")
        assert data.recognise(tmp_path) is dod.DOD
        (found,) = data.read(tmp_path)
        assert (found.layout.channels, found.layout.rate) == (("C3-M2", "F3-F4", "EOG1"), 250.0)
        assert (found.subject, found.start) == (UUID, datetime(2017, 7, 14, 2, 40))
        assert found.hypnogram == NIGHT
        assert found.notes == ("left out, at another rate: EMG",)

    def test_a_stretch_is_what_is_stored(self, tmp_path):
        found = dod.read_night(dreem(tmp_path / f"{UUID}.h5"))
        with h5py.File(tmp_path / f"{UUID}.h5") as file:
            np.testing.assert_array_equal(
                found.read(10, 12)[:, 1], file["signals/eeg/F3_F4"][2500:3000]
            )

    def test_a_longer_hypnogram_is_cut_and_none_is_noted(self, tmp_path):
        long = dod.read_night(dreem(tmp_path / "a.h5", codes=(0,) * 7))
        assert (len(long.hypnogram), long.notes[-1]) == (
            5,
            "2 epochs that end after the signal are left out",
        )
        none = dod.read_night(dreem(tmp_path / "b.h5", codes=()))
        assert (none.hypnogram, none.notes[-1]) == (None, "it has no hypnogram")

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"codes": (0, 7)}, "invalid stage: 7, possible options: -1 to 4"),
            ({"codes": (0, 0.5)}, "invalid stage: 0.5"),
            ({"description": b"[{"}, "its description is no list of signals"),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, tmp_path, changed, message):
        with pytest.raises(ValueError, match=f"a.h5: {message}"):
            dod.read_night(dreem(tmp_path / "a.h5", **changed))

    def test_a_file_that_is_cut_off_is_refused(self, tmp_path):
        path = dreem(tmp_path / "a.h5")
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(ValueError, match="is not an HDF5 file that can be read"):
            dod.read_night(path)

    def test_a_link_out_of_the_file_is_not_followed(self, tmp_path):
        path = dreem(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            del file["signals/eeg/C3_M2"]
            file["signals/eeg/C3_M2"] = h5py.ExternalLink("b.h5", "/secret")
        assert dod.read_night(path).layout.channels == ("F3-F4", "EOG1")

    def test_a_missing_h5py_is_told_with_its_extra(self, tmp_path, monkeypatch):
        path = dreem(tmp_path / "a.h5")
        monkeypatch.setitem(__import__("sys").modules, "h5py", None)
        with pytest.raises(ValueError, match=r'h5py is missing: pip install "ranvier\[nwb\]"'):
            dod.read_night(path)


class TestPreparedNights:
    def test_a_night_is_read_without_what_is_pickled_in_it(self, tmp_path):
        prepared(tmp_path / "SC4012E0.npz")
        assert data.recognise(tmp_path) is attn_sleep_npz.ATTN_SLEEP_NPZ
        (found,) = data.read(tmp_path)
        assert (found.subject, found.session) == ("SC401", "2")
        assert (found.layout.channels, found.layout.rate) == (("EEG Fpz-Cz",), 100.0)
        assert found.hypnogram.stages == ("W", "N1", "N2", "N3", "REM")
        assert "cut out before" in found.notes[0]

    def test_epochs_follow_each_other(self, tmp_path):
        found = attn_sleep_npz.read_night(prepared(tmp_path / "SC4012E0.npz"))
        with np.load(tmp_path / "SC4012E0.npz") as stored:
            np.testing.assert_array_equal(found.read(30, 90), stored["x"][1:3].reshape(-1, 1))

    def test_shhs_has_no_name_of_a_channel(self, tmp_path):
        path = tmp_path / "shhs1-200010.npz"
        x = np.ones((2, 3750, 1), np.float32)
        np.savez(path, x=x, y=np.array([0, 4]), fs=125.0)
        found = attn_sleep_npz.read_night(path)
        assert (found.subject, found.layout.channels) == ("200010", ("EEG",))
        assert found.notes[-1] == "the name of the channel is not known"

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"y": np.array([0, 1, 2, 3, 5])}, "invalid y: int64"),
            ({"y": np.array([0, 1])}, r"invalid y: int64 of shape \(2,\), must be 5 whole numbers"),
            ({"fs": 125.0}, r"invalid x: float32 of shape \(5, 3000, 1\)"),
            ({"fs": np.array("fast")}, "invalid fs"),
            ({"x": np.array([None])}, "invalid x: object"),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, tmp_path, changed, message):
        with pytest.raises(ValueError, match=f"SC4012E0.npz: {message}"):
            attn_sleep_npz.read_night(prepared(tmp_path / "SC4012E0.npz", **changed))


def test_a_plain_folder_is_no_data_set(tmp_path):
    polysomnogram(tmp_path / "a.edf", EEG=100)
    assert data.recognise(tmp_path) is None
