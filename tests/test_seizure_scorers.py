"""Other scorers than SzCORE count as they say."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from ranvier.tasks import seizure_scorers
from ranvier.tasks.seizure_events import DAY, EventScore, Tally, pool, score_events, score_samples
from ranvier.tasks.seizure_scorers import (
    SCORERS,
    TITLES,
    VERSIONS,
    score_all,
    score_any_overlap,
    score_taes,
)
from ranvier.truth import Event, Events

Intervals = list[tuple[float, float]]


def events(*intervals: tuple[float, float], duration: float = DAY) -> Events:
    return Events.from_intervals(intervals, duration)


def overlap_counts(reference: Intervals, hypothesis: Intervals) -> tuple[int, int]:
    score = score_any_overlap(events(*reference), events(*hypothesis))
    return score.true_positives, score.false_positives


def taes_counts(reference: Intervals, hypothesis: Intervals) -> tuple[float, float]:
    score = score_taes(events(*reference), events(*hypothesis))
    return score.true_positives, score.false_positives


def random_seconds(rng: np.random.Generator) -> Intervals:
    edges = np.sort(rng.choice(200, 2 * rng.integers(9), replace=False))
    return [(float(a), float(b)) for a, b in edges.reshape(-1, 2)]


def seconds_of(intervals: Intervals) -> list[set[int]]:
    return [set(range(int(a), int(b))) for a, b in intervals]


def test_any_overlap_is_enough_for_a_hit_and_a_detection_without_is_false() -> None:
    found = [(1059, 1070), (1030, 1031), (2000, 2001), (3000, 3001)]
    assert overlap_counts([(1000, 1060), (5000, 5060)], found) == (1, 2)


def test_one_detection_over_several_seizures_finds_all_of_them() -> None:
    assert overlap_counts([(100, 110), (200, 210), (300, 310)], [(50, 400)]) == (3, 0)


@pytest.mark.parametrize("found", [(971, 972), (1119, 1120), (990, 1000), (1060, 1070)])
def test_overlap_has_no_tolerance_and_to_touch_is_not_to_overlap(found) -> None:
    assert overlap_counts([(1000, 1060)], [found]) == (0, 1)


def test_overlap_neither_joins_nor_cuts() -> None:
    blips = [(1000 + 90 * i, 1001 + 90 * i) for i in range(40)]
    assert overlap_counts([], blips) == (0, 40)
    assert overlap_counts([], [(5000, 6200)]) == (0, 1)
    assert overlap_counts([(10, 20), (20, 30)], [(10, 20)]) == (1, 0)


def test_always_on_has_no_false_alarm_by_overlap() -> None:
    assert overlap_counts([(40_000, 40_060)], [(0, DAY)]) == (1, 0)


def test_events_of_one_side_that_overlap_are_one() -> None:
    assert overlap_counts([(10, 30), (20, 40)], [(35, 36), (50, 60), (55, 70)]) == (1, 1)
    assert taes_counts([(10, 30), (20, 50)], [(10, 30), (10, 30)]) == (0.5, 0)


def test_overlap_counts_as_sets_of_seconds_do() -> None:
    rng = np.random.default_rng(0)
    for _ in range(1000):
        reference, hypothesis = random_seconds(rng), random_seconds(rng)
        true, found = seconds_of(reference), seconds_of(hypothesis)
        hits = sum(any(one & other for other in found) for one in true)
        false = sum(not any(one & other for other in true) for one in found)
        assert overlap_counts(reference, hypothesis) == (hits, false)


def slow_taes(true: list[set[int]], found: list[set[int]]) -> tuple[float, float]:
    """What the docstring says, with sets of seconds."""
    hits, false, unused, passed = 0.0, 0.0, list(found), []
    for number, one in enumerate(true):
        mine = [other for other in unused if one & other]
        if one in passed or not mine:
            continue
        hits += sum(len(one & other) for other in mine) / len(one)
        false += sum(min(1.0, len(other - one) / len(one)) for other in mine)
        unused = [other for other in unused if other not in mine]
        if max(mine[0]) >= max(one):
            passed += [later for later in true[number + 1 :] if later & mine[0]]
    return hits, false + len(unused)


def test_taes_counts_as_its_rules_in_sets_of_seconds() -> None:
    rng = np.random.default_rng(1)
    for _ in range(1000):
        reference, hypothesis = random_seconds(rng), random_seconds(rng)
        expected = slow_taes(seconds_of(reference), seconds_of(hypothesis))
        assert taes_counts(reference, hypothesis) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("found", "hit", "false"),
    [
        ((100, 200), 1, 0),
        ((50, 150), 0.5, 0.5),
        ((175, 225), 0.25, 0.25),
        ((120, 160), 0.4, 0),
        ((80, 230), 1, 0.5),
        ((0, 1000), 1, 1),
        ((150, 1000), 0.5, 1),
        ((200, 300), 0, 1),
    ],
)
def test_a_detection_counts_in_part_and_is_false_at_most_once(found, hit, false) -> None:
    assert taes_counts([(100, 200)], [found]) == pytest.approx((hit, false))


def test_one_detection_over_several_seizures_finds_the_first_only() -> None:
    assert taes_counts([(0, 10), (20, 30)], [(5, 25)]) == pytest.approx((0.5, 1))
    assert taes_counts([(10, 30), (40, 50), (60, 70)], [(10, 80)]) == pytest.approx((1, 1))


def test_several_detections_in_one_seizure_add_up() -> None:
    found = [(0, 10), (20, 40), (90, 120)]
    assert taes_counts([(0, 100)], found) == pytest.approx((0.4, 0.2))


def test_a_seizure_that_an_earlier_detection_reached_is_missed_whatever_else_finds_it() -> None:
    seizures = [(0, 100), (110, 150)]
    assert taes_counts(seizures, [(50, 120), (130, 140)]) == pytest.approx((0.5, 1.2))
    spilling_last = [(0, 10), (90, 120), (130, 140)]
    assert taes_counts(seizures, spilling_last) == pytest.approx((0.1 + 0.1 + 0.25, 0.2))


def test_hits_and_misses_of_taes_are_the_references() -> None:
    score = score_taes(events((100, 200), (300, 400)), events((150, 200)))
    assert (score.sensitivity, score.precision, score.references) == (0.25, 1, 2)
    assert score.f1 == pytest.approx(0.4)


def test_what_is_pooled_stays_of_its_kind() -> None:
    half = score_taes(events((100, 200)), events((150, 200)))
    assert pool([half, half]) == Tally(1.0, 2, 0.0, 2 * DAY, 2 * (DAY - 100))
    whole = score_any_overlap(events((100, 200)), events((150, 200)))
    assert pool([whole, whole]) == whole + whole == EventScore(2, 2, 0, 2 * DAY, 2 * (DAY - 100))


@pytest.mark.parametrize("scorer", SCORERS.values())
def test_every_scorer_finds_nothing_in_nothing_and_everything_in_the_same(scorer) -> None:
    nothing, some = events(), events((100, 160), (5000, 5060), duration=DAY)
    assert math.isnan(scorer(nothing, nothing).f1)
    assert scorer(nothing, nothing).false_alarms_per_day == 0
    assert (scorer(some, some).sensitivity, scorer(some, some).f1) == (1, 1)


@pytest.mark.parametrize("scorer", SCORERS.values())
def test_every_scorer_takes_seizures_only_within_the_file_only(scorer) -> None:
    reference, found = Events((Event(0, DAY, "bckg"),), DAY), events((-50, -1), (DAY + 1, DAY + 9))
    assert (scorer(reference, found).references, scorer(reference, found).false_positives) == (0, 0)


def test_all_scorers_score_the_same_detections_side_by_side() -> None:
    pair = events((100, 160)), events((90, 150), (500, 510))
    scores = score_all(*pair)
    assert list(scores) == list(SCORERS) == list(TITLES) == list(VERSIONS)
    assert (scores["events"], scores["samples"]) == (score_events(*pair), score_samples(*pair))


def test_a_new_scorer_is_one_function(monkeypatch) -> None:
    monkeypatch.setitem(seizure_scorers.SCORERS, "none", lambda *_: EventScore(seconds=1))
    assert score_all(events(), events())["none"] == EventScore(seconds=1)


def test_all_scorers_take_whole_seconds_where_asked() -> None:
    scores = score_all(events((10.9, 20.9)), events((20.2, 21)), resolution="tsv")
    assert scores["any_overlap"] == EventScore(0, 1, 1, DAY, DAY - 10)


def test_the_table_of_the_docs_is_what_its_block_gives() -> None:
    page = (Path(__file__).parents[1] / "docs" / "scoring.md").read_text()
    code, shown = re.search(
        r"## One prediction.*?```python\n(.*?)```(.*?)\n## ", page, re.S
    ).groups()
    names: dict = {}
    exec(code, names)
    cells = [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in shown.split("\n") if "|" in row
    ]
    assert cells[2 : 2 + len(SCORERS)] == [list(row) for row in names["table"]]
