"""Random windows: where they lie, how often each is drawn, and that only the seed matters."""

from dataclasses import replace

import numpy as np
import pytest

import ranvier as rv
from ranvier.fitting import prepare_annotated
from ranvier.networks import make_network
from ranvier.recording import Recording
from ranvier.tasks import make_task
from ranvier.training import stretches
from ranvier.truth import Event, Events, Hypnogram
from ranvier.window_sampler import WindowSampler, chances_of, has_gap, targets_of
from ranvier.windows import processed


def make_recording(name: str, subject: str, seconds: int = 100, **known) -> Recording:
    """Each sample says when it was taken."""
    signal = np.repeat(np.arange(seconds * 10)[:, None] / 10, 2, axis=1).astype(np.float32)
    signal[known.pop("gap", slice(0, 0))] = np.nan
    return Recording.from_array(signal, 10.0, ("a", "b"), name=name, subject=subject, **known)


def seizures(onset: float, duration: float) -> Events:
    return Events((Event(onset, duration),), 100.0)


RECORDINGS = [
    make_recording("1", "x", events=seizures(20, 10)),
    make_recording("2", "x", events=seizures(0, 0)),
    make_recording("3", "y", events=seizures(50, 30)),
]


def draw(sampler: WindowSampler, size: int = 400):
    return sampler.batch(size)


def test_a_window_is_the_signal_where_it_says_that_it_is():
    batch = draw(WindowSampler(RECORDINGS, 5.0, hop=0.7))
    assert batch.signal.shape == (400, 50, 2)
    np.testing.assert_allclose(batch.signal[:, 0, 0], batch.starts, atol=1e-5)


def test_the_class_of_a_window_is_that_of_half_of_it():
    batch = draw(WindowSampler(RECORDINGS, 10.0, hop=1.0))
    for number, start, target in zip(batch.recordings, batch.starts, batch.targets, strict=True):
        span = np.arange(start, start + 10, 0.1) + 0.05
        inside = [any(e.onset <= s < e.end for e in RECORDINGS[number].events) for s in span]
        assert target == (np.mean(inside) >= 0.5)


def test_classes_and_the_subjects_in_them_are_drawn_equally():
    batch = draw(WindowSampler(RECORDINGS, 10.0), 4000)
    subject = np.array(["x", "x", "y"])[batch.recordings]
    assert batch.targets.mean() == pytest.approx(0.5, abs=0.03)
    for kind in (0, 1):
        share = (subject[batch.targets == kind] == "x").mean()
        assert share == pytest.approx(0.5, abs=0.04)


def test_subjects_alone_are_drawn_equally():
    batch = draw(WindowSampler(RECORDINGS, 10.0, balance=["subject"]), 4000)
    assert (batch.recordings == 2).mean() == pytest.approx(0.5, abs=0.03)
    assert batch.targets.mean() == pytest.approx(0.25 * 0.1 * 2 + 0.5 * 0.3 - 0.025, abs=0.05)


def test_without_balance_each_window_is_drawn_as_often():
    batch = draw(WindowSampler(RECORDINGS, 10.0, balance=[]), 4000)
    assert batch.targets.mean() == pytest.approx(4 / 30, abs=0.03)


@pytest.mark.parametrize("seconds", [10.0, 7.0])
def test_stages_are_those_in_the_middle(seconds):
    hypnogram = Hypnogram(("W", "N2", ""), 100.0, 30.0)
    recording = make_recording("1", "x", hypnogram=hypnogram)
    batch = draw(WindowSampler([recording], seconds, hop=1.0, balance=["class"]))
    middle = batch.starts + seconds / 2
    assert set(batch.targets) == {0.0, 2.0}
    np.testing.assert_array_equal(batch.targets == 2, middle >= 30)


def test_what_is_not_annotated_is_drawn_only_where_nothing_is():
    plain = make_recording("4", "z")
    assert set(draw(WindowSampler([*RECORDINGS, plain], 10.0)).recordings) == {0, 1, 2}
    assert np.isnan(draw(WindowSampler([plain], 10.0)).targets).all()


