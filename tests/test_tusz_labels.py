"""Labels of TUSZ in all the forms that they had."""

import math

import pytest
from small_data_sets import text

from ranvier.formats.tusz_labels import HED, labels_beside
from ranvier.seizure_types import CODES, TypedSeizures, code_of
from ranvier.truth import Event

HEAD = (
    "# version = csv_v1.0.0",
    "# bname = aaaaaaac_s001_t000",
    "# duration = 301.00 secs",
    "#",
    "channel,start_time,stop_time,label,confidence",
)


def table(path, *rows):
    return text(path, *HEAD, *rows)


def triples(events):
    return [(event.onset, event.end, event.label) for event in events]


def test_every_code_becomes_a_seizure_that_keeps_its_type():
    for code in CODES:
        event = Event(0, 1, HED[code])
        assert event.is_seizure
        assert code_of(event.label) == code
    assert HED["NESZ"] == HED["SEIZ"] == "sz"


def test_times_are_of_two_classes_and_types_of_channels(tmp_path):
    table(tmp_path / "a.csv_bi", "TERM,0,36.5,bckg,1.0", "TERM,36.5,183.3055,seiz,1.0000")
    table(
        tmp_path / "a.csv",
        "FP1-F7,0,36.8868,bckg,1.0",
        "FP1-F7,36.8868,183.3055,cpsz,1.0",
        "F7-T3,40,170,cpsz,0.9",
    )
    events, notes = labels_beside(tmp_path / "a.edf")
    (event,) = events
    assert (event.onset, event.end, event.label) == (36.5, pytest.approx(183.3055), "sz_foc_ia")
    assert (event.channels, event.confidence) == ("FP1-F7,F7-T3", 0.9)
    assert (events.duration, notes) == (301.0, [])


def test_a_seizure_is_cut_where_its_type_changes(tmp_path):
    table(tmp_path / "a.csv_bi", "TERM,10,100,seiz,1")
    table(tmp_path / "a.csv", "C3-CZ,12,40,fnsz,1", "C3-CZ,45,90,tcsz,1", "C4-CZ,46,95,tcsz,1")
    events, _ = labels_beside(tmp_path / "a.edf")
    assert triples(events) == [(10, 45, "sz_foc"), (45, 100, HED["TCSZ"])]
    assert [one.number for one in TypedSeizures.of(events, "combined").spans()] == [0, 3]


def test_what_only_the_types_have_is_left_out_and_said(tmp_path):
    table(tmp_path / "a.csv_bi", "TERM,10,20,seiz,1", "TERM,50,60,seiz,1")
    table(tmp_path / "a.csv", "C3-CZ,10,20,gnsz,1", "C3-CZ,200,210,absz,1")
    events, (note,) = labels_beside(tmp_path / "a.edf")
    assert triples(events) == [(10, 20, "sz_gen"), (50, 60, "sz")]
    assert "sz_gen_nm 200.00-210.00 s" in note


def test_one_file_is_enough(tmp_path):
    table(tmp_path / "types.csv", "C3-CZ,10,30,mysz,1", "C4-CZ,20,40,mysz,1", "C4-CZ,5,6,nesz,1")
    table(tmp_path / "times.csv_bi", "TERM,10,20,seiz,1")
    types, times = (labels_beside(tmp_path / f"{n}.edf")[0] for n in ("types", "times"))
    assert triples(types) == [(5, 6, "sz"), (10, 40, "sz_gen_m_myoclonic")]
    assert triples(times) == [(10, 20, "sz")]


def test_older_labels_are_read(tmp_path):
    version = ("version = tse_v1.0.0", "")
    text(tmp_path / "a.tse", *version, "0.0 10.2 bckg 1.0", "10.2 35.7 tnsz 1.0")
    text(tmp_path / "a.tse_bi", *version, "0.0 10.2 bckg 1.0", "10.2 35.7 seiz 1.0")
    text(tmp_path / "a.lbl", "version = lbl_v1.0.0")
    events, notes = labels_beside(tmp_path / "a.edf")
    assert triples(events) == [(10.2, 35.7, "sz_gen_m_tonic")]
    assert math.isnan(events.duration)
    assert not notes


def test_background_alone_is_no_seizure(tmp_path):
    table(tmp_path / "a.csv_bi", "TERM,0,301,bckg,1")
    assert len(labels_beside(tmp_path / "a.edf")[0]) == 0


def test_without_labels_nothing_is_known(tmp_path):
    events, (note,) = labels_beside(tmp_path / "a.edf")
    assert events is None
    assert "no labels lie beside it" in note


def test_other_labels_are_passed_over_and_named(tmp_path):
    table(tmp_path / "a.csv", "C3-CZ,0,5,eyem,1", "C3-CZ,10,20,fnsz,1")
    events, (note,) = labels_beside(tmp_path / "a.edf")
    assert triples(events) == [(10, 20, "sz_foc")]
    assert note.endswith("EYEM")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("TERM,9,3,seiz,1", r"a\.csv_bi, line 6: invalid times: 9 to 3 s"),
        ("TERM,a,3,seiz,1", "line 6: invalid times or confidence"),
        ("TERM,1", "line 6: 2 cells"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(tmp_path, row, said):
    table(tmp_path / "a.csv_bi", row)
    with pytest.raises(ValueError, match=said):
        labels_beside(tmp_path / "a.edf")
