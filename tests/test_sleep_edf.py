"""Stages as annotations of EDF+, alone and beside the recording that they belong to."""

from datetime import datetime, timedelta

import edfio
import mne
import numpy as np
import pytest

from ranvier.formats import find_files, read, read_sleep_edf, write_edf, write_sleep_edf
from ranvier.recording import ASSUMED_SUBJECT, Layout
from ranvier.truth import Hypnogram

START = datetime(1989, 4, 24, 16, 13)
NIGHT = Hypnogram(("W", "W", "N1", "", "REM"), 150)


def annotated(path, *annotations: tuple[float, float | None, str]):
    edfio.Edf([], annotations=[edfio.EdfAnnotation(*one) for one in annotations]).write(path)
    return path


def recorded(path, *, seconds: int = 150, start: datetime | None = START):
    signal = np.random.default_rng(0).normal(0, 20, (seconds * 100, 1))
    return write_edf(path, signal, Layout(("EEG Fpz-Cz",), 100), start=start)


def test_stages_three_and_four_are_deep_sleep_and_movement_is_unscored(tmp_path):
    labels = ["W", "1", "2", "3", "4", "R", "?", "M", "N1", "N2", "N3"]
    rows = [(30.0 * n, 30.0, f"Sleep stage {label}") for n, label in enumerate(labels)]
    path = annotated(tmp_path / "a.edf", *rows, (330.0, 30.0, "Movement time"))
    expected = ("W", "N1", "N2", "N3", "N3", "REM", "", "", "N1", "N2", "N3", "")
    assert read_sleep_edf(path) == Hypnogram(expected, 360)


def test_a_run_is_as_many_epochs_as_it_lasts_and_gaps_are_unscored(tmp_path):
    rows = [(60, 90, "Sleep stage W"), (180, 30, "Sleep stage 2"), (70, 1, "Arousal")]
    found = read_sleep_edf(annotated(tmp_path / "a.edf", *rows))
    assert found == Hypnogram(("W", "W", "W", "", "N2"), 210, 30, 60)


def test_a_stage_without_a_duration_lasts_until_the_next(tmp_path):
    rows = [(0, None, "Sleep stage W"), (60, None, "Sleep stage R"), (90, None, "Sleep stage W")]
    assert read_sleep_edf(annotated(tmp_path / "a.edf", *rows)).stages == ("W", "W", "REM", "W")


def test_the_caller_may_say_how_long_an_epoch_is(tmp_path):
    path = annotated(tmp_path / "a.edf", (0, 60, "Sleep stage W"))
    assert read_sleep_edf(path, epoch=20) == Hypnogram(("W",) * 3, 60, 20)


def test_files_are_written_as_sleep_edf_writes_them(tmp_path):
    path = write_sleep_edf(tmp_path / "a.edf", NIGHT, start=START, subject="SC 400")
    found = edfio.read_edf(path)
    texts = [(one.onset, one.duration, one.text) for one in found.annotations]
    assert texts[0] == (0, 60, "Sleep stage W")
    assert [text for *_, text in texts] == [f"Sleep stage {one}" for one in ("W", "N1", "?", "R")]
    assert (found.startdate, found.starttime) == (START.date(), START.time())
    assert found.patient.code == "SC_400"


