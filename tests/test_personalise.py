"""A patient's own decoder: what is learnt from comes first, and worse is refused."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from conftest import LABELS, QUICK

import ranvier as rv
from ranvier.__main__ import main
from ranvier.decoder import weights_hash
from ranvier.personal import Personalised, network_of, personalise
from ranvier.personal.course import Course, EventsWithin, Past
from ranvier.personal.gains import personalised_scores
from ranvier.personal.threshold import _middle

START = datetime(2026, 3, 1, 22)
SECONDS, ONSET, LENGTH = 150, 60, 30


def record(run: int, *, hertz: float = 17.0, subject: str = "09", shift: int = 0) -> rv.Recording:
    """A seizure in each run, by default of a rhythm that the training patients did not have."""
    rng = np.random.default_rng([9, run])
    time = np.arange(SECONDS * 256) / 256
    signal = rng.normal(0, 15, (len(time), len(LABELS)))
    inside = (time >= ONSET) & (time < ONSET + LENGTH)
    rhythm = 30 * np.sin(2 * np.pi * hertz * time[inside])
    signal[inside] += np.outer(rhythm, np.linspace(1, 0, len(LABELS)))
    marked = (ONSET + shift, ONSET + shift + LENGTH)
    return rv.Recording.from_array(
        signal,
        256,
        LABELS,
        name=f"sub-{subject}_ses-01_task-szMonitoring_run-{run:02}",
        subject=subject,
        start=START + timedelta(seconds=run * 200),
        events=rv.Events.from_intervals([marked], SECONDS),
    )


@pytest.fixture(scope="module")
def patient() -> list[rv.Recording]:
    return [record(run) for run in range(4)]


TUNE = replace(QUICK, passes=20, patience=20, stretch=50, segment=25)


@pytest.fixture(scope="module")
def personalised(decoder, patient):
    return personalise(decoder, patient, seizures=2, training=TUNE, tune="all")


def bare(number: int, start: datetime | None, seizures=((60, 90),), **known) -> rv.Recording:
    """A recording without a signal."""
    events = rv.Events.from_intervals(seizures, 100)
    made = rv.Recording(rv.Layout(("a",), 10.0), 1000, lambda a, b: np.zeros((b - a, 1)))
    return replace(made, name=f"r{number}", subject="1", start=start, events=events, **known)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_recordings_are_put_in_order_by_their_start():
    course = Course.of([bare(1, at(500)), bare(2, at(0)), bare(3, at(200))])
    assert [one.name for one in course.recordings] == ["r2", "r3", "r1"]
    assert course.begins == (0, 200, 500)
    np.testing.assert_allclose(course.seizures[:, 0], [60, 260, 560])


def test_recordings_without_a_start_are_put_in_order_by_name_and_this_is_said():
    course = Course.of([bare(2, None), bare(1, None)])
    assert course.begins == (0, 100)
    assert course.recordings[0].name == "r1"
    assert course.notes == (
        "no recording says when it began: their names are taken for their order",
    )


@pytest.mark.parametrize("name", ["run-{}", "chb01_{}+", "{}"])
def test_numbers_in_names_are_taken_as_numbers(name):
    runs = [replace(bare(n, None), name=name.format(n)) for n in (10, 2, 11, 1)]
    ordered = [one.name for one in Course.of(runs).recordings]
    assert ordered == [name.format(n) for n in (1, 2, 10, 11)]


def test_recordings_of_an_unknown_subject_are_taken_for_one_patient_and_this_is_said():
    course = Course.of([replace(bare(n, at(n * 100)), subject="") for n in (0, 1)])
    assert course.subject == "patient"
    assert course.notes == ("the subject is not known: all recordings are taken for one patient's",)


@pytest.mark.parametrize(
    ("recordings", "why"),
    [
        ([bare(1, at(0)), bare(2, None)], "1 of 2 do not say when they began"),
        ([bare(1, at(0)), bare(2, at(50))], "r2 begins before r1 is over"),
        ([bare(1, at(0)), bare(2, at(0))], "r2 begins before r1 is over"),
        ([bare(1, at(0)), replace(bare(2, at(200)), subject="2")], "2 subjects"),
        ([replace(bare(1, at(0)), events=None)], "0 subjects"),
    ],
)
def test_recordings_that_have_no_order_are_refused(recordings, why):
    with pytest.raises(ValueError, match=why):
        Course.of(recordings)


def test_the_past_ends_a_minute_after_the_last_seizure_or_with_what_comes_first():
    calm = Course.of([bare(1, at(0), [(10, 20)])])
    assert Past.of(calm, 1).until == 80
    assert Past.of(Course.of([bare(1, at(0), [(10, 20), (50, 60)])]), 1).until == 50
    assert Past.of(Course.of([bare(1, at(0), [(10, 90)])]), 1).until == 100


def test_past_and_later_share_nothing_and_leave_nothing_out():
    course = Course.of([bare(1, at(0)), bare(2, at(150), [(10, 20)]), bare(3, at(300))])
    past = Past.of(course, 2)
    later = course.since(past.until)
    seconds = [sum(one.duration for one in part.recordings) for part in (past.course, later)]
    assert seconds == [180, 120]
    assert past.followed_by(course) == ("r2", 80.0)
    assert later.begins[0] == past.until


def test_the_last_third_of_background_and_seizures_is_held_out():
    course = Course.of([bare(n, at(100 * n), [(40, 50)]) for n in range(3)])
    background, seizures = Past.of(course, 3).cuts
    assert seizures == 240
    assert background == pytest.approx(200)
    one = Past.of(Course.of([bare(0, at(0), [(60, 90)])]), 1)
    assert one.cuts == (pytest.approx(70 * 2 / 3), 80)


def test_windows_beyond_their_span_are_not_known():
    events = rv.Events.from_intervals([(4, 6)], 10)
    within = EventsWithin(events.items, 10, None, (0, 5), (-np.inf, 5))
    found = within.targets(np.arange(1.0, 11), 1.0)
    np.testing.assert_array_equal(found, [0, 0, 0, 0, 1, *[np.nan] * 5])


def test_seizures_are_cut_to_their_span():
    within = EventsWithin((rv.Event(4, 2), rv.Event(8, 1)), 10, None, (0, 10), (5, np.inf))
    np.testing.assert_array_equal(within.within.intervals(), [(5, 6), (8, 9)])


def test_of_equally_good_thresholds_the_middle_is_taken():
    assert _middle(np.array([0.5, 0.7, 0.9, 0.99])) == 0.9
    assert _middle(np.array([0.0, 1.0])) == 0.0


@pytest.mark.parametrize("seizures", [0, 5])
def test_seizures_that_the_patient_did_not_have_are_refused(decoder, patient, seizures):
    with pytest.raises(ValueError, match=f"Invalid seizures: {seizures}, must be from 1 to the 4"):
        personalise(decoder, patient, seizures=seizures)


def test_a_patient_whom_the_decoder_was_trained_on_is_refused(decoder, recordings):
    with pytest.raises(ValueError, match="it was trained on subject '01'"):
        personalise(decoder, [one for one in recordings if one.subject == "01"])


def test_what_is_held_out_must_have_a_seizure(decoder):
    short = rv.Events.from_intervals([(60, 61)], SECONDS)
    with pytest.raises(ValueError, match="Nothing to learn"):
        personalise(decoder, [replace(record(0), events=short)], seizures=1, training=TUNE)


@pytest.mark.slow
def test_a_patient_with_other_seizures_is_detected_better(personalised, patient):
    assert personalised.accepted
    assert personalised.gain > 0.1
    scores = personalised_scores([(personalised, patient)])
    assert scores.gains["auroc"][0] > 0.1
    assert not scores.refused


@pytest.mark.slow
def test_an_update_from_wrong_annotations_is_refused(decoder):
    wrong = [record(0, hertz=5, shift=-50), record(1, hertz=5)]
    result = personalise(decoder, wrong, seizures=2, training=TUNE, tune="all")
    assert not result.accepted
    assert result.gain < 0
    assert result.decoder.rule == decoder.rule
    assert weights_hash(result.decoder.weights) == weights_hash(decoder.weights)
    assert "Refused, the decoder stays as it was" in result.sentence()


def test_an_update_that_goes_too_far_is_refused(decoder):
    usual = [record(run, hertz=5) for run in range(2)]
    far = replace(TUNE, learning_rate=10.0, passes=2, gradient_norm=1e6)
    result = personalise(decoder, usual, training=far, tune="all")
    assert not result.accepted
    assert result.gain < 0


@pytest.mark.slow
def test_what_came_later_changes_nothing(personalised, decoder, patient):
    other = [*patient[:2], record(2, hertz=5, shift=20), record(3, hertz=3)]
    again = personalise(decoder, other, seizures=2, training=TUNE, tune="all")
    assert weights_hash(again.decoder.weights) == weights_hash(personalised.decoder.weights)
    assert again.decoder.rule == personalised.decoder.rule
    assert again.qualities == personalised.qualities


@pytest.mark.slow
def test_the_decoder_says_what_it_was_made_from(personalised, decoder, tmp_path):
    about = rv.load(personalised.decoder.save(tmp_path / "own.ranvier")).provenance
    assert about["personalised"]["base_weights_sha256"] == weights_hash(decoder.weights)
    assert about["personalised"]["learnt_until_second"] == 200 + 150
    assert about["personalised"]["tested_from"] == ["sub-09_ses-01_task-szMonitoring_run-02", 0.0]
    assert about["certificate"]["trims"].startswith("personalised to 09: all before second 350")
    assert about["base"]["certificate"] == json.loads(json.dumps(decoder.provenance["certificate"]))


@pytest.mark.slow
def test_a_personalised_decoder_is_not_personalised_again(personalised, patient):
    with pytest.raises(ValueError, match="personalised to '09' already"):
        personalise(personalised.decoder, patient)


def test_only_the_readout_is_tuned_when_that_is_asked_for(decoder, patient):
    brief = replace(TUNE, passes=2)
    result = personalise(decoder, patient, training=brief, tune="readout", least_gain=-1)
    before, after = decoder.weights, result.decoder.weights
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"readout.weight", "readout.bias"}


def test_statistics_of_the_training_patients_are_kept(decoder):
    import torch

    network = network_of(decoder)
    network.norm = torch.nn.BatchNorm1d(3)
    network.train()
    network(torch.zeros(1, 2, len(decoder.channels), 100), network.initial_state(1))
    assert network.training
    assert not network.norm.training


def test_two_patients_whose_recordings_share_names_are_refused(decoder):
    patients = [
        (
            untuned(decoder, who),
            [replace(record(run), name=f"run-{run}", subject=who) for run in (0, 1)],
        )
        for who in ("1", "2")
    ]
    with pytest.raises(ValueError, match="'run-1' is there for two patients, names must be unique"):
        personalised_scores(patients)


def untuned(decoder, subject: str) -> Personalised:
    return Personalised(decoder, decoder, subject, "all", False, {}, (0.0, 0.0), 180.0, None)


@pytest.mark.slow
def test_nothing_later_means_nothing_to_test(decoder, patient, personalised):
    with pytest.raises(ValueError, match="09 was not recorded later"):
        personalised_scores([(personalised, patient[:2])])


@pytest.mark.slow
def test_the_command_writes_the_decoder_and_says_what_it_did(decoder_file, tmp_path, capsys):
    data = rv.write_bids(tmp_path / "data", [record(run) for run in range(3)])
    own = tmp_path / "own.ranvier"
    options = ["--tune", "readout", "--least_gain", 2, "--json"]
    words = ["personalise", decoder_file, "--data", data, "--out", own, *options]
    assert main([str(word) for word in words]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert not answer["accepted"]
    assert rv.load(own).provenance["personalised"]["sentence"] == answer["sentence"]


def test_the_command_does_not_write_over_the_decoder(decoder_file, tmp_path, capsys):
    words = ["personalise", str(decoder_file), "--data", str(tmp_path), "--out", str(decoder_file)]
    assert main(words) == 1
    assert "must be another file" in capsys.readouterr().err
