"""Annotations that lie apart from the recordings: found by name, and given to the right one."""

import json
from dataclasses import replace

import numpy as np
import pytest

import ranvier as rv
from ranvier.__main__ import main
from ranvier.commands import read_annotated
from ranvier.formats import with_annotations, write_edf, write_events, write_stage_list

LAYOUT = rv.Layout(("Fp1", "Fp2"), 64.0)
NIGHT = rv.Hypnogram(("W", "N1", "N2", ""), duration=120.0)


def recording(name: str) -> rv.Recording:
    return rv.Recording.from_array(np.zeros((120 * 64, 2)), 64.0, ["Fp1", "Fp2"], name=name)


def times(one: rv.Recording) -> list[tuple[float, float, str]] | None:
    if one.events is None:
        return None
    return [(event.onset, event.end, event.label) for event in one.events]


def annotated(source, *names: str) -> list[rv.Recording]:
    return with_annotations([recording(name) for name in names], source)


def table(path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "recording,onset,end\na,10,20\nb,30.5,40\na,50,60\n",
        "file,start,duration\na.edf,10,10\nb.edf,30.5,9.5\na.EDF,50,10\n",
        "sep=;\r\nFilename;Start;Stop;Type;;\r\na.edf;10,0;20;seizure;;\r\n;;;;;\r\n"
        "b.edf;30,5;40;SZ;;\r\n./a;50;60;sz;;\r\n",
        "label\tend\tonset\trecording\n\t20\t10\ta\nn/a\t40\t30.5\tb\n\t60\t50\ta.edf\n",
    ],
)
def test_one_table_is_about_all_recordings_that_it_names(tmp_path, text):
    path = table(tmp_path / ("all.tsv" if "\t" in text else "all.csv"), text)
    a, b, c = annotated(path, "a", "b", "c")
    assert times(a) == [(10, 20, "sz"), (50, 60, "sz")]
    assert times(b) == [(30.5, 40, "sz")]
    assert c.events is None


def test_a_row_without_times_says_that_nothing_was_found(tmp_path):
    path = table(tmp_path / "all.csv", "recording,onset,end,label\na,,,\nb,,,bckg\nc,1,2,\n")
    assert [times(one) for one in annotated(path, "a", "b", "c")] == [[], [], [(1, 2, "sz")]]


def test_labels_are_those_of_other_tables(tmp_path):
    rows = "recording,onset,end,type\na,1,2,FNSZ\na,3,4,bckg\na,5,6,artefact\n"
    (a,) = annotated(table(tmp_path / "all.csv", rows), "a")
    assert [label for *_, label in times(a)] == ["sz_foc", "bckg", "artefact"]


def test_recordings_of_one_name_are_told_apart_by_their_folders(tmp_path):
    path = table(tmp_path / "all.csv", "file,onset,end\nP1/eeg.edf,1,2\nP2\\eeg.edf,3,4\n")
    first, second = annotated(path, "data/P1/eeg", "P2/eeg")
    assert (times(first), times(second)) == ([(1, 2, "sz")], [(3, 4, "sz")])


def test_a_folder_that_is_named_must_be_the_recordings_own(tmp_path):
    for name in ("P1/a", "P1/b", "P2/a"):
        write_edf(tmp_path / "eeg" / f"{name}.edf", np.zeros((640, 2)), LAYOUT)
    rows = "file,onset,end\nP2/a.edf,1,2\nP1/b.edf,3,4\n"
    path, one = table(tmp_path / "all.csv", rows), tmp_path / "eeg" / "P1"
    a, b = read_annotated(str(one), str(path))
    assert (a.events, times(b)) == (None, [(3, 4, "sz")])
    assert a.notes[-1] == f"nothing in {path} is about it"
    whole = read_annotated(str(tmp_path / "eeg"), str(path))
    assert [times(one) for one in whole] == [None, [(3, 4, "sz")], [(1, 2, "sz")]]


def test_names_are_whole_names(tmp_path):
    path = table(tmp_path / "all.csv", "file,onset,end\na.edf,1,2\na_eeg.edf,3,4\naa.edf,5,6\n")
    found = annotated(path, "a", "a_eeg", "aa", "a.npz", "A")
    assert [one.events and times(one)[0][0] for one in found] == [1, 3, 5, None, None]