def test_mne_reads_what_is_written(tmp_path):
    found = mne.read_annotations(write_sleep_edf(tmp_path / "a.edf", NIGHT))
    assert found.onset.tolist() == [0, 60, 90, 120]
    assert found.duration.tolist() == [60, 30, 30, 30]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 30, "Lights off")], "has no stages of sleep"),
        ([(0, 30, "Sleep stage 7")], "invalid stage: 'Sleep stage 7', possible options"),
        ([(-30, 30, "Sleep stage W")], "at -30 s begins before the recording"),
        ([(0, 60, "Sleep stage W"), (30, 30, "Sleep stage 1")], "overlaps the one before it"),
        ([(0, 30, "Sleep stage W"), (45, 30, "Sleep stage 1")], "does not fit epochs of 30 s"),
        ([(0, 0, "Sleep stage W")], "must last above 0 s"),
        ([(0, 30, "Sleep stage W"), (9e7, 30, "Sleep stage W")], "3000001 epochs, must be at most"),
    ],
)
def test_annotations_that_make_no_sense_are_refused_by_name(tmp_path, rows, message):
    path = annotated(tmp_path / "a.edf", *rows)
    with pytest.raises(ValueError, match=message) as refused:
        read_sleep_edf(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    whole = write_sleep_edf(tmp_path / "a.edf", NIGHT).read_bytes()
    for size in (0, 100, 300, 512, len(whole) - 2):
        (tmp_path / "cut.edf").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut\.edf"):
            read_sleep_edf(tmp_path / "cut.edf")


def test_a_recording_gets_the_hypnogram_beside_it(tmp_path):
    recorded(tmp_path / "SC4001E0-PSG.edf")
    write_sleep_edf(tmp_path / "SC4001EC-Hypnogram.edf", NIGHT, start=START)
    (found,) = read(tmp_path)
    assert found.hypnogram == NIGHT
    assert (found.subject, found.session, found.notes) == ("SC400", "1", ())


def test_nights_of_one_subject_share_its_name(tmp_path):
    for night in ("SC4001E0", "SC4002E0", "SC4011E0", "ST7011J0"):
        recorded(tmp_path / f"{night}-PSG.edf", seconds=30)
    named = [(one.subject, one.session) for one in read(tmp_path)]
    assert named == [("SC400", "1"), ("SC400", "2"), ("SC401", "1"), ("ST701", "1")]


def test_hypnograms_are_no_recordings(tmp_path):
    psg = recorded(tmp_path / "night" / "SC4001E0-PSG.edf", seconds=30)
    write_sleep_edf(tmp_path / "night" / "SC4001EC-Hypnogram.edf", NIGHT)
    assert find_files(tmp_path) == [psg]
    psg.unlink()
    with pytest.raises(ValueError, match="No recordings found"):
        find_files(tmp_path)


def test_another_night_is_no_partner(tmp_path):
    psg = recorded(tmp_path / "SC4001E0-PSG.edf", seconds=30)
    write_sleep_edf(tmp_path / "SC4002EC-Hypnogram.edf", NIGHT)
    assert read(psg)[0].hypnogram is None


@pytest.mark.parametrize("name", ["lab7.edf", "lab7-PSG.edf"])
def test_files_of_other_names_are_partners_when_called_alike(tmp_path, name):
    psg = recorded(tmp_path / name)
    write_sleep_edf(tmp_path / "lab7-Hypnogram.edf", NIGHT)
    (found,) = read(psg)
    assert (found.hypnogram, found.subject) == (NIGHT, psg.stem)
    assert found.notes == (ASSUMED_SUBJECT,)


def test_epochs_after_the_signal_are_left_out_and_told(tmp_path):
    psg = recorded(tmp_path / "SC4001E0-PSG.edf", seconds=100)
    write_sleep_edf(tmp_path / "SC4001EC-Hypnogram.edf", NIGHT)
    (found,) = read(psg)
    assert found.hypnogram == Hypnogram(NIGHT.stages[:3], 100)
    assert found.notes == ("2 epochs that end after the signal are left out",)


@pytest.mark.parametrize(
    ("late", "first", "stages"),
    [(30, 30, NIGHT.stages[:4]), (-60, 0, NIGHT.stages[2:]), (-45, 15, NIGHT.stages[2:])],
)
def test_a_hypnogram_that_begins_at_another_time_is_moved_and_told(tmp_path, late, first, stages):
    psg = recorded(tmp_path / "SC4001E0-PSG.edf")
    start = START + timedelta(days=400, seconds=late)
    write_sleep_edf(tmp_path / "SC4001EC-Hypnogram.edf", NIGHT, start=start)
    (found,) = read(psg)
    assert found.hypnogram == Hypnogram(stages, 150, 30, first)
    side = "after" if late > 0 else "before"
    assert f"begins {abs(late)} s {side} the signal" in found.notes[0]


@pytest.mark.parametrize("micro", [1, 400_000, 999_999])
def test_a_hypnogram_written_for_a_start_within_a_second_is_not_moved(tmp_path, micro):
    start = START.replace(microsecond=micro)
    psg = recorded(tmp_path / "SC4001E0-PSG.edf", start=start)
    write_sleep_edf(tmp_path / "SC4001EC-Hypnogram.edf", NIGHT, start=read(psg)[0].start)
    (found,) = read(psg)
    assert (found.hypnogram, found.notes) == (NIGHT, ())


def test_stages_count_from_the_first_record(tmp_path):
    start = START.replace(microsecond=600_000)
    psg = recorded(tmp_path / "SC4001E0-PSG.edf", start=start)
    rows = [edfio.EdfAnnotation(30 * n, 30, f"Sleep stage {n}") for n in range(1, 5)]
    path = tmp_path / "SC4001EC-Hypnogram.edf"
    edfio.Edf([], annotations=rows, starttime=start.time()).write(path)
    stages = ("N1", "N2", "N3", "N3")
    assert read_sleep_edf(path) == Hypnogram(stages, 150, 30, 30)
    assert read(psg)[0].hypnogram == Hypnogram(stages, 150, 30, 30)


def test_of_several_scorers_the_first_is_taken_and_told(tmp_path):
    psg = recorded(tmp_path / "SC4001E0-PSG.edf")
    for scorer in "HC":
        write_sleep_edf(tmp_path / f"SC4001E{scorer}-Hypnogram.edf", NIGHT)
    (note,) = read(psg)[0].notes
    assert note == "stages are from SC4001EC-Hypnogram.edf, left out: SC4001EH-Hypnogram.edf"


def test_a_broken_hypnogram_beside_a_recording_is_named(tmp_path):
    psg = recorded(tmp_path / "SC4001E0-PSG.edf", seconds=30)
    (tmp_path / "SC4001EC-Hypnogram.edf").write_bytes(b"")
    with pytest.raises(ValueError, match=r"SC4001EC-Hypnogram\.edf is not an EDF file"):
        read(psg)
