"""Recordings, events and what may be put into them."""

import math
import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import ranvier as rv
from ranvier.recording import ASSUMED_SUBJECT, Layout, Recording
from ranvier.truth import Event, Events, Hypnogram


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match=r"Invalid rate: .* Hz, must be finite and above 0"):
        Layout(("Cz",), rate)


def test_a_rate_that_is_a_text_is_refused():
    with pytest.raises(ValueError, match="Invalid rate: 256 Hz, must be finite and above 0"):
        Layout(("Cz",), "256")


@pytest.mark.parametrize("channels", ["Cz", (1, 2)])
def test_channels_that_are_no_names_are_refused(channels):
    with pytest.raises(ValueError, match=r"Invalid channels: .*, must be a sequence of names"):
        Layout(channels, 256)


@pytest.mark.parametrize("named", ["name", "subject", "session"])
def test_a_recording_that_is_called_by_a_number_is_refused(named):
    with pytest.raises(ValueError, match=f"Invalid {named}: 7, must be a text like '7'"):
        Recording.from_array(np.ones((4, 1)), 2, ["Cz"], **{named: 7})


def test_masked_samples_are_not_known():
    masked = np.ma.masked_equal(np.arange(4)[:, None], 2)
    assert np.isnan(Recording.from_array(masked, 2, ["Cz"]).read()[:, 0]).tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("value", [1j, "1", None])
def test_values_that_are_no_real_numbers_are_refused(value):
    with pytest.raises(ValueError, match=r"Invalid signal: .* values, must be real numbers"):
        Recording.from_array(np.full((4, 1), value), 2, ["Cz"])


def recordings_of_all_kinds(folder):
    """In memory, cut, in a file, in volts, simulated."""
    made = Recording.from_array(np.arange(400.0)[:, None] % 9, 100, ["Fp1"])
    rv.write_edf(folder / "a.edf", made.read(), made.layout)
    small = Recording.from_array(made.read() / 1e6, 100, ["Fp1"], subject="1")
    simulated = rv.simulate_seizures(subjects=1, minutes=5)[0].until(4)
    return [made, made.since(1), *rv.read(folder / "a.edf"), *rv.read(small), simulated]


def test_recordings_can_be_sent_to_other_processes(tmp_path):
    for recording in recordings_of_all_kinds(tmp_path):
        there = pickle.loads(pickle.dumps(recording))
        assert np.array_equal(there.read(), recording.read())


@pytest.mark.parametrize(("unit", "factor"), [("V", 1e6), ("mV", 1e3), ("uV", 1), ("nV", 1e-3)])
def test_arrays_come_out_in_microvolts(unit, factor):
    recording = Recording.from_array(np.ones((4, 1)), 2, ["Cz"], unit=unit)
    assert recording.read() == pytest.approx(np.full((4, 1), factor))


def test_an_unknown_unit_is_refused():
    with pytest.raises(ValueError, match="Invalid unit: 'T', possible options"):
        Recording.from_array(np.ones((4, 1)), 2, ["Cz"], unit="T")


def test_an_array_that_does_not_fit_its_channels_is_refused():
    with pytest.raises(ValueError, match=r"must be \(time, 2\) for 2 channels"):
        Recording.from_array(np.ones((4, 1)), 2, ["Cz", "Pz"])


def test_reading_takes_seconds():
    recording = Recording.from_array(np.arange(10)[:, None], 2, ["Cz"])
    assert recording.read(1, 2.5)[:, 0].tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("start", "stop"), [(4, 6), (3, 2), (-1, 2), (0, np.inf), (0, np.nan), (-np.inf, 1)]
)
def test_reading_outside_is_refused(start, stop):
    recording = Recording.from_array(np.arange(10)[:, None], 2, ["Cz"])
    with pytest.raises(ValueError, match="must lie in order between 0 and"):
        recording.read(start, stop)


@pytest.mark.parametrize("seconds", [-1, np.nan, -np.inf])
@pytest.mark.parametrize("part", [Recording.until, Recording.since, lambda r, s: [*r.blocks(s)]])
def test_a_length_that_is_none_is_refused(part, seconds):
    recording = Recording.from_array(np.arange(10)[:, None], 2, ["Cz"])
    with pytest.raises(ValueError, match=r"Invalid seconds: .*, must be at least 0"):
        part(recording, seconds)


@pytest.mark.parametrize("seconds", [5, 6, np.inf])
def test_a_recording_is_no_longer_than_it_is(seconds):
    recording = Recording.from_array(np.arange(10)[:, None], 2, ["Cz"])
    assert recording.until(seconds).samples == 10
    assert recording.since(seconds).samples == 0
    assert [len(block) for block in recording.blocks(seconds)] == [10]


