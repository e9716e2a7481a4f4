"""Sleep statistics of nights that were worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.tasks.sleep_chain import StageChain
from ranvier.tasks.sleep_statistics import STATISTICS, sleep_statistics, statistics_table
from ranvier.truth import SLEEP_STAGES, Hypnogram


def night(text: str, *, epoch: float = 30.0, first: float = 0.0) -> Hypnogram:
    """Read "W 4, N2 30": each stage with its number of epochs; "?" is unscored."""
    runs = [run.split() for run in text.split(", ")]
    stages = tuple("" if stage == "?" else stage for stage, n in runs for _ in range(int(n)))
    return Hypnogram(stages, first + len(stages) * epoch, epoch, first)


WHOLE = night("W 4, N1 2, N2 30, W 2, N2 10, N3 20, REM 10, W 4")


def of(text: str, **options: float) -> dict[str, float]:
    return sleep_statistics(night(text), **options)


def test_a_night_worked_out_by_hand():
    expected = {
        "TIB": 41, "unscored": 0, "TST": 36, "SE": 100 * 36 / 41, "SOL": 2, "LPS": 2, "WASO": 3,
        "REM latency": 32, "N3 latency": 22, "awakenings": 2, "transitions": 7, "REM periods": 1,
        "cycles": 1, "W": 5, "N1": 1, "N2": 20, "N3": 10, "REM": 5, "N1 share": 100 / 36,
        "N2 share": 100 * 20 / 36, "N3 share": 100 * 10 / 36, "REM share": 100 * 5 / 36,
    }  # fmt: skip
    assert sleep_statistics(WHOLE) == pytest.approx(expected)
    assert sleep_statistics(WHOLE).keys() == STATISTICS.keys()


def test_a_nap_without_n3_or_rem_has_no_latency_of_them():
    nap = of("W 10, N1 6, N2 20, W 4")
    assert math.isnan(nap["N3 latency"])
    assert math.isnan(nap["REM latency"])
    counts = ("N3", "REM", "N3 share", "REM share", "REM periods", "cycles")
    assert [nap[name] for name in counts] == [0] * 6
    assert (nap["TST"], nap["SOL"], nap["WASO"], nap["SE"]) == (13, 5, 2, 65)


def test_a_night_without_rem_keeps_all_other_numbers():
    found = of("W 2, N2 40, N3 10")
    missing = [name for name, value in found.items() if math.isnan(value)]
    assert missing == ["REM latency"]


def test_a_night_without_sleep_has_no_latencies_no_waso_and_no_shares():
    found = of("W 60")
    known = {name: value for name, value in found.items() if not math.isnan(value)}
    zeros = ("TST", "SE", "awakenings", "transitions", "REM periods", "cycles", "unscored")
    assert known == {"TIB": 30, "W": 30} | dict.fromkeys((*zeros, *SLEEP_STAGES[1:]), 0)


def test_a_night_that_nobody_scored_has_only_time_in_bed():
    found = of("? 10")
    known = {name: value for name, value in found.items() if not math.isnan(value)}
    assert known == {"TIB": 5, "unscored": 5}


def test_unscored_epochs_are_neither_sleep_nor_wake_and_keep_their_time():
    found = of("? 2, W 2, N2 20, ? 4, N2 20, REM 8, W 4")
    assert (found["TIB"], found["unscored"], found["TST"], found["WASO"]) == (30, 3, 24, 2)
    assert (found["SOL"], found["REM latency"]) == (2, 22)
    assert found["SE"] == pytest.approx(100 * 24 / 27)


def test_a_change_across_unscored_epochs_is_not_counted():
    found = of("N2 20, ? 2, W 2, ? 2, REM 4, W 1")
    assert (found["awakenings"], found["transitions"]) == (1, 1)


def test_an_unscored_epoch_interrupts_persistent_sleep():
    assert of("W 2, N2 19, ? 1, N2 20, W 1")["LPS"] == 11


@pytest.mark.parametrize(("text", "latency"), [("N1 19, W 1, N2 20", 10), ("N1 1, N2 19", 0)])
def test_sleep_is_persistent_after_ten_minutes_on_end(text, latency):
    assert of(text)["LPS"] == latency


def test_without_ten_minutes_of_sleep_on_end_there_is_no_persistent_sleep():
    assert math.isnan(of("W 2, N2 19, W 1, N2 19")["LPS"])


@pytest.mark.parametrize(("pause", "periods"), [(29, 1), (30, 2)])
def test_fifteen_minutes_without_rem_end_a_rem_period(pause, periods):
    assert of(f"N2 30, REM 10, N2 {pause}, REM 10")["REM periods"] == periods


def test_a_cycle_has_fifteen_minutes_of_nrem_sleep():
    assert of("N2 29, REM 4, N2 30, REM 4")["cycles"] == 1
    assert of("N2 30, REM 4, N2 30, REM 4")["cycles"] == 2
    assert of("N2 30, REM 4, W 40, N2 20, REM 4")["cycles"] == 1
    assert of("N2 30, REM 4, N2 100")["cycles"] == 1


def test_lights_off_and_on_cut_what_is_counted():
    found = of("W 20, N2 40, W 20", lights_off=300, lights_on=2100)
    assert (found["TIB"], found["SOL"], found["TST"], found["WASO"]) == (30, 5, 20, 5)


def test_an_epoch_that_lights_off_cuts_counts_for_the_part_inside():
    found = of("N2 4, W 4", lights_off=45, lights_on=235)
    assert (found["SOL"], found["TST"]) == (0, 1.25)
    assert found["TIB"] == pytest.approx(found["TST"] + found["WASO"])


def test_time_in_bed_without_epochs_is_unscored():
    hypnogram = night("W 2, N2 20", first=600)
    found = sleep_statistics(hypnogram, lights_off=0, lights_on=1500)
    assert (found["TIB"], found["unscored"], found["SOL"]) == (25, 14, 11)
    assert sleep_statistics(hypnogram)["SOL"] == 1


def test_epochs_of_twenty_seconds_are_counted_in_minutes():
    found = sleep_statistics(night("W 3, N2 30", epoch=20))
    assert (found["SOL"], found["TST"], found["LPS"]) == pytest.approx((1, 10, 1))


@pytest.mark.parametrize("lights", [(60, 60), (90, 30), (float("nan"), 60)])
def test_lights_out_of_order_are_refused(lights):
    with pytest.raises(ValueError, match="must lie in order"):
        sleep_statistics(WHOLE, lights_off=lights[0], lights_on=lights[1])


def test_every_number_stands_beside_its_unit_and_definition():
    columns, *rows = statistics_table(sleep_statistics(night("W 2, N2 41")))
    assert columns == ("statistic", "value", "unit", "definition")
    assert rows[2] == ("TST", "20.5", "min", STATISTICS["TST"].definition)
    assert dict(row[:2] for row in rows)["REM latency"] == "n/a"
    assert all(one.definition.endswith(".") for one in STATISTICS.values())


@given(st.lists(st.sampled_from(SLEEP_STAGES), min_size=1, max_size=60))
def test_where_all_is_scored_the_parts_add_up_to_time_in_bed(stages):
    found = sleep_statistics(Hypnogram(tuple(stages), len(stages) * 30.0))
    assert sum(found[stage] for stage in SLEEP_STAGES) == pytest.approx(found["TIB"])
    if found["TST"]:
        assert found["SOL"] + found["TST"] + found["WASO"] == pytest.approx(found["TIB"])
        shares = [found[f"{stage} share"] for stage in SLEEP_STAGES[1:]]
        assert np.sum(shares) == pytest.approx(100)


def test_a_night_without_an_epoch_is_refused():
    for measured in (sleep_statistics, lambda night: StageChain.of([night])):
        with pytest.raises(ValueError, match="Invalid hypnogram: it has no epoch, must have"):
            measured(Hypnogram((), 0.0))
