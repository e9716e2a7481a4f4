"""CHB-MIT in its published layout."""

from datetime import datetime

import numpy as np
import pytest
from small_data_sets import edf, marks, text

from ranvier import datasets
from ranvier.channels import pick
from ranvier.datasets.chb_mit import CHB_MIT
from ranvier.splits import folds_by_subject, person

LISTED = (
    "File Name: {0}_01.edf",
    "File Start Time: 23:50:00",
    "Number of Seizures in File: 1",
    "Seizure 1 Start Time: 10 seconds",
    "Seizure 1 End Time: 25 seconds",
    "File Name: {0}_02.edf",
    "File Start Time: 24:50:00",
    "Number of Seizures in File: 0",
)


def case(folder, name="chb01"):
    edf(folder / name / f"{name}_01.edf")
    edf(folder / name / f"{name}_02.edf", start=datetime(2010, 1, 3, 0, 50))
    text(folder / name / f"{name}-summary.txt", *(line.format(name) for line in LISTED))
    return folder


def test_every_file_has_a_start_and_events(tmp_path):
    first, second = datasets.read(case(tmp_path))
    assert (first.name, first.subject) == ("chb01_01", "chb01")
    assert first.events.intervals().tolist() == [[10, 25]]
    assert first.start == datetime(2010, 1, 2, 23, 50)
    assert len(second.events) == 0
    assert second.events.duration == second.duration == 60
    assert not first.notes
    assert not second.notes


def test_one_case_is_a_data_set_too(tmp_path):
    folder = case(tmp_path) / "chb01"
    assert datasets.recognise(folder) is CHB_MIT
    assert [one.subject for one in datasets.read(folder)] == ["chb01", "chb01"]


def test_case_21_stays_with_case_1(tmp_path):
    for name in ("chb01", "chb02", "chb03", "chb21"):
        case(tmp_path, name)
    subjects = {one.subject for one in datasets.read(tmp_path)}
    assert person("chb21") == "chb01"
    for fold in folds_by_subject(subjects):
        assert fold.part("chb21") == fold.part("chb01")


def test_what_is_no_lead_is_left_out_and_the_first_of_two_taken(tmp_path):
    (recording, _) = datasets.read(case(tmp_path))
    coverage = pick(recording.layout.channels, "double_banana")
    assert coverage.ignored == ("-", "ECG")
    assert coverage.duplicates == ("T8-P8",)
    (t4_t6,) = (one for one in coverage.derivations if one.name == "T4-T6")
    assert t4_t6.terms == ((recording.layout.channels.index("T8-P8"), 1),)


def test_referential_files_of_case_12_give_the_same_derivations(tmp_path):
    leads = ("F7-CS2", "T7-CS2", "P7-CS2", "O1-CS2", "FP1-CS2")
    edf(case(tmp_path, "chb12") / "chb12" / "chb12_27.edf", channels=leads)
    *_, recording = datasets.read(tmp_path)
    missing = pick(recording.layout.channels, "double_banana").missing
    assert not {"Fp1-F7", "F7-T3", "T3-T5", "T5-O1"} & set(missing)
    assert "does not name it" in recording.notes[0]
    assert len(recording.events) == 0


def test_names_with_letters_and_a_plus_are_files(tmp_path):
    for name in ("chb17a_03.edf", "chb02_16+.edf"):
        edf(case(tmp_path) / "chb01" / name)
    assert {one.name for one in datasets.read(tmp_path)} >= {"chb17a_03", "chb02_16+"}


def test_marks_are_read_where_there_is_no_summary(tmp_path):
    folder = case(tmp_path, "chb02") / "chb03"
    edf(folder / "chb03_01.edf")
    edf(folder / "chb03_02.edf")
    (folder / "chb03_01.edf.seizures").write_bytes(marks((30, 40)))
    *_, marked, unknown = datasets.read(tmp_path)
    assert marked.events.intervals().tolist() == [[30, 40]]
    assert unknown.events is None
    assert "neither a summary nor marks" in unknown.notes[0]


def test_sources_that_disagree_are_named(tmp_path):
    path = case(tmp_path) / "chb01" / "chb01_01.edf"
    path.with_name("chb01_01.edf.seizures").write_bytes(marks((30, 40)))
    edf(path, start=datetime(2010, 1, 2, 20, 50))
    first, _ = datasets.read(tmp_path)
    assert first.events.intervals().tolist() == [[10, 25]]
    assert "has other seizures: 30-40 s" in first.notes[0]
    assert "-10800 s from the summary's" in first.notes[1]


def test_signals_are_read_when_they_are_asked_for(tmp_path):
    (recording, _) = CHB_MIT.read(case(tmp_path))
    edf(tmp_path / "chb01" / "chb01_01.edf").unlink()
    with pytest.raises(OSError, match="chb01_01"):
        recording.read()


def test_a_broken_file_is_refused_by_name(tmp_path):
    (case(tmp_path) / "chb01" / "chb01_02.edf").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"chb01_02\.edf is not an EDF file"):
        datasets.read(tmp_path)


def test_the_archive_knows_whose_a_file_is():
    assert CHB_MIT.archive.subject_of("chb21/chb21_01.edf.seizures") == "chb21"
    assert (
        CHB_MIT.archive.subject_of("SUBJECT-INFO")
        == CHB_MIT.archive.subject_of("shoeb-icml-2010.pdf")
        == ""
    )


@pytest.mark.real
def test_real_headers_and_summaries_agree_on_the_time_of_day(real):
    recordings = datasets.read(real / "annotation_samples" / "data" / "chbmit")
    assert len(recordings) == 59
    assert {one.subject for one in recordings} == {"chb05", "chb08"}
    assert not any("time of day" in note for one in recordings for note in one.notes)
    assert sum("left out: sz" in note for one in recordings for note in one.notes) == 10
    assert np.isfinite(recordings[0].read()).all()
