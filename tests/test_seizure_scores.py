"""The scores of seizure detection keep the rules of SzCORE."""

import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from timescoring.annotations import Annotation
from timescoring.scoring import EventScoring, SampleScoring

from ranvier.tasks import seizure_events
from ranvier.tasks import seizure_scores as seizure
from ranvier.tasks.seizure import SeizureTask
from ranvier.tasks.seizure_events import EventScore, SzCORE
from ranvier.tasks.seizure_scores import (
    alarm_delays,
    at_tsv_resolution,
    auroc,
    average,
    average_precision,
    bootstrap_interval,
    pool,
    score,
    score_events,
    score_samples,
    summarise,
)
from ranvier.truth import Event, Events

DAY = 86400.0
RATE = 256
LENGTHS = (0.02, 0.04, 0.1, 1.0, 10.0, 60.0, 290.0, 299.9, 300.0, 300.1, 600.0, 900.05)
GAPS = (0.3, 20.0, 59.9, 60.0, 89.9, 89.95, 90.0, 90.05, 90.1, 150.0, 400.0)
STEPS = (1e-9, 0.01, 0.05, 0.1, 0.25, 1.0)


def events(*intervals: tuple[float, float], duration: float = DAY) -> Events:
    return Events.from_intervals(intervals, duration)


def random_events(rng: np.random.Generator, duration: float) -> Events:
    """Draw disjoint events whose lengths and gaps lie at and around the limits of the rules."""
    step, edge = rng.choice(STEPS), -rng.choice(GAPS) * rng.integers(2)
    pairs = np.column_stack((rng.choice(GAPS, 20), rng.choice(LENGTHS, 20)))
    pairs = pairs * np.where(rng.random(pairs.shape) < 0.5, 1, rng.uniform(0.5, 1.5, pairs.shape))
    times = np.round((edge + np.cumsum(pairs.ravel())) / step) * step
    inside = np.clip(times.reshape(-1, 2)[: rng.integers(21)], 0, duration)
    return events(*(pair for pair in inside.tolist() if pair[0] < pair[1]), duration=duration)


def random_pairs(seed: int, number: int) -> list[tuple[Events, Events]]:
    rng = np.random.default_rng(seed)
    durations = rng.integers(RATE, 2500 * RATE, number) / RATE
    return [(random_events(rng, span), random_events(rng, span)) for span in durations]


def annotation(of: Events) -> Annotation:
    inside = np.clip(of.intervals(), 0, of.duration).tolist()
    disjoint = [pair for pair in inside if pair[0] < pair[1]]
    return Annotation(disjoint, RATE, round(of.duration * RATE))


