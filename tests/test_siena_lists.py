"""Lists of seizures that people typed."""

import pytest
from small_data_sets import text

from ranvier.formats.siena_lists import match_file, read_siena_list

CLOCK = {"15.43.53": 56_633, "15.43.59": 56_639}


def test_a_seizure_is_counted_from_the_registration(tmp_path):
    path = text(
        tmp_path / "list.txt",
        "Seizure n 1 (in sleep):",
        "File name: PN16-1.edf ",
        "Registration start time: 23.45.21",
        "Registration end time: 02.03.11",
        "Seizure start time: 00.15.21 ",
        "Seizure end time:00.17.21",
    )
    (found,) = read_siena_list(path)
    assert (found.file, found.seconds(found.registered)) == ("PN16-1.edf", (1800, 1920, False))


def test_an_end_that_is_an_hour_late_is_corrected(tmp_path):
    path = text(
        tmp_path / "list.txt",
        "File name: PN00-3.edf",
        "Registration start time: 18.15.44",
        "Registration end time: 18.57.13",
        "Seizure start time: 18.28.29",
        "Seizure end time: 19.29.29",
    )
    (found,) = read_siena_list(path)
    assert found.seconds(found.registered) == (765, 825, True)


def test_several_seizures_may_share_one_registration(tmp_path):
    path = text(
        tmp_path / "list.txt",
        "File name: PN01.edf",
        "Registration start time: 19.00.44",
        "Seizure n 1",
        "Start time: 21:51:02",
        "End time: 21:51:56",
        "Seizure n 2",
        "File name: PN01.edf",
        "Start time: 07:53:17",
        "End time: 07:54:31",
    )
    found = read_siena_list(path)
    assert [one.seconds(one.registered)[:2] for one in found] == [
        (10_218, 10_272),
        (46_353, 46_427),
    ]


def test_a_space_too_many_and_two_onsets_are_understood(tmp_path):
    path = text(
        tmp_path / "list.txt",
        "File name: PN10-3.edf",
        "Registration start time:1 3.33.18",
        "Seizure start time: 15.43.53 (CLINICAL ONSET); 15.43.59 (ELECTRIC ONSET)",
        "Seizure end time: 15.45.02",
    )
    (found,) = read_siena_list(path)
    assert found.registered == 13 * 3600 + 33 * 60 + 18
    assert found.onset == CLOCK["15.43.59"]


@pytest.mark.parametrize(
    ("listed", "file"),
    [
        ("PN06-1.edf", "PN06-1.edf"),
        ("PNO6-1.edf", "PN06-1.edf"),
        ("PN06-7", None),
        ("PN06-.edf", None),
    ],
)
def test_names_with_typing_errors_are_understood(listed, file):
    assert match_file(listed, ["PN06-1.edf", "PN06-2.edf"]) == file


@pytest.mark.parametrize("listed", ["PN11-.edf", "PN11.edf", "PN11"])
def test_a_name_without_a_number_is_that_of_the_only_file(listed):
    assert match_file(listed, ["PN11-1.edf"]) == "PN11-1.edf"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["hello"], "is not a list of seizures"),
        (["File name: a", "Seizure start time: soon"], "line 2: 'soon' is no time"),
        (
            ["Seizure start time: 1.02.03", "Seizure end time: 1.02.04"],
            "without a file or an onset",
        ),
        (["File name: a", "Seizure end time: 1.02.04"], "without a file or an onset"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, lines, said):
    with pytest.raises(ValueError, match=said):
        read_siena_list(text(tmp_path / "list.txt", *lines))
