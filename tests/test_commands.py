"""Every command, run as a user runs it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_recording
from timescoring.annotations import Annotation
from timescoring.scoring import EventScoring

import ranvier as rv
from ranvier.__main__ import COMMANDS, main
from ranvier.commands import left_out
from ranvier.tasks import make_task

QUICK = [
    "--training.passes=2",
    "--training.stretch=40",
    "--training.segment=20",
    "--training.batch=4",
]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ranvier", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def succeed(*words: object) -> str:
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def one_file(bids) -> Path:
    return next(bids.rglob("sub-04*run-00_eeg.edf"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "usage: ranvier " + command in capsys.readouterr().out


def test_without_a_command_all_are_listed(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(command in listed for command in COMMANDS)


def test_an_unknown_command_is_refused(capsys):
    assert main(["decde"]) == 2
    assert "Invalid command: 'decde', possible: demo" in capsys.readouterr().err


def test_a_wrong_option_exits_with_2():
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--dta", "x"])
    assert stopped.value.code == 2


@pytest.mark.parametrize("command", ["evaluate", "train", "select-timesteps", "drift"])
def test_a_missing_option_is_named(command):
    done = run(command)
    assert (done.returncode, "data" in done.stderr) == (2, True)
    assert "zip" not in done.stderr


@pytest.mark.parametrize(
    "words", [["train", "--config"], ["prepare", "data", "store", "--stages"]], ids=str
)
def test_a_recipe_that_is_not_in_the_package_is_refused_with_those_that_are(words, capsys):
    assert main([*words, "rset_seizure"]) == 2
    said = capsys.readouterr().err
    assert "'rset_seizure', must be a file or one of arnn_seizure, attn_sleep_sleep" in said


def test_recipes_of_the_package_are_found_by_name(tmp_path, bids):
    words = ["--states", "rest_seizure"]
    assert "8 recordings" in succeed("prepare", bids, tmp_path / "store", *words)
    words = ["--config", "rest_seizure", "--data", bids, "--out", tmp_path / "out", *QUICK]
    assert "decoder.ranvier" in succeed("train", *words)


def test_what_the_terminal_cannot_show_is_replaced():
    given = {**os.environ, "PYTHONIOENCODING": "ascii"}
    code = "import sys; from ranvier.__main__ import main; main(['--version']); print('\u2013')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=given, check=False)
    assert done.stdout.splitlines()[-1] == b"?"


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ranvier 0.")


def test_simulate_writes_a_bids_folder(tmp_path):
    out = tmp_path / "data"
    text = succeed("simulate", "seizure", out, "--subjects", 2, "--minutes", 6, "--json")
    answer = json.loads(text)
    recordings = rv.read(out)
    assert answer["recordings"] == len(recordings) == 2
    assert answer["seizures"] == sum(len(one.events.seizures()) for one in recordings)


def test_simulate_never_writes_over_recordings(bids):
    done = run("simulate", "seizure", bids, "--subjects", 1, "--minutes", 6)
    assert done.returncode == 1
    assert "has something in it, must be new or empty" in done.stderr


def test_train_decode_score_certify_and_live_go_together(tmp_path, bids, one_file):
    decoder = tmp_path / "small.ranvier"
    trained = succeed("train", "--data", bids, "--out", tmp_path, "--name", "small", *QUICK)
    assert str(decoder) in trained
    succeed("decode", decoder, bids, "--out", tmp_path / "decoded")
    tables = sorted((tmp_path / "decoded").rglob("*_events.tsv"))
    assert len(tables) == 8
    assert all(rv.read_events(table).duration == 180 for table in tables)
    scored = json.loads(succeed("score", bids, tmp_path / "decoded", "--json"))
    assert scored["pooled"]["events"]["references"] == 8
    assert "file and live agree" in succeed("certify", decoder, one_file)
    lines = succeed("live", decoder, "--source", f"replay:{one_file}", "--speed", 0).splitlines()
    assert len(lines) == 180
    assert {"time", "probability", "valid", "alarm", "age_seconds"} <= set(json.loads(lines[-1]))


def test_a_recipe_may_be_given_and_overruled(tmp_path, bids):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("network: rest\ntraining:\n  passes: 7\n  stretch: 40\n  segment: 20\n")
    words = ["--config", recipe, "--data", bids, "--out", tmp_path, "--training.passes=1", "--json"]
    about = json.loads(succeed("train", *words))
    assert len(about["provenance"]["history"]) == 1


def test_the_recipe_of_the_repository_is_understood(tmp_path, bids):
    recipe = Path(__file__).parents[1] / "recipes" / "rest_seizure.yaml"
    words = ["--config", recipe, "--data", bids, "--out", tmp_path, *QUICK]
    assert "decoder.ranvier" in succeed("train", *words)


def test_evaluate_writes_report_scores_and_a_log_for_each_fold(tmp_path, bids):
    words = ["--data", bids, "--out", tmp_path, "--folds", 2, "--workers", 2, *QUICK]
    text = succeed("evaluate", *words)
    assert "file and live agree" in text
    for name in ("report.html", "scores.json", "fold-0/log.txt", "fold-1/decoder.ranvier"):
        assert (tmp_path / name).stat().st_size > 0
    json.loads((tmp_path / "scores.json").read_text())


def test_one_fold_may_be_run_alone_and_is_not_run_again(tmp_path, bids):
    words = ["--data", bids, "--out", tmp_path, "--folds", 2, "--fold", 1, *QUICK]
    succeed("evaluate", *words)
    assert not (tmp_path / "fold-0").exists()
    log = (tmp_path / "fold-1" / "log.txt").read_text()
    succeed("evaluate", *words)
    assert (tmp_path / "fold-1" / "log.txt").read_text() == log


@pytest.mark.slow
def test_a_decoder_of_other_settings_is_replaced_with_a_note(tmp_path, bids, capsys):
    words = ["train", "--data", str(bids), "--out", str(tmp_path), *map(str, QUICK)]
    notes = []
    for seed in ("1", "1", "2"):
        assert main([*words, "--seed", seed]) == 0
        notes.append("decoder.ranvier: replaces a decoder" in capsys.readouterr().err)
    assert notes == [False, False, True]


def test_events_that_nothing_is_learnt_from_are_named():
    labels = [(0, "bckg"), (10, "ictal"), (20, "sz")]
    events = rv.Events(tuple(rv.Event(at, 5, label) for at, label in labels), 60.0)
    marked = replace(make_recording("08"), events=events)
    silent = replace(marked, events=None, name="silent")
    assert left_out([marked, silent], make_task("seizure")) == [
        ("silent", "it is not annotated and was left out"),
        (marked.name, "1 event is neither seizure nor background: 'ictal'"),
    ]


def test_decode_keeps_the_name_of_a_plain_file(tmp_path, decoder_file):
    recording = make_recording("08").until(30)
    rv.write_edf(tmp_path / "ward 3.edf", recording.read(), recording.layout)
    succeed("decode", decoder_file, tmp_path / "ward 3.edf", "--out", tmp_path)
    assert (tmp_path / "ward 3_events.tsv").exists()


def test_decode_never_writes_over_annotations(tmp_path, recordings, decoder_file, capsys):
    folder = rv.write_bids(tmp_path / "bids", recordings[:1])
    (table,) = folder.rglob("*_events.tsv")
    before = table.read_text()
    assert main(["decode", str(decoder_file), str(folder), "--out", str(folder)]) == 1
    assert "stands beside it already" in capsys.readouterr().err
    assert table.read_text() == before


@pytest.fixture
def wards(tmp_path) -> Path:
    """Two files of one name, in two folders."""
    recording = make_recording("08").until(20)
    for ward in ("a", "b"):
        (tmp_path / "wards" / ward).mkdir(parents=True)
        rv.write_edf(tmp_path / "wards" / ward / "night.edf", recording.read(), recording.layout)
    return tmp_path / "wards"


def test_files_of_one_name_are_called_by_their_place(tmp_path, decoder_file, wards):
    succeed("decode", decoder_file, wards, "--out", tmp_path / "out")
    names = [one.name for one in rv.read(wards)]
    assert names == ["a/night", "b/night"]
    assert all((tmp_path / "out" / f"{name}_events.tsv").exists() for name in names)


def test_two_files_of_one_name_do_not_share_a_table(tmp_path, decoder_file, wards, capsys):
    files = map(str, sorted(wards.rglob("*.edf")))
    assert main(["decode", str(decoder_file), *files, "--out", str(tmp_path / "out")]) == 1
    assert "was written for another recording of this name" in capsys.readouterr().err


def test_a_full_disk_is_named_with_what_is_written(
    tmp_path, decoder_file, wards, capsys, monkeypatch
):
    written = []

    def full(path: Path, *_: object) -> Path:
        if written:
            raise OSError(28, "No space left on device", str(path))
        written.append(path)
        return path

    monkeypatch.setattr("ranvier.formats.write_events", full)
    words = ["decode", str(decoder_file), str(wards), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "a/night_events.tsv" in said.out
    assert "night_events.tsv (No space left on device), stopped after 1 of 2 recordings" in said.err


def test_score_takes_two_files(tmp_path):
    reference = rv.Events.from_intervals([(100, 160)], 7200)
    hypothesis = rv.Events.from_intervals([(110, 150), (4000, 4020)], 7200)
    for name, events in (("a", reference), ("b", hypothesis)):
        rv.write_events(tmp_path / f"{name}_events.tsv", events)
    words = ["score", tmp_path / "a_events.tsv", tmp_path / "b_events.tsv", "--task", "seizure"]
    events = json.loads(succeed(*words, "--json"))["pooled"]["events"]
    assert (events["true_positives"], events["false_positives"]) == (1, 1)
    assert events["false_alarms_per_day"] == pytest.approx(12.0)
    assert "1 of 1 found, 1 false alarm " in succeed(*words)


def test_score_agrees_with_timescoring_on_random_tables(tmp_path, capsys):
    rng = np.random.default_rng(0)
    paths = [tmp_path / "a_events.tsv", tmp_path / "b_events.tsv"]
    for _ in range(200):
        hours = int(rng.integers(600, 7200))
        intervals = [random_intervals(rng, hours), random_intervals(rng, hours)]
        for path, found in zip(paths, intervals, strict=True):
            rv.write_events(path, rv.Events.from_intervals(found, hours))
        assert main(["score", *map(str, paths), "--task", "seizure", "--json"]) == 0
        ours = json.loads(capsys.readouterr().out)["pooled"]["events"]
        oracle = EventScoring(*(Annotation(found, 10, hours * 10) for found in intervals))
        assert ours["true_positives"] == oracle.tp
        assert ours["false_positives"] == oracle.fp
        assert ours["references"] == oracle.refTrue


def random_intervals(rng: np.random.Generator, duration: int) -> list[tuple[float, float]]:
    edges = np.sort(rng.choice(duration, 2 * int(rng.integers(0, 8)), replace=False))
    return [(float(a), float(b)) for a, b in edges.reshape(-1, 2)]


def test_live_says_what_was_repaired(tmp_path, decoder_file, capsys):
    recording = make_recording("08").until(10)
    layout = rv.Layout(recording.layout.channels[:-1], 256.0)
    rv.write_edf(tmp_path / "short.edf", recording.read()[:, :-1], layout)
    words = ["live", str(decoder_file), "--source", f"replay:{tmp_path / 'short.edf'}", "--speed=0"]
    assert main(words) == 0
    assert "note: 2 of 18 derivations cannot be formed" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "kept"), [("live", False), ("evaluate", True)])
def test_a_stopped_command_says_what_is_kept(monkeypatch, capsys, command, kept):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ranvier.__main__._run", stopped)
    assert main([command]) == 130
    assert ("what is done is kept" in capsys.readouterr().err) == kept


@pytest.mark.slow
def test_demo_goes_the_whole_way(tmp_path):
    words = ["--out", tmp_path, "--subjects", 4, "--minutes", 8, "--folds", 2, "--passes", 2]
    text = succeed("demo", *words)
    assert "file and live agree" in text
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert len(list((tmp_path / "decoded").rglob("*_events.tsv"))) == 1


@pytest.mark.real
def test_real_recordings_go_the_whole_way(tmp_path, real):
    clips = real / "chbmit_clips"
    recipe = Path(__file__).parents[1] / "recipes" / "rest_seizure.yaml"
    words = ["--config", recipe, "--data", clips, "--out", tmp_path, "--training.passes=3"]
    text = succeed("evaluate", *words)
    assert "file and live agree" in text
    assert "measur" in text