def assert_equal(ours: EventScore, oracle: EventScoring | SampleScoring) -> None:
    counts = (ours.true_positives, ours.references, ours.false_positives, ours.seconds)
    assert counts == (oracle.tp, oracle.refTrue, oracle.fp, oracle.numSamples / oracle.fs)
    scores = (ours.sensitivity, ours.precision, ours.f1, ours.false_alarms_per_day)
    expected = (oracle.sensitivity, oracle.precision, oracle.f1, oracle.fpRate)
    assert scores == pytest.approx(expected, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("seed", range(4))
def test_events_and_samples_score_as_in_timescoring(seed: int) -> None:
    for reference, hypothesis in random_pairs(seed, 1000):
        true, found = annotation(reference), annotation(hypothesis)
        assert_equal(score_events(reference, hypothesis), EventScoring(true, found))
        assert_equal(score_samples(reference, hypothesis), SampleScoring(true, found))


def test_other_rules_score_as_in_timescoring() -> None:
    for values in [(0, 0, 0.5, 60, 20), (5, 10, 0.2, 1000, 0.1), (100, 0, 0, 30.05, 300)]:
        for reference, hypothesis in random_pairs(9, 200):
            oracle = EventScoring(
                annotation(reference), annotation(hypothesis), EventScoring.Parameters(*values)
            )
            assert_equal(score_events(reference, hypothesis, rules=SzCORE(*values)), oracle)


def second_mask(of: Events) -> Annotation:
    """What the SzCORE evaluation makes of a table."""
    mask = np.zeros(int(of.duration))
    for event in of:
        mask[int(event.onset) : int(event.onset + event.duration)] = 1
    return Annotation(mask, 1)


def test_tsv_resolution_scores_as_the_evaluation_of_tables() -> None:
    for reference, hypothesis in random_pairs(5, 1000):
        ours = score(reference, hypothesis, resolution="tsv")
        true, found = second_mask(reference), second_mask(hypothesis)
        assert_equal(ours.events, EventScoring(true, found))
        assert_equal(ours.samples, SampleScoring(true, found))


def test_tsv_resolution_floors_and_drops_what_is_within_a_second() -> None:
    floored = at_tsv_resolution(events((1.9, 3.9), (5.1, 5.9), duration=10.7))
    assert floored.intervals().tolist() == [[1, 3]]
    assert floored.duration == 10


def test_overlapping_events_count_once() -> None:
    doubled = events((100, 400), (150, 200), (380, 390))
    assert score_events(doubled, doubled) == score_events(*[events((100, 400))] * 2)


def test_only_seizures_are_scored() -> None:
    background = Events((Event(0, DAY, "bckg"),), DAY)
    assert score_events(background, background).references == 0
    focal = Events((Event(0, 10, "sz_foc_ia"),), DAY)
    assert score_events(focal, focal).true_positives == 1


def test_events_beyond_the_file_are_clipped() -> None:
    late = events((90, 110), (200, 300), duration=100)
    assert score_events(late, late).references == 1
    assert score_samples(late, late).references == 10


def test_always_on_gives_287_false_alarms_per_day() -> None:
    result = score_events(events((40_000, 40_060)), events((0, DAY)))
    assert (result.sensitivity, result.false_alarms_per_day) == (1, 287)


def test_a_false_detection_of_20_minutes_counts_four_times() -> None:
    assert score_events(events(), events((5000, 6200))).false_positives == 4


def test_40_blips_with_gaps_of_89_s_are_joined_and_count_12_times() -> None:
    blips = events(*((1000 + 90 * i, 1001 + 90 * i) for i in range(40)))
    assert score_events(events(), blips).false_positives == 12


def test_events_with_a_gap_of_exactly_90_s_stay_apart() -> None:
    assert score_events(events(), events((0, 1), (91, 92))).false_positives == 2


@pytest.mark.parametrize("onset", [971, 1119])
def test_a_second_within_the_tolerance_is_a_hit(onset: int) -> None:
    result = score_events(events((1000, 1060)), events((onset, onset + 1)))
    assert (result.true_positives, result.false_positives) == (1, 0)


@pytest.mark.parametrize("onset", [969, 1120])
def test_a_second_beyond_the_tolerance_is_a_false_alarm(onset: int) -> None:
    result = score_events(events((1000, 1060)), events((onset, onset + 1)))
    assert (result.true_positives, result.false_positives) == (0, 1)


@pytest.mark.parametrize(("end", "false"), [(1300, 0), (1600, 1), (1660, 2)])
def test_what_a_hit_leaves_beyond_its_first_five_minutes_is_false(end: int, false: int) -> None:
    result = score_events(events((1000, 1060)), events((1000, end)))
    assert (result.true_positives, result.false_positives) == (1, false)


@pytest.mark.parametrize(("onset", "hits"), [(90, 0), (89.5, 1)])
def test_a_minimum_overlap_is_a_share_of_what_lies_within_the_file(onset: float, hits: int) -> None:
    reference, found = events((80, 95), duration=100), events((onset, 100), duration=100)
    rules = SzCORE(tolerance_start=0, minimum_overlap=0.5)
    assert score_events(reference, found, rules=rules).true_positives == hits


def test_scores_without_a_count_below_the_line_are_nan() -> None:
    nothing = EventScore(seconds=DAY)
    assert all(map(math.isnan, (nothing.sensitivity, nothing.precision, nothing.f1)))
    assert nothing.false_alarms_per_day == 0
    assert math.isnan(EventScore().false_alarms_per_day)


def test_f1_is_zero_when_all_is_missed_or_all_is_false() -> None:
    missed, false = EventScore(references=3, seconds=1), EventScore(false_positives=2, seconds=1)
    assert (missed.f1, missed.sensitivity) == (0, 0)
    assert math.isnan(missed.precision)
    assert (false.f1, false.precision) == (0, 0)
    assert math.isnan(false.sensitivity)


def test_pooling_adds_counts() -> None:
    first, second = EventScore(1, 2, 3, 4, 2), EventScore(10, 20, 30, 40, 20)
    assert pool([first, second]) == first + second == EventScore(11, 22, 33, 44, 22)
    assert pool([]) == EventScore()


def test_background_leaves_out_seizures_and_their_tolerance() -> None:
    result = score_events(events((1000, 1060), (10, 20), duration=5000), events(duration=5000))
    assert result.background == 5000 - 150 - 80


@pytest.mark.parametrize(("background", "measurable"), [(3599, False), (3600, True)])
def test_a_rate_of_false_alarms_takes_an_hour_of_background(
    background: float, measurable: bool
) -> None:
    assert EventScore(background=background).false_alarms_measurable is measurable


def test_patients_are_both_pooled_and_averaged() -> None:
    summary = summarise(
        {
            "a": EventScore(1, 1, 0, DAY),
            "b": EventScore(0, 9, 4, DAY),
            "c": EventScore(0, 0, 0, DAY),
        }
    )
    assert summary.pooled.sensitivity == 0.1
    assert summary.averaged["sensitivity"] == seizure.Average(0.5, 0.5, 2)
    assert summary.averaged["f1"].mean == 0.5
    assert summary.averaged["false_alarms_per_day"].patients == summary.patients == 3


def test_an_average_of_nothing_is_nan() -> None:
    assert np.isnan([average([math.nan]).mean, average([]).std]).all()


def test_results_are_json_without_nan_and_name_their_scorer() -> None:
    one = score(events(), events())
    for result in (one.as_dict(), summarise({"a": one.events}).as_dict()):
        text = json.dumps(result, allow_nan=False)
        assert seizure_events.SCORER in text
        assert seizure_events.NAN_RULE in text
    assert one.as_dict()["events"]["sensitivity"] is None


def test_the_interval_covers_the_statistic_and_repeats_with_its_seed() -> None:
    values = {f"p{i}": float(i) for i in range(20)}
    lower, upper = bootstrap_interval(values, np.mean, seed=3)
    assert 0 < lower < 9.5 < upper < 19
    shuffled = dict(reversed(values.items()))
    assert (lower, upper) == bootstrap_interval(shuffled, np.mean, seed=3)


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    values = dict(enumerate(np.random.default_rng(0).normal(size=400)))
    names = {f"{i:03}": value for i, value in values.items()}
    lower, upper = bootstrap_interval(names, np.mean, seed=1, draws=4000)
    expected = 2 * 1.96 * np.std(list(values.values())) / 20
    assert upper - lower == pytest.approx(expected, rel=0.08)


def test_draws_with_nan_are_left_out_of_the_interval() -> None:
    scores = {"a": EventScore(1, 2), "b": EventScore(), "c": EventScore(2, 2)}
    bounds = bootstrap_interval(scores, lambda drawn: pool(drawn).sensitivity, seed=0)
    assert bounds == (0.5, 1)


@pytest.mark.parametrize("values", [{}, {"a": 1.0}, {"a": math.nan, "b": math.nan}])
def test_the_interval_is_nan_without_two_patients_or_any_score(values: dict[str, float]) -> None:
    bounds = bootstrap_interval(values, lambda drawn: average(drawn).mean, seed=0)
    assert np.isnan(bounds).all()


@pytest.mark.parametrize("seed", range(20))
def test_window_scores_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(2, size=rng.integers(200)))
    scores = rng.integers(1 + rng.integers(50), size=len(labels)) / 7
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    expected = average_precision_score(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected)


