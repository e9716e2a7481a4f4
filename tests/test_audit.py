"""The auditor names each planted fault, and nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest
from audited_pipeline import RATE, make_recording, pipeline

from ranvier.audit import Audit, Outputs, Parts, Trained, Windows, audit
from ranvier.audit.changes import (
    with_other_future,
    with_other_labels,
    with_other_signal,
    with_signal,
)
from ranvier.audit.probes import ask_windows
from ranvier.certificate import Certificate
from ranvier.recording import Recording
from ranvier.splits import Fold
from ranvier.truth import Hypnogram

SPLIT = Parts(("01", "02", "03"), ("04",), ("05", "06"))


@pytest.fixture(scope="module")
def recordings():
    return [make_recording(f"0{number}", gap=number == 1) for number in range(1, 7)]


def names(verdict: Audit) -> list[str]:
    return sorted({fault.name for fault in verdict.faults})


def test_nothing_is_found_in_a_clean_pipeline(recordings):
    verdict = audit(pipeline(), recordings, SPLIT)
    assert names(verdict) == []
    assert verdict.unasked == {}
    assert verdict.verdict == "audited: 6 probes, nothing leaks"


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        ("zero-phase filter", "zero-phase filter"),
        ("whole-recording z-score", "whole-recording scaling"),
        ("threshold from the test part", "threshold from the test part"),
        ("class weights from all subjects", "class weights from the test part"),
        ("scaling from everyone", "scaling from the test part"),
        ("shuffled windows", "shuffled windows"),
        ("window over a gap", "window over a gap"),
        ("gap filled", "window over a gap"),
        ("centred smoothing", "centred smoothing"),
        ("wrap-around", "wrap-around index"),
        ("scaling by length", "length of the recording"),
        ("labels as first state", "labels in the outputs"),
        ("an untold shift", "something untold from the test part"),
    ],
)
def test_a_planted_fault_is_named_and_nothing_else(recordings, planted, name):
    verdict = audit(pipeline(planted), recordings, SPLIT)
    assert names(verdict) == [name], verdict.sentences()
    assert name in verdict.verdict


def test_a_look_ahead_is_measured(recordings):
    (fault,) = audit(pipeline("centred smoothing"), recordings, SPLIT).faults
    assert fault.seconds == pytest.approx(2, abs=0.1)
    assert "the smoothed probabilities look" in fault.text


def test_a_look_ahead_is_named_where_it_begins(recordings):
    (fault,) = audit(pipeline("zero-phase filter"), recordings, SPLIT).faults
    assert fault.text.startswith("the probabilities look")


def test_what_leaks_is_told_apart_by_labels_and_signals(recordings):
    told = {
        planted: audit(pipeline(planted), recordings, SPLIT).faults[0].text
        for planted in ("class weights from all subjects", "scaling from everyone")
    }
    assert "with other labels" in told["class weights from all subjects"]
    assert "with other signals" in told["scaling from everyone"]


def renamed(recordings, **names):
    return [replace(one, subject=names.get(f"s{one.subject}", one.subject)) for one in recordings]


@pytest.mark.parametrize("name", ["chb21", "chb01"])
def test_one_patient_under_two_names_is_named_and_nothing_else(recordings, name):
    other = {"chb21": "chb01", "chb01": "chb21"}[name]
    named = renamed(recordings, s01=name, s05=other)
    verdict = audit(pipeline(), named, Parts((name, "02", "03"), ("04",), (other, "06")))
    assert names(verdict) == ["one patient under two names"]
    assert "'chb21'" in verdict.faults[0].text


def test_a_patient_under_two_names_in_one_part_is_no_fault(recordings):
    named = renamed(recordings, s01="chb21", s02="chb01")
    assert names(audit(pipeline(), named, Parts(("chb21", "chb01"), ("04",), ("05",)))) == []


@pytest.mark.parametrize("seconds", [0, 12.5])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_the_same_signal_under_two_names_is_found(recordings, seconds, gain):
    twin = replace(recordings[1].since(seconds), subject="06", name="twin")
    twin = with_signal(twin, lambda signal: gain * signal)
    verdict = audit(pipeline(), [*recordings[:5], twin], SPLIT)
    assert names(verdict) == ["one patient under two names"]
    assert f"shifted by {seconds:g} s" in verdict.faults[0].text


def test_patients_of_whom_nothing_is_used_may_be_twins_too(recordings):
    twin = replace(recordings[0], subject="99", name="twin")
    assert names(audit(pipeline(), recordings, SPLIT, among=[*recordings, twin])) == [
        "one patient under two names"
    ]


def test_a_pipeline_that_differs_each_time_is_refused(recordings):
    with pytest.raises(ValueError, match="weights differs between two runs on the same"):
        audit(pipeline("no seed"), recordings, SPLIT)


def test_a_split_without_a_test_part_is_refused(recordings):
    with pytest.raises(ValueError, match="none of 6 recordings is of the test part"):
        audit(pipeline(), recordings, Parts(("01",), ("02",), ("99",)))


def telling_less(run):
    """Return the pipeline without its windows, and with the last of its outputs alone."""

    def less(recordings, split):
        trained = run(recordings, split)

        def predict(recording):
            found = trained.predict(recording)["smoothed probabilities"]
            return {"outputs": Outputs(found.times, found.values)}

        return Trained(trained.fitted, predict)

    return less


def test_what_cannot_be_asked_is_said(recordings):
    verdict = audit(telling_less(pipeline()), recordings, SPLIT, about="fold 1")
    assert names(verdict) == []
    assert verdict.verdict == "audited: fold 1, 4 probes, nothing leaks (not asked: windows, gaps)"


@pytest.mark.parametrize("planted", ["zero-phase filter", "centred smoothing"])
def test_the_kind_of_look_ahead_shows_in_the_outputs_alone(recordings, planted):
    assert names(audit(telling_less(pipeline(planted)), recordings, SPLIT)) == [planted]


def test_a_pipeline_that_says_nothing_is_not_called_clean(recordings):
    def mute(found, split):
        times = np.arange(1.0, 80.0)
        return Trained({}, lambda one: {"outputs": Outputs(times, np.zeros(len(times)))})

    verdict = audit(mute, recordings, SPLIT)
    assert "future" in verdict.unasked


def in_time(*sides):
    """Return windows of one recording, in turn on these sides."""
    starts = np.arange(len(sides), dtype=float)
    told = {}
    for part in ("train", "test"):
        own = starts[np.array(sides) == part]
        told[part] = [Windows("sub-05_run-00", own, own + 1.0)]
    return Trained({}, dict, told)


@pytest.mark.parametrize(
    ("sides", "found"),
    [
        (["train"] * 6 + ["test"] * 3, []),
        (["train"] * 4 + ["test"] * 3 + ["train"] * 4, []),
        (["train", "test"] * 5, ["shuffled windows"]),
    ],
)
def test_a_tested_stretch_in_time_is_not_shuffled(recordings, sides, found):
    assert [one.name for one in ask_windows(in_time(*sides), recordings).faults] == found


def test_windows_that_share_samples_are_found(recordings):
    trained = in_time(*["train"] * 6, *["test"] * 3)
    wide = [replace(one, starts=one.starts - 0.5) for one in trained.windows["test"]]
    shared = replace(trained, windows={**trained.windows, "test": wide})
    (fault,) = ask_windows(shared, recordings).faults
    assert "1 of them share samples" in fault.text


def test_a_window_over_the_end_is_found(recordings):
    late = Windows("sub-05_run-00", np.array([89.5]), np.array([90.5]))
    (fault,) = ask_windows(Trained({}, dict, {"train": [late]}), recordings).faults
    assert fault.name == "window over the end"


def test_another_future_leaves_the_past_and_what_is_missing(recordings):
    old, new = recordings[0].read(), with_other_future(recordings[0], 40 * RATE).read()
    np.testing.assert_array_equal(old[: 40 * RATE], new[: 40 * RATE])
    assert (old[40 * RATE : 60 * RATE] != new[40 * RATE : 60 * RATE]).all()
    np.testing.assert_array_equal(np.isnan(old), np.isnan(new))


def test_other_counts_are_counts():
    counts = np.random.default_rng(0).poisson(2, (200, 3))
    recording = Recording.from_array(counts, 20, ["a", "b", "c"], unit="count")
    changed = with_other_signal(recording).read()
    assert (changed >= 0).all()
    np.testing.assert_array_equal(changed, np.round(changed))


def test_other_labels_say_otherwise_everywhere(recordings):
    times = np.arange(1.0, 91.0)
    old, new = (one.events.targets(times, 1.0) for one in flipped(recordings[0]))
    np.testing.assert_array_equal(old, 1 - new)
    stages = Hypnogram(("W", "REM", ""), 90.0)
    night = replace(recordings[0], events=None, hypnogram=stages)
    assert flipped(night)[1].hypnogram.stages == ("N1", "W", "")
    assert flipped(night)[1].events is None


def flipped(recording):
    return recording, with_other_labels(recording)


def test_the_verdict_is_plain(recordings):
    about = audit(pipeline("centred smoothing"), recordings, SPLIT).as_dict()
    assert json.loads(json.dumps(about)) == about
    certificate = Certificate(Fold(0, ("01",), ("02",)), audit=about)
    said = certificate.sentences()
    assert said[-2] == "Audited: 6 probes, found: centred smoothing."
    assert said[-1].startswith("centred smoothing: the smoothed probabilities look")
