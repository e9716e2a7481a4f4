"""Simulated patients: repeatable, independent of one another, and plausible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import welch

from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY, pick, position
from ranvier.recording import Recording, Signal
from ranvier.simulate import simulate_patient, simulate_seizures
from ranvier.simulate.seizures import GAP, Patient, plan_patient

MINUTES = 4


@pytest.fixture(scope="module")
def patient() -> Patient:
    return plan_patient(1, minutes=MINUTES)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return simulate_patient(1, minutes=MINUTES)[0]


@pytest.fixture(scope="module")
def background(recording: Recording, patient: Patient) -> Signal:
    """Return what lies before the first seizure or well after the last."""
    (seizure,) = patient.runs[0].seizures
    signal, rate = recording.read(), 256
    before = signal[: round(seizure.onset * rate)]
    after = signal[round((seizure.onset + seizure.duration + 60) * rate) :]
    return max(before, after, key=len)


def power(signal: Signal, low: float, high: float) -> np.ndarray:
    frequencies, density = welch(signal, 256, nperseg=512, axis=0)
    return density[(frequencies >= low) & (frequencies < high)].mean(axis=0)


def test_the_same_seed_gives_the_same_signal_bit_for_bit(recording):
    signal = recording.read()
    simulate_patient(2, minutes=MINUTES)[0].read()
    simulate_patient(3, minutes=MINUTES)[0].read()
    again = simulate_patient(1, minutes=MINUTES)[0].read()
    assert signal.tobytes() == again.tobytes()


def test_another_seed_gives_another_signal_and_another_plan(recording):
    other = simulate_patient(1, minutes=MINUTES, seed=1)[0]
    assert not np.array_equal(other.read(), recording.read())
    assert plan_patient(1) != plan_patient(1, seed=1)


def test_a_patient_does_not_depend_on_how_many_others_there_are(recording):
    first, *_ = simulate_seizures(subjects=5, minutes=MINUTES)
    assert np.array_equal(first.read(), recording.read())
    assert first.events == recording.events


def test_patients_and_runs_of_a_patient_differ():
    ours = [r for r in simulate_seizures(subjects=2, minutes=26) if r.name.endswith("00")]
    runs = simulate_patient(1, minutes=26)
    pieces = [r.read(0, 2) for r in (*runs, ours[1])]
    assert not np.array_equal(pieces[0], pieces[1])
    assert not np.array_equal(pieces[0], pieces[2])


def test_a_part_is_read_as_it_stands_in_the_whole(recording):
    assert np.array_equal(recording.read(10, 12), recording.read()[2560:3072])


def test_what_was_read_may_be_changed_without_harm(recording):
    before = recording.read(0, 1)
    recording.read(0, 1)[:] = 0
    assert np.array_equal(recording.read(0, 1), before)


def test_recordings_say_what_they_are(recording):
    assert recording.name == "sub-01_ses-01_task-szMonitoring_run-00"
    assert (recording.subject, recording.session) == ("01", "01")
    assert recording.layout.channels == TEN_TWENTY
    assert recording.read().shape == (recording.samples, 19)
    assert recording.read().dtype == np.float32


def test_runs_follow_one_another_in_time():
    first, second = simulate_patient(1)
    assert first.start is not None
    assert second.start is not None
    assert (second.start - first.start).total_seconds() == first.duration


@pytest.mark.parametrize("seed", range(5))
def test_the_default_set_has_six_hours_of_background(seed):
    recordings = simulate_seizures(seed=seed)
    seizures = sum(event.duration for r in recordings for event in r.events)
    assert sum(r.duration for r in recordings) - seizures >= 6 * 3600


@given(st.integers(1, 40), st.floats(3, 150), st.integers(0, 1000))
def test_seizures_lie_within_their_run_and_apart(subject, minutes, seed):
    for recording in simulate_patient(subject, minutes=minutes, seed=seed):
        intervals = recording.events.intervals()
        assert (intervals >= 0).all()
        assert (intervals <= recording.duration).all()
        assert (intervals[1:, 0] - intervals[:-1, 1] > GAP - 0.1).all()


@given(st.integers(1, 40), st.integers(0, 1000))
def test_a_patient_has_one_to_three_seizures_of_20_to_90_seconds(subject, seed):
    seizures = [
        seizure for run in plan_patient(subject, seed=seed).runs for seizure in run.seizures
    ]
    assert 1 <= len(seizures) <= 3
    assert all(20 <= seizure.duration <= 90 for seizure in seizures)


@given(st.floats(3, 30))
def test_even_a_short_patient_has_a_seizure(minutes):
    assert any(run.seizures for run in plan_patient(1, minutes=minutes).runs)


def test_the_third_patient_of_eight_is_hard():
    contrasts = [plan_patient(number).contrast for number in range(1, 9)]
    assert np.argmin(contrasts) == 2
    assert contrasts[2] < 0.4 * min(contrasts[:2] + contrasts[3:])


def test_the_double_banana_is_the_difference_of_the_leads(recording):
    bipolar = simulate_patient(1, minutes=MINUTES, montage="double_banana")[0]
    signal = recording.read()
    derivations = pick(TEN_TWENTY, "double_banana").derivations
    expected = [sum(sign * signal[:, i] for i, sign in d.terms) for d in derivations]
    assert bipolar.layout.channels == DOUBLE_BANANA
    assert np.array_equal(bipolar.read(), np.stack(expected, axis=1))


@pytest.mark.parametrize("rate", [128.0, 200.0, 512.0])
def test_other_rates_give_the_same_seizures(rate, recording):
    other = simulate_patient(1, minutes=MINUTES, rate=rate)[0]
    assert other.read().shape == (round(MINUTES * 60 * rate), 19)
    assert other.events == recording.events


@pytest.mark.parametrize("subject", [1, 2, 3])
def test_amplitudes_are_those_of_a_scalp(subject):
    deviations = simulate_patient(subject, minutes=MINUTES)[0].read().std(axis=0)
    assert deviations.min() > 5
    assert deviations.max() < 200


def test_power_falls_about_as_one_over_frequency(background):
    frequencies, density = welch(background[:, TEN_TWENTY.index("Fz")], 256, nperseg=512)
    kept = (frequencies >= 1) & (frequencies <= 40) & (abs(frequencies - 10) > 3)
    slope, _ = np.polyfit(np.log(frequencies[kept]), np.log(density[kept]), 1)
    assert -2.5 < slope < -0.7


def test_alpha_stands_out_at_the_back(background, patient):
    alpha = patient.alpha
    sides = power(background, alpha - 4, alpha - 2) * power(background, alpha + 2, alpha + 4)
    height = power(background, alpha - 1, alpha + 1) / np.sqrt(sides)
    of = dict(zip(TEN_TWENTY, height, strict=True))
    assert min(of["O1"], of["O2"]) > 1.3 * max(of["Fp1"], of["Fp2"], of["Fz"], of["C3"])


def test_a_seizure_raises_power_at_its_focus_more_than_far_away(recording, background, patient):
    (seizure,) = patient.runs[0].seizures
    ictal = recording.read(seizure.onset, seizure.onset + seizure.duration)
    rise = power(ictal, 2, 10) / power(background, 2, 10)
    distances = [np.linalg.norm(position(n) - position(patient.focus)) for n in TEN_TWENTY]
    assert rise[np.argmin(distances)] > 2
    assert rise[np.argmin(distances)] > 2 * rise[np.argmax(distances)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subjects": 0}, "Invalid subjects: 0, must be at least 1"),
        ({"subjects": 10**9}, "Invalid subjects: 1000000000, must be .* at most 10000"),
        ({"minutes": 2}, "Invalid minutes: 2, must be at least 3 and at most 1440"),
        ({"minutes": 1e9}, "Invalid minutes: 1000000000.0, must be at least 3 and at most 1440"),
        ({"minutes": np.nan}, "Invalid minutes: nan, must be at least 3 and at most 1440"),
        ({"rate": 100}, "Invalid rate: 100 Hz, must be finite and at least 128 Hz"),
        ({"montage": "laplacian"}, "Invalid montage: 'laplacian'"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_seizures(**options)


def test_a_patient_below_one_is_refused():
    with pytest.raises(ValueError, match="Invalid subject: 0, must be at least 1"):
        simulate_patient(0)