def test_a_label_that_is_no_seizure_tells_of_none(tmp_path):
    rows = "recording,onset,end,label\na,1,2,blink\nb,1,2,blink\nb,3,4,sz\n"
    a, b = annotated(table(tmp_path / "all.csv", rows), "a", "b")
    assert (a.events, len(b.events)) == (None, 2)
    assert "is of a seizure or background: blink" in a.notes[-1]


def test_a_table_of_bids_tells_as_in_its_own_folder(tmp_path):
    table(tmp_path / "a_events.tsv", "onset\tduration\tvalue\n1\t2\t77\n")
    table(tmp_path / "b.tsv", "onset\tduration\ttrial_type\n0\t30\tsleep_stage_W\n")
    a, b = annotated(tmp_path, "a", "b")
    assert (a.events, b.events, b.hypnogram.stages) == (None, None, ("W",))
    assert "no labels" in a.notes[-1]


def test_a_hypnogram_beyond_the_signal_takes_the_place_of_another(tmp_path):
    table(tmp_path / "a.csv", "onset,stage\n900,W\n")
    (before,) = [replace(recording("a"), hypnogram=NIGHT)]
    assert not with_annotations([before], tmp_path)[0].hypnogram


def test_a_folder_has_a_file_for_each_recording(tmp_path):
    events = rv.Events.from_intervals([(10, 20)], 120.0)
    write_events(tmp_path / "a_events.tsv", events)
    table(tmp_path / "b.csv", "onset,end\n3,4\n")
    table(tmp_path / "c.tsv", "onset\tduration\n5\t6\n")
    write_stage_list(tmp_path / "d.txt", NIGHT)
    for name in ("notes of us.txt", "_events.tsv", "-Hypnogram.edf"):
        table(tmp_path / name, "nothing that is read\n")
    a, b, c, d, e = annotated(tmp_path, "a", "b", "c", "d", "e")
    assert [times(one) for one in (a, b, c)] == [[(10, 20, "sz")], [(3, 4, "sz")], [(5, 11, "sz")]]
    assert (d.events, d.hypnogram) == (None, NIGHT)
    assert (e.events, e.hypnogram) == (None, None)


def test_no_recordings_are_given_nothing(tmp_path):
    assert not annotated(table(tmp_path / "all.csv", "recording,onset,end\na,1,2\n"))


def test_recordings_in_that_folder_are_no_annotations(tmp_path):
    write_edf(tmp_path / "a.edf", np.zeros((640, 2)), LAYOUT)
    table(tmp_path / "a.csv", "onset,end\n3,4\n")
    assert times(with_annotations(rv.read(tmp_path / "a.edf"), tmp_path)[0]) == [(3, 4, "sz")]


def test_what_is_given_takes_the_place_of_what_was_there(tmp_path):
    events, path = rv.Events.from_intervals([(70, 80)], 120.0), tmp_path / "all.csv"
    (before,) = annotated(table(path, "recording,onset,end\na,10,20\n"), "a")
    write_events(tmp_path / "later" / "a_events.tsv", events)
    assert times(with_annotations([before], tmp_path / "later")[0]) == [(70, 80, "sz")]