def test_blocks_are_the_whole_in_order():
    recording = Recording.from_array(np.arange(10)[:, None], 2, ["Cz"])
    assert np.concatenate(list(recording.blocks(1.5)))[:, 0].tolist() == list(range(10))


def test_events_are_kept_in_order():
    events = Events((Event(5, 1), Event(2, 1)), 10)
    assert [event.onset for event in events] == [2, 5]


@pytest.mark.parametrize(
    ("onset", "duration"), [(math.nan, 1), (math.inf, 1), (0, -1), (0, math.inf), ("0", 1)]
)
def test_an_event_at_no_time_or_of_a_negative_length_is_refused(onset, duration):
    with pytest.raises(ValueError, match=r"Invalid event: onset .* and duration .*, must be"):
        Event(onset, duration)


def test_an_interval_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match=r"Invalid intervals: \(12, 9\), must be an onset and an"):
        Events.from_intervals([(1, 2), (12, 9)], 60)


def test_what_is_not_known_of_two_events_is_alike():
    one, other = Event(1, float("nan")), Event(1, float("nan"), confidence=float("nan"))
    assert (one, hash(one)) == (other, hash(other))
    assert one != Event(1, 2)
    assert Events((one,), float("nan")) == Events((other,), float("nan"))


def test_a_hypnogram_holds_a_tuple():
    assert Hypnogram(["W", "N1"], 60) == Hypnogram(("W", "N1"), 60)


@pytest.mark.parametrize("epoch", [0, -30, math.nan, math.inf])
def test_an_epoch_without_a_length_is_refused(epoch):
    with pytest.raises(ValueError, match=r"Invalid epoch: .* s, must be finite and above 0"):
        Hypnogram(("W",), 30, epoch)


@pytest.mark.parametrize(
    ("label", "expected"), [("sz", True), ("sz_foc_ia", True), ("bckg", False), ("szymon", False)]
)
def test_seizures_are_told_by_their_code(label, expected):
    assert Event(0, 1, label).is_seizure is expected


def test_overlapping_events_are_covered_once():
    events = Events.from_intervals([(0, 6), (4, 8)], 10)
    assert events.share(np.array([0.0, 5, 10])).tolist() == [1.0, 0.6]


def test_a_label_needs_half_of_the_hop():
    events = Events.from_intervals([(1.5, 3.4)], 10)
    assert events.targets(np.arange(1.0, 6), 1.0).tolist() == [0, 1, 1, 0, 0]


def test_an_event_without_a_known_end_stays_and_is_not_taken_for_background():
    endless = Events((Event(5, math.nan),), 60)
    assert [len(one) for one in (endless.until(30), endless.since(30))] == [1, 1]
    with pytest.raises(ValueError, match="Invalid events: sz at 5 s has no duration, must"):
        endless.targets(np.array([10.0]), 1.0)


def test_the_beginning_has_the_events_of_the_beginning():
    events = Events.from_intervals([(1, 3), (4, 5)], 5)
    recording = Recording.from_array(np.zeros((10, 1)), 2, ["Cz"], events=events).until(2)
    assert recording.duration == recording.events.duration == 2
    assert recording.events.intervals().tolist() == [[1, 2]]


def make_raw(kinds="eeg", names=("Fp1", "F3"), **info):
    """Two µV for ten seconds, with a seizure from second 5 on."""
    mne = pytest.importorskip("mne")
    made = mne.create_info(list(names), 100.0, kinds)
    raw = mne.io.RawArray(np.full((len(names), 1000), 2e-6), made, verbose="error")
    raw.info.update(info)
    return raw.set_annotations(mne.Annotations([5.0], [0.5], ["sz"]))


def test_an_mne_raw_is_a_recording():
    recording = Recording.from_mne(make_raw(), subject="01")
    assert recording.layout == Layout(("Fp1", "F3"), 100.0)
    assert recording.read() == pytest.approx(np.full((1000, 2), 2.0))
    assert recording.events.intervals().tolist() == [[5.0, 5.5]]
    assert recording.notes == ()


@pytest.mark.parametrize("began", [None, datetime(2024, 1, 1)])
def test_a_part_of_an_mne_raw_begins_where_it_was_cut(began):
    raw = make_raw().set_meas_date(began and began.replace(tzinfo=UTC)).crop(2, 9)
    recording = Recording.from_mne(raw)
    assert recording.start == (began and began + timedelta(seconds=2))
    assert recording.events.intervals().tolist() == [[3.0, 3.5]]


