"""SeizeIT1 in its published layout."""

import pytest
from small_data_sets import edf, text

from ranvier import datasets
from ranvier.datasets.seizeit1 import SEIZEIT1, read_table

HEAD = ("# Source: SeizeIt1", '# Hemisphere: "bi"=Bihemispherical, "NC"=Not clear ', " ", "", "")


def patient(folder, **tables):
    for name, lines in tables.items():
        edf(folder / "P_ID10" / f"P_ID10_{name}.edf", seconds=90)
        if lines is not None:
            text(folder / "P_ID10" / f"P_ID10_{name}_a1.tsv", *HEAD, *lines)
    return folder


def test_seizures_have_their_times_and_types(tmp_path):
    lines = ["5\t9\tFIA\tHem:R, Orig:Temp, bhe: 0", "20\t30\tF-BTC\tHem:L", "40\t41\tFA", "50\t52"]
    (recording,) = datasets.read(patient(tmp_path, r1=lines))
    assert [event.label for event in recording.events] == [
        "sz_foc_ia", "sz_foc_f2b", "sz_foc_a", "sz"
    ]  # fmt: skip
    assert recording.events.intervals().tolist() == [[5, 9], [20, 30], [40, 41], [50, 52]]
    assert recording.subject == "P_ID10"


def test_a_seizure_without_an_end_is_taken_as_30_s_long(tmp_path):
    (recording,) = datasets.read(patient(tmp_path, r1=["8\tNone\tFIA\tHem:L"]))
    assert recording.events.intervals().tolist() == [[8, 38]]
    assert "without an end, taken as 30 s long: 1" in recording.notes[0]


def test_a_table_of_comments_is_no_seizure_and_no_table_says_nothing(tmp_path):
    none, unknown = datasets.read(patient(tmp_path, r2=None, r1=[]))
    assert len(none.events) == 0
    assert unknown.events is None


def test_files_are_in_the_order_of_their_numbers(tmp_path):
    patient(tmp_path / "Data", r10=[], r2=[])
    assert [one.name for one in datasets.read(tmp_path)] == ["P_ID10_r2", "P_ID10_r10"]


def test_the_second_table_is_read_where_it_is_alone(tmp_path):
    text(patient(tmp_path, r1=None) / "P_ID10" / "P_ID10_r1_a2.tsv", "3\t4\tFIA")
    (recording,) = datasets.read(tmp_path / "P_ID10")
    assert len(recording.events) == 1
    assert "*_a2.tsv" in recording.notes[0]


@pytest.mark.parametrize("line", ["a\t5\tFIA", "5\tsoon\tFIA", "9\t5\tFIA", "-1\t5\tFIA", "nan\t5"])
def test_a_line_that_makes_no_sense_is_named(tmp_path, line):
    with pytest.raises(ValueError, match=r"a\.tsv, line 1: "):
        read_table(text(tmp_path / "a.tsv", line))


def test_it_is_recognised_by_the_names_of_its_files(tmp_path):
    assert datasets.recognise(patient(tmp_path, r1=[])) is SEIZEIT1
    edf(tmp_path / "other" / "P_ID10" / "a.edf")
    assert datasets.recognise(tmp_path / "other") is None