def test_the_same_seed_draws_the_same_and_another_others():
    one, two, other = (draw(WindowSampler(RECORDINGS, 5.0, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.signal, two.signal)
    assert (one.starts != other.starts).any()


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (2, 4), (3, 20)])
def test_how_many_read_changes_nothing(threads, ahead):
    sampler = WindowSampler(RECORDINGS, 5.0, seed=3)
    found = list(sampler.batches(8, 6, first=2, threads=threads, ahead=ahead))
    assert len(found) == 6
    for number, batch in enumerate(found, start=2):
        np.testing.assert_array_equal(batch.signal, sampler.batch(8, number).signal)


def test_no_more_than_wanted_are_read_ahead():
    read = []
    slow = RECORDINGS[0]
    object.__setattr__(
        one := make_recording("5", "x"),
        "reader",
        lambda a, b: (read.append(a), slow.reader(a, b))[1],
    )
    batches = WindowSampler([one], 5.0).batches(1, 50, ahead=3)
    next(batches)
    batches.close()
    assert len(read) <= 3


def test_no_window_lies_over_a_gap_unless_that_is_wanted():
    recording = make_recording("1", "x", gap=slice(300, 420))
    starts = draw(WindowSampler([recording], 5.0, hop=0.1)).starts
    assert not ((starts > 25) & (starts < 42)).any()
    assert np.isnan(draw(WindowSampler([recording], 5.0, gaps=True)).signal).any()


def test_a_lead_that_is_missing_is_no_gap():
    signal = np.zeros((50, 2), np.float32)
    signal[:, 0] = np.nan
    assert not has_gap(signal)
    signal[7] = np.nan
    assert has_gap(signal)


def with_gap(gap: slice, events: Events, name: str = "1", subject: str = "x") -> Recording:
    return make_recording(name, subject, 1000, gap=gap, events=replace(events, duration=1000.0))


def test_gaps_do_not_change_how_often_a_class_is_drawn():
    recording = with_gap(slice(1500, 9500), seizures(50, 30))
    batch = draw(WindowSampler([recording], 5.0), 1000)
    assert batch.targets.mean() == pytest.approx(0.5, abs=0.05)


def test_gaps_do_not_change_how_often_a_subject_is_drawn():
    spoilt = with_gap(slice(100, 9990), seizures(0, 10))
    whole = with_gap(slice(0), seizures(0, 10), "2", "y")
    batch = draw(WindowSampler([spoilt, whole], 5.0, balance=["subject"]), 1000)
    assert batch.recordings.mean() == pytest.approx(0.5, abs=0.05)


def test_where_a_subject_has_nothing_but_gaps_another_has_its_class():
    spoilt = with_gap(slice(0, 1000), seizures(0, 100))
    whole = with_gap(slice(0), seizures(0, 10), "2", "y")
    batch = draw(WindowSampler([spoilt, whole], 5.0))
    assert batch.targets.mean() == pytest.approx(0.5, abs=0.08)
    assert (batch.recordings[batch.targets == 1] == 1).all()


def test_where_a_class_has_nothing_but_gaps_others_are_drawn_in_the_same_way_again():
    recording = with_gap(slice(0, 1000), seizures(0, 100))
    sampler = WindowSampler([recording], 5.0)
    first, again = sampler.batch(40), sampler.batch(40)
    assert set(first.targets) == {0.0}
    np.testing.assert_array_equal(first.starts, again.starts)


def test_windows_over_gaps_are_read_once():
    recording, read = make_recording("1", "x", gap=slice(None)), []
    one = replace(recording, reader=lambda a, b: (read.append(a), recording.reader(a, b))[1])
    with pytest.raises(ValueError, match="windows of 5 s in a row lie over gaps"):
        draw(WindowSampler([one], 5.0))
    assert len(read) == len(set(read)) == 20


