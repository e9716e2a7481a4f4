"""Leaks of published protocols, each on data on which its worth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_1samp

import ranvier as rv
from ranvier.__main__ import main
from ranvier.fitting import prepare_annotated
from ranvier.protocols import (
    CHOSEN,
    COUNTED,
    LEAKS,
    SCALED,
    SHUFFLED,
    CountedTask,
    Protocol,
    _scaled,
    compare_protocols,
    protocols_for,
)
from ranvier.protocols.clips import Clip, cut_clips
from ranvier.protocols.inflation import Answered, Inflation, Outcome, t_interval
from ranvier.protocols.splits import by_person, in_time, on_both_sides, shuffled
from ranvier.recipe import packaged_recipe
from ranvier.recording import Recording
from ranvier.simulate import simulate_nights
from ranvier.tasks.sleep import SleepTask
from ranvier.truth import Events

SMALL = {"window": 8, "patch": 8, "hidden": 32, "heads": 2, "dropout": 0.0}
QUICK = rv.Training(passes=10, patience=10, learning_rate=3e-3, batch=32, eval_batch=256)
PLAIN = replace(
    packaged_recipe("seizure", "vit"), network_settings=SMALL, stages=(), training=QUICK
)
STANDARDISED = ({"stage": "standardise"},)


def fingerprinted(number: int, *, spells: int = 8, seconds: int = 9, rate: int = 8) -> Recording:
    """Spells of seizure and background by turns, each with a pattern of its own."""
    rng = np.random.default_rng([7, number])
    patterns = np.repeat(rng.normal(0, 1, (spells, 16)), seconds * rate, axis=0)
    seizures = [(i * seconds, (i + 1) * seconds) for i in range(1, spells, 2)]
    return Recording.from_array(
        patterns + rng.normal(0, 0.5, patterns.shape),
        rate,
        [f"C{i}" for i in range(16)],
        name=f"recording-{number}",
        subject=f"{number:02}",
        events=Events.from_intervals(seizures, spells * seconds),
    )


@pytest.fixture(scope="module")
def people() -> list[Recording]:
    return [fingerprinted(number) for number in range(6)]


@pytest.fixture(scope="module")
def clips(people, tmp_path_factory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("prepared")
    recipe = replace(PLAIN, stages=STANDARDISED)
    return cut_clips(prepare_annotated(people, recipe, folder, None), 8)


@pytest.fixture(scope="module")
def inflation(people) -> Inflation:
    return compare_protocols("seizure", people, recipe=PLAIN, folds=2)


def test_fingerprints_score_high_when_clips_are_shuffled_and_at_chance_by_patient(inflation):
    honest, published = (inflation.gap(one) for one in inflation.outcomes)
    assert published.score > 0.9
    assert abs(honest.score - 0.5) < 0.15
    assert published.inflation_interval[0] > 0.3
    assert honest.inflation == 0


def test_both_scores_and_their_difference_are_said(inflation):
    assert "leaking (clips shuffled)" in inflation.headline()
    assert "honestly (by patient): inflation +0." in inflation.headline()
    header, *rows = inflation.table()
    assert header[:4] == ("protocol", "AUROC", "95 %", "inflation")
    assert [row[0] for row in rows] == ["by patient", "clips shuffled"]
    assert {len(row) for row in rows} == {len(header)}


def test_the_certificate_names_the_leaks_and_who_is_on_both_sides(inflation):
    honest, published = (" ".join(one.sentences) for one in inflation.outcomes)
    assert "0 persons are both trained and tested on. No leak is known" in honest
    assert "6 persons are both trained and tested on" in published
    assert LEAKS[SHUFFLED] in published
    json.dumps(inflation.as_dict(), allow_nan=False)


def test_clips_lie_wholly_in_a_seizure_or_wholly_outside(clips):
    assert sum(clip.seizure for clip in clips) * 2 == len(clips) == 6 * 8 * 9
    for clip in clips:
        edges = clip.first + clip.hop * (np.array([0, 8]) - 1)
        assert clip.truth.share(edges) == [float(clip.seizure)]
        np.testing.assert_array_equal(clip.targets(8, 8), [float(clip.seizure)])
    assert len({clip.name for clip in clips}) == len(clips)
    assert len({clip.event for clip in clips if clip.seizure}) == 6 * 4


def test_clips_that_the_border_of_a_seizure_cuts_are_left_out(people, tmp_path):
    prepared = prepare_annotated(people[:1], PLAIN, tmp_path, None)
    cut = cut_clips(prepared, 5 * 8)
    whole = [clip.first - clip.hop for clip in cut]
    assert len(whole) == 8
    assert all((start + 5 - 1e-6) // 9 == (start + 1e-6) // 9 for start in whole)


def test_recordings_without_a_clip_in_a_seizure_are_refused(people, tmp_path):
    prepared = prepare_annotated(people[:1], PLAIN, tmp_path, None)
    with pytest.raises(ValueError, match="0 clips of 800 steps lie in a seizure"):
        cut_clips(prepared, 800)


def test_by_person_nobody_is_on_both_sides_and_each_clip_is_tested_once(clips):
    subjects = np.array([clip.subject for clip in clips])
    splits = by_person(clips, 3, 0)
    assert not any(on_both_sides(split, subjects) for split in splits)
    tested = np.concatenate([split.test for split in splits])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(clips)))


def test_shuffling_keeps_the_sizes_and_tests_each_clip_once_but_mixes_everyone(clips):
    subjects = np.array([clip.subject for clip in clips])
    honest = by_person(clips, 3, 0)
    mixed = [shuffled(split, 5) for split in honest]
    for before, after in zip(honest, mixed, strict=True):
        assert [len(before.train), len(before.test)] == [len(after.train), len(after.test)]
        assert len(on_both_sides(after, subjects)) == 6
        assert not set(after.train) & set(after.test)
    tested = np.concatenate([split.test for split in mixed])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(clips)))


def test_in_time_each_person_is_tested_on_later_seizures(clips):
    splits = in_time(clips, 0, 0)
    assert len(splits) == 6
    for split in splits:
        assert len({clips[i].subject for part in (split.train, split.test) for i in part}) == 1
        earlier = {clips[i].event for part in (split.train, split.validation) for i in part}
        assert earlier & {clips[i].event for i in split.test} <= {""}
        assert max(clips[i].first for i in split.train) < min(clips[i].first for i in split.test)


def test_in_time_persons_with_one_seizure_are_left_out(clips):
    one_each = [clip for clip in clips if clip.event in {"", f"{clip.name[:11]} seizure 1"}]
    with pytest.raises(ValueError, match="none of 6 subjects has seizures and background both"):
        in_time(one_each, 0, 0)


def test_scaling_each_class_apart_gives_tested_clips_of_both_the_same_scale(clips):
    (split, *_) = by_person(clips, 3, 0)
    louder = [replace(c, signal=c.signal * 9) if c.seizure else c for c in clips]
    _, scaled = _scaled(Protocol("", by_person, (SCALED,)), louder, split, STANDARDISED)
    for inside in (False, True):
        of_class = np.concatenate([c.features() for c in scaled if c.seizure == inside])
        np.testing.assert_allclose(of_class.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(of_class.std(axis=0), 1, atol=1e-4)


def test_honest_scaling_does_not_see_the_tested_clips(clips):
    (split, *_) = by_person(clips, 3, 0)
    tested = set(split.test.tolist()) | set(split.validation.tolist())
    other = [replace(c, signal=c.signal + 9) if i in tested else c for i, c in enumerate(clips)]
    fitted = [
        _scaled(Protocol("", by_person), items, split, STANDARDISED)[0] for items in (clips, other)
    ]
    assert fitted[0] == fitted[1]


@pytest.fixture
def seen(monkeypatch) -> list:
    """What the fit is given: protocol, task, training part, and what the pass is chosen on."""
    given: list = []

    def fit(network, task, train, validation, *_, about, **__):
        given.append((about[0], task, {one.name for one in train}, {o.name for o in validation}))

    monkeypatch.setattr("ranvier.protocols.fit", fit)
    return given


def test_the_paper_on_sleep_chooses_and_counts_on_the_nights_it_tests(seen):
    nights = simulate_nights(subjects=4, hours=0.1)
    names = {night.name for night in nights}
    found = compare_protocols("sleep", nights, folds=2)
    assert [one.name for one in found.outcomes] == ["by sleeper", CHOSEN, f"{CHOSEN}, {COUNTED}"]
    tested = {name: set() for name in ("by sleeper", CHOSEN, f"{CHOSEN}, {COUNTED}")}
    for protocol, task, train, chosen_on in seen:
        assert not train & chosen_on
        assert isinstance(task, CountedTask) == (COUNTED in protocol)
        assert len(chosen_on) == (1 if protocol == "by sleeper" else 2)
        tested[protocol] |= chosen_on
    assert tested[CHOSEN] == names


def test_stages_that_are_counted_decide_the_weights():
    rare, common = np.repeat(np.arange(5.0), [50, 2, 50, 50, 50]), np.repeat(np.arange(5.0), 40)
    task = CountedTask(rare)
    np.testing.assert_array_equal(task.weights(common), SleepTask().weights(rare))
    assert task.weights(common)[1] > SleepTask().weights(common)[1]


def test_leaks_that_a_recipe_has_no_place_for_are_left_out():
    names = {
        name: [str(one) for one in protocols_for(packaged_recipe("seizure", name), "paper")]
        for name in ("rest", "arnn")
    }
    assert names["rest"] == ["by patient", SHUFFLED]
    assert names["arnn"] == ["by patient", SCALED, SHUFFLED, f"{SHUFFLED}, {SCALED}"]


def said(seed: int, fold: int, person: str, outputs: list[float]) -> Answered:
    return Answered(seed, fold, person, np.array(outputs)[:, None], np.array([0.0, 1.0]))


def test_a_score_is_the_mean_over_folds_and_its_difference_is_paired():
    honest = Outcome(
        "by patient", (), tuple(said(0, f, str(f), [2 * (f % 2), 1]) for f in range(4))
    )
    paper = Outcome("mixed", (), tuple(said(0, f, str(f), [0, 1]) for f in range(4)))
    gap = Inflation("seizure", "arnn", (honest, paper)).gap(paper)
    assert (gap.score, gap.inflation) == (1.0, 0.5)
    assert 0 <= gap.inflation_interval[0] < 0.5 < gap.inflation_interval[1] <= 1


def test_seeds_that_agree_leave_no_doubt_and_one_seed_leaves_all():
    outcome = Outcome("", (), tuple(said(seed, 0, "a", [0, 1]) for seed in (0, 1, 2)))
    assert Inflation("seizure", "", (outcome, outcome)).gap(outcome).over_seeds == (0.0, 0.0)
    assert np.isnan(t_interval([0.3])).all()


def test_the_interval_over_seeds_is_that_of_the_t_distribution():
    values = [0.1, 0.4, 0.2]
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(t_interval(values), expected)


def test_a_task_without_a_paper_that_leaks_is_refused():
    with pytest.raises(ValueError, match="Invalid protocol: 'paper', possible options for movem"):
        compare_protocols("movement", [], network="gru")


def test_networks_that_carry_their_state_are_refused(people):
    settings = {"memory": "carry", "segment": 8, "warm_up": 2}
    recipe = replace(PLAIN, network="lstm", network_settings=settings)
    with pytest.raises(ValueError, match="lstm carries its state, must answer for each clip"):
        compare_protocols("seizure", people, recipe=recipe)


@pytest.mark.slow
def test_the_command_prints_both_and_writes_no_decoder(bids, tmp_path, capsys):
    words = ["--data", str(bids), "--out", str(tmp_path), "--protocol", "paper", "--folds", "2"]
    options = ["--network_settings.clip", "4", "--training.passes", "1"]
    assert main(["evaluate", *words, *options]) == 0
    said = capsys.readouterr().out
    assert "leaking (clips shuffled)" in said
    assert f"clips shuffled: Leak: {LEAKS[SHUFFLED]}." in said
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {".lock", "prepared", "protocols.json"}
    assert not list(tmp_path.rglob("*.ranvier")) + list(tmp_path.rglob("*.safetensors"))
