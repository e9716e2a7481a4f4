"""Simulated reaches: repeatable, smooth, and in the spikes."""

import json

import numpy as np
import pytest

import ranvier as rv
from ranvier.__main__ import main
from ranvier.recording import Recording
from ranvier.simulate.movement import plan_units, simulate_reaches

MINUTES = 2


@pytest.fixture(scope="module")
def session() -> Recording:
    return simulate_reaches(subjects=1, minutes=MINUTES)[0]


def fitted_r2(counts: np.ndarray, velocity: np.ndarray) -> float:
    """Fit ridge with ten bins of history to the first 80 % and score it on the rest."""
    seen = np.lib.stride_tricks.sliding_window_view(counts, 10, axis=0).reshape(len(counts) - 9, -1)
    seen, moved = seen - seen.mean(axis=0), velocity[9:]
    cut = round(0.8 * len(seen))
    inner = seen[:cut].T @ seen[:cut] + 100 * np.eye(seen.shape[1])
    given = seen[cut:] @ np.linalg.solve(inner, seen[:cut].T @ moved[:cut])
    return float(1 - ((given - moved[cut:]) ** 2).sum() / (moved[cut:] ** 2).sum())


def test_the_same_seed_gives_the_same_counts(session):
    again, *_ = simulate_reaches(subjects=3, sessions=2, minutes=MINUTES)
    assert np.array_equal(again.read(), session.read())
    assert np.array_equal(again.trajectory.values, session.trajectory.values)
    other = simulate_reaches(subjects=1, minutes=MINUTES, seed=1)[0]
    assert not np.array_equal(other.read(), session.read())


def test_recordings_say_what_they_are(session):
    assert (session.layout.unit, session.layout.rate) == ("count", 20)
    assert session.read().shape == (MINUTES * 60 * 20, 60)
    assert (session.subject, session.session) == ("01", "01")
    assert session.trajectory.first == 0.05
    assert (session.trajectory.axes, session.trajectory.unit) == (("x", "y"), "cm/s")
    assert len(session.trajectory) == session.samples


def test_counts_are_whole_and_rates_those_of_cortex(session):
    counts = session.read()
    assert (counts == np.round(counts)).all()
    assert 2 < counts.mean() * 20 < 30


def test_the_hand_rests_stays_in_its_place_and_moves_smoothly(session):
    velocity = session.trajectory.values
    speed = np.linalg.norm(velocity, axis=1)
    assert 0.1 < (speed == 0).mean() < 0.6
    assert 20 < speed.max() < 100
    assert abs(np.cumsum(velocity * 0.05, axis=0)).max() < 25
    assert abs(np.diff(velocity, axis=0)).max() < 20


def test_the_same_hand_moves_whatever_the_bins(session):
    fine = simulate_reaches(subjects=1, minutes=MINUTES, bin_seconds=0.01)[0]
    np.testing.assert_allclose(fine.trajectory.values[4::5], session.trajectory.values, atol=1e-3)


def test_a_ridge_decodes_velocity_but_not_from_shuffled_spikes(session):
    counts, velocity = session.read(), session.trajectory.values
    assert 0.5 < fitted_r2(counts, velocity) < 0.9
    shuffled = np.random.default_rng(0).permutation(counts)
    assert fitted_r2(shuffled, velocity) < 0.1


def test_spikes_lead_movement(session):
    counts, speed = session.read(), np.linalg.norm(session.trajectory.values, axis=1)
    total = counts.sum(axis=1) - counts.sum(axis=1).mean()
    lags = range(-6, 7)
    sums = [np.dot(total[10:-10], np.roll(speed, -lag)[10:-10]) for lag in lags]
    assert 1 <= lags[int(np.argmax(sums))] <= 4


def test_tuning_drifts_from_session_to_session_of_a_subject():
    first, second, third = plan_units(1, 3, 60)
    near, far = (np.abs(one.direction - first.direction).mean() for one in (second, third))
    assert 0.1 < near < far
    assert np.array_equal(plan_units(1, 2, 60)[1].direction, second.direction)
    assert not np.array_equal(plan_units(2, 1, 60)[0].direction, first.direction)


def test_some_units_have_nothing_to_do_with_movement():
    (units,) = plan_units(1, 1, 500)
    assert 0.05 < ((units.depth == 0) & (units.speed == 0)).mean() < 0.25


def test_trials_may_be_separated_by_a_bin_that_is_not_valid(session):
    cut = simulate_reaches(subjects=1, minutes=MINUTES, gaps=True)[0]
    missing = np.isnan(cut.read())
    assert 60 < missing.all(axis=1).sum() == missing.any(axis=1).sum() < 200
    assert np.array_equal(np.isnan(cut.trajectory.values).any(axis=1), missing.any(axis=1))
    assert np.array_equal(cut.read()[~missing], session.read()[~missing])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subjects": 0}, "Invalid subjects: 0, must be at least 1"),
        ({"sessions": 0}, "Invalid sessions: 0, must be at least 1"),
        ({"units": 0}, "Invalid units: 0, must be at least 1"),
        ({"units": 10**9}, "Invalid units: 1000000000, must be .* at most 10000"),
        ({"minutes": 0}, "Invalid minutes: 0, must be at least 0.1 and at most 1440"),
        ({"minutes": 1e9}, "Invalid minutes: 1000000000.0, must be at least 0.1 and at most 1440"),
        ({"bin_seconds": 0}, "Invalid bin_seconds: 0, must be at least 0.001 and at most 1"),
        ({"bin_seconds": 1e-9}, "Invalid bin_seconds: 1e-09, must be at least 0.001"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_reaches(**options)


def test_the_command_writes_sessions_that_come_back(tmp_path, capsys):
    words = [
        "--subjects",
        "2",
        "--sessions",
        "2",
        "--minutes",
        "1",
        "--units",
        "7",
        "--gaps",
        "true",
    ]
    assert main(["simulate", "movement", str(tmp_path / "reaches"), *words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["recordings"], answer["units"], answer["bins"]) == (4, 7, 4800)
    found = rv.read(tmp_path / "reaches")
    made = rv.simulate_reaches(subjects=2, sessions=2, minutes=1, units=7, gaps=True)
    for one, other in zip(found, made, strict=True):
        assert (one.name, one.subject, one.notes) == (other.name, other.subject, ())
        np.testing.assert_array_equal(one.read(), other.read())


def test_the_command_tells_what_was_simulated(tmp_path, capsys):
    words = ["--subjects", "1", "--minutes", "1", "--bin_seconds", "0.1"]
    assert main(["simulate", "movement", str(tmp_path / "reaches"), *words]) == 0
    assert "subjects, 1 min with 60 units in bins of 100 ms" in capsys.readouterr().out
