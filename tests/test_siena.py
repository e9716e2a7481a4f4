"""Siena Scalp EEG Database in its published layout."""

from datetime import datetime

import pytest
from small_data_sets import edf, text

from ranvier import datasets
from ranvier.channels import pick
from ranvier.datasets.siena import SIENA
from ranvier.seizure_types import code_of

LEADS = ("EEG Fp1", "EEG F3", "EEG C3", "EKG EKG", "1", "MK")


def patient(folder, *lines, name="PN05", files=("PN05-1.edf",), start=datetime(2016, 1, 1, 23, 59)):
    for file in files:
        edf(folder / name / file, channels=LEADS, seconds=120, start=start)
    text(folder / name / f"Seizures-list-{name}.txt", "Data Sampling Rate: 512 Hz", *lines)
    return folder


def seizure(file="PN05-1.edf", begin="23.59.00", start="00.00.10", end="00.00.30"):
    return (
        f"File name: {file}",
        f"Registration start time: {begin}",
        "Registration end time: 00.01.00",
        f"Seizure start time: {start}",
        f"Seizure end time: {end}",
    )


def test_seizures_after_midnight_have_their_place_and_type(tmp_path):
    table = "patient_id, age_years, gender, seizure, localization"
    text(patient(tmp_path, *seizure()) / "subject_info.csv", table, "PN05,51,Female,IAS,T")
    (recording,) = datasets.read(tmp_path)
    (event,) = recording.events
    assert (event.onset, event.duration, event.label) == (70, 20, "sz_foc_ia")
    assert code_of(event.label) == "CPSZ"
    assert (recording.subject, recording.notes) == ("PN05", ())


def test_without_the_table_seizures_have_no_type(tmp_path):
    (recording,) = datasets.read(patient(tmp_path, *seizure()))
    assert [event.label for event in recording.events] == ["sz"]


def test_the_header_says_when_a_recording_begins(tmp_path):
    """PN14's list has a registration that is three hours early."""
    (recording,) = datasets.read(patient(tmp_path, *seizure(begin="20.59.00")))
    assert recording.events.intervals().tolist() == [[70, 90]]
    assert "+10800 s from the list's registration" in recording.notes[0]


def test_the_list_says_it_where_the_header_does_not(tmp_path):
    (recording,) = datasets.read(patient(tmp_path, *seizure(), start=None))
    assert recording.events.intervals().tolist() == [[70, 90]]


def test_a_file_that_the_list_does_not_name_has_no_seizure(tmp_path):
    files = ("PN05-1.edf", "PN05-2.edf")
    named, other = datasets.read(patient(tmp_path, *seizure("PNO5-1.edf"), files=files))
    assert len(named.events) == 1
    assert len(other.events) == 0
    assert "does not name it" in other.notes[0]


def test_of_a_file_nothing_is_known_where_the_list_names_a_stranger(tmp_path):
    files = ("PN05-1.edf", "PN05-2.edf")
    _, other = datasets.read(patient(tmp_path, *seizure(), *seizure("PNx5-2.edf"), files=files))
    assert other.events is None
    assert "but PNx5-2.edf" in other.notes[0]


def test_without_a_list_nothing_is_known(tmp_path):
    edf(patient(tmp_path, *seizure()) / "PN06" / "PN06-1.edf")
    *_, other = datasets.read(tmp_path)
    assert (other.subject, other.events) == ("PN06", None)


def test_leads_of_the_scalp_are_found(tmp_path):
    (recording,) = datasets.read(patient(tmp_path, *seizure()))
    coverage = pick(recording.layout.channels, "double_banana")
    assert coverage.ignored == ("EKG EKG", "1", "MK")
    assert [one.name for one in coverage.derivations if one.terms] == ["Fp1-F3", "F3-C3"]


def test_the_archive_knows_whose_a_file_is():
    assert SIENA.archive.subject_of("PN00/Seizures-list-PN00.txt") == "PN00"
    assert SIENA.archive.subject_of("subject_info.csv") == ""


@pytest.mark.real
def test_real_headers_and_lists_agree(real):
    recordings = datasets.read(real / "annotation_samples" / "data" / "siena")
    notes = {one.name: " ".join(one.notes) for one in recordings}
    assert list(notes) == [*(f"PN00-{n}" for n in range(1, 6)), "PN16-1", "PN16-2"]
    assert "sz_foc_ia 1143.00-1213.00 s" in notes["PN00-1"]
    assert "hours too late in the list, taken as 825 s" in notes["PN00-3"]
    assert "sz_foc_ia 8574.00-8681.00 s" in notes["PN16-2"]
    assert not any("registration" in said for said in notes.values())
