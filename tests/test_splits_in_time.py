"""Named protocols in time: where they cut, and that no sample is in the windows of two parts."""

from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from ranvier.certificate import Certificate
from ranvier.recipe import Recipe
from ranvier.recording import Recording
from ranvier.splits import (
    PARTS,
    PROTOCOLS_IN_TIME,
    Fold,
    cut_by_protocol,
    folds_in_time,
    patient,
)
from ranvier.store import prepare

WINDOW = 20
PROTOCOLS = pytest.mark.parametrize("protocol", list(PROTOCOLS_IN_TIME))


def numbered(seconds: float = 400.0, rate: float = 20.0, *, reach: int = 0) -> Recording:
    """Every bin holds its own number; after each reach of so many bins one is missing."""
    signal = np.arange(1.0, seconds * rate + 1)[:, None]
    if reach:
        signal[reach :: reach + 1] = np.nan
    return Recording.from_array(signal, rate, ["unit"], unit="count", name="s", subject="m")


def cut(protocol: str, recording: Recording, blocks: int = 0) -> tuple[list[Recording], list[Fold]]:
    parts = cut_by_protocol([recording], protocol, blocks=blocks)
    return parts, folds_in_time([part.subject for part in parts], protocol)


def windows(signal: np.ndarray) -> np.ndarray:
    """Return all windows without a gap in them, (window, bin)."""
    found = np.lib.stride_tricks.sliding_window_view(signal[:, 0], WINDOW)
    return found[~np.isnan(found).any(axis=1)]


def overlap(one: np.ndarray, other: np.ndarray) -> int:
    return len(np.intersect1d(one, other))


@PROTOCOLS
@pytest.mark.parametrize("reach", [0, 37])
def test_no_sample_is_in_the_windows_of_two_parts(tmp_path, protocol, reach):
    parts, folds = cut(protocol, numbered(reach=reach))
    seen = {
        one.subject: windows(one.features())
        for one in prepare(parts, (), tmp_path, truth_of=lambda _: None)
    }
    for fold in folds:
        sides = [np.concatenate([seen[name] for name in getattr(fold, part)]) for part in PARTS]
        assert [overlap(*pair) for pair in combinations(sides, 2)] == [0, 0, 0]


def test_windows_that_are_made_before_the_cut_would_share_samples():
    every = windows(numbered().read())
    assert overlap(every[:4000], every[4000:]) == WINDOW - 1


@PROTOCOLS
def test_bins_of_spike_times_hold_nothing_of_another_part(tmp_path, protocol):
    whole = numbered(rate=1000.0)
    stages = ({"stage": "bin_counts", "seconds": 0.064},)
    parts, _ = cut(protocol, whole)
    prepared = prepare(parts, stages, tmp_path, truth_of=lambda _: None)
    for part, one in zip(parts, prepared, strict=True):
        assert len(one) == part.samples // 64
        together = part.read()[: len(one) * 64].reshape(-1, 64).sum(axis=1, dtype=np.float32)
        np.testing.assert_allclose(one.features()[:, 0], together, rtol=1e-5)


@PROTOCOLS
def test_the_parts_are_the_whole(protocol):
    whole = numbered(reach=37)
    parts, _ = cut(protocol, whole)
    np.testing.assert_array_equal(np.concatenate([part.read() for part in parts]), whole.read())


def test_makin_learns_from_320_seconds_and_tests_all_that_follows():
    (train, choose, test), (fold,) = cut("makin320", numbered(seconds=500, rate=15.625))
    assert (train.samples, choose.samples) == (4000, 1000)
    assert (train.duration, choose.duration, test.duration) == (256.0, 64.0, 180.032)
    parts = fold.train, fold.validation, fold.test
    assert parts == tuple((f"s_part-{i} of m",) for i in (1, 2, 3))


def test_makin_cuts_at_320_seconds_also_within_a_trial():
    parts, _ = cut("makin320", numbered(reach=37))
    assert [part.duration for part in parts] == [256.0, 64.0, 80.0]


def test_a_recording_of_320_seconds_has_nothing_left_to_test():
    with pytest.raises(ValueError, match=r"s lasts 320 s, must be longer than 320 s for the proto"):
        cut("makin320", numbered(seconds=320))


def test_neurobench_deals_reaches_as_a_half_and_two_quarters():
    signal = np.ones((2000, 1))
    ends = np.cumsum(np.random.default_rng(0).integers(10, 40, 39))
    signal[ends] = np.nan
    whole = Recording.from_array(signal, 20.0, ["unit"], unit="count", name="s")
    parts, _ = cut("neurobench", whole)
    reaches = [np.isnan(part.read()).sum() + (number == 0) for number, part in enumerate(parts)]
    assert [part.read()[0, 0] for part in parts[1:]] == pytest.approx([np.nan] * 2, nan_ok=True)
    assert reaches == [20, 10, 10]
    assert all(part.notes == () for part in parts)


