"""A decoder in the hands of simulated users: what lies in the loop decides how well they steer."""

import numpy as np
import pytest

import ranvier as rv
from ranvier.closed_loop import HOLD, RADIUS, Control, Loop, Trial, _Users, steer
from ranvier.simulate import simulate_reaches
from ranvier.simulate.movement import plan_units


@pytest.fixture(scope="module")
def units():
    (planned,) = plan_units(1, 1, 60)
    return planned


@pytest.fixture(scope="module")
def decoder():
    return rv.train("movement", simulate_reaches(subjects=1, minutes=2), network="wiener")


def throughput(controls: list[Control]) -> float:
    return float(np.mean([one.throughput for one in controls]))


def test_throughput_falls_as_latency_grows(decoder, units):
    found = [
        throughput(steer(decoder, units, Loop(late), seconds=60)) for late in (0.02, 0.15, 0.3)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 1.5 * found[-1]


def people(users: int, latency: float = 0.0) -> _Users:
    return _Users(users, 0.05, Loop(latency), np.random.default_rng(0))


@pytest.mark.parametrize(("latency", "bins"), [(0, 0), (0.02, 1), (0.05, 1), (0.07, 2), (0.15, 3)])
def test_the_cursor_moves_from_the_first_bin_on_that_is_not_before_the_latency(latency, bins):
    one = people(1, latency)
    one.receive(np.ones((1, 2)))
    moved = []
    for _ in range(5):
        one.move()
        moved.append(one.velocity[0, 0])
    assert moved == [0.0] * bins + [1.0] * (5 - bins)


@pytest.mark.parametrize("users", [1, 2])
def test_a_velocity_that_comes_late_does_not_replace_a_newer_one(users):
    one, moved = people(users), []
    for number, late in enumerate([(0, 0), (0.1, 0.05), (0, 0.35)]):
        one.send(np.full((users, 2), number + 1.0), np.array(late[:users]))
        one.move()
        moved.append(one.velocity[0, 0])
    for _ in range(4):
        one.move()
        moved.append(one.velocity[0, 0])
    assert moved == [1, 1, 3, 3, 3, 3, 3]


def test_nothing_is_known_of_a_user_who_came_to_the_end_of_no_target(decoder, units):
    (control,) = steer(decoder, units, users=1, seconds=0.2)
    assert control.trials == []
    assert np.isnan(
        [control.reached, control.seconds, control.efficiency, control.throughput]
    ).all()


def test_lost_bins_and_silent_units_cost_throughput(decoder, units):
    whole, lost, silent = (
        throughput(steer(decoder, units, loop, seconds=60))
        for loop in (Loop(), Loop(lost=0.3), Loop(silent=0.6))
    )
    assert max(lost, silent) < 0.9 * whole


def test_when_nothing_arrives_nothing_is_reached(decoder, units):
    for control in steer(decoder, units, Loop(lost=1.0), users=2, seconds=25):
        assert [(one.reached, one.path) for one in control.trials] == [(False, 0.0)] * 2
        assert control.throughput == 0
        assert np.isnan(control.seconds)


def test_the_same_seed_gives_the_same_trials(decoder, units):
    first, second, other = (
        steer(decoder, units, Loop(jitter=0.1), users=2, seconds=15, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == second != other


def test_a_reached_target_takes_at_least_the_time_to_rest_in_it(decoder, units):
    trials = [one for control in steer(decoder, units, seconds=30) for one in control.trials]
    assert min(one.seconds for one in trials) > HOLD
    assert all(one.path >= one.distance - RADIUS - 1e-9 for one in trials if one.reached)


def test_throughput_worked_out_by_hand():
    control = Control([Trial(True, 2.0, 9.0, 18.0), Trial(False, 10.0, 9.0, 50.0)])
    assert control.throughput == pytest.approx(np.log2(1 + 9 / 3) / 12)
    assert (control.reached, control.seconds, control.efficiency) == (0.5, 2.0, 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latency": -0.1}, "Invalid latency: -0.1 s, must be 0 or more"),
        ({"jitter": float("nan")}, "Invalid jitter"),
        ({"lost": 1.1}, "Invalid lost: 1.1, must be from 0 to 1"),
        ({"silent": -1.0}, "Invalid silent: -1, must be from 0 to 1"),
    ],
)
def test_a_loop_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Loop(**options)


def test_other_units_than_it_was_trained_on_are_refused(decoder):
    (fewer,) = plan_units(1, 1, 10)
    with pytest.raises(ValueError, match="unit 10"):
        steer(decoder, fewer)


@pytest.mark.parametrize(("users", "seconds"), [(0, 10.0), (1, 0.0), (1, float("inf"))])
def test_users_and_time_are_above_zero(decoder, units, users, seconds):
    with pytest.raises(ValueError, match="Invalid users or seconds"):
        steer(decoder, units, users=users, seconds=seconds)
