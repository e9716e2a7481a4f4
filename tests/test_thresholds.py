"""The choice of a threshold: by event F1, or within a budget of false alarms."""

from dataclasses import replace

import numpy as np
import pytest

import ranvier as rv
from ranvier.__main__ import main
from ranvier.alarms import AlarmRule, sigmoid
from ranvier.decoding import Prediction
from ranvier.fit import Fitted
from ranvier.fitting import certificate_of, certify_choice, prepare_annotated, with_threshold
from ranvier.scoring.seizure import event_f1
from ranvier.splits import Fold
from ranvier.thresholds import FalseAlarms, choose_threshold, rate_bound

RULE = AlarmRule(minimum_seconds=0, merge_seconds=0)
HOP = 10.0
SEIZURE = (1000.0, 1060.0)
LEVELS = np.linspace(-2, 12, 71)


def predicted(values, subject="01"):
    times, none = HOP * np.arange(1.0, len(values) + 1), np.empty((len(values), 0))
    given = np.asarray(values, dtype=float)[:, None]
    about = (f"sub-{subject}", subject, HOP * len(values), HOP)
    return Prediction(*about, times, given, none, none, (), RULE).decided_by(RULE)


def patient(subject, *, hours=2, bursts=12):
    """Low values, a seizure, and bursts whose logits have an exponential tail."""
    rng = np.random.default_rng(int(subject))
    values = np.full(hours * 360, 0.05)
    places = 150 + 15 * rng.permutation((hours * 360 - 160) // 15)[:bursts]
    values[places] = sigmoid(-1 + rng.exponential(1.0, len(places)))
    values[100:106] = 0.99
    return predicted(values, subject)


def cohort(patients, **options):
    predictions = [patient(f"{n:02}", **options) for n in range(1, patients + 1)]
    truth = {one.name: rv.Events.from_intervals([SEIZURE], one.duration) for one in predictions}
    return predictions, truth


def drawn(patients, per_patient, rng):
    """Return false alarms of patients of a tenth of a day whose logits are exponential above 0."""
    peaks = [rng.exponential(1.0, rng.poisson(per_patient)) for _ in range(patients)]
    counts = np.array([(own[:, None] >= LEVELS).sum(axis=0) for own in peaks])
    return FalseAlarms(LEVELS, counts, np.full(patients, 0.1))


def f1_at(threshold, predictions, truth):
    rule = replace(RULE, threshold=threshold)
    return event_f1([one.decided_by(rule) for one in predictions], truth)


def test_by_default_the_threshold_has_the_best_f1():
    predictions, truth = cohort(2)
    choice = choose_threshold(predictions, truth, RULE)
    best = max(f1_at(other, predictions, truth) for other in np.linspace(0.1, 0.989, 50))
    assert f1_at(choice.threshold, predictions, truth) >= best
    assert choice.why == "best event F1"


def test_the_bound_of_nothing_is_the_rule_of_three():
    assert rate_bound(np.zeros(4), np.full(4, 0.25), 0.95) == pytest.approx(-np.log(0.05))


def test_patients_that_differ_make_the_bound_wider():
    days = np.ones(4)
    alike, apart = np.array([5, 5, 5, 5]), np.array([0, 0, 0, 20])
    assert rate_bound(apart, days) > 1.5 * rate_bound(alike, days) > 1.5 * 5


def test_a_bound_covers_the_rate_as_often_as_it_says():
    rng = np.random.default_rng(0)
    bounds = [rate_bound(rng.poisson(3.0, 5), np.ones(5), 0.8) for _ in range(2000)]
    assert np.mean(np.array(bounds) >= 3.0) >= 0.8


def test_a_budget_that_is_shown_says_on_how_much():
    choice = choose_threshold(*cohort(4), RULE, budget=20)
    shown = "with 80% confidence, shown on 8.0 h of 4 patients, 4 of 4 seizures found"
    assert choice.why == f"at most 20 false per 24 h {shown}"


def test_a_budget_that_cannot_be_shown_says_what_can():
    choice = choose_threshold(*cohort(2), RULE, budget=2)
    assert choice.why.startswith("at most 2 false per 24 h, NOT shown but extrapolated: ")
    assert "4.0 h of 2 patients show at best 9.7 with 80% confidence" in choice.why


@pytest.mark.parametrize(("patients", "budget"), [(2, 2), (8, 2), (8, 20), (50, 2)])
def test_a_budget_holds_as_often_as_it_says(patients, budget):
    rng, held = np.random.default_rng(0), []
    for _ in range(200):
        false = drawn(patients, 8.0, rng)
        shown = false.shown(budget)
        level = false.extrapolated(budget) if shown is None else shown
        held.append(80 * np.exp(-level) <= budget)
    assert np.mean(held) >= 0.78


def test_a_larger_budget_is_never_less_sensitive():
    chosen = [choose_threshold(*cohort(2), RULE, budget=b).threshold for b in (1, 5, 100)]
    assert chosen == sorted(chosen, reverse=True)


def test_a_patient_under_two_names_is_one():
    predictions, truth = cohort(2)
    names = ("chb01", "chb21")
    same = [replace(one, subject=name) for one, name in zip(predictions, names, strict=True)]
    assert "of 1 patient show" in choose_threshold(same, truth, RULE, budget=2).why


def test_the_parts_of_one_patient_are_one_patient():
    predictions, truth = cohort(2)
    parts = [replace(one, subject=f"{one.name}_part-2 of m") for one in predictions]
    assert "of 1 patient show" in choose_threshold(parts, truth, RULE, budget=2).why


def test_without_any_false_alarm_nothing_is_extrapolated():
    false = FalseAlarms(LEVELS, np.zeros((2, len(LEVELS)), dtype=int), np.full(2, 0.1))
    assert false.shown(2) is None
    assert false.extrapolated(2) is None


def test_without_a_valid_output_the_rule_stays():
    silent = predicted(np.full(100, np.nan))
    truth = {silent.name: rv.Events((), 100.0)}
    assert choose_threshold([silent], truth, RULE, budget=2).threshold == RULE.threshold


def test_levels_are_shown_from_the_top_down_to_the_first_that_fails():
    counts = 50 * (np.arange(len(LEVELS)) == 20)[None]
    false = FalseAlarms(LEVELS, counts, np.array([10.0]))
    assert false.shown(1.0) == LEVELS[21]
    assert false.shown(0.1) is None


@pytest.mark.parametrize("budget", [0, -1, float("inf"), float("nan")])
def test_impossible_budgets_are_refused(budget):
    with pytest.raises(ValueError, match="Invalid false_alarms_per_day"):
        rv.Recipe(false_alarms_per_day=budget)


def test_a_budget_is_for_seizures():
    with pytest.raises(ValueError, match="Invalid false_alarms_per_day: 2 for the task 'sleep'"):
        rv.Recipe(task="sleep", false_alarms_per_day=2)


def test_certificates_tell_what_a_budget_rests_on(decoder, recordings, tmp_path):
    prepared = prepare_annotated(recordings[6:7], rv.Recipe(), tmp_path, None)
    chosen = with_threshold(decoder, prepared, 2.0)
    text = " ".join(certificate_of(chosen, Fold(0, ("01",), ("04",))).sentences())
    assert "alarm threshold (at most 2 false per 24 h, NOT shown" in text
    assert "0.1 h of 1 patient show at best" in text


def test_certificates_tell_what_could_not_be_chosen(decoder, recordings, tmp_path):
    (calm,) = prepare_annotated(recordings[6:7], rv.Recipe(), tmp_path, None)
    calm = replace(calm, truth=rv.Events((), calm.duration))
    chosen = with_threshold(decoder, [calm])
    text = " ".join(certificate_of(chosen, Fold(0, ("01",), ("04",))).sentences())
    assert chosen.rule.threshold == decoder.rule.threshold
    assert "Left as they were, as the validation part does not tell: alarm threshold." in text
    assert "alarm threshold from" not in text


@pytest.mark.parametrize(
    ("factors", "part"), [((1.0, 0.0), ""), ((1.0, [0.0, 0.0]), ""), ((2.0, 0.0), "validation")]
)
def test_certificates_tell_whether_there_was_a_calibration(factors, part):
    assert certified(rv.Recipe(), factors).chosen_on["calibration"] == part


def test_certificates_tell_which_wake_is_left_out():
    text = certified(rv.Recipe("sleep", "attn_sleep", wake_minutes=30.0)).sentences()[2]
    assert text.endswith("Left out of scoring: wake more than 30 min before or after sleep.")
    assert certified(rv.Recipe("sleep", "attn_sleep")).trims == "none"


def certified(recipe, factors=(2.0, 0.0)):
    fitted = Fitted({}, [], None, calibration=factors)
    return certify_choice(Fold(0, ("01",), ("02",)), fitted, [], recipe, ())


def test_without_a_false_alarm_or_a_seizure_a_budget_leaves_the_rule():
    calm = predicted(np.full(60, 0.05))
    choice = choose_threshold([calm], {calm.name: rv.Events((), 600.0)}, RULE, budget=2)
    assert (choice.threshold, choice.chosen) == (RULE.threshold, False)
    assert "NOT shown and left as it was: 0.2 h of 1 patient" in choice.why


def test_a_budget_is_an_option_of_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "--false_alarms_per_day" in capsys.readouterr().out
