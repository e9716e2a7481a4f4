"""Fitting: balance, stretches, carried states, and runs that were stopped."""

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import QUICK
from safetensors import safe_open
from safetensors.torch import save

import ranvier as rv
from ranvier.alarms import AlarmRule
from ranvier.decoder import weights_hash
from ranvier.fit import Lesson
from ranvier.fitting import prepare_annotated
from ranvier.leftovers import REPLACED
from ranvier.networks import make_network
from ranvier.protocols import compare_protocols
from ranvier.recipe import Recipe, recipe_from
from ranvier.schedules import cosine, plateau
from ranvier.stages import build
from ranvier.tasks import make_task
from ranvier.training import batches, stretches
from ranvier.variations import vary
from ranvier.writing import alone


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, recordings):
    folder = tmp_path_factory.mktemp("prepared")
    return prepare_annotated(recordings, rv.Recipe(), folder, None)


SEIZURE = make_task("seizure")


@pytest.fixture(scope="module")
def network(prepared):
    return make_network("rest", prepared[0].layout.channels, {})


def test_seizures_count_more_the_rarer_they_are(prepared):
    targets = np.concatenate([one.targets() for one in prepared])
    assert SEIZURE.weights(targets).tolist() == [1.0, pytest.approx(150 / 30)]


def test_recordings_without_a_seizure_teach_nothing():
    with pytest.raises(ValueError, match="none of 100 outputs on the training recordings lies in"):
        SEIZURE.weights(np.zeros(100))


def test_every_seizure_is_in_every_pass(prepared, network):
    settings = rv.Training(stretch=40, background=0)
    chosen = stretches(prepared, network, SEIZURE, settings, np.random.default_rng(0))
    for number, recording in enumerate(prepared):
        seen = np.zeros(len(recording), bool)
        for _, first, last in chosen[chosen[:, 0] == number]:
            seen[first:last] = True
        assert seen[recording.targets() == 1].all()


def test_no_step_is_in_two_stretches_of_a_pass(prepared, network):
    settings = rv.Training(stretch=40, background=1e6)
    chosen = stretches(prepared, network, SEIZURE, settings, np.random.default_rng(0))
    for number, recording in enumerate(prepared):
        spans = [np.arange(first, last) for n, first, last in chosen if n == number]
        assert sorted(np.concatenate(spans)) == list(range(len(recording)))


def test_a_recording_of_one_window_is_in_every_pass(prepared):
    channels, steps = prepared[0].layout.channels, len(prepared[0])
    network = make_network("transformer", channels, {"window": steps})
    settings = rv.Training(stretch=1, background=1e6)
    rng, told = np.random.default_rng(0), make_task("movement")
    chosen = stretches(prepared[:1], network, told, settings, rng)
    assert chosen.tolist() == [[0, 0, steps]]


def test_a_pass_is_drawn_from_its_seed_alone(prepared, network):
    one, two = (list(batches(prepared, network, SEIZURE, QUICK, seed=[0, 3])) for _ in range(2))
    for (a, b), (c, d) in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)


def test_features_are_what_the_pipeline_gives(prepared, recordings):
    chain = build(rv.Recipe().stages, recordings[0].layout)
    whole, _ = chain.step(recordings[0].read()[None], chain.initial_state(1))
    np.testing.assert_array_equal(prepared[0].features(), whole[0])


def lesson(loss: str) -> Lesson:
    return Lesson(SEIZURE, SEIZURE.losses[loss], None, None, np.zeros(()), np.ones(()))


def test_outputs_that_are_not_valid_do_not_count():
    logits = torch.tensor([[[[0.0]], [[torch.nan]]]])
    labels = torch.tensor([[1.0, 1.0]])
    assert lesson("cross_entropy").loss_of(logits, labels).item() == pytest.approx(np.log(2))
    assert lesson("cross_entropy").loss_of(logits[:, 1:], labels[:, 1:]) is None


def test_squared_error_is_of_the_probability():
    logits, labels = torch.zeros(1, 2, 3, 1), torch.tensor([[1.0, 0.0]])
    assert lesson("squared_error").loss_of(logits, labels).item() == pytest.approx(0.25)


def test_training_separates_plain_seizures(decoder, recordings):
    for recording in recordings[6:]:
        found = decoder.predict(recording)
        inside = found.targets(recording.events) == 1
        difference = np.nanmean(found.probability[inside]) - np.nanmean(found.probability[~inside])
        assert difference > 0.1