def test_without_reaches_neurobench_is_cut_by_time_and_says_so():
    parts, _ = cut("neurobench", numbered())
    assert [part.duration for part in parts] == [200.0, 100.0, 100.0]
    assert {part.notes for part in parts} == {
        ("reaches by its gaps: 1, fewer than 5, so it is cut by time",)
    }


@pytest.mark.parametrize("blocks", [3, 5, 12])
def test_each_block_is_tested_once_and_chosen_on_beside_it(blocks):
    _, folds = cut("blocked", numbered(), blocks)
    assert [fold.test for fold in folds] == [(f"s_part-{i + 1} of m",) for i in range(blocks)]
    for number, fold in enumerate(folds):
        (beside,) = fold.validation
        assert beside in {f"s_part-{number} of m", f"s_part-{number + 2} of m"}
        assert len(fold.train) == blocks - 2


def test_blocks_of_several_recordings_are_folds_of_their_own():
    recordings = [replace(numbered(), name=name) for name in ("a", "b")]
    parts = cut_by_protocol(recordings, "blocked", blocks=3)
    folds = folds_in_time([part.subject for part in parts], "blocked")
    assert [fold.number for fold in folds] == list(range(6))
    assert {fold.test[0][0] for fold in folds if fold.train[0][0] == "a"} == {"a"}


def test_a_gap_at_the_end_is_no_border():
    signal = np.ones((1000, 1))
    signal[[300, 600, *range(900, 1000)]] = np.nan
    whole = Recording.from_array(signal, 20.0, ["unit"], unit="count", name="s")
    parts = cut_by_protocol([whole], "blocked", blocks=3)
    assert [part.samples for part in parts] == [300, 300, 400]


@pytest.mark.parametrize("blocks", [1, 2])
def test_fewer_than_three_blocks_are_refused(blocks):
    with pytest.raises(ValueError, match=rf"Invalid folds: {blocks}, must be at least 3 blocks"):
        cut("blocked", numbered(), blocks)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="Invalid protocol: 'random', possible options"):
        cut_by_protocol([numbered()], "random")


@PROTOCOLS
def test_the_certificate_names_the_protocol(protocol):
    _, folds = cut(protocol, numbered())
    said = " ".join(Certificate(folds[0]).sentences())
    assert f"protocol {protocol}: {PROTOCOLS_IN_TIME[protocol]}; no window reaches over" in said
    assert Fold(**asdict(folds[0])) == folds[0]


@pytest.mark.parametrize(
    ("protocol", "folds", "tested"),
    [("time", 0, [3]), ("makin320", 0, [3]), ("neurobench", 0, [3]), ("blocked", 3, [1, 2, 3])],
)
def test_an_evaluation_goes_by_the_protocol_of_its_recipe(tmp_path, protocol, folds, tested):
    recordings = rv.simulate_reaches(subjects=1, minutes=6, units=6, gaps=True)
    done = rv.evaluate(
        "movement", recordings, network="wiener", split=protocol, folds=folds, out=tmp_path
    )
    names = [f"sub-01_ses-01_task-reach_part-{number}" for number in tested]
    assert [one.name for one in done.predictions] == names
    said = [" ".join(fold.certificate.sentences()) for fold in done.folds]
    assert all(f"protocol {protocol}: " in one for one in said)
    kept = rv.load_evaluation(tmp_path)
    assert [fold.certificate.fold.protocol for fold in kept.folds] == [protocol] * len(tested)


def test_a_recipe_says_by_what_it_splits():
    assert Recipe("movement", "wiener", stages=()).split_by == "time"
    assert Recipe("movement", "wiener", stages=(), split="blocked").in_time
    assert not Recipe("movement", "wiener", stages=(), split="subject").in_time


@pytest.mark.real
def test_the_real_session_is_cut_by_its_trials(real: Path):
    (session,) = rv.read(real / "reach_chewie")
    parts, _ = cut("neurobench", session)
    trials = [int(np.isnan(part.read()[:, 0]).sum()) for part in parts]
    assert sum(trials) == 158
    assert [count / 158 for count in trials] == pytest.approx([0.5, 0.25, 0.25], abs=0.02)


def test_a_part_says_whose_it_is_also_when_it_is_cut_again():
    (part, *_), _ = cut("time", numbered())
    again, _ = cut("time", part)
    assert again[1].subject == "s_part-1_part-2 of m"
    assert {patient(one.subject) for one in (part, *again)} == {"m"}
    assert patient("chb21") == "chb01"