@pytest.mark.parametrize("measure", [auroc, average_precision])
def test_window_scores_take_infinity_and_leave_out_nan(measure) -> None:
    labels, scores = [1, 0, 1, 0, 0, 1], [np.inf, -np.inf, np.inf, 0.5, np.nan, 0.5]
    kept = [1, 0, 1, 0, 1], [2.0, -2.0, 2.0, 0.5, 0.5]
    assert measure(labels, scores) == measure(*kept)


@pytest.mark.parametrize("measure", [auroc, average_precision])
@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_window_scores_of_one_class_are_nan(measure, labels: list[int]) -> None:
    assert math.isnan(measure(labels, [0.5] * len(labels)))


def test_a_delay_is_that_of_the_first_alarm_within_the_tolerance() -> None:
    reference = events((1000, 1060), (5000, 5010), (9000, 9010), (9900, 9901))
    delays = alarm_delays(reference, [1050, 960, 1004, 4970, 9070, 9961.5])
    assert delays[:3].tolist() == [4, -30, 70]
    assert np.isnan(delays[3])


def test_delays_are_none_without_seizures_and_nan_without_alarms() -> None:
    assert alarm_delays(events(), [1.0]).shape == (0,)
    assert np.isnan(alarm_delays(events((1, 2)), [])).all()