IMPOSSIBLE = [
    ("passes", 0),
    ("passes", np.nan),
    ("patience", 2.5),
    ("batch", 0),
    ("learning_rate", -1),
    ("stretch", np.inf),
    ("segment", np.inf),
    ("background", np.inf),
    ("auxiliary", np.inf),
    ("gradient_norm", np.nan),
    ("decay", "kernel"),
    ("tail", "dropp"),
    ("class_weights", "no"),
    ("precision", "64-true"),
    ("optimiser_settings", {"weight_decay": 0.5}),
    ("augment", {"noise": np.nan}),
    ("augment", {"noise": -1}),
    ("augment", {"gain": -1}),
    ("augment", {"shift": 1.5}),
    ("augment", {"sign": -0.1}),
]


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"Invalid {name}"):
        rv.Training(**{name: value})


@pytest.mark.parametrize(
    ("schedule", "settings"),
    [
        ("cosine", {"passes": 0}),
        ("cosine", {"passes": 10, "floor": np.nan}),
        ("steps", {"at": 5}),
        ("steps", {"at": [2], "factor": -1}),
        ("plateau", {"patience": "long"}),
        ("plateau", {"factors": 0.5}),
    ],
)
def test_a_schedule_that_gives_no_rate_is_refused(schedule, settings):
    with pytest.raises(ValueError, match=f"Invalid schedule_settings of '{schedule}'"):
        rv.Training(schedule=schedule, schedule_settings=settings)


def test_settings_of_a_second_round_are_checked_with_the_first():
    assert rv.Training(stretch=30.0, context={"stretch": 600.0}).second_round().stretch == 600.0
    for context in ({"strech": 600.0}, {"passes": 0}, {"decay": "kernel"}):
        with pytest.raises(ValueError, match=r"Invalid (context|passes|decay)"):
            rv.Training(context=context)


@pytest.mark.parametrize("function", [rv.train, rv.evaluate, compare_protocols])
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"recipe": rv.Recipe(), "netwrok": "lstm"}, r"Invalid settings: \['netwrok'\] beside a"),
        (
            {"recipe": rv.Recipe(task="sleep", network="attn_sleep")},
            "Invalid task: 'seizure', must",
        ),
        ({"recipe": "rest_seizure"}, "Invalid recipe: 'rest_seizure', must be a Recipe"),
        ({"seed": "a"}, "Invalid seed: 'a', must be from 0 to"),
    ],
)
def test_a_recipe_with_other_settings_beside_it_is_refused(function, given, sentence, recordings):
    with pytest.raises(ValueError, match=sentence):
        function("seizure", recordings, **given)


def test_training_takes_a_folder(tmp_path, bids, recordings):
    quick = rv.Training(passes=1, stretch=40, segment=20, batch=4)
    by_path = rv.train("seizure", bids, training=quick)
    by_list = rv.train("seizure", rv.read(bids), training=quick)
    assert weights_hash(by_path.weights) == weights_hash(by_list.weights)


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match=r"Invalid settings: \['netwrok'\], possible options"):
        recipe_from("seizure", netwrok="rest")


def test_memory_that_runs_out_is_one_sentence(monkeypatch, recordings):
    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("ranvier.fit.Lesson.loss_of", exhausted)
    with pytest.raises(ValueError, match="Memory ran out at batch 4, stretch 40 and eval_batch"):
        rv.train("seizure", recordings[:4], training=QUICK)


COMMAND = [sys.executable, "-m", "ranvier", "train", "--training.stretch", "40"]
OPTIONS = ["--training.segment", "20", "--training.batch", "2", "--training.passes", "6"]


def train_command(data, out, *more) -> list[str]:
    return [*COMMAND, *OPTIONS, "--data", str(data), "--out", str(out), *more]


@pytest.mark.slow
@pytest.mark.parametrize("after_pass", [1, 3])
def test_a_killed_run_ends_with_the_same_weights_as_one_that_was_not(tmp_path, bids, after_pass):
    whole = subprocess.run(train_command(bids, tmp_path / "whole"), check=True, timeout=300)
    assert whole.returncode == 0
    started = subprocess.Popen(train_command(bids, tmp_path / "killed", "--verbose"), stderr=-1)
    for line in started.stderr:
        if f"pass {after_pass}:".encode() in line:
            time.sleep(0.05)
            os.kill(started.pid, signal.SIGKILL)
            break
    started.communicate()
    assert started.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "decoder.ranvier").exists()
    subprocess.run(train_command(bids, tmp_path / "killed"), check=True, timeout=300)
    one, two = (rv.load(tmp_path / name / "decoder.ranvier") for name in ("whole", "killed"))
    assert weights_hash(one.weights) == weights_hash(two.weights)
    assert one.rule == two.rule


@pytest.mark.parametrize(
    "change",
    [
        {"network_settings": {"fire_rate": 0.9}},
        {"training": replace(QUICK, passes=2)},
        {"seed": 1},
    ],
    ids=["network", "fewer passes", "seed"],
)
def test_other_settings_never_go_on_from_an_old_checkpoint(tmp_path, recordings, change):
    settings = {"training": QUICK, **change}
    rv.train("seizure", recordings[:4], training=QUICK, out=tmp_path)
    again = rv.train("seizure", recordings[:4], **settings, out=tmp_path)
    fresh = rv.train("seizure", recordings[:4], **settings)
    assert weights_hash(again.weights) == weights_hash(fresh.weights)