def test_channels_of_an_mne_raw_that_are_not_in_volts_are_left_out():
    kinds = ["stim", "eeg", "misc", "ecg"]
    recording = Recording.from_mne(make_raw(kinds, ("STI", "Fp1", "M", "ECG")), subject="01")
    assert recording.layout.channels == ("Fp1", "ECG")
    assert recording.read(0, 1) == pytest.approx(np.full((100, 2), 2.0))
    assert recording.notes == ("left out, not in a unit of voltage: STI, M",)


def test_an_mne_raw_without_volts_is_refused():
    with pytest.raises(ValueError, match="no channel is in volts, must have one of eeg, eog"):
        Recording.from_mne(make_raw("misc"))


def test_bad_channels_of_an_mne_raw_stay_and_are_named():
    recording = Recording.from_mne(make_raw(bads=["F3"]), subject="01")
    assert recording.layout.channels == ("Fp1", "F3")
    assert recording.notes == ("marked as bad, but not left out: F3",)


@pytest.mark.parametrize(
    ("told", "subject", "notes"),
    [
        ({"his_id": "p7"}, "p7", ()),
        ({"his_id": "X"}, "mne-raw", (ASSUMED_SUBJECT,)),
        (None, "mne-raw", (ASSUMED_SUBJECT,)),
    ],
)
def test_an_mne_raw_says_who_was_recorded_or_its_name_stands_for_it(told, subject, notes):
    recording = Recording.from_mne(make_raw(subject_info=told))
    assert (recording.subject, recording.notes) == (subject, notes)


def test_an_mne_raw_is_called_as_its_file(tmp_path):
    mne = pytest.importorskip("mne")
    make_raw().save(tmp_path / "night_raw.fif", verbose="error")
    (recording,) = rv.read(mne.io.read_raw_fif(tmp_path / "night_raw.fif", verbose="error"))
    assert (recording.name, recording.subject) == ("night_raw", "night_raw")


def test_mne_raws_without_a_name_are_numbered():
    found = rv.read([make_raw(), [make_raw(), make_raw(subject_info={"his_id": "p7"})]])
    assert [one.name for one in found] == ["mne-raw-1", "mne-raw-2", "mne-raw-3"]
    assert [one.subject for one in found] == ["mne-raw-1", "mne-raw-2", "p7"]


def test_a_file_of_edf_without_a_date_has_none_by_mne_either(tmp_path):
    mne = pytest.importorskip("mne")
    path = rv.write_edf(tmp_path / "a.edf", np.ones((100, 1)), Layout(("Fp1",), 100.0))
    (recording,) = rv.read(mne.io.read_raw_edf(path, verbose="error"))
    assert (rv.read(path)[0].start, recording.start) == (None, None)


def test_stretches_of_an_mne_raw_that_are_bad_stay_and_are_counted():
    raw = make_raw()
    raw.annotations.append([1.0, 3.0], [0.5, 0.5], ["BAD_muscle", "bad"])
    notes = Recording.from_mne(raw, subject="01").notes
    assert notes == ("stretches marked as bad, but not left out: 2",)


def test_annotations_of_sleep_in_an_mne_raw_become_a_hypnogram():
    raw = make_raw().crop(1)
    raw.annotations.append([1.0, 3.0], [2.0, 4.0], ["Sleep stage W", "Sleep stage 2"])
    (recording,) = rv.read(raw)
    assert recording.hypnogram == Hypnogram(("W", "N2", "N2"), 9.0, 2.0)
    assert recording.events.intervals().tolist() == [[4.0, 4.5]]


def make_night(texts):
    """Two minutes awake, three of another stage."""
    mne = pytest.importorskip("mne")
    raw = mne.io.RawArray(
        np.ones((1, 3000)), mne.create_info(["Fp1"], 10.0, "eeg"), verbose="error"
    )
    return raw.set_annotations(mne.Annotations([0.0, 120.0], [120.0, 180.0], texts))


@pytest.mark.parametrize(
    ("begin", "end", "first", "stages"),
    [(30, 240, 0, "WWW2222"), (45, 240, 15, "WW2222"), (110, 299, 10, "22222")],
)
def test_epochs_that_a_crop_has_cut_are_left_out(begin, end, first, stages):
    (recording,) = rv.read(make_night(["Sleep stage W", "Sleep stage 2"]).crop(begin, end))
    assert "".join(recording.hypnogram.stages) == stages.replace("2", "N2")
    assert recording.hypnogram.first == pytest.approx(first)


def test_stages_that_make_no_sense_are_left_out_with_a_note():
    (recording,) = rv.read(make_night(["Sleep stage W", "Sleep stage 7"]), subject="01")
    assert recording.hypnogram is None
    assert recording.notes[0].startswith("stages of sleep are left out: invalid stage: 'Sleep sta")