def test_nothing_but_gaps_is_refused():
    recording = make_recording("1", "x", gap=slice(None))
    with pytest.raises(ValueError, match="1000 windows of 5 s in a row lie over gaps"):
        draw(WindowSampler([recording], 5.0))


@pytest.mark.parametrize(
    ("recordings", "options", "message"),
    [
        ([], {}, "Invalid recordings: none"),
        (RECORDINGS, {"seconds": 101.0}, "no recording is as long"),
        (RECORDINGS, {"seconds": 0.0}, "must be finite and at least a sample"),
        (RECORDINGS, {"seconds": 5.0, "hop": 0.0}, "must be finite and at least a sample"),
        (RECORDINGS, {"seconds": -5.0}, "must be finite and at least a sample"),
        (RECORDINGS, {"seconds": np.inf}, "must be finite and at least a sample"),
        (RECORDINGS, {"seconds": np.nan}, "must be finite and at least a sample"),
        (RECORDINGS, {"hop": np.inf}, "must be finite and at least a sample"),
        (RECORDINGS, {"balance": ["age"]}, "Invalid balance: .'age'., possible options"),
        (
            [*RECORDINGS, Recording.from_array(np.zeros((900, 1)), 10.0, ("a",))],
            {},
            "Invalid channels for recording: a, must be a, b",
        ),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(recordings, options, message):
    with pytest.raises(ValueError, match=message):
        WindowSampler(recordings, **options)


def test_processed_windows_are_drawn_as_raw_ones():
    stages = [{"stage": "filter", "low": 0.5, "high": None}]
    one = [processed(recording, stages) for recording in RECORDINGS]
    batch = draw(WindowSampler(one, 5.0), 5)
    for signal, number, start in zip(batch.signal, batch.recordings, batch.starts, strict=True):
        np.testing.assert_array_equal(signal, one[number].read(start, start + 5))


def test_chances_add_up_to_one_and_are_equal_within_each_key():
    first, second = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert chances_of([first, second], 4).tolist() == [0.125, 0.125, 0.25, 0.5]
    assert chances_of([], 4).tolist() == [0.25] * 4
    assert chances_of([np.array([0, np.nan, 1, 1])], 4).tolist() == [0.5, 0, 0.25, 0.25]


def test_windows_may_overlap_and_touch_events_at_their_edges():
    ends = np.array([10.0, 15.0, 20.0, 25.0, 30.0])
    assert targets_of(seizures(10, 10), ends, 10.0).tolist() == [0, 1, 1, 1, 0]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, recordings):
    named = [
        replace(one, subject="01" if one.subject in {"01", "02"} else "03") for one in recordings
    ]
    folder = tmp_path_factory.mktemp("prepared")
    return prepare_annotated(named[:5], rv.Recipe(), folder, None)


def drawn(prepared, balance: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each stretch tells something, and whose it is."""
    network, task = make_network("rest", prepared[0].layout.channels, {}), make_task("seizure")
    settings = rv.Training(stretch=20, background=60, balance=balance)
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([stretches(prepared, network, task, settings, rng) for _ in range(40)])
    told = [prepared[n].targets()[first:last].any() for n, first, last in chosen]
    return np.array(told), np.array([prepared[n].subject for n, *_ in chosen])


def test_training_may_draw_classes_equally(prepared):
    assert drawn(prepared, "none")[0].mean() < 0.4
    assert drawn(prepared, "class")[0].mean() == pytest.approx(0.5, abs=0.05)


def test_training_may_draw_subjects_equally(prepared):
    told, subject = drawn(prepared, "subject")
    assert (subject == "01").mean() == pytest.approx(0.5, abs=0.05)
    assert told.mean() < 0.4


def test_training_may_draw_subjects_equally_within_classes(prepared):
    told, subject = drawn(prepared, "class and subject")
    assert told.mean() == pytest.approx(0.5, abs=0.05)
    assert (subject[told] == "01").mean() == pytest.approx(0.5, abs=0.07)


def test_another_balance_is_refused():
    with pytest.raises(ValueError, match="Invalid balance: 'age', possible options"):
        rv.Training(balance="age")