def test_less_patience_never_goes_on_from_where_it_would_not_have_come(
    tmp_path, recordings, monkeypatch
):
    monkeypatch.setattr("ranvier.fit.validate", lambda *_: 0.5)
    for patience in (3, 1, 3):
        settings = replace(QUICK, patience=patience)
        decoder = rv.train("seizure", recordings[:4], training=settings, out=tmp_path)
        assert len(decoder.provenance["history"]) == patience + 1


def test_other_annotations_never_go_on_from_an_old_checkpoint(tmp_path, recordings):
    rv.train("seizure", recordings[:4], training=QUICK, out=tmp_path)
    other = [
        replace(one, events=rv.Events.from_intervals([(10, 50)], one.duration))
        for one in recordings[:4]
    ]
    again = rv.train("seizure", other, training=QUICK, out=tmp_path)
    assert weights_hash(again.weights) == weights_hash(
        rv.train("seizure", other, training=QUICK).weights
    )


def test_broken_leftovers_are_made_anew(tmp_path, recordings):
    options = {"training": QUICK, "folds": 2, "only": 0, "out": tmp_path}
    (before,) = rv.evaluate("seizure", recordings, **options).folds
    for path in tmp_path.rglob("*.np[yz]"):
        path.write_bytes(path.read_bytes()[:50])
    (tmp_path / "fold-0" / "checkpoint.safetensors").write_bytes(b"cut")
    (after,) = rv.evaluate("seizure", recordings, **options).folds
    assert weights_hash(before.decoder.weights) == weights_hash(after.decoder.weights)


def test_training_that_diverges_is_one_sentence(recordings):
    wild = replace(QUICK, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"learning_rate .*diverge"):
        rv.train("seizure", recordings[:4], training=wild)


def test_folds_without_a_seizure_to_learn_from_are_refused_before_training(recordings):
    quiet = [
        one if one.subject == "01" else replace(one, events=rv.Events((), one.duration))
        for one in recordings
    ]
    with pytest.raises(ValueError, match="has an annotated seizure, only 01 has"):
        rv.evaluate("seizure", quiet, training=QUICK)


def test_scaling_is_fitted_to_the_training_part_alone(recordings):
    stages = [*rv.Recipe().stages[:-1], {"stage": "standardise"}]
    decoder = rv.train("seizure", recordings[:6], training=QUICK, stages=stages)
    louder = [
        replace(one, reader=lambda a, b, one=one: one.reader(a, b) * 9)
        if one.subject in decoder.provenance["certificate"]["fold"]["validation"]
        else one
        for one in recordings[:6]
    ]
    other = rv.train("seizure", louder, training=QUICK, stages=stages)
    assert decoder.stages[-1]["mean"] == other.stages[-1]["mean"]
    assert np.shape(decoder.stages[-1]["mean"]) == (18, 100)


def test_scaling_by_training_statistics_cannot_stand_before_memory(recordings):
    stages = [*rv.Recipe().stages[:2], {"stage": "standardise"}, *rv.Recipe().stages[2:]]
    with pytest.raises(ValueError, match="standardise must stand after the last stage with memory"):
        rv.train("seizure", recordings[:6], training=QUICK, stages=stages)


@pytest.mark.parametrize("limit", [100_000, 500_000])
def test_a_full_disk_is_one_sentence_and_nothing_is_half_written(tmp_path, bids, limit):
    done = subprocess.run(
        train_command(bids, tmp_path),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "Cannot write" in done.stderr
    assert not list(tmp_path.rglob("*.ranvier")) + list(tmp_path.rglob("*tmp*"))


def test_a_checkpoint_of_other_settings_is_not_used(tmp_path, recordings):
    rv.train("seizure", recordings[:4], training=QUICK, out=tmp_path)
    other = replace(QUICK, learning_rate=1e-3)
    again = rv.train("seizure", recordings[:4], training=other, out=tmp_path)
    fresh = rv.train("seizure", recordings[:4], training=other)
    assert weights_hash(again.weights) == weights_hash(fresh.weights)


def test_a_plateau_lowers_the_learning_rate_after_passes_that_are_no_better():
    history = [{"score": score} for score in (0.5, 0.6, 0.6, 0.55, 0.5, 0.7)]
    rates = [plateau(1.0, history[:n], factor=0.5, patience=3) for n in range(7)]
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.5]


