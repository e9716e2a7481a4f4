"""Every command, run as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import make_recording
from timescoring.annotations import Annotation
from timescoring.scoring import EventScoring

import ranvier as rv
from ranvier.__main__ import COMMANDS, main

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


def test_two_files_of_one_name_do_not_share_a_table(tmp_path, decoder_file, capsys):
    recording = make_recording("08").until(20)
    for ward in ("a", "b"):
        (tmp_path / ward).mkdir()
        rv.write_edf(tmp_path / ward / "night.edf", recording.read(), recording.layout)
    words = ["decode", str(decoder_file), str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert "was written for another recording of this name" in capsys.readouterr().err


def test_score_takes_two_files(tmp_path):
    reference = rv.Events.from_intervals([(100, 160)], 7200)
    hypothesis = rv.Events.from_intervals([(110, 150), (4000, 4020)], 7200)
    for name, events in (("a", reference), ("b", hypothesis)):
        rv.write_events(tmp_path / f"{name}_events.tsv", events)
    words = ["score", tmp_path / "a_events.tsv", tmp_path / "b_events.tsv", "--task", "seizure"]
    events = json.loads(succeed(*words, "--json"))["pooled"]["events"]
    assert (events["true_positives"], events["false_positives"]) == (1, 1)
    assert events["false_alarms_per_day"] == pytest.approx(12.0)
    assert "1 of 1 found, 1 false alarms" in succeed(*words)


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