def test_events_without_any_recording_score_nothing() -> None:
    assert score(events(duration=0), events(duration=0)).events == EventScore()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SzCORE(tolerance_end=-1), "tolerance_end: -1, must be finite and at least 0"),
        (lambda: SzCORE(minimum_overlap=1), "minimum_overlap: 1, must be below 1"),
        (lambda: SzCORE(maximum_duration=0), "maximum_duration: 0 s, must be above 0 s"),
        (lambda: score(events(), events(duration=9)), "hypothesis: 9 s, must be less than 1 s"),
        (lambda: score(events(), events(), resolution="x"), "resolution: 'x', possible options"),
        (lambda: score_events(events(), events(), math.nan), "duration: nan s, must be finite"),
        (lambda: score_events(events((0, math.nan)), events()), "seizures: .* must be finite"),
        (lambda: bootstrap_interval({}, np.mean, seed=0, draws=0), "draws: 0, must be at least 1"),
        (lambda: bootstrap_interval({}, np.mean, seed=0, level=1), "level: 1, must lie between"),
        (lambda: auroc([1, 0], [1.0]), r"scores: shape \(1,\), must be one per label"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_sentence(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_day_is_scored_within_milliseconds() -> None:
    crowded = events(*((i, i + 1) for i in np.arange(0, DAY - 1, 91.5)))
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        score_events(crowded, crowded)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.1


def test_scoring_imports_neither_scipy_nor_scikit_learn_nor_torch() -> None:
    heavy = "{'scipy', 'sklearn', 'torch'}"
    code = f"import sys, ranvier.tasks.seizure_scores; print({heavy} & {{*sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_a_seizure_without_length_or_beyond_the_end_has_no_delay():
    inside, point, beyond = Event(10, 5, "sz"), Event(40, 0, "sz"), Event(200, 5, "sz")
    delays = alarm_delays(Events((inside, point, beyond), 100.0), [12.0])
    assert delays.tolist() == [2.0]


@pytest.mark.parametrize("metric", ["auroc", "average_precision"])
@pytest.mark.parametrize("kind", [0.0, 1.0])
def test_without_a_second_class_the_loss_tells_which_pass_is_best(metric, kind):
    quality = SeizureTask().qualities[metric]
    targets, logits = np.full(4, kind), np.full((4, 1), 2.0)
    assert quality(logits, targets) == pytest.approx(-np.log1p(np.exp(2 - 4 * kind)))
    assert quality(-logits, targets) == pytest.approx(-np.log1p(np.exp(4 * kind - 2)))
