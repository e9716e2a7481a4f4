"""What was decoded, written back in the formats of others and read again."""

import json
from datetime import datetime

import edfio
import mne
import numpy as np
import pytest
from conftest import make_recording

import ranvier as rv
from ranvier.__main__ import main
from ranvier.commands.decoded_files import WRITTEN, chosen_forms
from ranvier.decisions import AlarmRule, MotionRule, StageRule, TypeRule
from ranvier.decoding import Prediction
from ranvier.formats import (
    read_annotations,
    read_hypnogram,
    read_profusion,
    read_sleep_edf,
    read_stage_table,
)
from ranvier.formats.event_annotations import write_annotations, write_event_annotations
from ranvier.formats.profusion import write_nsrr
from ranvier.truth import Event, Events, Hypnogram

START = datetime(2020, 3, 2, 22, 15, 4, 500_000)
ITEMS = (Event(10.25, 40.5), Event(100.1, 7, "sz_foc_ia", 0.913), Event(130, 0))
EVENTS = Events(ITEMS, 3600.5, START)
WRITTEN_ROWS = [
    (10.25, 40.5, "seizure"),
    (100.1, 7.0, "sz_foc_ia"),
    (100.1, 7.0, "confidence 0.913"),
    (130.0, 0.0, "seizure"),
]
NIGHT = Hypnogram(("W", "W", "N1", "", "REM", "N3"), 187.5, 30, 2.5)


def test_events_are_read_back_as_they_were_written(tmp_path):
    path = write_event_annotations(tmp_path / "a.edf", EVENTS)
    *rows, (end, _, text) = read_annotations(path)
    assert sorted(rows) == sorted(WRITTEN_ROWS)
    assert (end, text) == (3600.5, "Recording ends")


def test_edfio_reads_the_events_and_the_start(tmp_path):
    found = edfio.read_edf(write_event_annotations(tmp_path / "a.edf", EVENTS))
    rows = [(one.onset, one.duration, one.text) for one in found.annotations[:-1]]
    assert sorted(rows) == sorted(WRITTEN_ROWS)
    assert (found.startdate, found.starttime) == (START.date(), START.time().replace(microsecond=0))


def test_mne_reads_the_events(tmp_path):
    found = mne.read_annotations(write_event_annotations(tmp_path / "a.edf", EVENTS))
    assert sorted(zip(found.onset, found.duration, found.description, strict=True))[:-1] == sorted(
        WRITTEN_ROWS
    )


def test_a_recording_without_events_says_when_it_ends(tmp_path):
    path = write_event_annotations(tmp_path / "a.edf", Events((), 60.0))
    assert [(onset, text) for onset, _, text in read_annotations(path)] == [(60, "Recording ends")]


@pytest.mark.parametrize("rows", [[], [(np.nan, 1.0, "a")], [(1.0, np.inf, "a")]])
def test_annotations_that_edf_cannot_hold_are_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="Invalid annotation"):
        write_annotations(tmp_path / "a.edf", rows)
    assert not list(tmp_path.iterdir())


def test_stages_are_read_back_from_the_xml_of_nsrr(tmp_path):
    path = write_nsrr(tmp_path / "a.xml", NIGHT, start=START)
    assert read_profusion(path) == Hypnogram(NIGHT.stages, 182.5, 30, 2.5)
    assert "<EventConcept>REM sleep|5</EventConcept>" in path.read_text()
    assert "<ClockTime>00.00.00 22.16.07</ClockTime>" in path.read_text()


def predicted(rule, classes: int, outputs: int = 6, hop: float = 30.0) -> Prediction:
    values = np.random.default_rng(0).dirichlet(np.ones(classes), outputs)
    times = hop * np.arange(1, outputs + 1)
    rows = values.argmax(axis=1)[:, None].astype(float)
    none = np.zeros((outputs, 0))
    end = outputs * hop
    return Prediction("n", "s", end, hop, times, values, rows, none, (), rule)


NIGHTS = {"edf": read_sleep_edf, "xml": read_profusion, "csv": read_hypnogram}


@pytest.mark.parametrize("name", NIGHTS)
def test_decoded_stages_are_read_back_from_each_format(tmp_path, name):
    prediction = predicted(StageRule(), 5)
    (form,) = chosen_forms(name, prediction.rule)
    path = form.write(tmp_path / f"n{form.ending}", prediction)
    assert NIGHTS[name](path) == prediction.decoded


def test_the_csv_of_stages_has_the_probabilities(tmp_path):
    prediction = predicted(StageRule(), 5)
    path = chosen_forms("csv", prediction.rule)[0].write(tmp_path / "n.csv", prediction)
    np.testing.assert_array_equal(read_stage_table(path)[1], prediction.values)


RULES = {
    "alarm": AlarmRule(),
    "type": TypeRule(("a", "b")),
    "stage": StageRule(),
    "motion": MotionRule(),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_each_format_has_a_name_of_its_own(kind):
    forms = chosen_forms(",".join(WRITTEN[kind].forms), RULES[kind])
    assert len({form.ending for form in forms}) == len(forms)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("alarm", "xml"), ("alarm", "csv"), ("type", "xml"), ("motion", "edf"), ("stage", "txt")],
)
def test_a_format_that_has_no_meaning_is_refused(kind, name):
    with pytest.raises(ValueError, match=f"Invalid format: '{name}', possible options for .*: tsv"):
        chosen_forms(f"tsv, {name}", RULES[kind])


@pytest.fixture
def ward(tmp_path):
    recording = make_recording("08").until(100)
    return rv.write_edf(tmp_path / "in" / "ward 3.edf", recording.read(), recording.layout)


def test_decode_writes_every_format_that_is_asked_for(tmp_path, ward, decoder_file, capsys):
    words = ["decode", str(decoder_file), str(ward), "--out", str(tmp_path / "out")]
    assert main([*words, "--format", "tsv,edf", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["recordings"]
    assert sorted(answer["files"]) == sorted(map(str, (tmp_path / "out").iterdir()))
    texts = [text for *_, text in read_annotations(tmp_path / "out" / "ward 3_events.edf")]
    assert texts.count("seizure") == len(answer["events"])


def test_decode_refuses_a_format_before_it_reads_anything(tmp_path, decoder_file, capsys):
    words = ["decode", str(decoder_file), "not there", "--out", str(tmp_path / "out")]
    assert main([*words, "--format", "xml"]) == 1
    assert "Invalid format: 'xml', possible options for seizures: tsv, edf" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_annotations_are_not_written_where_they_would_be_taken_for_recordings(
    ward, decoder_file, capsys
):
    words = ["decode", str(decoder_file), str(ward), "--out", str(ward.parent)]
    assert main([*words, "--format", "edf"]) == 1
    assert "out must be another folder" in capsys.readouterr().err
    assert list(ward.parent.iterdir()) == [ward]
