"""Annotations of EDF+: what they say, and which of them are seizures."""

import numpy as np
import pytest
from test_edf import discontinuous, edf_file

from ranvier.formats.edf import read_annotations, read_edf
from ranvier.truth import Events

TALS = b"+0\x14\x14\0+1\x151.5\x14sz_foc\x14\0", b"+1\x14\x14\0+2\x14Lights off\x14seizure\x14"


def test_annotations_are_read_with_and_without_signals(tmp_path):
    found = read_annotations(discontinuous(tmp_path, *TALS, reserved="EDF+C"))
    assert [(onset, text) for onset, _, text in found] == [
        (1.0, "sz_foc"), (2.0, "Lights off"), (2.0, "seizure"),
    ]  # fmt: skip
    channel = ({"label": "EDF Annotations", "samples": 16},)
    path = edf_file(tmp_path, channel, TALS[0].ljust(32, b"\0"), records=1, seconds=0)
    assert read_annotations(path) == [(1.0, 1.5, "sz_foc")]


def test_annotations_that_are_seizures_become_events(tmp_path):
    recording = read_edf(discontinuous(tmp_path, *TALS, reserved="EDF+C"))
    assert [(e.onset, e.end, e.label) for e in recording.events] == [(1, 2, "sz_foc")]


def test_a_seizure_of_no_known_end_is_kept_beside_others_and_is_not_learnt_from(tmp_path):
    tals = TALS[0], TALS[1].replace(b"+2", b"+1")
    recording = read_edf(discontinuous(tmp_path, *tals, reserved="EDF+C"))
    said = "1 seizure annotations without a duration, training and scoring refuse that"
    assert recording.notes[0] == said
    with pytest.raises(ValueError, match="sz at 1 s has no duration, must have one"):
        recording.events.share(np.arange(3.0))


def test_where_no_seizure_has_an_end_nothing_is_annotated(tmp_path):
    tals = b"+0\x14\x14\0+1\x14seizure\x14\0", b"+1\x14\x14"
    recording = read_edf(discontinuous(tmp_path, *tals, reserved="EDF+C"))
    assert recording.events is None
    assert recording.notes[0] == "1 seizure annotations without a duration are left out"


def test_annotations_count_from_the_first_sample(tmp_path):
    tals = b"+0.5\x14\x14\0+1\x151\x14Seizure\x14\0", b"+1.5\x14\x14"
    (event,) = read_edf(discontinuous(tmp_path, *tals, reserved="EDF+C")).events
    assert (event.onset, event.label) == (0.5, "sz")


def test_annotations_before_the_first_sample_are_cut_there_or_left_out(tmp_path):
    tals = b"+7\x14\x14\0+1\x152\x14sz\x14\0+5\x153\x14sz\x14\0", b"+8\x14\x14"
    recording = read_edf(discontinuous(tmp_path, *tals))
    assert [(e.onset, e.duration) for e in recording.events] == [(0, 1)]
    assert recording.notes == (
        "events before the signal are left out: sz -6.00--4.00 s",
        "events are cut at the beginning of the signal: sz -2.00-1.00 s",
    )


def test_annotations_need_no_range_of_their_channel(tmp_path):
    blank = dict.fromkeys(("physical_min", "physical_max", "digital_min", "digital_max"), "")
    channel = ({"label": "EDF Annotations", "samples": 16, **blank},)
    path = edf_file(tmp_path, channel, TALS[0].ljust(32, b"\0"), records=1, seconds=0)
    assert read_annotations(path) == [(1.0, 1.5, "sz_foc")]


def test_annotations_give_way_to_events_that_are_passed(tmp_path):
    path = discontinuous(tmp_path, *TALS, reserved="EDF+C")
    recording = read_edf(path, events=Events.from_intervals([(0, 9)], 2))
    assert [(e.onset, e.duration) for e in recording.events] == [(0, 2)]
    assert recording.notes == ("events are cut at the end of the signal: sz 0.00-9.00 s",)


def test_annotations_are_no_channel_and_no_events_when_nothing_is_a_seizure(tmp_path):
    recording = read_edf(discontinuous(tmp_path, b"+0\x14\x14\0+0\x14rest\x14"))
    assert recording.layout.channels == ("Cz",)
    assert recording.events is None