@pytest.mark.parametrize("schedule", [plateau, cosine])
def test_a_floor_above_the_rate_does_not_raise_it(schedule):
    needed = {"passes": 4} if schedule is cosine else {"patience": 1}
    history = [{"score": 0.0}] * 6
    rates = [schedule(1e-4, history[:n], floor=1e-3, **needed) for n in range(7)]
    assert rates == pytest.approx([1e-4] * 7)


def test_a_shift_is_refused_where_its_targets_would_stay(recordings):
    training = replace(QUICK, augment={"shift": 0.5})
    with pytest.raises(ValueError, match=r"shift 0\.5 of stretches of 40 steps, must be of"):
        rv.train("seizure", recordings[:4], training=training)


def test_what_varies_a_stretch_is_drawn_and_keeps_its_shape():
    stretch = np.random.default_rng(0).normal(size=(4, 50, 3)).astype(np.float32)
    amounts = {"noise": 0.1, "shift": 0.25, "sign": 0.5, "gain": 0.2}
    one, two = (vary(stretch, amounts, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == stretch.shape
    assert not np.array_equal(one, stretch)


def test_a_window_longer_than_all_recordings_is_told():
    reaches = rv.simulate_reaches(subjects=1, minutes=0.2)
    settings = {"window": 5000, "least": None}
    with pytest.raises(ValueError, match="as long as the network's window of 5000 steps"):
        rv.train("movement", reaches, network="wiener", network_settings=settings)


@pytest.mark.parametrize(
    "change",
    [
        lambda about: None,
        lambda about: {**about, "progress": "{"},
        lambda about: {**about, "progress": '{"passes": 1}'},
        lambda about: {"run": about["run"]},
    ],
)
def test_a_foreign_checkpoint_is_begun_anew(tmp_path, recordings, change):
    first = rv.train("seizure", recordings[:4], training=QUICK, out=tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as stored:
        about = stored.metadata()
    path.write_bytes(save({"other": torch.zeros(2)}, metadata=change(about)))
    again = rv.train("seizure", recordings[:4], training=QUICK, out=tmp_path)
    assert weights_hash(again.weights) == weights_hash(first.weights)


def test_a_checkpoint_without_its_weights_is_begun_anew(tmp_path, recordings):
    first = rv.train("seizure", recordings[:4], training=QUICK, out=tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as stored:
        about = stored.metadata()
        kept = {name: stored.get_tensor(name) for name in stored.keys() if "adam" not in name}  # noqa: SIM118
    kept.pop("now.readout.weight")
    path.write_bytes(save(kept, metadata=about))
    again = rv.train("seizure", recordings[:4], training=QUICK, out=tmp_path)
    assert weights_hash(again.weights) == weights_hash(first.weights)


@pytest.mark.slow
def test_a_result_of_other_settings_is_replaced_with_a_note(tmp_path, recordings):
    options = {"training": QUICK, "out": tmp_path}
    runs = [rv.evaluate("seizure", recordings, only=i, **options) for i in (0, 3)]
    (tmp_path / "rescored").mkdir()
    mine = [tmp_path / "fold-3" / "mine.txt", tmp_path / "rescored" / "mine.txt"]
    theirs = [tmp_path / "fold-3" / "fold.json", tmp_path / "rescored" / "scores.json"]
    for path in (*mine, theirs[1]):
        path.write_text("{}")
    other = rv.evaluate("seizure", recordings, folds=2, seed=1, only=0, **options)
    assert [run.notes for run in runs] == [{}, {}]
    assert other.notes["evaluation"] == [REPLACED]
    assert not any(path.exists() for path in (*theirs, tmp_path / "fold-3" / "truth"))
    assert all(path.exists() for path in mine)
    assert len(list((tmp_path / "fold-0" / "truth").iterdir())) == len(other.predictions)


@pytest.mark.parametrize("run", [rv.train, rv.evaluate])
def test_two_runs_do_not_write_to_one_folder(tmp_path, recordings, run):
    with (
        alone(tmp_path),
        pytest.raises(ValueError, match="another run is writing to it, must be done first"),
    ):
        run("seizure", recordings[:4], training=QUICK, out=tmp_path)


def test_where_nobody_has_a_seizure_it_is_said_so(recordings):
    quiet = [replace(one, events=rv.Events((), one.duration)) for one in recordings]
    with pytest.raises(ValueError, match="has an annotated seizure, and nobody else has"):
        rv.evaluate("seizure", quiet, training=QUICK)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "seizure_type", "rule": AlarmRule(threshold=0.3)}, "for the task 'seizure_type'"),
        ({"task": "sleep", "false_alarms_per_day": 2.0}, "for the task 'sleep', must be for 'seiz"),
        ({"false_alarms_per_day": 0.0}, "day: 0.0, must be finite and above 0$"),
        ({"wake_minutes": 3.0}, "for the task 'seizure', must be for 'sleep'"),
    ],
)
def test_what_only_another_task_looks_at_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**settings)
