"""Summaries and marks of CHB-MIT, in all the forms that they have."""

from pathlib import Path

import pytest
from small_data_sets import marks, remark, text, words

from ranvier.formats.chb_mit_labels import read_seizure_marks, read_summary


def test_seizures_with_and_without_numbers_are_read(tmp_path):
    path = text(
        tmp_path / "chb04-summary.txt",
        "Data Sampling Rate: 256 Hz",
        "Channel 1: FP1-F7",
        "",
        "File Name: chb04_05.edf",
        "File Start Time: 09:00:00",
        "Number of Seizures in File: 1",
        "Seizure Start Time: 7804 seconds",
        "Seizure End Time: 7853 seconds",
        "Channels changed:",
        "Channel 1: FP1-CS2",
        "File Name: chb04_28.edf",
        "Number of Seizures in File: 2",
        "Seizure 1 Start Time:  1679 seconds",
        "Seizure 1 End Time: 1781 seconds",
        "Seizure 2 Start Time: 3782 seconds",
        "Seizure 2 End Time: 3898 seconds",
    )
    found = read_summary(path)
    assert list(found) == ["chb04_05.edf", "chb04_28.edf"]
    assert found["chb04_05.edf"].seizures == ((7804, 7853),)
    assert found["chb04_28.edf"].seizures == ((1679, 1781), (3782, 3898))
    assert found["chb04_28.edf"].announced == 2


@pytest.mark.parametrize(
    ("clock", "second"), [("24:37:23", 2243), ("1:02:03", 3723), ("", None), ("n/a", None)]
)
def test_hours_go_on_beyond_24_and_may_be_absent(tmp_path, clock, second):
    path = text(tmp_path / "s.txt", "File Name: chb24_01.edf", f"File Start Time: {clock}")
    assert read_summary(path)["chb24_01.edf"].clock == second


def test_a_seizure_without_its_end_is_refused_by_name(tmp_path):
    path = text(tmp_path / "s.txt", "File Name: a.edf", "Seizure Start Time: 5 seconds")
    with pytest.raises(ValueError, match=r"a\.edf: seizures begin at \[5\.0\] s and end at \[\]"):
        read_summary(path)


def test_another_text_is_no_summary(tmp_path):
    with pytest.raises(ValueError, match="is not a summary of CHB-MIT"):
        read_summary(text(tmp_path / "s.txt", "hello"))


def test_marks_are_read_at_their_own_rate(tmp_path):
    (tmp_path / "a.seizures").write_bytes(marks((100, 130), (400, 401), rate=512))
    assert read_seizure_marks(tmp_path / "a.seizures") == ((100, 130), (400, 401))


def test_short_steps_and_properties_are_understood(tmp_path):
    content = words(32 << 10 | 512, 60 << 10 | 7, 61 << 10 | 1, 62 << 10 | 3, 33 << 10 | 256, 0)
    (tmp_path / "a.seizures").write_bytes(remark(b"odd") + content)
    assert read_seizure_marks(tmp_path / "a.seizures") == ((2.0, 3.0),)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (marks((3, 5))[:-2], "cut off"),
        (b"", "cut off"),
        (words(32 << 10, 32 << 10, 0), r"marks \[32, 32\]"),
        (words(32 << 10, 0), r"marks \[32\]"),
    ],
)
def test_broken_marks_are_refused(tmp_path, content, said):
    (tmp_path / "a.seizures").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_seizure_marks(tmp_path / "a.seizures")


@pytest.mark.real
def test_real_marks_and_the_real_summary_agree(real):
    folder = real / "annotation_samples"
    listed = read_summary(folder / "chb01-summary.txt")
    with_seizures = {name for name, one in listed.items() if one.seizures}
    files = {path.stem: path for path in folder.glob("chb01_*.seizures")}
    assert set(files) == with_seizures
    assert len(files) == 7
    for name, path in files.items():
        assert read_seizure_marks(path) == listed[name].seizures


@pytest.mark.real
@pytest.mark.parametrize(("case", "seizures"), [("chb05", 5), ("chb08", 5)])
def test_real_summaries_announce_what_they_list(real, case, seizures):
    path = Path(real / "annotation_samples" / "data" / "chbmit" / case / f"{case}-summary.txt")
    listed = read_summary(path).values()
    assert sum(len(one.seizures) for one in listed) == seizures
    assert all(one.announced == len(one.seizures) for one in listed)