def test_what_lies_outside_the_signal_is_cut_and_said(tmp_path):
    (a,) = annotated(table(tmp_path / "all.csv", "recording,onset,end\na,110,130\n"), "a")
    assert times(a) == [(110, 120, "sz")]
    assert "cut at the end of the signal" in a.notes[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recording,onset,end\nz,1,2\n", "like any of 1 recordings, such as a; it tells of z$"),
        ("recording,onset,end\nx/a,1,2\n", "is called like any of 1 recordings, such as a"),
        ("recording,onset,end\na,1,2\n,3,4\n", "line 3: recording is empty, must name"),
        ("recording,onset,end\n", "has no rows"),
        ("recording,onset,end,Onset\na,1,2,3\n", "columns called alike: onset"),
        ('recording,onset,end,note\na,1,2,"left arm\nb,3,4,x\n', "line 3: .* quotes are closed"),
        ("recording,onset,duration,stage\na,0,30,W\n", "has stages of sleep, must have events"),
        ("recording,onset,end,label\na,0,30,N2\n", "line 2: N2 is a stage of sleep"),
        ("recording,onset,end\na,1,1e300\n", "must be a number, between 0 and 1e.08"),
        ("recording,onset,end\na,5,5\n", "ends at 5 s, must be after its onset at 5 s"),
        ("\n\nrecording,onset,end\n\na,x,5\n", "line 5: invalid onset"),
        ("onset,end\n1,2\n", "no column recording or file or filename or edf among onset, end"),
        ("recording,when\na,1\n", "no column onset or start among recording, when"),
        ("recording,onset\na,1\n", "no column end or stop or offset or duration"),
        ("recording,onset,end\na,00:10:00,5\n", "line 2: invalid onset in seconds from the first"),
        ("recording,onset,end\na,9,5\n", "ends at 5 s, must be after its onset at 9 s"),
        ("recording,onset,end\na,nan,5\n", "must be a number, between 0 and"),
        ("recording,onset,end\na,,,sz\n", "line 2: 4 cells, must be 3"),
        ("recording,onset,end,label\na,,,sz\n", "line 2: invalid onset"),
        ("", "no column recording"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_in_one_sentence(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        annotated(table(tmp_path / "all.csv", text), "a")


def test_two_files_for_one_recording_are_refused(tmp_path):
    for name in ("a.csv", "a_events.tsv", "b.csv", "readme.txt", "readme.csv"):
        table(tmp_path / name, "onset,end\n1,2\n")
    assert times(annotated(tmp_path, "b")[0]) == [(1, 2, "sz")]
    with pytest.raises(
        ValueError, match=r"a\.csv and .*a_events\.tsv are both called like a, must"
    ):
        annotated(tmp_path, "a")


def test_one_name_for_two_recordings_is_refused(tmp_path):
    path = table(tmp_path / "all.csv", "file,onset,end\neeg.edf,1,2\n")
    with pytest.raises(
        ValueError, match=r"eeg in .* is called like 2 recordings, P1/eeg and P2/eeg"
    ):
        annotated(path, "P1/eeg", "P2/eeg")


def test_one_table_about_all_is_not_taken_for_that_of_one(tmp_path):
    table(tmp_path / "a.csv", "file,onset,end\nb,1,2\n")
    with pytest.raises(ValueError, match="has a column file, must be without"):
        annotated(tmp_path, "a")


def test_what_was_decoded_is_not_taken_for_what_was_marked(tmp_path):
    write_edf(tmp_path / "a.edf", np.zeros((640, 2)), LAYOUT)
    write_edf(tmp_path / "b.edf", np.zeros((640, 2)), LAYOUT)
    table(tmp_path / "a.csv", "onset,end\n1,2\n")
    table(tmp_path / "decoded" / "b.csv", "onset,end\n1,2\n")
    a, b = read_annotated(str(tmp_path), str(tmp_path))
    assert (times(a), b.events) == ([(1, 2, "sz")], None)


@pytest.mark.parametrize("name", ["nothing", "notes.md"])
def test_what_is_neither_a_folder_nor_a_table_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"must be a folder or a table, \.csv or \.tsv"):
        annotated(tmp_path / name, "a")


def test_a_user_points_at_a_folder_of_edf_files_and_a_table(tmp_path, capsys):
    for name in ("a", "b"):
        write_edf(tmp_path / "eeg" / f"{name}.edf", np.zeros((6400, 2)), LAYOUT)
    path = table(tmp_path / "seizures.csv", "file,onset,end\na.edf,10,20\nb.edf,,\n")
    store = tmp_path / "store"
    words = ["prepare", str(tmp_path / "eeg"), str(store), "--annotations", str(path)]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recordings"] == 2
    a, b = rv.datasets.read(store)
    assert (times(a), times(b)) == ([(10, 20, "sz")], [])
    path.write_text("file,onset,end\na.edf,ten,20\n")
    assert main(words) == 1
    assert "seizures.csv, line 2: invalid onset" in capsys.readouterr().err
