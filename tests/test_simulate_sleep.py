"""Simulated nights: repeatable, independent of one another, with stages as real ones have them."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import welch

import ranvier as rv
from ranvier.__main__ import main
from ranvier.recording import Recording
from ranvier.simulate.sleep import plan_night, plan_sleeper, simulate_nights, table
from ranvier.simulate.sleep_waves import KINDS
from ranvier.truth import SLEEP_STAGES

HOURS = 0.5


@pytest.fixture(scope="module")
def night() -> Recording:
    return simulate_nights(subjects=1, hours=HOURS)[0]


@pytest.fixture(scope="module")
def long() -> Recording:
    return simulate_nights(subjects=1, hours=4)[0]


def spectrum(recording: Recording, stage: str, channel: int) -> tuple[np.ndarray, np.ndarray]:
    epochs = recording.read()[:, channel].reshape(-1, 3000)
    kept = epochs[np.array(recording.hypnogram.stages) == stage]
    frequencies, density = welch(kept, 100, nperseg=400)
    return frequencies, np.median(density, axis=0)


def power(recording: Recording, stage: str, low: float, high: float, channel: int = 0) -> float:
    frequencies, density = spectrum(recording, stage, channel)
    return float(density[(frequencies >= low) & (frequencies < high)].mean())


def test_the_same_seed_gives_the_same_signal_bit_for_bit(night):
    before = night.read()
    for other in simulate_nights(subjects=3, hours=HOURS):
        other.read(0, 1)
    again = simulate_nights(subjects=1, hours=HOURS)[0]
    assert again.read().tobytes() == before.tobytes()
    assert again.hypnogram == night.hypnogram


def test_another_seed_gives_another_night(night):
    other = simulate_nights(subjects=1, hours=HOURS, seed=1)[0]
    assert not np.array_equal(other.read(), night.read())
    assert plan_sleeper(1) != plan_sleeper(1, seed=1)


def test_a_night_does_not_depend_on_how_many_others_there_are(night):
    first, *_ = simulate_nights(subjects=3, nights=2, hours=HOURS)
    assert np.array_equal(first.read(), night.read())


def test_sleepers_and_nights_of_a_sleeper_differ():
    nights = simulate_nights(subjects=2, nights=2, hours=HOURS)
    assert len({one.read(0, 5).tobytes() for one in nights}) == 4
    assert [(one.subject, one.session) for one in nights[:2]] == [("01", "01"), ("01", "02")]


def test_a_part_is_read_as_it_stands_in_the_whole(night):
    assert np.array_equal(night.read(700, 712), night.read()[70_000:71_200])


def test_what_was_read_may_be_changed_without_harm(night):
    before = night.read(0, 1)
    night.read(0, 1)[:] = 0
    assert np.array_equal(night.read(0, 1), before)


def test_recordings_say_what_they_are(night):
    assert night.layout.channels == ("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal")
    assert (night.layout.rate, night.layout.unit, night.duration) == (100, "µV", 1800)
    assert night.name == "sub-01_ses-01_task-sleep_run-00"
    assert night.events is None
    assert (len(night.hypnogram), night.hypnogram.duration) == (60, 1800)
    assert np.isfinite(night.read()).all()


@pytest.mark.parametrize("hours", [0.1, 0.26, 1, 7.5])
def test_a_night_is_whole_epochs_and_begins_awake_or_in_light_sleep(hours):
    night = plan_night(plan_sleeper(2), hours=hours)
    assert len(night.stages) == int(hours * 120)
    assert SLEEP_STAGES[night.stages[0]] in ("W", "N1")


def test_deep_sleep_comes_early_and_rem_sleep_late():
    plans = [plan_night(plan_sleeper(number), hours=8).stages for number in range(1, 13)]
    halves = np.array(plans).reshape(len(plans), 2, -1)
    early, late = ([(half == code).mean() for code in (3, 4)] for half in halves.transpose(1, 0, 2))
    assert early[0] > 1.5 * late[0]
    assert late[1] > 1.5 * early[1]


def test_stages_follow_one_another_as_often_as_in_real_nights():
    plans = [plan_night(plan_sleeper(number), hours=8).stages for number in range(1, 41)]
    counts = np.zeros((5, 5))
    for stages in plans:
        np.add.at(counts, (stages[:-1], stages[1:]), 1)
    real = table().transitions.sum(axis=0)
    stays = [np.diag(each) / each.sum(axis=1) for each in (counts, real)]
    np.testing.assert_allclose(stays[0][1:], stays[1][1:], atol=0.06)


def test_every_stage_takes_a_part_like_that_of_real_nights():
    plans = [plan_night(plan_sleeper(number), hours=8).stages for number in range(1, 41)]
    shares = np.bincount(np.concatenate(plans), minlength=5) / sum(map(len, plans))
    real = table().transitions.sum(axis=(0, 1))
    np.testing.assert_allclose(shares[1:], (real / real.sum())[1:], atol=0.08)


def test_the_waves_of_a_stage_are_in_its_spectrum(long):
    slow = {stage: power(long, stage, 0.5, 2) for stage in ("N1", "N2", "N3")}
    assert slow["N3"] > 2 * slow["N2"] > 3 * slow["N1"]
    sides = power(long, "N2", 9, 11) + power(long, "N2", 16, 18)
    assert power(long, "N2", 12, 15) > 0.5 * sides
    assert power(long, "W", 30, 45) > 2 * power(long, "N2", 30, 45)


def test_amplitudes_are_those_of_a_scalp(long):
    assert (long.read().std(axis=0) > 5).all()
    assert (long.read().std(axis=0) < 100).all()


def test_the_table_says_where_it_comes_from_and_fits_the_stages():
    assert table().means.shape == (len(SLEEP_STAGES), 2 * len(table().bands))
    assert table().transitions.shape[1:] == (5, 5)
    assert all(len(kind.per_minute) == len(SLEEP_STAGES) for kind in KINDS.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subjects": 0}, "Invalid subjects: 0, must be at least 1"),
        ({"nights": 0}, "Invalid nights: 0, must be at least 1"),
        ({"nights": 10**9}, "Invalid nights: 1000000000, must be .* at most 10000"),
        ({"hours": 0.05}, "Invalid hours: 0.05, must be at least 0.1 and at most 24"),
        ({"hours": float("inf")}, "Invalid hours: inf"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_nights(**options)


def test_the_command_writes_nights_that_come_back(tmp_path, capsys):
    words = ["--subjects", "2", "--nights", "2", "--minutes", "6", "--json"]
    assert main(["simulate", "sleep", str(tmp_path / "nights"), *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    found = rv.read(tmp_path / "nights")
    assert (answer["recordings"], answer["epochs"]) == (len(found), 48) == (4, 48)
    made = rv.simulate_nights(subjects=2, nights=2, hours=0.1)
    assert [one.hypnogram for one in found] == [one.hypnogram for one in made]
    np.testing.assert_allclose(found[3].read(), made[3].read(), atol=0.02)


def test_the_command_tells_how_much_of_each_stage_there_is(tmp_path, capsys):
    words = ["--subjects", "1", "--minutes", "6"]
    assert main(["simulate", "sleep", str(tmp_path / "nights"), *words]) == 0
    assert (
        "1 recordings of 1 simulated subjects, 0.1 h with 12 epochs: W" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sleep", "--units", "5"], "Invalid units: sleep has no such option, possible: subjects"),
        (["sleep", "--minutes", "5"], "Invalid minutes: 5.0, must be at least 6 and at most 1440"),
        (["sleep", "--minutes", "1e9"], "must be at least 6 and at most 1440"),
        (["seizure", "--minutes", "1e9"], "must be at least 3 and at most 1440"),
        (["slep"], "Invalid task: 'slep', possible options"),
    ],
)
def test_the_command_refuses_what_does_not_fit_the_task(tmp_path, capsys, words, message):
    task, *options = words
    assert main(["simulate", task, str(tmp_path / "none"), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_command_begins_nothing_that_the_disk_has_no_room_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**8))
    words = ["simulate", "sleep", str(tmp_path / "none"), "--subjects", "20"]
    assert main(words) == 1
    assert "MB are needed, 100.0 MB are free" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
