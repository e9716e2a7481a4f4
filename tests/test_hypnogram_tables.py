"""Stages of sleep in tables: read as written, and as others write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.formats import read_stages, write_hypnogram
from ranvier.formats.hypnogram_tables import clip_hypnogram
from ranvier.truth import SLEEP_STAGES, Hypnogram

HEADER = "onset\tduration\ttrial_type\n"


def table(tmp_path, *rows: str):
    path = tmp_path / "events.tsv"
    path.write_text(HEADER + "".join("\t".join(row.split()) + "\n" for row in rows))
    return path


def test_a_table_has_one_row_for_each_epoch(tmp_path):
    path = write_hypnogram(tmp_path / "events.tsv", Hypnogram(("W", "", "REM"), 90))
    rows = ["0\t30\tsleep_stage_W", "30\t30\tsleep_stage_unknown", "60\t30\tsleep_stage_REM"]
    assert path.read_text() == HEADER + "\n".join(rows) + "\n"


@given(
    st.lists(st.sampled_from([*SLEEP_STAGES, ""]), min_size=2, max_size=20),
    st.sampled_from([30.0, 20.0, 4.0, 30.5]),
    st.sampled_from([0.0, 12.25, 7200.0]),
)
def test_what_is_written_is_read(tmp_path_factory, stages, epoch, first):
    made = Hypnogram(tuple(stages), first + epoch * len(stages), epoch, first)
    path = write_hypnogram(tmp_path_factory.mktemp("table") / "events.tsv", made)
    assert read_stages(path) == (None, made)


def test_merged_rows_are_epochs_of_thirty_seconds(tmp_path):
    path = table(tmp_path, "0 90 sleep_stage_W", "90 60 sleep_stage_N1", "150 30 sleep_stage_R")
    _, found = read_stages(path)
    assert found == Hypnogram(("W", "W", "W", "N1", "N1", "REM"), 180)


def test_what_lies_between_rows_was_not_scored(tmp_path):
    _, found = read_stages(table(tmp_path, "60 30 sleep_stage_N2", "0 30 sleep_stage_W"))
    assert found.stages == ("W", "", "N2")


def test_seizures_beside_stages_are_kept_apart(tmp_path):
    path = table(tmp_path, "0 30 sleep_stage_N2", "10 15 sz", "30 30 sleep_stage_N3")
    events, found = read_stages(path)
    assert [event.label for event in events] == ["sz"]
    assert found.stages == ("N2", "N3")


@pytest.mark.parametrize("rows", [[], ["10 15 sz"], ["0 50 bckg"]])
def test_a_table_without_stages_has_events_only(tmp_path, rows):
    events, found = read_stages(table(tmp_path, *rows))
    assert (len(events), found) == (len(rows), None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0 30 sleep_stage_N4"], "invalid stage: sleep_stage_N4, possible options: sleep_stage_W"),
        (["0 60 sleep_stage_W", "30 30 sleep_stage_N1"], "at 30 s overlaps the one before it"),
        (["0 30 sleep_stage_W", "45 30 sleep_stage_N1"], "does not fit epochs of 30 s"),
        (["0 0 sleep_stage_W"], "the stage at 0 s lasts 0 s, must last above 0 s"),
        (
            ["0 30 sleep_stage_W", "30 17.35 sleep_stage_W"],
            "invalid epoch: 0.05 s, must be 1 s or longer",
        ),
        (["0 30 sleep_stage_W", "9e7 30 sleep_stage_W"], "3000001 epochs, must be at most"),
    ],
)
def test_tables_that_make_no_sense_are_refused_by_name(tmp_path, rows, message):
    path = table(tmp_path, *rows)
    with pytest.raises(ValueError, match=message) as refused:
        read_stages(path)
    assert str(refused.value).startswith(str(path))


def test_epochs_after_the_signal_are_left_out_and_told():
    night = Hypnogram(("W", "N1", "N2"), 90)
    assert clip_hypnogram(night, 90) == (night, [])
    clipped, (note,) = clip_hypnogram(night, 75)
    assert clipped == Hypnogram(("W", "N1"), 75)
    assert note == "1 epochs that end after the signal are left out"
