"""BIDS folders, and reading of whatever there is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import mne
import numpy as np
import pytest

from ranvier.formats import READERS, read, repair_gain
from ranvier.formats.bids import read_bids, write_bids
from ranvier.formats.edf import write_edf
from ranvier.formats.hed_score import read_events
from ranvier.recording import Recording
from ranvier.truth import Event, Events, Hypnogram

CLIPS = Path(__file__).parents[2] / "shared" / "data" / "chbmit_clips"
START = datetime(2020, 2, 29, 23, 59, 58)
EEG = "sub-01/ses-01/eeg/sub-01_ses-01_task-szMonitoring_run-00"


def recording(subject: str = "01", seconds: float = 10, scale: float = 50, **known) -> Recording:
    signal = np.random.default_rng(0).normal(0, scale, (round(256 * seconds), 2))
    made = Recording.from_array(signal, 256, ("Fp1-F7", "F7-T7"), subject=subject)
    return replace(made, start=START, **known)


@pytest.fixture
def bids(tmp_path):
    seizure = Events((Event(2, 3, "sz_foc"),), 10)
    recordings = [
        recording(events=seizure),
        recording(events=Events((), 10)),
        recording("02", session="b"),
    ]
    return write_bids(tmp_path / "bids", recordings)


class TestBids:
    def test_is_laid_out_as_szcore_wants_it(self, bids):
        files = sorted(str(p.relative_to(bids)) for p in bids.rglob("*") if p.is_file())
        other = "sub-02/ses-b/eeg/sub-02_ses-b_task-szMonitoring_run-00"
        assert files == sorted(
            [f"{EEG}_{kind}" for kind in ("eeg.edf", "eeg.json", "events.tsv")]
            + [f"{EEG[:-1]}1_{kind}" for kind in ("eeg.edf", "eeg.json", "events.tsv")]
            + [f"{other}_eeg.edf", f"{other}_eeg.json"]
            + ["dataset_description.json", "participants.tsv"]
        )

    def test_comes_back_with_who_when_and_what(self, bids):
        first, second, third = read_bids(bids)
        assert (first.subject, first.session, first.start) == ("01", "01", START)
        assert (third.subject, third.session, third.events) == ("02", "b", None)
        assert first.name == "sub-01_ses-01_task-szMonitoring_run-00"
        assert [(e.onset, e.end, e.label) for e in first.events] == [(2, 5, "sz_foc")]
        assert (first.events.duration, first.events.start) == (10, START)
        assert [event.label for event in second.events] == ["bckg"]
        np.testing.assert_allclose(first.read(), recording().read(), atol=0.01)

    def test_says_in_the_sidecar_what_was_recorded(self, bids):
        sidecar = json.loads((bids / f"{EEG}_eeg.json").read_text())
        assert sidecar["SamplingFrequency"] == 256
        assert sidecar["RecordingDuration"] == 10.0
        assert sidecar["EEGReference"] == "bipolar derivations"
        assert sidecar["PowerLineFrequency"] == "n/a"
        assert sidecar["TaskName"] == "szMonitoring"

    @pytest.mark.parametrize("seconds", [10, 10 + 1 / 256, 61.5])
    def test_gives_events_the_duration_of_the_file(self, tmp_path, seconds):
        made = recording(seconds=seconds, events=Events((Event(2, 3),), seconds))
        folder = write_bids(tmp_path / "bids", [made])
        duration = read_bids(folder)[0].duration
        assert read_events(folder / f"{EEG}_events.tsv").duration == round(duration, 2)

    def test_lists_its_subjects_once(self, bids):
        assert (bids / "participants.tsv").read_text() == "participant_id\nsub-01\nsub-02\n"
        assert json.loads((bids / "dataset_description.json").read_text())["BIDSVersion"]

    def test_names_what_lies_beyond_the_signal_in_the_notes(self, bids):
        table = bids / f"{EEG}_events.tsv"
        table.write_text("onset\tduration\teventType\n8\t20\tsz\n")
        first = read_bids(bids)[0]
        assert first.events.items[0].end == 10
        assert first.notes == ("events are cut at the end of the signal: sz 8.00-28.00 s",)

    @pytest.mark.parametrize(
        "rows", ["0\t1\tstimulus/target\n4\t1\tstimulus/target", "0\t10\tn/a", "n/a\tn/a\trest"]
    )
    def test_knows_of_no_seizure_where_a_table_tells_of_other_things(self, bids, rows):
        (bids / f"{EEG}_events.tsv").write_text(f"onset\tduration\ttrial_type\n{rows}\n")
        first = read_bids(bids)[0]
        assert first.events is None
        assert len(first.notes) == 1

    @pytest.mark.parametrize("rows", ["", "0\t10\tbckg\n", "1\t2\trest\n0\t10\tBCKG\n"])
    def test_knows_that_there_was_none_where_a_table_is_empty_or_has_background(self, bids, rows):
        (bids / f"{EEG}_events.tsv").write_text(f"onset\tduration\ttrial_type\n{rows}")
        first = read_bids(bids)[0]
        assert (len(first.events.seizures()), first.notes) == (0, ())

    def test_is_read_but_not_learnt_from_where_a_seizure_has_no_duration(self, bids):
        (bids / f"{EEG}_events.tsv").write_text("onset\tduration\ttrial_type\n5\tn/a\tsz\n")
        first = read_bids(bids)[0]
        assert first.read().shape == (2560, 2)
        with pytest.raises(ValueError, match="Invalid events: sz at 5 s has no duration"):
            first.events.targets(np.arange(1.0, 10), 1.0)

    def test_cuts_events_that_begin_before_the_signal(self, bids):
        (bids / f"{EEG}_events.tsv").write_text("onset\tduration\ttrial_type\n-2\t5\tsz\n")
        first = read_bids(bids)[0]
        assert [(e.onset, e.end) for e in first.events] == [(0, 3)]
        assert first.notes == ("events are cut at the beginning of the signal: sz -2.00-3.00 s",)

    @pytest.mark.parametrize("there", [True, False])
    def test_is_as_it_was_when_one_of_several_cannot_be_written(self, tmp_path, there):
        if there:
            (tmp_path / "bids").mkdir()
            (tmp_path / "bids" / "README").touch()
        before = list(tmp_path.rglob("*"))
        spoilt = Recording.from_array(np.full((256, 1), np.nan), 256, ["Cz"], subject="02")
        with pytest.raises(ValueError, match="recording: Invalid signal: NaN"):
            write_bids(tmp_path / "bids", [recording(), spoilt])
        assert list(tmp_path.rglob("*")) == before
        assert len(read_bids(write_bids(tmp_path / "bids", [recording()]))) == 1

    def test_takes_names_with_accents(self, tmp_path):
        folder = write_bids(tmp_path / "bids", [recording("Zoë", name="Nächte " * 20)])
        assert read_bids(folder)[0].subject == "Zoe"

    def test_takes_subjects_from_the_folders_of_bids_and_from_no_others(self, tmp_path):
        names = (
            "sub-1/eeg/a.edf",
            "sub-1/ses-2/eeg/b.edf",
            "sub-study/A/A.edf",
            "sub-study/B/B.edf",
        )
        for name in names:
            write_edf(tmp_path / name, recording().read(), recording().layout)
        found = [(one.subject, one.session, len(one.notes)) for one in read(tmp_path)]
        assert found == [("1", "", 0), ("1", "2", 0), ("sub-study", "", 1), ("sub-study", "", 1)]
        assert [one.subject for one in read(tmp_path / "sub-study")] == ["A", "B"]

    def test_may_have_no_sessions_and_capital_suffixes(self, tmp_path):
        path = tmp_path / "sub-x1" / "eeg" / "sub-x1_task-rest_eeg.EDF"
        write_edf(path, recording().read(), recording().layout)
        (found,) = read_bids(tmp_path)
        assert (found.subject, found.session, found.name) == ("x1", "", "sub-x1_task-rest")

    @pytest.mark.parametrize("subjects", [[""], ["--"], ["PN-1", "PN1"]])
    def test_refuses_subjects_that_cannot_be_told_apart(self, tmp_path, subjects):
        with pytest.raises(ValueError, match="Invalid subject of recording"):
            write_bids(tmp_path / "bids", [recording(subject) for subject in subjects])
        assert not (tmp_path / "bids").exists()

    def test_keeps_stages_of_sleep_as_a_task_of_their_own(self, tmp_path):
        night = Hypnogram(("W", "", "N2", "REM"), 120)
        folder = write_bids(tmp_path / "bids", [recording(seconds=120, hypnogram=night)])
        (found,) = read_bids(folder)
        assert found.name == "sub-01_ses-01_task-sleep_run-00"
        assert (found.hypnogram, found.events, found.notes) == (night, None, ())
        sidecar = json.loads(next(folder.rglob("*_eeg.json")).read_text())
        assert sidecar["TaskName"] == "sleep"

    def test_keeps_seizures_and_stages_of_one_recording(self, tmp_path):
        known = {"hypnogram": Hypnogram(("N2", "N3"), 60), "events": Events((Event(5, 40),), 60)}
        folder = write_bids(tmp_path / "bids", [recording(seconds=60, **known)])
        (found,) = read_bids(folder)
        assert found.hypnogram == known["hypnogram"]
        assert [(e.onset, e.end, e.label) for e in found.events] == [(5, 45, "sz")]
        assert found.name.endswith("task-szMonitoring_run-00")

    def test_numbers_the_runs_of_each_task(self, tmp_path):
        asleep = recording(seconds=60, hypnogram=Hypnogram(("N2", "N3"), 60))
        folder = write_bids(tmp_path / "bids", [recording(), asleep, recording(), asleep])
        names = [one.name.partition("task-")[2] for one in read_bids(folder)]
        assert names == [
            f"{task}_run-0{run}" for task in ("sleep", "szMonitoring") for run in (0, 1)
        ]

    def test_leaves_out_epochs_after_the_signal_with_a_note(self, tmp_path):
        made = recording(seconds=60, hypnogram=Hypnogram(("N2", "N3"), 60))
        folder = write_bids(tmp_path / "bids", [made])
        (table,) = folder.rglob("*_events.tsv")
        table.write_text(table.read_text() + "60\t30\tsleep_stage_W\n")
        (found,) = read_bids(folder)
        assert (found.hypnogram, len(found.notes)) == (made.hypnogram, 1)
        assert found.notes[0] == "1 epochs that end after the signal are left out"

    def test_is_not_written_over_another(self, bids):
        with pytest.raises(ValueError, match="has subjects already"):
            write_bids(bids, [recording("03")])

    def test_is_refused_when_nothing_is_in_it(self, tmp_path):
        with pytest.raises(ValueError, match="No recordings found"):
            read_bids(tmp_path)


class TestRead:
    def test_takes_a_bids_folder_or_one_file_of_it(self, bids):
        (alone,) = read(bids / f"{EEG}_eeg.edf")
        together = read(str(bids))
        assert len(together) == 3
        assert (alone.subject, alone.session) == ("01", "01")
        assert alone.events == together[0].events

    def test_takes_a_plain_folder_and_calls_subjects_by_their_folder_or_file(self, tmp_path):
        for name in ("b.EDF", "deep/a.edf"):
            write_edf(tmp_path / name, recording().read(), recording().layout)
        found = read(tmp_path)
        assert [one.subject for one in found] == ["b", "deep"]
        note = "the subject is not known, the name of its folder or its own stands for it"
        assert {one.notes for one in found} == {(note,)}

    def test_tells_files_that_are_called_alike_apart_by_their_place(self, tmp_path):
        for name in ("P1/eeg.edf", "P2/eeg.edf", "other.edf"):
            write_edf(tmp_path / name, recording().read(), recording().layout)
        found = [(one.name, one.subject) for one in read(tmp_path)]
        assert found == [("P1/eeg", "P1"), ("P2/eeg", "P2"), ("other", "other")]

    def test_keeps_what_lies_in_the_folder_of_a_subject_together(self, tmp_path):
        for name in ("P1/day 1/a.edf", "P1/day 2/b.edf", "P2/c.edf"):
            write_edf(tmp_path / "all" / name, recording().read(), recording().layout)
        assert [one.subject for one in read(tmp_path)] == ["P1", "P1", "P2"]

    def test_takes_recordings_raws_and_lists_of_all(self, bids):
        info = mne.create_info(["Cz"], 100, "eeg")
        raw = mne.io.RawArray(np.full((1, 100), 1e-6), info, verbose="error")
        found = read([recording(), [raw], bids], subject="s")
        assert [one.subject for one in found] == ["01", "s", "01", "01", "02"]
        np.testing.assert_allclose(found[1].read(), 1)

    def test_names_the_subject_it_is_told(self, tmp_path):
        path = write_edf(tmp_path / "a.edf", recording().read(), recording().layout)
        (found,) = read(path, subject="chb01")
        assert (found.subject, found.notes) == ("chb01", ())

    def test_refuses_what_it_does_not_know(self, tmp_path):
        (tmp_path / "a.txt").touch()
        with pytest.raises(ValueError, match=r"No recordings found in .* expected EDF or BDF"):
            read(tmp_path)
        with pytest.raises(ValueError, match=f"possible suffixes: {', '.join(READERS)}"):
            read(tmp_path / "a.txt")
        with pytest.raises(ValueError, match="no such file or folder"):
            read(tmp_path / "none")
        with pytest.raises(ValueError, match="Invalid source: int"):
            read(5)


class TestGain:
    def test_is_repaired_when_volts_were_called_microvolts(self):
        made = recording(scale=50e-6)
        (found,) = read(made)
        np.testing.assert_allclose(found.read(), made.read() * 1e6, rtol=1e-6)
        (note,) = found.notes
        assert note.endswith("e-05 µV only, taken as volts and multiplied by 1000000")

    @pytest.mark.parametrize("scale", [50, 0.5, 0.02, 1e-8, 0])
    def test_is_left_alone_when_it_is_plausible_or_beyond_repair(self, scale):
        made = recording(scale=scale)
        assert repair_gain(made) is made

    def test_is_judged_without_what_was_not_recorded(self):
        signal = recording(scale=50e-6).read()
        signal[:2000] = np.nan
        made = Recording.from_array(signal, 256, ("a", "b"))
        assert len(repair_gain(made).notes) == 1
        nothing = Recording.from_array(signal[:2000], 256, ("a", "b"))
        assert repair_gain(nothing) is nothing

    def test_of_counts_is_left_alone(self):
        counts = np.zeros((200, 2))
        counts[::50] = 1e-3
        made = Recording.from_array(counts, 20, ("a", "b"), unit="count")
        assert repair_gain(made) is made

    @pytest.mark.parametrize("samples", [0, 1, 2, 100])
    def test_of_a_short_recording_does_not_fail(self, samples):
        made = Recording.from_array(np.ones((samples, 1)), 256, ("a",))
        assert repair_gain(made) is made


@pytest.mark.real
@pytest.mark.skipif(not CLIPS.exists(), reason="the real recordings are absent")
def test_real_clips_are_read_with_their_seizures():
    found = read(CLIPS)
    assert len(found) == 29
    assert {one.subject for one in found} == {"01", "02", "03"}
    assert found[0].events.intervals().tolist() == [[10.0, 50.0]]
    assert not any(one.notes for one in found)
